"""conv1's kernels as pictures (figure 3), and how colorful they are."""

from dataclasses import dataclass

import numpy as np

from keras_alexnet.architectures.variants import VARIANTS
from keras_alexnet.files import AnyPath
from keras_alexnet.runs.network import Network
from keras_alexnet.runs.network import Trained
from keras_alexnet.visualization.image_grids import draw_sheets
from keras_alexnet.visualization.image_grids import own_range
from keras_alexnet.visualization.image_grids import save
from keras_alexnet.visualization.image_grids import tiled

PERMUTATIONS = 10_000
PIXELS = 66  # at least, of a kernel in the picture: six times 11


@dataclass(frozen=True)
class ColorScores:
    """How much of conv1's kernels is color.

    A kernel's score is `1 - g / e`: `e` is the sum of the squares of its
    weights, `g` the part of it along the gray axis, that is, the sum over
    its positions of `(r + g + b)**2 / 3`. So 0 is a kernel whose three
    channels are equal, which sees gray values only; 1 is one that a gray
    image does not move; weights drawn at random have 2/3 on average.

    Args:
        towers: For each tower the scores of its kernels, in their order.
    """

    towers: tuple[np.ndarray, ...]

    @property
    def means(self):
        """The mean score of each tower."""
        return tuple(float(scores.mean()) for scores in self.towers)

    @property
    def p_value(self):
        """How often towers dealt at random differ as much; None if one.

        The part of 10,000 permutations of the kernels whose means of the
        towers are at least as far apart, these counted in.
        """
        if len(self.towers) != 2:
            return None
        scores = np.concatenate(self.towers)
        generator = np.random.default_rng(0)
        mixed = generator.permuted(np.tile(scores, (PERMUTATIONS, 1)), axis=1)
        size = len(self.towers[0])
        apart = mixed[:, :size].mean(axis=1) - mixed[:, size:].mean(axis=1)
        # Sums in another order differ in the last digits.
        least = abs(self.means[0] - self.means[1]) - 1e-12
        return float((1 + (abs(apart) >= least).sum()) / (1 + PERMUTATIONS))

    def to_dict(self):
        """The figures as plain numbers."""
        names = _names(self.towers)
        scores = {
            "scores": {
                name: scores.tolist()
                for name, scores in zip(names, self.towers, strict=True)
            },
            "means": dict(zip(names, self.means, strict=True)),
        }
        if len(self.towers) == 2:
            scores["difference"] = abs(self.means[0] - self.means[1])
            scores["p_value"] = self.p_value
        return scores

    def __str__(self):
        lines = [
            f"{name}: color score {mean:.3f} "
            f"(kernels {scores.min():.3f} to {scores.max():.3f})"
            for name, scores, mean in zip(
                _names(self.towers), self.towers, self.means, strict=True
            )
        ]
        if len(self.towers) == 2:
            difference = abs(self.means[0] - self.means[1])
            lines.append(f"difference {difference:.3f}, p {self.p_value:.4f}")
        lines.append("0 sees gray values only, 1 only color, random is 0.667")
        return "\n".join(lines)


def _names(towers):
    return ["one tower"] if len(towers) == 1 else ["tower A", "tower B"]


def color_scores(trained: Trained) -> ColorScores:
    """How much of conv1's kernels is color, for each tower.

    Args:
        trained: What `open_trained` gives or takes, or a Keras model made
            by `AlexNet`.

    Returns:
        `ColorScores`.

    Raises:
        ValueError: if the model has no conv1, or sees gray images.

    Example:

    >>> scores = ka.color_scores(ka.AlexNet("alexnet"))  # random weights
    >>> [round(mean, 1) for mean in scores.means]
    [0.7, 0.7]
    """
    towers = conv1_kernels(trained)
    if towers[0].shape[-1] == 1:
        raise ValueError(
            "The network sees gray images, so its kernels have no color to "
            "be scored."
        )
    return ColorScores(tuple(map(_scores, towers)))


def _scores(kernels):
    """Of each kernel the share of its energy that is not gray."""
    kernels = kernels.astype("float64")
    energy = (kernels**2).sum(axis=(1, 2, 3))
    gray = (kernels.sum(axis=-1) ** 2).sum(axis=(1, 2)) / kernels.shape[-1]
    # A kernel of zeros sees no color either; rounding must not go below 0.
    return np.maximum(1 - gray / np.where(energy, energy, 1), 0) * (energy > 0)


def conv1_kernels(trained: Trained) -> list[np.ndarray]:
    """conv1's kernels of each tower, in RGB.

    Of nets whose conv1 is one layer, but whose conv2 deals its maps out to
    two towers (Caffe's), the first half belongs to tower A.

    Args:
        trained: As in `color_scores`.

    Returns:
        A list of arrays `(kernels, height, width, 1 or 3)`, one a tower.

    Raises:
        ValueError: if the model has no conv1.
    """
    network = Network.of(trained)
    model, architecture = network.model, network.architecture
    layers = {layer.name: layer for layer in model.layers}
    first = [layers[n] for n in ("conv1", "conv1a", "conv1b") if n in layers]
    if not first:
        raise ValueError(
            f"{model.name} has no layer conv1 whose kernels could be drawn."
        )
    towers = [
        layer.get_weights()[0].transpose(3, 0, 1, 2)  # (h, w, in, out)
        for layer in first
    ]
    if len(towers) == 1 and "conv2a" in layers:
        towers = np.split(towers[0], 2)
    channels = towers[0].shape[-1]
    if channels not in (1, 3):
        raise ValueError(
            f"{model.name} sees images of {channels} channels; kernels can "
            "be drawn of gray or RGB ones."
        )
    architecture = architecture or VARIANTS.get(model.name)
    if architecture and architecture.preprocessing.channel_order == "BGR":
        towers = [kernels[..., ::-1] for kernels in towers]
    return towers


def plot_kernels(trained: Trained, to_file: AnyPath):
    """Draw conv1's kernels as the paper's figure 3: tower A above tower B.

    Each kernel is scaled to its own range: its least weight is black, its
    largest white, over all three channels. So colors can be compared within
    a kernel, brightness cannot between two.

    Args:
        trained: As in `color_scores`.
        to_file: Path of the picture, ending in `.png`, `.svg` or `.pdf`.

    Returns:
        The path of the picture.

    Raises:
        ValueError: if the model has no conv1, or the ending is unknown.
    """
    towers = conv1_kernels(trained)
    count = sum(map(len, towers))
    size = "x".join(map(str, towers[0].shape[1:]))
    titles = [
        f"{name}: {len(kernels)} kernels"
        for name, kernels in zip(_names(towers), towers, strict=True)
    ]
    if towers[0].shape[-1] == 3:
        means = [float(_scores(kernels).mean()) for kernels in towers]
        titles = [
            f"{title}, color score {mean:.3f}"
            for title, mean in zip(titles, means, strict=True)
        ]
    sheets = [
        tiled(np.stack([own_range(k) for k in kernels]), PIXELS)
        for kernels in towers
    ]
    heading = f"conv1: {count} kernels of {size}, each in its own range"
    return save(draw_sheets(sheets, titles, heading), to_file)
