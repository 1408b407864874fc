"""Pictures of one network: its weights, their spectrum, its activity, how its rule's gradients lie to the true ones.

By matplotlib, where it is installed, at the width of a column (85 mm). Colours are those of the daemon's pages: blue is
negative, orange positive; series take Okabe and Ito's colours in turn.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from . import _plot
from ._style import COLOURS

if TYPE_CHECKING:
    from matplotlib.axes import Axes


COLUMN = (3.35, 2.7)  # inches: a column of a journal
NEGATIVE, GROUND, POSITIVE = COLOURS[0], "#ffffff", COLOURS[1]
LINES_MOST = 8  # more units than have a colour are a map
ALIGNED = {"cosine_all": "all", "cosine_W": "W", "cosine_Win": "Win", "cosine_b": "b", "cosine_Wout": "Wout"}


def _axes(axes: Any, size: tuple[float, float] = COLUMN) -> Any:
    return axes if axes is not None else _plot.pyplot().subplots(figsize=size, layout="constrained")[1]


def weights(of: Any, axes: Axes | None) -> Axes:
    """W as a map, units in the order of their cell types, on a scale that ends at the 99th percentile."""
    drawn = _axes(axes)
    order = np.argsort(of.types, kind="stable")
    matrix = of.W[np.ix_(order, order)]
    sizes = np.abs(matrix[np.abs(matrix) > 1e-9])
    most = float(np.quantile(sizes, 0.99)) if sizes.size else 1.0
    from matplotlib.colors import LinearSegmentedColormap

    colours = LinearSegmentedColormap.from_list("weights", [NEGATIVE, GROUND, POSITIVE])
    image = drawn.imshow(matrix, cmap=colours, vmin=-most, vmax=most, interpolation="nearest")
    for edge in np.flatnonzero(np.diff(of.types[order])):
        drawn.axhline(edge + 0.5, color="0.5", linewidth=0.5)
        drawn.axvline(edge + 0.5, color="0.5", linewidth=0.5)
    drawn.set_xlabel("to unit")
    drawn.set_ylabel("from unit")
    drawn.figure.colorbar(image, ax=drawn, label="weight", shrink=0.8)
    found: Axes = drawn
    return found


def spectrum(of: Any, axes: Axes | None) -> Axes:
    """The eigenvalues of W in the complex plane, with the unit circle."""
    drawn = _axes(axes)
    angles = np.linspace(0, 2 * np.pi, 200)
    drawn.plot(np.cos(angles), np.sin(angles), color="0.6", linewidth=0.8, linestyle=(0, (4, 3)))
    drawn.plot(of.eigenvalues.real, of.eigenvalues.imag, ".", color=COLOURS[2], markersize=4)
    drawn.set_aspect("equal", adjustable="datalim")
    drawn.set_xlabel("real")
    drawn.set_ylabel("imaginary")
    found: Axes = drawn
    return found


def activity(of: Any, axes: Axes | None, trial: int) -> Axes:
    """Rates of one trial: a line a unit, or a map where there are more units than colours; spikes as a raster. The
    steps that count are shaded."""
    drawn = _axes(axes)
    rates = of["rates"][:, trial]
    times = np.arange(len(rates)) * int(of.document["every"])
    spikes = bool(np.isin(rates, (0.0, 1.0)).all()) and bool(rates.any())
    if "mask" in of and not (of["mask"][:, trial] > 0).all():
        counts = (of["mask"][:, trial] > 0).astype(int)
        edges = np.diff(np.concatenate([[0], counts, [0]]))
        width = int(of.document["every"])
        for begin, end in zip(np.flatnonzero(edges > 0), np.flatnonzero(edges < 0), strict=True):
            drawn.axvspan((begin - 0.5) * width, (end - 0.5) * width, color="0.92", zorder=0)
    if spikes:
        drawn.eventplot([times[column > 0] for column in rates.T], colors="black", linelengths=0.8, linewidths=0.7)
        drawn.set_ylabel("unit")
        drawn.set_yticks(range(len(of["units"])), [str(unit) for unit in of["units"]])
    elif rates.shape[1] > LINES_MOST:
        image = drawn.imshow(rates.T, aspect="auto", cmap="cividis", extent=(0, times[-1] + 1, rates.shape[1], 0))
        drawn.set_ylabel("unit, as asked")
        drawn.figure.colorbar(image, ax=drawn, label="rate")
    else:
        for at, unit in enumerate(of["units"]):
            drawn.plot(times, rates[:, at], color=COLOURS[at % len(COLOURS)], linewidth=1, label=f"unit {unit}")
        drawn.set_ylabel("rate")
        drawn.legend(loc="upper left", bbox_to_anchor=(1.02, 1.0), borderaxespad=0.0, fontsize="small")
    drawn.set_xlabel("time (ms)")
    found: Axes = drawn
    return found


def alignment(of: Any, axes: Axes | None) -> Axes:
    """The cosine of the rule's gradient with the true one over iterations, by weight matrix. Raises ValueError where
    the job has not measured it."""
    names = [name for name in ALIGNED if name in of and np.isfinite(of[name]).any()]
    if not names:
        raise ValueError(
            'this job has no cosines with the true gradient: train with training={"diagnostics": ["cosine"]}'
        )
    drawn = _axes(axes)
    drawn.axhline(0, color="0.8", linewidth=0.8)
    for at, name in enumerate(names):
        width = 1.8 if name == "cosine_all" else 1.0
        drawn.plot(of.iteration, of[name], color=COLOURS[at], linewidth=width, label=ALIGNED[name])
    drawn.set_xlabel("iteration")
    drawn.set_ylabel("cosine with bptt")
    drawn.set_ylim(top=1.02)
    drawn.legend(loc="upper left", bbox_to_anchor=(1.02, 1.0), borderaxespad=0.0, fontsize="small")
    found: Axes = drawn
    return found
