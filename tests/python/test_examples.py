"""The examples do what they say, run as a user would, against a real daemon; the package passes its type checker."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from daemons import ROOT

PACKAGE = ROOT / "clients" / "python"
EXAMPLES = PACKAGE / "examples"


def run(daemon, *command, cwd=None):
    environment = os.environ | {"MODPROP_SERVER": daemon.url, "MPLBACKEND": "Agg"}
    done = subprocess.run(
        list(map(str, command)), env=environment, cwd=cwd, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    return done.stdout


def test_comparing_rules_across_seeds(daemon, tmp_path):
    picture = tmp_path / "rules.png"
    output = run(
        daemon,
        sys.executable,
        EXAMPLES / "compare_rules.py",
        "--seeds",
        2,
        "--iterations",
        40,
        "--delay",
        20,
        "--picture",
        picture,
    )
    assert (
        output.count("seed 1") == output.count("seed 2") == 4
        and "| modprop | 2 |" in output
        and "% of 2 seeds" in output
    )
    assert picture.stat().st_size > 5000


def test_a_task_of_neurogym(daemon):
    pytest.importorskip("neurogym")
    output = run(
        daemon,
        sys.executable,
        EXAMPLES / "neurogym_task.py",
        *("--trials", 200, "--iterations", 150, "--units", 40, "--seeds", 2),
    )
    accuracy = {line.split()[0]: float(line.split()[2].rstrip(",")) for line in output.splitlines() if "median" in line}
    assert set(accuracy) == {"bptt", "modprop", "eprop"}
    assert accuracy["bptt"] > 0.6, "two choices: better than chance on trials that it has not seen"


def test_the_notebook(daemon, tmp_path):
    nbformat = pytest.importorskip("nbformat")
    nbclient = pytest.importorskip("nbclient")
    notebook = nbformat.read(EXAMPLES / "first_job.ipynb", as_version=4)
    os.environ["MODPROP_SERVER"] = daemon.url
    try:
        nbclient.NotebookClient(
            notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
        ).execute()
    finally:
        del os.environ["MODPROP_SERVER"]
    images = [
        output for cell in notebook.cells for output in cell.get("outputs", []) if "image/png" in output.get("data", {})
    ]
    assert len(images) >= 2


def test_reproducing_goes_on_where_it_was(daemon, tmp_path):
    small = ["--set", "training.iterations=40", "--set", "network.units=20", "--set", "task.delay=20"]
    command = [
        sys.executable,
        ROOT / "tests" / "reproduce" / "reproduce.py",
        "--experiment",
        "delayed_xor",
        "--out",
        tmp_path,
        *small,
    ]
    assert "6 jobs, 6 submitted now, 0 finished" in run(daemon, *command, "--seeds", "1")
    output = run(daemon, *command, "--seeds", "1-2")
    assert "12 jobs, 6 submitted now, 6 finished" in output and "12/12 seed  2 modprop type C=8" in output
    assert "6 jobs, 0 submitted now, 6 finished" in run(daemon, *command, "--seeds", "2", "--report")
    table = (tmp_path / "delayed_xor.md").read_text()
    assert "| modprop type C=2 | 2 |" in table and "--set training.iterations=40" in table and daemon.url not in table
    assert (tmp_path / "delayed_xor_loss.csv").read_text().count("\n") == 1 + 6 * 3 and (
        tmp_path / "delayed_xor.png"
    ).exists()


def test_the_best_of_the_screen_go_on(daemon, tmp_path):
    small = [
        "--set",
        "training.iterations=20",
        "--set",
        "network.units=20",
        "--set",
        "task.delay=0",
        "--set",
        "task.cue=10",
        "--out",
        tmp_path,
        "--seeds",
        "1",
    ]
    command = [sys.executable, ROOT / "tests" / "reproduce" / "reproduce.py", *small]
    run(daemon, *command, "--experiment", "screen", "--only", "C=2 ", "--only", "C=4 ")
    output = run(daemon, *command, "--experiment", "confirm")
    assert "confirm: 9 jobs" in output and output.count(" type C=") == 6


def test_the_package_is_typed():
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--config-file", "pyproject.toml"], cwd=PACKAGE, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout
