"""The calls of the contract, without any input or output.

A `Call` says what to send and how to read the answer. `Client` and `AsyncClient` only carry calls out, so each call is
written once and both clients do the same. Every call here may be sent twice without harm: submissions carry an
`Idempotency-Key`, the others are idempotent by their nature. That is what lets a client try again after a lost
connection without asking.

Rejected: generating one client's source from the other's (a build step for a few hundred lines), and running the
asynchronous one inside the synchronous (no notebook allows a second event loop in its thread).
"""

from __future__ import annotations

import dataclasses
import json
import math
import random
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from types import EllipsisType
from typing import Any, Generic, TypedDict, TypeVar
from urllib.parse import quote

import httpx

from ._analyses import Analysis
from ._arrays import as_json, dataset_arrays, dataset_bytes, dataset_name, weights_bytes
from ._errors import BadAnswer, ModpropError, ServerUnreachable, Unavailable, problem_from
from ._results import Checkpoint, Dataset, Evaluation, Gradients, Metrics, Simulation, Spectrum, View, Weights
from ._spelled import check_known
from .parameters import Network, Optimizer, Rule, Task, Training

T = TypeVar("T")
Document = dict[str, Any]

WAIT_SECONDS = 60  # one `?wait=` request; longer waits are several
STREAM_SILENCE_SECONDS = (
    50.0  # after that much silence a stream is opened anew: one that is dead looks like a quiet one
)
ID_CHARACTERS = 36
KEEP = "keep"  # for a parameter whose None means something
TERMINAL = frozenset({"succeeded", "failed", "cancelled"})
EXPERIMENT_FINAL = frozenset({"complete", "complete_with_failures", "cancelled"})


@dataclasses.dataclass(frozen=True)
class Call(Generic[T]):
    """One request. `body` is sent as JSON, `content` as it is; `seconds` is how much longer than usual the answer may
    take."""

    method: str
    path: str
    parse: Callable[[httpx.Response], T]
    params: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    body: Any = None
    content: bytes | None = None
    headers: Mapping[str, str] = dataclasses.field(default_factory=dict)
    seconds: float = 0.0

    def arguments(self, timeout: httpx.Timeout) -> dict[str, Any]:
        """What httpx's `request` takes beside method and URL."""
        arguments: dict[str, Any] = {
            "params": {k: v for k, v in self.params.items() if v is not None},
            "headers": dict(self.headers),
        }
        if self.content is not None:
            arguments["content"] = self.content
            arguments["headers"]["Content-Type"] = "application/octet-stream"
        elif self.body is not None:
            arguments["json"] = self.body
        if self.seconds:
            read = None if timeout.read is None else timeout.read + self.seconds
            arguments["timeout"] = httpx.Timeout(timeout.connect, read=read, write=timeout.write, pool=timeout.pool)
        return arguments

    def result(self, response: httpx.Response, again: bool) -> T:
        """The parsed answer; raises what an error answer stands for. `again`: the call had been sent before, its answer
        was lost."""
        if response.is_error and not (again and self.method == "DELETE" and response.status_code == 404):
            raise problem_from(response)
        try:
            return self.parse(response)
        except (KeyError, TypeError, ValueError) as error:
            raise BadAnswer(
                f"{self.method} {response.url}: the answer is not what the contract says ({type(error).__name__}: "
                f"{error})"
            ) from error


