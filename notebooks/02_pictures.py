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
# # 2. The pictures that the net sees
#
# Sections 2 and 4.1 of the paper say what happens to a photo before conv1
# sees it: resize, random crop, mirror, color noise, minus the mean. This
# notebook does each step on a photo that comes with Matplotlib, a portrait of
# Grace Hopper. Put another path into `photo` for one of your own.

# %%
import itertools
import os
import tempfile

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.cbook import get_sample_data
from matplotlib.patches import Rectangle
from matplotlib_inline.backend_inline import set_matplotlib_formats

import keras_alexnet as ka
from keras_alexnet.environment import load_tensorflow

load_tensorflow()  # imports it without its notes about oneDNN and CUDA
from keras_alexnet.data import transforms
from keras_alexnet.data.color import IMAGENET_2012
from keras_alexnet.data.decode import read_image
from keras_alexnet.paper.authors_log import LOG

os.chdir(tempfile.mkdtemp())
plt.rcParams.update({"figure.facecolor": "white", "figure.dpi": 80})
# As PNG, photos would take five times as much.
set_matplotlib_formats("jpeg", pil_kwargs={"quality": 88})

photo = get_sample_data("grace_hopper.jpg", asfileobj=False)
original = read_image(photo)
print(original.shape, original.dtype)


