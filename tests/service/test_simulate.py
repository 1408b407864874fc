"""Running a trained network: what a simulation returns, held against the definitions in float64, and evaluations."""

import hashlib

import definitions
import numpy as np
import pytest
from test_datasets import arrays, safetensors
from test_jobs import finish, submit

XOR = {
    "task": {"type": "delayed_xor", "delay": 20, "cue": 10},
    "network": {"units": 12, "tau": 10},
    "training": {"iterations": 20, "batch_size": 8, "evaluate_every": 10, "checkpoint_every": 10},
}


def on_dataset(name, **network):
    return {
        "task": {"type": "dataset", "name": name},
        "network": {"units": 12, "tau": 5, **network},
        "training": {"iterations": 20, "batch_size": 16, "evaluate_every": 10, "checkpoint_every": 20},
    }


def put(daemon, name, body):
    answer = daemon.request(
        "PUT", f"/v1/datasets/{name}", data=body, headers={"Content-Type": "application/octet-stream"}
    )
    assert answer.status_code in (200, 201), answer.text
    return hashlib.sha256(body).hexdigest()


def run(daemon, job, action, status=200, **asked):
    answer = daemon.post(f"/v1/jobs/{job['id']}/{action}", json=asked)
    assert answer.status_code == status, answer.text
    return answer.json()


def pointers(answer):
    return [error["pointer"] for error in answer["errors"]]


def network_of(daemon, job, activation="relu"):
    weights = daemon.get(f"/v1/jobs/{job['id']}/weights").json()
    return {"activation": activation} | {k: weights[k] for k in ("W", "Win", "b", "Wout", "bout", "leak")}


def floats(answer, name):
    return np.array(answer[name], float)  # null becomes NaN


def loss_of(answer):
    """From what the simulation itself says: outputs, targets, mask."""
    mask, targets = floats(answer, "mask"), floats(answer, "targets")
    targets = np.nan_to_num(targets)
    targets = targets.astype(int) if answer["loss_type"] == "cross_entropy" else targets
    return definitions.loss_and_error(floats(answer, "outputs"), targets, mask, answer["loss_type"])[0]


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_lesions_noise_and_weights_are_those_of_the_definition(daemon, activation):
    job = finish(daemon, submit(daemon, XOR | {"network": {"units": 12, "tau": 10, "activation": activation}}))
    network = network_of(daemon, job, activation)
    everything = {"trials": 3, "seed": 5, "units": list(range(12))}

    def compare(answer, network):
        z, y, _ = definitions.forward(network, floats(answer, "inputs"))
        assert np.allclose(answer["rates"], z[1:], atol=2e-5) and np.allclose(answer["outputs"], y, atol=2e-5)

    plain = run(daemon, job, "simulate", **everything)
    compare(plain, network)
    assert plain["trial_indices"] == [0, 1, 2] and plain["split"] == "fresh" and plain["dataset_sha256"] is None
    assert np.isclose(plain["loss"], loss_of(plain), rtol=1e-5), "targets and mask are those of the loss"
    assert set(np.unique(floats(plain, "mask"))) == {0, 1}
    assert (np.isnan(floats(plain, "targets")) == (floats(plain, "mask") == 0)).all()
    last = [row for row in plain["targets"] if row[0] is not None][-1]
    assert last == plain["labels"]

    cut = run(daemon, job, "simulate", **everything, lesion={"units": [2, 11], "synapses": [[0, 5], [7, 1]]})
    hurt = {k: np.array(v, float) if isinstance(v, list) else v for k, v in network.items()}
    hurt["W"] = hurt["W"].copy()
    hurt["W"][0, 5] = hurt["W"][7, 1] = 0
    for unit in (2, 11):
        hurt["W"][unit, :] = hurt["W"][:, unit] = 0
        hurt["Win"][:, unit] = 0
        hurt["Wout"][unit, :] = 0
    compare(cut, hurt)
    assert not np.any(floats(cut, "rates")[:, :, [2, 11]])

    own = {k: network[k] for k in ("W", "Win", "Wout", "bout")}
    own["W"] = (np.array(own["W"]) * 0.5 + np.eye(12) * 0.25).tolist()
    compare(run(daemon, job, "simulate", **everything, weights=own), network | own)

    other = finish(daemon, submit(daemon, XOR | {"seed": 9, "network": {"units": 12, "tau": 10}}))
    theirs = {k: network_of(daemon, other)[k] for k in ("W", "Win", "Wout", "bout")}
    compare(run(daemon, job, "simulate", **everything, weights={"job": other["id"]}), network | theirs)
    early = run(daemon, job, "simulate", **everything, weights={"job": job["id"], "iteration": 10})
    assert early["outputs"] == run(daemon, job, "simulate", **everything, iteration=10)["outputs"]


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_noise_goes_into_the_current_and_follows_from_its_names(daemon, activation):
    job = finish(daemon, submit(daemon, XOR | {"network": {"units": 12, "tau": 10, "activation": activation}}))
    silence = {k: np.zeros_like(v).tolist() for k, v in network_of(daemon, job).items() if k in ("W", "Win", "Wout")}
    weights = silence | {"bout": [0.0, 0.0]}
    asked = {"weights": weights, "units": list(range(12)), "noise": 0.3, "seed": 4}
    one = run(daemon, job, "simulate", **asked, trials=40)
    leak = np.array(network_of(daemon, job)["leak"])
    assert np.allclose(leak, leak[0]), "the reference below"
    rates = floats(one, "rates")
    v = np.arctanh(np.clip(rates, -0.999999, 0.999999)) if activation == "tanh" else rates
    current = (v - leak[0] * np.concatenate([np.zeros_like(v[:1]), v[:-1]])) / (1 - leak[0])
    if activation == "tanh":  # v can be read back from z
        assert abs(current.std() - 0.3) < 0.01 and abs(current.mean()) < 0.01
        steps, trials, units = current.shape
        flat = current.reshape(-1, units)
        assert np.abs(np.corrcoef(flat.T) - np.eye(units)).max() < 0.1, "units have noise of their own"
    assert (rates != 0).any()
    again = run(daemon, job, "simulate", **asked, trials=2, first=7)
    assert np.array_equal(floats(again, "rates"), rates[:, 7:9]), "a trial's noise depends on the trial alone"
    assert not np.array_equal(floats(run(daemon, job, "simulate", **(asked | {"seed": 5}), trials=40), "rates"), rates)
    quiet = run(daemon, job, "simulate", **asked, trials=2, lesion={"units": [3]})
    assert not floats(quiet, "rates")[:, :, 3].any(), "a silenced unit has no noise either"


