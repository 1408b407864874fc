"""What training tells and takes: diagnostics as events and metrics, memory that does not grow with time."""

import os
import pathlib
import re
import subprocess
import unittest.mock

import definitions
import numpy as np
import pytest
from daemons import MODPROPD, SANITIZED
from test_datasets import put, safetensors

LONG = bool(os.environ.get("MODPROP_LONG"))
SMALL = {
    "task": {"type": "delayed_xor", "delay": 20, "cue": 10},
    "network": {"units": 20, "tau": 20},
    "training": {"iterations": 40, "batch_size": 4, "evaluate_every": 10},
}

WEIGHTS = ("W", "Win", "b", "Wout", "bout")

KEYS = {
    "cosine": {"cosine_W", "cosine_Win", "cosine_b", "cosine_Wout", "cosine_all"},
    "spectral_radius": {"spectral_radius"},
    "psi": {"mean_psi", "silent_fraction"},
    "norms": {"gradient_norm_W", "gradient_norm_Win", "gradient_norm_Wout"},
    "phases": {"seconds_trials", "seconds_forward", "seconds_credit", "seconds_gradient", "seconds_optimizer"},
}


def finished(daemon, document, seconds=60):
    job = daemon.post("/v1/jobs", json=document).json()
    return daemon.get(f"/v1/jobs/{job['id']}?wait={seconds}", timeout=seconds + 30).json()


def with_diagnostics(value):
    return SMALL | {"training": SMALL["training"] | {"diagnostics": value}}


@pytest.mark.parametrize("mu, events, told", [("auto", 2, True), ("auto", 1, False), (0.3, 2, False)])
def test_mu_that_follows_psi_is_reported(start, mu, events, told):
    daemon = start("--workers", "1")
    job = finished(
        daemon, SMALL | {"rule": {"mu": mu}, "training": SMALL["training"] | {"events": events, "checkpoint_every": 15}}
    )
    assert job["status"] == "succeeded" and job["training"]["events"] == events
    metrics = daemon.get(f"/v1/jobs/{job['id']}/metrics").json()
    assert ("mu" in metrics) == told
    if told:
        assert metrics["mu"][0] == 0.25 and len(set(metrics["mu"])) == 5 and all(0 < mu < 1 for mu in metrics["mu"])
    assert daemon.stop() == 0
    again = subprocess.run([MODPROPD, "verify", "--data", daemon.data, "--rerun"], capture_output=True, text=True)
    assert again.returncode == 0, again.stdout


@pytest.mark.parametrize("asked", [False, True, ["psi"], ["spectral_radius", "cosine"], ["phases", "norms"], []])
def test_diagnostics_are_events_and_metrics(daemon, asked):
    wanted = set().union(*(KEYS[name] for name in (KEYS if asked is True else asked or [])))
    job = finished(daemon, with_diagnostics(asked))
    assert job["status"] == "succeeded"
    # the answer lists them in the table's order, whatever the order asked
    assert job["training"]["diagnostics"] == (
        [name for name in KEYS if name in asked] if isinstance(asked, list) and asked else bool(asked)
    )
    every = set().union(*KEYS.values())
    events = [
        event for event in daemon.get(f"/v1/jobs/{job['id']}/events").json()["events"] if event["type"] == "progress"
    ]
    assert len(events) == 5
    for event in events:
        assert every & set(event) == wanted
    metrics = daemon.get(f"/v1/jobs/{job['id']}/metrics").json()
    assert every & set(metrics) == wanted
    for key in wanted:
        assert metrics[key] == [event[key] for event in events]
    if "cosine_all" in wanted:
        assert all(-1 <= value <= 1 for value in metrics["cosine_all"]) and metrics["cosine_b"] == [None] * 5
    if wanted:
        name = sorted(wanted)[0]
        assert daemon.get(f"/v1/jobs/{job['id']}/metrics?keys={name}").json() == {
            "iteration": metrics["iteration"],
            name: metrics[name],
        }
        assert name in daemon.get(f"/v1/jobs/{job['id']}/metrics", headers={"Accept": "text/csv"}).text.splitlines()[
            0
        ].split(",")


def test_diagnostics_change_no_weight(daemon):
    digests = set()
    for asked in (False, True, ["cosine"]):
        job = finished(daemon, with_diagnostics(asked))
        digests.add(daemon.get(f"/v1/jobs/{job['id']}/weights").json()["sha256"])
    assert len(digests) == 1


