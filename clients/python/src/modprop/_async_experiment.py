"""Experiments on the server, asynchronously: as `_experiment`, awaited."""

from __future__ import annotations

import pathlib
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from types import EllipsisType
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from . import _calls, _plot, _studies
from ._bar import Bar
from ._calls import Call, Cursor, Document
from ._compare import PairedList, table
from ._experiment import ExperimentView
from ._points import PointCurve, Points, Trial, trials_array
from ._studies import Seeds, Tally, TrialEnd

if TYPE_CHECKING:
    import pandas
    import xarray
    from matplotlib.axes import Axes

T = TypeVar("T")


class AsyncCaller(Protocol):
    """As much of `AsyncClient` as an experiment needs."""

    async def _call(self, call: Call[T]) -> T: ...

    def _follow(self, cursor: Cursor, end: float | None = None) -> AsyncIterator[Document]: ...


class AsyncExperiment(ExperimentView):
    """As `Experiment`, with methods to await: `async for trial in experiment`, `await experiment.points()`."""

    def __init__(self, client: AsyncCaller, document: Document) -> None:
        super().__init__(document)
        self.client = client

    async def refresh(self) -> AsyncExperiment:
        """See `Experiment.refresh`."""
        self.document = await self.client._call(_studies.get(self.id))
        return self

    # ---- its life

    def events(self, *, after: int = 0) -> AsyncIterator[Document]:
        """See `Experiment.events`."""
        return self._events(after, None)

    async def _events(self, after: int, end: float | None) -> AsyncIterator[Document]:
        cursor = _studies.events(self.id, after)
        while True:
            async for event in self.client._follow(cursor, end):
                yield event
                if event.get("status") == "deleted":
                    return
            if (await self.refresh()).finished or _calls.has_passed(end):
                return
            cursor.ended = False  # it had ended once, and was extended or tried again since

    async def follow(self) -> AsyncIterator[TrialEnd]:
        """See `Experiment.follow`."""
        tally = Tally(self.size)
        async for event in self.events():
            if (ended := tally.take(event)) is not None:
                yield ended

    def __aiter__(self) -> AsyncIterator[TrialEnd]:
        """See `Experiment.follow`."""
        return self.follow()

    async def wait(self, timeout: float | None = None, *, progress: bool = False) -> AsyncExperiment:
        """See `Experiment.wait`."""
        end = None if timeout is None else time.monotonic() + timeout
        if not (await self.refresh()).finished:
            if progress:
                tally = Tally(self.size)
                with Bar(self._label(), self.size, "trial") as bar:
                    async for event in self._events(0, end):
                        if (ended := tally.take(event)) is not None:
                            bar.show(ended.ended, ended.loss, ended.accuracy)
            else:
                async for _ in self._events(0, end):
                    pass
        if not self.finished:
            raise TimeoutError(f"experiment {self.id} is still {self.status} after {timeout:g} s")
        return self

    async def pause(self) -> AsyncExperiment:
        """See `Experiment.pause`."""
        return await self._control("pause")

    async def resume(self) -> AsyncExperiment:
        """See `Experiment.resume`."""
        return await self._control("resume")

    async def cancel(self) -> AsyncExperiment:
        """See `Experiment.cancel`."""
        return await self._control("cancel")

    async def retry(self) -> AsyncExperiment:
        """See `Experiment.retry`."""
        return await self._control("retry")

    async def delete(self) -> None:
        """See `Experiment.delete`."""
        await self.client._call(_studies.delete(self.id))

    async def _control(self, word: str) -> AsyncExperiment:
        await self.client._call(_studies.control(self.id, word))
        return await self.refresh()

    async def extend(
        self,
        *,
        seeds: Seeds | None = None,
        axes: Mapping[str, Sequence[Any]] | None = None,
        points: Sequence[Mapping[str, Any]] | None = None,
        count: int | None = None,
    ) -> AsyncExperiment:
        """See `Experiment.extend`."""
        self.document = await self.client._call(_studies.edit(self.id, _studies.growth(seeds, axes, points, count)))
        return self

    async def update(
        self,
        *,
        name: str | EllipsisType | None = ...,
        notes: str | EllipsisType | None = ...,
        tags: Sequence[str] | EllipsisType | None = ...,
        metrics: _studies.Metrics | EllipsisType = ...,
        compare: Mapping[str, Any] | EllipsisType | None = ...,
        most_running: int | EllipsisType | None = ...,
    ) -> AsyncExperiment:
        """See `Experiment.update`."""
        given = {
            "name": name, "notes": notes, "tags": tags, "metrics": metrics, "compare": compare,
            "most_running": most_running,
        }  # fmt: skip
        self.document = await self.client._call(_studies.edit(self.id, given))
        return self

    # ---- what it found

    async def points(
        self, metrics: Sequence[str] | None = None, *, unit: str | None = None, bootstrap: int | None = None
    ) -> Points:
        """See `Experiment.points`."""
        return await self.client._call(_studies.points_of(self.id, metrics, unit, bootstrap))

    async def trials(
        self, metrics: Sequence[str] | None = None, *, points: Sequence[str] | None = None, unit: str | None = None
    ) -> list[Trial]:
        """See `Experiment.trials`."""
        return await self.client._call(_studies.trials_of(self.id, metrics, points, unit))

    async def curves(
        self,
        keys: Sequence[str] = _studies.CURVES,
        *,
        points: Sequence[str] | None = None,
        seeds: bool = False,
        x: str | None = None,
        mean: bool = False,
    ) -> list[PointCurve]:
        """See `Experiment.curves`."""
        return await self.client._call(_studies.curves_of(self.id, keys, points, seeds, x, mean))

    async def compare(
        self,
        axis: str | None = None,
        *,
        to: int | None = None,
        metrics: Sequence[str] | None = None,
        unit: str | None = None,
    ) -> PairedList:
        """See `Experiment.compare`."""
        return await self.client._call(_studies.compare_of(self.id, axis, to, metrics, unit))

    async def to_csv(self, path: str | pathlib.Path, of: str = "points") -> None:
        """See `Experiment.to_csv`."""
        written: bytes = await self.client._call(_studies.csv_of(self.id, of))
        pathlib.Path(path).write_bytes(written)

    async def to_pandas(
        self, of: str = "points", *, metrics: Sequence[str] | None = None, keys: Sequence[str] = _studies.CURVES
    ) -> pandas.DataFrame:
        """See `Experiment.to_pandas`."""
        points = await self.points(metrics) if of == "points" else Points(())
        trials = await self.trials(metrics) if of == "trials" else []
        return table(of, points, trials, await self.curves(keys) if of == "curves" else [])

    async def to_xarray(self, metrics: Sequence[str] | None = None) -> xarray.Dataset:
        """See `Experiment.to_xarray`."""
        return trials_array(await self.points(metrics), await self.trials(metrics))

    async def plot(
        self,
        axes: Axes | None = None,
        *,
        key: str = "loss",
        center: str = "median",
        seeds: bool = False,
        x: str = "iterations",
    ) -> Axes:
        """See `Experiment.plot`."""
        found = await self.curves([key], seeds=seeds, x=x, mean=center == "mean")
        return _plot.curves(found, axes, key=key, center=center, seeds=seeds, x=x)