@pytest.mark.parametrize("kind", ["classes", "values"])
def test_an_evaluation_of_the_test_split_is_that_of_the_job(daemon, kind):
    test = arrays(seed=2, trials=50)
    train = arrays()
    if kind == "values":
        generator = np.random.default_rng(3)
        for part in (train, test):
            part["targets"] = generator.normal(size=(*part["targets"].shape, 2)).astype("float32")
    sha256 = put(daemon, "mine", safetensors(**train, **{f"test_{k}": v for k, v in test.items()}))
    job = finish(daemon, submit(daemon, on_dataset("mine")))
    answer = run(daemon, job, "evaluate")
    assert answer["loss"] == job["metrics"]["loss"] and answer["accuracy"] == job["metrics"]["accuracy"]
    assert answer["split"] == "test" and answer["trials"] == 50 and answer["dataset_sha256"] == sha256
    assert answer["iteration"] == 20 and answer["counted"] > 0 and answer["multiply_adds"] > 1e4
    metrics = daemon.get(f"/v1/jobs/{job['id']}/metrics").json()
    first = run(daemon, job, "evaluate", weights={"job": job["id"], "iteration": 20}, iteration=20)
    assert first["loss"] == metrics["loss"][-1]
    shown = run(daemon, job, "simulate", split="test", trials=50)
    assert np.isclose(shown["loss"], answer["loss"], rtol=1e-6) and np.isclose(loss_of(shown), shown["loss"], rtol=1e-5)
    assert shown["trial_indices"] == list(range(50))
    assert np.allclose(floats(shown, "inputs"), np.asarray(test["inputs"], float), atol=1e-6)
    some = run(daemon, job, "simulate", split="training", trials=4, first=3)
    assert some["trial_indices"] == [3, 4, 5, 6]
    assert np.allclose(floats(some, "inputs"), np.asarray(train["inputs"], float)[:, 3:7], atol=1e-6)
    drawn = run(daemon, job, "simulate", trials=5)
    chosen = np.asarray(train["inputs"], float)[:, drawn["trial_indices"]]
    assert np.allclose(floats(drawn, "inputs"), chosen, atol=1e-6), "indices name trials of the training split"
    halves = [run(daemon, job, "evaluate", trials=25, first=first) for first in (0, 25)]
    weights = [half["counted"] for half in halves]
    mean = np.average([half["loss"] for half in halves], weights=weights)
    assert np.isclose(mean, answer["loss"], rtol=1e-6)