class Patience:
    """When to try again: after 0.1 s, then ever later up to 5 s, or when the server asks for it, until too long has
    passed without an answer.

    The waits are spread at random by half, so that many clients of a restarted server do not come back in step.
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """An answer came: count from here."""
        self.since = time.monotonic()
        self.delay = 0.1

    def wait(self, error: Exception, where: str, seconds: float) -> float:
        """Seconds to sleep before the next try; raises `error` (a transport's as ServerUnreachable) where patience, of
        `seconds`, has ended."""
        asked = error.retry_after if isinstance(error, Unavailable) else None
        delay = asked if asked is not None else self.delay * random.uniform(0.5, 1.0)
        waited = time.monotonic() - self.since
        if waited + delay > seconds:
            if isinstance(error, ModpropError):
                raise error
            tried = f" (tried for {waited:.0f} s)" if waited > 1 else ""
            raise ServerUnreachable(
                f"no answer from {where}{tried}: {str(error) or type(error).__name__}. Is modpropd running there? "
                "(modpropd --data DIR starts one)"
            ) from error
        self.delay = min(5.0, 2 * self.delay)
        return delay


class Cursor:
    """Where a reader of an event stream stands: turns bytes into events, each exactly once, over any number of
    connections.

    `path` is the stream's; `key` the member that numbers its events (`id` within one job, `seq` in the stream of all
    jobs).
    """

    def __init__(self, path: str, key: str, after: int | None, endless: bool = False) -> None:
        self.path = path
        self.key = key
        self.last = after
        self.endless = endless
        self.ended = False
        self._rest = b""

    def headers(self) -> dict[str, str]:
        """The request's headers for the next connection; forgets a line that the last one left unfinished."""
        self._rest = b""
        headers = {"Accept": "application/x-ndjson"}
        if self.last is not None:
            headers["Last-Event-ID"] = str(self.last)
        return headers

    def feed(self, data: bytes) -> list[Document]:
        """The events that `data` completes. Lines end in LF alone: text in an event may hold other separators that
        Python would split at."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        return [event for line in lines if line.strip() for event in self._take(line)]

    def _take(self, line: bytes) -> list[Document]:
        try:
            event = json.loads(line)
            number = int(event[self.key])
        except (KeyError, TypeError, ValueError) as error:
            raise BadAnswer(f"{self.path}: a line of the stream is not an event: {line[:200]!r}") from error
        if self.last is not None and number <= self.last:
            return []
        self.last = number
        self.ended = not self.endless and is_terminal(event)
        return [event]


def stream_timeout(usual: httpx.Timeout, end: float | None) -> httpx.Timeout:
    """How long to wait for a stream's next byte: not beyond the moment `end` (of time.monotonic)."""
    left = STREAM_SILENCE_SECONDS if end is None else max(0.05, end - time.monotonic())
    read = min(STREAM_SILENCE_SECONDS, left)
    return httpx.Timeout(connect=usual.connect, read=read, write=usual.write, pool=usual.pool)


def has_passed(end: float | None) -> bool:
    """Whether the moment `end` (of time.monotonic) has passed."""
    return end is not None and time.monotonic() >= end


class IdSearch:
    """Finds the job (or, with `of`, the experiment) that a word means: an id, the beginning of one as the command line
    prints it, or "latest".

    `path` is the page to read next, None once `found` is known. A word that fits no job is left to the server, which
    answers 404.
    """

    def __init__(self, word: str, of: str = "job") -> None:
        self.word = word
        self.of = of
        self.found: str = word
        self.seen: list[str] = []
        is_beginning = 0 < len(word) < ID_CHARACTERS and set(word) <= set("0123456789abcdefABCDEF-")
        self.open = word == "latest" or is_beginning
        self.after: str | None = None

    def page(self) -> Call[Document]:
        """The page to read next."""
        params = {"limit": 1 if self.word == "latest" else 100, "after": self.after}
        return Call("GET", f"/v1/{self.of}s", json_of, params=params)

    def take(self, page: Document) -> None:
        """Looks through a page. Ids sort by time and the list is newest first, so a smaller id ends the search."""
        ids = [str(listed["id"]) for listed in page[f"{self.of}s"]]
        if self.word == "latest":
            ids = ids[:1]
        beginning = "" if self.word == "latest" else self.word.lower()
        self.seen += [id for id in ids if id.startswith(beginning)]
        self.after = page.get("next")
        passed = any(id[: len(beginning)] < beginning for id in ids)
        self.open = self.word != "latest" and self.after is not None and not passed and len(self.seen) < 2
        if len(self.seen) > 1:
            raise ValueError(
                f"more than one {self.of} begins with {self.word!r}: {self.seen[0]}, {self.seen[1]}, ..; give more of "
                "the id"
            )
        self.found = self.seen[0] if self.seen else self.word


