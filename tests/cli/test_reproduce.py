"""The experiment files of tests/reproduce: what they run is what the stored results are of."""

import json
import re

import numpy as np
import pytest
from daemons import ROOT

REPRODUCE = ROOT / "tests" / "reproduce"
POINTS = {
    "alif_evidence": 2,
    "alif_store_recall": 2,
    "confirm": 9,
    "confirm_row_mnist": 9,
    "delayed_xor": 6,
    "delayed_xor_exact": 4,
    "delayed_xor_rules": 9,
    "delayed_xor_snap": 9,
    "delayed_xor_uoro": 3,
    "filter_explained": 2,
    "filter_learning": 4,
    "japanese_vowels": 6,
    "lif_pattern": 2,
    "pattern": 10,
    "rate_decisions": 6,
    "row_mnist": 6,
    "row_mnist_exact": 4,
    "screen": 40,
}
SEEDS = {
    "delayed_xor_snap": 1,
    "delayed_xor_uoro": 3,
    "filter_explained": 2,
    "filter_learning": 2,
    "screen": 3,
}  # others 10
ANALYSES = {"filter_explained"}  # whose rows are networks that an analysis looked at


def test_every_stored_result_has_its_experiment():
    assert {path.stem for path in REPRODUCE.glob("*.json")} == set(POINTS)
    assert {path.stem for path in (REPRODUCE / "results").glob("*.md")} - {"README"} == set(POINTS)


@pytest.mark.parametrize("name", sorted(set(POINTS) - ANALYSES))
def test_the_rows_of_the_results_are_points_of_the_experiment(name):
    document = json.loads((REPRODUCE / f"{name}.json").read_text())
    table = (REPRODUCE / "results" / f"{name}.md").read_text().split("## Each seed")[0]
    rows = {row.strip() for row in re.findall(r"^\| ([^|]+)\|", table, re.M)} - {"rule", "condition", "---"}
    if len(document["axes"]) > 1 or "patches" not in document["axes"][0]:
        assert len(rows) == POINTS[name]
    else:
        assert rows <= {patch["label"] for patch in document["axes"][0]["patches"]} and rows


def test_the_server_takes_them(modprop, tmp_path):
    vowels = {"inputs": np.zeros((29, 9, 12)), "targets": np.arange(9)}  # in the shape of the real ones
    np.savez(tmp_path / "vowels.npz", **vowels)
    modprop.run("datasets", "put", "japanese_vowels", tmp_path / "vowels.npz")
    for name, points in POINTS.items():
        data = ["--task", "delayed_xor"] if "mnist" in name else []  # MNIST is not here
        said = modprop.run("experiment", "validate", REPRODUCE / f"{name}.json", *data, "--json").stdout
        assert (json.loads(said)["points"], json.loads(said)["trials"]) == (points, points * SEEDS.get(name, 10))


def test_a_small_one_runs(modprop):
    small = ["training.iterations=20", "training.evaluate_every=10", "network.units=16", "task.delay=10"]
    sets = [word for path in small for word in ("--set", path)]
    made = modprop.lines("experiment", "run", REPRODUCE / "delayed_xor.json", *sets, "--seeds", "1-2", "--follow")
    assert "complete: 12 of 12 trials" in made
    comparisons = json.loads(modprop.run("experiment", "compare", made[0], "--json").stdout)["comparisons"]
    assert {row["to_label"] for row in comparisons} == {"bptt"} and len({row["label"] for row in comparisons}) == 5
