"""Pictures, by matplotlib, where it is installed. Colours, dashes and panels of points are the server's."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ._points import PointCurve

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Of the ranks that the server gives; matplotlib's dashes are in units of the line's width.
DASHES: tuple[Any, ...] = ("-", (0, (4, 2)), (0, (1, 1.5)), (0, (5, 1.5, 1, 1.5)), (0, (8, 2.5)), (0, (2, 1)))
MARKERS = (None, "o", "s", "^", "D", "v", "P", "X")  # rank 0 has none
X_LABELS = {"iterations": "iteration", "trials": "trials", "seconds": "training (s)"}


def pyplot() -> Any:
    """matplotlib's; raises ImportError with what to do."""
    try:
        import matplotlib.pyplot as pyplot
    except ImportError as error:
        raise ImportError("plotting needs matplotlib: pip install matplotlib") from error
    return pyplot


def _axes(axes: Any, key: str, x: str = "iterations") -> Any:
    if axes is None:
        axes = pyplot().subplots(layout="constrained")[1]
    axes.set_xlabel(X_LABELS[x])
    axes.set_ylabel(key.replace("_", " "))
    if "loss" in key:
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


def of_key(found: Sequence[PointCurve], key: str) -> list[PointCurve]:
    """The curves of one key; raises KeyError where there are none."""
    chosen = [one for one in found if one.key == key]
    if not chosen:
        keys = ", ".join(dict.fromkeys(one.key for one in found)) or "none"
        raise KeyError(f"there are no curves of {key!r} here; there are {keys}")
    return chosen


def curves(
    found: Sequence[PointCurve],
    axes: Axes | None,
    *,
    key: str,
    center: str = "median",
    seeds: bool = False,
    x: str = "iterations",
) -> Axes:
    """A line with a band for each point, a panel beside the other where the server says so (all in `axes` where they
    are given), and one legend to the right of the data. Returns the first panel's axes."""
    if center not in ("median", "mean"):
        raise ValueError(f'center must be "median" or "mean"; got {center!r}')
    chosen = of_key(found, key)
    panels = list(dict.fromkeys(one.panel for one in chosen))
    if axes is None:
        size = (2.2 + 4.2 * len(panels), 4.4)
        figure = pyplot().figure(figsize=size, layout="constrained")
        drawn: list[Any] = list(figure.subplots(1, len(panels), sharey=True, squeeze=False)[0])
    else:
        drawn = [axes] * len(panels)
    handles: dict[str, Any] = {}
    for panel, place in zip(panels, drawn, strict=True):
        _axes(place, key, x)
        for one in (one for one in chosen if one.panel == panel):
            handles[one.label] = _band(place, one, center, seeds)
        if axes is None and panel:
            place.set_title(panel)
    for place in drawn[1:]:
        place.set_ylabel("" if axes is None else drawn[0].get_ylabel())
    drawn[-1].legend(handles.values(), handles, loc="upper left", bbox_to_anchor=(1.02, 1.0), borderaxespad=0.0)
    first: Axes = drawn[0]
    return first


def _band(axes: Any, one: PointCurve, center: str, seeds: bool) -> Any:
    """Draws a point; the line, for the legend."""
    middle, low, high = (
        (one.median, one.low, one.high) if center == "median" else (one.mean, one.mean_low, one.mean_high)
    )
    if middle is None or low is None or high is None:
        raise ValueError("these curves have no mean: ask for them with mean=True")
    look = {"color": one.colour, "linestyle": DASHES[one.dash % len(DASHES)]}
    if seeds:
        for own in one.seeds.values():
            axes.plot(own.x, own.value, **look, linewidth=0.6, alpha=0.45)
    label = f"{one.label} ({int(one.n.max()) if one.n.size else 0})"
    marker, every = MARKERS[one.marker % len(MARKERS)], max(1, len(one.x) // 8)
    [line] = axes.plot(one.x, middle, **look, label=label, marker=marker, markevery=every, markersize=4)
    whole = np.isfinite(low) & np.isfinite(high)
    axes.fill_between(one.x, low, high, where=whole, color=one.colour, alpha=0.18, linewidth=0)
    return line
