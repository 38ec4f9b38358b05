"""Machines that train together: processes on 127.0.0.1."""

import contextlib
import json
import os
import socket
import subprocess
import sys


def config(workers=("a:1", "b:2"), kind="worker", index=0, **others):
    """What TF_CONFIG says, as a dict."""
    cluster = {"worker": list(workers), **others}
    return {"cluster": cluster, "task": {"type": kind, "index": index}}


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


@contextlib.contextmanager
def started_together(arguments, folder, count, backend="tensorflow"):
    """The same processes on so many machines; they end with the block."""
    addresses = [f"127.0.0.1:{port}" for port in free_ports(count)]
    processes = []
    for index in range(count):
        home = folder / f"machine{index}"  # where nothing must appear
        home.mkdir(exist_ok=True)
        text = json.dumps(config(addresses, index=index))
        machine = {"TF_CONFIG": text, "KERAS_BACKEND": backend}
        with open(folder / f"machine{index}.txt", "w") as log:
            processes.append(
                subprocess.Popen(
                    [sys.executable, *map(str, arguments)],
                    env={**os.environ, **machine},
                    cwd=home,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                )
            )
    try:
        yield processes
    finally:
        for process in processes:
            process.kill()
            process.wait()


def run_together(arguments, folder, count, backend="tensorflow"):
    """Start the same on so many machines; fail unless all end well.

    Returns:
        What each of them said.
    """
    with started_together(arguments, folder, count, backend) as processes:
        codes = [process.wait(timeout=300) for process in processes]
    told = [
        (folder / f"machine{index}.txt").read_text() for index in range(count)
    ]
    assert codes == [0] * count, "\n".join(told)
    for index in range(count):
        assert not any((folder / f"machine{index}").iterdir())
    return told
