"""The page of `keras-alexnet demo`, served by the standard library.

Whoever can reach the port may ask the network; web pages of others must not,
though the browser that shows them can reach a loopback address.
"""

import http.server
import ipaddress
import json
import socket
import sys
import threading
from http import HTTPStatus
from importlib import resources

from keras_alexnet.reading import BadImageError

LARGEST_UPLOAD = 32 * 2**20  # bytes; photos of phones have up to 20 MB
# Read and thrown away, since a browser that is cut off while it sends does not
# show the answer.
MOST_DRAINED = 8 * LARGEST_UPLOAD
CHUNK = 2**16
UPLOADS_AT_ONCE = 16  # so that their bytes take half a GB at most
PATIENCE_SECONDS = 30  # with a connection on which nothing comes
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

    def __init__(self, demo, host, port):
        self.demo = demo
        self.uploads = threading.BoundedSemaphore(UPLOADS_AT_ONCE)
        assets = resources.files("keras_alexnet") / "assets"
        self.files = {
            path: ((assets / name).read_bytes(), kind)
            for path, (name, kind) in FILES.items()
        }
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
        name = f"[{host}]" if ":" in host else host
        self.address = f"http://{name}:{self.server_port}/"

    def handle_error(self, request, client_address):
        """A line in place of a traceback; none for those who hung up."""
        error = sys.exc_info()[1]
        if not isinstance(error, ConnectionError | TimeoutError):
            text = " ".join(f"{type(error).__name__}: {error}".split())
            print(f"keras-alexnet: {text}", file=sys.stderr)


class _Handler(http.server.BaseHTTPRequestHandler):
    """Answers one request.

    What is refused is answered with JSON, its `error` a sentence.
    """

    timeout = PATIENCE_SECONDS
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
        elif not self.server.uploads.acquire(blocking=False):
            text = "Too many photos are being looked at; try again."
            self._refuse(HTTPStatus.SERVICE_UNAVAILABLE, text)
        else:
            try:
                self._answer()
            finally:
                self.server.uploads.release()

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
        data = self.rfile.read(size)
        if len(data) < size:
            return  # whoever sent it has hung up
        try:
            answer = self.server.demo.answer(data)
        except BadImageError as error:
            text = f"This file {error}."
            self._send_json(HTTPStatus.UNPROCESSABLE_ENTITY, {"error": text})
        except Exception:  # what we did not think of must not end in silence
            self.server.handle_error(None, self.client_address)
            text = "The network could not look at this file."
            self._send_json(HTTPStatus.INTERNAL_SERVER_ERROR, {"error": text})
        else:
            self._send_json(HTTPStatus.OK, answer)

    def _size(self):
        text = self.headers.get("Content-Length", "")
        digits = text.isascii() and text.isdecimal() and len(text) < 16
        return int(text) if digits else None

    def _is_meant_for_us(self):
        """Whether the browser asked for a name of this machine.

        A page of others may point its own name to 127.0.0.1 (DNS rebinding),
        and would then count as the same origin.
        """
        if not self.server.is_local:
            return True
        if _is_loopback(self.headers.get("Host", "")):
            return True
        text = "This page is served to the machine itself only."
        self._refuse(HTTPStatus.FORBIDDEN, text)
        return False

    def _is_of_our_page(self):
        """Whether no page of others sends this; programs name no origin."""
        own = f"http://{self.headers.get('Host', '')}"
        return (
            self.headers.get("Origin", own) == own
            and self.headers.get("Sec-Fetch-Site", "same-origin")
            == "same-origin"
        )

    def _refuse(self, status, text):
        """Answer without what was sent, but not before it is sent."""
        left = min(self._size() or 0, MOST_DRAINED)
        while left > 0:
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


def _is_loopback(host):
    """Whether a `Host` header names this machine, whatever its port."""
    name, _, port = host.rpartition(":")
    name = name if port.isdecimal() else host
    if name.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(name.strip("[]")).is_loopback
    except ValueError:
        return False
