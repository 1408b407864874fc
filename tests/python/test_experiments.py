"""Experiments and comparisons against a real daemon: the package shows the server's numbers, and computes none."""

from __future__ import annotations

import asyncio
import csv
import dataclasses
import json
import math
import os
import subprocess

import httpx
import numpy as np
import pytest
from daemons import ROOT
from modprop import AsyncClient, Comparison, InvalidRequest, NotFound, PairedList, Points
from modprop._studies import axes_of, metric_of, seeds_of

BASE = {
    "task": {"type": "delayed_xor", "delay": 10, "cue": 10},
    "network": {"units": 8, "tau": 20},
    "training": {"iterations": 40, "batch_size": 4},
}
AXES = {"rule": ["bptt", "eprop"], "optimizer.learning_rate": [0.001, 0.005]}
METRICS = ["loss_below:0.6:1", "final:loss", "best:accuracy"]


@pytest.fixture
def experiment(client):
    return client.experiment(BASE, axes=AXES, seeds=3, metrics=METRICS, name="small").wait(300)


def test_an_experiment_is_followed_and_read(client, daemon):
    experiment = client.experiment(BASE, axes=AXES, seeds=3, metrics=METRICS, name="small", tags=["a"])
    ends = list(experiment)
    assert [end.ended for end in ends] == list(range(1, 13)) and ends[-1].fraction == 1.0
    assert experiment.status == "complete" and experiment.counts["succeeded"] == experiment.size == 12
    raw = httpx.get(f"{daemon.url}/v1/experiments/{experiment.id}/points").json()["points"]
    points = experiment.points()
    assert [(p.label, p.colour, p.dash) for p in points.values()] == [(p["label"], p["colour"], p["dash"]) for p in raw]
    summary = points[{"rule": "eprop", "learning_rate": 0.005}].metrics["final_loss"]
    assert summary.median == raw[3]["metrics"]["final_loss"]["median"] and summary.n == 3 and summary.few
    assert points["1.1"] is points[raw[3]["label"]]
    with pytest.raises(KeyError, match="2 points have"):
        points[{"rule": "eprop"}]
    with pytest.raises(KeyError, match="there is no point 'mdgl'"):
        points["mdgl"]
    trials = experiment.trials(["final:loss"], points=["0.0"])
    assert [trial.seed for trial in trials] == [1, 2, 3] and np.median(
        [trial.metrics["final_loss"] for trial in trials]
    ) == pytest.approx(raw[0]["metrics"]["final_loss"]["median"])
    [loss, *_] = experiment.curves(["loss"], seeds=True, x="trials")
    assert loss.iteration.tolist() == [0, 20, 40] and loss.x.tolist() == [0, 80, 160] and set(loss.seeds) == {1, 2, 3}
    pairs = experiment.compare("rule", metrics=["final:loss"])
    assert [(pair.point, pair.to) for pair in pairs] == [("1.0", "0.0"), ("1.1", "0.1")] and pairs[0].least_p == 0.25
    assert "small" in experiment._repr_html_() and "12 succeeded" in experiment._repr_html_()


def test_never_is_later_than_all(client):
    experiment = client.experiment(BASE, axes={"rule": ["bptt"]}, seeds=2, metrics=["loss_below:0.000001"]).wait(300)
    [point] = experiment.points().values()
    [learned] = point.metrics.values()
    assert learned.median == math.inf and learned.never == 2 and math.isnan(learned.mean)
    assert "| never (never to never) |" in experiment.points().table()
    assert Points([dataclasses.replace(point, label="a|b")]).table().splitlines()[2].startswith("| a\\|b | 2 |")


def test_an_experiment_lives(client):
    long = BASE | {"training": {"iterations": 10**6, "batch_size": 4}}
    experiment = client.experiment(long, axes={"rule": ["bptt"]}, seeds=2, name="long")
    with pytest.raises(TimeoutError, match="still running"):
        experiment.wait(0.2)
    assert experiment.pause().status == "paused" and experiment.resume().status == "running"
    experiment.cancel().wait(300)
    assert experiment.status == "cancelled" and experiment.counts["cancelled"] == 2
    experiment.delete()
    with pytest.raises(NotFound):
        client.get_experiment(experiment.id)


