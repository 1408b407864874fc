"""Learning curves of several jobs, grouped: what differs between rules, and what only between seeds.

Pure functions of job documents and `Metrics`; the clients fetch, this computes. A group's curve stands at those
iterations that all its runs have, so that mean and spread never mix different numbers of runs (a job that `stop_when`
ended early cuts its group there).
"""

from __future__ import annotations

import csv
import dataclasses
import functools
import hashlib
import json
import pathlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from . import _plot
from ._results import Doubles, Metrics

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Rule fields worth naming, with the values that go without saying.
_SAID = {
    "mu": 0.25, "averaging": "all", "tracking": "current", "first_hop": "mu", "taps": None, "feedback": "symmetric",
    "feedback_decay": 0,
}  # fmt: skip


def rule_label(document: Mapping[str, Any]) -> str:
    """A job's rule in a few words: its type, then whatever of it is not the default."""
    rule = document.get("rule") or {}
    kind = str(rule.get("type", "modprop"))
    words = [kind]
    averaged = rule.get("weights") == "type"
    if kind == "modprop" or averaged:
        words.append(str(rule.get("weights", "cell")))
    if averaged:
        words.append(f"types_per_sign={(document.get('network') or {}).get('types_per_sign', 1)}")
    words += [f"{name}={rule[name]}" for name, usual in _SAID.items() if rule.get(name, usual) != usual]
    return " ".join(words)


def labels(documents: Sequence[Mapping[str, Any]]) -> list[str]:
    """For each job its rule in a few words, and whatever else of its configuration sets it apart from other jobs:
    fields that differ between jobs with a task (an optimizer, ..) of the same type. Seed, name and metadata never
    count: jobs that differ in them alone have one label."""
    seen: dict[tuple[str, str, str], set[str]] = {}
    for document in documents:
        for section, kind, field, value in _fields(document):
            seen.setdefault((section, kind, field), set()).add(value)
    apart = {place for place, values in seen.items() if len(values) > 1}
    return [
        " ".join(
            [
                rule_label(document),
                *(_word(field, value) for *place, field, value in _fields(document) if (*place, field) in apart),
            ]
        )
        for document in documents
    ]


def _fields(document: Mapping[str, Any]) -> Iterator[tuple[str, str, str, str]]:
    """Section, the section's type, field and value (as JSON) of all that a job's result depends on beside rule and
    seed; a section's own type comes as a field of the type ""."""
    for section in ("task", "network", "optimizer", "training"):
        held = document.get(section) or {}
        for field, value in held.items():
            if field != "types_per_sign":  # part of the rule's label: it matters to averages by type alone
                yield (
                    section,
                    "" if field == "type" else str(held.get("type", "")),
                    field,
                    json.dumps(value, sort_keys=True),
                )


def _word(field: str, value: str) -> str:
    """A field in a legend; a long value is shown by its beginning and its hash."""
    value = value.strip('"')
    value = value if len(value) <= 40 else f"{value[:24]}..{hashlib.sha256(value.encode()).hexdigest()[:6]}"
    return value if field == "type" else f"{field}={value}"


@dataclasses.dataclass(frozen=True)
class Run:
    """One job of a comparison: its document and its curve."""

    document: Mapping[str, Any]
    metrics: Metrics

    @property
    def seed(self) -> int:
        """The job's."""
        return int(self.document.get("seed", 0))


@dataclasses.dataclass(frozen=True)
class Group:
    """Runs that differ in their seed alone; `iteration` (K,) is where all of them were evaluated."""

    label: str
    runs: tuple[Run, ...]

    @property
    def iteration(self) -> NDArray[np.int64]:
        """(K,) the iterations at which all runs were evaluated."""
        return functools.reduce(np.intersect1d, [run.metrics.iteration for run in self.runs])

    @property
    def diverged(self) -> int:
        """How many of the runs ended with a loss above three times that of their first evaluation."""
        return sum(run.document.get("outcome") == "diverged" for run in self.runs)

    def values(self, metric: str = "loss") -> Doubles:
        """(runs, K): the metric of each run at `iteration`."""
        grid = self.iteration
        return np.stack([_column(run.metrics, metric)[np.isin(run.metrics.iteration, grid)] for run in self.runs])

    def mean(self, metric: str = "loss") -> Doubles:
        """(K,) the mean across runs."""
        return np.asarray(self.values(metric).mean(axis=0), dtype=np.float64)

    def std(self, metric: str = "loss") -> Doubles:
        """(K,) the sample standard deviation across runs; 0 of a single run."""
        return np.asarray(self.values(metric).std(axis=0, ddof=1 if len(self.runs) > 1 else 0), dtype=np.float64)

    def median(self, metric: str = "loss") -> Doubles:
        """(K,) the median across runs."""
        return np.asarray(np.median(self.values(metric), axis=0), dtype=np.float64)


