"""A server that answers as a test says: for what a sound daemon seldom does (a cut stream, a lost answer, a
proxy's error page).

Each path has a list of answers, given in order, the last again and again. An answer is a function of the request
handler.
"""

from __future__ import annotations

import contextlib
import http.server
import json
import threading
from collections.abc import Callable

Answer = Callable[["Handler"], None]


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    script: Script

    def handle_any(self) -> None:
        length = int(self.headers.get("Content-Length", 0))
        self.body = self.rfile.read(length)
        self.script.take(self)(self)

    do_GET = do_POST = do_PUT = do_DELETE = handle_any

    def log_message(self, *arguments: object) -> None:
        pass


class Script:
    """The answers by path; `requests` has (method, path with query, headers, body) of all that came."""

    def __init__(self) -> None:
        self.answers: dict[str, list[Answer]] = {}
        self.requests: list[tuple[str, str, dict[str, str], bytes]] = []
        handler = type("ScriptHandler", (Handler,), {"script": self})
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self.thread.start()

    def take(self, handler: Handler) -> Answer:
        self.requests.append((handler.command, handler.path, dict(handler.headers), handler.body))
        answers = self.answers[handler.path.partition("?")[0]]
        return answers.pop(0) if len(answers) > 1 else answers[0]

    def headers(self, path: str, name: str) -> list[str | None]:
        """The values of one header in all requests to a path."""
        return [headers.get(name) for _, where, headers, _ in self.requests if where.partition("?")[0] == path]

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


def reply(status: int, document: object = None, *, kind: str = "application/json", **headers: str) -> Answer:
    """A whole answer; `document` is sent as JSON, or as it is where it is bytes."""

    def answer(handler: Handler) -> None:
        body = b"" if document is None else document if isinstance(document, bytes) else json.dumps(document).encode()
        handler.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(body)), **headers}.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(body)

    return answer


def stream(*parts: bytes, cut: bool = False) -> Answer:
    """A chunked NDJSON stream; `cut`: the connection is lost where it should have ended."""

    def answer(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", "application/x-ndjson")
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        for part in parts:
            handler.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))
            handler.wfile.flush()
        if not cut:
            handler.wfile.write(b"0\r\n\r\n")
        handler.close_connection = True

    return answer


def hang(*parts: bytes) -> Answer:
    """A stream that stays open and silent after its parts, until the client goes away or 30 s pass."""

    def answer(handler: Handler) -> None:
        stream(*parts, cut=True)(handler)
        handler.connection.settimeout(30)
        with contextlib.suppress(OSError):
            handler.connection.recv(1)

    return answer


def vanish(handler: Handler) -> None:
    """The request arrives, its answer does not."""
    handler.close_connection = True
