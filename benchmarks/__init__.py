"""Measurements beside plain Keras and PyTorch: `python -m benchmarks`."""


class Seconds(float):
    """What a function has timed itself: an image, a step."""
