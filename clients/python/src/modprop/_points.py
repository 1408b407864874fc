"""What the server found over seeds, as typed records: points, trials, curves and paired comparisons.

One condition is a point, a point with a seed a trial. Nothing here computes: numbers, labels, colours and dashes are
the server's, the same that the dashboard and the command line show. "never" (learned not within the run) is infinity,
which is later than all; what there is not is NaN. `document` of each record is what the server sent.
"""

from __future__ import annotations

import dataclasses
import importlib
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas
    import xarray


LOOK = ("point", "label", "colour", "dash", "marker", "panel")


def number(value: Any) -> float:
    """A number of a statistic: infinity for "never", NaN for null."""
    if value is None:
        return math.nan
    return math.inf if value == "never" else float(value)


def shown(value: float) -> str:
    """A number in a table: four digits, "never", or "-" where there is none."""
    if math.isnan(value):
        return "-"
    return f"{value:.4g}" if math.isfinite(value) else "never"


def cell(label: str) -> str:
    """A label in a Markdown table, whose columns it does not add to."""
    return label.replace("|", "\\|")


def optional(package: str, wanted: str) -> Any:
    """A package that is not required (pandas, xarray); raises ImportError, which says how to get it."""
    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise ImportError(f"{wanted} needs {package}: pip install {package}") from error


@dataclasses.dataclass(frozen=True)
class Interval:
    """From `low` to `high`; NaN where there is none, infinity for "never"."""

    low: float
    high: float

    @classmethod
    def from_document(cls, document: Mapping[str, Any] | None) -> Interval:
        """An interval of the API."""
        held = document or {}
        return cls(number(held.get("low")), number(held.get("high")))


@dataclasses.dataclass(frozen=True)
class Summary:
    """One metric of one point over its seeds.

    n: values, "never" among them. never: how many of those. missing: trials that ended without the value. mean,
    standard_deviation: NaN where a value is never. median: infinity where it is never. quartiles: describe the values;
    they are no interval of confidence. mean_95: Student's t. median_95: exact, from order statistics, with its
    `median_coverage`. share, share_95: values that are not never (Wilson). few: below ten seeds, where an interval is
    to be read with care.
    """

    metric: str
    n: int
    never: int
    missing: int
    mean: float
    standard_deviation: float
    mean_95: Interval
    median: float
    quartiles: Interval
    median_95: Interval
    median_coverage: float
    interquartile_mean: float
    share: float
    share_95: Interval
    few: bool
    document: Mapping[str, Any] = dataclasses.field(repr=False)

    @classmethod
    def from_document(cls, metric: str, document: Mapping[str, Any]) -> Summary:
        """A member of a point's `metrics`."""
        numbers = ("mean", "standard_deviation", "median", "median_coverage", "interquartile_mean", "share")
        intervals = ("mean_95", "quartiles", "median_95", "share_95")
        fields: dict[str, Any] = {
            "n": int(document["n"]),
            "never": int(document["never"]),
            "missing": int(document["missing"]),
            "few": bool(document.get("few")),
            **{name: number(document.get(name)) for name in numbers},
            **{name: Interval.from_document(document.get(name)) for name in intervals},
        }
        return cls(metric=metric, document=document, **fields)


@dataclasses.dataclass(frozen=True)
class Point:
    """One condition and what its seeds found.

    point: its name, the indices of its values on the axes ("0.2"). label: what tells it from the others. colour: of its
    rule ("#rrggbb"). dash, marker, panel: how further axes are drawn; dash 0 is a solid line. values: by axis. n:
    trials that succeeded. progress: 0 to 1, of all its iterations. metrics: by name.
    """

    point: str
    label: str
    colour: str
    dash: int
    marker: int
    panel: str
    rule: str
    task: str
    values: Mapping[str, Any]
    n: int
    diverged: int
    failed: int
    unfinished: int
    running: int
    progress: float
    metrics: Mapping[str, Summary]
    document: Mapping[str, Any] = dataclasses.field(repr=False)

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Point:
        """A member of the API's `points`."""
        fields: dict[str, Any] = {name: document[name] for name in (*LOOK, "n")}
        fields |= {name: int(document.get(name) or 0) for name in ("diverged", "failed", "unfinished", "running")}
        return cls(
            rule=str(document.get("rule", "")),
            task=str(document.get("task", "")),
            values=dict(document.get("values") or {}),
            progress=number(document.get("progress")),
            metrics={name: Summary.from_document(name, found) for name, found in document["metrics"].items()},
            document=document,
            **fields,
        )


@dataclasses.dataclass(frozen=True)
class Trial:
    """One point with one seed: a job. metrics: by name, infinity for "never", NaN where there is none (yet). linked:
    the job was there before. archived: its job was deleted by retention, its numbers are kept."""

    point: str
    label: str
    colour: str
    seed: int
    job: str | None
    status: str
    outcome: str | None
    diverged: bool
    linked: bool
    archived: bool
    iteration: int | None
    metrics: Mapping[str, float]

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Trial:
        """A member of the API's `trials`."""
        fields: dict[str, Any] = {name: document[name] for name in ("point", "label", "colour", "seed", "status")}
        fields |= {name: document.get(name) for name in ("job", "outcome", "iteration")}
        fields |= {name: bool(document.get(name)) for name in ("diverged", "linked", "archived")}
        return cls(
            metrics={name: number(value) for name, value in (document.get("metrics") or {}).items()},
            **fields,
        )


@dataclasses.dataclass(frozen=True)
class Paired:
    """A point compared with another (`to`), paired by seed.

    n: pairs; finite: those without a never. mean_difference: point less `to`, of natural logarithms where `logarithms`
    says so, with difference_95. won: the share of seeds on which the point is better. sign_flip_p: exact to 20 pairs;
    holm_p: adjusted over all comparisons of the answer. least_p: what so many pairs can reach at all. pairs_needed: to
    settle a factor of 1.5 with 80 % power.
    """

    metric: str
    point: str
    label: str
    to: str
    to_label: str
    n: int
    finite: int
    logarithms: bool
    mean_difference: float
    spread: float
    difference_95: Interval
    won: float
    won_95: Interval
    sign_flip_p: float
    sign_flip_error: float
    sign_test_p: float
    holm_p: float
    least_p: float
    pairs_needed: float
    few: bool
    document: Mapping[str, Any] = dataclasses.field(repr=False)

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Paired:
        """A member of the API's `comparisons`."""
        texts = ("metric", "point", "label", "to", "to_label", "n", "finite", "logarithms", "few")
        numbers = (
            "mean_difference", "spread", "won", "sign_flip_p", "sign_flip_error", "sign_test_p", "holm_p", "least_p",
            "pairs_needed",
        )  # fmt: skip
        fields: dict[str, Any] = {name: document[name] for name in texts}
        fields |= {name: number(document.get(name)) for name in numbers}
        fields |= {name: Interval.from_document(document.get(name)) for name in ("difference_95", "won_95")}
        return cls(document=document, **fields)


@dataclasses.dataclass(frozen=True)
class SeedCurve:
    """One seed's own curve: `value` (K,) at `x` (K,), the iterations where no other axis was asked for."""

    iteration: NDArray[np.int64]
    x: NDArray[np.float64]
    value: NDArray[np.float64]

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> SeedCurve:
        """A member of a curve's `seeds`."""
        iteration = document["iteration"]
        return cls(
            np.asarray(iteration, dtype=np.int64), _numbers(document.get("x", iteration)), _numbers(document["value"])
        )