def stream_ended() -> httpx.TransportError:
    """For a stream that ends in good order before its last event: the daemon stops, or a proxy cut it. It is as good as
    a lost connection, and tried again after a pause like one."""
    return httpx.RemoteProtocolError("the stream ended before the job did")


def is_terminal(event: Mapping[str, Any]) -> bool:
    """Whether nothing follows this event of its job or, for now, of its experiment."""
    kind, status = event.get("type"), event.get("status")
    if kind == "experiment":
        return status == "deleted" or status in EXPERIMENT_FINAL
    return kind == "deleted" or (kind == "status" and status in TERMINAL)


def specification(kind: str | Mapping[str, Any] | None) -> Document | None:
    """`"modprop"` and `{"type": "modprop"}` mean the same."""
    if kind is None:
        return None
    if not isinstance(kind, (str, Mapping)):
        raise TypeError(f'a name such as "modprop" or a mapping with "type" is due, not {type(kind).__name__}')
    return {"type": kind} if isinstance(kind, str) else dict(kind)


def job_document(
    *,
    task: str | Task | Dataset,
    rule: str | Rule | None = None,
    network: Network | None = None,
    optimizer: str | Optimizer | None = None,
    training: Training | None = None,
    seed: int | None = None,
    name: str | None = None,
    notes: str | None = None,
    tags: Sequence[str] | None = None,
    metadata: Mapping[str, Any] | None = None,
    threads: int | None = None,
    priority: int | None = None,
    time_limit: int | None = None,
) -> Document:
    """The body of a submission; what is None is left out, so that the server's default holds."""
    parts: Document = {
        "name": name,
        "notes": notes,
        "tags": None if tags is None else tag_list(tags),
        "metadata": metadata,
        "seed": seed,
        "threads": threads,
        "priority": priority,
        "time_limit": time_limit,
        "task": task.task if isinstance(task, Dataset) else specification(task),
        "network": network,
        "rule": specification(rule),
        "optimizer": specification(optimizer),
        "training": training,
    }
    return {key: value for key, value in parts.items() if value is not None}


def json_of(response: httpx.Response) -> Document:
    document = response.json()
    if not isinstance(document, dict):
        raise TypeError(f"a JSON object is due, not {type(document).__name__}")
    return document


def _listed(member: str) -> Callable[[httpx.Response], list[Document]]:
    def parse(response: httpx.Response) -> list[Document]:
        document = response.json()
        return list(document[member] if isinstance(document, dict) else document)

    return parse


def _nothing(response: httpx.Response) -> None:
    del response


def _job(job: str, rest: str = "") -> str:
    return f"/v1/jobs/{quote(job, safe='')}{rest}"


def submit(document: Mapping[str, Any], key: str | None) -> Call[Document]:
    body = as_json(document)
    return Call(
        "POST", "/v1/jobs", json_of, body=body, headers={"Idempotency-Key": key or str(uuid.uuid4())}, seconds=30
    )


def validate(document: Mapping[str, Any]) -> Call[Document]:
    return Call("POST", "/v1/jobs:validate", json_of, body=as_json(document))


def job_get(job: str, wait: float | None = None) -> Call[Document]:
    return Call("GET", _job(job), json_of, params={"wait": math.ceil(wait) if wait else None}, seconds=wait or 0)


def job_delete(job: str) -> Call[None]:
    return Call("DELETE", _job(job), _nothing)


def job_control(job: str, word: str) -> Call[Document]:
    return Call("POST", _job(job, "/" + word), json_of)


def _again(job: str, word: str, body: Document | None, key: str | None) -> Call[Document]:
    headers = {"Idempotency-Key": key or str(uuid.uuid4())}
    return Call("POST", _job(job, "/" + word), json_of, body=body, headers=headers, seconds=30)


