"""Experiments on the server: conditions with seeds as one object; synchronous, and what both clients share."""

from __future__ import annotations

import html
import pathlib
import time
from collections.abc import Iterator, Mapping, Sequence
from types import EllipsisType
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from . import _calls, _plot, _studies
from ._bar import Bar
from ._base import Captioned
from ._calls import EXPERIMENT_FINAL, Call, Cursor, Document
from ._compare import PairedList, table
from ._points import PointCurve, Points, Trial, trials_array
from ._studies import Seeds, Tally, TrialEnd

if TYPE_CHECKING:
    import pandas
    import xarray
    from matplotlib.axes import Axes

T = TypeVar("T")


class Caller(Protocol):
    """As much of `Client` as an experiment needs."""

    def _call(self, call: Call[T]) -> T: ...

    def _follow(self, cursor: Cursor, end: float | None = None) -> Iterator[Document]: ...


class ExperimentView(Captioned):
    """An experiment as it was when the client last heard of it."""

    @property
    def status(self) -> str:
        """running, paused, cancelling, complete, complete_with_failures or cancelled."""
        return str(self.document["status"])

    @property
    def finished(self) -> bool:
        """Whether it is complete or cancelled; `extend` and `retry` may set it going again."""
        return self.status in EXPERIMENT_FINAL

    @property
    def counts(self) -> Mapping[str, int]:
        """Trials by status: waiting, queued, running, paused, succeeded, failed, cancelled."""
        return dict(self.document["counts"])

    @property
    def size(self) -> int:
        """How many trials it has: points times seeds."""
        return int(self.document["trials"])

    @property
    def specification(self) -> Mapping[str, Any]:
        """As it was submitted and extended; empty in an experiment that came from a list, until `refresh`."""
        return self.document.get("specification") or {}

    def __repr__(self) -> str:
        named = f" {self.name!r}" if self.name else ""
        done = self.size - sum(self.counts.get(s, 0) for s in ("waiting", "queued", "running", "paused"))
        return f"<{type(self).__name__} {self.id}{named} {self.status} {done}/{self.size}>"

    def _repr_html_(self) -> str:
        """What a notebook shows: name, status and how many trials stand where."""
        cells = "".join(f"<td>{n} {html.escape(status)}</td>" for status, n in self.counts.items() if n)
        title = html.escape(self.name or self.id)
        return (
            f"<table><caption>Experiment <b>{title}</b>: {html.escape(self.status)}, {self.document['points']} points, "
            f"{self.size} trials</caption><tr>{cells}</tr></table>"
        )

    def _label(self) -> str:
        return self.name or self.id[-8:]


