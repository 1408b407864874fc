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


def test_the_package_is_typed():
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--config-file", "pyproject.toml"], cwd=PACKAGE, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout
