"""The network that a training feeds with pixels."""

import keras

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
    """

    watches = False

    def fit(self, *args, **kwargs):
        return keras.Model.fit(self, *args, **kwargs)

    @property
    def metrics(self):
        return [self.counts]

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        self.counts.update_state(y, y_pred, sample_weight)
        return self.get_metrics_result()

    def make_train_function(self, force=False):
        if self._replicas == 1:
            super().make_train_function(force)
        elif self.train_function is None or force:
            self.train_function = steps().every_step(self, self.train_step)

    def make_test_function(self, force=False):
        if self._replicas == 1:
            super().make_test_function(force)
        elif self.test_function is None or force:
            self.test_function = steps().every_step(self, self.test_step)


def build_pixel_model(run, image_channels, strategy):
    """The compiled `PixelModel` of a run, and the network in it."""
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
            keras.Input((side, side, image_channels), dtype="uint8"),
            keras.Input((), dtype="uint8"),
            keras.Input((channels,), dtype="float32"),
        ]
        outputs = network(run.pixels_to_input()(*inputs))
        counts = ImageCounts(classes)
    model = PixelModel(inputs, outputs)
    model.counts = counts
    model.accumulation_steps = recipe.accumulation_steps
    with strategy.scope():
        model.compile(
            _optimizer(recipe),
            keras.losses.SparseCategoricalCrossentropy(
                from_logits=True,
                reduction="mean_with_sample_weight",
                dtype=_loss_dtype(network),
            ),
        )
        model.optimizer.build(model.trainable_variables)
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
