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
# # 6. Published weights in, fine-tuning, export
#
# Nothing is downloaded here, so the published file is a stand-in: the weights
# are random, the layout is that of torchvision's `alexnet-owt-7be5be79.pth`.
# What is done with it is what is done with the real one. Fine-tuning starts
# from weights that are trained, the CIFAR-10 net that comes with the package.

# %%
import csv
import importlib.util
import os
import pathlib
import pickle
import tempfile
import warnings

import matplotlib.pyplot as plt
import numpy as np
from IPython.utils.capture import capture_output
from matplotlib.cbook import get_sample_data
from safetensors.numpy import load_file

import keras_alexnet as ka
from keras_alexnet.environment import load_tensorflow

load_tensorflow()  # imports it without its notes about oneDNN and CUDA
import keras

from keras_alexnet.data.decode import read_image
from keras_alexnet.export.convert_file import convert_file
from keras_alexnet.export.convert_file import torchvision_weights
from keras_alexnet.export.torch_files import write_pth

os.chdir(tempfile.mkdtemp())  # all files are written there
plt.rcParams.update({"figure.facecolor": "white", "figure.dpi": 80})
keras.utils.set_random_seed(0)

# %% [markdown]
# ## A file in torchvision's layout
#
# torchvision's AlexNet has the widths of 2014: 64, 192, 384, 256, 256 kernels
# in one tower, no normalization. PyTorch stores a kernel as (out, in, height,
# width), a dense layer as (out, in), and fc6 sees the last maps channel by
# channel.

# %%
published = ka.AlexNet("torchvision")
tensors = torchvision_weights(published)
write_pth(tensors, "stand_in.pth")
print(f"{published.count_params():,} parameters, ", end="")
print(f"{os.path.getsize('stand_in.pth') / 1e6:.0f} MB")
for name, tensor in tensors.items():
    if name.endswith("weight"):
        print(f"{name:21} {tensor.shape}")

# %% [markdown]
# ## In
#
# The format is told by the first bytes. PyTorch is not needed, and nothing in
# the file is executed: the pickle inside is read by an interpreter that knows
# tensors and nothing else.

# %%
model = ka.convert_weights("stand_in.pth")
same = all(
    np.array_equal(mine, theirs)
    for mine, theirs in zip(
        model.get_weights(), published.get_weights(), strict=True
    )
)
print(model.variant, "weights equal, bit for bit:", same)
photo = read_image(get_sample_data("grace_hopper.jpg", asfileobj=False))
crop = keras.ops.image.resize(photo[None, :512], (224, 224))
x = ka.preprocess_input(np.asarray(crop), "torchvision")
answers = [net.predict(x, verbose=0) for net in (model, published)]
print("answers equal:", np.array_equal(*answers))

# %% [markdown]
# Or into a variant that wants its images otherwise: `convert_weights` folds the
# channel order, the scale and the mean into conv1. With `input_shape` the same
# kernels see other sizes, as long as fc6 still fits.
#
# ## Out again
#
# With torchvision's names, so that its `load_state_dict(strict=True)` takes it:

# %%
sentence = convert_file("stand_in.pth", "back.safetensors")
back = load_file("back.safetensors")
unchanged = all(np.array_equal(back[name], tensors[name]) for name in tensors)
print(sentence)
print(f"{len(back)} tensors, all as they were: {unchanged}")

# %% [markdown]
# ## What must not be read
#
# A pickle can hold a call of any function. This one would run a command; it is
# refused before anything runs.


# %%
class Evil:
    """Unpickled by Python, it runs a command."""

    def __reduce__(self):
        return os.system, ("touch it_ran",)


pathlib.Path("evil.pth").write_bytes(pickle.dumps(Evil(), protocol=2))
try:
    ka.convert_weights("evil.pth")
except ValueError as error:
    print(error)
print("it ran:", os.path.exists("it_ran"))

# %% [markdown]
# ## Fine-tuning
#
# The authors' 18 % net, trained on color photos of animals and vehicles, is to
# tell clothes apart, from 40 images of each kind. First a new last layer learns
# behind the frozen others, then all learn at a tenth of the rate. Beside it,
# the same net from random values on the same images for as many epochs.

# %%
train, test = ka.load_examples("fashion")
folder = pathlib.Path("clothes")
for split, part, count in (("train", train, 40), ("val", test, 50)):
    for label, name in enumerate(part.class_names):
        name = name.replace("/", " or ")
        (folder / split / name).mkdir(parents=True)
        for place in np.flatnonzero(part.labels == label)[:count]:
            picture = part.images[place][..., np.newaxis]
            path = folder / split / name / f"{place:05}.png"
            keras.utils.save_img(path, picture, scale=False)
