"""The page of `keras-alexnet demo`, served by the standard library.

Whoever can reach the port may ask the network; web pages of others must not,
though the browser that shows them can reach a loopback address.
"""

import collections
import contextlib
import http.client
import http.server
import ipaddress
import json
import re
import socket
import sys
import threading
import time
from http import HTTPStatus
from importlib import resources

from keras_alexnet.data.decode import BadImageError
from keras_alexnet.terminal import say

LARGEST_UPLOAD = 32 * 2**20  # bytes; photos of phones have up to 20 MB
# Read and thrown away, since a browser that is cut off while it sends does not
# show the answer; but no longer than this, whatever comes.
MOST_DRAINED = 8 * LARGEST_UPLOAD
DRAIN_SECONDS = 30
CHUNK = 2**16
UPLOADS_AT_ONCE = 16  # so that their bytes take half a GB at most
CONNECTIONS_AT_ONCE = 128  # each has a thread
# Who is slower than this, in bytes a second, is borne for the patience only.
SLOWEST = 2**16
PATIENCE_SECONDS = 10
LARGEST_HEAD = 2**17  # bytes of the lines before an upload
HOST = re.compile(r"(\[[^\[\]]+\]|[^\[\]:]+)(?::[0-9]*)?")
FILES = {
    "/": ("demo.html", "text/html; charset=utf-8"),
    "/demo.css": ("demo.css", "text/css; charset=utf-8"),
    "/demo.js": ("demo.js", "text/javascript; charset=utf-8"),
}
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; "
    "style-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class _Client(socket.socket):
    """A connection on which bytes keep coming and going.

    Each byte buys a little time, up to the patience: a client that sends one
    now and then is cut off as soon as one that is silent.

    Attributes:
        address: Of whom it is from.
        deadline: When it is cut off if nothing comes.
        most: How many bytes are read from it at most.
    """

    def __init__(self, accepted, address):
        super().__init__(fileno=accepted.detach())
        self.address = address
        self.most = LARGEST_HEAD
        self.is_working = self.is_cut = False
        self.wait_anew()

    def wait_anew(self):
        """Have the whole patience again."""
        self.deadline = time.monotonic() + PATIENCE_SECONDS

    def cut(self):
        """End it from another thread; whoever waits for it wakes up."""
        self.is_cut = True
        with contextlib.suppress(OSError):
            self.shutdown(socket.SHUT_RDWR)

    def recv_into(self, *args):
        if self.most <= 0:
            raise http.client.LineTooLong("head")
        count = self._moved(super().recv_into, *args)
        self.most -= count
        return count

    def sendall(self, data):
        rest = memoryview(data)
        while rest:
            rest = rest[self._moved(self.send, rest[:CHUNK]) :]

    def _moved(self, function, *args):
        left = self.deadline - time.monotonic()
        if self.is_cut or left <= 0:
            raise TimeoutError("too slow")
        self.settimeout(left)
        count = function(*args)
        self.deadline = min(
            self.deadline + count / SLOWEST,
            time.monotonic() + PATIENCE_SECONDS,
        )
        return count


class _Places:
    """The clients that are served; if there are too many, one is cut off.

    It is the slowest of the address that has the most places. A client whose
    photo is being looked at, or waits for that, is not cut off.

    Args:
        most: Number of places.
        room: A `threading.Condition`, one for all places of a server.
    """

    def __init__(self, most, room):
        self._most, self._room = most, room
        self._taken = set()

    def enter(self, client):
        """Whether a client got a place."""
        with self._room:
            # A client that is cut off leaves at once; if not, the new one does.
            until = time.monotonic() + 1
            while len(self._taken) >= self._most:
                if not any(each.is_cut for each in self._taken):
                    slowest = self._slowest()
                    if slowest is None:
                        return False
                    slowest.cut()
                    self._room.notify_all()  # it may wait for a place itself
                left = until - time.monotonic()
                if client.is_cut or not self._room.wait(left):
                    return False
            self._taken.add(client)
            return True

    def leave(self, client):
        """Give a place back, if it was had."""
        with self._room:
            self._taken.discard(client)
            self._room.notify_all()

    def _slowest(self):
        count = collections.Counter(each.address for each in self._taken)
        return min(
            (each for each in self._taken if not each.is_working),
            key=lambda each: (-count[each.address], each.deadline),
            default=None,
        )


