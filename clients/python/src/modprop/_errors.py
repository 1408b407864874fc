"""What can go wrong, as exceptions whose text a person can act on.

Every exception of this package is a `ModpropError`. An answer that is no success becomes a `ProblemError` (RFC 9457),
or one of its subclasses where a program is likely to treat that answer in its own way. Its text names every bad field,
one a line.
"""

from __future__ import annotations

import dataclasses
import email.utils
import json
import time
from typing import Any

import httpx


class ModpropError(Exception):
    """Base of everything that this package raises on purpose."""


class ServerUnreachable(ModpropError):
    """No answer from the server within the client's patience; the text says what was tried."""


class BadAnswer(ModpropError):
    """The server answered with something that the contract does not know: it is no modpropd, or one of another
    version."""


class WeightsCorrupt(ModpropError):
    """The weights that arrived do not have the SHA-256 that the server stated."""


class JobFailed(ModpropError):
    """The job ended as `failed` or `cancelled`.

    `document` is the job as the server holds it; `code` is its error's code (such as `diverged`), None where it was
    cancelled.
    """

    def __init__(self, document: dict[str, Any]) -> None:
        self.document = document
        error = document.get("error") or {}
        self.code: str | None = error.get("code") if isinstance(error, dict) else None
        reason = (
            (error.get("detail") or error.get("message") or error.get("code"))
            if isinstance(error, dict)
            else str(error)
        )
        status = document.get("status", "failed")
        super().__init__(
            f"job {document.get('id')} {'was cancelled' if status == 'cancelled' else status}"
            + (f": {reason}" if reason else "")
        )


@dataclasses.dataclass(frozen=True)
class FieldProblem:
    """One bad field: `pointer` is its JSON Pointer in the request's body, `detail` a sentence that states the
    constraint."""

    pointer: str
    detail: str

    def __str__(self) -> str:
        return f"{self.pointer or '(the body)'} {self.detail}"


class ProblemError(ModpropError):
    """The server refused: `status` (HTTP), `title`, `detail`, and for bad input `errors`, every bad field at once.

    `retry_after` is the number of seconds after which the server asks to try again, where it says so.
    """

    def __init__(self, response: httpx.Response) -> None:
        problem = _problem(response)
        self.status = response.status_code
        self.type: str = _text(problem.get("type"), "about:blank")
        self.title: str = _text(problem.get("title"), response.reason_phrase)
        self.detail: str = _text(problem.get("detail"), "")
        self.errors: tuple[FieldProblem, ...] = tuple(
            FieldProblem(_text(e.get("pointer"), ""), _text(e.get("detail"), ""))
            for e in problem.get("errors") or ()
            if isinstance(e, dict)
        )
        self.document: dict[str, Any] = problem
        self.retry_after = _retry_after(response)
        head = f"{self.status} {self.title}" + (f": {self.detail}" if self.detail and self.detail != self.title else "")
        super().__init__("\n".join([head, *(f"  {error}" for error in self.errors)]))


class InvalidRequest(ProblemError):
    """400 or 422: the body, or fields in it, break the contract; see `errors`."""


class NotAllowed(ProblemError):
    """401 or 403: the token is missing, unknown or lacks the right."""


class NotFound(ProblemError):
    """404: there is no such job, dataset or iteration."""


class Conflict(ProblemError):
    """409: not in the job's present state, such as weights before the first checkpoint."""


class Unavailable(ProblemError):
    """429, 502, 503 or 504: not now; the client has tried again for as long as its patience lasts."""


_CLASSES: dict[int, type[ProblemError]] = {
    400: InvalidRequest, 422: InvalidRequest, 401: NotAllowed, 403: NotAllowed, 404: NotFound, 409: Conflict,
    429: Unavailable, 502: Unavailable, 503: Unavailable, 504: Unavailable,
}  # fmt: skip


def problem_from(response: httpx.Response) -> ProblemError:
    """The exception for an answer of 400 or more, whose body has been read."""
    return _CLASSES.get(response.status_code, ProblemError)(response)


def _problem(response: httpx.Response) -> dict[str, Any]:
    """The problem document, or one made of whatever came: a proxy in between may answer in HTML."""
    try:
        document = json.loads(response.content)
    except ValueError:
        document = None
    if isinstance(document, dict):
        return document
    return {"detail": response.text.strip()[:200]}


def _text(value: object, otherwise: str) -> str:
    return value if isinstance(value, str) else otherwise


def _retry_after(response: httpx.Response) -> float | None:
    """`Retry-After` in seconds; it may be a number or a date."""
    value = response.headers.get("Retry-After", "")
    if value.isdigit():
        return float(value)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except (TypeError, ValueError):
        return None
