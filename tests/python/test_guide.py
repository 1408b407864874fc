"""The Python of clients/README.md runs, block after block, as it stands there; only the jobs are made small."""

from __future__ import annotations

import re

import modprop._calls as calls
import modprop._studies as studies
import numpy as np
import pytest
from daemons import ROOT
from modprop import Client

BLOCKS = re.findall(
    r"^```python\n(.*?)^```", (ROOT / "clients" / "README.md").read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
)


@pytest.fixture
def small_jobs(monkeypatch):
    submit, create = calls.submit, studies.create

    def small(document):
        document = dict(document)
        document["training"] = {**document.get("training", {}), "iterations": 20, "batch_size": 4}
        if document["task"]["type"] == "delayed_xor":
            document["task"] = document["task"] | {"delay": 10, "cue": 10}
        return document

    monkeypatch.setattr(calls, "submit", lambda document, key: submit(small(document), key))
    monkeypatch.setattr(studies, "create", lambda body, key: create(body | {"base": small(body["base"])}, key))


def test_the_guide(daemon, small_jobs, monkeypatch, tmp_path, capsys):
    pytest.importorskip("matplotlib").use("Agg")
    monkeypatch.setenv("MODPROP_SERVER", daemon.url)
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(1)
    names = {
        "network": {
            "W": random.normal(size=(8, 8)) * (1 - np.eye(8)), "Win": random.normal(size=(2, 8)),
            "Wout": random.normal(size=(8, 2)), "bout": np.zeros(2),
            "leak": np.full(8, 0.9), "types": np.array([0] * 4 + [1] * 4), "activation": "relu",
        },
        "inputs": random.normal(size=(12, 5, 2)), "targets": random.integers(0, 2, (12, 5)), "mask": np.ones((12, 5)),
        "test_inputs": random.normal(size=(12, 3, 2)), "test_targets": random.integers(0, 2, (12, 3)),
    }  # fmt: skip
    assert len(BLOCKS) >= 8
    for block in BLOCKS:
        if "to_torch" in block and not has_torch():
            block = block.replace("weights.to_torch()", "None")
        exec(compile(block, "clients/README.md", "exec"), names)
        if "shown" in names:
            names["job"].wait()
    assert names["shown"]["rates"].shape[1:] == (4, 3)
    assert names["experiment"].status == "complete" and list(names["points"]) == ["bptt", "modprop", "eprop"]
    assert (tmp_path / "rules.csv").exists() and names["job"].wait().document["task"]["name"] == names["dataset"].name
    names["client"].close()
    assert "| eprop | 10 |" in capsys.readouterr().out


def test_the_tutorials_figure(daemon, monkeypatch, tmp_path):
    pytest.importorskip("matplotlib").use("Agg")
    text = (ROOT / "clients" / "docs" / "tutorial.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    base = {"task": {"type": "delayed_xor", "delay": 10, "cue": 10}, "training": {"iterations": 4, "batch_size": 4}}
    monkeypatch.setenv("MODPROP_SERVER", daemon.url)
    monkeypatch.chdir(tmp_path)
    with Client(daemon.url) as client:
        client.experiment(base, axes={"rule": ["bptt", "eprop"]}, seeds=2, name="random-modulation").wait()
    names = {}
    exec(compile(block, "tutorial.md", "exec"), names)
    names["client"].close()
    assert (tmp_path / "figure.pdf").read_bytes().startswith(b"%PDF")


def has_torch():
    try:
        import torch  # noqa: F401
    except ImportError:
        return False
    return True
