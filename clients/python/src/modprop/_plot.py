"""Pictures, by matplotlib, where it is installed. The colours are those of Okabe and Ito, which colour-blind eyes tell
apart.

Knows arrays only, so that results and comparisons can be drawn without a circle of modules.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#999933")
STYLES = ("-", "--", ":", "-.")  # beyond the eighth curve


def _axes(axes: Axes | None, metric: str) -> Any:
    if axes is None:
        try:
            import matplotlib.pyplot as pyplot
            from matplotlib.figure import Figure  # noqa: F401
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


def curve(iteration: NDArray[Any], values: NDArray[Any], axes: Axes | None, *, metric: str, label: str | None) -> Axes:
    """One curve, with a legend where it has a label."""
    drawn: Axes = _axes(axes, metric)
    drawn.plot(iteration, values, label=label)
    if label is not None:
        drawn.legend()
    return drawn


@dataclasses.dataclass(frozen=True)
class Band:
    """A group's curves: `values` (runs, K) over `iteration` (K,)."""

    label: str
    iteration: NDArray[Any]
    values: NDArray[np.float64]

    def edges(self, center: str) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
        """Middle, low and high (K,): mean and one standard deviation, or median and quartiles."""
        if center == "median":
            low, middle, high = np.quantile(self.values, (0.25, 0.5, 0.75), axis=0)
            return middle, low, high
        middle, spread = self.values.mean(axis=0), self.values.std(axis=0, ddof=1 if len(self.values) > 1 else 0)
        return middle, middle - spread, middle + spread


def bands(groups: Iterable[Band], axes: Axes | None, *, metric: str, center: str) -> Axes:
    """A line with a band for each group."""
    if center not in ("mean", "median"):
        raise ValueError(f'center must be "mean" or "median"; got {center!r}')
    drawn: Axes = _axes(axes, metric)
    for index, group in enumerate(groups):
        colour, style = COLOURS[index % len(COLOURS)], STYLES[index // len(COLOURS) % len(STYLES)]
        middle, low, high = group.edges(center)
        if "loss" in metric:  # a logarithmic scale has no place for what the band would reach below 0
            low = np.maximum(low, np.nanmin(group.values))
        label = f"{group.label} ({len(group.values)})"
        drawn.plot(group.iteration, middle, color=colour, linestyle=style, label=label)
        drawn.fill_between(group.iteration, low, high, color=colour, alpha=0.18, linewidth=0)
    drawn.legend()
    return drawn
