"""The rules through the service: jobs with each, gradients of given networks, and how rules align on a job's task."""

import json
import math
import pathlib
import subprocess

import numpy as np
import pytest
from daemons import MODPROPD

GOLDEN = json.loads((pathlib.Path(__file__).parents[1] / "golden" / "more.json").read_text())
WEIGHTS = ("W", "Win", "b", "Wout", "bout")
SMALL = {
    "task": {"type": "delayed_xor", "delay": 20, "cue": 10},
    "network": {"units": 20, "tau": 20, "connectivity": 0.5},
    "training": {"iterations": 12, "batch_size": 4, "evaluate_every": 4, "checkpoint_every": 4},
}
EACH = [
    {"type": "bptt", "window": 7},
    {"type": "snap", "order": 2},
    {"type": "uoro"},
    {"type": "diffusion", "width": 5, "kernel": [[0.5]]},
    {"type": "filter", "taps": [[[0.1, 0.2], [0, 0]], [[0, 0], [0.1, 0]]]},
    {"type": "modprop", "mu": [0.1, 0.3], "weights": "type"},
    {"type": "modprop", "weights": "random", "tracking": "initial"},
    {"type": "mdgl", "weights": "shuffled"},
    {"type": "modprop", "weights": "given", "modulation": [[0.1, -0.1], [0.2, 0]]},
]


def finished(daemon, document, seconds=60):
    job = daemon.post("/v1/jobs", json=document).json()
    return daemon.get(f"/v1/jobs/{job['id']}?wait={seconds}", timeout=seconds + 30).json()


def membrane_cases():
    known = ("W", "Win", "b", "Wout", "bout", "leak", "types", "activation", "feedback")
    for case in GOLDEN:
        network = case["network"]
        if network.get("model", "membrane") == "membrane" and "readout_kappa" not in network:
            yield case | {"network": {name: network[name] for name in known if name in network}}


@pytest.mark.parametrize("case", membrane_cases(), ids=lambda case: case["rules"][-1]["rule"]["type"])
def test_gradients_take_the_fields_of_every_rule(shared, case):
    body = {name: case[name] for name in ("network", "inputs", "targets", "mask", "loss", "nu") if name in case}
    answer = shared.post("/v1/gradients", json=body | {"rules": [entry["rule"] for entry in case["rules"]]})
    assert answer.status_code == 200, answer.text
    for entry, got in zip(case["rules"], answer.json()["rules"], strict=True):
        expected = np.concatenate([np.ravel(entry["gradients"][name]) for name in WEIGHTS])
        found = np.concatenate([np.ravel(got["gradients"][name]) for name in WEIGHTS])
        assert np.abs(found - expected).max() < 1e-5 * np.abs(expected).max(), entry["rule"]


@pytest.mark.parametrize("rule", EACH, ids=lambda rule: "-".join(str(rule.get(k, "")) for k in ("type", "weights")))
def test_a_job_with_each_rule_trains_and_goes_on_from_a_checkpoint(start, rule):
    daemon = start("--workers", "1")
    job = finished(daemon, SMALL | {"rule": rule})
    assert job["status"] == "succeeded", job
    assert {name: job["rule"][name] for name in rule} == rule
    # from the middle: the same bits
    half = finished(daemon, SMALL | {"rule": rule, "training": SMALL["training"] | {"iterations": 6}})
    longer = daemon.post(f"/v1/jobs/{half['id']}/extend", json={"iterations": 12})
    assert longer.status_code == 201, longer.text
    end = daemon.get(f"/v1/jobs/{longer.json()['id']}?wait=300", timeout=310).json()
    assert end["weights_sha256"] == job["weights_sha256"]