@dataclasses.dataclass(frozen=True)
class PointCurve:
    """A point's curve of `key` (loss, accuracy, ..) over its seeds, (K,): `n` seeds have a value at `iteration`,
    `median` with quartiles `low` and `high`; with `mean=True` also `mean` and its bootstrap interval; with `seeds=True`
    each seed's own."""

    point: str
    label: str
    colour: str
    dash: int
    marker: int
    panel: str
    key: str
    iteration: NDArray[np.int64]
    x: NDArray[np.float64]
    n: NDArray[np.int64]
    median: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    mean: NDArray[np.float64] | None
    mean_low: NDArray[np.float64] | None
    mean_high: NDArray[np.float64] | None
    seeds: Mapping[int, SeedCurve]

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> PointCurve:
        """A member of the API's `curves`."""
        fields: dict[str, Any] = {name: document[name] for name in (*LOOK, "key")}
        fields |= {name: _numbers(document[name]) for name in ("median", "low", "high")}
        for name in ("mean", "mean_low", "mean_high"):
            fields[name] = _numbers(document[name]) if name in document else None
        seeds: Mapping[str, Mapping[str, Any]] = document.get("seeds") or {}
        return cls(
            iteration=np.asarray(document["iteration"], dtype=np.int64),
            n=np.asarray(document["n"], dtype=np.int64),
            x=_numbers(document.get("x", document["iteration"])),
            seeds={int(seed): SeedCurve.from_document(own) for seed, own in seeds.items()},
            **fields,
        )


def _numbers(values: Iterable[Any]) -> NDArray[np.float64]:
    return np.asarray([number(value) for value in values], dtype=np.float64)


class Points(Mapping[str, Point]):
    """Points by label, in the server's order. `points["0.1"]` (its name) and `points[{"rule": "eprop"}]` (values of
    axes, as many as tell it from the others) find one too."""

    def __init__(self, points: Iterable[Point]) -> None:
        self._points = {point.label: point for point in points}

    def __getitem__(self, key: str | Mapping[str, Any]) -> Point:
        if isinstance(key, str):
            found = [self._points[key]] if key in self._points else [p for p in self.values() if p.point == key]
        else:
            found = [p for p in self.values() if all(n in p.values and p.values[n] == v for n, v in key.items())]
        if len(found) != 1:
            problem = f"{len(found)} points have" if found else "there is no point"
            raise KeyError(f"{problem} {key!r} here; there are {', '.join(self._points) or 'none'}")
        return found[0]

    def __iter__(self) -> Iterator[str]:
        return iter(self._points)

    def __len__(self) -> int:
        return len(self._points)

    def __repr__(self) -> str:
        return f"<Points {', '.join(f'{label} ({point.n})' for label, point in self.items())}>"

    def _repr_markdown_(self) -> str:
        """What a notebook shows."""
        return self.table()

    def table(self) -> str:
        """A Markdown table, one row a point: trials that succeeded, then the median of each metric with its
        quartiles."""
        names = list(dict.fromkeys(name for point in self.values() for name in point.metrics))
        lines = [f"| {' | '.join(['point', 'trials', *names])} |", f"| --- |{' ---: |' * (1 + len(names))}"]
        for label, point in self.items():
            counts = [f"{point.diverged} diverged"] * bool(point.diverged) + [f"{point.failed} failed"] * bool(
                point.failed
            )
            cells = [cell(label), f"{point.n}" + (f" ({', '.join(counts)})" if counts else "")]
            lines.append(f"| {' | '.join([*cells, *(_cell(point.metrics.get(name)) for name in names)])} |")
        return "\n".join(lines)

    def to_pandas(self) -> pandas.DataFrame:
        """A row a point and metric, indexed by both: the values of the axes, then every statistic (needs pandas)."""
        rows = [
            {"label": point.label, "metric": name, "point": point.point, **point.values, **_flat(summary.document)}
            for point in self.values()
            for name, summary in point.metrics.items()
        ]
        return table_of(rows, ["label", "metric"])


def _cell(summary: Summary | None) -> str:
    if summary is None or math.isnan(summary.median):
        return "-"
    return f"{shown(summary.median)} ({shown(summary.quartiles.low)} to {shown(summary.quartiles.high)})"


