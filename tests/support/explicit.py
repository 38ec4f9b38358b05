"""AlexNet written out by hand: what the table-built models must equal.

Plain Keras, one line per layer, in the order in which the data meets them.
"""

import keras
from keras.layers import Concatenate
from keras.layers import Conv2D
from keras.layers import Dense
from keras.layers import Dropout
from keras.layers import Flatten
from keras.layers import Input
from keras.layers import MaxPool2D
from keras.models import Model

from keras_alexnet.layers.local_response_normalization import (
    LocalResponseNormalization,
)


def article_listing(image_size=227, num_classes=1000):
    """The listing of "AlexNet's architecture explained", two mistakes mended.

    It said `(input)` for `(inputs)`, and imported a `plot_model` that is not
    there; the rest is as printed.
    """
    channel = 3

    # fmt: off
    inputs = Input(shape=(image_size, image_size, channel))
    x = Conv2D(filters=96, kernel_size=(11, 11), strides=(4, 4),
               padding='valid', activation='relu')(inputs)
    x = MaxPool2D(pool_size=(3, 3), strides=(2, 2), padding='valid')(x)
    x = Conv2D(filters=256, kernel_size=(5, 5), strides=(1, 1),
               padding='same', activation='relu')(x)
    x = MaxPool2D(pool_size=(3, 3), strides=(2, 2), padding='valid')(x)
    x = Conv2D(filters=384, kernel_size=(3, 3), strides=(1, 1),
               padding='same', activation='relu')(x)
    x = Conv2D(filters=384, kernel_size=(3, 3), strides=(1, 1),
               padding='same', activation='relu')(x)
    x = Conv2D(filters=256, kernel_size=(3, 3), strides=(1, 1),
               padding='same', activation='relu')(x)
    x = MaxPool2D(pool_size=(3, 3), strides=(2, 2), padding='valid')(x)
    x = Flatten()(x)
    x = Dense(4096, activation='relu')(x)
    x = Dropout(0.5)(x)
    x = Dense(4096, activation='relu')(x)
    x = Dropout(0.5)(x)
    x = Dense(num_classes, activation='softmax')(x)
    # fmt: on
    return Model(inputs=inputs, outputs=x)


def _starts(bias):
    """Section 5: weights from N(0, .01), and the bias."""
    return {
        "activation": "relu",
        "kernel_initializer": keras.initializers.RandomNormal(stddev=0.01),
        "bias_initializer": keras.initializers.Constant(bias)
        if bias
        else "zeros",
    }


def two_towers(image_size=227, num_classes=1000):
    """The paper's Section 3.5 and Figure 2: two towers, A and B."""
    norm = {"size": 5, "alpha": 1e-4, "beta": 0.75, "k": 2.0}  # Section 3.3
    image = Input((image_size, image_size, 3))
    a = Conv2D(48, 11, strides=4, **_starts(0.0))(image)
    b = Conv2D(48, 11, strides=4, **_starts(0.0))(image)
    a = LocalResponseNormalization(**norm)(a)
    b = LocalResponseNormalization(**norm)(b)
    a = MaxPool2D(3, 2)(a)
    b = MaxPool2D(3, 2)(b)
    a = Conv2D(128, 5, padding="same", **_starts(1.0))(a)
    b = Conv2D(128, 5, padding="same", **_starts(1.0))(b)
    a = LocalResponseNormalization(**norm)(a)
    b = LocalResponseNormalization(**norm)(b)
    a = MaxPool2D(3, 2)(a)
    b = MaxPool2D(3, 2)(b)
    both = Concatenate()([a, b])
    a = Conv2D(192, 3, padding="same", **_starts(0.0))(both)
    b = Conv2D(192, 3, padding="same", **_starts(0.0))(both)
    a = Conv2D(192, 3, padding="same", **_starts(1.0))(a)
    b = Conv2D(192, 3, padding="same", **_starts(1.0))(b)
    a = Conv2D(128, 3, padding="same", **_starts(1.0))(a)
    b = Conv2D(128, 3, padding="same", **_starts(1.0))(b)
    a = MaxPool2D(3, 2)(a)
    b = MaxPool2D(3, 2)(b)
    x = Concatenate()([a, b])
    x = Flatten()(x)
    x = Dense(4096, **_starts(1.0))(x)
    x = Dropout(0.5)(x)
    x = Dense(4096, **_starts(1.0))(x)
    x = Dropout(0.5)(x)
    last = _starts(0.0) | {"activation": "softmax"}
    return Model(image, Dense(num_classes, **last)(x))


def grouped(image_size=67, num_classes=10):
    """The paper's network with `groups=2` in place of the two towers."""
    image = Input((image_size, image_size, 3))
    x = Conv2D(96, 11, strides=4, activation="relu")(image)
    x = LocalResponseNormalization(groups=2)(x)
    x = MaxPool2D(3, 2)(x)
    x = Conv2D(256, 5, padding="same", groups=2, activation="relu")(x)
    x = LocalResponseNormalization(groups=2)(x)
    x = MaxPool2D(3, 2)(x)
    x = Conv2D(384, 3, padding="same", activation="relu")(x)
    x = Conv2D(384, 3, padding="same", groups=2, activation="relu")(x)
    x = Conv2D(256, 3, padding="same", groups=2, activation="relu")(x)
    x = MaxPool2D(3, 2)(x)
    x = Flatten()(x)
    x = Dense(4096, activation="relu")(x)
    x = Dropout(0.5)(x)
    x = Dense(4096, activation="relu")(x)
    x = Dropout(0.5)(x)
    return Model(image, Dense(num_classes, activation="softmax")(x))
