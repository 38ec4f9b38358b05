"""Interleaved timing in one process: medians and ratios."""

import statistics
import time


def interleaved(functions, rounds, warmup=2):
    """Seconds of each function, all called in turn, `rounds` times.

    Args:
        functions: dict of name -> callable that returns when it is done.
        rounds: Integer, how often each is timed.
        warmup: Integer, calls before that, which are not counted.

    Returns:
        dict of name -> list of seconds.
    """
    seconds = {name: [] for name in functions}
    for turn in range(warmup + rounds):
        for name, function in functions.items():
            start = time.perf_counter()
            function()
            if turn >= warmup:
                seconds[name].append(time.perf_counter() - start)
    return seconds


def table(title, seconds, baseline):
    """The measurements as lines of Markdown."""
    reference = statistics.median(seconds[baseline])
    lines = [
        f"### {title}",
        "",
        "| | median ms | fastest ms | times as fast as the first |",
        "|---|---:|---:|---:|",
    ]
    for name, values in seconds.items():
        median = statistics.median(values)
        lines.append(
            f"| {name} | {1e3 * median:.1f} | {1e3 * min(values):.1f} "
            f"| {reference / median:.2f} |"
        )
    return "\n".join(lines) + "\n"
