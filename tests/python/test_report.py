"""The program of tests/reproduce, as far as it goes without a daemon: which jobs an experiment has, and what a report
says."""

from __future__ import annotations

import argparse
import csv
import math
import sys

import numpy as np
import pytest
from daemons import ROOT
from modprop import Metrics

sys.path.insert(0, str(ROOT / "tests" / "reproduce"))
import experiments  # noqa: E402
import report  # noqa: E402
import reproduce  # noqa: E402

GRID = list(range(0, 200, 20))


class FinishedJob:
    """As much of a job as a report reads."""

    def __init__(self, condition, seed, status="succeeded"):
        self.status = status
        self.document = {"seed": seed, "metadata": {"condition": condition}, "status": status}


def outcome(label, seed, losses, status="succeeded", accuracy=1.0):
    columns = {"loss": losses, "accuracy": [accuracy] * len(losses)}
    return report.Outcome(label, seed, FinishedJob(label, seed, status), Metrics(GRID[: len(losses)], columns))


OUTCOMES = [
    outcome("bptt", 1, [1] * 3 + [0.05] * 7),
    outcome("bptt", 2, [1] * 5 + [0.05] * 5),
    outcome("bptt", 3, [1] * 10, accuracy=0.5),
    outcome("eprop", 1, [0.5] * 10, accuracy=0.9),
    outcome("eprop", 2, [], status="failed"),
    outcome("eprop", 3, [0.5] * 4 + [0.05] * 4 + [0.2, 0.05]),
]


def test_a_report_says_when_each_seed_learned():
    text = report.markdown("delayed_xor", "the rules", ["Command: `x`"], OUTCOMES)
    assert "| bptt | 60, 100, - | 100 | 0.05 | 0.3667 | 1 | 2/3 |" in text
    assert "| eprop | -, diverged, - | - | 0.5 | - | 0.9 | 1/3 |" in text
    assert "| bptt | 3 | - | 1 | 0.5 |" in text and "| eprop | 2 | diverged | - | 0 |" in text


def test_never_is_later_than_any_iteration():
    assert OUTCOMES[0].learned == 60 and OUTCOMES[2].learned == math.inf and OUTCOMES[4].learned == math.inf


def test_curves_leave_out_what_diverged(tmp_path):
    report.write(tmp_path, "x", "the rules", [], OUTCOMES)
    rows = list(csv.DictReader((tmp_path / "x_loss.csv").read_text(encoding="utf-8").splitlines()))
    assert sorted({row["label"] for row in rows}) == ["bptt", "eprop"] and len(rows) == 20
    last = [row for row in rows if row["iteration"] == "180"]
    assert float(last[0]["median"]) == 0.05 and np.isclose(float(last[0]["mean"]), 1.1 / 3) and last[1]["seed_2"] == ""
    assert (tmp_path / "x.png").stat().st_size > 10000 and (tmp_path / "x_accuracy.csv").exists()


def test_a_picture_shows_the_best_of_many():
    many = [outcome(f"row {row}", seed, [1, 0.01 * row]) for row in range(20) for seed in (1, 2)]
    compared = report.comparison(many)
    assert list(report.best(many, compared)) == [f"row {row}" for row in range(report.CURVES)]
    few = report.comparison(compared["row 1"].runs)
    assert report.best(many, few) is few


def test_a_task_without_accuracy(tmp_path):
    report.write(tmp_path, "p", "pattern", [], [outcome("bptt", 1, [1, 0.5], accuracy=float("nan"))])
    assert "| bptt | - | - | 0.5 | 0.5 | - | - |" in (tmp_path / "p.md").read_text()
    assert not (tmp_path / "p_accuracy.csv").exists()


def test_experiments_hold_what_they_should():
    known = experiments.experiments()
    assert len(known["screen"].conditions) == 5 * 4 * 2
    assert [row.label for row in known["delayed_xor"].conditions] == [
        "bptt",
        "eprop",
        "mdgl",
        "modprop cell",
        "modprop type C=2",
        "modprop type C=8",
    ]
    assert known["delayed_xor"].conditions[5].document["network"] == {"types_per_sign": 4}
    for experiment in known.values():
        jobs = [row.job(experiment.name, seed, {}) for row in experiment.conditions for seed in (1, 2)]
        assert len({job["metadata"]["key"] for job in jobs}) == len(jobs)


def test_a_key_stands_for_all_that_determines_the_result():
    row = experiments.experiments()["delayed_xor"].conditions[5]
    plain, again, other = (
        row.job("a", 1, {}),
        row.job("a", 1, {}),
        row.job("a", 1, {"training.iterations": 5, "network.units": 20}),
    )
    assert plain == again and plain["metadata"]["key"] != other["metadata"]["key"]
    assert (
        other["network"] == {"types_per_sign": 4, "units": 20}
        and other["training"] == {"iterations": 5}
        and "training" not in plain
    )


def test_seeds_are_numbers_and_ranges():
    assert reproduce.seeds("1-3,7,2") == [1, 2, 3, 7]
    for wrong in ("", "a", "3-1", "1-", "-2"):
        with pytest.raises(argparse.ArgumentTypeError, match="numbers and ranges"):
            reproduce.seeds(wrong)


def test_the_command_is_told_without_where_it_ran():
    command = ["--experiment", "screen", "--server", "http://x", "--out=results", "--seeds", "1-3", "--token", "t"]
    assert reproduce.without_address(command) == ["--experiment", "screen", "--seeds", "1-3"]


@pytest.mark.parametrize(
    "status, code, result",
    [
        ("succeeded", None, True),
        ("queued", None, True),
        ("failed", "diverged", True),
        ("failed", "crashed", False),
        ("cancelled", None, False),
    ],
)
def test_a_job_that_was_lost_is_trained_anew(status, code, result):
    job = FinishedJob("bptt", 1, status)
    job.document["error"] = {"code": code} if code else None
    assert reproduce.is_result(job) == result
