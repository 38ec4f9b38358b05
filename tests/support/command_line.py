"""Commands of the command line in one process, and what they imported.

`python command_line.py FOLDER PHOTO` leaves in the folder what the commands
write, and prints which frameworks beside Keras' backend were imported.
"""

import sys

from keras_alexnet.cli.main import main
from keras_alexnet.environment import backend_of_keras

FRAMEWORKS = {"tensorflow", "jax", "torch"}


def commands(folder, photo):
    run, net = f"{folder}/run", f"{folder}/net.keras"
    yield ["plot", "lenet5", "--to-file", f"{folder}/lenet5.svg"]
    yield [
        *("train", "--recipe", "smoke", "--variant", "lenet5"),
        *("--batch-size", "500", "--run-dir", run),
    ]
    yield ["evaluate", run, "--ten-crops"]
    yield ["convert", "cifar10", net]
    yield ["predict", net, photo]
    yield ["gradcam", net, photo, "--to-file", f"{folder}/gradcam.png"]
    yield [
        *("features", net, photo, "--layer", "pool3"),
        *("--to-file", f"{folder}/features.npz"),
    ]
    yield ["report", run]


if __name__ == "__main__":
    for words in commands(*sys.argv[1:]):
        assert main(words) == 0, words
    beside = FRAMEWORKS & set(sys.modules) - {backend_of_keras()}
    print("imported beside it:", *sorted(beside) or ["none"])
    assert sys.modules["keras"].backend.backend() == backend_of_keras()
