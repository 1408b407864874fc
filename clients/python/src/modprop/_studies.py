"""The calls of experiments and comparisons, without any input or output; see `_calls`.

A study's parts are written as one would say them in Python: axes as a mapping from fields to values, seeds as a number,
a metric as "loss_below:0.1:5". Here they become the documents of the contract; every check of them is the server's.
"""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import EllipsisType
from typing import Any, Literal, TypeAlias, TypedDict, TypeVar
from urllib.parse import quote

import httpx

from ._arrays import as_json
from ._calls import Call, Cursor, Document, json_of, literal, specification, tag_list
from ._compare import Comparison, PairedList
from ._points import Paired, Point, PointCurve, Points, Trial
from ._spelled import spelled

T = TypeVar("T")
Seeds: TypeAlias = int | Iterable[int] | Mapping[str, int]
Axes: TypeAlias = Mapping[str, Any] | Sequence[Mapping[str, Any]]
Metrics: TypeAlias = Sequence[str | Mapping[str, Any]]

CURVES = ("loss", "accuracy")
METRICS: Metrics = (
    {"name": "learned", "loss_below": 0.1, "in_a_row": 5},
    {"final": "loss"},
    {"final": "accuracy"},
)
_TYPED = frozenset({"/task", "/rule", "/optimizer"})  # sections of a job for which a type's name will do


def seeds_of(seeds: Seeds) -> Any:
    """20 stands for the seeds 1 to 20; others are listed."""
    if isinstance(seeds, Mapping):
        return dict(seeds)
    if isinstance(seeds, int):
        return {"from": 1, "count": seeds}
    return list(seeds)


def _path(field: str) -> str:
    """The JSON Pointer of "optimizer.learning_rate"; a Pointer is one already."""
    return field if field.startswith("/") else "/" + field.replace(".", "/")


def _axis(field: str, given: Any) -> Document:
    """An axis of `{field: values}`, or of what else an axis may have."""
    if isinstance(given, Mapping):
        return {"name": field, **given} if "patches" in given else {"path": _path(field), **given}
    values = list(given)
    if any(isinstance(value, Mapping) and any(str(key).startswith("/") for key in value) for value in values):
        return {"name": field, "patches": values}
    path = _path(field)
    return {"path": path, "values": [specification(v) for v in values] if path in _TYPED else values}


def axes_of(axes: Axes | None) -> list[Document] | None:
    """Axes as the contract has them."""
    if axes is None:
        return None
    if isinstance(axes, Mapping):
        return [_axis(field, given) for field, given in axes.items()]
    return [dict(axis) for axis in axes]


def metric_of(metric: str | Mapping[str, Any]) -> Document:
    """ "final:loss" and "loss_below:0.1:5", as in the address of a query, as documents."""
    if not isinstance(metric, str):
        return dict(metric)
    kind, *rest = metric.split(":")
    if kind in ("final", "best", "area") and len(rest) == 1:
        return {kind: rest[0]}
    try:
        if kind.endswith(("_below", "_above")) and 1 <= len(rest) <= 2:
            return {kind: float(rest[0])} | ({"in_a_row": int(rest[1])} if len(rest) == 2 else {})
    except ValueError:
        pass
    raise ValueError(f'a metric is "final:loss", "best:accuracy", "area:loss" or "loss_below:0.1:5"; got {metric!r}')


def _metrics(metrics: Metrics | None) -> list[Document] | None:
    if isinstance(metrics, str):
        raise TypeError(f"metrics must be a list, not a text: metrics=[{metrics!r}]")
    return None if metrics is None else [metric_of(metric) for metric in metrics]


class Study(TypedDict, total=False):
    """What an experiment has beside its base (`Client.experiment`)."""

    axes: Axes | None
    seeds: Seeds
    design: Literal["grid", "zip", "list", "random"]
    points: Sequence[Mapping[str, Any]] | None
    count: int | None
    metrics: Metrics | None
    name: str | None
    notes: str | None
    tags: Sequence[str] | None
    compare: Mapping[str, Any] | None
    keep: Mapping[str, Any] | None
    most_running: int | None