changes = {"flip": False, "learning_rate": 0.001}
with capture_output():  # a line for each epoch
    tuned = ka.fine_tune(
        "cifar10", "clothes", "runs/tuned", head_epochs=4, epochs=6, **changes
    )
scratch = ka.train(
    ka.Recipe(
        "scratch",
        data="clothes",
        variant="cifar10_18pct",
        resize_pixels=32,
        crop_pixels=32,
        color_noise=0.0,
        batch_size=32,
        epochs=10,
        flip=False,
        learning_rate=0.003,
    ),
    "runs/scratch",
    verbose=0,
)
print("accuracy on 500 test images, after 10 epochs of 400")
print(f"    fine-tuned:   {tuned.results['accuracy']:.3f}")
print(f"    from scratch: {scratch.results['accuracy']:.3f}")

# %% [markdown]
# One seed and one rate each (.001, which the net was trained with; .003 from
# scratch) on one small set: an example of the call, not a measurement. At .01,
# the default of larger nets, this one forgot in the second stage what it knew.
# A measurement with four seeds is in
# [docs/weights.md](../docs/weights.md#fine-tuning).

# %%
figure, axis = plt.subplots(figsize=(6.5, 3), layout="constrained")
curves = {
    "fine-tuned": (["runs/tuned/head", "runs/tuned/all"], "#0072B2", "o-"),
    "from scratch": (["runs/scratch"], "#D55E00", "s--"),
}
for name, (folders, color, style) in curves.items():
    accuracies = []
    for folder in folders:
        with open(f"{folder}/log.csv", newline="") as file:
            accuracies += [
                float(row["val_accuracy"]) for row in csv.DictReader(file)
            ]
    epochs_done = range(1, len(accuracies) + 1)
    axis.plot(epochs_done, accuracies, style, color=color, ms=4, label=name)
axis.axvline(4.5, color="black", lw=1, ls=":")
axis.text(4.4, 0.03, "new last layer", ha="right")
axis.text(4.6, 0.03, "all layers")
axis.set_ylim(0, 1)
axis.set_xlabel("epoch")
axis.set_ylabel("test accuracy")
figure.legend(loc="outside upper center", ncols=2)
axis.grid(alpha=0.3)
plt.show()

# %% [markdown]
# ## Export
#
# Each format is loaded in a fresh process by the runtime that it is meant for,
# and compared with Keras, before the file takes its place. Keras' own and
# SavedModel, which only the backend TensorFlow writes by itself, need nothing
# more; ONNX wants `pip install "keras_alexnet[export]"` and is left out here
# without it.

# %%
backend = keras.backend.backend()
files = ["clothes.keras"]
if backend == "tensorflow":
    files.append("clothes_saved")
converter = {"tensorflow": "tf2onnx", "jax": "jax2onnx", "torch": "onnx"}
if all(map(importlib.util.find_spec, (converter[backend], "onnxruntime"))):
    files.append("clothes.onnx")
with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of converters about NumPy
    exports = [ka.export_model(tuned, file) for file in files]
for export in exports:
    print(f"{export.title}: {export.size_bytes / 1e6:.2f} MB, ", end="")
    print(f"largest difference to Keras {export.difference:.0e}")
    assert export.difference < 1e-4

# %% [markdown]
# The SavedModel also takes image files as they are and answers with names. That
# needs TensorFlow alone, nothing of this package:

# %%
if "clothes_saved" in files:
    import tensorflow as tf

    server = tf.saved_model.load("clothes_saved")
    pictures = sorted(pathlib.Path("clothes/val").glob("*/*.png"))[::70]
    given = tf.stack([tf.io.read_file(str(path)) for path in pictures])
    answer = server.serve_image_bytes(given)
    for path, names, scores in zip(
        pictures,
        answer["classes"].numpy(),
        answer["scores"].numpy(),
        strict=True,
    ):
        said, score = names[0].decode(), float(scores[0])
        print(f"{path.parent.name:15} taken for {said:15} {score:.2f}")

# %% [markdown]
# What else is read (Caffe, ONNX, NumPy, Keras 1 to 3) and how the conversions
# were tested: [docs/weights.md](../docs/weights.md). LiteRT and OpenVINO:
# [docs/export.md](../docs/export.md).
