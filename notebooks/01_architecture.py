# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#       format_version: '1.3'
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 1. The architecture, layer by layer
#
# AlexNet as Section 3 of the paper describes it (Krizhevsky, Sutskever and
# Hinton, "ImageNet Classification with Deep Convolutional Neural Networks",
# NIPS 2012): every shape and every parameter by hand, then as plain Keras,
# then as `ka.AlexNet`. The three are compared by the cells.
#
# This notebook [in Chinese](01_architecture.zh.ipynb).

# %%
import os
import tempfile

import matplotlib.pyplot as plt
import numpy as np
from IPython.display import Image
from IPython.display import display

import keras_alexnet as ka
from keras_alexnet.environment import load_tensorflow

load_tensorflow()  # imports it without its notes about oneDNN and CUDA
import keras
from keras.layers import Concatenate
from keras.layers import Conv2D
from keras.layers import Dense
from keras.layers import Dropout
from keras.layers import Flatten
from keras.layers import Input
from keras.layers import MaxPool2D
from keras.models import Model

os.chdir(tempfile.mkdtemp())  # pictures are written there
plt.rcParams.update({"figure.facecolor": "white", "figure.dpi": 80})
keras.utils.set_random_seed(0)

# %% [markdown]
# ## The two towers
#
# In 2012 the net was spread over two GPUs. A GPU holds half of the kernels of
# each layer; conv3 and the three fully connected layers see the maps of both,
# conv2, conv4 and conv5 only those of their own (Section 3.5). So this is not
# a remark about hardware: it leaves out connections. The picture is figure 2
# of the paper, drawn from the package's own table.

# %%
ka.plot_figure2("alexnet", "figure2.png")
display(Image("figure2.png", width=900))

# %% [markdown]
# ## The shapes, by hand
#
# A window of side $k$ that moves by $s$ over a side of $n$ values with $p$
# zeros at both ends stops at
#
# $$\left\lfloor \frac{n + 2p - k}{s} \right\rfloor + 1$$
#
# places. With images of 227x227 pixels:
#
# | layer | window | side of the maps | maps |
# |:--|:--|:--|--:|
# | conv1 | 11, stride 4, no padding | (227 - 11) / 4 + 1 = 55 | 96 |
# | pool1 | 3, stride 2 | (55 - 3) / 2 + 1 = 27 | 96 |
# | conv2 | 5, padding 2 | 27 + 4 - 5 + 1 = 27 | 256 |
# | pool2 | 3, stride 2 | (27 - 3) / 2 + 1 = 13 | 256 |
# | conv3 | 3, padding 1 | 13 + 2 - 3 + 1 = 13 | 384 |
# | conv4 | 3, padding 1 | 13 | 384 |
# | conv5 | 3, padding 1 | 13 | 256 |
# | pool5 | 3, stride 2 | (13 - 3) / 2 + 1 = 6 | 256 |
# | fc6 | | sees 6 * 6 * 256 = 9,216 values | 4,096 |
# | fc7 | | | 4,096 |
# | fc8 | | | 1,000 |


# %%
def places(side, window, stride=1, padding=0):
    """How often a window fits, as in the formula."""
    return (side + 2 * padding - window) // stride + 1


conv1 = places(227, 11, stride=4)
pool1 = places(conv1, 3, stride=2)
conv2 = places(pool1, 5, padding=2)
pool2 = places(conv2, 3, stride=2)
conv3 = places(pool2, 3, padding=1)
conv4 = places(conv3, 3, padding=1)
conv5 = places(conv4, 3, padding=1)
pool5 = places(conv5, 3, stride=2)
by_hand = {
    "conv1": (conv1, conv1, 96),
    "pool1": (pool1, pool1, 96),
    "conv2": (conv2, conv2, 256),
    "pool2": (pool2, pool2, 256),
    "conv3": (conv3, conv3, 384),
    "conv4": (conv4, conv4, 384),
    "conv5": (conv5, conv5, 256),
    "pool5": (pool5, pool5, 256),
    "flatten": (pool5 * pool5 * 256,),
    "fc6": (4096,),
    "fc7": (4096,),
    "fc8": (1000,),
}
display(by_hand)

# %% [markdown]
# ## The parameters, by hand
#
# A kernel of side $k$ over $c$ maps has $k^2 c$ weights and a bias. Here the
# towers count: a kernel of conv2 sees the 48 maps of its own tower, not 96.

