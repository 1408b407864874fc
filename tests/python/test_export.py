"""Exports to other tools, read back: TensorBoard's event files, MLflow's file store, W&B's offline runs."""

from __future__ import annotations

import importlib
import io
import json
import math
import struct
import sys

import numpy as np
import pytest
from modprop import export
from modprop._results import Metrics

TASK = {"type": "delayed_xor", "delay": 10, "cue": 10}
TRAINING = {"iterations": 6, "evaluate_every": 2, "batch_size": 4}


@pytest.fixture
def job(client):
    return client.train(TASK, network={"units": 12}, training=TRAINING, seed=3, name="one job").wait(60)


@pytest.fixture
def experiment(client):
    base = {"task": TASK, "network": {"units": 12}, "training": TRAINING}
    return client.experiment(base, axes={"rule": ["bptt", "eprop"]}, seeds=2, name="two rules").wait(120)


def weights_equal(content, job):
    with np.load(io.BytesIO(content)) as stored:
        assert set(stored) == set(job.weights.arrays())
        return all(np.array_equal(stored[name], array) for name, array in job.weights.arrays().items())


def curve(job, name="loss"):
    return {int(i): v for i, v in zip(job.metrics().iteration, job.metrics()[name], strict=True) if math.isfinite(v)}


def test_a_run_has_curves_parameters_and_weights(job, experiment):
    (run,) = export._runs(job, True)
    assert run.name == "one job" and run.folder == f"one-job-{job.id[-8:]}" and run.begun <= min(run.times())
    assert run.parameters()["task.delay"] == 10 and run.parameters()["rule.type"] == job.document["rule"]["type"]
    assert {iteration: values["loss"] for iteration, values in run.rows()} == curve(job)
    assert set(run.files()) == {"job.json", "weights.npz"} and weights_equal(run.files()["weights.npz"], job)
    assert {one.name for one in export._runs(experiment, False)} == {
        f"{rule} seed {seed}" for rule in ("bptt", "eprop") for seed in (1, 2)
    }
    assert all(set(one.files()) == {"job.json"} for one in export._runs(experiment, False))


def test_what_is_not_finite_is_left_out(job):
    metrics = Metrics([0, 5], {"loss": [1, None], "accuracy": [None, 0.5]})
    run = export.Run("x", job.document, metrics, None)
    assert list(run.rows()) == [(0, {"loss": 1.0}), (5, {"accuracy": 0.5})]


@pytest.mark.parametrize("name", ["tensorboard", "mlflow", "wandb"])
def test_a_missing_package_is_named(name, job, monkeypatch, tmp_path):
    for module in [one for one in sys.modules if one.split(".")[0] == name]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ImportError, match=f"export.{name} needs {name}: pip install {name}"):
        getattr(export, name)(job, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_tensorboard_reads_it(job, experiment, tmp_path):
    skip_without("tensorboard")
    accumulator = importlib.import_module("tensorboard.backend.event_processing.event_accumulator")
    (folder,) = export.tensorboard(job, tmp_path)
    events = accumulator.EventAccumulator(str(folder)).Reload()
    scalars = {event.step: event.value for event in events.Scalars("loss")}
    assert scalars == {step: pytest.approx(value, rel=1e-6) for step, value in curve(job).items()}
    assert [event.wall_time for event in events.Scalars("loss")] == sorted(e.wall_time for e in events.Scalars("loss"))
    assert {"weights/W", "weights/Win", "weights/Wout"} <= set(events.Tags()["tensors"])
    assert {event.step for event in events.Tensors("weights/W")} == {job.weights.iteration}
    stored = events.summary_metadata["_hparams_/session_start_info"].plugin_data.content
    parsed = importlib.import_module("tensorboard.plugins.hparams.plugin_data_pb2").HParamsPluginData()
    parsed.ParseFromString(stored)
    assert parsed.session_start_info.hparams["task.delay"].number_value == 10
    assert weights_equal((folder / "weights.npz").read_bytes(), job)
    assert json.loads((folder / "job.json").read_text())["id"] == job.id
    with pytest.raises(FileExistsError, match="choose another folder"):
        export.tensorboard(job, tmp_path)
    made = export.tensorboard(experiment, tmp_path, weights=False)
    assert len(made) == 4 and all(one.name.startswith(("bptt-seed-", "eprop-seed-")) for one in made)


def test_mlflow_reads_it(job, experiment, tmp_path):
    skip_without("mlflow")
    (run,) = export.mlflow(job, tmp_path)
    (folder,) = (path for path in tmp_path.glob("*/*") if path.name == run)
    lines = [line.split() for line in (folder / "metrics" / "loss").read_text().splitlines()]
    assert {int(step): float(value) for _, value, step in lines} == curve(job)
    assert (folder / "params" / "task.delay").read_text() == "10"
    assert (folder / "tags" / "modprop.job").read_text() == job.id
    assert weights_equal((folder / "artifacts" / "weights.npz").read_bytes(), job)
    assert json.loads((folder / "artifacts" / "job.json").read_text())["id"] == job.id
    assert "one job" in (folder / "meta.yaml").read_text()
    names = [path.read_text() for path in tmp_path.glob("*/meta.yaml")]
    assert any("name: modprop" in text for text in names)
    assert len(export.mlflow(experiment, tmp_path, weights=False)) == 4
    names = [path.read_text() for path in tmp_path.glob("*/meta.yaml")]
    assert any("name: two rules" in text for text in names)


def test_wandb_has_an_offline_run(job, tmp_path, monkeypatch):
    skip_without("wandb")
    for name in ("WANDB_CACHE_DIR", "WANDB_DATA_DIR", "WANDB_CONFIG_DIR"):
        monkeypatch.setenv(name, str(tmp_path / "own"))
    (folder,) = export.wandb(job, tmp_path, project="credit")
    assert folder.name.startswith("offline-run-") and folder.parent.parent == tmp_path
    assert weights_equal((folder / "files" / "weights.npz").read_bytes(), job)
    records = list(wandb_records(next(folder.glob("*.wandb"))))
    (run,) = (record.run for record in records if record.HasField("run"))
    config = {item.key: json.loads(item.value_json) for item in run.config.update}
    assert run.project == "credit" and run.display_name == "one job" and config["task.delay"] == 10
    rows = [
        {item.key or item.nested_key[0]: json.loads(item.value_json) for item in record.history.item}
        for record in records
        if record.HasField("history")
    ]
    assert {row["_step"]: row["loss"] for row in rows if "loss" in row} == curve(job)


def wandb_records(file):
    """The records of a run's file, which is a log as LevelDB's: blocks of 32 KiB of chunks, each a checksum (4 bytes),
    a length (2), a type (1: whole; 2, 3, 4: the first, one within, the last of several) and its bytes."""
    protocol = importlib.import_module("wandb.proto.wandb_internal_pb2")
    content, at, whole = file.read_bytes(), 7, b""  # after the file's own head
    while at < len(content):
        left = 32768 - at % 32768
        if left < 7:
            at += left
            continue
        length, kind = struct.unpack_from("<HB", content, at + 4)
        whole += content[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):
            record = protocol.Record()
            record.ParseFromString(whole)
            whole = b""
            yield record


def skip_without(name):
    pytest.importorskip(name, reason=f"SKIPPED: {name} is not installed; MODPROP_LONG=1 tests/python/run installs it")