def extend(job: str, iterations: int, stop_when: Mapping[str, Any] | str | None, key: str | None) -> Call[Document]:
    body: Document = {"iterations": iterations}
    if stop_when != KEEP:
        body["stop_when"] = stop_when
    return _again(job, "extend", as_json(body), key)


def retry(job: str, key: str | None) -> Call[Document]:
    return _again(job, "retry", None, key)


def tag_list(tags: Sequence[str]) -> list[str]:
    if isinstance(tags, str):
        raise TypeError(f"tags must be a list of texts, not a text: tags=[{tags!r}]")
    return list(tags)


def job_update(
    job: str,
    name: str | EllipsisType | None,
    notes: str | EllipsisType | None,
    tags: Sequence[str] | EllipsisType | None,
) -> Call[Document]:
    given: Document = {"name": name, "notes": notes}
    if not isinstance(tags, EllipsisType):
        given["tags"] = None if tags is None else tag_list(tags)
    body = {key: value for key, value in given.items() if not isinstance(value, EllipsisType)}
    return Call("PATCH", _job(job), json_of, body=as_json(body))


def literal(text: str) -> str:
    """A text as a value of the server's query language, in which nothing of it means anything."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def jobs_page(
    q: str | None,
    status: str | None,
    task: str | None,
    rule: str | None,
    name: str | None,
    limit: int,
    after: str | None,
) -> Call[Document]:
    terms = [q or "", f"name:{literal(name)}" if name else ""]
    query = " ".join(term for term in terms if term) or None
    params = {"q": query, "status": status, "task": task, "rule": rule, "limit": limit, "after": after}
    return Call("GET", "/v1/jobs", json_of, params=params)


def _view(name: str) -> str:
    return f"/v1/views/{quote(name, safe='')}"


def views() -> Call[list[View]]:
    return Call("GET", "/v1/views", lambda r: [View.from_document(document) for document in _listed("views")(r)])


def view_get(name: str) -> Call[View]:
    return Call("GET", _view(name), lambda r: View.from_document(json_of(r)))


def view_put(name: str, q: str, of: str, sort: str | None, columns: Sequence[str] | None) -> Call[View]:
    body = {"of": of, "q": q, "sort": sort, "columns": None if columns is None else list(columns)}
    return Call("PUT", _view(name), lambda r: View.from_document(json_of(r)), body=body)


def view_delete(name: str) -> Call[None]:
    return Call("DELETE", _view(name), _nothing)


def matches(document: Mapping[str, Any], name: str | None, metadata: Mapping[str, Any] | None) -> bool:
    """The part of a listing's filter that the server leaves to its client."""
    if name is not None and document.get("name") != name:
        return False
    held = document.get("metadata") or {}
    return all(key in held and held[key] == value for key, value in (metadata or {}).items())


def metrics(job: str, points: int | None, keys: Sequence[str] | None) -> Call[Metrics]:
    params = {"points": points, "keys": ",".join(keys) if keys else None}
    return Call("GET", _job(job, "/metrics"), lambda r: Metrics.from_document(json_of(r)), params=params, seconds=30)


def weights(job: str, iteration: int | None) -> Call[Weights]:
    return Call(
        "GET",
        _job(job, "/weights"),
        lambda r: Weights.from_document(json_of(r)),
        params={"iteration": iteration},
        seconds=120,
    )


def spectrum(job: str, iteration: int | None) -> Call[Spectrum]:
    return Call(
        "GET",
        _job(job, "/spectrum"),
        lambda r: Spectrum.from_document(json_of(r)),
        params={"iteration": iteration},
        seconds=300,
    )


def analyse(job: str, type: str, parameters: Mapping[str, Any]) -> Call[Analysis]:
    body = as_json({"type": type, **parameters})
    return Call("POST", _job(job, "/analyses"), lambda r: Analysis(json_of(r)), body=body, seconds=300)


def analyses() -> Call[list[Document]]:
    return Call("GET", "/v1/analyses", _listed("analyses"))