class DemoServer(http.server.ThreadingHTTPServer):
    """Serves the page of a network; `serve_forever` does it.

    Args:
        demo: A `Demo`.
        host: Name or address to listen at.
        port: Number of the port; 0 for any that is free.

    Attributes:
        address: What to open in a browser.
        is_local: Whether only this machine can reach it.

    Raises:
        ValueError: if the address cannot be had.
    """

    daemon_threads = True
    request_queue_size = CONNECTIONS_AT_ONCE

    def __init__(self, demo, host, port):
        self.demo = demo
        self.room = threading.Condition()
        self.connections = _Places(CONNECTIONS_AT_ONCE, self.room)
        self.uploads = _Places(UPLOADS_AT_ONCE, self.room)
        assets = resources.files("keras_alexnet") / "assets"
        self.files = {
            path: ((assets / name).read_bytes(), kind)
            for path, (name, kind) in FILES.items()
        }
        if not host:  # a shell's variable that is not set
            raise ValueError(
                "--host is empty; name an address, or leave it out."
            )
        if ":" in host:
            self.address_family = socket.AF_INET6
        try:
            super().__init__((host, port), _Handler)
        except (OSError, UnicodeError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise ValueError(
                f"The page cannot be served at port {port} of {host!r}: "
                f"{reason}; choose another --port (0 for any that is free) "
                "or --host."
            ) from error
        bound = ipaddress.ip_address(self.server_address[0])
        self.is_local = bound.is_loopback
        self.names = {"localhost", _plain_name(host)}
        if not self.is_local:
            self.names |= _own_names()
        name = f"[{host}]" if ":" in host else host
        self.address = f"http://{name}:{self.server_port}/"

    def get_request(self):
        accepted, address = super().get_request()
        return _Client(accepted, address[0]), address

    def process_request(self, request, client_address):
        if self.connections.enter(request):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def shutdown_request(self, request):
        super().shutdown_request(request)
        self.connections.leave(request)

    def is_asked_for(self, host):
        """Whether a `Host` header names this machine, whatever its port.

        Nobody can point an address to another machine, as a name can be; and
        from outside a machine may have one that it does not know.
        """
        found = HOST.fullmatch(host)
        if not found:
            return False
        name = _plain_name(found[1])
        if name in self.names:
            return True
        try:
            address = ipaddress.ip_address(name.strip("[]"))
        except ValueError:
            return False
        return address.is_loopback or not self.is_local

    def handle_error(self, request, client_address):
        """A line in place of a traceback; none for those who hung up."""
        error = sys.exc_info()[1]
        # Of a connection, or of looking at a photo when the demo ends.
        expected = ConnectionError if request is None else OSError
        if not isinstance(error, expected):
            text = " ".join(f"{type(error).__name__}: {error}".split())
            say(f"keras-alexnet: {text}", file=sys.stderr)

    @contextlib.contextmanager
    def working(self, client):
        """While the network works for a client, it is not cut off.

        Raises:
            ConnectionAbortedError: if it already was.
        """
        with self.room:
            if client.is_cut:
                raise ConnectionAbortedError
            client.is_working = True
        try:
            yield
        finally:
            with self.room:
                client.is_working = False
                client.wait_anew()


class _Handler(http.server.BaseHTTPRequestHandler):
    """Answers one request.

    What is refused is answered with JSON, its `error` a sentence.
    """

    server_version, sys_version = "keras_alexnet", ""

    def do_GET(self):
        if not self._is_meant_for_us():
            return
        if self.path == "/facts":
            facts = {
                "facts": self.server.demo.facts,
                "largest_upload": LARGEST_UPLOAD,
            }
            self._send_json(HTTPStatus.OK, facts)
        elif self.path in self.server.files:
            self._send(HTTPStatus.OK, *self.server.files[self.path])
        elif self.path == "/answer":
            self._refuse_method()
        else:
            self._refuse(HTTPStatus.NOT_FOUND, "There is no such page.")

    def do_POST(self):
        if not self._is_meant_for_us():
            return
        if self.path != "/answer":
            known = self.path in (*self.server.files, "/facts")
            if known:
                self._refuse_method()
            else:
                self._refuse(HTTPStatus.NOT_FOUND, "There is no such page.")
        elif not self._is_of_our_page():
            text = "Only the page itself may send photos."
            self._refuse(HTTPStatus.FORBIDDEN, text)
        else:
            self._answer()

    def _refuse_method(self):
        text = f"{self.command} is not possible here."
        self._refuse(HTTPStatus.METHOD_NOT_ALLOWED, text)

    do_HEAD = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = _refuse_method

    def _answer(self):
        size = self._size()
        if size is None:
            text = "The size of the file is not said."
            self._refuse(HTTPStatus.LENGTH_REQUIRED, text)
            return
        if size > LARGEST_UPLOAD:
            text = (
                f"This file has {size / 2**20:,.0f} MB; at most "
                f"{LARGEST_UPLOAD // 2**20} MB are taken."
            )
            self._refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, text)
            return
        if not self.server.uploads.enter(self.connection):
            text = "Too many photos are being looked at; try again."
            self._refuse(HTTPStatus.SERVICE_UNAVAILABLE, text)
            return
        try:
            answer = self._looked_at(size)
        finally:  # also before it is sent: who does not read has no place
            self.server.uploads.leave(self.connection)
        if answer:
            self._send_json(*answer)

    def _looked_at(self, size):
        """Status and JSON for a file of so many bytes that is still to come;
        `None` if whoever sends it hangs up."""
        self.connection.most = size + 1
        try:
            data = self.rfile.read(size)
        except TimeoutError:
            self.connection.wait_anew()
            return 408, {"error": "The file came too slowly."}
        if len(data) < size:
            return None
        with self.server.working(self.connection):
            try:
                return HTTPStatus.OK, self.server.demo.answer(data)
            except BadImageError as error:
                text, status = f"This file {error}.", 422
            except Exception:  # what we did not think of must not be silent
                self.server.handle_error(None, self.client_address)
                text, status = "The network could not look at this file.", 500
        return status, {"error": text}

    def _size(self):
        text = self.headers.get("Content-Length", "")
        digits = text.isascii() and text.isdecimal() and len(text) < 16
        return int(text) if digits else None

    def _is_meant_for_us(self):
        """Whether the browser asked for a name of this machine.

        A page of others may point its own name to 127.0.0.1 (DNS rebinding),
        and would then count as the same origin.
        """
        hosts = self.headers.get_all("Host", [])
        if len(hosts) == 1 and self.server.is_asked_for(hosts[0].strip()):
            return True
        text = "This page is served to the machine itself only."
        if not self.server.is_local:
            text = "Ask for this page by an address or a name of its machine."
        self._refuse(HTTPStatus.FORBIDDEN, text)
        return False

    def _is_of_our_page(self):
        """Whether no page of others sends this; programs name no origin."""
        own = f"http://{self.headers['Host'].strip()}".lower()
        return (
            self.headers.get("Origin", own).lower() == own
            and self.headers.get("Sec-Fetch-Site", "same-origin")
            == "same-origin"
        )

    def _refuse(self, status, text):
        """Answer without what was sent, but not before it is sent."""
        left = min(self._size() or 0, MOST_DRAINED)
        self.connection.most = left + 1
        until = time.monotonic() + DRAIN_SECONDS
        while left > 0 and time.monotonic() < until:
            chunk = self.rfile.read(min(left, CHUNK))
            if not chunk:
                return
            left -= len(chunk)
        self._send_json(status, {"error": text})

    def send_error(self, code, message=None, explain=None):
        """For what the standard library refuses: no page of its own."""
        text = message or HTTPStatus(code).phrase
        self._send_json(code, {"error": f"{text}."})

    def _send_json(self, status, value):
        self._send(status, json.dumps(value).encode(), "application/json")

    def _send(self, status, body, kind):
        self.send_response(status)
        for name, value in HEADERS.items():
            self.send_header(name, value)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_):
        """The terminal shows the address, not every request."""


def _plain_name(name):
    """Case does not count, nor the dot behind a name that is complete."""
    return name.lower().removesuffix(".")


def _own_names():
    """What this machine is called, by itself and in its network."""
    names = {
        _plain_name(name) for name in (socket.gethostname(), socket.getfqdn())
    }
    return names | {f"{name.partition('.')[0]}.local" for name in names}
