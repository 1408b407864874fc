"""Updates within a trial (training.update_every): every T steps it is the ordinary job, bit for bit."""

import numpy as np
import pytest
from test_jobs import finish, submit

TASK = {"type": "pattern", "inputs": 5, "outputs": 1, "duration": 150}
STEPS = 150


def job_of(rule, every, model="membrane", **training):
    network = {"units": 12, "model": model} | ({"readout_tau": None} if model == "lif" else {})
    if rule["type"] == "modprop":
        network["types_per_sign"] = 2
    training = {"iterations": 4, "batch_size": 9, "evaluate_every": 4} | training
    return {
        "task": TASK,
        "network": network,
        "rule": rule,
        "training": training | {"update_every": every},
    }


def weights_of(daemon, job):
    done = finish(daemon, submit(daemon, job))
    assert done["status"] == "succeeded", done
    return daemon.get(f"/v1/jobs/{done['id']}/weights").json()


@pytest.mark.parametrize("rule", ("eprop", "rtrl"))
def test_every_trial_is_the_ordinary_job(daemon, rule):
    ordinary = job_of({"type": rule}, None)
    if rule == "eprop":  # with loss at one step the ordinary job takes the traces too
        ordinary["task"] = {"type": "delayed_xor", "delay": 130, "cue": 10}
    online = {**ordinary, "training": {**ordinary["training"], "update_every": STEPS}}
    assert weights_of(daemon, ordinary)["sha256"] == weights_of(daemon, online)["sha256"]


MODPROP = {"type": "modprop", "weights": "type"}
# model and rule: by traces of sources, by those of synapses (alif and rate; a leaky readout is alif's default)
ONLINE = (
    ("membrane", {"type": "eprop"}),
    ("membrane", {"type": "mdgl"}),
    ("lif", {"type": "eprop"}),
    ("lif", {"type": "mdgl"}),
    ("alif", {"type": "eprop"}),
    ("rate", {"type": "mdgl"}),
    ("membrane", MODPROP | {"first_hop": "mu"}),
    ("membrane", MODPROP | {"first_hop": "exact"}),
    ("rate", MODPROP | {"first_hop": "mu"}),
    ("lif", MODPROP | {"first_hop": "exact"}),
)


@pytest.mark.parametrize("model, rule", ONLINE)
def test_updates_within_a_trial_learn_otherwise(daemon, model, rule):
    """Every T steps it is the ordinary job, by whatever method; more often it leads elsewhere, on any threads."""
    often, other = (weights_of(daemon, job_of(rule, 40, model) | {"threads": threads}) for threads in (1, 2))
    assert often["sha256"] == other["sha256"]
    sgd = {"optimizer": {"type": "sgd", "learning_rate": 0.01}}
    whole, ordinary = (weights_of(daemon, job_of(rule, every, model) | sgd) for every in (STEPS, None))
    for name in ("W", "Win", "Wout"):
        np.testing.assert_allclose(whole[name], ordinary[name], rtol=0, atol=2e-5)
    assert often["sha256"] != whole["sha256"] and np.isfinite(often["W"]).all()


def test_diagnostics_of_rules_that_go_backward_change_nothing(daemon):
    plain = job_of({"type": "eprop"}, 40)
    for diagnostics in (["cosine"], {"alignment": ["eprop", "bptt"]}):
        told = job_of({"type": "eprop"}, 40, diagnostics=diagnostics)
        assert weights_of(daemon, told)["sha256"] == weights_of(daemon, plain)["sha256"]


def test_an_interrupted_iteration_leaves_nothing(daemon):
    job = job_of({"type": "eprop"}, 7, iterations=150, checkpoint_every=1000)
    wanted = weights_of(daemon, job)["sha256"]
    id = submit(daemon, job)["id"]
    daemon.post(f"/v1/jobs/{id}/pause")
    daemon.post(f"/v1/jobs/{id}/resume")
    finish(daemon, {"id": id})
    assert daemon.get(f"/v1/jobs/{id}/weights").json()["sha256"] == wanted


def test_rules_without_a_forward_form_are_refused(daemon):
    for job in (
        job_of({"type": "bptt"}, 10),
        job_of({"type": "modprop"}, 10),
        job_of({"type": "mdgl"}, 10, "alif"),
        job_of(MODPROP, 10) | {"network": {"units": 12, "tau": {"low": 10, "high": 20}}},
    ):
        answer = daemon.post("/v1/jobs:validate", json=job)
        assert answer.status_code == 422 and "update_every" in answer.text, answer.text