def test_an_experiment_grows_and_is_found(client, experiment):
    experiment.extend(seeds=4, axes={"rule": ["mdgl"]}).wait(300)
    assert experiment.size == 3 * 2 * 4 and list(experiment.points().values())[-1].rule == "mdgl"
    assert len(list(experiment.follow())) == 24, "a stream that had ended goes on after its growth"
    experiment.update(name="larger", tags=["b"])
    assert [found.id for found in client.experiments("tag:b")] == [experiment.id]
    for word in ("larger", "latest", experiment.id[:18], experiment.id):
        assert client.get_experiment(word).id == experiment.id
    again = client.experiment(BASE, axes=AXES, seeds=3, name="larger").wait(300)
    assert all(trial.linked for trial in again.trials()), "what the server has is linked, not run"
    with pytest.raises(ValueError, match="more than one experiment has the name 'larger'"):
        client.get_experiment("larger")
    with pytest.raises(InvalidRequest, match="/points/1/rule/mu"):
        client.experiment(BASE, axes={"rule.mu": [3, "many"]})
    assert client.validate_experiment(BASE, axes=AXES, seeds=5)["trials"] == 20


def test_twenty_jobs_are_the_same_everywhere(client, daemon, tmp_path):
    """client.compare, `modprop compare --json` and the API itself: numbers, labels and colours."""
    jobs = [
        client.train(BASE["task"], rule, network=BASE["network"], training=BASE["training"], seed=seed)
        for rule in ("bptt", "eprop")
        for seed in range(1, 11)
    ]
    for job in jobs:
        job.wait(300)
    ids = [job.id for job in jobs]
    metrics = [{"final": "loss"}, {"best": "loss"}, {"name": "learned", "loss_below": 0.1, "in_a_row": 5}]
    found = client.compare(jobs, metrics=metrics)
    raw = httpx.post(f"{daemon.url}/v1/compare", json={"jobs": ids, "metrics": metrics}).json()
    program = os.environ.get("MODPROP", str(ROOT / "build" / "clients" / "cli" / "modprop"))
    command = [program, "compare", *ids, "--json", "--server", daemon.url]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120, cwd=tmp_path)
    assert json.loads(done.stdout)["points"] == raw["points"] == found.document["points"]
    assert len(found) == 2 and [point.n for point in found.values()] == [10, 10]
    for point, theirs in zip(found.values(), raw["points"], strict=True):
        assert (point.label, point.colour) == (theirs["label"], theirs["colour"])
        assert point.metrics["final_loss"].median == theirs["metrics"]["final_loss"]["median"]
        assert point.metrics["learned"].median == math.inf and theirs["metrics"]["learned"]["median"] == "never"
    assert found.comparisons[0].won == raw["comparisons"][0]["won"]
    assert client.compare(q="rule:eprop", by=["rule"])["eprop"].metrics["final_loss"].n == 10
    found.to_csv(tmp_path / "c.csv")
    rows = list(csv.DictReader((tmp_path / "c.csv").read_text(encoding="utf-8").splitlines()))
    assert [row["iteration"] for row in rows] == ["0", "20", "40"] * 2
    assert float(rows[2]["median"]) == pytest.approx(found["bptt"].metrics["final_loss"].median, rel=1e-8)


def test_an_experiment_asynchronously(daemon, tmp_path):
    async def run():
        async with AsyncClient(daemon.url) as client:
            experiment = await client.experiment(BASE, axes={"rule": ["bptt", "eprop"]}, seeds=2, name="small")
            ends = [end async for end in experiment]
            assert ends[-1].ended == 4 and (await experiment.wait(300)).finished
            assert list(await experiment.points()) == ["bptt", "eprop"]
            assert [one.id async for one in client.experiments("name:small")] == [experiment.id]
            compared = await client.compare(q=f"experiment:{experiment.id}")
            assert compared["eprop"].n == 2 and len(await experiment.compare("rule")) == 1
            await experiment.to_csv(tmp_path / "compare.csv", "compare")
            assert len((tmp_path / "compare.csv").read_text().splitlines()) == 2
            pairs = await experiment.compare("rule")
            assert repr(pairs) == pairs.table() and "| eprop | bptt | 2 |" in pairs.table()
            piped = PairedList([dataclasses.replace(pairs[0], label="a|b", to_label="c|d")])
            assert "| a\\|b | c\\|d | 2 |" in piped.table()
            pytest.importorskip("matplotlib").use("Agg")
            assert len((await experiment.plot()).get_lines()) == 2
            await (await client.get_experiment("small")).delete()

    asyncio.run(run())