def show(images, titles, columns, size=1.7):
    """Images in rows, each with a title."""
    rows = -(-len(images) // columns)
    figure, axes = plt.subplots(
        rows,
        columns,
        figsize=(size * columns, (size + 0.3) * rows),
        layout="constrained",
    )
    for axis in np.ravel(axes):
        axis.axis("off")
    for axis, image, title in zip(np.ravel(axes), images, titles, strict=False):
        axis.imshow(image)
        axis.set_title(title, size=9)
    plt.show()


# %% [markdown]
# ## Short side 256, then the square in the middle (Section 2)
#
# The net cuts 227x227 out of the 256x256. The orange square is the one in the
# middle, which a test uses; training takes one at random.

# %%
resized = transforms.resize_short_side(original, 256)
square = transforms.center_crop(resized, 256)
center = transforms.center_crop(square, 227)
figure, axes = plt.subplots(1, 3, figsize=(9, 3.6), layout="constrained")
for axis, image, title in zip(
    axes,
    (resized, square, center),
    ("short side 256", "central square", "center crop, for tests"),
    strict=True,
):
    axis.imshow(image)
    axis.set_title(f"{title}\n{image.shape[1]}x{image.shape[0]} pixels")
    axis.axis("off")
top, left = transforms.center_offset(square.shape[:2], 227)
axes[1].add_patch(
    Rectangle((left, top), 227, 227, fill=False, color="#E69F00", lw=2)
)
plt.show()

# %% [markdown]
# ## How many crops?
#
# Section 4.1 counts 2,048 crops and reflections of an image, 32 * 32 * 2. A
# square of 224 has 33 places along a side of 256, and the 2012 code draws
# offsets of 0 to 32. With 227, which this package uses for the same maps (see
# [notebook 1](01_architecture.ipynb)), there are 30 places.

# %%
print(f"printed: {32 * 32 * 2:,}")
for pixels in (224, 227):
    along_a_side = 256 - pixels + 1
    print(f"{pixels}: {along_a_side}^2 * 2 = {along_a_side**2 * 2:,}")

# %% [markdown]
# ## What training sees
#
# `ka.training_batches` makes endless batches with all of it. Here the "data
# set" is this one photo, so that each batch of 1 is another view of it.
# It hands over the crop as it is, whether to mirror it, and what to add to red,
# green and blue; the layer `ka.PixelsToInput` applies them on the device that
# trains.

# %%
examples = ka.Examples(original[np.newaxis], [0], ("portrait",))
sizes = {"batch_size": 1, "resize_pixels": 256, "crop_pixels": 227}
batches = ka.training_batches(examples, color_noise=0.1, seed=1, **sizes)
views, titles = [], []
for inputs, _, _ in itertools.islice(batches, 10):
    crops, flips, shifts = map(np.asarray, inputs)
    mirrored, shift = bool(flips[0]), shifts[0]
    view = crops[0][:, ::-1] if mirrored else crops[0]
    views.append(np.clip(view + shift, 0, 255).astype("uint8"))
    words = "mirrored" if mirrored else "as it is"
    titles.append(f"{words}\n" + " ".join(f"{s:+.0f}" for s in shift))
show(views, titles, 5)

# %% [markdown]
# The numbers are what was added to red, green and blue, in gray levels of
# 0..255.
#
# Order, crops, mirrors and noise are functions of the seed and of the step, so
# a training that is interrupted goes on with the very same pictures:

# %%
again = ka.training_batches(
    examples, color_noise=0.1, seed=1, first_step=7, **sizes
)
inputs, _, _ = next(iter(again))
crops, flips, shifts = map(np.asarray, inputs)
view = crops[0][:, ::-1] if flips[0] else crops[0]
same = np.clip(view + shifts[0], 0, 255).astype("uint8")
print("started at step 7, equal to view 7:", np.array_equal(same, views[7]))
assert np.array_equal(same, views[7])

# %% [markdown]
# ## Color noise (Section 4.1)
#
# The noise runs along the three principal components of the colors of ImageNet:
# brightness, blue against orange, green against magenta. The components below
# are the authors' own (cuda-convnet2, `make-data/input_meta`). Each row shows
# the photo from -3 to 3 standard deviations of the noise.

# %%
steps = np.array([-3, -1.5, 0, 1.5, 3])
names = ("weakest", "middle", "strongest")
images, titles = [], []
small = transforms.center_crop(square, 227)[::2, ::2].astype("float32")
for place in (2, 1, 0):
    for step in steps:
        normals = np.zeros((1, 3))
        normals[0, place] = step
        shift = IMAGENET_2012.shifts(normals, 0.1)[0]
        images.append(np.clip(small + shift, 0, 255).astype("uint8"))
        titles.append(f"{names[place]}: {step:g} sd")
show(images, titles, 5, size=1.6)
for name, deviation, component in zip(
    names, IMAGENET_2012.deviations, IMAGENET_2012.components, strict=True
):
    direction = " ".join(f"{value:+.2f}" for value in component)
    print(f"{name:9}: deviation {deviation:6.2f}, RGB direction {direction}")

# %% [markdown]
# Text and code differ in the unit. The text multiplies the random number by the
# **eigenvalue** (a variance), the code by its square root, the **standard
# deviation**. Of values of 0..1 the eigenvalue is the smaller of the two, and
# the noise as printed is less than half as strong:

# %%
normals = np.random.default_rng(0).normal(size=(5000, 3))
edges = np.linspace(-30, 30, 61)
figure, axis = plt.subplots(figsize=(7, 3), layout="constrained")
for unit, color, style in (
    ("deviation", "#0072B2", "-"),
    ("eigenvalue", "#D55E00", "--"),
):
    green = IMAGENET_2012.shifts(normals, 0.1, unit)[:, 1]
    axis.hist(
        green,
        edges,
        histtype="step",
        color=color,
        linestyle=style,
        linewidth=1.8,
        label=f"times the {unit}: {green.std():.2f} gray levels",
    )
axis.set_xlabel("added to green, gray levels of 0..255")
axis.set_ylabel("of 5,000 images")
figure.legend(loc="outside upper center", ncols=2)
plt.show()

# %% [markdown]
# ## Minus the mean (Section 2)
#
# What conv1 gets is not the picture. The nets differ here, and weights answer
# nonsense to images prepared for another: the paper's net sees RGB of 0..255
# minus a mean (this package subtracts ImageNet's mean color unless a mean image
# is asked for), Caffe's sees BGR, torchvision's values around 0 of deviation 1.

# %%
print("variant        order  first channel     second            third")
for variant in ("alexnet", "caffe_alexnet", "torchvision"):
    fed = ka.preprocess_input(center, variant)
    order = ka.VARIANTS[variant].preprocessing.channel_order
    ranges = [
        f"{fed[..., c].min():7.2f} to {fed[..., c].max():6.2f}"
        for c in range(3)
    ]
    print(f"{variant:14} {order}  {'  '.join(ranges)}")

# %% [markdown]
# ## Ten crops in the test (Section 4.1)
#
# The four corners, the middle and their mirror images; the ten answers are
# averaged. On ILSVRC-2010 that took the authors' top-1 error from 39.0 to
# 37.5 % (the paper's Section 6, and exactly in their log).

# %%
crops = ka.ten_crops(square, 227)
places = ("top left", "top right", "bottom left", "bottom right", "middle")
titles = [*places, *(f"{place},\nmirrored" for place in places)]
show([crop[::2, ::2] for crop in crops], titles, 5)
center_error, ten_error = LOG["145-2010 center"], LOG["145-2010"]
print(
    f"center crop: {center_error.top1} / {center_error.top5} % (top-1, top-5)"
)
print(f"ten crops:   {ten_error.top1} / {ten_error.top5} %")

# %% [markdown]
# ## Small gray images
#
# The other notebooks train on the bundled part of Fashion-MNIST: 10,000 + 2,000
# photos of clothes, 28x28 and gray, enlarged and repeated in three channels.
# There they are not mirrored, because all the shoes point left, and have no
# color for noise.

# %%
train, test = ka.load_examples("fashion")
print(train.images.shape, test.images.shape)
firsts = [int(np.flatnonzero(train.labels == k)[0]) for k in range(10)]
figure, axes = plt.subplots(2, 5, figsize=(7.5, 3.6), layout="constrained")
for axis, place in zip(axes.flat, firsts, strict=True):
    axis.imshow(train.images[place], cmap="gray")
    axis.set_title(train.class_names[train.labels[place]], size=9)
    axis.axis("off")
plt.show()

# %% [markdown]
# Bad files, prepared shards and the exact agreement with Pillow's resizing are
# in [docs/data.md](../docs/data.md). Next: [training](03_training.ipynb).