# %%
parameters = {
    "conv1": (11 * 11 * 3 + 1) * 96,
    "conv2": (5 * 5 * 48 + 1) * 256,  # its own tower
    "conv3": (3 * 3 * 256 + 1) * 384,  # both towers
    "conv4": (3 * 3 * 192 + 1) * 384,  # its own
    "conv5": (3 * 3 * 192 + 1) * 256,  # its own
    "fc6": (6 * 6 * 256 + 1) * 4096,
    "fc7": (4096 + 1) * 4096,
    "fc8": (4096 + 1) * 1000,
}
for name, count in parameters.items():
    print(f"{name:6}{count:>12,}")
print(f"total {sum(parameters.values()):>12,}")

# %% [markdown]
# The paper says "60 million parameters". It also says "650,000 neurons",
# the sum of the outputs of the eight layers. In the caption of figure 2 conv1
# has 253,440 of them; that is 55 * 48 * 96, a slip for 55 * 55 * 96.

# %%
neurons = {name: int(np.prod(by_hand[name])) for name in parameters}
print(f"conv1: printed {55 * 48 * 96:,}, right {neurons['conv1']:,}")
print(f"all: {sum(neurons.values()):,}")

# %% [markdown]
# ## The same from the package
#
# `ka.summary` counts from the table of the architecture, without Keras.
# "Sees" is the side of the square of pixels that one value depends on.

# %%
summary = ka.summary("alexnet")
display(summary)

# %%
layers = {layer["name"]: layer for layer in summary.to_dict()["layers"]}
for name, shape in by_hand.items():
    assert tuple(layers[name]["output_shape"]) == shape, name
for name, count in parameters.items():
    assert layers[name]["parameters"] == count, name
    assert layers[name]["neurons"] == neurons[name], name
print("shapes, parameters and neurons by hand equal ka.summary's")

# %% [markdown]
# Where the parameters are, the work is not: the convolutions hold few of the
# weights and do nearly all multiplications.

# %%
rows = [layers[name] for name in parameters]
colors = ["#0072B2" if n.startswith("conv") else "#E69F00" for n in parameters]
figure, axes = plt.subplots(1, 3, figsize=(11, 3.4), layout="constrained")
for axis, key, title in zip(
    axes,
    ("parameters", "multiply_adds", "neurons"),
    ("parameters", "multiply-adds for one image", "neurons"),
    strict=True,
):
    values = np.array([row[key] for row in rows])
    shares = 100 * values / values.sum()
    bars = axis.barh(list(parameters), shares, color=colors)
    axis.bar_label(bars, [f"{share:.1f} %" for share in shares], padding=3)
    axis.invert_yaxis()
    axis.set_xlim(0, 1.3 * shares.max())
    axis.set_xticks([])
    axis.set_title(title)
    axis.spines[["top", "right", "bottom"]].set_visible(False)
    convolutions = shares[:5].sum()
    print(f"convolutions have {convolutions:.1f} % of the {title}")
plt.show()

# %% [markdown]
# ## The listing that everybody copies
#
# Most AlexNets in Keras are this one: a single wide tower without
# normalization. It is the listing of one of the five articles that this
# package was checked against, with its two slips mended (`(input)` for
# `(inputs)`, and an import that does not exist).


# %%
# fmt: off
def article_listing(image_size=227, num_classes=1000):
    """One wide tower."""
    channel = 3
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
    return Model(inputs=inputs, outputs=x)
# fmt: on


listing = article_listing()
print(f"{listing.count_params():,} parameters")
assert listing.count_params() == ka.AlexNet("single_tower").count_params()

# %% [markdown]
# That is more than the paper's net has, and the whole surplus is in the three
# layers that see only their own tower there:

# %%
wide = {
    layer["name"]: layer["parameters"]
    for layer in ka.summary("single_tower").to_dict()["layers"]
}
for name, count in parameters.items():
    if wide[name] != count:
        print(f"{name}: {wide[name] - count:,} more")
print(f"together: {listing.count_params() - sum(parameters.values()):,}")

# %% [markdown]
# ## The paper's network as plain Keras
#
# Two towers, response normalization after the ReLU of layers 1 and 2
# (Section 3.3), weights of mean 0 and standard deviation .01, biases of 1 in
# conv2, conv4, conv5 and the hidden fully connected layers (Section 5). The
# only layer from this package is the normalization, which Keras no longer has.


# %%
def starts(bias):
    """Section 5: the initial values, and the ReLU of Section 3.1."""
    return {
        "activation": "relu",
        "kernel_initializer": keras.initializers.RandomNormal(stddev=0.01),
        "bias_initializer": keras.initializers.Constant(bias),
    }