def test_another_dataset(daemon):
    put(daemon, "mine", safetensors(**arrays()))
    job = finish(daemon, submit(daemon, on_dataset("mine")))
    own = run(daemon, job, "evaluate")
    assert own["split"] == "training" and own["trials"] == 30, "there is no test split"
    longer = arrays(seed=7, steps=20, trials=9)
    sha256 = put(daemon, "longer", safetensors(**longer))
    finish(daemon, submit(daemon, on_dataset("longer")))  # it holds that version
    newer = put(daemon, "longer", safetensors(**arrays(seed=8, steps=21, trials=9)))
    for asked, digest, steps in (({}, newer, 21), ({"sha256": sha256}, sha256, 20)):
        answer = run(daemon, job, "evaluate", dataset={"name": "longer"} | asked)
        assert answer["dataset_sha256"] == digest and (answer["steps"], answer["trials"]) == (steps, 9)
    shown = run(daemon, job, "simulate", dataset={"name": "longer", "sha256": sha256}, split="training", trials=9)
    assert np.allclose(floats(shown, "inputs"), np.asarray(longer["inputs"], float), atol=1e-6)
    put(daemon, "wide", safetensors(**arrays(inputs=4)))
    refused = run(daemon, job, "evaluate", 422, dataset={"name": "wide"})
    assert refused["errors"] == [
        {
            "pointer": "/dataset",
            "detail": "must have 3 inputs and 3 outputs, as the job's network has; it has 4 and 3",
        }
    ]
    for dataset, pointer in (
        ({"name": "none"}, "/dataset/name"),
        ({"name": "longer", "sha256": "0" * 64}, "/dataset/sha256"),
        ({"nam": "longer"}, "/dataset/nam"),
        ("longer", "/dataset"),
    ):
        assert pointer in pointers(run(daemon, job, "evaluate", 422, dataset=dataset)), dataset
    versions = daemon.get("/v1/datasets/longer").json()["versions"]
    assert [one["jobs"] for one in versions] == [0, 1], "no evaluation holds it any more"


def test_faults_are_named(daemon):
    job = finish(daemon, submit(daemon, XOR))
    network = network_of(daemon, job)
    weights = {k: network[k] for k in ("W", "Win", "Wout", "bout")}
    small = finish(daemon, submit(daemon, XOR | {"network": {"units": 10}}))
    for asked, pointer in (
        ({"lesion": {"units": [12]}}, "/lesion/units/0"),
        ({"lesion": {"units": [0], "synapses": [[1, 2], [3, 12]]}}, "/lesion/synapses/1/1"),
        ({"lesion": {"synapses": [[1, 2, 3]]}}, "/lesion/synapses/0"),
        ({"lesion": {"unit": [1]}}, "/lesion/unit"),
        ({"lesion": [1]}, "/lesion"),
        ({"noise": -1}, "/noise"),
        ({"weights": {"job": "nobody"}}, "/weights"),
        ({"weights": {"job": small["id"]}}, "/weights"),
        ({"weights": {"job": job["id"], "iteration": 3}}, "/weights"),
        ({"weights": weights | {"b": [0.0] * 12}}, "/weights/b"),
        ({"weights": weights | {"Wout": [[1.0]] * 12}}, "/weights/bout"),
        ({"weights": {"Win": network["Win"]}}, "/weights"),
        ({"split": "test"}, "/split"),
        ({"first": -1}, "/first"),
    ):
        for action in ("simulate", "evaluate"):
            assert pointer in pointers(run(daemon, job, action, 422, **asked)), (asked, action)
    assert "/units" in pointers(run(daemon, job, "evaluate", 422, units=[1]))
    assert "/trials" in pointers(run(daemon, job, "evaluate", 422, trials=10**8))
    both = {"inputs": [[[0.1, 0.2]]], "dataset": {"name": "any"}}
    assert "/dataset" in pointers(run(daemon, job, "simulate", 422, **both))
    fresh = run(daemon, job, "evaluate", trials=20, seed=3, noise=0.1, lesion={"units": [1]})
    assert fresh["split"] == "fresh" and fresh["trials"] == 20 and fresh["loss"] > 0


def test_the_estimate_of_an_evaluation_is_near_what_is_done(daemon):
    """The estimate is within a factor of 3 of what is done, and the bound is on it."""
    job = finish(daemon, submit(daemon, XOR))
    done = run(daemon, job, "evaluate", trials=200, noise=0.1)["multiply_adds"]
    refused = run(daemon, job, "evaluate", 422, trials=10**8, noise=0.1)
    said = float(refused["errors"][0]["detail"].split("this would take ")[1].split()[0])
    assert 1 / 3 < said / (done / 200 * 10**8) < 3, (said, done)
