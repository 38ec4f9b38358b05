"""A word to those whose TensorFlow computes more slowly than it can."""

import functools
import os
import warnings

import keras

from keras_alexnet.environment import ONEDNN
from keras_alexnet.environment import leaves_out_onednn
from keras_alexnet.models.keras_private import onednn_is_on


@functools.cache
def warn_if_left_out():
    """Warn, once in a process, if oneDNN would be faster and was not chosen."""
    chosen = os.environ.get(ONEDNN, "1").lower() in ("0", "false")
    if chosen or not leaves_out_onednn() or onednn_is_on() is not False:
        return
    if keras.distribution.list_devices("gpu"):
        return
    warnings.warn(
        "TensorFlow was imported without its oneDNN operations, with which a "
        "training is up to twice as fast on this processor; put "
        f'`import os; os.environ["{ONEDNN}"] = "1"` before the first import of '
        'TensorFlow or Keras, or "0" to have it as it is.',
        stacklevel=3,
    )
