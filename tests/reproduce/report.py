"""From finished jobs to a table and curves: what is written to the output folder.

A run that failed by divergence is a result: it has its row, counts as never having learned, and has no place in the
curves' means, whose
number of runs is given. Medians across seeds take "never" as later than any iteration.
"""

from __future__ import annotations

import csv
import dataclasses
import functools
import math
import pathlib
import statistics
from collections.abc import Sequence
from typing import Any

import matplotlib
import numpy as np

matplotlib.use("Agg")
from matplotlib.figure import Figure  # noqa: E402
from modprop import Job, Metrics  # noqa: E402

EVALUATIONS = 5
CURVES = 12  # more in one picture cannot be told apart
# Okabe and Ito's, which colour-blind eyes tell apart; a row here is a condition, of which one rule has several
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#999933")


@dataclasses.dataclass(frozen=True)
class Outcome:
    """One finished job of an experiment."""

    label: str
    seed: int
    job: Job
    metrics: Metrics
    below: float = 0.1

    @property
    def diverged(self) -> bool:
        return self.job.status == "failed"

    @property
    def learned(self) -> float:
        """The iteration at which the first EVALUATIONS evaluations in a row with a loss under `below` begin.

        Infinite where there are none.
        """
        run = 0
        for index, value in enumerate([] if self.diverged else self.metrics.loss):
            run = run + 1 if value < self.below else 0
            if run == EVALUATIONS:
                return float(self.metrics.iteration[index - EVALUATIONS + 1])
        return math.inf

    @property
    def loss(self) -> float:
        return math.inf if self.diverged or not len(self.metrics.iteration) else float(self.metrics.loss[-1])

    @property
    def accuracy(self) -> float:
        """NaN where the task has none."""
        return 0.0 if self.diverged or not len(self.metrics.iteration) else float(self.metrics.accuracy[-1])

    @property
    def seconds(self) -> float:
        """Training time of the job."""
        return (
            float(self.metrics["elapsed_seconds"][-1])
            if "elapsed_seconds" in self.metrics and len(self.metrics.iteration)
            else 0.0
        )


@dataclasses.dataclass(frozen=True)
class Group:
    """The runs of a row; its curve stands where all of them were evaluated."""

    runs: tuple[Outcome, ...]

    @property
    def iteration(self) -> Any:
        return functools.reduce(np.intersect1d, [run.metrics.iteration for run in self.runs])

    def values(self, metric: str) -> Any:
        """(runs, K)."""
        grid = self.iteration
        columns = [
            (run.metrics, run.metrics.accuracy if metric == "accuracy" else run.metrics[metric]) for run in self.runs
        ]
        return np.stack([column[np.isin(metrics.iteration, grid)] for metrics, column in columns])

    def edges(self, metric: str, center: str) -> tuple[Any, Any, Any]:
        """Middle, low and high (K,): mean and one standard deviation within the values, or median and quartiles."""
        values = self.values(metric)
        if center == "median":
            low, middle, high = np.quantile(values, (0.25, 0.5, 0.75), axis=0)
            return middle, low, high
        middle, spread = values.mean(axis=0), values.std(axis=0, ddof=1 if len(values) > 1 else 0)
        return middle, np.maximum(middle - spread, values.min(axis=0)), np.minimum(middle + spread, values.max(axis=0))


