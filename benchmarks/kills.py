"""Kills trainings again and again, and resumes them.

Trainings through the command line, in which dropout, crops, flips and color
noise are on, save after every step. They are killed by SIGKILL at a random
time, inside a save, or while the last files are written. Between half of the
starts the clock of the process, and that of the files, is set back by an hour
or a day (Debian's `faketime`); before a quarter, the newest state is damaged,
or something that is none lies beside the states. At its end each training is
compared bit for bit with one that nobody disturbed.

`python -m benchmarks.kills [--kills 100] [--devices 1] [--large]`
"""

import argparse
import collections
import contextlib
import glob
import hashlib
import json
import os
import pathlib
import random
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time

import numpy as np

from benchmarks.harness import machine

HOUR, DAY = 3600, 86400
# What docs/training.md and docs/data.md name in a run folder.
NAMED = re.compile(
    r"\.keras_alexnet\.lock|"
    r"recipe\.json|classes\.json|images\.csv|summary\.txt|model\.png|log\.csv"
    r"|curves\.png|confusion_matrix\.png|model\.weights\.h5|results\.json"
    r"|checkpoints/state-\d{9}\.safetensors"
)
LAST = (
    "model.weights.h5",
    "curves.png",
    "confusion_matrix.png",
    "results.json",
)
DAMAGES = (
    "flipped bit",
    "cut",
    "emptied",
    "removed",
    "list that is garbage",
    "empty file",
    "leftover",
)
LIMIT = 300  # seconds for one start


def photos(folder, side):
    """Three classes of 20 images of noise."""
    from PIL import Image

    generator = np.random.default_rng(0)
    for name in "abc":
        (folder / name).mkdir(parents=True)
        for number in range(20):
            pixels = generator.integers(0, 256, (side, side, 3), "uint8")
            Image.fromarray(pixels).save(folder / name / f"{number:02}.png")


