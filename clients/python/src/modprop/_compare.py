"""Jobs compared: what `POST /v1/compare` answers. The server makes points of the jobs and computes every number."""

from __future__ import annotations

import csv
import pathlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from . import _plot
from ._points import Paired, Point, PointCurve, Points, Trial, cell, curves_table, shown, trials_array, trials_table

if TYPE_CHECKING:
    import pandas
    import xarray
    from matplotlib.axes import Axes


class Comparison(Points):
    """Points by label. Jobs that differ in nothing but the seed are one point, named by what sets it apart.

    comparisons: each point with the one that was chosen, paired by seed. trials: a job each. curves: of the keys that
    were asked for.
    """

    def __init__(self, document: Mapping[str, Any]) -> None:
        super().__init__(Point.from_document(point) for point in document["points"])
        self.document = document
        self.comparisons = PairedList(Paired.from_document(pair) for pair in document["comparisons"])
        self.trials = [Trial.from_document(trial) for trial in document["trials"]]
        self.curves = [PointCurve.from_document(curve) for curve in document.get("curves") or []]

    def __repr__(self) -> str:
        return f"<Comparison {', '.join(f'{label} ({point.n})' for label, point in self.items())}>"

    def curve(self, label: str, key: str = "loss") -> PointCurve:
        """A point's curve; `label` as in `comparison[label]`. Raises KeyError where it was not asked for."""
        point = self[label].point
        for curve in self.curves:
            if (curve.point, curve.key) == (point, key):
                return curve
        raise KeyError(f"there is no curve of {key!r} here; compare(..., curves=[{key!r}]) asks for it")

    def to_csv(self, path: str | pathlib.Path, key: str = "loss") -> None:
        """Writes the curves that `plot` draws, not the comparisons: label, iteration, n, median, low, high and one
        column a seed, one row a label and iteration."""
        chosen = _plot.of_key(self.curves, key)
        seeds = sorted({seed for curve in chosen for seed in curve.seeds})
        with open(path, "w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(["label", "iteration", "n", "median", "low", "high", *(f"seed_{seed}" for seed in seeds)])
            for curve in chosen:
                own = {
                    seed: dict(zip(one.iteration.tolist(), one.value.tolist(), strict=True))
                    for seed, one in curve.seeds.items()
                }
                for k, iteration in enumerate(curve.iteration.tolist()):
                    numbers = [curve.median[k], curve.low[k], curve.high[k]]
                    each = [f"{own[s][iteration]:.9g}" if iteration in own.get(s, {}) else "" for s in seeds]
                    writer.writerow([curve.label, iteration, curve.n[k], *(f"{x:.9g}" for x in numbers), *each])

    def to_pandas(self, of: str = "points") -> pandas.DataFrame:
        """Points, trials or curves as a table (needs pandas). Raises ValueError for anything else."""
        return table(of, self, self.trials, self.curves)

    def to_xarray(self) -> xarray.Dataset:
        """The trials' metrics by point and seed (needs xarray)."""
        return trials_array(self, self.trials)

    def plot(self, axes: Axes | None = None, *, key: str = "loss", center: str = "median", seeds: bool = False) -> Axes:
        """Median and quartiles over the iterations in the server's colours and dashes; `center="mean"` draws the mean
        and its interval where it was asked for, `seeds` each seed's own curve, thin. Returns the axes of the first
        panel. Needs matplotlib."""
        return _plot.curves(self.curves, axes, key=key, center=center, seeds=seeds)


def table(of: str, points: Points, trials: Sequence[Trial], curves: Sequence[PointCurve]) -> pandas.DataFrame:
    """The table of that name."""
    if of == "points":
        return points.to_pandas()
    if of == "trials":
        return trials_table(trials)
    if of == "curves":
        return curves_table(curves)
    raise ValueError(f'of must be "points", "trials" or "curves"; got {of!r}')


class PairedList(list[Paired]):
    """Paired comparisons, which print as their table."""

    def table(self) -> str:
        """In Markdown: one row each."""
        return paired_table(self)

    def __repr__(self) -> str:
        return self.table()


def paired_table(pairs: Sequence[Paired]) -> str:
    """Paired comparisons in Markdown, one row each."""
    lines = ["| metric | point | with | pairs | difference | won | p (Holm) |", "| --- | --- | --- |" + " ---: |" * 4]
    for pair in pairs:
        low, high = shown(pair.difference_95.low), shown(pair.difference_95.high)
        numbers = [f"{shown(pair.mean_difference)} ({low} to {high})", shown(pair.won), shown(pair.holm_p)]
        lines.append(f"| {' | '.join([pair.metric, cell(pair.label), cell(pair.to_label), str(pair.n), *numbers])} |")
    return "\n".join(lines)