class Rows(dict[str, Group]):
    """Groups by label, in the order in which their first job came."""

    def to_csv(self, path: pathlib.Path, metric: str) -> None:
        """Label, iteration, mean, std, median and one column a seed, one row a label and iteration."""
        seeds = sorted({run.seed for group in self.values() for run in group.runs})
        with open(path, "w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(["label", "iteration", "mean", "std", "median", *(f"seed_{seed}" for seed in seeds)])
            for label, group in self.items():
                values = group.values(metric)
                column = {run.seed: row for run, row in zip(group.runs, values, strict=True)}
                spread = values.std(axis=0, ddof=1 if len(values) > 1 else 0)
                numbers = np.stack([values.mean(axis=0), spread, np.median(values, axis=0)], axis=1)
                for k, iteration in enumerate(group.iteration):
                    each = [f"{column[seed][k]:.9g}" if seed in column else "" for seed in seeds]
                    writer.writerow([label, iteration, *(f"{value:.9g}" for value in numbers[k]), *each])

    def plot(self, axes: Any, metric: str, center: str) -> None:
        """A line with a band for each row."""
        axes.set_xlabel("iteration")
        axes.set_ylabel(metric)
        if metric == "loss":
            axes.set_yscale("log")
        for index, (label, group) in enumerate(self.items()):
            middle, low, high = group.edges(metric, center)
            look = {"color": COLOURS[index % len(COLOURS)]}
            style = "-" if index < len(COLOURS) else "--"
            axes.plot(group.iteration, middle, linestyle=style, label=f"{label} ({len(group.runs)})", **look)
            axes.fill_between(group.iteration, low, high, alpha=0.18, linewidth=0, **look)


def write(folder: pathlib.Path, name: str, about: str, notes: Sequence[str], outcomes: Sequence[Outcome]) -> None:
    """Writes NAME.md, NAME_loss.csv, NAME_accuracy.csv (where there is accuracy) and NAME.png."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.md").write_text(markdown(name, about, notes, outcomes), encoding="utf-8")
    whole = [outcome for outcome in outcomes if not outcome.diverged and len(outcome.metrics.iteration)]
    if not whole:
        return
    compared = comparison(whole)
    metrics = ["loss"] + (["accuracy"] if any(not math.isnan(o.accuracy) for o in whole) else [])
    for metric in metrics:
        compared.to_csv(folder / f"{name}_{metric}.csv", metric)
    shown = best(whole, compared)
    title = (
        about
        if len(shown) == len(compared)
        else f"{about} (the best {len(shown)} of {len(compared)} by median final loss)"
    )
    picture(folder / f"{name}.png", title, shown, metrics)


def comparison(outcomes: Sequence[Outcome]) -> Rows:
    """By the rows' labels, not by the jobs' own metadata.

    A job may have been trained for another experiment, under another label.
    """
    grouped: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        grouped.setdefault(outcome.label, []).append(outcome)
    return Rows({label: Group(tuple(sorted(runs, key=lambda run: run.seed))) for label, runs in grouped.items()})


def best(outcomes: Sequence[Outcome], compared: Rows) -> Rows:
    """The rows that a picture can show: all, or the CURVES with the least median final loss."""
    if len(compared) <= CURVES:
        return compared
    losses = {label: statistics.median(o.loss for o in outcomes if o.label == label) for label in compared}
    chosen = sorted(losses, key=lambda label: losses[label])[:CURVES]
    return comparison([outcome for label in chosen for outcome in outcomes if outcome.label == label])


def picture(path: pathlib.Path, title: str, compared: Rows, metrics: Sequence[str]) -> None:
    """Two columns (mean with standard deviation, median with quartiles), a row a metric."""
    figure = Figure(figsize=(13, 4.6 * len(metrics)), layout="constrained", dpi=110)
    axes = figure.subplots(len(metrics), 2, squeeze=False)
    for row, metric in enumerate(metrics):
        for column, center in enumerate(("mean", "median")):
            compared.plot(axes[row][column], metric, center)
            axes[row][column].set_title("mean ± standard deviation" if center == "mean" else "median and quartiles")
            if metric == "loss":
                axes[row][column].set_ylim(*_window(compared))
    handles, labels = axes[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, fontsize="small")
    figure.suptitle(title)
    figure.savefig(path)


def _window(compared: Rows) -> tuple[float, float]:
    """Where the losses are read: from half the least median to ten times the first.

    One run that nearly diverged would else squeeze all.
    """
    medians = [group.edges("loss", "median")[0] for group in compared.values()]
    return 0.5 * min(float(median.min()) for median in medians), 10 * max(float(median[0]) for median in medians)


def markdown(name: str, about: str, notes: Sequence[str], outcomes: Sequence[Outcome]) -> str:
    """One row a condition with the medians and each seed's iteration, then a row a job."""
    labels = list(dict.fromkeys(outcome.label for outcome in outcomes))
    lines = [
        f"# {name}: {about}",
        "",
        *notes,
        "",
        *_summary(labels, outcomes),
        "",
        "## Each seed",
        "",
        *_each(outcomes),
        "",
    ]
    return "\n".join(lines)


def _summary(labels: Sequence[str], outcomes: Sequence[Outcome]) -> list[str]:
    seeds = sorted({outcome.seed for outcome in outcomes})
    shown = (
        f"{seeds[0]} to {seeds[-1]}"
        if seeds == list(range(seeds[0], seeds[-1] + 1)) and len(seeds) > 1
        else ", ".join(map(str, seeds))
    )
    lines = [
        f"*Learned at*: the iteration at which the first {EVALUATIONS} evaluations in a row with a loss "
        f"under {outcomes[0].below:g} begin; "
        "- where not within the run.",
        "",
        f"| rule | learned at, seeds {shown} | learned at, median | final loss, median | final loss, mean "
        "| final accuracy, median "
        "| accurate |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    # a run of a few trials an evaluation can be 100 % accurate; over a whole test split none is
    countable = any(outcome.accuracy == 1.0 for outcome in outcomes)
    for label in labels:
        rows = sorted((outcome for outcome in outcomes if outcome.label == label), key=lambda outcome: outcome.seed)
        accurate = sum(row.accuracy == 1.0 and row.loss < 0.15 for row in rows)
        cells = [
            label,
            ", ".join(_iteration(row) for row in rows),
            _count(statistics.median(row.learned for row in rows)),
            _number(statistics.median(row.loss for row in rows)),
            _number(statistics.fmean(row.loss for row in rows)),
            _number(statistics.median(row.accuracy for row in rows)),
            f"{accurate}/{len(rows)}" if countable else "-",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return [*lines, "", "*Accurate*: runs whose last evaluation is 100 % accurate with a loss under 0.15."]


def _each(outcomes: Sequence[Outcome]) -> list[str]:
    lines = ["| rule | seed | learned at | final loss | final accuracy |", "| --- | ---: | ---: | ---: | ---: |"]
    for outcome in outcomes:
        cells = [
            outcome.label,
            str(outcome.seed),
            _iteration(outcome),
            _number(outcome.loss),
            _number(outcome.accuracy),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def _iteration(outcome: Outcome) -> str:
    return "diverged" if outcome.diverged else _count(outcome.learned)


def _count(value: float) -> str:
    return f"{value:.0f}" if math.isfinite(value) else "-"


def _number(value: float) -> str:
    return f"{value:.4g}" if math.isfinite(value) else "-"
