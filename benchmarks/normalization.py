"""Local response normalization: this package's layer against TensorFlow's op.

`python -m benchmarks.normalization [--rounds 20]`
"""

import argparse
import platform

import tensorflow as tf

from benchmarks.timing import interleaved
from benchmarks.timing import table
from keras_alexnet import LocalResponseNormalization

# conv1's and conv2's maps at batch 32, all and of one tower.
SHAPES = ((32, 55, 55, 96), (32, 55, 55, 48), (32, 27, 27, 256))


def forward_and_backward(normalize, x, upstream):
    @tf.function
    def run():
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = normalize(x)
        return y, tape.gradient(y, x, upstream)

    return run


def tensorflow_lrn(x):
    return tf.nn.local_response_normalization(x, 2, 2.0, 1e-4, 0.75)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    rounds = parser.parse_args().rounds
    print(f"TensorFlow {tf.__version__}, {platform.processor()}\n")
    for shape in SHAPES:
        x = tf.random.normal(shape, stddev=50.0)
        upstream = tf.random.normal(shape)
        ours = LocalResponseNormalization()
        functions = {
            "tf.nn.local_response_normalization": forward_and_backward(
                tensorflow_lrn, x, upstream
            ),
            "LocalResponseNormalization": forward_and_backward(
                ours, x, upstream
            ),
        }
        seconds = interleaved(functions, rounds)
        baseline = "tf.nn.local_response_normalization"
        print(table(f"Forward and backward, {shape}", seconds, baseline))


if __name__ == "__main__":
    main()
