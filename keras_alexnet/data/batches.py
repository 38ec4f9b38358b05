"""Batches for Keras on JAX and PyTorch, read ahead by threads of Python."""

import multiprocessing.pool
import weakref

import keras
import numpy as np

AHEAD = 2  # batches that are read before they are asked for


class Batches(keras.utils.PyDataset):
    """The batches of some steps, two ahead of whoever takes them.

    Args:
        steps: `range` of the numbers of the batches.
        batch: Function of such a number that gives a batch, as `fit` takes it.
        endless: Whether there are more than anybody will ask for.
    """

    def __init__(self, steps, batch, endless=False):
        super().__init__()
        self._steps, self._batch, self._endless = steps, batch, endless
        self._begun = {}
        # Threads that the end of the process does not wait for.
        self._threads = multiprocessing.pool.ThreadPool(AHEAD)
        weakref.finalize(self, self._threads.terminate)

    @property
    def num_batches(self):
        return None if self._endless else len(self._steps)

    def __getitem__(self, index):
        last = self._steps.stop - self._steps.start
        for place in range(index, min(index + 1 + AHEAD, last)):
            if place not in self._begun:
                number = self._steps.start + place
                begun = self._threads.apply_async(self._batch, [number])
                self._begun[place] = begun
        # Asked for again, or passed over: what is behind is read anew.
        for place in [place for place in self._begun if place < index]:
            del self._begun[place]
        return self._begun.pop(index).get()

    def map(self, function):
        """Such batches behind a function of their three parts."""
        batch = self._batch
        return Batches(
            self._steps, lambda number: function(*batch(number)), self._endless
        )

    def joined(self, count):
        """Such batches, of as many in a row each."""

        def batch(number):
            batches = [self._batch(number * count + i) for i in range(count)]
            return keras.tree.map_structure(
                lambda *arrays: np.concatenate(arrays), *batches
            )

        steps = self._steps
        steps = range(steps.start // count, steps.stop // count)
        return Batches(steps, batch, self._endless)

    def __iter__(self):
        index = 0
        while self._endless or index < len(self._steps):
            yield self[index]
            index += 1
