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
# # 5. The paper, checked
#
# The package states what the paper prints and computes it anew from its own
# tables, layers and recipes. This notebook runs that check, redoes a few of the
# lines in plain sight, and shows the authors' own log. What has to be *trained*
# to be checked (ReLU against tanh, normalization on CIFAR-10) takes hours; it
# is in [docs/paper.md](../docs/paper.md).

# %%
import collections
import os
import tempfile

import matplotlib.pyplot as plt
import numpy as np

import keras_alexnet as ka
from keras_alexnet.environment import load_tensorflow
from keras_alexnet.paper.authors_log import LOG

load_tensorflow()  # imports it without its notes about oneDNN and CUDA

os.chdir(tempfile.mkdtemp())
plt.rcParams.update({"figure.facecolor": "white", "figure.dpi": 80})

# %% [markdown]
# ## All statements
#
# "Agrees": printed and computed are equal, or equal as rounded. "Differs": it
# is known why. "Broken" would be a mistake of this package.

# %%
table = ka.check_paper()
verdicts = collections.Counter(line.verdict for line in table.lines)
print(f"{len(table.lines)} statements:", dict(verdicts))
print("broken:", table.broken)

# %% [markdown]
# The lines of the paper itself (not of the articles about it) that differ:

# %%
for line in table.to_dict()["statements"]:
    if line["verdict"] == "differs" and not line["where"].startswith("seed"):
        print(f"{line['where']}: {line['what']}")
        printed, computed = line["printed"] or "none", line["computed"]
        print(f"    printed {printed}, computed {computed}")
        print(f"    {line['why']}")

# %% [markdown]
# ## Four of them by hand
#
# **Neurons of conv1** (figure 2). The printed number has one factor wrong:

# %%
print(f"55 * 48 * 96 = {55 * 48 * 96:,}, as printed")
print(f"55 * 55 * 96 = {55 * 55 * 96:,}, what the maps have")

# %% [markdown]
# **Response normalization** (Section 3.3).
# $b_i = a_i / (k + \alpha \sum_{j=i-2}^{i+2} a_j^2)^{\beta}$ with $k = 2$,
# $\alpha = 10^{-4}$, $\beta = 0.75$. The code that won divides $\alpha$ by
# $n = 5$ (`layer.py:1183`), as Caffe, PyTorch and ONNX do: the same constants
# mean two different layers.

# %%
a = np.full(9, 100.0)  # nine maps, all 100 at one place
printed = 100 / (2 + 1e-4 * (a[2:7] ** 2).sum()) ** 0.75
of_the_code = 100 / (2 + 1e-4 / 5 * (a[2:7] ** 2).sum()) ** 0.75
x = a.reshape(1, 1, 1, 9).astype("float32")
print("a response of 100 among others of 100 becomes")
for mode, by_hand in (("sum", printed), ("mean", of_the_code)):
    layer = ka.LocalResponseNormalization(alpha_mode=mode)
    value = float(layer(x)[0, 0, 0, 4])
    print(f"    by hand {by_hand:.3f}, alpha_mode={mode!r} {value:.3f}")

# %% [markdown]
# **Color noise** (Section 4.1). The standard deviation of the pixels' strongest
# component, brightness, is 121.8 gray levels along its axis (the authors'
# `input_meta`), of which red, green and blue get about .58 each; a tenth of it
# is what the code adds along that axis, a tenth of its square (of values of
# 0..1) what the text says:

# %%
deviation = 121.78006099
print(f"code: {0.1 * deviation:.1f} gray levels")
print(f"text: {0.1 * (deviation / 255) ** 2 * 255:.1f} gray levels")

# %% [markdown]
# **Crops** (Section 4.1). "A factor of 2048" is 32 * 32 * 2; offsets run from 0
# to 32, both included:

# %%
print(f"32 * 32 * 2 = {32 * 32 * 2:,}; 33 * 33 * 2 = {33 * 33 * 2:,}")

# %% [markdown]
# ## Text and code
#
# The authors' code is published (computerhistory/AlexNet-Source-Code). In
# twelve places it differs from the text. `alexnet` is the text, with two
# stand-ins in brackets: 227 pixels rounded down for its 224, a mean color for
# its mean image. `alexnet_2012` is the code; all but the third, which `alexnet`
# has already, are switches.

# %%
differences = ka.paper_differences()
for number, each in enumerate(differences.differences, 1):
    print(f"{number:2}. {each.what}")
    print(f"      text: {each.text}")
    print(f"      code: {each.code}")

# %% [markdown]
# ## What each idea was worth
#
# The authors' log (comments in `layers/layer-params-*.cfg`) has the trainings
# behind the paper's "reduces our top-1 and top-5 error rates by". Points of
# error on ILSVRC-2012 (the half net and the ten crops: ILSVRC-2010) against
# config 145, the authors' single net. One training each, so nobody knows the
# noise.

# %%
pairs = {
    "two GPUs, not half a net": ("145-half", "145-2010"),
    "ten crops, not one": ("145-2010 center", "145-2010"),
    "towers that talk": ("150", "145"),
    "response normalization": ("148", "145"),
    "overlapping pooling": ("147", "145"),
}
printed = {
    "two GPUs, not half a net": (1.7, 1.2),
    "ten crops, not one": (1.5, 1.3),  # 39.0 - 37.5, 18.3 - 17.0 (Section 6)
    "response normalization": (1.4, 1.2),
    "overlapping pooling": (0.4, 0.3),
}
won = {
    name: (
        LOG[without].top1 - LOG[with_it].top1,
        LOG[without].top5 - LOG[with_it].top5,
    )
    for name, (without, with_it) in pairs.items()
}
for name, (top1, top5) in won.items():
    paper = "{} / {}".format(*printed[name]) if name in printed else "-"
    print(f"{name}: {top1:.2f} / {top5:.2f} points; the paper: {paper}")

figure, axis = plt.subplots(figsize=(7, 3.2), layout="constrained")
rows = np.arange(len(won))
for place, (label, color, hatch) in enumerate(
    (("top-1", "#0072B2", ""), ("top-5", "#E69F00", "//"))
):
    bars = axis.barh(
        rows + 0.4 * place - 0.2,
        [points[place] for points in won.values()],
        0.38,
        color=color,
        hatch=hatch,
        edgecolor="white",
        label=label,
    )
    axis.bar_label(bars, fmt="%.2f", padding=3)
axis.set_yticks(rows, list(won))
axis.invert_yaxis()
axis.set_xlim(0, 2.1)
axis.set_xlabel("points of error less")
axis.legend(loc="lower right")
axis.spines[["top", "right"]].set_visible(False)
plt.show()

# %% [markdown]
# None of this was trained here: ImageNet and its weeks of GPU time were not to
# be had. What is new above is that the numbers agree with each other, and where
# they do not. Next: [published weights](06_weights.ipynb).