def checkpoints(job: str) -> Call[list[Checkpoint]]:
    return Call(
        "GET", _job(job, "/checkpoints"), lambda r: [Checkpoint.from_document(d) for d in _listed("checkpoints")(r)]
    )


class Evaluated(TypedDict, total=False):
    """What `Job.evaluate` takes."""

    trials: int | None
    seed: int | None
    split: str | None
    iteration: int | None
    first: int | None
    weights: Any
    dataset: Dataset | str | None
    lesion: Mapping[str, Any] | None
    noise: float | None


class Simulated(Evaluated, total=False):
    """What `Job.simulate` takes."""

    inputs: Any
    units: Sequence[int] | None
    every: int | None


def _running(request: Mapping[str, Any], parts: type[Any], call: str) -> Any:
    """What is not None; a dataset by its name, or by name and version."""
    check_known(request, parts, call)
    asked = {key: value for key, value in request.items() if value is not None}
    dataset = asked.get("dataset")
    if isinstance(dataset, str):
        asked["dataset"] = {"name": dataset}
    elif isinstance(dataset, Dataset):
        asked["dataset"] = {"name": dataset.name, "sha256": dataset.sha256}
    return as_json(asked)


def simulate(job: str, request: Simulated) -> Call[Simulation]:
    body = _running(request, Simulated, "simulate")
    return Call("POST", _job(job, "/simulate"), lambda r: Simulation.from_document(json_of(r)), body=body, seconds=120)


def evaluate(job: str, request: Evaluated) -> Call[Evaluation]:
    body = _running(request, Evaluated, "evaluate")
    return Call("POST", _job(job, "/evaluate"), lambda r: Evaluation.from_document(json_of(r)), body=body, seconds=300)


def gradients(request: Mapping[str, Any]) -> Call[Gradients]:
    return Call(
        "POST", "/v1/gradients", lambda r: Gradients.from_document(json_of(r)), body=as_json(request), seconds=120
    )


def tasks() -> Call[list[Document]]:
    return Call("GET", "/v1/tasks", _listed("tasks"))


def rules() -> Call[list[Document]]:
    return Call("GET", "/v1/rules", _listed("rules"))


def neurons() -> Call[list[Document]]:
    return Call("GET", "/v1/neurons", _listed("neurons"))


def version() -> Call[Document]:
    return Call("GET", "/version", json_of)


def dataset_put(name: str | None, arrays: Mapping[str, Any]) -> Call[Dataset]:
    return _put(name, dataset_bytes(arrays))


def weights_put(name: str | None, weights: Any) -> Call[Dataset]:
    return _put(name, weights_bytes(weights))


def _put(name: str | None, content: bytes) -> Call[Dataset]:
    name = name or dataset_name(content)
    return Call(
        "PUT",
        f"/v1/datasets/{quote(name, safe='')}",
        lambda r: Dataset.from_document(json_of(r), name),
        content=content,
        seconds=300,
    )


def dataset_get(dataset: str | Dataset) -> Call[dict[str, Any]]:
    name = dataset.name if isinstance(dataset, Dataset) else dataset
    return Call(
        "GET",
        f"/v1/datasets/{quote(name, safe='')}",
        lambda r: dataset_arrays(r.content),
        headers={"Accept": "application/octet-stream"},
        seconds=300,
    )


def datasets(after: str = "") -> Call[tuple[list[Dataset], str | None]]:
    """A page of datasets behind the name `after`, and the name behind which the next page begins."""

    def parse(response: httpx.Response) -> tuple[list[Dataset], str | None]:
        listed = [Dataset.from_document(document) for document in _listed("datasets")(response)]
        return listed, json_of(response).get("next")

    query = f"?after={quote(after, safe='')}" if after else ""
    return Call("GET", f"/v1/datasets{query}", parse)


def dataset_delete(name: str) -> Call[None]:
    return Call("DELETE", f"/v1/datasets/{quote(name, safe='')}", _nothing)
