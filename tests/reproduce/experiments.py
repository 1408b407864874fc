"""The experiments: which jobs each consists of.

A condition is a label and the part of a job document that makes it; an experiment is conditions times seeds. Seeds are
paired: the same
seed starts every condition from the same weights and shows it the same trials. Nothing here talks to a server.
"""

from __future__ import annotations

import copy
import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

Document = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Condition:
    """`label` names a row of the table; `document` is a job without seed, name and metadata."""

    label: str
    document: Document

    def job(self, experiment: str, seed: int, overrides: Mapping[str, Any]) -> Document:
        """The job document of one seed.

        Its metadata hold what a later run finds it by: `key` is a digest of all that determines the
        result."""
        document = copy.deepcopy(self.document)
        for path, value in overrides.items():
            place = document
            *outer, last = path.split(".")
            for name in outer:
                place = place.setdefault(name, {})
            place[last] = value
        document["seed"] = seed
        key = hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()[:24]
        return document | {
            "name": f"{experiment}: {self.label}, seed {seed}"[:100],
            "metadata": {"reproduce": experiment, "condition": self.label, "key": key},
        }


@dataclasses.dataclass(frozen=True)
class Experiment:
    """Conditions times seeds.

    `below`: a run has learned where the first of five evaluations in a row with a loss under it begins.
    """

    name: str
    about: str
    conditions: tuple[Condition, ...]
    below: float = 0.1


def modprop(weights: str, *, types_per_sign: int = 1, mu: float | str = 0.25, first_hop: str = "mu") -> Document:
    """Rule and network of a ModProp condition; C, the number of types, is twice `types_per_sign` under Dale's law."""
    document: Document = {"rule": {"type": "modprop", "weights": weights, "mu": mu, "first_hop": first_hop}}
    if weights == "type":
        document["network"] = {"types_per_sign": types_per_sign}
    return document


# The rows of every comparison, and those with the paper's own first hop (exact), which the published code leaves out.
BASICS: dict[str, Document] = {
    "bptt": {"rule": {"type": "bptt"}},
    "eprop": {"rule": {"type": "eprop"}},
    "mdgl": {"rule": {"type": "mdgl"}},
    "modprop cell": modprop("cell"),
    "modprop type C=2": modprop("type", types_per_sign=1),
    "modprop type C=8": modprop("type", types_per_sign=4),
}
EXACT: dict[str, Document] = {
    "modprop cell, first hop exact": modprop("cell", first_hop="exact"),
    "modprop type C=2, first hop exact": modprop("type", types_per_sign=1, first_hop="exact"),
    "modprop type C=8, first hop exact": modprop("type", types_per_sign=4, first_hop="exact"),
    "modprop type C=46, first hop exact": modprop(
        "type", types_per_sign=23, first_hop="exact"
    ),  # what /v1/rules recommends
}

PATTERN_BELOW = 0.001  # half the mean squared error, of targets with a maximum of 1
MNIST_BELOW = 0.3  # cross-entropy of the test split; about 91 %

SCREEN_TYPES = (1, 2, 4, 8, 23)
SCREEN_MU: tuple[float | str, ...] = (0.1, 0.25, 0.5, "auto")
SCREEN_ITERATIONS = 1000


def _conditions(task: str, rows: Mapping[str, Document]) -> tuple[Condition, ...]:
    return tuple(Condition(label, {"task": {"type": task}} | row) for label, row in rows.items())


def screen_rows() -> dict[str, Document]:
    """Type-specific ModProp over the fineness of types, mu and first hop: label and rule with network."""
    return {
        f"type C={2 * types} mu={mu} first hop {hop}": modprop("type", types_per_sign=types, mu=mu, first_hop=hop)
        for types in SCREEN_TYPES
        for mu in SCREEN_MU
        for hop in ("mu", "exact")
    }


def _screen() -> Experiment:
    rows = {label: row | {"training": {"iterations": SCREEN_ITERATIONS}} for label, row in screen_rows().items()}
    about = f"types, mu and first hop of type-specific ModProp, delayed XOR, {SCREEN_ITERATIONS} iterations"
    return Experiment("screen", about, _conditions("delayed_xor", rows))


def confirmation(name: str, task: str, labels: Sequence[str]) -> Experiment:
    """The rows of the screen named by `labels` at full length, against cell, e-prop and bptt."""
    known = screen_rows()
    rows = {label: BASICS[label] for label in ("bptt", "modprop cell", "eprop")} | {
        label: known[label] for label in labels
    }
    below = MNIST_BELOW if task == "row_mnist" else 0.1
    return Experiment(
        name, f"the best of the screen against bptt, modprop cell and eprop on {task}", _conditions(task, rows), below
    )


def experiments() -> dict[str, Experiment]:
    """Every experiment that needs no result of another, by name."""
    plain = [
        Experiment("delayed_xor", "the rules on delayed XOR, published settings", _conditions("delayed_xor", BASICS)),
        Experiment("delayed_xor_exact", "the paper's first hop on delayed XOR", _conditions("delayed_xor", EXACT)),
        Experiment("pattern", "the rules on pattern generation", _conditions("pattern", BASICS | EXACT), PATTERN_BELOW),
        Experiment("row_mnist", "the rules on row MNIST", _conditions("row_mnist", BASICS), MNIST_BELOW),
        Experiment(
            "row_mnist_exact", "the paper's first hop on row MNIST", _conditions("row_mnist", EXACT), MNIST_BELOW
        ),
        _screen(),
    ]
    return {experiment.name: experiment for experiment in plain}
