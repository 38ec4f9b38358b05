"""Published files: the table, checksums, and downloads from a stand-in."""

import hashlib
import http.server
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import threading
import time

import keras
import numpy as np
import pytest

import keras_alexnet as ka
from keras_alexnet.architectures.variants import VARIANTS
from keras_alexnet.cli.main import main
from keras_alexnet.runs.recipes import with_full_paths
from keras_alexnet.weights import published
from keras_alexnet.weights.published import PUBLISHED
from keras_alexnet.weights.published import PublishedFile
from keras_alexnet.weights.published import check_published
from keras_alexnet.weights.published import fetch

DATA = bytes(range(256)) * 3000
SHA256 = hashlib.sha256(DATA).hexdigest()
FLIPPED = bytes([DATA[0] ^ 1]) + DATA[1:]


class Handler(http.server.BaseHTTPRequestHandler):
    """A stand-in for the publishers' servers; the path says how it behaves."""

    def do_GET(self):
        self.server.requests.append(self.path)
        kind = self.path.strip("/")
        if kind == "missing":
            self.send_error(404)
            return
        if kind == "silent":
            self.server.released.wait(20)
            return
        self.send_response(200)
        if kind != "unsized":
            self.send_header("Content-Length", str(len(DATA)))
        self.end_headers()
        data = FLIPPED if kind == "flipped" else DATA
        half = kind in ("truncated", "stalled", "unsized")
        self.wfile.write(data[: len(data) // 2] if half else data)
        if kind == "stalled":
            self.wfile.flush()
            self.server.released.wait(20)

    def log_message(self, *args):
        pass


@pytest.fixture
def server():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.requests, server.released = [], threading.Event()
    server.url = f"http://127.0.0.1:{server.server_port}/"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.released.set()
    server.shutdown()
    server.server_close()


@pytest.fixture
def offer(server, tmp_path, monkeypatch):
    """Publishes a file of that kind under the alias "it"."""
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "home"))

    def offer(kind, url=None, **digests):
        digests = digests or {"sha256": SHA256}
        row = PublishedFile(
            "it.bin", url or server.url + kind, "alexnet", **digests
        )
        monkeypatch.setattr(published, "PUBLISHED", {"it": row})
        return row

    return offer


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "home" / "keras_alexnet"


def files_in(folder):
    return sorted(os.listdir(folder)) if folder.exists() else []


def test_the_table_says_what_is_pinned():
    for alias, row in PUBLISHED.items():
        assert re.fullmatch("[a-z0-9-]+", alias)
        assert row.url.endswith(f"/{row.name}")
        assert row.variant in {*VARIANTS, "heuritech"}
        assert re.fullmatch("([0-9a-f]{8}|[0-9a-f]{64})?", row.sha256)
        assert re.fullmatch("([0-9a-f]{40})?", row.sha1)
        # Without a checksum a file is at least not a secret to the net.
        assert (
            row.url.startswith("https://") or row.sha1 or alias == "heuritech"
        )
    names = [row.name for row in PUBLISHED.values()]
    digests = [row.sha256 or row.sha1 for row in PUBLISHED.values()]
    assert len(set(names)) == len(names)
    assert len(set(digests) - {""}) == len(digests) - digests.count("")
    not_pinned = {a for a, row in PUBLISHED.items() if not row.is_pinned}
    assert not_pinned == {"bvlc-alexnet-npy", "heuritech"}


def test_digits_in_pytorchs_names_are_those_of_the_checksum():
    rows = [row for row in PUBLISHED.values() if row.name.endswith(".pth")]
    for row in rows:
        assert row.sha256.startswith(re.search("-([0-9a-f]{8})", row.name)[1])
    assert len(rows) == 2


@pytest.mark.parametrize(
    "digests",
    [
        {"sha256": SHA256},
        {"sha256": SHA256[:8]},
        {"sha1": hashlib.sha1(DATA).hexdigest()},
    ],
    ids=["SHA-256", "8 digits", "SHA-1"],
)
def test_a_flipped_bit_is_refused_by_the_checksum(tmp_path, offer, digests):
    row = offer("good", **digests)
    path = tmp_path / row.name
    path.write_bytes(DATA)
    check_published(path)
    path.write_bytes(FLIPPED)
    with pytest.raises(ValueError, match="is not the published") as error:
        check_published(path)
    text = str(error.value)
    assert repr(str(path)) in text
    assert ("SHA-1 " in text) == ("sha1" in digests)
    assert row.url in text
    other = path.rename(tmp_path / "other.bin")  # its name promises nothing
    check_published(other)
    check_published(str(other))


