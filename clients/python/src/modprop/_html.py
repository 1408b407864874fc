"""What notebooks show of a job, of weights, of an analysis: small tables, all text escaped, no script and no colour of
their own, so that they are legible on any background.

The classes shown import this module, so it knows them by their members alone.
"""

from __future__ import annotations

import html
from collections.abc import Mapping
from typing import Any


def card(title: str, rows: Mapping[str, Any]) -> str:
    """A title and a row for each fact that is known."""
    cells = "".join(
        f"<tr><th style='text-align:left'>{html.escape(name)}</th>"
        f"<td style='text-align:left'>{html.escape(str(value))}</td></tr>"
        for name, value in rows.items()
        if value is not None and value != ""
    )
    return (
        f"<table><caption style='text-align:left'><b>{html.escape(title)}</b></caption><tbody>{cells}</tbody></table>"
    )


def _number(value: float | None) -> str | None:
    return None if value is None else f"{value:.4g}"


def job(of: Any) -> str:
    """A job: where it stands, how far it has come, what it trains."""
    document = of.document
    share = of.iteration / of.iterations if of.iterations else None
    bar = "" if share is None else f"<progress max='1' value='{share:.4f}'></progress>"
    rows = {
        "status": f"{of.status} ({of.outcome})" if of.outcome else of.status,
        "task": (document.get("task") or {}).get("type"),
        "rule": (document.get("rule") or {}).get("type"),
        "units": (document.get("network") or {}).get("units"),
        "seed": document.get("seed"),
        "iteration": f"{of.iteration} of {of.iterations}" if of.iterations else of.iteration,
        "loss": _number(of.loss),
        "accuracy": _number(of.accuracy),
        "tags": ", ".join(of.tags),
        "notes": of.notes,
        "id": of.id,
    }
    return f"<div>{card(of.name or f'job {of.id[-12:]}', rows)}{bar}</div>"


def weights(of: Any) -> str:
    """Weights: their sizes, cell types and digest."""
    units, inputs, outputs = of.W.shape[0], of.Win.shape[0], of.Wout.shape[1]
    present = float((abs(of.W) > 1e-9).mean()) if units else 0.0
    rows = {
        "iteration": of.iteration,
        "units": units,
        "inputs": inputs,
        "outputs": outputs,
        "cell types": len(set(of.types.tolist())),
        "synapses": f"{present:.1%} of all pairs",
        "bias": "yes" if of.b is not None else "no",
        "job": of.job,
        "sha256": of.sha256,
    }
    return card("Weights", rows)


def analysis(of: Any) -> str:
    """An analysis: numbers themselves, arrays by their axes."""
    rows: dict[str, Any] = {"job": of.job, "iteration": of.iteration}
    for name, axes in of.axes.items():
        unit = f" {of.units[name]}" if of.units[name] else ""
        shape = " × ".join(f"{axis} {size}" for axis, size in zip(axes, of[name].shape, strict=True))
        rows[name] = shape or f"{float(of[name]):.4g}{unit}"
    return card(f"Analysis: {of.type}", rows)
