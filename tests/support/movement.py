"""How far apart two trainings may be, as a part of what the weights moved.

Over many steps float32 diverges from itself (docs/training.md), so that
equality is tested where it means something: after one step in float32, and
over ten steps in float64.
"""

import numpy as np

ONE_STEP_FLOAT32 = 1e-5
TEN_STEPS_FLOAT64 = 1e-9

BOUNDS = {"float32": ONE_STEP_FLOAT32, "float64": TEN_STEPS_FLOAT64}
STEPS = {"float32": 1, "float64": 10}


def apart(start, one, other):
    """The distance of two ends, divided by that from the start to one.

    Args:
        start: List of arrays, the weights that both trainings began with.
        one: The weights at the end of the first, in the same order.
        other: Those of the second.

    Returns:
        Float.
    """
    return distance(one, other) / distance(one, start)


def distance(one, other):
    """Euclidean, over the values of all arrays together."""
    differences = [
        np.linalg.norm(np.float64(a) - np.float64(b))
        for a, b in zip(one, other, strict=True)
    ]
    return np.linalg.norm(differences)
