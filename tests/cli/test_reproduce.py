"""The experiment files of tests/reproduce: what they run is what the stored results are of."""

import csv
import json
import os
import re

import numpy as np
import pytest
from daemons import ROOT

REPRODUCE = ROOT / "tests" / "reproduce"
POINTS = {
    "alif_evidence": 2,
    "alif_store_recall": 2,
    "bursting": 9,
    "confirm": 9,
    "confirm_row_mnist": 9,
    "curvature": 5,
    "delayed_xor": 6,
    "delayed_xor_exact": 4,
    "delayed_xor_rules": 9,
    "delayed_xor_snap": 9,
    "delayed_xor_uoro": 3,
    "filter_explained": 2,
    "filter_learning": 4,
    "fitted_filter": 7,
    "japanese_vowels": 6,
    "lif_pattern": 2,
    "mu": 13,
    "online": 16,
    "pattern": 10,
    "published_protocol": 8,
    "random_weights": 7,
    "rate_decisions": 6,
    "row_mnist": 6,
    "row_mnist_exact": 4,
    "rules_small": 7,
    "screen": 40,
    "timespans": 20,
    "timespans_small": 6,
    "types": 14,
}
SEEDS = {
    "bursting": 62,
    "curvature": 38,
    "delayed_xor_snap": 1,
    "delayed_xor_uoro": 3,
    "filter_explained": 2,
    "filter_learning": 2,
    "fitted_filter": 38,
    "mu": 56,
    "online": 62,
    "published_protocol": 17,
    "random_weights": 38,
    "rules_small": 62,
    "screen": 3,
    "timespans": 62,
    "timespans_small": 62,
    "types": 56,
}  # others 10
# Of the questions in clients/docs, whose results are on the pages there.
QUESTIONS = {
    "bursting", "curvature", "fitted_filter", "mu", "online", "published_protocol", "random_weights", "rules_small",
    "timespans", "timespans_small", "types",
}  # fmt: skip
ANALYSES = {"filter_explained"}  # whose rows are networks that an analysis looked at


def test_every_stored_result_has_its_experiment():
    assert {path.stem for path in REPRODUCE.glob("*.json")} - {"costs"} == set(POINTS)
    assert {path.stem for path in (REPRODUCE / "results").glob("*.md")} - {"README"} == set(POINTS) - QUESTIONS


@pytest.mark.parametrize("name", sorted(set(POINTS) - QUESTIONS - ANALYSES))
def test_the_rows_of_the_results_are_points_of_the_experiment(name):
    document = json.loads((REPRODUCE / f"{name}.json").read_text())
    table = (REPRODUCE / "results" / f"{name}.md").read_text().split("## Each seed")[0]
    rows = {row.strip() for row in re.findall(r"^\| ([^|]+)\|", table, re.M)} - {"rule", "condition", "---"}
    if len(document["axes"]) > 1 or "patches" not in document["axes"][0]:
        assert len(rows) == POINTS[name]
    else:
        assert rows <= {patch["label"] for patch in document["axes"][0]["patches"]}


def test_the_server_takes_them(modprop, tmp_path):
    vowels = {"inputs": np.zeros((29, 9, 12)), "targets": np.arange(9)}  # in the shape of the real ones
    np.savez(tmp_path / "vowels.npz", **vowels)
    modprop.run("datasets", "put", "japanese_vowels", tmp_path / "vowels.npz")
    costs = json.loads((REPRODUCE / "costs.json").read_text())["experiments"]
    for name, points in POINTS.items():
        task = json.loads((REPRODUCE / f"{name}.json").read_text())["base"].get("task", {}).get("type")
        data = ["--task", "delayed_xor"] if task == "row_mnist" else []  # MNIST is not here
        answer = json.loads(modprop.run("experiment", "validate", REPRODUCE / f"{name}.json", *data, "--json").stdout)
        assert (answer["points"], answer["trials"]) == (points, points * SEEDS.get(name, 10))
        if task not in ("row_mnist", "dataset"):
            stored = costs[name]  # what the documentation says that it costs
            assert (stored["points"], stored["trials"]) == (points, answer["trials"])
            again = f"{name} costs something else now; run tests/reproduce/store --costs and tests/reproduce/fill"
            assert stored["multiply_adds"] == pytest.approx(answer["estimate"]["multiply_adds"], rel=1e-6), again
    assert set(costs) == set(POINTS) - {"japanese_vowels"}


def test_a_small_one_runs(modprop):
    small = ["training.iterations=20", "training.evaluate_every=10", "network.units=16", "task.delay=10"]
    sets = [word for path in small for word in ("--set", path)]
    made = modprop.lines("experiment", "run", REPRODUCE / "delayed_xor.json", *sets, "--seeds", "1-2", "--follow")
    assert "complete: 12 of 12 trials" in made
    comparisons = json.loads(modprop.run("experiment", "compare", made[0], "--json").stdout)["comparisons"]
    assert {row["to_label"] for row in comparisons} == {"bptt"} and len({row["label"] for row in comparisons}) == 5


@pytest.mark.skipif(not os.environ.get("MODPROP_LONG"), reason="SKIPPED: trains samples; MODPROP_LONG=1 runs it")
@pytest.mark.parametrize("name", sorted(path.parent.name for path in REPRODUCE.glob("results/*/digests.txt")))
def test_a_sample_is_trained_again(modprop, name):
    """One seed of every condition, by modprop rerun: each weight's bits and the final metrics."""
    folder = REPRODUCE / "results" / name
    answer = json.loads(modprop.run("rerun", folder, "--json", timeout=7200).stdout)
    assert answer["agrees"] and answer["damaged_files"] == 0
    assert len(answer["trials"]) == POINTS[name]


# Of the pages of older builds, one seed: enough of its first condition to see whether this build still makes it.
CURVES = (
    "alif_store_recall",
    "delayed_xor_rules",
    "lif_pattern",
    "rate_decisions",
    "delayed_xor_uoro",
)


@pytest.mark.skipif(not os.environ.get("MODPROP_LONG"), reason="SKIPPED: trains samples; MODPROP_LONG=1 runs it")
@pytest.mark.parametrize("name", CURVES)
def test_a_stored_curve_is_made_again(modprop, name):
    """Losses at the first evaluations of seed 1, in every condition, to the six digits that the CSV has."""
    document = json.loads((REPRODUCE / f"{name}.json").read_text())
    every = document["base"]["training"].get("evaluate_every", 20)
    short = ["--set", f"training.iterations={2 * every + 1}", "--seeds", "1"]
    made = modprop.lines("experiment", "run", REPRODUCE / f"{name}.json", *short, "--follow", timeout=3600)
    trials = json.loads(modprop.run("experiment", "trials", made[0], "--json").stdout)["trials"]
    assert len(trials) == POINTS[name]
    compared = 0
    with open(REPRODUCE / "results" / f"{name}_loss.csv", newline="") as file:
        stored = {(row["label"], int(row["iteration"])): row["seed_1"] for row in csv.DictReader(file)}
    for trial in trials:
        curve = json.loads(modprop.run("metrics", trial["job"], "--json").stdout)
        for iteration in (0, every, 2 * every):
            loss = curve["loss"][curve["iteration"].index(iteration)]
            assert f"{loss:.6g}" == f"{float(stored[trial['label'], iteration]):.6g}", (trial["label"], iteration)
            compared += 1
    assert compared == 3 * POINTS[name]