def _flat(document: Mapping[str, Any]) -> dict[str, Any]:
    """Statistics by column; an interval has two."""
    flat: dict[str, Any] = {}
    for name, value in document.items():
        if isinstance(value, Mapping):
            flat |= {f"{name}_{end}": number(held) for end, held in value.items()}
        else:
            flat[name] = number(value) if value is None or value == "never" else value
    return flat


def table_of(rows: Sequence[Mapping[str, Any]], index: Sequence[str]) -> pandas.DataFrame:
    """Rows as a table of pandas, indexed."""
    table = optional("pandas", "to_pandas").DataFrame(list(rows))
    return table.set_index(list(index)) if len(table) else table


def trials_table(trials: Sequence[Trial]) -> pandas.DataFrame:
    """A row a trial, indexed by label and seed; a column a metric (needs pandas)."""
    rows = [
        {**{name: getattr(trial, name) for name in _TRIAL_COLUMNS}, **trial.metrics}
        for trial in trials
    ]  # fmt: skip
    return table_of(rows, ["label", "seed"])


_TRIAL_COLUMNS = ("label", "seed", "point", "job", "status", "outcome", "diverged", "iteration")


def curves_table(curves: Sequence[PointCurve]) -> pandas.DataFrame:
    """A row an evaluation, indexed by label, key and iteration: n, median, low, high (quartiles) and what else was
    asked for (needs pandas)."""
    columns = ("x", "n", "median", "low", "high", "mean", "mean_low", "mean_high")
    rows = [
        {"label": curve.label, "key": curve.key, "iteration": int(curve.iteration[k])}
        | {name: getattr(curve, name)[k] for name in columns if getattr(curve, name) is not None}
        | {f"seed_{seed}": _at(own, int(curve.iteration[k])) for seed, own in curve.seeds.items()}
        for curve in curves
        for k in range(len(curve.iteration))
    ]
    return table_of(rows, ["label", "key", "iteration"])


def _at(own: SeedCurve, iteration: int) -> float:
    found = np.flatnonzero(own.iteration == iteration)
    return float(own.value[found[0]]) if len(found) else math.nan


def trials_array(points: Points, trials: Sequence[Trial]) -> xarray.Dataset:
    """The metrics of trials by the axes of their experiment and seed (needs xarray): a dimension an axis where the
    points are a grid, else one dimension `point`. Infinity is "never", NaN what there is not."""
    package = optional("xarray", "to_xarray")
    place, coordinates = _grid(points)
    seeds = sorted({trial.seed for trial in trials})
    names = list(dict.fromkeys(name for trial in trials for name in trial.metrics))
    shape = (*(len(values) for values in coordinates.values()), len(seeds))
    arrays = {name: np.full(shape, math.nan) for name in names}
    for trial in trials:
        for name, value in trial.metrics.items():
            at = (*place[trial.point], seeds.index(trial.seed))
            arrays[name][at] = value
    dimensions = (*coordinates, "seed")
    made: xarray.Dataset = package.Dataset(
        {name: (dimensions, array) for name, array in arrays.items()}, coords={**coordinates, "seed": seeds}
    )
    return made


def _grid(points: Points) -> tuple[dict[str, tuple[int, ...]], dict[str, list[Any]]]:
    """Where each point stands, by its name, and the coordinates: by axis if the names' indices fill a grid."""
    listed = list(points.values())
    axes = list(listed[0].values) if listed else []
    place = {point.point: tuple(int(part) for part in point.point.split(".")) for point in listed}
    full = all(len(at) == len(axes) for at in place.values())
    sizes = [1 + max(at[axis] for at in place.values()) for axis in range(len(axes))] if full else []
    if not axes or math.prod(sizes) != len(listed):
        return {p.point: (index,) for index, p in enumerate(listed)}, {"point": [point.label for point in listed]}
    coordinates: dict[str, list[Any]] = {axis: [None] * size for axis, size in zip(axes, sizes, strict=True)}
    for point in listed:
        for axis, index in zip(axes, place[point.point], strict=True):
            coordinates[axis][index] = point.values[axis]
    return place, coordinates
