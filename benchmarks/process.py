"""The process that measures: started, asked, given up if it hangs."""

import contextlib
import json
import os
import pathlib
import signal
import statistics
import subprocess
import sys
import tempfile
import threading

ROOT = pathlib.Path(__file__).parents[1]
# A column that says nothing for so long hangs. The slowest, single_tower at 128
# on JAX, prepared for 63 s on a machine that was busy with the tests.
SILENCE = 300
DYING = 5  # seconds that it then has to say where it hung
LAST_WORDS = 2000  # characters that it is quoted with


class Process:
    """A module of this folder as a process of its own, which answers in lines.

    Args:
        words: The module's name, and its arguments.
        environment: Dict of further environment variables.
        silence: Seconds after which it is given up if it does not answer.
    """

    def __init__(self, words, environment, silence=SILENCE):
        environment = {
            **os.environ,
            "TF_CPP_MIN_LOG_LEVEL": "3",
            "PYTHONPATH": os.pathsep.join(
                [str(ROOT), os.environ.get("PYTHONPATH", "")]
            ).strip(os.pathsep),
            **environment,
        }
        self.silence, self.hung = silence, False
        # Closed by `kill`.
        self.errors = tempfile.TemporaryFile("w+", errors="replace")  # noqa: SIM115
        self.process = subprocess.Popen(
            # With faulthandler it tells where it hung.
            [sys.executable, "-X", "faulthandler", "-m", *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            text=True,
            env=environment,
            cwd=ROOT,
            # With what it starts: compilers, other machines.
            start_new_session=True,
        )
        try:
            self.ready = self.answer()
        except RuntimeError:
            self.kill()
            raise

    def ask(self, line=""):
        """Write a line to it; what it answers."""
        with contextlib.suppress(BrokenPipeError):  # its answer says why
            self.process.stdin.write(f"{line}\n")
            self.process.stdin.flush()
        return self.answer()

    def answer(self):
        limit = threading.Timer(self.silence, self._give_up)
        limit.start()
        try:
            for line in self.process.stdout:
                if line.startswith("@"):
                    answer = json.loads(line[1:])
                    if "error" in answer:
                        raise RuntimeError(answer["error"])
                    return answer
        finally:
            limit.cancel()
        how = f"ended with {self.process.wait()}"
        if self.hung:
            how = f"silent for {self.silence:.0f} s"
        self.errors.seek(0)
        # What it printed at last; if it hung, where.
        told = self.errors.read().strip()[-LAST_WORDS:]
        raise RuntimeError(f"{how}\n{told}")

    def _give_up(self):
        self.hung = True
        self._signal(signal.SIGABRT)  # which Python answers with where it is
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(DYING)
        self._signal(signal.SIGKILL)

    def _signal(self, number):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)

    def kill(self):
        # Closes its ends of the pipes.
        with contextlib.suppress(BrokenPipeError), self.errors, self.process:
            self._signal(signal.SIGKILL)


class Worker(Process):
    """The process of one column.

    Args:
        column: A `Column`.
        silence: Seconds after which it is given up if it says nothing.
    """

    def __init__(self, column, silence=SILENCE):
        words = ("benchmarks.worker", column.make, json.dumps(column.given))
        super().__init__(words, column.environment, silence)
        self.seconds = []
        self.versions = self.ready["versions"]
        self.size_bytes = self.ready["size_bytes"]

    def run(self):
        """One turn."""
        self.seconds.append(statistics.median(self.ask()["seconds"]))

    def end(self):
        """Stop; the peak of memory in bytes."""
        self.process.stdin.close()
        peak = self.answer()["peak"]
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(self.silence)
        return peak
