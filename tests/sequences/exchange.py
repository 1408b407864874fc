"""One HTTP request on a connection of its own, whole or hung up on in the midst."""

import http.client
import json
import socket
import time

PATIENCE = 180  # seconds: the machine may be busy and the daemon sanitized; what takes longer hangs


class Cut(Exception):
    """No answer: the connection broke, by the daemon's end. What was asked may have happened or not."""


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    def json(self):
        return json.loads(self.body)

    def lines(self):
        return [json.loads(line) for line in self.body.splitlines() if line.strip()]


def head_of(method, path, port, headers, size):
    lines = [f"{method} {path} HTTP/1.1", f"Host: localhost:{port}", "Connection: close"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    lines += [f"Content-Length: {size}"] if size is not None else []
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def ask(port, method, path, body=None, headers=None):
    """The answer to a whole request. Cut where there is none, TimeoutError where it does not come."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    try:
        connection.request(method, path, body, {"Connection": "close"} | (headers or {}))
        answer = connection.getresponse()
        return Answer(answer.status, answer.headers, answer.read())
    except TimeoutError:
        raise
    except (OSError, http.client.HTTPException) as reason:
        raise Cut(str(reason)) from None
    finally:
        connection.close()


def hang_up(port, method, path, body, headers, sent, read):
    """Sends the share `sent` of the request, waits for `read` bytes of the answer, and is gone."""
    message = head_of(method, path, port, headers, None if body is None else len(body)) + (body or b"")
    count = len(message) if sent >= 1 else int(len(message) * sent)
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
            connection.sendall(message[:count])
            end = None  # of a stream that has begun and has no more to say: whoever reads it is gone some time, too
            while read > 0 and (end is None or time.monotonic() < end) and (got := connection.recv(read)):
                read -= len(got)
                end = end or time.monotonic() + 5
    except TimeoutError:
        raise
    except OSError as reason:
        raise Cut(str(reason)) from None