def test_files_without_a_checksum_are_not_refused(tmp_path, offer):
    path = tmp_path / offer("good", sha256="").name
    path.write_bytes(FLIPPED)
    check_published(path)


def test_a_real_row_refuses_what_is_not_it(tmp_path):
    path = tmp_path / "alexnet-owt-7be5be79.pth"
    path.write_bytes(b"something else")
    with pytest.raises(ValueError, match="not 7be5be79"):
        check_published(path)
    with pytest.raises(ValueError, match="cannot be read: No such file"):
        check_published(tmp_path / "bvlc_alexnet.caffemodel")


def test_a_file_is_downloaded_once(offer, folder, server, capsys):
    offer("good")
    path = fetch("it")
    assert path == str(folder / "it.bin")
    assert (folder / "it.bin").read_bytes() == DATA
    assert files_in(folder) == ["it.bin"]
    server.shutdown()
    server.server_close()
    assert fetch("it") == path  # without the server
    assert server.requests == ["/good"]
    assert capsys.readouterr().out == ""  # the progress is no result


def test_a_cached_file_is_verified_again(offer, folder, server):
    offer("good")
    fetch("it")
    (folder / "it.bin").write_bytes(FLIPPED)
    fetch("it")
    assert (folder / "it.bin").read_bytes() == DATA
    assert server.requests == ["/good", "/good"]
    (folder / "it.bin").write_bytes(FLIPPED)
    offer("missing")
    with pytest.raises(ValueError, match="could not be downloaded"):
        fetch("it")


def test_what_is_not_pinned_is_said(offer, folder):
    offer("flipped", sha256="")
    for _ in range(2):
        with pytest.warns(UserWarning, match="'it' is not pinned"):
            fetch("it")
    assert (folder / "it.bin").read_bytes() == FLIPPED


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("flipped", r"was deleted: its SHA-256 is \w{16}\.\.\., not "),
        ("unsized", "was deleted: its SHA-256"),
        ("truncated", "retrieval incomplete"),
        ("missing", "HTTP 404 Not Found"),
        ("silent", "timed out"),
        ("stalled", "timed out"),
    ],
)
def test_a_download_that_fails_leaves_nothing(
    offer, folder, monkeypatch, kind, reason
):
    monkeypatch.setattr(published, "TIMEOUT_SECONDS", 0.5)
    row = offer(kind)
    start = time.perf_counter()
    with pytest.raises(ValueError, match=reason) as error:
        fetch("it")
    assert time.perf_counter() - start < 10
    assert row.url in str(error.value)
    assert str(error.value).count(". ") == 0  # one sentence
    assert files_in(folder) == []
    offer("good")
    fetch("it")
    assert files_in(folder) == ["it.bin"]


def test_without_a_network_it_says_what_to_do(offer, folder, server):
    row = offer("good")
    server.shutdown()
    server.server_close()  # its port refuses connections now
    with pytest.raises(ValueError, match="Connection refused") as error:
        fetch("it")
    text = str(error.value)
    assert f"download {row.url} by hand and give the file's path" in text
    assert files_in(folder) == []


def test_a_key_pressed_while_downloading_leaves_nothing(
    offer, folder, monkeypatch
):
    offer("good")

    def get_file(name, url, cache_subdir, force_download):
        with open(os.path.join(cache_subdir, name), "wb") as file:
            file.write(DATA[:1000])
        raise KeyboardInterrupt

    monkeypatch.setattr(keras.utils, "get_file", get_file)
    with pytest.raises(KeyboardInterrupt):
        fetch("it")
    assert files_in(folder) == []


