"""modprop export and rerun: a folder that holds all of an experiment, and the experiment again, bit for bit."""

import csv
import hashlib
import json

import numpy as np
import pytest
from conftest import Program
from test_experiments import SMALL


@pytest.fixture
def exported(modprop, tmp_path):
    modprop.run("experiment", "run", *SMALL, "--rule", "bptt,eprop", "--seeds", "1-2", "--name", "pair", "--follow")
    modprop.run("export", "pair", tmp_path / "out")
    return tmp_path / "out"


def test_the_folder_is_whole(modprop, exported):
    files = {str(path.relative_to(exported)) for path in exported.rglob("*") if path.is_file()}
    assert {path for path in files if not path.endswith(".pdf")} == {
        "README.md",
        "digests.txt",
        "experiment.json",
        "methods.md",
        "references.bib",
        *(f"figures/{key}.{ending}" for key in ("loss", "accuracy") for ending in ("svg", "csv")),
        *(f"tables/{name}.csv" for name in ("points", "trials", "compare")),
        *(f"manifests/{point}-{seed}.json" for point in (0, 1) for seed in (1, 2)),
    }
    lines = (exported / "digests.txt").read_text().splitlines()
    listed = dict(reversed(line.split("  ")) for line in lines if not line.startswith("#"))
    assert set(listed) == files - {"digests.txt"}
    for name, digest in listed.items():
        assert hashlib.sha256((exported / name).read_bytes()).hexdigest() == digest, name
    weights = {line.split()[4]: line.split()[1] for line in lines if line.startswith("#")}
    manifest = json.loads((exported / "manifests/1-2.json").read_text())
    assert weights["1-2"] == manifest["weights_sha256"] and len(weights) == 4
    assert not list(exported.parent.glob("out.*")), "nothing is left beside it"


def test_the_numbers_are_the_servers(modprop, exported):
    made = modprop.lines("experiment", "list", "--quiet")[0]
    table = modprop.run("experiment", "trials", made, "--format", "csv").stdout
    assert (exported / "tables/trials.csv").read_text() == table
    drawn = list(csv.DictReader((exported / "figures/loss.csv").open()))
    points = json.loads((exported / "experiment.json").read_text())
    assert points["seeds"] == [{"from": 1, "count": 2}]
    assert [(row["label"], row["iteration"]) for row in drawn] == [
        (rule, iteration) for rule in ("bptt", "eprop") for iteration in ("0", "5", "10")
    ]
    losses = [float(row["metrics.final_loss"]) for row in csv.DictReader(table.splitlines()) if row["label"] == "bptt"]
    assert float(drawn[2]["median"]) == pytest.approx(sum(losses) / 2, rel=1e-15)
    assert 'width="85mm"' in (exported / "figures/loss.svg").read_text()


def test_the_methods_say_what_was_done(modprop, exported):
    text, references = ((exported / name).read_text() for name in ("methods.md", "references.bib"))
    build = json.loads((exported / "manifests/0-1.json").read_text())["build"]
    for words in (
        "task `delayed_xor`",
        "`delay` 10",
        "`units` 16",
        "`bptt` (backpropagation through time",
        "[@bellec2020]",
        "`iterations` 10",
        build,
        "`final_loss` is",
        "| 1 | eprop | 2 |",
    ):
        assert words in text, words
    assert {line.split("{")[1].rstrip(",") for line in references.splitlines() if line.startswith("@")} == {
        "werbos1990",
        "bellec2020",
        "kingma2015",
    }