norm = {"size": 5, "alpha": 1e-4, "beta": 0.75, "k": 2.0}  # Section 3.3
image = Input((227, 227, 3))
a = Conv2D(48, 11, strides=4, name="conv1a", **starts(0.0))(image)
b = Conv2D(48, 11, strides=4, name="conv1b", **starts(0.0))(image)
a = ka.LocalResponseNormalization(**norm)(a)
b = ka.LocalResponseNormalization(**norm)(b)
a = MaxPool2D(3, 2)(a)
b = MaxPool2D(3, 2)(b)
a = Conv2D(128, 5, padding="same", name="conv2a", **starts(1.0))(a)
b = Conv2D(128, 5, padding="same", name="conv2b", **starts(1.0))(b)
a = ka.LocalResponseNormalization(**norm)(a)
b = ka.LocalResponseNormalization(**norm)(b)
a = MaxPool2D(3, 2)(a)
b = MaxPool2D(3, 2)(b)
both = Concatenate()([a, b])
a = Conv2D(192, 3, padding="same", name="conv3a", **starts(0.0))(both)
b = Conv2D(192, 3, padding="same", name="conv3b", **starts(0.0))(both)
a = Conv2D(192, 3, padding="same", name="conv4a", **starts(1.0))(a)
b = Conv2D(192, 3, padding="same", name="conv4b", **starts(1.0))(b)
a = Conv2D(128, 3, padding="same", name="conv5a", **starts(1.0))(a)
b = Conv2D(128, 3, padding="same", name="conv5b", **starts(1.0))(b)
a = MaxPool2D(3, 2)(a)
b = MaxPool2D(3, 2)(b)
x = Flatten()(Concatenate()([a, b]))
x = Dropout(0.5)(Dense(4096, **starts(1.0))(x))
x = Dropout(0.5)(Dense(4096, **starts(1.0))(x))
x = Dense(1000, **(starts(0.0) | {"activation": "softmax"}))(x)
explicit = Model(image, x)
print(f"{explicit.count_params():,} parameters")

# %% [markdown]
# Is `ka.AlexNet()` this network? The weights of `explicit` are put into an
# `AlexNet` (`convert_weights` takes any Keras model whose layers are in this
# order and whose towers are called a and b), and both answer the same two
# images. An untrained net gives nearly the same answer to everything, so the
# difference between the nets has to be compared with that between the images.

# %%
model = ka.convert_weights(explicit, "alexnet")
images = np.random.default_rng(0).normal(0, 60, (2, 227, 227, 3))
images = images.astype("float32")
ours = model.predict(images, verbose=0)
theirs = explicit.predict(images, verbose=0)
between_nets = abs(ours - theirs).max()
between_images = abs(ours[0] - ours[1]).max()
print(f"{model.count_params():,} parameters")
print(f"largest difference between the nets: {between_nets:.1e}")
print(f"largest difference between the images: {between_images:.1e}")
assert between_nets < 0.01 * between_images

# %% [markdown]
# The graph of the network, with kernel sizes, strides and towers, which
# `keras.utils.plot_model` does not print:

# %%
ka.plot_model(model, "alexnet.png")
display(Image("alexnet.png", width=480))

# %% [markdown]
# ## 224 or 227?
#
# The paper prints 224x224. With the usual rounding down that gives maps of 54
# and not of 55; but the 2012 code rounds *up* (`layer.py`:
# `1 + ceil((2 * pad + n - k) / s)`), and its last window simply stands 3
# pixels outside of the image. So 224 with rounding up and 227 with rounding
# down are the same net. `padding` selects it.

# %%
print("pixels  padding  conv1  pool1  pool2  pool5  fc6 sees")
for pixels in (224, 227):
    for padding in ("valid", "same", "ceil"):
        table = ka.summary(
            "alexnet", padding=padding, input_shape=(pixels, pixels, 3)
        ).to_dict()["layers"]
        sizes = {row["name"]: row["output_shape"][0] for row in table}
        sides = [sizes[name] for name in ("conv1", "pool1", "pool2", "pool5")]
        row = "".join(f"{side:7}" for side in sides)
        print(f"{pixels:6}  {padding:7}{row}{sizes['flatten']:10,}")

# %% [markdown]
# Weights can be exchanged only between settings where fc6 sees as many values,
# such as those with 9,216. What this
# package calls AlexNet, and how the sixteen differ, is in the
# [README](../README.md#which-alexnet); the next notebook is about
# [what the net sees](02_pictures.ipynb).
