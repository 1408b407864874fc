"""Pictures, by matplotlib, where it is installed. The colours are those of Okabe and Ito, which colour-blind eyes tell apart."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from ._compare import Comparison
    from ._results import Metrics

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#999933")
STYLES = ("-", "--", ":", "-.")  # beyond the eighth curve


def _axes(axes: "Axes | None", metric: str) -> Any:
    if axes is None:
        try:
            from matplotlib.figure import Figure  # noqa: F401
            import matplotlib.pyplot as pyplot
        except ImportError as error:
            raise ImportError("plotting needs matplotlib: pip install matplotlib") from error
        axes = pyplot.subplots(layout="constrained")[1]
        axes.set_prop_cycle(color=COLOURS)
    axes.set_xlabel("iteration")
    axes.set_ylabel(metric.replace("_", " "))
    if "loss" in metric:
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(lambda value, place: _tick(axes, value))
        axes.yaxis.set_minor_formatter(lambda value, place: _tick(axes, value))
    return axes


def _tick(axes: Any, value: float) -> str:
    """A plain number (0.05), and no more of them than there is room for; matplotlib would write 5 x 10^-2."""
    low, high = sorted(axes.get_ylim())
    decades = math.log10(high / low)
    digit = round(value / 10 ** math.floor(math.log10(value) + 1e-9), 6)
    return f"{value:g}" if decades < 1 or digit == 1 or (digit in (2, 5) and decades < 2.5) else ""


def curve(metrics: "Metrics", axes: "Axes | None", *, metric: str, label: str | None) -> "Axes":
    axes = _axes(axes, metric)
    axes.plot(metrics.iteration, metrics.accuracy if metric == "accuracy" else metrics[metric], label=label)
    if label is not None:
        axes.legend()
    return axes


def comparison(compared: "Comparison", axes: "Axes | None", *, metric: str, center: str) -> "Axes":
    if center not in ("mean", "median"):
        raise ValueError(f'center must be "mean" or "median"; got {center!r}')
    axes = _axes(axes, metric)
    for index, (label, group) in enumerate(compared.items()):
        colour, style = COLOURS[index % len(COLOURS)], STYLES[index // len(COLOURS) % len(STYLES)]
        grid, values = group.iteration, group.values(metric)
        if center == "mean":
            middle, spread = group.mean(metric), group.std(metric)
            low, high = middle - spread, middle + spread
        else:
            middle = group.median(metric)
            low, high = np.quantile(values, 0.25, axis=0), np.quantile(values, 0.75, axis=0)
        if "loss" in metric:
            low = np.maximum(
                low, np.nanmin(values)
            )  # a logarithmic scale has no place for what the band would reach below 0
        axes.plot(grid, middle, color=colour, linestyle=style, label=f"{label} ({len(group.runs)})")
        axes.fill_between(grid, low, high, color=colour, alpha=0.18, linewidth=0)
    axes.legend()
    return axes
