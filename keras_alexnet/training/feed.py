"""A run's data, and its network behind the last steps of augmentation."""

import keras
import numpy as np

from keras_alexnet.data.color import IMAGENET_2012
from keras_alexnet.data.image_source import channels_of
from keras_alexnet.data.image_source import colors_of
from keras_alexnet.data.pipeline import evaluation_batches
from keras_alexnet.data.pipeline import training_batches
from keras_alexnet.data.shards import MEAN_IMAGE
from keras_alexnet.files import replacing
from keras_alexnet.models.alexnet_model import AlexNetModel
from keras_alexnet.models.replica_steps import every_step
from keras_alexnet.training.distribution import distributed
from keras_alexnet.training.metrics import ImageCounts
from keras_alexnet.training.optimizer import PaperSGD
from keras_alexnet.training.starting import freeze


class Feed:
    """The batches of a run, for all devices.

    Args:
        run: The `Run`.
        train: `Examples` to train on.
        test: `Examples` to validate with.
        strategy: A `tf.distribute.Strategy`.
        skipped: `SkippedFiles`.

    Attributes:
        batch_size: Images in a step; no more than there are.
        steps: Steps of an epoch.
        test_steps: Steps of a validation.
        image_channels: Of the pixels.
    """

    def __init__(self, run, train, test, strategy, skipped):
        self.run, self.train, self.test = run, train, test
        self.strategy = strategy
        self.skipped = skipped
        self.batch_size = min(run.recipe.batch_size, len(train))
        self.steps = -(-len(train) // self.batch_size)
        self.test_steps = -(-len(test) // self.batch_size)
        self.image_channels = channels_of(train, run.channels)
        self._colors = self._find_colors()

    def training(self, first_step):
        """The batches from a step on."""
        recipe = self.run.recipe

        def batches(**share):
            return training_batches(
                self.train,
                batch_size=self.batch_size,
                square=recipe.square,
                smallest_crop_area=recipe.smallest_crop_area,
                flip=recipe.flip,
                color_noise=recipe.color_noise,
                color_noise_epochs=recipe.end_game and recipe.end_game[0],
                color_unit=recipe.color_unit,
                color_statistics=self._colors,
                crop_chunk=recipe.crop_chunk,
                multiple_of=recipe.accumulation_steps,
                seed=recipe.seed,
                first_step=first_step,
                skipped=self.skipped,
                **self.run.sizes,
                **share,
            )

        return distributed(self.strategy, batches)

    def validation(self):
        """The batches of the test examples."""

        def batches(**share):
            return evaluation_batches(
                self.test,
                batch_size=self.batch_size,
                skipped=self.skipped,
                keep=True,
                **self.run.sizes,
                **share,
            )

        return distributed(self.strategy, batches)

    def _find_colors(self):
        """Whose components the color noise follows; the mean image."""
        recipe = self.run.recipe
        wanted = recipe.color_noise and recipe.color_source == "fitted"
        if not wanted and recipe.mean == "variant":
            return IMAGENET_2012
        colors, mean_image = colors_of(self.train, recipe.resize_pixels)
        if recipe.mean == "image":
            with (
                replacing(self.run.path(MEAN_IMAGE)) as path,
                open(path, "wb") as file,
            ):
                np.save(file, mean_image)
        return colors if wanted else IMAGENET_2012


class PixelModel(AlexNetModel):
    """A network fed with pixels, flips and shifts of color.

    Made outside of the strategy's scope, of layers made within it: so Keras'
    `fit`, called in the scope, leaves out what fails on several machines
    (keras-team/keras#20585), and needs nothing but the public interface.

    Attributes:
        counts: `ImageCounts`, the metrics.
    """

    def fit(self, *args, **kwargs):
        # Without AlexNet's look at the images: these are in the right range.
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
            self.train_function = every_step(self, self.train_step)

    def make_test_function(self, force=False):
        if self._replicas == 1:
            super().make_test_function(force)
        elif self.test_function is None or force:
            self.test_function = every_step(self, self.test_step)


def fed_with_pixels(run, image_channels, strategy):
    """The compiled `PixelModel` of a run, and the network in it."""
    recipe, classes = run.recipe, len(run.class_names)
    before = keras.config.dtype_policy()
    precision = recipe.precision
    with strategy.scope():
        if precision != "float32":
            keras.config.set_dtype_policy(f"mixed_{precision}")
        try:
            network = run.build_model(classifier_activation=None)
        finally:
            keras.config.set_dtype_policy(before)
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
    optimizer = PaperSGD(
        recipe.learning_rate,
        recipe.momentum,
        recipe.weight_decay,
        recipe.bias_rate,
        recipe.bias_decay,
        dict(recipe.layer_decay),
        global_clipnorm=recipe.global_clipnorm,
    )
    if recipe.precision == "float16":
        # `compile` does so for a model of that policy; this one, around the
        # network, is of float32.
        return keras.optimizers.LossScaleOptimizer(optimizer)
    return optimizer