class Training:
    """A training that is killed and resumed.

    Args:
        folder: Path of the run folder.
        data: Path of the images.
        options: What the command line of this benchmark says.
        random: Of the moments.
    """

    def __init__(self, folder, data, options, random):
        self.folder = folder
        self.data = data
        self.options = options
        self.random = random
        self.counts = collections.Counter()
        self.failures = []
        self.offset = 0
        self.strays = set()

    def start(self, minutes=0):
        """The process, with its clock."""
        sizes = ("36", "32", "smoke")
        if self.options.large:
            sizes = ("72", "67", "folder")
        resize, crop, recipe = sizes
        words = ["-m", "keras_alexnet", "train", "--recipe", recipe]
        words += ["--data", self.data, "--run-dir", self.folder]
        words += ["--resize-pixels", resize, "--crop-pixels", crop]
        words += ["--batch-size", "16", "--epochs", self.options.epochs]
        words += ["--dropout", "0.5", "--color-noise", "0.1"]
        words += ["--learning-rate", "0.01", "--deterministic"]
        words += ["--checkpoint-minutes", minutes]
        if self.options.devices > 1:
            words += ["--devices", self.options.devices]
        environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
        if self.offset:
            # The program `faketime` would stay between this one and the
            # training, and be killed in its place.
            environment["LD_PRELOAD"] = library()
            environment["FAKETIME"] = f"{self.offset:+}s"
        with open(f"{self.folder}.txt", "a") as log:
            return subprocess.Popen(
                [sys.executable, *map(str, words)],
                env=environment,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def kill_once(self, moment):
        """Start, wait for the moment, kill.

        Returns:
            Whether it was killed; else the training has ended before.
        """
        best = self.newest_good()
        process = self.start()
        began, wait = time.monotonic(), self.moment(moment)
        while process.poll() is None and not wait(time.monotonic() - began):
            if time.monotonic() - began > LIMIT:
                self.failures.append("a start took too long")
                break
            time.sleep(0.001)
        ended = process.poll()
        process.kill()
        process.wait()
        if ended:
            self.failures.append(f"exit code {ended}, see {self.folder}.txt")
        elif ended is None:
            self.counts["kills"] += 1
            self.counts[moment] += 1
            self.counts["left a temporary file"] += any(
                self.temporaries(under) for under in ("", "checkpoints")
            )
        if (self.newest_good() or 0) < (best or 0):
            self.failures.append(f"the good state of step {best} is gone")
        return ended is None

    def moment(self, kind):
        """A function of the seconds since the start: whether it is now."""
        draw = self.random
        if kind == "at a time":
            until = draw.uniform(0.5, self.options.seconds)
            return lambda seconds: seconds > until
        if kind == "in a save":
            saves, delay = draw.randint(1, 30), draw.uniform(0, 0.01)
            before, seen = self.temporaries("checkpoints"), set()

            def inside(_):
                seen.update(self.temporaries("checkpoints") - before)
                if len(seen) < saves:
                    return False
                time.sleep(delay)
                return True

            return inside
        name, delay = draw.choice(LAST), draw.uniform(0, 0.05)
        before, stamp = self.temporaries(), self.stamp(name)

        def appears(_):
            found = self.temporaries() - before
            written = any(temporary.endswith(name) for temporary in found)
            if not written and self.stamp(name) == stamp:
                return False
            time.sleep(delay)
            return True

        return appears

    def stamp(self, name):
        with contextlib.suppress(OSError):
            facts = os.stat(self.folder / name)
            return facts.st_ino, facts.st_mtime_ns
        return None

    def temporaries(self, under=""):
        """Names of the files that are being written, or were when killed."""
        with contextlib.suppress(OSError):
            names = os.listdir(self.folder / under)
            return {name for name in names if name.startswith(".")}
        return set()

    def states(self):
        found = self.folder.glob("checkpoints/state-*.safetensors")
        return sorted(found, reverse=True)

    def newest_good(self):
        """The step of the newest state that is whole."""
        for path in self.states():
            if path not in self.strays and arrays_of(path) is not None:
                return int(path.name[6:15])
        return None

    def set_clocks_back(self):
        seconds = self.random.choice((HOUR, DAY))
        self.offset -= seconds
        self.counts["clocks set back"] += 1
        if self.random.random() < 0.5:  # else the files come from the future
            for path in self.folder.rglob("*"):
                facts = path.stat()
                os.utime(path, (facts.st_atime, facts.st_mtime - seconds))

    def damage(self):
        """Damage the newest state, or put beside the states what is none."""
        states = [path for path in self.states() if path not in self.strays]
        good = [path for path in states if arrays_of(path) is not None]
        kinds = DAMAGES if len(good) > 1 else DAMAGES[4:]
        kind = self.random.choice(kinds)
        folder = self.folder / "checkpoints"
        if not folder.is_dir():
            return
        self.counts[kind] += 1
        if kind == "flipped bit":
            data = bytearray(good[0].read_bytes())
            data[self.random.randrange(len(data))] ^= 1 << 5
            good[0].write_bytes(data)
        elif kind == "cut":
            size = good[0].stat().st_size
            os.truncate(good[0], self.random.randrange(1, size))
        elif kind == "emptied":
            os.truncate(good[0], 0)
        elif kind == "removed":
            good[0].unlink()
        elif kind == "list that is garbage":
            self.stray(folder / "checkpoint", b"\0garbage")
        elif kind == "empty file":
            # Numbered as a state that is yet to come, or the list of old.
            name = "state-900000000.safetensors", "checkpoint"
            self.stray(folder / self.random.choice(name), b"")
        else:  # of a process that is gone: of this package, not a stray
            name = ".keras_alexnet-999999-0123abcd.state-000000001.safetensors"
            (folder / name).write_bytes(b"half")

    def stray(self, path, data):
        path.write_bytes(data)
        self.strays.add(path)

    def run(self):
        """Kill it as often as said, then let it end."""
        moments = ["at a time", "in a save"] * self.options.kills_each
        moments = moments[: self.options.kills_each]
        moments += ["at the end"] * self.options.kills_at_end
        for moment in moments:
            if not self.kill_once(moment) or self.failures or self.ended:
                break
            if self.random.random() < 0.5:
                self.set_clocks_back()
            if self.random.random() < 0.25:
                self.damage()
        self.finish()

    @property
    def ended(self):
        """Whether the last file is there; then it could be killed no more."""
        return (self.folder / "results.json").exists()

    def finish(self):
        code = 0
        if not self.ended:
            code = self.start(minutes=5).wait(timeout=LIMIT * 4)
        if code:
            self.failures.append(f"exit code {code}, see {self.folder}.txt")
        for stray in self.strays:
            stray.unlink(missing_ok=True)
        self.strays.clear()

    def compare(self, undisturbed):
        """Add to the failures what differs from the other training."""
        ours, theirs = self.contents(), undisturbed.contents()
        for name in ours.keys() | theirs.keys():
            if not np.array_equal(ours.get(name), theirs.get(name)):
                self.failures.append(f"{name} is another")
        for path in self.folder.rglob("*"):
            name = str(path.relative_to(self.folder))
            if path.is_file() and not NAMED.fullmatch(name):
                self.failures.append(f"{name} was left behind")

    def contents(self):
        """What must be equal: name -> array or text."""
        import h5py

        found = {}
        for name in ("log.csv", "results.json", "classes.json"):
            with contextlib.suppress(FileNotFoundError):
                found[name] = (self.folder / name).read_text()
        for path in self.states()[:1]:
            found["newest state"] = path.name
            found |= {f"state: {n}": a for n, a in arrays_of(path).items()}

        def keep(name, item):
            if isinstance(item, h5py.Dataset):
                found[f"weights: {name}"] = item[()]

        weights = self.folder / "model.weights.h5"
        with contextlib.suppress(OSError), h5py.File(weights) as file:
            file.visititems(keep)
        return found


def arrays_of(path):
    """The arrays of a state as the format is documented; `None` if damaged."""
    import safetensors

    try:
        with safetensors.safe_open(path, "numpy") as file:
            facts = file.metadata()
            names = file.keys()
            arrays = {name: file.get_tensor(name) for name in names}
        digest = hashlib.sha256(facts["facts"].encode())
    except Exception:
        return None
    for name, value in sorted(arrays.items()):
        digest.update(f"\n{name} {value.dtype} {value.shape}\n".encode())
        digest.update(value.tobytes())
    return arrays if digest.hexdigest() == facts["sha256"] else None


def library():
    """The part of faketime that is loaded into a process."""
    found = glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1")
    if not found:
        raise SystemExit("Install Debian's faketime, please.")
    return found[0]


def measure(folder, options):
    """All trainings, two at once; a dict of what came out."""
    data = folder / "photos"
    photos(data, 72 if options.large else 36)
    undisturbed = Training(folder / "undisturbed", data, options, None)
    undisturbed.finish()
    trainings, lock, begun = [], threading.Lock(), time.monotonic()

    def enough():
        done = sum(t.counts["kills"] for t in trainings)
        return done >= options.kills or any(t.failures for t in trainings)

    def work():
        while True:
            with lock:
                if enough():
                    return
                number = len(trainings)
                training = Training(
                    folder / f"killed-{number}",
                    data,
                    options,
                    random.Random(options.seed * 1000 + number),
                )
                trainings.append(training)
            training.run()
            training.compare(undisturbed)
            print(dict(training.counts), training.failures, flush=True)
            if not training.failures:
                shutil.rmtree(training.folder)

    workers = [threading.Thread(target=work) for _ in range(options.at_once)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    counts = sum((t.counts for t in trainings), collections.Counter())
    return {
        "trainings": len(trainings),
        "bit-identical": sum(not t.failures for t in trainings),
        **dict(sorted(counts.items())),
        "arrays compared": len(undisturbed.contents()),
        "devices": options.devices,
        "seed": options.seed,
        "minutes": round((time.monotonic() - begun) / 60, 1),
        "machine": machine(),
        "failures": [f for t in trainings for f in t.failures],
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--kills-each", type=int, default=7)
    parser.add_argument("--kills-at-end", type=int, default=3)
    parser.add_argument("--devices", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--large", action="store_true")
    parser.add_argument("--seconds", type=float, default=15.0)
    parser.add_argument("--at-once", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", default=None)
    parser.add_argument("--to", default=None, help="a JSON file of results")
    options = parser.parse_args()
    folder = pathlib.Path(options.folder or tempfile.mkdtemp())
    folder.mkdir(parents=True, exist_ok=True)
    results = measure(folder, options)
    text = json.dumps(results, indent=2)
    print(text)
    if options.to:
        pathlib.Path(options.to).write_text(f"{text}\n")
    if not results["failures"]:
        shutil.rmtree(folder)
    return bool(results["failures"])


if __name__ == "__main__":
    sys.exit(main())