takes_study = spelled(Study, others=True, seeds=20, design="grid")


def submission(base: Mapping[str, Any], study: Study) -> Document:
    """The body of `POST /v1/experiments`; what is None is left out, so that the server's default holds."""
    job = dict(base)
    job |= {part: specification(job[part]) for part in ("task", "rule", "optimizer") if isinstance(job.get(part), str)}
    tags = study.get("tags")
    parts: Document = {
        "design": "grid", **study, "base": job, "axes": axes_of(study.get("axes")),
        "seeds": seeds_of(study.get("seeds", 20)), "metrics": _metrics(study.get("metrics")),
        "tags": None if tags is None else tag_list(tags),
    }  # fmt: skip
    body: Document = as_json({key: value for key, value in parts.items() if value is not None})
    return body


def create(body: Document, key: str | None) -> Call[Document]:
    headers = {"Idempotency-Key": key or str(uuid.uuid4())}
    return Call("POST", "/v1/experiments", json_of, body=body, headers=headers, seconds=60)


def validate(body: Document) -> Call[Document]:
    return Call("POST", "/v1/experiments:validate", json_of, body=body, seconds=60)


def page(q: str | None, after: str | None) -> Call[Document]:
    return Call("GET", "/v1/experiments", json_of, params={"q": q or None, "limit": 100, "after": after})


def named(name: str) -> str:
    """The query of an experiment's name."""
    return f"name:{literal(name)}"


def _path_of(id: str, rest: str = "") -> str:
    return f"/v1/experiments/{quote(id, safe='')}{rest}"


def get(id: str) -> Call[Document]:
    return Call("GET", _path_of(id), json_of)


def control(id: str, word: str) -> Call[Document]:
    return Call("POST", _path_of(id, "/" + word), json_of)


def delete(id: str) -> Call[None]:
    return Call("DELETE", _path_of(id), lambda response: None, seconds=60)


def edit(id: str, given: Mapping[str, Any]) -> Call[Document]:
    """`PATCH` with what is not `...`."""
    body = {key: value for key, value in given.items() if not isinstance(value, EllipsisType)}
    if isinstance(body.get("tags"), (str, list, tuple)):
        body["tags"] = tag_list(body["tags"])
    if body.get("metrics") is not None:
        body["metrics"] = _metrics(body["metrics"])
    return Call("PATCH", _path_of(id), json_of, body=as_json(body), seconds=60)


def growth(
    seeds: Seeds | None,
    axes: Mapping[str, Sequence[Any]] | None,
    points: Sequence[Mapping[str, Any]] | None,
    count: int | None,
) -> Document:
    """What `extend` adds."""
    added: Document = {"points": points, "count": count, "seeds": None if seeds is None else seeds_of(seeds)}
    if axes is not None:
        added["axes"] = {name.split("/")[-1].split(".")[-1]: _added(name, values) for name, values in axes.items()}
    return {key: value for key, value in added.items() if value is not None}


def _added(name: str, values: Sequence[Any]) -> list[Any]:
    return [specification(v) if isinstance(v, str) else v for v in values] if _path(name) in _TYPED else list(values)


def _query(metrics: Sequence[str] | None, points: Sequence[str] | None = None, **more: Any) -> dict[str, Any]:
    for given in (metrics, points):
        if isinstance(given, str):
            raise TypeError(f"a list of texts is due, not a text: [{given!r}]")
    lists = {"metrics": metrics, "points": points}
    return {name: ",".join(given) for name, given in lists.items() if given} | more


def _each(member: str, make: Callable[[Document], T]) -> Callable[[httpx.Response], list[T]]:
    return lambda response: [make(document) for document in json_of(response)[member]]


def points_of(id: str, metrics: Sequence[str] | None, unit: str | None, bootstrap: int | None) -> Call[Points]:
    params = _query(metrics, bootstrap=bootstrap) | {"in": unit}
    each = _each("points", Point.from_document)
    return Call("GET", _path_of(id, "/points"), lambda response: Points(each(response)), params=params, seconds=60)