class Experiment(ExperimentView):
    """Conditions with seeds, on the server. `wait()` for its end or `follow()` it, then read `points()`, `trials()`,
    `curves()` and `compare()`, or `plot()` and `to_pandas()`; all of them work while it runs, too.

    `document` and the properties are what the client last heard; `refresh()` asks again.
    """

    def __init__(self, client: Caller, document: Document) -> None:
        super().__init__(document)
        self.client = client

    def refresh(self) -> Experiment:
        """Asks the server for the experiment as it is now."""
        self.document = self.client._call(_studies.get(self.id))
        return self

    # ---- its life

    def events(self, *, after: int = 0) -> Iterator[Document]:
        """Its events with an `id` beyond `after`: the end of each trial, each change of status; to its end, over lost
        connections too."""
        return self._events(after, None)

    def _events(self, after: int, end: float | None) -> Iterator[Document]:
        cursor = _studies.events(self.id, after)
        while True:
            for event in self.client._follow(cursor, end):
                yield event
                if event.get("status") == "deleted":
                    return
            if self.refresh().finished or _calls.has_passed(end):
                return
            cursor.ended = False  # it had ended once, and was extended or tried again since

    def follow(self) -> Iterator[TrialEnd]:
        """Each trial as it ends, those that have ended first; to the experiment's end."""
        tally = Tally(self.size)
        return (ended for event in self.events() if (ended := tally.take(event)) is not None)

    def __iter__(self) -> Iterator[TrialEnd]:
        """See `follow`."""
        return self.follow()

    def wait(self, timeout: float | None = None, *, progress: bool = False) -> Experiment:
        """Waits until it is complete or cancelled; failed trials are results, and raise nothing. progress: shows a bar
        (needs tqdm). Raises TimeoutError after `timeout` seconds."""
        end = None if timeout is None else time.monotonic() + timeout
        events = iter(()) if self.refresh().finished else self._events(0, end)
        if progress:
            tally = Tally(self.size)
            with Bar(self._label(), self.size, "trial") as bar:
                for event in events:
                    if (ended := tally.take(event)) is not None:
                        bar.show(ended.ended, ended.loss, ended.accuracy)
        else:
            for _ in events:
                pass
        if not self.finished:
            raise TimeoutError(f"experiment {self.id} is still {self.status} after {timeout:g} s")
        return self

    def pause(self) -> Experiment:
        """Stops its trials at their next checkpoint, and begins no more."""
        return self._control("pause")

    def resume(self) -> Experiment:
        """Goes on after `pause`."""
        return self._control("resume")

    def cancel(self) -> Experiment:
        """Cancels what has not ended; what has stays."""
        return self._control("cancel")

    def retry(self) -> Experiment:
        """Runs trials that failed or were cancelled again."""
        return self._control("retry")

    def delete(self) -> None:
        """Deletes it with the jobs that it made and no other experiment holds; those pass to one that does."""
        self.client._call(_studies.delete(self.id))

    def _control(self, word: str) -> Experiment:
        self.client._call(_studies.control(self.id, word))
        return self.refresh()

    def extend(
        self,
        *,
        seeds: Seeds | None = None,
        axes: Mapping[str, Sequence[Any]] | None = None,
        points: Sequence[Mapping[str, Any]] | None = None,
        count: int | None = None,
    ) -> Experiment:
        """Adds what is not there yet; nothing is taken away, and a complete experiment runs again.

        seeds: those that there are to be, as in `Client.experiment`: after 20, `seeds=30` adds ten. axes: by an axis'
        name, more values. points: more conditions of a `list`. count: points of a `random` design, in all.
        """
        self.document = self.client._call(_studies.edit(self.id, _studies.growth(seeds, axes, points, count)))
        return self

    def update(
        self,
        *,
        name: str | EllipsisType | None = ...,
        notes: str | EllipsisType | None = ...,
        tags: Sequence[str] | EllipsisType | None = ...,
        metrics: _studies.Metrics | EllipsisType = ...,
        compare: Mapping[str, Any] | EllipsisType | None = ...,
        most_running: int | EllipsisType | None = ...,
    ) -> Experiment:
        """Changes what is given, and nothing else. Results stay what they are, measured by the new metrics."""
        given = {
            "name": name, "notes": notes, "tags": tags, "metrics": metrics, "compare": compare,
            "most_running": most_running,
        }  # fmt: skip
        self.document = self.client._call(_studies.edit(self.id, given))
        return self

    # ---- what it found

    def points(
        self, metrics: Sequence[str] | None = None, *, unit: str | None = None, bootstrap: int | None = None
    ) -> Points:
        """Each condition with the statistics of its seeds: `points()["eprop"]`, or by values of axes,
        `points()[{"rule": "eprop"}]`.

        metrics: others than the experiment's, such as "final:loss", "best:accuracy", "loss_below:0.1:5" (five in a
        row). unit: iterations, trials or seconds, of the last kind. bootstrap: draws of intervals besides.
        """
        return self.client._call(_studies.points_of(self.id, metrics, unit, bootstrap))

    def trials(
        self, metrics: Sequence[str] | None = None, *, points: Sequence[str] | None = None, unit: str | None = None
    ) -> list[Trial]:
        """Each point with each seed: its job, status and metrics. points: of these alone, by name ("0.1")."""
        return self.client._call(_studies.trials_of(self.id, metrics, points, unit))

    def curves(
        self,
        keys: Sequence[str] = _studies.CURVES,
        *,
        points: Sequence[str] | None = None,
        seeds: bool = False,
        x: str | None = None,
        mean: bool = False,
    ) -> list[PointCurve]:
        """Median and quartiles of curves (loss, accuracy, any diagnostic) over the seeds of each point. seeds: with
        each seed's own. x: iterations, trials or seconds. mean: with the mean and its bootstrap interval."""
        return self.client._call(_studies.curves_of(self.id, keys, points, seeds, x, mean))

    def compare(
        self,
        axis: str | None = None,
        *,
        to: int | None = None,
        metrics: Sequence[str] | None = None,
        unit: str | None = None,
    ) -> PairedList:
        """Values of an axis compared with one of them (`to`, its index), paired by seed; by default as the experiment
        says, else with the first value of the first axis. What it returns prints as a table, which `table()` gives."""
        return self.client._call(_studies.compare_of(self.id, axis, to, metrics, unit))

    def to_csv(self, path: str | pathlib.Path, of: str = "points") -> None:
        """Writes points, trials, curves or comparisons ("compare") as the server's CSV, with every statistic. Raises
        ValueError for anything else."""
        pathlib.Path(path).write_bytes(self.client._call(_studies.csv_of(self.id, of)))

    def to_pandas(
        self, of: str = "points", *, metrics: Sequence[str] | None = None, keys: Sequence[str] = _studies.CURVES
    ) -> pandas.DataFrame:
        """Points, trials or curves (of `keys`) as a table (needs pandas). Raises ValueError for anything else."""
        points = self.points(metrics) if of == "points" else Points(())
        trials = self.trials(metrics) if of == "trials" else []
        return table(of, points, trials, self.curves(keys) if of == "curves" else [])

    def to_xarray(self, metrics: Sequence[str] | None = None) -> xarray.Dataset:
        """The metrics of its trials, with a dimension an axis and one of seeds (needs xarray)."""
        return trials_array(self.points(metrics), self.trials(metrics))

    def plot(
        self,
        axes: Axes | None = None,
        *,
        key: str = "loss",
        center: str = "median",
        seeds: bool = False,
        x: str = "iterations",
    ) -> Axes:
        """Median and quartiles of each point's curve in the server's colours and dashes, the legend beside the data.
        center: "mean" for the mean and its 95 % interval. seeds: with each seed's own curve, thin. x: iterations,
        trials or seconds. Returns the axes of the first panel. Needs matplotlib."""
        found = self.curves([key], seeds=seeds, x=x, mean=center == "mean")
        return _plot.curves(found, axes, key=key, center=center, seeds=seeds, x=x)