def test_a_killed_download_is_not_taken_for_whole(offer, folder, server):
    code = (
        "from keras_alexnet.weights import published as p\n"
        "row = p.PublishedFile('it.bin', "
        f"'{server.url}stalled', 'alexnet')\n"
        "p.PUBLISHED = {'it': row}\n"
        "p.fetch('it')\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", code], stderr=subprocess.DEVNULL
    )
    try:
        deadline = time.monotonic() + 120
        while not server.requests and time.monotonic() < deadline:
            time.sleep(0.05)
        while (
            not any(f.stat().st_size for f in folder.iterdir())
            and time.monotonic() < deadline
        ):
            time.sleep(0.05)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    (left,) = files_in(folder)
    assert left != "it.bin"
    offer("good", sha256="")  # nothing but the name could tell
    with pytest.warns(UserWarning, match="not pinned"):
        fetch("it")
    assert (folder / "it.bin").read_bytes() == DATA


def test_a_file_url_is_read(tmp_path, offer, folder):
    source = tmp_path / "it.bin"
    source.write_bytes(DATA)
    offer("", url=source.as_uri())
    fetch("it")
    assert (folder / "it.bin").read_bytes() == DATA


def test_an_unknown_alias_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match="there are cifar10, torchvision"):
        fetch("alexnet")


def test_a_folder_that_cannot_be_written_is_said(offer, tmp_path, monkeypatch):
    offer("good")
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "file"))
    with pytest.raises(ValueError, match="cannot be written"):
        fetch("it")


# --- what comes with the package ---------------------------------------------

CIFAR10 = (
    *("airplane", "automobile", "bird", "cat", "deer"),
    *("dog", "frog", "horse", "ship", "truck"),
)


def test_a_small_trained_network_is_shipped(monkeypatch):
    monkeypatch.setattr(published, "_download", None)  # nothing is fetched
    model = ka.AlexNet("cifar10_18pct", weights="cifar10")
    assert tuple(model.class_names) == CIFAR10
    images = np.zeros((3, 32, 32, 3), "uint8")
    images[1] = (60, 120, 220)  # all sky
    images[2, :, :, 1] = 90
    answers = model.predict(
        ka.preprocess_input(images, "cifar10_18pct"), verbose=0
    )
    np.testing.assert_allclose(answers.sum(axis=1), 1, rtol=1e-5)
    assert CIFAR10[answers[1].argmax()] in ("airplane", "ship", "bird")
    trained = ka.open_trained("cifar10")
    assert trained.class_names == CIFAR10
    assert (trained.recipe.crop_pixels, trained.recipe.resize_pixels) == (
        32,
        32,
    )
    maps = ka.AlexNet("cifar10_18pct", weights="cifar10", include_top=False)
    for layer in maps.layers:
        for one, other in zip(
            layer.get_weights(),
            model.get_layer(layer.name).get_weights(),
            strict=True,
        ):
            np.testing.assert_array_equal(one, other)


def test_a_folder_of_data_does_not_hide_an_alias(tmp_path, monkeypatch):
    """CIFAR-10's images often lie in a folder `cifar10`."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cifar10" / "train").mkdir(parents=True)
    assert ka.open_trained("cifar10").class_names == CIFAR10
    ka.AlexNet("cifar10_18pct", weights="cifar10")
    assert main(["convert", "cifar10", "out.keras"]) == 0
    recipe = with_full_paths(
        ka.Recipe("x", variant="cifar10_18pct", weights="cifar10")
    )
    assert recipe.weights == "cifar10"
    # What the user has made comes first.
    (tmp_path / "cifar10" / "recipe.json").write_text("{}")
    with pytest.raises(ValueError, match="run folder"):
        ka.open_trained("cifar10")


def test_it_keeps_what_it_was_measured_with():
    """The log and the test counts of the very training lie beside it."""
    folder = pathlib.Path(__file__).parents[2] / "benchmarks" / "cifar10_18pct"
    results = json.loads((folder / "results.json").read_text())
    assert results["examples"] == 10_000
    assert results["top1_error_percent"] <= 20
    log = (folder / "log.csv").read_text().splitlines()
    assert len(log) == 1 + 140
    last = dict(zip(log[0].split(","), log[-1].split(","), strict=True))
    assert float(last["val_accuracy"]) == pytest.approx(
        results["accuracy"], abs=1e-3
    )
