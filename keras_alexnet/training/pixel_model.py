"""The network that a training feeds with pixels."""

import functools

import keras
import numpy as np

from keras_alexnet.data.device_images import cut_on_device
from keras_alexnet.models.alexnet_model import AlexNetModel
from keras_alexnet.models.alexnet_model import steps
from keras_alexnet.training.metrics import ImageCounts
from keras_alexnet.training.optimizer import PaperSGD


class PixelModel(AlexNetModel):
    """A network fed with pixels, flips and shifts of color.

    Made outside of the strategy's scope, of layers made within it: so Keras'
    `fit`, called in the scope, leaves out what fails on several machines
    (keras-team/keras#20585), and needs nothing but the public interface.

    Attributes:
        counts: `ImageCounts`, the metrics.
        on_device: `DeviceImages` that it is trained on, or `None`.
    """

    watches = False
    on_device = None

    def fit(self, *args, **kwargs):
        return keras.Model.fit(self, *args, **kwargs)

    @property
    def metrics(self):
        return [self.counts]

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        self.counts.update_state(y, y_pred, sample_weight)
        return self.get_metrics_result()

    def make_train_function(self, force=False):
        if self.on_device is None and self._replicas == 1:
            super().make_train_function(force)
        elif self.train_function is None or force:
            self.train_function = (
                _steps_on_device(self, self.on_device.pixels)
                if self.on_device is not None
                else steps().every_step(self, self.train_step)
            )

    def make_test_function(self, force=False):
        if self._replicas == 1:
            super().make_test_function(force)
        elif self.test_function is None or force:
            self.test_function = steps().every_step(self, self.test_step)


def _steps_on_device(model, pixels):
    """Many steps of Keras' `fit` on JAX, compiled as one loop.

    Each is the model's `train_step`, behind the cut of its images.
    """
    import jax

    side = model.inputs[0].shape[1]

    @functools.partial(jax.jit, donate_argnums=0)
    def compiled(state, pixels, batches, count):
        def step(number, state):
            (places, flips, shifts), labels, weights = jax.tree.map(
                lambda values: values[number], batches
            )
            images = cut_on_device(pixels, places, side)
            data = (images, flips, shifts), labels, weights
            return model.train_step(state, data)[1]

        return jax.lax.fori_loop(0, count, step, state)

    def next_steps(state, iterator):
        (*inputs, count), labels, weights = next(iterator)
        batches = tuple(inputs), labels, weights
        state = compiled(state, pixels, batches, count)
        return model.counts.stateless_result(state[-1]), state

    return next_steps


def build_pixel_model(run, feed):
    """The compiled `PixelModel` of a run, and the network in it."""
    strategy = feed.strategy
    recipe, classes = run.recipe, len(run.class_names)
    policy = recipe.precision
    if policy in ("bfloat16", "float16"):
        policy = f"mixed_{policy}"
    with strategy.scope():
        network = run.build_model(policy, classifier_activation=None)
        network.watches = False  # its images are in the right range
        freeze(network, recipe.frozen)
        side, channels = recipe.crop_pixels, run.channels
        inputs = [
            keras.Input((side, side, feed.image_channels), dtype="uint8"),
            keras.Input((), dtype="uint8"),
            keras.Input((channels,), dtype="float32"),
        ]
        outputs = network(run.pixels_to_input()(*inputs))
        counts = ImageCounts(classes)
    model = PixelModel(inputs, outputs)
    model.counts = counts
    model.accumulation_steps = recipe.accumulation_steps
    model.on_device = on_device = feed.on_device
    with strategy.scope():
        model.compile(
            _optimizer(recipe),
            keras.losses.SparseCategoricalCrossentropy(
                from_logits=True,
                reduction="mean_with_sample_weight",
                dtype=_loss_dtype(network),
            ),
            steps_per_execution=on_device.steps_at_once if on_device else 1,
        )
        model.optimizer.build(model.trainable_variables)
    if on_device:
        # Else Keras builds the loss by a call with what is fed, of which the
        # images are still to be cut.
        model.compute_loss(y=np.zeros(1), y_pred=np.zeros((1, classes)))
    return model, network


def _loss_dtype(network):
    """Double precision for a network in it; else Keras' own, float32."""
    return "float64" if network.compute_dtype == "float64" else None


def _optimizer(recipe):
    """The paper's rule; of a scaled loss where small gradients would be 0."""
    decays = dict(recipe.layer_decay)
    learn = {name: decays[name] for name in decays if name not in recipe.frozen}
    optimizer = PaperSGD(
        recipe.learning_rate,
        recipe.momentum,
        recipe.weight_decay,
        recipe.bias_rate,
        recipe.bias_decay,
        learn,
        global_clipnorm=recipe.global_clipnorm,
    )
    if recipe.precision == "float16":
        # `compile` does so for a model of that policy; this one, around the
        # network, is of float32.
        return keras.optimizers.LossScaleOptimizer(optimizer)
    return optimizer


def freeze(network, names):
    """Keep layers as they are, both towers of them.

    Args:
        network: A model made by `AlexNet`.
        names: The paper's names of the layers.
    """
    wanted = {name + tower for name in names for tower in ("", "a", "b")}
    for layer in network.layers:
        if layer.name in wanted:
            layer.trainable = False
