"""The page of `keras-alexnet demo`: over HTTP, on a terminal, in a browser."""

import base64
import concurrent.futures
import contextlib
import http.client
import io
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from importlib import resources

import numpy as np
import pytest
from bad_files import black_png
from bad_files import encoded
from bad_files import odd_files
from bad_files import picture
from bad_files import write_bad_files
from browser import open_browser
from PIL import Image
from untrained import random_run
from untrained import write_photos

import keras_alexnet as ka
from keras_alexnet.cli.main import main
from keras_alexnet.visualization.image_grids import draw_overlaid
from keras_alexnet.web import demo_server
from keras_alexnet.web.demo import Demo
from keras_alexnet.web.demo_server import DemoServer

# One that would be seen if it were taken for HTML.
CLASSES = ("blue", "<b onclick=alert(1)>&amp;", "red")
COLOR_SIDE = 32


@contextlib.contextmanager
def served(trained, host="127.0.0.1"):
    """A server in a thread."""
    with serving(Demo(trained), host) as server:
        yield server


@contextlib.contextmanager
def serving(demo, host="127.0.0.1"):
    with DemoServer(demo, host, 0) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A network of colors, which has results."""
    folder = tmp_path_factory.mktemp("run")
    sizes = {"resize_pixels": 40, "crop_pixels": COLOR_SIDE}
    changes = {"variant": "cifar10_18pct", "initialization": None, **sizes}
    run = random_run(folder, CLASSES, **changes)
    text = json.dumps({"accuracy": 0.75, "examples": 1234})
    run.path("results.json").write_text(text)
    return ka.Run(folder)


@pytest.fixture(scope="module")
def server(run):
    with served(run) as server:
        yield server


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = write_photos(tmp_path_factory.mktemp("photos") / "a", {"x": 5})
    return sorted(folder.rglob("*.png"))


def ask(server, method="POST", path="/answer", data=None, **headers):
    """Status, headers and content of an answer; JSON is read."""
    connection = http.client.HTTPConnection(*server.server_address[:2])
    names = {name.replace("_", "-"): text for name, text in headers.items()}
    with contextlib.closing(connection):
        connection.request(method, path, data, names)
        response = connection.getresponse()
        content = response.read()
        if content and response.headers["Content-Type"] == "application/json":
            content = json.loads(content)
        return response.status, response.headers, content


def pixels_of(uri):
    start = "data:image/png;base64,"
    assert uri.startswith(start)
    file = io.BytesIO(base64.b64decode(uri[len(start) :]))
    return np.asarray(Image.open(file).convert("RGB"))


def refused(server, **kwargs):
    """The status of a refusal, which is one kind sentence."""
    status, _, content = ask(server, **kwargs)
    assert 400 <= status < 500, content
    assert list(content) == ["error"]
    assert re.fullmatch(r"[A-Z][^\n]+\.", content["error"])
    for word in ("Traceback", "Error", " at 0x", "/home", "keras_alexnet"):
        assert word not in content["error"]
    return status, content["error"]


def check_against_the_package(run, server, file):
    status, _, answer = ask(server, data=file.read_bytes())
    assert status == 200
    (expected,) = ka.predict(run, str(file), top=5)
    assert [name for name, _ in answer["top"]] == [n for n, _ in expected]
    np.testing.assert_allclose(
        [p for _, p in answer["top"]], [p for _, p in expected], atol=1e-6
    )
    cam = ka.grad_cam(run, str(file))
    assert cam.class_name == answer["top"][0][0]
    seen, heat = pixels_of(answer["seen"]), pixels_of(answer["heat"])
    times = seen.shape[0] // cam.image.shape[0]
    np.testing.assert_array_equal(
        seen[::times, ::times],
        np.broadcast_to(cam.image, (*cam.image.shape[:2], 3)),
    )
    relative = cam.values / (cam.values.max() or 1)
    figure = draw_overlaid(cam.image, relative, cam.extent, seen.shape[1])
    expected_file = io.BytesIO()
    figure.savefig(expected_file, format="png")
    drawn = np.asarray(Image.open(expected_file).convert("RGB"), int)
    assert heat.shape == seen.shape
    np.testing.assert_allclose(heat, drawn, atol=2)
    return answer, heat, seen


def test_answers_are_those_of_predict_and_grad_cam(run, server, photos):
    firsts = set()
    for file in photos:
        answer, heat, seen = check_against_the_package(run, server, file)
        firsts.add(answer["top"][0][0])
        assert np.abs(heat.astype(int) - seen).mean() > 5
    assert len(firsts) > 1  # they do depend on the photo


def test_gray_networks_and_files_without_softmax(tmp_path, photos):
    gray = random_run(tmp_path / "gray", CLASSES)
    variant = gray.recipe.variant
    if gray.channels != 1:
        changes = {"variant": "lenet5", "crop_pixels": 32}
        gray = random_run(
            tmp_path / "lenet", CLASSES, initialization=None, **changes
        )
        variant = "lenet5"
    assert gray.channels == 1, variant
    with served(gray) as server:
        answer, *_ = check_against_the_package(gray, server, photos[0])
        facts = ask(server, "GET", "/facts")[2]["facts"]
        assert [term for term, _ in facts] == ["Network", "3 classes"]
    logits = gray.build_model(classifier_activation=None)
    logits.set_weights(gray.load_model().get_weights())
    # A bare file does not know the resizing.
    logits.resize_pixels = gray.recipe.resize_pixels
    logits.save(tmp_path / "logits.keras")
    trained = ka.open_trained(tmp_path / "logits.keras")
    with served(trained) as server:
        _, _, found = ask(server, data=photos[0].read_bytes())
    np.testing.assert_allclose(
        [p for _, p in found["top"]], [p for _, p in answer["top"]], atol=1e-5
    )
    assert sum(p for _, p in found["top"]) == pytest.approx(1)


def test_what_can_be_read_is_answered(server):
    for name, data in odd_files().items():
        status, _, answer = ask(server, data=data)
        assert status == 200, (name, answer)
        assert len(answer["top"]) == 3


def test_bad_files_are_answered_kindly_and_the_server_goes_on(
    server, photos, tmp_path, capfd
):
    reasons = write_bad_files(tmp_path)
    files = {
        name: (tmp_path / name).read_bytes()
        for name in reasons
        if (tmp_path / name).exists()
    }
    assert len(files) > 30
    files["drawing.svg"] = b'<svg xmlns="http://www.w3.org/2000/svg"/>'
    files["page.html"] = b"<!DOCTYPE html><script>alert(1)</script>"
    for name, data in files.items():
        status, sentence = refused(server, data=data)
        assert status == 422, (name, sentence)
        assert sentence.startswith("This file "), name
    assert "is empty" in refused(server, data=b"")[1]
    bomb = black_png(12_000, pixels=False)
    assert "claims" in refused(server, data=bomb)[1]
    assert "not an image" in refused(server, data=files["page.html"])[1]
    assert ask(server, data=photos[0].read_bytes())[0] == 200
    assert capfd.readouterr().err == ""


def test_sizes_are_limited(server, photos):
    most = demo_server.LARGEST_UPLOAD
    status, sentence = refused(server, data=bytes(most + 1))
    assert (status, "at most 32 MB" in sentence) == (413, True)
    assert refused(server, data=bytes(most))[0] == 422
    # Not said, or said wrongly; chunks have no size.
    assert refused(server, data=None)[0] == 422  # http.client says 0
    # The head alone: a body that nobody reads could break the pipe.
    head = "POST /answer HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: "
    answer = raw(server, f"{head}chunked\r\n\r\n".encode())
    assert answer.startswith(b"HTTP/1.0 411 ")
    for size in ("-1", "x", "9" * 40, "1_0", "٣"):
        head = "POST /answer HTTP/1.1\r\nHost: localhost\r\nContent-Length: "
        answer = raw(server, f"{head}{size}\r\n\r\n".encode())
        assert answer.startswith(b"HTTP/1.0 411 "), size
    assert ask(server, data=photos[0].read_bytes())[0] == 200


def raw(server, data):
    """What the server says to bytes."""
    with socket.create_connection(server.server_address[:2]) as connection:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        parts = iter(lambda: connection.recv(2**16), b"")
        return b"".join(parts)


def test_what_is_no_http_and_who_hangs_up(server, photos, capfd):
    assert b"Traceback" not in raw(server, b"\x16\x03\x01\x02\0\x01\0\r\n\r\n")
    assert raw(server, b"") == b""
    answer = raw(server, b"BREW / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert answer.startswith(b"HTTP/1.0 501 ")
    assert b"<" not in answer.split(b"\r\n\r\n", 1)[1]
    head = b"POST /answer HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99"
    assert raw(server, head + b"\r\n\r\nabc") == b""  # 3 of 99 bytes
    with socket.create_connection(server.server_address[:2]) as connection:
        data = photos[0].read_bytes()
        size = str(len(data)).encode()
        connection.sendall(head[:-2] + size + b"\r\n\r\n" + data)
    assert ask(server, data=data)[0] == 200
    assert "Traceback" not in capfd.readouterr().err


def test_only_the_machine_itself_and_its_own_page(server, photos):
    data = photos[0].read_bytes()
    port = server.server_port
    for host in (
        "localhost",
        f"localhost:{port}",
        "LocalHost.:80",
        "127.0.0.1:1",
        "127.9.9.9",
        "[::1]:80",
    ):
        assert ask(server, "GET", "/", Host=host)[0] == 200, host
        assert ask(server, data=data, Host=host)[0] == 200, host
    for host in (
        "evil.example",
        f"evil.example:{port}",
        "127.evil.example",
        "localhost.evil.example",
        "0.0.0.0",
        "192.168.1.2",
        "[2001:db8::1]",
        "localhost:80:80",
        "localhost@evil.example",
        "127.1",
        "::1",
        "",
    ):
        for method, path in (
            ("GET", "/"),
            ("GET", "/facts"),
            ("POST", "/answer"),
        ):
            status, _ = refused(
                server, method=method, path=path, data=data, Host=host
            )
            assert status == 403, host
    own = f"http://127.0.0.1:{port}"
    assert ask(server, data=data, Origin=own)[0] == 200
    for origin in ("http://evil.example", "null", "http://127.0.0.1:1", ""):
        assert refused(server, data=data, Origin=origin)[0] == 403, origin
    for site in ("cross-site", "same-site", "none"):
        kwargs = {"data": data, "Sec_Fetch_Site": site}
        assert refused(server, **kwargs)[0] == 403, site


def test_names_of_a_page_for_others(monkeypatch):
    monkeypatch.setattr(socket, "gethostname", lambda: "Box")
    monkeypatch.setattr(socket, "getfqdn", lambda *_: "box.example.org.")
    own = "localhost", "box", "BOX:80", "Box.Example.org.:7860", "box.local"
    addresses = "127.0.0.1", "192.0.2.7:80", "[2001:db8::1]:7860", "0.0.0.0"
    strange = (
        "evil.example",
        "box.evil.example",
        "box.local.evil.example",
        "192.0.2.7.evil.example",
        "box.example.org..",
        "",
        "[box]",
        "[192.0.2.7",
        "192.0.2.7:80:80",
    )
    with serving(QuickDemo(), "0.0.0.0") as server:
        assert not server.is_local
        for host in (*own, *addresses):
            assert ask(server, "GET", "/", Host=host)[0] == 200, host
            origin = f"http://{host.lower()}"
            answer = ask(server, data=b"x", Host=host, Origin=origin)
            assert answer[0] == 200, host
        for host in strange:
            for method, path in (("GET", "/facts"), ("POST", "/answer")):
                status, sentence = refused(
                    server, method=method, path=path, data=b"x", Host=host
                )
                assert status == 403, host
                assert "by an address or a name of its machine" in sentence
        for lines in ("", "Host: box\r\nHost: box\r\n"):
            head = f"GET / HTTP/1.1\r\n{lines}\r\n".encode()
            assert raw(server, head).startswith(b"HTTP/1.0 403 "), lines
        refusal = {"Host": "box", "Origin": "http://192.0.2.7"}
        assert refused(server, data=b"x", **refusal)[0] == 403


def test_the_name_that_is_given_is_a_name(monkeypatch):
    real = socket.socket.bind
    monkeypatch.setattr(
        socket.socket, "bind", lambda s, to: real(s, ("127.0.0.1", to[1]))
    )
    with serving(QuickDemo(), "Demo.Test") as server:
        assert server.is_local
        assert server.address == f"http://Demo.Test:{server.server_port}/"
        for host in ("demo.test", "DEMO.test.:80", "localhost"):
            assert ask(server, "GET", "/", Host=host)[0] == 200, host
        assert refused(server, method="GET", Host="x.demo.test")[0] == 403


@pytest.mark.skipif(not socket.has_ipv6, reason="no IPv6")
def test_ipv6():
    for host, is_local in (("::1", True), ("::", False)):
        try:
            with serving(QuickDemo(), host) as server:
                assert server.is_local == is_local
                assert (
                    server.address == f"http://[{host}]:{server.server_port}/"
                )
                own = f"[::1]:{server.server_port}"
                answer = ask(
                    server, data=b"x", Host=own, Origin=f"http://{own}"
                )
                assert answer[0] == 200
                for name, status in (("evil.example", 403), ("[::2]", 200)):
                    status = 403 if is_local else status
                    assert ask(server, "GET", "/", Host=name)[0] == status
        except ValueError as error:  # a machine without
            pytest.skip(str(error))


def test_everything_else_is_refused(server):
    for path in ("/x", "/../cli.py", "//etc/passwd", "/demo.html", "/?a"):
        assert refused(server, method="GET", path=path)[0] == 404, path
        assert refused(server, path=path)[0] == 404, path
    assert refused(server, method="GET")[0] == 405
    for path in ("/", "/demo.js", "/facts"):
        assert refused(server, path=path)[0] == 405, path
        for method in ("PUT", "DELETE", "PATCH", "OPTIONS"):
            assert refused(server, method=method, path=path)[0] == 405
    assert ask(server, "HEAD", "/")[0] == 405


def test_pages_have_headers_that_keep_others_out(server):
    for path, kind in (
        ("/", "text/html"),
        ("/demo.js", "text/javascript"),
        ("/demo.css", "text/css"),
        ("/facts", "application/json"),
        ("/nothing", "application/json"),
    ):
        _, headers, _ = ask(server, "GET", path)
        assert headers["Content-Type"].startswith(kind)
        assert headers["X-Content-Type-Options"] == "nosniff"
        policy = headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "*" not in policy
        assert "Python" not in headers["Server"]
    facts = ask(server, "GET", "/facts")[2]
    text = f"cifar10_18pct, sees {COLOR_SIDE}×{COLOR_SIDE} pixels"
    assert facts["facts"] == [
        ["Network", text],
        ["3 classes", ", ".join(CLASSES)],
        ["Test accuracy", "0.7500 on 1,234 images"],
    ]


def test_many_at_once(run, server, photos):
    expected = dict(ka.iter_predictions(run, photos[0]).__next__().top)
    data = photos[0].read_bytes()
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        kinds = [data, b"no image"] * 10
        answers = list(pool.map(lambda each: ask(server, data=each), kinds))
    assert [status for status, *_ in answers] == [200, 422] * 10
    for _, _, answer in answers[::2]:
        for name, probability in answer["top"]:
            assert probability == pytest.approx(expected[name], abs=1e-6)


def test_too_many_at_once_are_told_so(server, photos):
    data = photos[0].read_bytes()
    most = demo_server.UPLOADS_AT_ONCE
    with concurrent.futures.ThreadPoolExecutor(most) as pool:
        with server.demo._lock:  # all wait for the network
            asked = [pool.submit(ask, server, data=data) for _ in range(most)]
            wait_until(lambda: len(server.uploads._taken) == most)
            wait_until(lambda: all(c.is_working for c in server.uploads._taken))
            status, _, answer = ask(server, data=data)
            assert (status, "try again" in answer["error"]) == (503, True)
            assert ask(server, "GET", "/facts")[0] == 200
        assert [each.result()[0] for each in asked] == [200] * most
    assert ask(server, data=data)[0] == 200


def wait_until(true, seconds=60):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)


class QuickDemo:
    """Answers at once, so that only the server takes time."""

    facts = ()

    def __init__(self, length=1):
        self.length = length

    def answer(self, data):
        return {"size": len(data), "text": "x" * self.length}


UPLOAD = b"POST /answer HTTP/1.1\r\nHost: localhost\r\n"
SLOW = {
    "idle": b"",
    "request line": b"GE",
    "header": b"GET / HTTP/1.1\r\nHost: local",
    "no body": UPLOAD + b"Content-Length: 33554432\r\n\r\n",
    "body": UPLOAD + b"Content-Length: 99\r\n\r\nabc",
    "expects": UPLOAD + b"Expect: 100-continue\r\nContent-Length: 99\r\n\r\n",
    "refused": b"POST /x HTTP/1.1\r\nHost: evil\r\nContent-Length: 9\r\n\r\n",
    "large": UPLOAD + b"Content-Length: 99999999\r\n\r\nabc",
}


@contextlib.contextmanager
def connected(server, count, start, rest=None):
    """Connections that send the start of a request, and stay."""
    with contextlib.ExitStack() as stack:
        made = []
        for _ in range(count):
            address = server.server_address[:2]
            made.append(stack.enter_context(socket.create_connection(address)))
            with contextlib.suppress(ConnectionError):
                made[-1].sendall(start)
        yield made


def timed(function, *args, **kwargs):
    start = time.monotonic()
    return function(*args, **kwargs), time.monotonic() - start


@pytest.mark.parametrize("start", SLOW.values(), ids=SLOW)
def test_who_is_slow_keeps_nobody_waiting(monkeypatch, start):
    monkeypatch.setattr(demo_server, "PATIENCE_SECONDS", 1000)
    monkeypatch.setattr(demo_server, "CONNECTIONS_AT_ONCE", 12)
    monkeypatch.setattr(demo_server, "UPLOADS_AT_ONCE", 3)
    before = set(threading.enumerate())  # a test before may still end some
    with serving(QuickDemo()) as server:
        with connected(server, 40, start):
            for _ in range(3):
                (status, *_), seconds = timed(ask, server, "GET", "/")
                assert (status, seconds < 2) == (200, True)
                (status, _, answer), seconds = timed(ask, server, data=b"abcd")
                assert (status, answer["size"]) == (200, 4)
                assert seconds < 2
                assert len({*threading.enumerate()} - before) <= 1 + 12
        wait_until(lambda: not server.connections._taken)
        assert not server.uploads._taken
    wait_until(lambda: not {*threading.enumerate()} - before)


def test_300_idle_connections():
    before, handles = threading.active_count(), len(os.listdir("/dev/fd"))
    most = demo_server.CONNECTIONS_AT_ONCE
    with (
        serving(QuickDemo()) as server,
        connected(server, 300, b"") as connections,
    ):
        (status, *_), seconds = timed(ask, server, data=b"abcd")
        assert (status, seconds < 2) == (200, True)
        assert threading.active_count() <= before + 1 + most
        assert len(os.listdir("/dev/fd")) <= handles + 300 + most + 9
        # Those that came first are gone, the last are still there.
        assert connections[0].recv(1) == b""
        connections[-1].sendall(b"GET /facts HTTP/1.0\r\n")
        connections[-1].sendall(b"Host: localhost\r\n\r\n")
        assert b" 200 OK" in connections[-1].recv(100)


@pytest.mark.parametrize("start", SLOW.values(), ids=SLOW)
def test_drops_of_bytes_buy_no_time(monkeypatch, start):
    monkeypatch.setattr(demo_server, "PATIENCE_SECONDS", 0.5)
    with (
        serving(QuickDemo()) as server,
        connected(server, 1, start) as (connection,),
    ):
        end = time.monotonic() + 10
        with contextlib.suppress(ConnectionError):
            while time.monotonic() < end:
                connection.sendall(b"1")
                connection.settimeout(0.1)
                with contextlib.suppress(TimeoutError):
                    if b"too slowly" not in connection.recv(2**16):
                        break
        # A header that is not at its end, or a body, after half a second.
        assert time.monotonic() < end - 7
        wait_until(lambda: not server.connections._taken)


def test_steady_senders_have_time(monkeypatch):
    monkeypatch.setattr(demo_server, "PATIENCE_SECONDS", 0.5)
    monkeypatch.setattr(demo_server, "SLOWEST", 1000)
    with (
        serving(QuickDemo()) as server,
        connected(server, 1, UPLOAD) as (connection,),
    ):
        connection.sendall(b"Content-Length: 6000\r\n\r\n")
        for _ in range(15):  # 1.5 seconds, three times the patience
            connection.sendall(bytes(400))
            time.sleep(0.1)
        connection.settimeout(5)
        assert b" 200 OK" in connection.recv(100)


def test_who_does_not_read_the_answer_has_no_place(monkeypatch):
    # On a busy machine ten seconds pass before the last of them is answered.
    monkeypatch.setattr(demo_server, "PATIENCE_SECONDS", 1000)
    monkeypatch.setattr(demo_server, "CONNECTIONS_AT_ONCE", 12)
    monkeypatch.setattr(demo_server, "UPLOADS_AT_ONCE", 2)
    start = UPLOAD + b"Content-Length: 3\r\n\r\nabc"
    with serving(QuickDemo(2**23)) as server:
        with connected(server, 6, start):
            wait_until(lambda: len(server.connections._taken) == 6)
            wait_until(lambda: not server.uploads._taken)
            assert len(server.connections._taken) == 6  # being sent to
            (status, *_), seconds = timed(ask, server, data=b"abcd")
            assert (status, seconds < 2) == (200, True)
        wait_until(lambda: not server.connections._taken)


def test_the_address_with_most_connections_loses_one():
    room = threading.Condition()
    places = demo_server._Places(3, room)

    class Client:
        is_cut = is_working = False

        def __init__(self, address, deadline):
            self.address, self.deadline = address, deadline

        def cut(self):
            self.is_cut = True
            threading.Thread(target=places.leave, args=(self,)).start()

    alone, first, second = Client("a", 1), Client("b", 3), Client("b", 2)
    for client in (alone, first, second, third := Client("c", 9)):
        assert places.enter(client)
    assert [c.is_cut for c in (alone, first, second)] == [False, False, True]
    assert places.enter(Client("d", 5))
    assert alone.is_cut  # of one connection each the slowest
    for client in (first, third):
        client.is_working = True
    (last,) = places._taken - {first, third}
    last.is_working = True
    assert not places.enter(Client("e", 9))


def test_heads_are_limited():
    with serving(QuickDemo()) as server:
        line = b"X: " + bytes(60_000).replace(b"\0", b"x") + b"\r\n"
        head = b"GET / HTTP/1.1\r\nHost: localhost\r\n"
        with connected(server, 1, head + 2 * line) as (connection,):
            connection.sendall(b"\r\n")
            assert b" 200 OK" in connection.recv(100)
        with connected(server, 1, head + 4 * line) as (connection,):
            assert b" 431 " in connection.recv(100)
        # What comes behind a request is not taken for another.
        answer = raw(server, 3 * (head + b"\r\n"))
        assert answer.count(b"HTTP/1.0 200") == 1


def test_the_end_waits_for_one_photo_only(run, photos):
    demo = Demo(run)
    data = photos[0].read_bytes()
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        with demo._lock:
            asked = [pool.submit(demo.answer, data) for _ in range(3)]
            end = pool.submit(demo.finish)
            wait_until(lambda: demo._is_finished)
        for each in asked:
            with pytest.raises(ConnectionAbortedError):
                each.result(timeout=20)
        end.result(timeout=20)


def test_what_nobody_thought_of_is_a_sentence_too(
    server, photos, monkeypatch, capsys
):
    def fail(data):
        raise RuntimeError("a\nb")

    monkeypatch.setattr(server.demo, "answer", fail)
    status, _, answer = ask(server, data=photos[0].read_bytes())
    assert status == 500
    assert "a b" not in answer["error"]
    assert capsys.readouterr().err == "keras-alexnet: RuntimeError: a b\n"


def test_command(run, photos, tmp_path):
    # A shell's background jobs ignore Ctrl-C, and so would their children.
    script = (
        "import signal, sys\nfrom keras_alexnet.cli.main import main\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "sys.exit(main(['demo', sys.argv[1], '--port', '0', *sys.argv[2:]]))"
    )
    data = photos[0].read_bytes()
    head = UPLOAD + f"Content-Length: {len(data)}\r\n\r\n".encode()
    for options, warns in (([], False), (["--host", "0.0.0.0"], True)):
        with subprocess.Popen(
            [sys.executable, "-c", script, str(run.folder), *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=tmp_path,
        ) as process:
            try:
                line = process.stdout.readline()
                port = int(re.match(r"http://[\d.]+:(\d+)/ ", line)[1])
                connection = http.client.HTTPConnection("127.0.0.1", port)
                with contextlib.closing(connection):
                    connection.request("POST", "/answer", data)
                    answer = json.load(connection.getresponse())
                assert len(answer["top"]) == 3
                with contextlib.ExitStack() as stack:
                    for start in (*SLOW.values(), *[head + data] * 20):
                        address = ("127.0.0.1", port)
                        other = socket.create_connection(address)
                        stack.enter_context(other).sendall(start)
                    process.send_signal(signal.SIGINT)
                    _, errors = process.communicate(timeout=20)
            finally:
                process.kill()
        assert process.returncode == 130
        assert ("warning: whoever can reach" in errors) == warns
        assert errors.endswith("keras-alexnet: interrupted\n")
        assert errors.count("\n") == 1 + warns
    assert list(tmp_path.iterdir()) == []


def test_mistakes_on_the_command_line(run, server, tmp_path, capsys):
    folder = str(run.folder)
    port = str(server.server_port)
    for words, sentence in (
        ([str(tmp_path)], "is not a run folder"),
        (["/nowhere"], "no file '/nowhere'"),
        ([folder, "--port", port], f"cannot be served at port {port}"),
        ([folder, "--host", "nobody.invalid"], "'nobody.invalid'"),
        ([folder, "--host", "a" * 70], "choose another --port"),
        ([folder, "--host", ""], "--host is empty"),
        ([folder, "--port", "65536"], "from 0 to 65,535"),
        ([folder, "--port", "x"], "from 0 to 65,535"),
    ):
        try:
            code = main(["demo", *words])
        except SystemExit as stop:
            code = stop.code
        errors = capsys.readouterr().err
        assert code == 2, words
        assert sentence in errors
        assert errors.count("\n") == 1


def luminance(color):
    """WCAG's relative luminance of #rrggbb."""
    values = np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    low = values <= 0.04045
    linear = np.where(low, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
    return linear @ [0.2126, 0.7152, 0.0722]


def test_contrast_is_enough_in_light_and_dark():
    assets = resources.files("keras_alexnet") / "assets"
    css = (assets / "demo.css").read_text()
    blocks = re.findall(r":root \{(.*?)\}", css, re.DOTALL)
    assert len(blocks) == 2
    for block in blocks:
        colors = dict(re.findall(r"--(\w+): (#\w{6});", block))

        def contrast(one, other, colors=colors):
            pair = [luminance(colors[name]) + 0.05 for name in (one, other)]
            return max(pair) / min(pair)

        for letters in ("ink", "quiet", "bad"):
            assert contrast(letters, "paper") >= 4.5, letters
        assert contrast("ink", "track") >= 4.5
        assert contrast("quiet", "track") >= 4.5  # while a photo is over it
        for bar in ("first", "other"):
            assert contrast(bar, "track") >= 3, bar
            assert contrast(bar, "paper") >= 3, bar
        assert contrast("line", "paper") >= 3


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("dark", [False, True])
def test_in_a_browser(run, server, photos, tmp_path, width, dark):
    bad = tmp_path / "<i>bad.jpg"
    bad.write_text("text")
    long = tmp_path / f"{'long' * 40}.png"
    long.write_bytes(photos[1].read_bytes())
    with open_browser(width, dark=dark) as driver:
        driver.get(server.address)
        wait = _waiter(driver)
        wait(lambda: "1,234 images" in driver.find_element("id", "facts").text)
        _check_basics(driver, width, dark)
        choose = driver.find_element("id", "photo").send_keys
        for file in (photos[0], bad, long, photos[2]):
            choose(str(file))
            status = driver.find_element("id", "status")
            wait(
                lambda file=file, status=status: status.text.startswith(
                    f"{file.name}: "
                )
            )
            if file is bad:
                text = status.text
                assert "This file is not an image that can be read" in text
                assert not driver.find_element("id", "result").is_displayed()
            else:
                _check_result(driver, wait, run, file)
            _check_basics(driver, width, dark)
        # Chromium itself notes each answer 4xx; nothing else is there.
        (entry,) = driver.get_log("browser")
        assert entry["source"] == "network"
        assert "/answer" in entry["message"]
        assert "422" in entry["message"]


def _waiter(driver):
    from selenium.webdriver.support.ui import WebDriverWait

    return lambda true: WebDriverWait(driver, 60).until(lambda _: true())


def _check_result(driver, wait, run, file):
    (expected,) = ka.predict(run, str(file))
    bars = driver.find_elements("css selector", "#top li")
    lines = [bar.text.splitlines() for bar in bars]
    shown = [[name, f"{100 * p:.1f} %"] for name, p in expected]
    assert lines == shown
    widths = driver.execute_script(
        "return [...document.querySelectorAll('.bar')].map(bar =>"
        "bar.clientWidth / bar.parentElement.clientWidth)"
    )
    np.testing.assert_allclose(widths, [p for _, p in expected], atol=0.01)
    for name in ("seen", "heat"):
        image = driver.find_element("id", name)
        wait(lambda image=image: image.get_property("naturalWidth") > 0)
        assert image.get_property("naturalWidth") >= 400
        assert image.is_displayed()
        assert image.get_attribute("alt")
    assert expected[0][0] in driver.find_element("id", "heat").get_attribute(
        "alt"
    )


def _check_basics(driver, width, dark):
    """What Lighthouse asks of a page, and that nothing leaves it sideways."""
    facts = driver.execute_script(
        "const all = (q) => [...document.querySelectorAll(q)];"
        "return {inner: innerWidth, wide: document.documentElement.scrollWidth,"
        "lang: document.documentElement.lang, title: document.title,"
        "h1: all('h1').length, labels: all('label').map(l => l.htmlFor),"
        "alts: all('img').every(i => i.hasAttribute('alt')),"
        "ids: all('[id]').map(e => e.id), injected: all('b, i').length,"
        "viewport: all('meta[name=viewport]').length,"
        "paper: getComputedStyle(document.body).backgroundColor,"
        "live: all('[role=status]').length,"
        "outside: performance.getEntriesByType('resource').filter("
        "r => !r.name.startsWith(location.origin)"
        " && !r.name.startsWith('data:')).length}"
    )
    assert facts["inner"] == width
    assert facts["wide"] <= width
    assert facts["lang"] == "en"
    assert facts["title"]
    assert facts["h1"] == facts["live"] == facts["viewport"] == 1
    assert facts["labels"] == ["photo"]
    assert facts["alts"]
    assert len(facts["ids"]) == len(set(facts["ids"]))
    assert facts["injected"] == facts["outside"] == 0
    assert facts["paper"] == (
        "rgb(23, 23, 27)" if dark else "rgb(255, 255, 255)"
    )


def test_keys_and_dropped_files_work_too(server, photos):
    with open_browser(1280) as driver:
        driver.get(server.address)
        wait = _waiter(driver)
        driver.execute_script("document.body.focus()")
        driver.switch_to.active_element.send_keys("\ue004")  # Tab
        focused = driver.switch_to.active_element
        assert focused.get_attribute("id") == "photo"
        outline = "return getComputedStyle(arguments[0]).outlineWidth"
        assert driver.execute_script(outline, focused) == "3px"
        data = base64.b64encode(photos[0].read_bytes()).decode()
        driver.execute_script(
            "const bytes = Uint8Array.from(atob(arguments[0]), c =>"
            " c.charCodeAt(0));"
            "const dataTransfer = new DataTransfer();"
            "dataTransfer.items.add(new File([bytes], 'dropped.png'));"
            "const drop = new DragEvent('drop',"
            " {dataTransfer, bubbles: true, cancelable: true});"
            "document.getElementById('drop').dispatchEvent(drop);",
            data,
        )
        status = driver.find_element("id", "status")
        wait(lambda: status.text.startswith("dropped.png: "))
        assert "%" in status.text
        # Too large for the server: said without sending it.
        driver.execute_script(
            "const dataTransfer = new DataTransfer();"
            "dataTransfer.items.add(new File([new Uint8Array(2 ** 25 + 1)],"
            " 'large.png'));"
            "window.dispatchEvent(new DragEvent('drop',"
            " {dataTransfer, cancelable: true}));"
        )
        wait(lambda: "at most 32 MB" in status.text)
        assert driver.get_log("browser") == []


def test_rotated_photos_are_read_as_everywhere(server):
    """A rotated photo is shown as it is stored, as the network saw it."""
    rotated = odd_files()["rotated.jpg"]
    plain = encoded(picture(), "JPEG")
    answers = [ask(server, data=data)[2] for data in (rotated, plain)]
    assert answers[0] == answers[1]
