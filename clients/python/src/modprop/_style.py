"""How figures look: one style, at the width of a column (85 mm).

Colours are Okabe and Ito's, as in the dashboard. A learning rule has the colour that the server gives it, here as
everywhere: `colour` of `client.rules()`.
"""

from __future__ import annotations

from typing import Any

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#999999")

# Settings for `matplotlib.pyplot.rcParams.update`. Plain values: matplotlib need not be installed to read them.
STYLE: dict[str, Any] = {
    "figure.figsize": (3.35, 2.5),  # inches: a column of a journal
    "figure.constrained_layout.use": True,
    "figure.dpi": 150,
    "font.size": 8,
    "axes.titlesize": 8,
    "legend.fontsize": 7,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.minor.width": 0.4,
    "ytick.minor.width": 0.4,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.prop_cycle": f"cycler('color', {list(COLOURS)})",
    "lines.linewidth": 1.2,
    "lines.markersize": 4,
    "legend.frameon": False,
    "savefig.facecolor": "white",
    "svg.fonttype": "none",  # text stays text: small files, and words that an editor can change
    "svg.hashsalt": "modprop",  # the same figure is the same file
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans", "Arial", "Helvetica", "sans-serif"],
}
