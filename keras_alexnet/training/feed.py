"""A run's data, and its network behind the last steps of augmentation."""

import keras
import numpy as np

from keras_alexnet.data.color import IMAGENET_2012
from keras_alexnet.data.device_images import DeviceImages
from keras_alexnet.data.device_images import fit_on_device
from keras_alexnet.data.image_source import channels_of
from keras_alexnet.data.image_source import colors_of
from keras_alexnet.data.pipeline import evaluation_batches
from keras_alexnet.data.pipeline import training_batches
from keras_alexnet.data.shards import MEAN_IMAGE
from keras_alexnet.files import replacing
from keras_alexnet.training.distribution import distributed


class Feed:
    """The batches of a run, for all devices.

    Args:
        run: The `Run`.
        train: `Examples` to train on.
        test: `Examples` to validate with.
        strategy: A `tf.distribute.Strategy`.
        skipped: `SkippedFiles`.
        steps_at_once: How many steps may be computed in one call, where the
            images fit into the memory of a JAX accelerator.
        verbose: Boolean, whether a bar is shown while they are read.

    Attributes:
        batch_size: Images in a step; no more than there are.
        steps: Steps of an epoch.
        test_steps: Steps of a validation.
        image_channels: Of the pixels.
        on_device: The images to train on as `DeviceImages`, or `None`.
    """

    def __init__(
        self,
        run,
        train,
        test,
        strategy,
        skipped,
        steps_at_once=1,
        verbose=False,
    ):
        self.run, self.train, self.test = run, train, test
        self.strategy = strategy
        self.skipped = skipped
        self.batch_size = min(run.recipe.batch_size, len(train))
        self.steps = -(-len(train) // self.batch_size)
        self.test_steps = -(-len(test) // self.batch_size)
        self.image_channels = channels_of(train, run.channels)
        self._colors = self._find_colors()
        self.on_device = None
        if self._fits_on_device():
            sizes = run.sizes["resize_pixels"], run.channels
            how = skipped, steps_at_once, verbose, run.recipe.scaled_decoding
            self.on_device = DeviceImages(train, *sizes, *how)

    def _fits_on_device(self):
        """Whether a JAX accelerator can cut all that is trained on."""
        recipe = self.run.recipe
        return (
            keras.backend.backend() == "jax"
            and self.strategy.num_replicas_in_sync == 1
            and recipe.square
            and recipe.smallest_crop_area is None
            and fit_on_device(
                self.train, recipe.resize_pixels, self.image_channels
            )
        )

    def training(self, first_step):
        """The batches from a step on."""
        recipe = self.run.recipe

        def batches(**share):
            return training_batches(
                self.on_device or self.train,
                batch_size=self.batch_size,
                square=recipe.square,
                smallest_crop_area=recipe.smallest_crop_area,
                scaled_decoding=recipe.scaled_decoding,
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