def trials_of(
    id: str, metrics: Sequence[str] | None, points: Sequence[str] | None, unit: str | None
) -> Call[list[Trial]]:
    params = _query(metrics, points) | {"in": unit}
    return Call("GET", _path_of(id, "/trials"), _each("trials", Trial.from_document), params=params, seconds=60)


def curves_of(
    id: str, keys: Sequence[str], points: Sequence[str] | None, seeds: bool, x: str | None, mean: bool
) -> Call[list[PointCurve]]:
    chosen = [keys] if isinstance(keys, str) else list(keys)
    switches = {"seeds": "true" if seeds else None, "mean": "true" if mean else None}
    params = _query(None, points, keys=",".join(chosen), x=x, **switches)
    return Call("GET", _path_of(id, "/curves"), _each("curves", PointCurve.from_document), params=params, seconds=120)


def compare_of(
    id: str, axis: str | None, to: int | None, metrics: Sequence[str] | None, unit: str | None
) -> Call[PairedList]:
    params = _query(metrics, axis=axis, to=to) | {"in": unit}
    pairs = _each("comparisons", Paired.from_document)
    return Call("GET", _path_of(id, "/compare"), lambda r: PairedList(pairs(r)), params=params, seconds=60)


def csv_of(id: str, of: str) -> Call[bytes]:
    """A table of the experiment as the server writes it."""
    if of not in ("points", "trials", "curves", "compare"):
        raise ValueError(f'of must be "points", "trials", "curves" or "compare"; got {of!r}')
    return Call("GET", _path_of(id, "/" + of), lambda r: r.content, headers={"Accept": "text/csv"}, seconds=120)


def compare(
    jobs: Sequence[str] | None,
    *,
    q: str | None,
    by: Sequence[str] | None,
    metrics: Metrics | None,
    to: int | None,
    curves: Sequence[str],
    seeds: bool,
    mean: bool,
) -> Call[Comparison]:
    if (jobs is None) == (q is None):
        raise ValueError("compare needs either jobs or a query, q=")
    if isinstance(by, str) or callable(by):
        raise TypeError(f'by must be a list of fields such as ["rule", "task.delay"]; got {by!r}')
    body = {
        "jobs": jobs, "q": q, "by": by, "metrics": _metrics(METRICS if metrics is None else metrics), "to": to,
        "curves": list(curves) or None, "seeds": seeds or None, "mean": mean or None,
    }  # fmt: skip
    given = as_json({key: value for key, value in body.items() if value is not None})
    return Call("POST", "/v1/compare", lambda response: Comparison(json_of(response)), body=given, seconds=120)


def events(id: str, after: int | None) -> Cursor:
    return Cursor(_path_of(id, "/events"), "id", after)


@dataclasses.dataclass(frozen=True)
class TrialEnd:
    """A trial that has ended (or was there before: `linked`). `ended` of `trials` have so far."""

    experiment: str
    id: int
    point: str
    seed: int
    job: str | None
    status: str
    outcome: str | None
    iteration: int | None
    loss: float | None
    accuracy: float | None
    linked: bool
    ended: int
    trials: int
    event: Mapping[str, Any] = dataclasses.field(repr=False)

    @property
    def fraction(self) -> float:
        """0 to 1: how much of the experiment's trials have ended."""
        return self.ended / self.trials if self.trials else 1.0


class Tally:
    """Counts the trials that a stream of events reports, each once however often it was tried."""

    def __init__(self, trials: int) -> None:
        self.trials = trials
        self._ended: set[tuple[str, int]] = set()

    def take(self, event: Mapping[str, Any]) -> TrialEnd | None:
        """The end of a trial, if the event is one."""
        if event.get("type") == "experiment":
            self.trials = int(event.get("trials", self.trials))
        if event.get("type") != "trial":
            return None
        self._ended.add((str(event["point"]), int(event["seed"])))
        names = ("job", "outcome", "iteration", "loss", "accuracy")
        fields: dict[str, Any] = {name: event[name] for name in ("experiment", "id", "point", "seed", "status")}
        fields |= {name: event.get(name) for name in names}
        return TrialEnd(
            **fields,
            linked=bool(event.get("linked")),
            ended=len(self._ended),
            trials=self.trials,
            event=event,
        )