@pytest.mark.parametrize(
    "rule",
    [
        {"type": "eprop"},
        {"type": "eprop", "feedback": "random"},
        {"type": "bptt", "feedback": "random"},
        {"type": "modprop", "weights": "type", "feedback": "adaptive"},
    ],
    ids=lambda rule: "_".join(rule.values()),
)
def test_cosines_are_with_the_true_gradient(daemon, rule):
    """A dataset of one trial, and gradient descent alone.

    The weights tell the rule's gradient, POST /v1/gradients the true one, whatever the feedback.
    """
    rng = np.random.default_rng(7)
    inputs, targets = rng.normal(0, 1, (20, 1, 3)).astype("f4"), rng.normal(0, 1, (20, 1, 2)).astype("f4")
    assert put(daemon, "lone", safetensors(inputs=inputs, targets=targets)).status_code in (200, 201)
    weights = {
        "W": rng.normal(0, 0.3, (12, 12)) * (1 - np.eye(12)),
        "Win": rng.normal(0, 1, (3, 12)),
        "b": rng.normal(0, 0.3, 12),
        "Wout": rng.normal(0, 1, (12, 2)),
        "bout": [0, 0],
    }
    weights = {name: np.float32(value) for name, value in weights.items()}
    document = {name: value.tolist() for name, value in weights.items()}
    job = finished(
        daemon,
        {
            "task": {"type": "dataset", "name": "lone"},
            "rule": rule,
            "network": {
                "units": 12,
                "tau": 10,
                "dale": False,
                "bias": True,
                "activation": "tanh",
                "types_per_sign": 3,
                "initial": document,
            },
            "optimizer": {"type": "sgd", "learning_rate": 0.25, "momentum": 0, "l1": 0, "l2": 0, "clip_norm": None},
            "training": {"iterations": 1, "batch_size": 1, "evaluate_every": 1, "diagnostics": ["cosine"]},
        },
    )
    assert job["status"] == "succeeded"
    told = daemon.get(f"/v1/jobs/{job['id']}/metrics").json()
    after = daemon.get(f"/v1/jobs/{job['id']}/weights").json()
    truth = daemon.post(
        "/v1/gradients",
        json={
            "network": document | {"leak": after["leak"], "activation": "tanh"},
            "inputs": inputs.tolist(),
            "targets": targets.tolist(),
            "loss": "mse",
            "rules": [{"type": "bptt"}],
        },
    ).json()["rules"][0]["gradients"]
    for name in ("Win", "b", "Wout"):  # not W: an update leaves its diagonal out
        a, b = (weights[name].astype(float) - np.array(after[name])).ravel(), np.ravel(truth[name])
        assert told[f"cosine_{name}"][0] == pytest.approx(a @ b / np.sqrt((a @ a) * (b @ b)), abs=1e-4), name
    if rule.get("feedback", "symmetric") != "symmetric":
        assert told["cosine_Win"][0] < 0.99


def descent(network, batch, rule, updates, rate):
    """Plain gradient descent by the definitions, in float64: the weights after `updates`.

    mu "auto" follows psi, tracking "initial" keeps the first averages.
    """
    network = {name: np.array(value, float) if name in WEIGHTS else value for name, value in network.items()}
    automatic, mu, first = rule.get("mu") == "auto", 0.25, definitions.carrying_weights(network, rule)
    carrying = (lambda network, rule: first) if rule.get("tracking") == "initial" else definitions.carrying_weights
    with unittest.mock.patch.object(definitions, "carrying_weights", carrying):
        for _ in range(updates):
            case = batch | {"network": network}
            gradients = definitions.gradients(case, rule | ({"mu": mu} if automatic else {}))[1]
            psi = definitions.forward(network, np.array(batch["inputs"]))[2]
            mu += (1 - np.exp(-1 / 20)) * (psi.mean() - mu)
            np.fill_diagonal(gradients["W"], 0)
            network = network | {name: network[name] - rate * gradients[name] for name in WEIGHTS}
    return network


