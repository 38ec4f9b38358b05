"""What a card does: this package, plain Keras and PyTorch on an accelerator.

    python -m benchmarks.card --to-file FILE.json

Without a network or other files, within five minutes: the most important
first, each result written when it comes, as JSON and as a table beside it. JAX
and PyTorch have a process each; what fails, hangs or finds no memory costs its
own line.
"""

import argparse
import fnmatch
import importlib.util
import json
import pathlib
import statistics
import time

import keras_alexnet as ka
from benchmarks.card_page import TIME_UP
from benchmarks.card_page import page
from benchmarks.card_plan import plan
from benchmarks.harness import machine
from benchmarks.process import Process
from keras_alexnet.files import replacing

GRACE = 15  # seconds that what has begun gets when the time is up
START = 90  # seconds that a framework has to say what it runs on
PACKAGES = {"jax": ("jax", "keras"), "torch": ("torch",)}
ENVIRONMENT = {
    "KERAS_BACKEND": "jax",
    # Or it takes the whole card's memory, beside PyTorch.
    "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
}


def start(framework, seconds):
    words = ("benchmarks.card_worker", framework)
    return Process(words, ENVIRONMENT, seconds)


class Session:
    """Figures measured one after another, until a time.

    Args:
        results: Dict that is filled: `frameworks`, `figures`, `left_out`.
        end: Of `time.monotonic`, after which none begins.
        start: Function that starts a framework's `Process`.
    """

    def __init__(self, results, end, start=start):
        self.results, self.end, self.start = results, end, start
        self.alive = {}
        self.missing = {
            name: f"{package} is not installed"
            for name, packages in PACKAGES.items()
            for package in packages
            if importlib.util.find_spec(package) is None
        }

    def measure(self, figure):
        """A figure as the file has it; `None` if it was left out."""
        why = self.missing.get(figure.framework)
        if not why and time.monotonic() >= self.end:
            why = TIME_UP
        row = {} if why else self._row(figure)
        if "error" in row and time.monotonic() >= self.end:
            why = TIME_UP
        # It is seen when it is started.
        why = why or self.missing.get(figure.framework)
        if why:
            self.results["left_out"].setdefault(why, []).append(figure.name)
            return None
        self.results["figures"].append(row)
        return row

    def _row(self, figure):
        began = time.monotonic()
        row = {"work": figure.work, "form": figure.form}
        row |= {"amount": figure.amount, "unit": figure.unit}
        try:
            answer = self._ask(figure)
        except RuntimeError as error:
            row["error"] = _ending(error)
        else:
            seconds = answer["seconds"]
            low, median, high = statistics.quantiles(seconds * 2, n=4)
            row |= {"median_seconds": median, "quartiles_seconds": [low, high]}
            row |= {"rounds_seconds": seconds, "facts": answer["facts"]}
        return {**row, "took_seconds": round(time.monotonic() - began, 1)}

    def _ask(self, figure):
        name, given = figure.framework, dict(figure.given)
        try:
            process = self._process(name)
            process.silence = self._at_most(figure.limit)
            if "seconds" in given:  # it knows when to end
                given["seconds"] = process.silence - GRACE
            task = {"make": figure.make, "precision": figure.precision}
            return process.ask(json.dumps({**task, "given": given}))
        except RuntimeError as error:
            self.stop(name)
            full = "out of memory", "resource_exhausted"
            is_full = any(x in str(error).lower() for x in full)
            if self.alive and is_full and time.monotonic() < self.end:
                self.stop(*self.alive)  # which keeps what it once took
                return self._ask(figure)
            raise

    def _at_most(self, seconds):
        return min(seconds, max(self.end - time.monotonic(), 0) + GRACE)

    def _process(self, name):
        if name not in self.alive:
            try:
                self.alive[name] = self.start(name, self._at_most(START))
            except RuntimeError as error:
                if name not in self.results["frameworks"]:
                    why = f"{name} does not start: {_ending(error)}"
                    self.missing[name] = why
                raise
            ready = self.alive[name].ready
            self.results["frameworks"][name] = ready
            if not (ready["is_accelerator"] or self.results["small"]):
                why = f"{name} sees no accelerator (on a processor: --small)"
                self.missing[name] = why
                raise RuntimeError(why)
        return self.alive[name]

    def stop(self, *names):
        """End processes, all that are alive if none is named."""
        for name in names or tuple(self.alive):
            if name in self.alive:
                self.alive.pop(name).kill()


def _ending(error):
    """The first line; of a process that died, also the last that it said."""
    first, *others = str(error).strip().splitlines()
    if first.startswith("ended with") and others:
        return f"{first}: {others[-1][:200]}"
    return first


def told(figure, row):
    """A line about what was done."""
    what = row.get("error")
    if what is None:
        what = f"{1e3 * row['median_seconds']:.3g} ms"
    return f"{figure.name}: {what} ({row['took_seconds']:.0f} s)"


def _options():
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.card", description=__doc__.splitlines()[0]
    )
    add = parser.add_argument
    text = "new, of JSON; a table is written beside it"
    add("--to-file", type=pathlib.Path, required=True, help=text)
    text = "after which nothing begins; default: 280"
    add("--seconds", type=float, default=280, help=text)
    text = "tiny batches, also on a processor"
    add("--small", action="store_true", help=text)
    text = "folder or archive of CIFAR-10, to train on to the end"
    add("--cifar", type=pathlib.Path, help=text)
    text = "names of figures, such as 'step of*'"
    add("--only", default="*", metavar="PATTERN", help=text)
    options = parser.parse_args()
    if options.to_file.suffix != ".json" or options.to_file.exists():
        parser.error("--to-file must name a new file that ends in .json")
    if options.cifar and not options.cifar.exists():
        parser.error(f"there is no {str(options.cifar)!r}")
    return options


def main():
    options = _options()
    end = time.monotonic() + options.seconds
    cifar = options.cifar and str(options.cifar.resolve())
    figures = plan(options.small, cifar)
    results = {
        "machine": machine(),
        "keras_alexnet": ka.__version__,
        "date": time.strftime("%Y-%m-%d"),
        "seconds": options.seconds,
        "small": options.small,
        "frameworks": {},
        "figures": [],
        "left_out": {},
    }
    session = Session(results, end)
    try:
        write(options.to_file, results)  # that it can be, before the work
        for name in fnmatch.filter(figures, options.only):
            row = session.measure(figures[name])
            if row:
                print(told(figures[name], row), flush=True)
                write(options.to_file, results)
        write(options.to_file, results)
    except ValueError as error:
        raise SystemExit(str(error)) from error
    finally:
        session.stop()
    print(page(results))


def write(path, results):
    """The results as JSON, and as a table beside it."""
    text = f"{json.dumps(results, indent=1)}\n"
    for file, content in (
        (path, text),
        (path.with_suffix(".md"), page(results)),
    ):
        with replacing(file) as temporary:
            pathlib.Path(temporary).write_text(content)


if __name__ == "__main__":
    main()
