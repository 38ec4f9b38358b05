"""The process of one framework: one measurement after another on the card.

`python -m benchmarks.card_worker jax|torch` says what it runs on, and then, for
each line of JSON on stdin, what was measured or what failed. After a failure it
ends, for nothing is known of a card that has failed.
"""

import gc
import importlib
import importlib.metadata
import json
import sys
import time
import types

from benchmarks.worker import VERSIONED
from benchmarks.worker import say

CALLS = 3  # before that, so that all is compiled and the card is awake
ROUND = 0.05  # seconds
ROUNDS, MOST_ROUNDS, TOGETHER = 5, 25, 0.75


def rounds(function, wait):
    """Seconds of a call in each of several rounds of calls.

    Within a round the card is not waited for, as in a training.
    """

    def seconds_of(calls):
        start = time.perf_counter()
        for _ in range(calls):
            result = function()
        wait(result)
        return (time.perf_counter() - start) / calls

    seconds_of(CALLS)
    calls = max(1, min(200, int(ROUND / seconds_of(1))))
    seconds, start = [], time.perf_counter()
    while len(seconds) < ROUNDS or (
        len(seconds) < MOST_ROUNDS and time.perf_counter() - start < TOGETHER
    ):
        seconds.append(seconds_of(calls))
    return seconds


def open_jax():
    """JAX, with Keras on it."""
    import jax
    import keras

    def prepare(precision, given):
        is_narrow = precision.startswith("bfloat16")
        products = None if is_narrow else precision
        jax.config.update("jax_default_matmul_precision", products)
        return given

    def forget():
        keras.utils.clear_session()
        keras.config.set_dtype_policy("float32")
        jax.clear_caches()

    device = jax.devices()[0]
    return types.SimpleNamespace(
        device=device.device_kind,
        is_accelerator=device.platform != "cpu",
        wait=jax.block_until_ready,
        prepare=prepare,
        forget=forget,
    )


def open_torch():
    """PyTorch."""
    import torch

    from benchmarks.torch_columns import round_products

    has_card = torch.cuda.is_available()

    def prepare(precision, given):
        if has_card:
            round_products(precision)
        return {**given, "device": "cuda" if has_card else "cpu"}

    def forget():
        # After eight forms of one module PyTorch silently compiles no more.
        torch.compiler.reset()
        if has_card:
            torch.cuda.empty_cache()

    return types.SimpleNamespace(
        device=torch.cuda.get_device_name() if has_card else "cpu",
        is_accelerator=has_card,
        wait=lambda _: has_card and torch.cuda.synchronize(),
        prepare=prepare,
        forget=forget,
    )


def measured(framework, make, precision, given):
    """What one measurement gives: seconds of its rounds, and facts."""
    module, name = make.split(":")
    given = framework.prepare(precision, given)
    made = getattr(importlib.import_module(module), name)(**given)
    if isinstance(made, dict):  # which has timed itself
        return made
    seconds = rounds(made, framework.wait)
    return {"seconds": seconds, "facts": getattr(made, "facts", {})}


def first_line(error):
    """What kind of error it is, and what it says first."""
    lines = [line for line in str(error).splitlines() if line.strip()] or [""]
    # PyTorch's compiler says "backend='inductor' raised:" first.
    text = " ".join(lines[: 2 if lines[0].endswith(":") else 1])
    return f"{type(error).__name__}: {text}"[:300]


def main():
    framework = {"jax": open_jax, "torch": open_torch}[sys.argv[1]]()
    say(
        device=framework.device,
        is_accelerator=framework.is_accelerator,
        versions={
            package: importlib.metadata.version(package)
            for package in VERSIONED
            if package in sys.modules
        },
    )
    for line in sys.stdin:
        try:
            answer = measured(framework, **json.loads(line))
        except Exception as error:  # whatever it is, it costs one row
            say(error=first_line(error))
            return
        say(**answer)
        framework.forget()
        gc.collect()


if __name__ == "__main__":
    main()