@pytest.mark.parametrize(
    "rule",
    [
        {"type": "bptt"},
        {"type": "rtrl"},
        {"type": "mdgl", "weights": "type", "averaging": "existing"},
        {"type": "modprop", "weights": "type", "mu": 0.8, "first_hop": "mu"},
        {"type": "modprop", "weights": "type", "mu": 0.8, "first_hop": "mu", "tracking": "initial"},
        {"type": "modprop", "mu": 0.6, "first_hop": "exact", "taps": 3},
        {"type": "modprop", "mu": "auto", "first_hop": "mu"},
        {"type": "modprop", "mu": "auto", "weights": "type", "first_hop": "exact"},
    ],
    ids=lambda rule: "_".join(map(str, rule.values())),
)
def test_training_follows_the_definitions(daemon, rule):
    """Twenty updates on a dataset of one trial end at the weights that the definitions give."""
    rng = np.random.default_rng(11)
    inputs, targets = rng.normal(0, 1, (20, 1, 3)).astype("f4"), rng.normal(0, 1, (20, 1, 2)).astype("f4")
    assert put(daemon, "lone", safetensors(inputs=inputs, targets=targets)).status_code in (200, 201)
    W = rng.normal(0, 0.4, (12, 12)) * (rng.random((12, 12)) < 0.7) * (1 - np.eye(12))
    weights = {
        "W": W,
        "Win": rng.normal(0, 1, (3, 12)),
        "b": rng.normal(0, 0.3, 12),
        "Wout": rng.normal(0, 1, (12, 2)),
        "bout": np.zeros(2),
    }
    document = {name: np.float32(value).tolist() for name, value in weights.items()}
    job = finished(
        daemon,
        {
            "task": {"type": "dataset", "name": "lone"},
            "rule": rule,
            "network": {
                "units": 12,
                "tau": 10,
                "dale": False,
                "bias": True,
                "activation": "tanh",
                "types_per_sign": 3,
                "initial": document,
            },
            "optimizer": {
                "type": "sgd",
                "learning_rate": 0.1,
                "momentum": 0,
                "l1": 0,
                "l2": 0,
                "decay": None,
                "clip_norm": None,
            },
            "training": {"iterations": 20, "batch_size": 1},
        },
    )
    assert job["status"] == "succeeded"
    got = daemon.get(f"/v1/jobs/{job['id']}/weights").json()
    network = document | {"leak": got["leak"], "types": got["types"], "activation": "tanh"}
    batch = {"inputs": inputs.tolist(), "targets": targets.tolist(), "mask": np.ones((20, 1)).tolist(), "loss": "mse"}
    expected = descent(network, batch, rule, 20, 0.1)
    for name in WEIGHTS:
        moved = np.abs(expected[name] - np.array(document[name])).max()
        assert moved > 1e-3 and np.abs(np.array(got[name]) - expected[name]).max() < 1e-4 * moved, name


def peak_resident(daemon):
    """Bytes: the largest resident set that the daemon has had."""
    status = pathlib.Path(f"/proc/{daemon.process.pid}/status").read_text()
    return 1024 * int(re.search(r"VmHWM:\s+(\d+) kB", status)[1])


@pytest.mark.skipif(SANITIZED, reason="a sanitizer's own memory is not the daemon's, and its time is long")
def test_a_million_steps_take_the_memory_of_a_thousand(start, tmp_path):
    """ModProp in its forward form keeps nothing of size T."""
    peaks = {}
    many = 1_000_000 if LONG and not SANITIZED else 100_000
    for steps in (1000, many):
        daemon = start("--workers", "1", data=tmp_path / str(steps))
        before = peak_resident(daemon)
        job = finished(
            daemon,
            {
                "task": {"type": "pattern", "duration": steps},
                "rule": {"type": "modprop", "weights": "type", "first_hop": "mu"},
                "network": {"types_per_sign": 2},
                "training": {"iterations": 2},
            },
        )
        assert job["status"] == "succeeded" and job["rule"]["weights"] == "type"
        peaks[steps] = peak_resident(daemon)
        assert peaks[steps] > before
        estimate = daemon.post(
            "/v1/jobs:validate", json={name: job[name] for name in ("task", "rule", "network", "training")}
        ).json()["estimate"]
    assert estimate["method"] == "forward traces"
    print(f"peak resident: {peaks[1000] / 1e6:.1f} MB for 1,000 steps, {peaks[many] / 1e6:.1f} MB for {many:,}")
    assert peaks[many] < 1.1 * peaks[1000]


LEARNS = {  # task: the seed of a quick run, what counts as learned
    "delayed_xor": (9, {"metric": "loss", "below": 0.1, "evaluations": 5}),
    "pattern": (1, {"metric": "loss", "below": 0.003, "evaluations": 2}),
    "evidence": (1, {"metric": "accuracy", "above": 0.9, "evaluations": 5}),
}


@pytest.mark.skipif(SANITIZED, reason="a question of mathematics, not of memory")
@pytest.mark.parametrize("task", LEARNS)
def test_bptt_learns_each_task_by_its_defaults(daemon, task):
    if task != "pattern" and not LONG:
        pytest.skip("half a minute or more: sh tests/run --long")
    seed, stop = LEARNS[task]
    job = finished(
        daemon, {"task": {"type": task}, "seed": seed, "rule": {"type": "bptt"}, "training": {"stop_when": stop}}, 300
    )
    assert job["status"] == "succeeded" and job["progress"]["iteration"] < job["training"]["iterations"], (
        job["progress"],
        job["metrics"],
    )
