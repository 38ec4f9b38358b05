"""Every network once more in PyTorch, each from its own document.

    python tests/support/make_parity.py

writes `data/parity.npz`: two images and the logits that PyTorch computes for
them, for where PyTorch is not installed. The weights are not stored, NumPy
draws them again from their seed.
"""

from pathlib import Path

import numpy as np

STORED = Path(__file__).parents[1] / "data" / "parity.npz"

# Kernel side, maps that one kernel sees, kernels; Section 3.5 and Figure 2 of
# the paper, layers-145-half.cfg, pytorch/vision's alexnet.py.
TOWERS = (
    (11, 3, 96),
    (5, 48, 256),
    (3, 256, 384),
    (3, 192, 384),
    (3, 192, 256),
)
WIDE = ((11, 3, 96), (5, 96, 256), (3, 256, 384), (3, 384, 384), (3, 384, 256))
HALF = ((11, 3, 48), (5, 48, 128), (3, 128, 192), (3, 192, 192), (3, 192, 256))
TORCH = ((11, 3, 64), (5, 64, 192), (3, 192, 384), (3, 384, 256), (3, 256, 256))

# Kernels, image side, side of the last maps, factor that brings the logits to
# the order of 1 to 10. The sides are such that "ceil" makes a difference
# where a document rounds up: 100 pixels leave 24, 12, 6 and 3 values, 103
# leave 24 and the same with Caffe's pools.
NETS = {
    "alexnet": (TOWERS, 99, 2, 0.08),
    "alexnet_2012": (TOWERS, 100, 3, 0.08),
    "caffe_alexnet": (TOWERS, 103, 3, 0.03),
    "caffenet": (TOWERS, 103, 3, 0.04),
    "single_tower": (WIDE, 99, 2, 0.001),
    "single_tower_pad2": (WIDE, 99, 2, 0.0015),
    "half": (HALF, 99, 2, 0.15),
    "torchvision": (TORCH, 99, 6, 0.0015),
    "torchvision_no_dropout": (TORCH, 99, 2, 0.001),
}
CLASSES = 10


def weights(name):
    """[kernel, bias] of conv1 to fc8, in Keras' layout, grouped.

    Large enough that normalization bites: in its denominator the squares
    weigh several times as much as k.
    """
    convolutions, _, side, factor = NETS[name]
    shapes = [(k, k, i, o) for k, i, o in convolutions]
    flat = side * side * shapes[-1][-1]
    shapes += [(flat, 4096), (4096, 4096), (4096, CLASSES)]
    gains = (3.0, 3.0, 1.0, 1.0, 1.0, 1.0, 1.0, factor)
    generator = np.random.default_rng(list(NETS).index(name))
    pairs = []
    for shape, gain in zip(shapes, gains, strict=True):
        scale = gain * (2 / np.prod(shape[:-1])) ** 0.5
        kernel = generator.standard_normal(shape, "float32")
        bias = generator.standard_normal(shape[-1], "float32")
        pairs.append(
            [kernel * np.float32(scale), bias * np.float32(5 * factor)]
        )
    return pairs


def images():
    """Two images of 103x103 pixels, patches of color, 0..255 (uint8)."""
    generator = np.random.default_rng(0)
    colors = generator.integers(0, 256, (2, 26, 26, 3), dtype="uint8")
    return np.kron(colors, np.ones((1, 4, 4, 1), "uint8"))[:, :103, :103]


def fed(name, pixels):
    """The images as the networks are fed: cut to size, about zero mean."""
    side = NETS[name][1]
    return pixels[:, :side, :side].astype("float32") - 115


