"""A network with all that is known of its images, and its SavedModel.

The SavedModel also takes the raw bytes of image files: what `decode`,
`transforms` and `preprocessing` of `data` do, said once more in TensorFlow's
operations.
"""

import functools
import json

import keras
import tensorflow as tf

from keras_alexnet.evaluation.scores import gives_logits
from keras_alexnet.export.description import input_text
from keras_alexnet.export.description import serves_files
from keras_alexnet.export.formats import MARK

TOP = 5  # how many classes `serve_image_bytes` names
# Pillow's convert("L"): weights of ITU-R 601-2 in 16 bits (its Convert.c).
GRAY = (19595, 38470, 7471)


def save_model(network, folder):
    """Write a SavedModel.

    Its signature `serve`, also called `serving_default`, takes what the
    network is fed; `serve_image_bytes`, if it is known how images are
    prepared and TensorFlow computes them, a batch of image files as they are.
    What is known of the network lies beside it as JSON, in `assets.extra`.

    Args:
        network: A `Network`.
        folder: Path of a folder that does not exist.
    """
    archive = keras.export.ExportArchive()
    # On TensorFlow Keras 3.15 would write all weights twice; on JAX it finds
    # them by that alone.
    if keras.backend.backend() == "jax":
        archive.track(network.model)
    shape = (None, *network.model.input_shape[1:])
    archive.add_endpoint(
        "serve",
        functools.partial(network.model, training=False),
        [tf.TensorSpec(shape, "float32", name="image")],
    )
    resize_pixels = None
    if serves_files(network):
        resize_pixels = network.sizes["resize_pixels"]
        archive.add_endpoint(
            "serve_image_bytes",
            functools.partial(_answer, network),
            [tf.TensorSpec([None], tf.string, name="image_bytes")],
        )
    archive.write_out(str(folder), verbose=False)
    extra = folder / "assets.extra"  # TensorFlow's name for what others add
    extra.mkdir()
    metadata = {
        "class_names": network.class_names,
        "input": input_text(network),
        "resize_pixels": resize_pixels,
    }
    (extra / MARK).write_text(
        json.dumps(metadata, indent=2) + "\n", encoding="utf-8"
    )


def _answer(network, image_bytes):
    """The outputs of `serve_image_bytes`."""
    sizes = network.sizes
    side, channels = sizes["crop_pixels"], sizes["channels"]
    crops = tf.map_fn(
        functools.partial(_cropped, **sizes),
        image_bytes,
        fn_output_signature=tf.TensorSpec((side, side, channels), tf.uint8),
    )
    count = tf.shape(crops)[0]
    # Without XLA, which not all servers have.
    inputs = network.to_input.transform(
        crops, tf.zeros([count], tf.uint8), tf.zeros([count, channels]), 1.0
    )
    probabilities = network.model(inputs, training=False)
    if gives_logits(network.model):
        probabilities = tf.nn.softmax(probabilities)
    scores, places = tf.math.top_k(
        probabilities, min(TOP, len(network.class_names))
    )
    names = tf.constant(network.class_names)
    # The last two are called as TensorFlow Serving's classifiers call them.
    return {
        "probabilities": probabilities,
        "classes": tf.gather(names, places),
        "scores": scores,
    }


def _cropped(data, resize_pixels, crop_pixels, channels):
    """The center of an image file."""
    image = tf.cond(
        tf.io.is_jpeg(data),
        lambda: tf.io.decode_jpeg(
            data, channels=3, dct_method="INTEGER_ACCURATE"
        ),
        lambda: tf.io.decode_image(data, channels=3, expand_animations=False),
    )
    image = tf.reshape(image, tf.shape(image)[:3])  # its rank was not known
    image = tf.cast(image, tf.int32)
    if channels == 1:
        image = tf.reduce_sum(image * GRAY, axis=-1, keepdims=True)
        image = (image + 2**15) // 2**16
    image = _resized(tf.cast(image, tf.float32), resize_pixels)
    for pixels in (resize_pixels, crop_pixels):  # as Source.center_crop
        top, left = _center(tf.shape(image), pixels)
        image = image[top : top + pixels, left : left + pixels]
    image = tf.ensure_shape(image, (crop_pixels, crop_pixels, channels))
    return tf.cast(image, tf.uint8)


def _resized(image, pixels):
    """The short side resized as Pillow does: first across, then down, rounded
    after each."""
    shape = tf.shape(image)
    height, width = shape[0], shape[1]
    short = tf.minimum(height, width)
    new_height, new_width = pixels * height // short, pixels * width // short
    for size in ((height, new_width), (new_height, new_width)):
        image = tf.image.resize(image, size, antialias=True)
        image = tf.clip_by_value(tf.floor(image + 0.5), 0, 255)
    return image


def _center(shape, pixels):
    """`transforms.center_offset`; tf.round also rounds halves to even."""
    offset = tf.cast(shape[:2] - pixels, tf.float32) / 2
    offset = tf.cast(tf.round(offset), tf.int32)
    return offset[0], offset[1]
