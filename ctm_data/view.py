"""`view`: the page of a run on loopback, for runs that are too large for one file.

Only this machine can ask, only by a loopback name (so that no page from elsewhere reaches it under a name
of its own), and only to read: there is no method but GET and HEAD, and the connection behind it can read
the run and nothing else.
"""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from ctm_data.figures import overview
from ctm_data.pages.contents import Contents
from ctm_data.pages.html import page
from ctm_data.query import connect_fenced
from ctm_data.report import opened
from ctm_eval.errors import CtmError

LOOPBACK = "127.0.0.1"
MOST = 1000  # entries an answer
SILENT = 60  # seconds that a connection may say nothing


class Server:
    """The page of a run, served at `url`. `view` opens one."""

    def __init__(self, run: str | Path, port: int, compare: str | Path | None) -> None:
        self._stores = opened(run, compare)
        self._con = connect_fenced(*(store.folder for store in self._stores))
        self._contents = Contents(self._con, *self._stores, everything=True)
        self._page = page(self._contents.described()).encode()
        self._overview: bytes | None = None
        self._lock = threading.Lock()
        try:
            self._http = ThreadingHTTPServer((LOOPBACK, port), _handler(self))
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or error
            raise CtmError(
                f"cannot listen on port {port} ({reason}): give another --port, or none for a free one",
                usage=True,
            ) from error
        self.port = int(self._http.server_address[1])
        self.url = f"http://{LOOPBACK}:{self.port}/"
        self.hosts = {f"{name}:{self.port}" for name in (LOOPBACK, "localhost")}
        if self.port == 80:
            self.hosts |= {LOOPBACK, "localhost"}

    def serve(self) -> None:
        """Answers until `close`, or an interrupt."""
        self._http.serve_forever()

    def close(self) -> None:
        """Ends it."""
        self._http.shutdown()
        self._http.server_close()
        self._con.close()

    def answer(self, path: str, asked: dict[str, str]) -> tuple[str, bytes] | None:
        """The type and the content at an address; None if there is nothing. Raises CtmError, ValueError."""
        if path == "/":
            return "text/html; charset=utf-8", self._page
        if path == "/overview":
            return "application/json", self._figures()
        if path not in ("/list", "/entry") or asked.get("of") not in self._contents.lists:
            return None
        of = asked.pop("of")
        if path == "/entry":
            identity = asked.get("id", "")
            found: Any = self._contents.whole(of, [identity]).get(identity)
        else:
            start, count = int(asked.pop("from", 0)), int(asked.pop("count", 100))
            if not (0 <= start < 2**62 and 0 < count <= MOST):
                raise ValueError(f"from {start} count {count}")
            around = asked.pop("around", None)
            found = self._contents.listed(of, asked, start=start, count=count, around=around)
        return "application/json", json.dumps(found).encode()

    def _figures(self) -> bytes:
        """The figures of the whole run, made when they are first asked for."""
        with self._lock:
            if self._overview is None:
                with self._con.cursor() as con:
                    self._overview = json.dumps(overview(con, *self._stores)).encode()
            return self._overview


@contextmanager
def view(run: str | Path, *, port: int = 0, compare: str | Path | None = None) -> Iterator[Server]:
    """The page of a run folder on loopback, on a free port unless `port` is given.

    With `compare`, another run: the problems that both have. Raises CtmError if the run cannot be read or
    the port not be had.
    """
    server = Server(run, port, compare)
    thread = threading.Thread(target=server.serve, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.close()
        thread.join()


def _handler(server: Server) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        server_version, sys_version = "ctm", ""
        timeout = SILENT

        def do_GET(self) -> None:
            """Answers, to those who came by a loopback name."""
            if self.headers.get("Host") not in server.hosts:
                return self._send(421, "text/plain", b"this server answers to loopback names only")
            url = urlsplit(self.path)
            try:
                found = server.answer(url.path, dict(parse_qsl(url.query)))
            except CtmError as error:
                return self._send(400, "text/plain; charset=utf-8", str(error).encode())
            except ValueError:
                return self._send(400, "text/plain", b"that is no page of a list")
            if found is None:
                return self._send(404, "text/plain", b"there is nothing here")
            return self._send(200, *found)

        do_HEAD = do_GET

        def _send(self, status: int, kind: str, content: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.send_header("Cache-Control", "no-store")
            self.send_header("X-Content-Type-Options", "nosniff")
            self.send_header("X-Frame-Options", "DENY")
            self.send_header("Referrer-Policy", "no-referrer")
            self.send_header("Cross-Origin-Resource-Policy", "same-origin")
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            """Says nothing: a log of one's own clicks is of no use."""

    return Handler
