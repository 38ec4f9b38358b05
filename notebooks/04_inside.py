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
# # 4. Inside a trained net
#
# Kernels, activations, Grad-CAM and nearest images: what figures 3 and 4 of the
# paper look at, on nets small enough for this notebook. One comes with the
# package, the authors' 18 % net trained on color photos (CIFAR-10); the other
# is of the same kind and learns the bundled gray clothes (Fashion-MNIST) below,
# in about half a minute.

# %%
import logging
import os
import tempfile

import matplotlib.pyplot as plt
import numpy as np
from IPython.display import Image
from IPython.display import display
from matplotlib.cbook import get_sample_data

import keras_alexnet as ka
from keras_alexnet.environment import load_tensorflow

load_tensorflow()  # imports it without its notes about oneDNN and CUDA
# Each call below compiles its preprocessing anew, which TensorFlow warns of.
logging.getLogger("tensorflow").setLevel("ERROR")

os.chdir(tempfile.mkdtemp())  # the pictures are written there
plt.rcParams.update({"figure.facecolor": "white", "figure.dpi": 80})

color_net = ka.open_trained("cifar10")
print(color_net.recipe.variant, "for", ", ".join(color_net.class_names))

# %%
recipe = ka.Recipe(
    "clothes",
    variant="cifar10_18pct",
    resize_pixels=32,
    crop_pixels=32,
    flip=False,
    color_noise=0.0,
    batch_size=64,
    epochs=2,
    learning_rate=0.003,
    rate_drops=(1,),
)
clothes_net = ka.train(recipe, "runs/clothes", verbose=0)
print(f"test accuracy {clothes_net.results['accuracy']:.3f}")

# %% [markdown]
# ## Kernels (figure 3)
#
# conv1 of the color net: 32 kernels of 5x5 pixels, each in its own range. As in
# the paper's figure there are edges and gratings of several directions, and
# blobs of color.

# %%
ka.plot_kernels(color_net, "kernels.png")
display(Image("kernels.png", width=700))

# %% [markdown]
# The **color score** of a kernel is the share of its energy off the gray axis:
# 0 sees only gray, 1 only color, random numbers have 2/3 on average. The paper
# saw one tower turn to color and the other to gray at every run (Section 6.1);
# these nets have one tower, so here *nets* are compared. In gray images the
# three channels differ only by the mean that is subtracted, so what conv1
# learns from them is nearly the same in all three.

# %%
nets = {
    "untrained": ka.AlexNet("cifar10_18pct"),
    "trained on gray clothes": clothes_net,
    "trained on color photos": color_net,
}
scores = {name: ka.color_scores(net).towers[0] for name, net in nets.items()}
figure, axis = plt.subplots(figsize=(7, 2.2), layout="constrained")
for place, (name, values) in enumerate(scores.items()):
    axis.plot(values, [place] * len(values), "o", color="#0072B2", alpha=0.4)
    axis.plot(values.mean(), place, "d", color="#D55E00", ms=9)
    print(f"{name}: mean {values.mean():.3f}")
axis.set_yticks(range(3), list(scores))
axis.set_ylim(2.5, -0.5)
axis.set_xlim(0, 1)
axis.axvline(2 / 3, color="black", lw=1, ls=":")
axis.set_xlabel("color score of conv1's kernels; mean: diamond; 2/3: dotted")
plt.show()

# %% [markdown]
# ## Activations
#
# The maps that conv1 makes of a photo, each in its own range. The net sees
# 32x32 pixels, so this is little more than an outline of a portrait.

# %%
photo = get_sample_data("grace_hopper.jpg", asfileobj=False)
maps = ka.plot_activations(color_net, photo, "conv1.png", "conv1")
display(Image("conv1.png", width=700))
print(f"{maps.shape[-1]} maps of {maps.shape[0]}x{maps.shape[1]}")

# %% [markdown]
# There is no class for people, and the net must answer one of ten:

# %%
(answer,) = ka.predict(color_net, photo, top=3)
print(answer)

# %% [markdown]
# ## Grad-CAM
#
# Which places speak for a class? The maps of the last convolution, each
# weighted by the mean gradient of the class's logit (Selvaraju et al., 2017).
# Those of this net are 8x8. Three garments that the net of the clothes knows
# and one that it takes for something else, each with the evidence for its
# answer.

# %%
train, test = ka.load_examples("fashion")
found = ka.features(clothes_net, test, layer="fc10")
answers = found.values.argmax(axis=1)
names = test.class_names
right = answers == test.labels
chosen = [
    int(np.flatnonzero(right & (test.labels == names.index(name)))[0])
    for name in ("Sneaker", "Dress", "Bag")
]
chosen.append(int(np.flatnonzero(~right)[0]))
figure, axes = plt.subplots(2, 4, figsize=(8, 4.6), layout="constrained")
for (above, below), place in zip(axes.T, chosen, strict=True):
    image = test.images[place][..., np.newaxis].repeat(3, axis=-1)
    heat = ka.grad_cam(clothes_net, image, names[answers[place]])
    above.imshow(heat.image)
    above.set_title(f"is: {names[test.labels[place]]}", size=10)
    below.imshow(heat.image)
    values = heat.values / (heat.values.max() or 1)
    left, right_side, bottom, top = heat.extent
    below.imshow(
        values,
        extent=(left, right_side, bottom, top),
        interpolation="bilinear",
        cmap="inferno",
        alpha=0.65,
        vmin=0,
        vmax=1,
    )
    below.set_title(f"{heat.class_name}, {heat.probability:.2f}", size=10)
    below.set_xlim(above.get_xlim())
    below.set_ylim(above.get_ylim())
    above.axis("off")
    below.axis("off")
plt.show()

# %% [markdown]
# Yellow is much evidence, dark none; the lower titles give the answer and its
# probability. One net of two epochs: read it as a picture of this net, not of
# clothes.
#
# ## Nearest images (figure 4, right)
#
# The paper compares images by the Euclidean distance of the last 4096 values.
# Here it is the 1,024 values of pool3, which the last layer sees. First column:
# a test image. Beside it: the nearest of 10,000 training images.

# %%
known = ka.features(clothes_net, train, layer="pool3")
asked = ka.features(clothes_net, test, layer="pool3")
places, distances = ka.nearest(known, asked, 5)
queries = [
    int(np.flatnonzero(test.labels == names.index(name))[3])
    for name in ("Sandal", "Bag", "Coat", "T-shirt/top")
]
figure, axes = plt.subplots(4, 6, figsize=(7.6, 5.6), layout="constrained")
for row, query in zip(axes, queries, strict=True):
    shown = [(test, query), *((train, place) for place in places[query])]
    for axis, (examples, place) in zip(row, shown, strict=True):
        axis.imshow(examples.images[place], cmap="gray")
        axis.set_title(names[examples.labels[place]], size=9)
        axis.axis("off")
    row[0].set_title(f"{names[test.labels[query]]}?", size=9, color="#D55E00")
plt.show()

# %% [markdown]
# Is the nearest image of the same class more often than by the distance of the
# pixels themselves?

# %%
pixels = [part.images.reshape(len(part), -1) for part in (train, test)]
by_pixels = ka.nearest(*pixels, 1).places[:, 0]
for name, nearest in (("pool3", places[:, 0]), ("pixels", by_pixels)):
    share = (train.labels[nearest] == test.labels).mean()
    print(f"nearest by {name}: {100 * share:.1f} % of the same class")

# %% [markdown]
# It is not: these garments are centered and of one size, so that the pixels
# themselves are comparable. Photos are not like that; for them see the figure
# of the paper.
#
# The same as commands, class maps of large photos, and what came out of the
# full net on flowers: [docs/inside.md](../docs/inside.md). Next:
# [the paper, checked](05_paper.ipynb).