class Comparison(Mapping[str, Group]):
    """Groups by label, in the order in which their first job came; the labels are those of `labels`, or what `by` makes
    of a document."""

    def __init__(self, runs: Iterable[Run], by: Callable[[Mapping[str, Any]], str] | None = None) -> None:
        grouped: dict[str, list[Run]] = {}
        runs = list(runs)
        documents = [run.document for run in runs]
        for run, label in zip(runs, labels(documents) if by is None else map(by, documents), strict=True):
            grouped.setdefault(label, []).append(run)
        self._groups = {
            label: Group(label, tuple(sorted(group, key=lambda run: run.seed))) for label, group in grouped.items()
        }

    def __getitem__(self, label: str) -> Group:
        if label not in self._groups:
            raise KeyError(
                f"there is no group {label!r} in this comparison; there are {', '.join(self._groups) or 'none'}"
            )
        return self._groups[label]

    def __repr__(self) -> str:
        return f"<Comparison {', '.join(f'{label} ({len(group.runs)})' for label, group in self.items())}>"

    def _repr_markdown_(self) -> str:
        """What a notebook shows."""
        return self.table()

    def __iter__(self) -> Iterator[str]:
        return iter(self._groups)

    def __len__(self) -> int:
        return len(self._groups)

    def table(self, *, below: float = 0.1, evaluations: int = 5) -> str:
        """A Markdown table, one row a group: runs, median iteration at which `evaluations` evaluations in a row with a
        loss under `below` begin (over the runs that get there, with their number), final loss (mean, standard
        deviation) and final accuracy (mean); of the evaluations so far, where a job still runs."""
        lines = [
            f"| rule | runs | learned (loss < {below:g}) | at iteration (median) | final loss | final accuracy |",
            "| --- | ---: | ---: | ---: | ---: | ---: |",
        ]
        for label, group in self.items():
            firsts = [run.metrics.first_run("loss", below, evaluations) for run in group.runs]
            learned = [first for first in firsts if first is not None]
            begun = [run.metrics for run in group.runs if len(run.metrics.iteration)]
            losses = np.array([metrics.loss[-1] for metrics in begun])
            accuracy = np.mean([metrics.accuracy[-1] for metrics in begun]) if begun else np.nan
            spread = f" ± {losses.std(ddof=1):.3g}" if len(losses) > 1 else ""
            cells = [
                label,
                str(len(group.runs)) + (f" ({group.diverged} diverged)" if group.diverged else ""),
                f"{len(learned)}",
                f"{np.median(learned):.0f}" if learned else "-",
                f"{losses.mean():.3g}{spread}" if begun else "-",
            ]
            lines.append(f"| {' | '.join(cells)} | {'-' if np.isnan(accuracy) else f'{accuracy:.3f}'} |")
        return "\n".join(lines)

    def to_csv(self, path: str | pathlib.Path, metric: str = "loss") -> None:
        """Writes label, iteration, mean, std, median and one column a seed, one row a label and iteration."""
        seeds = sorted({run.seed for group in self.values() for run in group.runs})
        with open(path, "w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(["label", "iteration", "mean", "std", "median", *(f"seed_{seed}" for seed in seeds)])
            for label, group in self.items():
                rows = group.values(metric)
                column = {run.seed: row for run, row in zip(group.runs, rows, strict=True)}
                mean, std, median = group.mean(metric), group.std(metric), group.median(metric)
                for k, iteration in enumerate(group.iteration):
                    each = [f"{column[seed][k]:.9g}" if seed in column else "" for seed in seeds]
                    writer.writerow([label, iteration, f"{mean[k]:.9g}", f"{std[k]:.9g}", f"{median[k]:.9g}", *each])

    def plot(self, axes: Axes | None = None, *, metric: str = "loss", center: str = "mean") -> Axes:
        """Mean with a band of one standard deviation (`center="median"`: median with the quartiles) over the
        iterations; needs matplotlib."""
        groups = (_plot.Band(label, group.iteration, group.values(metric)) for label, group in self.items())
        return _plot.bands(groups, axes, metric=metric, center=center)


def _column(metrics: Metrics, metric: str) -> Doubles:
    """A column; `accuracy` is there for every task."""
    return metrics.accuracy if metric == "accuracy" else metrics[metric]