def test_a_folder_that_holds_something_stays(modprop, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").write_text("mine")
    modprop.run("experiment", "run", *SMALL, "--name", "one", "--follow")
    assert "must not exist, or be empty" in modprop.run("export", "one", tmp_path / "full", status=2).stderr
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["mine"]
    (tmp_path / "empty").mkdir()
    modprop.run("export", "one", tmp_path / "empty")
    assert (tmp_path / "empty" / "digests.txt").exists()


def test_what_is_missing_is_said_on_standard_error(start, tmp_path):
    modprop = Program(tmp_path, start("--workers", "0").url)
    made = modprop.lines("experiment", "run", *SMALL, "--rule", "bptt,eprop", "--seeds", "1-2")[0]
    said = modprop.run("export", made, tmp_path / "running")
    assert said.stdout.splitlines() == [f"{tmp_path / 'running'}: 0 figures, 0 manifests"]
    assert (
        "the experiment is still running: 0 of 4 trials are in the figures (README.md lists the rest); export again "
        "when it has ended\n" in said.stderr
    )
    modprop.run("experiment", "cancel", made)
    modprop.run("experiment", "follow", made, status=1)
    said = modprop.run("export", made, tmp_path / "cancelled")
    assert "the experiment was cancelled: 0 of 4 trials are in the figures" in said.stderr
    assert "There is no figure: no trial has results.\n" in said.stderr
    readme = (tmp_path / "cancelled" / "README.md").read_text()
    assert "What is not here:\n\n- There is no figure: no trial has results.\n" in readme
    assert readme.count("it was cancelled.\n") + readme.count("has no manifest") == 4
    assert "0 of 4, 4 cancelled trials" in modprop.run("experiment", "show", made).stdout


def test_a_job_is_not_exported(modprop, tmp_path):
    said = modprop.run("export", "first", tmp_path / "out", status=4).stderr
    assert "export writes experiments; a single job's curve: modprop compare JOB --plot FILE.svg" in said


def test_rerun_in_a_second_data_directory_agrees_in_every_bit(modprop, exported, start, tmp_path):
    other = Program(tmp_path, start(data=tmp_path / "second").url)
    said = other.run("rerun", exported)
    assert said.stdout.count("every bit agrees") == 4 and "4 of 4 trials agree in every bit" in said.stdout
    again = json.loads(other.run("rerun", exported, "--seeds", "2", "--json").stdout)
    assert again["agrees"] and [trial["trial"] for trial in again["trials"]] == ["0-2", "1-2"]


@pytest.mark.parametrize("damage", ["digest", "manifest", "file"])
def test_rerun_reports_what_was_damaged(modprop, exported, damage):
    name = {"digest": "digests.txt", "manifest": "manifests/1-2.json", "file": "tables/points.csv"}[damage]
    weights = json.loads((exported / "manifests/1-2.json").read_text())["weights_sha256"]
    text = (exported / name).read_text()
    (exported / name).write_text(text.replace(weights, "0" * 64) if damage != "file" else text + "\n")
    said = modprop.run("rerun", exported, status=1)
    assert f"{3 + (damage == 'file')} of 4 trials agree in every bit" in said.stdout
    assert (f"{name} was changed" in said.stderr) == (damage != "digest")
    assert ("digests.txt and the manifest name different weights" in said.stdout) == (damage != "file")


def test_datasets_travel_with_the_export(modprop, start, tmp_path):
    targets = np.tile(np.arange(6, dtype=np.int64) % 2, (10, 1))
    np.savez(tmp_path / "d.npz", inputs=np.random.default_rng(1).normal(size=(10, 6, 2)), targets=targets)
    modprop.run("datasets", "put", "signs", tmp_path / "d.npz")
    few = ["--set", "network.units=8", "--set", "training.iterations=4", "--name", "data", "--follow"]
    modprop.run("experiment", "run", "--task", "dataset", "--set", "task.name=signs", *few)
    modprop.run("export", "data", tmp_path / "out")
    assert "the seeds of each condition were 1 to 10." in (tmp_path / "out/methods.md").read_text()
    digest = json.loads((tmp_path / "out/manifests/0-1.json").read_text())["dataset_sha256"]
    data = (tmp_path / f"out/datasets/{digest}.safetensors").read_bytes()
    assert hashlib.sha256(data).hexdigest() == digest
    modprop.run("export", "data", tmp_path / "digests", "--digests")
    assert not (tmp_path / "digests/datasets").exists() and digest in (tmp_path / "digests/README.md").read_text()
    other = Program(tmp_path, start(data=tmp_path / "second").url)
    assert "no dataset" in other.run("rerun", tmp_path / "digests", status=4).stderr
    assert "10 of 10 trials agree" in other.run("rerun", tmp_path / "out").stdout
    np.savez(tmp_path / "d.npz", inputs=np.ones((10, 6, 2)), targets=targets)
    other.run("datasets", "put", "signs", tmp_path / "d.npz")
    assert 'another dataset under the name "signs"' in other.run("rerun", tmp_path / "out", status=2).stderr


def test_the_methods_define_the_metrics(modprop, tmp_path):
    document = tmp_path / "measured.json"
    metrics = [{"name": "learned", "loss_below": 0.1, "in_a_row": 5}, {"best": "accuracy"}, {"area": "loss"}]
    modprop.run("experiment", "run", *SMALL, "--name", "plain", "--follow")
    shown = json.loads(modprop.run("experiment", "show", "plain", "--json").stdout)["specification"]
    document.write_text(
        json.dumps(shown | {"name": "measured", "metrics": metrics, "seeds": [1, 2, {"from": 4, "count": 3}]})
    )
    modprop.run("experiment", "run", document, "--follow")
    modprop.run("export", "measured", tmp_path / "out")
    text = (tmp_path / "out/methods.md").read_text()
    for words in (
        "`learned` is the time (in iterations) of the first of 5 consecutive evaluations with `loss` below 0.1.",
        "`best_accuracy` is the best value of `accuracy`.",
        "`area_loss` is the area under the curve of `loss`.",
        "the seeds of each condition were 1, 2 and 4 to 6.",
    ):
        assert words in text, words
