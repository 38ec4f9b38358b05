"""`AlexNetModel`, what `AlexNet` returns."""

import contextlib

import keras

from keras_alexnet.architectures.variants import get_architecture
from keras_alexnet.models.batch_parts import jax_loss
from keras_alexnet.models.batch_parts import torch_step
from keras_alexnet.models.first_batch import is_fed_directly
from keras_alexnet.models.first_batch import watch
from keras_alexnet.models.input_checks import check_of_learning
from keras_alexnet.models.input_checks import check_of_range
from keras_alexnet.models.input_checks import first_images
from keras_alexnet.models.input_checks import warn_if_out_of_range
from keras_alexnet.models.input_checks import warn_if_unlearnable
from keras_alexnet.models.keras_private import in_order
from keras_alexnet.models.keras_private import learns_shapes_by
from keras_alexnet.models.keras_private import note_origin
from keras_alexnet.models.keras_private import origin_of
from keras_alexnet.models.onednn import warn_if_left_out
from keras_alexnet.models.precision import FLOAT32_FORMATS
from keras_alexnet.models.precision import in_float32
from keras_alexnet.weights.weight_file import SAVED


def _first_share(model, iterator):
    """The first replica's share of the first batch, where there are several."""
    if model._replicas == 1 or not model.made_in_scope:
        return None
    local = model.distribute_strategy.experimental_local_results
    _, _, batches = next(iter(iterator))
    return keras.tree.map_structure(
        lambda value: local(value)[0], next(batches)
    )


def _does(model):
    """What a model computes, whatever its inputs are called."""
    return [
        (type(layer), layer.get_config())
        for layer in model.layers
        if not isinstance(layer, keras.layers.InputLayer)
    ]


@learns_shapes_by(_first_share)
@keras.saving.register_keras_serializable(package="keras_alexnet")
class AlexNetModel(keras.Model):
    """What `AlexNet` returns: a functional model with input checks and more.

    `fit`, of it or of a model that it or its layers are a part of, warns if
    the first images are in a range that its initialization cannot learn from.
    Made and compiled in the scope of a `tf.distribute.MirroredStrategy`, each
    step is that of one device, up to the rounding of sums in another order,
    with uneven batches and clipping too, and `fit` refuses what Keras cannot
    do there.
    `export` to other runtimes than TensorFlow writes it in float32, whatever
    it computes in.

    Attributes:
        accumulation_steps: In how many parts a batch is computed, one after
            another, before the weights are changed once; to save memory.
        variant: Name of the variant, which tells how images must be
            preprocessed; `None` if it is none of `VARIANTS`.
        padding: As given to `AlexNet`.
        class_names: Names of the classes, or `None`.
        resize_pixels: The short side of an image before the center is cut
            out of it, or `None`.
        checks_range: Boolean, whether images are warned of that are not
            preprocessed as those were that its weights come from. These five
            are saved with the model.
        watches: Boolean, whether such warnings are given of the batches that
            Keras feeds to it.
    """

    accumulation_steps = 1
    variant = None
    padding = None
    class_names = None
    resize_pixels = None
    checks_range = False
    watches = True
    is_seen = False  # what it is fed now was looked at before
    has_looked = False
    _learning_check = None

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        of_tensorflow = keras.backend.backend() == "tensorflow"
        self.made_in_scope = of_tensorflow and steps().is_in_scope()
        original = origin_of(self)
        if original is not None and _does(self) == _does(original):
            self._take_over({n: getattr(original, n) for n in SAVED})
        watch(self)

    # Keras' `clone_model` calls this, makes a model of what it gives, and tells
    # that nothing else but the name.
    def _run_through_graph(self, *args, **kwargs):
        outputs = super()._run_through_graph(*args, **kwargs)
        note_origin(outputs, self)
        return outputs

    def fit(self, x=None, *args, **kwargs):
        if self.compiled:
            if self.optimizer is None:
                raise ValueError(
                    "The model was compiled without an optimizer; give "
                    "`compile` one, such as `keras_alexnet.PaperSGD()`."
                )
            if self._replicas > 1:
                steps().check_options(self)
        warn_if_left_out()
        images = first_images(x) if is_fed_directly(self) else None
        if images is not None and self.checks_range:
            warn_if_out_of_range(self, self._preprocessing, images)
        elif self.compiled and _is_new(self.optimizer):
            if images is not None:
                warn_if_unlearnable(self, images)
            elif self.watches:
                self._learning_check = check_of_learning(self)
        with contextlib.ExitStack() as stack:
            stack.enter_context(self._seen(images))
            if self._replicas > 1:
                stack.enter_context(steps().one_strategy())
            return super().fit(x, *args, **kwargs)

    def check_of_images(self, training):
        """What `watch` is to do with the first values, or `None`."""
        check = None
        if self.checks_range:
            check = check_of_range(self, self._preprocessing)
        elif training:
            check = self._learning_check or check_of_learning(self)

        def once(*values):
            if not self.is_seen and not self.has_looked:
                check(*values)
                self.has_looked = True
            return self.has_looked

        return check and once

    @contextlib.contextmanager
    def _seen(self, images):
        """Of images that were looked at before, no batch is."""
        self.is_seen = images is not None
        try:
            yield
        finally:
            self.is_seen = False

    @property
    def _preprocessing(self):
        return get_architecture(self.variant).preprocessing

    # TensorFlow traces a step twice in which an optimizer makes its variables.
    def make_train_function(self, force=False):
        optimizer, variables = self.optimizer, self.trainable_variables
        is_new = optimizer is not None and not optimizer.built
        alone = keras.backend.backend() == "tensorflow" and self._replicas == 1
        if is_new and alone and variables:
            scope = keras.name_scope(optimizer.name, caller=optimizer)
            with self.distribute_strategy.scope(), scope:
                optimizer.build(variables)
        return super().make_train_function(force)

    # Keras on JAX calls these with a state in front of the data.
    def train_step(self, *args):
        parts, backend = self.accumulation_steps, keras.backend.backend()
        if parts != 1 and backend == "torch":
            return torch_step(self, *args, parts)
        if backend != "tensorflow" or self._replicas == parts == 1:
            return super().train_step(*args)
        return steps().train_step(self, *args, parts)

    # Keras' step on JAX is made of this.
    def compute_loss_and_updates(
        self,
        trainable_variables,
        non_trainable_variables,
        metrics_variables,
        x,
        y,
        sample_weight,
        training=False,
        optimizer_variables=None,
    ):
        def compute(trainable, others, metrics, *data):
            return super(AlexNetModel, self).compute_loss_and_updates(
                trainable,
                others,
                metrics,
                *data,
                training=training,
                optimizer_variables=optimizer_variables,
            )

        data, parts = (x, y, sample_weight), self.accumulation_steps
        values = trainable_variables, non_trainable_variables, metrics_variables
        if not training or parts == 1:
            return compute(*values, *data)
        return jax_loss(self, compute, values, data, parts)

    def test_step(self, *args):
        if self._replicas == 1:
            return super().test_step(*args)
        return steps().test_step(self, *args)

    def predict_step(self, *args):
        if self._replicas == 1:
            return super().predict_step(*args)
        return steps().predict_step(self, *args)

    @property
    def _replicas(self):
        if keras.backend.backend() != "tensorflow":
            return 1
        return self.distribute_strategy.num_replicas_in_sync

    def predict(self, x, *args, **kwargs):
        images = first_images(x) if is_fed_directly(self) else None
        self.has_looked = False
        if self.checks_range:
            warn_if_out_of_range(self, self._preprocessing, images)
        with self._seen(images):
            return super().predict(x, *args, **kwargs)

    # Keras 3.15 gives each of several devices the whole batch.
    def predict_on_batch(self, x):
        if self._replicas == 1:
            return super().predict_on_batch(x)
        rows = keras.tree.flatten(x)[0].shape[0]
        return self.predict(x, batch_size=rows, verbose=0)

    def test_on_batch(self, x, y=None, sample_weight=None, return_dict=False):
        if self._replicas == 1:
            return super().test_on_batch(x, y, sample_weight, return_dict)
        rows = keras.tree.flatten(x)[0].shape[0]
        return self.evaluate(
            x, y, rows, 0, sample_weight, return_dict=return_dict
        )

    def train_on_batch(
        self,
        x,
        y=None,
        sample_weight=None,
        class_weight=None,
        return_dict=False,
    ):
        if self._replicas == 1:
            return super().train_on_batch(
                x, y, sample_weight, class_weight, return_dict
            )
        if class_weight is not None:
            raise ValueError(
                "On several devices `train_on_batch` takes no `class_weight`; "
                "give it as `sample_weight`, or use `fit`."
            )
        logs = steps().train_on_batch(self, x, y, sample_weight)
        return logs if return_dict else in_order(self, logs)

    def get_config(self):
        metadata = {name: getattr(self, name) for name in SAVED}
        return {**super().get_config(), **metadata}

    @classmethod
    def from_config(cls, config, custom_objects=None):
        metadata = {name: config.pop(name, None) for name in SAVED}
        for layer in config.get("layers", []):  # files of version 0.1
            if layer.get("class_name") in OWN_LAYERS:
                name = f"keras_alexnet>{layer['class_name']}"
                layer.update(module=None, registered_name=name)
        model = super().from_config(config, custom_objects)
        model._take_over(metadata)
        return model

    def _take_over(self, metadata):
        for name, value in metadata.items():
            setattr(self, name, value)

    def export(
        self,
        filepath,
        format="tf_saved_model",
        verbose=None,
        input_signature=None,
        **kwargs,
    ):
        model = self
        if format in FLOAT32_FORMATS:
            model = in_float32(self)
        if input_signature is None and format == "onnx":
            # Without it Keras refuses what was never called.
            input_signature = [model.input]
        keras.Model.export(
            model, filepath, format, verbose, input_signature, **kwargs
        )


# Whose form of this package takes the place of Keras'.
OWN_LAYERS = (
    "AdaptiveAveragePooling2D",
    "AveragePooling2D",
    "Conv2D",
    "MaxPooling2D",
)

# Keras' `.h5` files name the class of a model without its package.
keras.saving.get_custom_objects()["AlexNetModel"] = AlexNetModel


def _is_new(optimizer):
    """Whether nothing was learned by it yet."""
    steps = optimizer.iterations  # a variable; with accumulation an array
    return int(steps.numpy() if hasattr(steps, "numpy") else steps) == 0


def steps():
    """What `tf.distribute` needs, and no other backend can import."""
    from keras_alexnet.models import replica_steps

    return replica_steps