@pytest.mark.parametrize(
    "rule, network, pointer",
    [
        ({"type": "modprop", "mu": [0.1, 0.2, 0.3]}, {}, "/rule/mu"),
        ({"type": "modprop", "weights": "given"}, {}, "/rule/modulation"),
        ({"type": "modprop", "weights": "given", "modulation": [[1, 2, 3]]}, {}, "/rule/modulation"),
        ({"type": "modprop", "modulation": [[1]]}, {}, "/rule/modulation"),
        ({"type": "diffusion", "width": 7}, {}, "/rule/width"),
        ({"type": "diffusion", "kernel": [[1, 2], [3, 4]]}, {}, "/rule/kernel"),
        ({"type": "diffusion", "kernel": [[1]], "decay": 0.5}, {}, "/rule/kernel"),
        ({"type": "filter", "taps": [[[1]]]}, {}, "/rule/taps"),
        ({"type": "filter", "taps": [[[0.01] * 16385] * 2] * 2}, {}, "/rule/taps"),
        ({"type": "bptt"}, {"types": [0, 2] * 10}, "/network/types"),
        ({"type": "bptt"}, {"types": [0, 1]}, "/network/types"),
        ({"type": "bptt"}, {"types": [0, 1] * 10, "types_per_sign": 2}, "/network/types_per_sign"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(shared, rule, network, pointer):
    answer = shared.post("/v1/jobs", json=SMALL | {"rule": rule, "network": SMALL["network"] | network})
    assert answer.status_code == 422, answer.text
    assert pointer in {error["pointer"] for error in answer.json()["errors"]}, answer.text


@pytest.mark.parametrize("types", [[0, 1, 2, 1] * 5, "shuffled"])
def test_types_of_ones_own(shared, types):
    network = SMALL["network"] | {"types": types} | ({"types_per_sign": 3} if types == "shuffled" else {})
    job = finished(shared, SMALL | {"network": network, "rule": {"type": "modprop", "weights": "type"}})
    assert job["status"] == "succeeded" and job["network"]["types"] == types
    weights = shared.get(f"/v1/jobs/{job['id']}/weights").json()
    if types == "shuffled":
        assert sorted(weights["types"]) != weights["types"] and set(weights["types"]) == set(range(6))
        assert all((kind < 3) == (sign < 0) for kind, sign in zip(weights["types"], weights["sign"], strict=True))
    else:
        assert weights["types"] == types


def test_alignment_during_training_and_from_a_checkpoint(shared):
    rules = ["bptt", {"type": "rtrl"}, "eprop", {"type": "modprop", "mu": 0.1}]
    training = SMALL["training"] | {"diagnostics": {"cosine": True, "alignment": rules}}
    job = finished(shared, SMALL | {"rule": {"type": "eprop"}, "training": training})
    assert job["status"] == "succeeded", job
    assert job["training"]["diagnostics"]["cosine"] is True
    assert [rule["type"] for rule in job["training"]["diagnostics"]["alignment"]] == [
        "bptt",
        "rtrl",
        "eprop",
        "modprop",
    ]
    events = [
        json.loads(line)
        for line in shared.get(f"/v1/jobs/{job['id']}/events", headers={"Accept": "application/x-ndjson"}).iter_lines()
        if line
    ]
    seen = [event for event in events if event["type"] == "progress"]
    assert len(seen) == 4
    for event in seen:
        found = event["alignment"]
        assert found["rules"] == ["bptt", "rtrl", "eprop", "modprop"]
        for part in ("W", "Win", "Wout", "all"):
            matrix = np.array(found[part], float)
            assert np.allclose(matrix, matrix.T) and np.allclose(np.diag(matrix), 1)
        assert found["b"] == [[None] * 4] * 4
        assert found["all"][0][1] > 0.99999  # rtrl is bptt
        # the job's own rule is eprop: its cosine with bptt is the diagnostic's, on the same batch
        assert math.isclose(found["all"][0][2], event["cosine_all"], rel_tol=1e-12)
    last = shared.post(f"/v1/jobs/{job['id']}/gradients", json={"rules": rules})
    assert last.status_code == 200, last.text
    assert last.json()["alignment"] == seen[-1]["alignment"] and last.json()["iteration"] == 12
    assert all(entry["norms"]["all"] > 0 for entry in last.json()["rules"])
    earlier = shared.post(f"/v1/jobs/{job['id']}/gradients", json={"rules": rules, "iteration": 8})
    assert earlier.json()["alignment"] == seen[2]["alignment"]


def test_credit_gain_is_the_largest_norm_of_a_power(shared):
    training = SMALL["training"] | {"diagnostics": ["credit_gain"]}
    for weights in ("cell", "type"):
        rule = {"type": "modprop", "mu": 0.9, "weights": weights}
        job = finished(shared, SMALL | {"rule": rule, "training": training})
        assert job["status"] == "succeeded" and job["training"]["diagnostics"] == ["credit_gain"]
        metrics = shared.get(f"/v1/jobs/{job['id']}/metrics").json()
        weights_end = shared.get(f"/v1/jobs/{job['id']}/weights").json()
        M, leak = np.array(weights_end["W"]), np.array(weights_end["leak"])
        if weights == "type":
            P = np.eye(2)[weights_end["types"]]
            sizes = P.sum(0)
            M = P @ ((P.T @ M @ P) / np.outer(sizes, sizes)) @ P.T
        K = np.diag(leak) + 0.9 * M * (1 - leak)
        powers = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32)  # of 40 steps
        expected = max(np.linalg.norm(np.linalg.matrix_power(K, n), 2) for n in powers)
        assert math.isclose(metrics["credit_gain"][-1], expected, rel_tol=1e-3)
    refused = shared.post("/v1/jobs", json=SMALL | {"rule": {"type": "bptt"}, "training": training})
    assert refused.status_code == 422 and refused.json()["errors"][0]["pointer"] == "/training/diagnostics"


def bounded(daemon, mu, **more):
    """A job with mu as given, and its metrics."""
    training = SMALL["training"] | {"iterations": 13, "diagnostics": ["credit_gain"]}
    job = finished(daemon, SMALL | {"rule": {"type": "modprop", "mu": mu} | more, "training": training})
    assert job["status"] == "succeeded", job
    return job, daemon.get(f"/v1/jobs/{job['id']}/metrics").json()


@pytest.mark.parametrize("weights", ["cell", "type"])
def test_mu_keeps_the_credit_gain_under_its_bound(start, weights):
    daemon = start("--workers", "1")
    free, before = bounded(daemon, 0.9, weights=weights)
    bound = 1 + (before["credit_gain"][0] - 1) / 2
    job, metrics = bounded(daemon, {"gain_at_most": bound, "every": 4, "mu": 0.9}, weights=weights)
    assert job["rule"]["mu"] == {"gain_at_most": bound, "every": 4, "mu": 0.9}
    assert metrics["iteration"] == [0, 4, 8, 12, 13] and 0 < metrics["mu"][0] < 0.9
    # at 13, which is no multiple of 4, mu is that of 12
    assert all(gain <= bound for gain in metrics["credit_gain"][:4]) and metrics["mu"][4] == metrics["mu"][3]
    # it is no smaller than it must be: one step of the bisection more is beyond the bound
    more = bounded(daemon, metrics["mu"][0] + 0.9 / 1024, weights=weights)[1]
    assert more["credit_gain"][0] > bound
    # a bound that is never met changes nothing
    loose, _ = bounded(daemon, {"gain_at_most": 1e6, "mu": 0.9}, weights=weights)
    assert loose["weights_sha256"] == free["weights_sha256"] != job["weights_sha256"]
    assert daemon.stop() == 0
    again = subprocess.run([MODPROPD, "verify", "--data", daemon.data, "--rerun"], capture_output=True, text=True)
    assert again.returncode == 0, again.stdout


@pytest.mark.parametrize(
    "mu, pointer",
    [
        ({}, "/rule/mu/gain_at_most"),
        ({"gain_at_most": 0.9}, "/rule/mu/gain_at_most"),
        ({"gain_at_most": 10, "every": 0}, "/rule/mu/every"),
        ({"gain_at_most": 10, "most": 0.3}, "/rule/mu/most"),
    ],
)
def test_a_bound_on_the_gain_is_refused_by_name(daemon, mu, pointer):
    answer = daemon.post("/v1/jobs", json=SMALL | {"rule": {"type": "modprop", "mu": mu}})
    assert answer.status_code == 422 and [error["pointer"] for error in answer.json()["errors"]] == [pointer]


@pytest.mark.parametrize(
    "body, status, pointer",
    [
        ({}, 422, "/rules"),
        ({"rules": [{"type": "modprop", "mu": {"gain_at_most": 2}}]}, 422, "/rules/0/mu"),
        ({"rules": []}, 422, "/rules"),
        ({"rules": ["bptt", "modprp"]}, 422, "/rules/1/type"),
        ({"rules": [{"type": "modprop", "mu": "auto"}]}, 422, "/rules/0/mu"),
        ({"rules": [{"type": "eprop", "feedback": "random"}]}, 422, "/rules/0/feedback"),
        ({"rules": ["bptt"], "iteration": -1}, 422, "/iteration"),
        ({"rules": ["bptt"], "iteration": 7}, 409, None),
    ],
)
def test_alignment_refuses_by_name(shared, body, status, pointer):
    job = finished(shared, SMALL)
    answer = shared.post(f"/v1/jobs/{job['id']}/gradients", json=body)
    assert answer.status_code == status, answer.text
    assert pointer is None or pointer in {error["pointer"] for error in answer.json()["errors"]}, answer.text
