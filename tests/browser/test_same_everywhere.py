"""The same twenty jobs have the same numbers, labels and colours in the API, the command line, Python, the dashboard
and an export: none of them computes any."""

import csv
import json
import os
import subprocess

import pytest
from daemons import ROOT
from test_experiments import BASE, ROWS, ended, number, page, submit

MODPROP = os.environ.get("MODPROP", str(ROOT / "build" / "clients" / "cli" / "modprop"))
RULES = {"name": "rule", "patches": [{"/rule": {"type": rule}} for rule in ("bptt", "eprop")]}
METRICS = [{"name": "learned", "loss_below": 0.62, "in_a_row": 2}, {"final": "loss"}]
IN_PYTHON = """
import json, sys
from modprop import Client
client = Client(sys.argv[1])
points = client.get_experiment(sys.argv[2]).points()
print(json.dumps([
    {"label": p.label, "colour": p.colour, "n": p.n, "median": p.metrics["final_loss"].median,
     "learned": p.metrics["learned"].median, "mean": p.metrics["final_loss"].mean} for p in points.values()
]))
"""


def shortened(value):
    """As tables show it."""
    return "never" if value == "never" else f"{value:.4g}"


def rgb(colour):
    """ "#0072B2" as a style sheet reports it."""
    return f"rgb({', '.join(str(int(colour[i : i + 2], 16)) for i in (1, 3, 5))})"


def as_python(value):
    return float("inf") if value == "never" else value


@pytest.fixture
def twenty(daemon):
    specification = {"base": BASE, "axes": [RULES], "metrics": METRICS, "seeds": {"from": 1, "count": 10}}
    id = submit(daemon, specification)
    assert ended(daemon, id)["status"] == "complete"
    points = daemon.get(f"/v1/experiments/{id}/points").json()["points"]
    assert [point["n"] for point in points] == [10, 10]
    return id, points


def program(daemon, *words):
    command = [MODPROP, *words, "--server", daemon.url]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=120).stdout


def test_twenty_jobs_are_the_same_in_all_five(daemon, twenty, browser, python, tmp_path):
    id, points = twenty

    for line, point in zip(program(daemon, "experiment", "show", id).splitlines()[-2:], points, strict=True):
        median = point["metrics"]["final_loss"]["median"]
        assert line.split()[1] == point["label"] and shortened(median) in line
        assert shortened(point["metrics"]["learned"]["median"]) in line

    run = subprocess.run([python, "-c", IN_PYTHON, daemon.url, id], capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stderr
    for theirs, point in zip(json.loads(run.stdout), points, strict=True):
        assert (theirs["label"], theirs["colour"], theirs["n"]) == (point["label"], point["colour"], 10)
        assert theirs["median"] == point["metrics"]["final_loss"]["median"]
        assert theirs["mean"] == point["metrics"]["final_loss"]["mean"]
        assert theirs["learned"] == as_python(point["metrics"]["learned"]["median"])

    browser.open(page(daemon, id, metric="final_loss"))
    browser.wait(f"{ROWS}.length === 2 && document.querySelectorAll('.study-curves .line').length")
    labels = browser.script(f"return [...{ROWS}].map(r => r.querySelector('th').textContent.trim())")
    medians = browser.script(f"return [...{ROWS}].map(r => r.querySelector('b').textContent)")
    assert labels == [point["label"] for point in points]
    for shown, point in zip(medians, points, strict=True):
        assert number(shown) == pytest.approx(point["metrics"]["final_loss"]["median"], rel=5e-3)
    strokes = browser.script(
        "return [...document.querySelectorAll('.study-curves .line')].map(l => getComputedStyle(l).stroke)"
    )
    assert {rgb(point["colour"]) for point in points} == set(strokes)

    folder = tmp_path / "export"
    program(daemon, "export", id, str(folder))
    with open(folder / "tables" / "points.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    figures = "".join(path.read_text() for path in (folder / "figures").glob("loss*.svg"))
    for row, point in zip(rows, points, strict=True):
        assert (row["label"], row["colour"]) == (point["label"], point["colour"])
        assert float(row["metrics.final_loss.median"]) == point["metrics"]["final_loss"]["median"]
        assert (
            row["metrics.learned.median"] == "never"
            or float(row["metrics.learned.median"]) == (point["metrics"]["learned"]["median"])
        )
        assert point["colour"].lower() in figures.lower() and f">{point['label']}<" in figures
