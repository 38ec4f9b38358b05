"""Color of a set of photos: its mean, and the noise along its principal
components (Section 4.1). NumPy only."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class ColorStatistics:
    """Mean and principal components of RGB values of 0..255.

    Args:
        mean: Mean of red, green and blue.
        deviations: Standard deviation along each principal component.
        components: The components (unit vectors, RGB), one in each row.
    """

    mean: tuple[float, ...]
    deviations: tuple[float, ...]
    components: tuple[tuple[float, ...], ...]

    def shifts(self, normals, strength=0.1, unit="deviation"):
        """What the color noise adds to red, green and blue of each image.

        Args:
            normals: `(images, 3)`, standard normal numbers.
            strength: The paper's 0.1.
            unit: `"deviation"`, as the 2012 code: times the standard
                deviation. `"eigenvalue"`, as the paper prints it: times the
                variance, of values of 0..1 (of 0..255 it would drown the
                image).

        Returns:
            `(images, 3)`, in gray levels.
        """
        scales = np.array(self.deviations)
        if unit == "eigenvalue":
            scales = 255 * (scales / 255) ** 2
        weights = strength * np.asarray(normals) * scales
        return (weights @ np.array(self.components)).astype("float32")


# cuda-convnet2 make-data/input_meta: the authors' own, of the ImageNet
# training set. fb.resnet.torch's are the variances, and of values of 0..1.
IMAGENET_2012 = ColorStatistics(
    mean=(127.305, 119.715, 104.913),
    deviations=(19.72083305, 37.09388853, 121.78006099),
    components=(
        (0.41795513, -0.81698062, 0.39731118),
        (-0.71257945, -0.02354167, 0.70119634),
        (-0.56351045, -0.5761844, -0.59200296),
    ),
)


class ColorSums:
    """Adds up images, of any sizes, exactly, and tells their statistics."""

    def __init__(self):
        self.pixels = 0
        self.sums = np.zeros(3, "int64")
        self.products = np.zeros((3, 3), "int64")

    def add(self, image):
        """Add one RGB image of 0..255."""
        flat = image.reshape(-1, 3)
        values = flat.astype("float64")  # exact up to 2^53 / 255^2 pixels
        self.pixels += len(flat)
        self.sums += flat.sum(axis=0, dtype="int64")
        self.products += np.rint(values.T @ values).astype("int64")

    def statistics(self):
        """`ColorStatistics` of all that was added."""
        if not self.pixels:
            raise ValueError("There are no images to take the colors of.")
        mean = self.sums / self.pixels
        covariance = self.products / self.pixels - np.outer(mean, mean)
        variances, columns = np.linalg.eigh(covariance)
        deviations = np.sqrt(variances.clip(0))
        return ColorStatistics(
            tuple(mean.tolist()),
            tuple(deviations.tolist()),
            tuple(map(tuple, columns.T.tolist())),
        )
