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
# # 1. 网络结构：逐层来看
#
# 本笔记本按论文第 3 节（Krizhevsky、Sutskever、Hinton，"ImageNet Classification with Deep Convolutional Neural Networks"，NIPS 2012）讲解 AlexNet：先手算每一层的尺寸和参数量，再用纯 Keras 写出来，最后与 `ka.AlexNet` 对照。三者是否一致，由代码单元当场核对。
#
# 代码与[英文版](01_architecture.ipynb)逐字相同，只有说明文字是中文。

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
# ## 两座塔
#
# 2012 年，这个网络分布在两块 GPU 上，每块 GPU 保存每层一半的卷积核。conv3 和三个全连接层能看到两块 GPU 上的特征图；conv2、conv4、conv5 只看自己那一块的（第 3.5 节）。所以这不只是硬件上的细节：有一部分连接是真的不存在。下图就是论文的图 2，由本软件包自己的结构表画出。

# %%
ka.plot_figure2("alexnet", "figure2.png")
display(Image("figure2.png", width=900))

# %% [markdown]
# ## 手算尺寸
#
# 边长为 $n$ 的输入，两端各补 $p$ 个零，用边长为 $k$ 的窗口、以步长 $s$ 滑动，窗口能停的位置数为
#
# $$\left\lfloor \frac{n + 2p - k}{s} \right\rfloor + 1$$
#
# 输入图像为 227x227 像素时：
#
# | 层 | 窗口 | 特征图边长 | 特征图数 |
# |:--|:--|:--|--:|
# | conv1 | 11，步长 4，不补零 | (227 - 11) / 4 + 1 = 55 | 96 |
# | pool1 | 3，步长 2 | (55 - 3) / 2 + 1 = 27 | 96 |
# | conv2 | 5，补零 2 | 27 + 4 - 5 + 1 = 27 | 256 |
# | pool2 | 3，步长 2 | (27 - 3) / 2 + 1 = 13 | 256 |
# | conv3 | 3，补零 1 | 13 + 2 - 3 + 1 = 13 | 384 |
# | conv4 | 3，补零 1 | 13 | 384 |
# | conv5 | 3，补零 1 | 13 | 256 |
# | pool5 | 3，步长 2 | (13 - 3) / 2 + 1 = 6 | 256 |
# | fc6 | | 输入 6 * 6 * 256 = 9,216 个值 | 4,096 |
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
# ## 手算参数量
#
# 作用在 $c$ 张特征图上、边长为 $k$ 的卷积核有 $k^2 c$ 个权重，外加一个偏置。这里必须考虑两座塔：conv2 的一个卷积核只看本塔的 48 张特征图，而不是 96 张。

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
# 论文说“6000 万个参数”，还说“65 万个神经元”，后者是八个层的输出个数之和。图 2 的说明里，conv1 写的是 253,440 个神经元；那是 55 * 48 * 96，应为 55 * 55 * 96。

# %%
neurons = {name: int(np.prod(by_hand[name])) for name in parameters}
print(f"conv1: printed {55 * 48 * 96:,}, right {neurons['conv1']:,}")
print(f"all: {sum(neurons.values()):,}")

# %% [markdown]
# ## 由软件包计算
#
# `ka.summary` 直接从结构表计算，不经过 Keras。“sees”一列是感受野：一个输出值所依赖的像素方块的边长。

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
# 参数多的地方，计算量并不大：卷积层只占很少的权重，却承担了几乎全部的乘法。

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
# ## 人人都在抄的那份代码
#
# 网上多数 Keras 版 AlexNet 都是下面这样：一座宽塔，没有归一化。它出自本软件包核对过的五篇文章之一，这里改正了原文的两处笔误：`(inputs)` 误写成了 `(input)`，还导入了一个并不存在的模块。


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
# 它的参数比论文的网络多，多出来的全在论文里只看本塔的那三层：

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
# ## 用纯 Keras 写论文的网络
#
# 两座塔；第 1、2 层的 ReLU 之后是局部响应归一化（第 3.3 节）；权重初值取自 N(0, 0.01)（0.01 为标准差），conv2、conv4、conv5 和全连接隐藏层的偏置初值为 1（第 5 节）。只有归一化层来自本软件包，因为 Keras 里已经没有它了。


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
# `ka.AlexNet()` 就是这个网络吗？下面把上面的权重放进去（`convert_weights` 接受任何层序相同、两塔以 a、b 命名的 Keras 模型），再让两者对同样的两张图作答。未经训练的网络对任何输入的回答都差不多，所以两个网络之间的差异，要和两张图之间的差异相比才有意义。

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
# 网络的计算图，标有卷积核大小、步长和两座塔；这些信息 `keras.utils.plot_model` 并不显示：

# %%
ka.plot_model(model, "alexnet.png")
display(Image("alexnet.png", width=480))

# %% [markdown]
# ## 224 还是 227？
#
# 论文写的是 224x224。按通常的向下取整，特征图边长是 54 而不是 55；但 2012 年的代码是*向上*取整（`layer.py`：`1 + ceil((2 * pad + n - k) / s)`），最后一个窗口会伸出图像 3 个像素。因此，“224 加向上取整”与“227 加向下取整”是同一个网络：224 并不是论文的笔误。用 `padding` 选择取整方式。

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
# fc6 的输入是 9,216 个值的几种设置之间权重可以通用，其余的不行。本软件包把哪些网络叫作 AlexNet、这十六种有何不同，见 [README](../README.zh.md)。下一本讲[网络看到的图像](02_pictures.ipynb)（英文）。
