"""What machines find out of each other on Keras' JAX backend.

`python join_machines.py DEVICES` joins them, with so many devices each, and
says what each of them knows; `python join_machines.py late` computes before.
"""

import sys

import keras

from keras_alexnet.training.distribution import check_agreement
from keras_alexnet.training.distribution import is_chief
from keras_alexnet.training.distribution import leave_together
from keras_alexnet.training.distribution import training_strategy


def told(function, *arguments):
    try:
        return function(*arguments) or "agreed"
    except ValueError as error:
        return str(error)


def main(devices):
    if devices == "late":
        keras.ops.ones(())
        print(told(training_strategy))
        return
    strategy = training_strategy(devices=int(devices))
    assert training_strategy().machine == strategy.machine  # joined for good
    print("chief:", is_chief(strategy))
    print("devices:", strategy.num_replicas_in_sync)
    print(told(check_agreement, strategy, 5, 2**31 - 1))
    print(told(check_agreement, strategy, 5 + strategy.machine, 1))
    print(told(check_agreement, strategy, 5, 1 + strategy.machine))
    leave_together(strategy)


if __name__ == "__main__":
    main(*sys.argv[1:])
