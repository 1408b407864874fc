"""What the synchronous and the asynchronous client share: settings, and a job as a document."""

from __future__ import annotations

import ipaddress
import logging
import ssl
from collections.abc import Mapping
from typing import Any

import httpx

from . import _html, _settings
from ._calls import TERMINAL, Cursor, Document, Patience
from ._errors import JobFailed
from ._version import __version__


class Settings:
    """How to reach the server, and how long to wait for it."""

    def __init__(
        self,
        server: str | None,
        token: str | None,
        timeout: float,
        patience: float,
        verify: bool | str | ssl.SSLContext,
    ) -> None:
        self.server, token, trust = _settings.find(server, token, verify)
        self.headers = {"User-Agent": f"modprop-python/{__version__}", "Accept": "application/json"}
        if token:
            self.headers["Authorization"] = f"Bearer {token}"
        self.timeout = httpx.Timeout(timeout, pool=None)
        self.patience_seconds = patience
        self.reached = False  # an answer has come at least once
        # No cap on connections: a program may follow any number of jobs at a time, each over a connection of its own.
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=20)
        self.http: dict[str, Any] = {
            "base_url": self.server,
            "headers": self.headers,
            "timeout": self.timeout,
            "limits": limits,
            # A path becomes a context that trusts the certificates in that file.
            "verify": ssl.create_default_context(cafile=trust) if isinstance(trust, str) else trust,
            "trust_env": not _is_loopback(
                httpx.URL(self.server).host
            ),  # a proxy of the environment has no way to this machine's own daemon
        }

    def delay(self, patience: Patience, error: Exception) -> float:
        """Seconds to sleep before the next try, or raises. A server that never answered is not waited for: the address
        is probably wrong."""
        return patience.wait(error, self.server, self.patience_seconds if self.reached else 0.0)


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class Captioned:
    """What the server keeps under an id, with a name, notes and tags: as it was when the client last heard of it."""

    def __init__(self, document: Document) -> None:
        self.document = document

    @property
    def id(self) -> str:
        """Its id on the server, a UUID that sorts by time."""
        return str(self.document["id"])

    @property
    def name(self) -> str | None:
        """Its name; `update` changes it, the notes and the tags."""
        return self.document.get("name")

    @property
    def notes(self) -> str:
        """What was noted of it; empty where that is nothing."""
        return str(self.document.get("notes") or "")

    @property
    def tags(self) -> list[str]:
        """Its tags."""
        return list(self.document.get("tags") or [])


class JobView(Captioned):
    """A job as it was when the client last heard of it."""

    @property
    def metadata(self) -> Mapping[str, Any]:
        """What it was submitted with as metadata; empty where that is nothing."""
        return self.document.get("metadata") or {}

    @property
    def seed(self) -> int:
        """What initial weights and trials were drawn from."""
        return int(self.document["seed"])

    @property
    def status(self) -> str:
        """queued, running, pausing, paused, cancelling, succeeded, failed or cancelled."""
        return str(self.document["status"])

    @property
    def outcome(self) -> str | None:
        """Of a job that succeeded: trained, or diverged where its loss ended above three times its loss at iteration
        0."""
        return self.document.get("outcome")

    @property
    def origin(self) -> Mapping[str, Any] | None:
        """Of a job made from another: kind ("extension" or "retry"), job, and of an extension iteration and
        weights_sha256 of the checkpoint that it continues from."""
        return self.document.get("origin")

    @property
    def finished(self) -> bool:
        """Whether it has succeeded, failed or been cancelled."""
        return self.status in TERMINAL

    @property
    def iterations(self) -> int | None:
        """How many iterations the job is to train for."""
        return (self.document.get("training") or {}).get("iterations")

    @property
    def iteration(self) -> int:
        """How many of them were done when the client last heard."""
        return int((self.document.get("progress") or {}).get("iteration") or 0)

    @property
    def loss(self) -> float | None:
        """The latest evaluation's."""
        return (self.document.get("metrics") or {}).get("loss")

    @property
    def accuracy(self) -> float | None:
        """The latest evaluation's, 0 to 1; None where the task has none."""
        return (self.document.get("metrics") or {}).get("accuracy")

    def __repr__(self) -> str:
        named = f" {self.name!r}" if self.name else ""
        standing = f"{self.status} ({self.outcome})" if self.outcome else self.status
        return f"<{type(self).__name__} {self.id}{named} {standing} {self.iteration}/{self.iterations}>"

    def _repr_html_(self) -> str:
        return _html.job(self)

    def __modprop_json__(self) -> dict[str, Any]:
        """What stands for the job in a request, as `network={"initial": job}` (_arrays.as_json)."""
        return {"job": self.id}

    def _learn(self, event: Document) -> None:
        """Takes what an event says of the job into the document."""
        if event.get("type") == "status":
            self.document["status"] = event.get("status", self.status)
            self.document["outcome"] = event.get("outcome")
        elif event.get("type") == "progress":
            self.document["metrics"] = {name: event.get(name) for name in ("loss", "accuracy")}
            self.document["progress"] = (self.document.get("progress") or {}) | {"iteration": event.get("iteration")}

    def _check(self) -> None:
        if self.status in ("failed", "cancelled"):
            raise JobFailed(self.document)

    def _label(self) -> str:
        rule = (self.document.get("rule") or {}).get("type")
        return self.name or f"{rule or self.id[:13]}, seed {self.seed}"

    def _say_queue(self) -> None:
        """Logs how many jobs start before this one, as last heard, so that nobody waits for it in silence."""
        ahead = self.document.get("queue_position")
        if self.status == "queued" and ahead:
            logging.getLogger("modprop").warning("job %s is queued, %d ahead", self.name or self.id, ahead)


def job_cursor(job: str, after: int | None) -> Cursor:
    return Cursor(f"/v1/jobs/{job}/events", "id", after)


def all_cursor(after: int | None) -> Cursor:
    return Cursor("/v1/events", "seq", after, endless=True)