def test_pictures_have_the_servers_look(experiment, tmp_path):
    pytest.importorskip("matplotlib").use("Agg")
    points = list(experiment.points().values())
    axes = experiment.plot(key="accuracy")
    lines = axes.get_lines()
    assert [line.get_color() for line in lines] == [point.colour for point in points]
    solid = [line.get_linestyle() == "-" for line in lines]
    assert solid == [point.dash == 0 for point in points] and True in solid and False in solid
    bands = np.concatenate([path.vertices[:, 1] for band in axes.collections for path in band.get_paths()])
    assert bands.min() >= 0 and bands.max() <= 1, "no band outside the possible"
    axes.figure.savefig(tmp_path / "a.png")
    legend, data = axes.get_legend().get_window_extent(), axes.get_window_extent()
    assert legend.x0 >= data.x1 and legend.x1 <= axes.figure.bbox.x1, "the legend is beside the data"
    assert len(experiment.plot(seeds=True).get_lines()) == 4 * 4
    experiment.plot(center="mean").figure.savefig(tmp_path / "m.png")
    with pytest.raises(ValueError, match="center"):
        experiment.plot(center="mode")


def test_tables_as_csv(experiment, tmp_path):
    for of, rows in (("points", 4 * 1), ("trials", 12), ("curves", 4), ("compare", 2)):
        experiment.to_csv(tmp_path / "t.csv", of)
        assert len(list(csv.DictReader((tmp_path / "t.csv").read_text().splitlines()))) >= rows, of
    with pytest.raises(ValueError, match="compare"):
        experiment.to_csv(tmp_path / "t.csv", "jobs")


def test_tables_and_arrays(experiment):
    pytest.importorskip("pandas")
    points = experiment.to_pandas()
    assert len(points) == 4 * 3 and points.loc[("eprop, learning_rate=0.005", "final_loss"), "n"] == 3
    trials = experiment.to_pandas("trials")
    assert len(trials) == 12 and "final_loss" in trials.columns
    curves = experiment.to_pandas("curves", keys=["loss"])
    assert curves.index.names == ["label", "key", "iteration"] and len(curves) == 12
    with pytest.raises(ValueError, match="points"):
        experiment.to_pandas("jobs")
    pytest.importorskip("xarray")
    array = experiment.to_xarray()
    assert dict(array.sizes) == {"rule": 2, "learning_rate": 2, "seed": 3}
    one = array["final_loss"].sel(rule="eprop", learning_rate=0.005)
    assert one.median().item() == points.loc[("eprop, learning_rate=0.005", "final_loss"), "median"]


def test_a_comparison_of_nothing_finished_has_no_numbers():
    empty = Comparison({"points": [], "comparisons": [], "trials": []})
    assert len(empty) == 0 and repr(empty) == "<Comparison >"
    with pytest.raises(KeyError, match="no curves of 'loss'"):
        empty.to_csv("never-written.csv")


@pytest.mark.parametrize(
    "given, document",
    [
        ({"rule": ["bptt"]}, {"path": "/rule", "values": [{"type": "bptt"}]}),
        ({"task.delay": range(2)}, {"path": "/task/delay", "values": [0, 1]}),
        ({"task.delay": {"linear": [1, 5], "count": 3}}, {"path": "/task/delay", "linear": [1, 5], "count": 3}),
        ({"size": [{"/network/units": 5}]}, {"name": "size", "patches": [{"/network/units": 5}]}),
        ([{"path": "/seed", "values": [1]}], {"path": "/seed", "values": [1]}),
    ],
)  # fmt: skip
def test_axes_become_documents(given, document):
    assert axes_of(given) == [document]


def test_metrics_and_seeds_become_documents():
    assert metric_of("final:loss") == {"final": "loss"}
    assert metric_of("accuracy_above:0.95:3") == {"accuracy_above": 0.95, "in_a_row": 3}
    assert seeds_of(20) == {"from": 1, "count": 20} and seeds_of(range(3, 5)) == [3, 4]
    for wrong in ("loss", "final", "loss_below", "loss_below:x"):
        with pytest.raises(ValueError, match="a metric is"):
            metric_of(wrong)