def torch_network(name):
    """The network as a `torch.nn.Module`, with the weights above in it."""
    import torch
    from torch import nn

    class PerTower(nn.Module):
        """Section 3.3 on each GPU; PyTorch divides alpha by the window."""

        def __init__(self, alpha):
            super().__init__()
            self.norm = nn.LocalResponseNorm(5, alpha, beta=0.75, k=2.0)

        def forward(self, x):
            a, b = x.chunk(2, dim=1)
            return torch.cat([self.norm(a), self.norm(b)], dim=1)

    class WithinMap(nn.Module):
        """layers-145.cfg [cnorm2a] type=rnorm size=5, scale .001, pow .75."""

        def forward(self, x):
            mean = nn.functional.avg_pool2d(x * x, 5, stride=1, padding=2)
            return x / (1 + 0.001 * mean) ** 0.75

    side, relu, pool = NETS[name][2], nn.ReLU, nn.MaxPool2d

    def paper_head(flat):  # Sections 3.5 and 4.2
        return (
            *(nn.Flatten(), nn.Linear(flat, 4096), relu(), nn.Dropout()),
            *(nn.Linear(4096, 4096), relu(), nn.Dropout()),
            nn.Linear(4096, CLASSES),
        )

    def paper():
        norm = 5 * 1e-4  # the paper sums where PyTorch takes the mean
        return nn.Sequential(
            *(nn.Conv2d(3, 96, 11, stride=4), relu(), PerTower(norm)),
            pool(3, 2),
            *(nn.Conv2d(96, 256, 5, padding=2, groups=2), relu()),
            *(PerTower(norm), pool(3, 2)),
            *(nn.Conv2d(256, 384, 3, padding=1), relu()),
            *(nn.Conv2d(384, 384, 3, padding=1, groups=2), relu()),
            *(nn.Conv2d(384, 256, 3, padding=1, groups=2), relu()),
            pool(3, 2),
            *paper_head(side * side * 256),
        )

    def config_145():
        """1 + ceil((n - 11) / 4) windows: on 100 pixels, 3 more behind."""

        def up():
            return pool(3, 2, ceil_mode=True)

        return nn.Sequential(
            *(nn.ZeroPad2d((0, 3, 0, 3)), nn.Conv2d(3, 96, 11, stride=4)),
            *(PerTower(1e-4), up(), relu()),
            *(nn.Conv2d(96, 256, 5, padding=2, groups=2), relu()),
            *(PerTower(1e-4), WithinMap(), up()),
            *(nn.Conv2d(256, 384, 3, padding=1), relu()),
            *(nn.Conv2d(384, 384, 3, padding=1, groups=2), relu()),
            *(nn.Conv2d(384, 256, 3, padding=1, groups=2), up(), relu()),
            *paper_head(side * side * 256),
        )

    def caffe(pool_first):
        """train_val.prototxt; Caffe's pooling rounds up, its LRN has k 1."""

        def norm_and_pool():
            norm = nn.LocalResponseNorm(5, alpha=1e-4, beta=0.75, k=1.0)
            both = (norm, pool(3, 2, ceil_mode=True))
            return both[::-1] if pool_first else both

        return nn.Sequential(
            *(nn.Conv2d(3, 96, 11, stride=4), relu(), *norm_and_pool()),
            *(nn.Conv2d(96, 256, 5, padding=2, groups=2), relu()),
            *norm_and_pool(),
            *(nn.Conv2d(256, 384, 3, padding=1), relu()),
            *(nn.Conv2d(384, 384, 3, padding=1, groups=2), relu()),
            *(nn.Conv2d(384, 256, 3, padding=1, groups=2), relu()),
            pool(3, 2, ceil_mode=True),
            *paper_head(side * side * 256),
        )

    def one_tower(f1, f2, f3, f4, f5, norm):
        """The network of articles, and layers-145-half.cfg's with the norm."""

        def normed():
            lrn = nn.LocalResponseNorm(5, alpha=5e-4, beta=0.75, k=2.0)
            return (relu(), lrn) if norm else (relu(),)

        return nn.Sequential(
            *(nn.Conv2d(3, f1, 11, stride=4), *normed(), pool(3, 2)),
            *(nn.Conv2d(f1, f2, 5, padding=2), *normed(), pool(3, 2)),
            *(nn.Conv2d(f2, f3, 3, padding=1), relu()),
            *(nn.Conv2d(f3, f4, 3, padding=1), relu()),
            *(nn.Conv2d(f4, f5, 3, padding=1), relu(), pool(3, 2)),
            *paper_head(side * side * f5),
        )

    def listing(f1, f2, f3, f4, f5, *head):
        """The convolutions of three articles: padding 2 in conv1."""
        return nn.Sequential(
            nn.Conv2d(3, f1, kernel_size=11, stride=4, padding=2),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(kernel_size=3, stride=2),
            nn.Conv2d(f1, f2, kernel_size=5, padding=2),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(kernel_size=3, stride=2),
            nn.Conv2d(f2, f3, kernel_size=3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(f3, f4, kernel_size=3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(f4, f5, kernel_size=3, padding=1),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(kernel_size=3, stride=2),
            *head,
        )

    def in_pytorch():
        return listing(
            *(64, 192, 384, 256, 256),
            *(nn.AdaptiveAvgPool2d((6, 6)), nn.Flatten(), nn.Dropout()),
            *(nn.Linear(256 * 6 * 6, 4096), nn.ReLU(inplace=True)),
            *(nn.Dropout(), nn.Linear(4096, 4096), nn.ReLU(inplace=True)),
            nn.Linear(4096, CLASSES),
        )

    def notes():
        return listing(
            *(64, 192, 384, 256, 256),
            *(nn.Flatten(), nn.Linear(256 * side * side, 4096)),
            *(nn.ReLU(inplace=True), nn.Linear(4096, 4096)),
            *(nn.ReLU(inplace=True), nn.Linear(4096, CLASSES)),
        )

    def looking_back():
        return listing(
            *(96, 256, 384, 384, 256),
            *paper_head(side * side * 256),
        )

    network = {
        "alexnet": paper,
        "alexnet_2012": config_145,
        "caffe_alexnet": lambda: caffe(pool_first=False),
        "caffenet": lambda: caffe(pool_first=True),
        "single_tower": lambda: one_tower(96, 256, 384, 384, 256, norm=False),
        "single_tower_pad2": looking_back,
        "half": lambda: one_tower(48, 128, 192, 192, 256, norm=True),
        "torchvision": in_pytorch,
        "torchvision_no_dropout": notes,
    }[name]()
    layers = [m for m in network if hasattr(m, "weight")]
    first = next(m for m in layers if isinstance(m, nn.Linear))
    for layer, (kernel, bias) in zip(layers, weights(name), strict=True):
        if layer is first:  # rows by position, then map -> by map, position
            maps = kernel.reshape(side, side, -1, kernel.shape[-1])
            kernel = maps.transpose(2, 0, 1, 3).reshape(kernel.shape)
        order = (3, 2, 0, 1) if kernel.ndim == 4 else (1, 0)
        kernel = np.ascontiguousarray(kernel.transpose(order))
        with torch.no_grad():
            layer.weight.copy_(torch.from_numpy(kernel))
            layer.bias.copy_(torch.from_numpy(bias))
    return network.eval()


def torch_logits(name, pixels):
    """What PyTorch makes of the images."""
    import torch

    x = np.ascontiguousarray(fed(name, pixels).transpose(0, 3, 1, 2))
    with torch.no_grad():
        return torch_network(name)(torch.from_numpy(x)).numpy()


def main():
    """Write the file."""
    pixels = images()
    logits = {name: torch_logits(name, pixels) for name in NETS}
    for name, values in logits.items():
        print(f"{name:24}", np.array2string(values[0], precision=3))
    np.savez_compressed(STORED, images=pixels, **logits)
    print(f"{STORED}: {STORED.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
