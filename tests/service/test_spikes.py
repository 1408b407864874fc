"""Datasets whose inputs are spikes: their checks, their binning into steps, training on them."""

import hashlib
import json
import struct

import numpy as np
import pytest
from test_datasets import job_on, put, safetensors, stored
from test_jobs import finish, submit

STEPS, TRIALS, INPUTS = 24, 30, 5


def with_metadata(body, **metadata):
    """The safetensors file with these metadata."""
    length = struct.unpack("<Q", body[:8])[0]
    header = json.loads(body[8 : 8 + length]) | {"__metadata__": metadata}
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + body[8 + length :]


def spikes(seed=1, trials=TRIALS):
    """Lists of spikes, several of one unit in one tick among them, in which the class is the busiest unit."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, 3, trials).astype("i8")
    rates = np.where(np.arange(INPUTS) == labels[:, None], 1.0, 0.1)
    counts = random.poisson(rates[:, None, :], (trials, STEPS, INPUTS))
    where = np.repeat(np.argwhere(counts), counts[counts > 0], axis=0)
    lists = {"spikes_trials": where[:, 0], "spikes_times": where[:, 1], "spikes_units": where[:, 2]}
    return {name: values.astype("i4") for name, values in lists.items()} | {"targets": labels}


def counted(arrays, trials=TRIALS, bin=1):
    """The inputs (T,B,I) that the spikes are, counted here."""
    inputs = np.zeros((-(-STEPS // bin), trials, INPUTS), "f4")
    np.add.at(inputs, (arrays["spikes_times"] // bin, arrays["spikes_trials"], arrays["spikes_units"]), 1)
    return inputs


def shape(trials=TRIALS):
    return f"[{STEPS}, {trials}, {INPUTS}]"


def spike_file(arrays, test=None, **metadata):
    test = test or {}
    metadata = {"shape": shape()} | ({"test_shape": shape(len(test["targets"]))} if test else {}) | metadata
    return with_metadata(safetensors(**arrays, **{f"test_{name}": a for name, a in test.items()}), **metadata)


def weights(daemon, job):
    assert job["status"] == "succeeded", job
    return daemon.get(f"/v1/jobs/{job['id']}/weights").json()["sha256"]


def test_life_of_spikes(start):
    daemon = start()
    arrays, test = spikes(), spikes(seed=2, trials=20)
    body = spike_file(arrays, test)
    answer = put(daemon, "mine", body)
    assert answer.status_code == 201, answer.text
    info, count, test_count = answer.json(), len(arrays["spikes_units"]), len(test["spikes_units"])
    assert info["kind"] == "dataset" and info["sha256"] == hashlib.sha256(body).hexdigest()
    expected = {"steps": STEPS, "trials": TRIALS, "inputs": INPUTS, "outputs": 3, "test_trials": 20}
    expected |= {"spikes": count, "test_spikes": test_count, "loss": "cross_entropy", "mask": False}
    assert {name: info[name] for name in expected} == expected
    assert info["counted"] == STEPS * TRIALS and info["dtypes"] == {"inputs": "I32", "targets": "I64"}
    assert info["memory_bytes"] == 6 * (count + test_count) + 8 * (31 + 21) + 8 * 50, "never expanded"
    download = daemon.get("/v1/datasets/mine", headers={"Accept": "application/octet-stream"})
    assert download.content == body
    job = finish(daemon, submit(daemon, job_on("mine")))
    assert job["status"] == "succeeded" and job["metrics"]["accuracy"] > 0.8, job
    daemon.stop()
    daemon = start(data=daemon.data)
    assert daemon.get("/v1/datasets/mine").json() == info | {"versions": [info["versions"][0] | {"jobs": 1}]}
    assert len(stored(daemon)) == 1


@pytest.mark.parametrize("rule", ["bptt", "eprop"])
def test_spikes_train_as_the_counts_that_they_are(daemon, rule):
    """Bit for bit, whether a class is given for a trial or for each of its steps."""
    arrays, job = spikes(), job_on("spikes")
    dense = {"inputs": counted(arrays), "targets": np.broadcast_to(arrays["targets"], (STEPS, TRIALS))}
    job["rule"] = {"type": rule}
    job["training"]["iterations"] = 20
    bodies = {"spikes": spike_file(arrays), "dense": safetensors(**dense)}
    bodies["each"] = spike_file(arrays | {"targets": dense["targets"]})
    bodies["trial"] = safetensors(inputs=dense["inputs"], targets=arrays["targets"])
    for name, body in bodies.items():
        assert put(daemon, name, body).status_code == 201
    jobs = [submit(daemon, job | {"task": {"type": "dataset", "name": name}}) for name in bodies]
    assert len({weights(daemon, finish(daemon, one)) for one in jobs}) == 1


def test_steps_of_several_ticks(daemon):
    """Mask and target of a step are those of its last tick that counts; the last step may be short."""
    arrays, bin = spikes(), 7
    random = np.random.default_rng(3)
    ticks = {"targets": random.integers(0, 3, (STEPS, TRIALS)), "mask": random.random((STEPS, TRIALS)) < 0.1}
    ticks["mask"] = (ticks["mask"] * random.uniform(0.5, 2, (STEPS, TRIALS))).astype("f4")
    steps = {name: np.zeros((4, TRIALS), values.dtype) for name, values in ticks.items()}
    for step in range(4):
        for trial in range(TRIALS):
            own = range(step * bin, min(STEPS, step * bin + bin))
            tick = max([tick for tick in own if ticks["mask"][tick, trial]], default=own[-1])
            for name in ticks:
                steps[name][step, trial] = ticks[name][tick, trial]
    assert put(daemon, "spikes", spike_file(arrays | ticks)).status_code == 201
    assert put(daemon, "dense", safetensors(inputs=counted(arrays, bin=bin), **steps)).status_code == 201
    job = job_on("spikes")
    job["training"]["iterations"] = 20
    job["task"]["bin"] = bin
    shown = daemon.post("/v1/jobs:validate", json=job).json()
    binned = finish(daemon, submit(daemon, job))
    dense = finish(daemon, submit(daemon, job | {"task": {"type": "dataset", "name": "dense"}}))
    assert weights(daemon, binned) == weights(daemon, dense), shown
    simulated = daemon.post(f"/v1/jobs/{binned['id']}/simulate", json={"split": "training", "trials": 3, "every": 1})
    assert simulated.status_code == 200, simulated.text
    assert len(simulated.json()["inputs"]) == 4
    job["task"]["name"] = "dense"
    refused = daemon.post("/v1/jobs", json=job)
    assert refused.status_code == 422 and "bin must be 1 for a dataset whose inputs are an array" in refused.text


@pytest.mark.parametrize("model", ["rate", "lif", "alif"])
def test_every_neuron_model_takes_spikes(daemon, model):
    put(daemon, "mine", spike_file(spikes()))
    job = job_on("mine", model=model)
    job["rule"] = {"type": "eprop"}
    job["training"]["iterations"] = 3
    assert finish(daemon, submit(daemon, job))["status"] == "succeeded"


def changed(name, at, value):
    arrays = spikes()
    arrays[name][at] = value
    return spike_file(arrays)


def without(*names):
    return spike_file({name: array for name, array in spikes().items() if name not in names})


def cast(name, dtype):
    arrays = spikes()
    return spike_file(arrays | {name: arrays[name].astype(dtype)})


BAD = {
    "shape is missing": (with_metadata(safetensors(**spikes())), '__metadata__ must say the spikes\' "shape"'),
    "shape is no list": (spike_file(spikes(), shape="24"), 'integers of at least 1, at most 16384 inputs; got "24"'),
    "shape has a zero": (spike_file(spikes(), shape="[24, 0, 5]"), 'got "[24, 0, 5]"'),
    "shape has two": (spike_file(spikes(), shape="[24, 30]"), 'got "[24, 30]"'),
    "shape is long": (spike_file(spikes(), shape="[24, 30, 5" + " " * 200 + "]"), "as the text"),
    "shape has fractions": (spike_file(spikes(), shape="[24.5, 30, 5]"), 'got "[24.5, 30, 5]"'),
    "shape is huge": (spike_file(spikes(), shape="[9999999999, 30, 5]"), 'got "[9999999999, 30, 5]"'),
    "many inputs": (spike_file(spikes(), shape="[24, 30, 16385]"), "at most 16384 inputs"),
    "other trials": (spike_file(spikes(), shape="[24, 31, 5]"), "the metadata's shape, [24, 31, 5]; got I64 (30)"),
    "no units": (without("spikes_units"), "of spikes_units got none"),
    "no times": (without("spikes_times"), "of spikes_times got none"),
    "no trials": (without("spikes_trials"), "of spikes_trials got none"),
    "no targets": (without("targets"), "and targets are required"),
    "lengths": (
        spike_file(spikes() | {"spikes_units": spikes()["spikes_units"][:-1]}),
        "integers, one of each a spike, and at least one spike; of spikes_units got I32",
    ),
    "no spike": (
        spike_file(spikes() | {f"spikes_{name}": np.zeros(0, "i4") for name in ("trials", "times", "units")}),
        "at least one spike; of spikes_trials got I32 (0)",
    ),
    "fractions": (cast("spikes_times", "f4"), "of spikes_times got F32"),
    "two dimensions": (
        spike_file(spikes() | {"spikes_units": spikes()["spikes_units"][:, None]}),
        "of spikes_units got I32 (",
    ),
    "unit": (
        changed("spikes_units", 3, 5),
        "spikes_units must hold integers from 0 to 4, below the inputs of the metadata's shape; entry [3] is 5",
    ),
    "negative unit": (changed("spikes_units", 3, -1), "entry [3] is -1"),
    "time": (
        changed("spikes_times", 0, 24),
        "spikes_times must hold integers from 0 to 23, below the steps of the metadata's shape; entry [0] is 24",
    ),
    "trial": (changed("spikes_trials", -1, 30), "spikes_trials must hold integers from 0 to 29, below the trials of"),
    "order of trials": (
        changed("spikes_trials", 1, 4),
        "in the order of spikes_trials, and of one trial in the order of spikes_times; entry [2], trial 0",
    ),
    "order of times": (changed("spikes_times", 1, 23), "follows trial 0 and time 23"),
    "both": (
        spike_file(spikes() | {"inputs": counted(spikes())}),
        "the inputs must be either the tensor inputs or spikes; got both",
    ),
    "test shape is missing": (
        with_metadata(safetensors(**spikes(), **{f"test_{k}": v for k, v in spikes().items()}), shape=shape()),
        'the spikes\' "test_shape"',
    ),
    "test of arrays": (
        spike_file(spikes() | {"test_inputs": counted(spikes()), "test_targets": spikes()["targets"]}),
        "the test split must have spikes where the training split has",
    ),
    "test steps": (
        spike_file(spikes(), spikes(), test_shape="[25, 30, 5]"),
        "the test split must have the steps (24), inputs (5)",
    ),
    "test time": (
        spike_file(spikes(), spikes() | {"spikes_times": spikes()["spikes_times"] + 1}),
        "test_spikes_times must hold integers from 0 to 23",
    ),
    "mask": (
        spike_file(spikes() | {"mask": np.ones((STEPS, 2), "f4")}),
        "mask must have the shape (steps, trials) of the metadata's shape, [24, 30, 5]; got F32 (24, 2)",
    ),
    "classes": (spike_file(spikes() | {"targets": spikes()["targets"] - 1}), "classes from 0 to 4095; entry ["),
    "unknown": (spike_file(spikes() | {"spikes_polarity": spikes()["spikes_units"]}), '"spikes_polarity" is not one'),
}


@pytest.mark.parametrize("body,words", BAD.values(), ids=BAD)
def test_bad_spikes(daemon, body, words):
    answer = put(daemon, "bad", body)
    assert answer.status_code == 422 and words in answer.json()["detail"], answer.text
    assert daemon.get("/v1/datasets").json()["datasets"] == [] and stored(daemon) == []


def test_a_huge_shape_of_few_spikes_is_no_harm(daemon):
    """Its data are small; what would be large, the job, is refused by its estimate."""
    arrays = {name: np.zeros(1, "u1") for name in spikes()}
    answer = put(daemon, "wide", with_metadata(safetensors(**arrays), shape="[2000000000, 1, 16384]"))
    assert answer.status_code == 201 and answer.json()["memory_bytes"] == 6 + 16 + 1
    assert answer.json()["counted"] == 2_000_000_000
    refused = daemon.post("/v1/jobs", json=job_on("wide"))
    assert refused.status_code == 422 and "of memory" in refused.text, refused.text


def test_bins_that_would_be_no_trial_are_refused(daemon):
    put(daemon, "mine", spike_file(spikes()))
    for bin, status in ((0, 422), (1_000_001, 422), (1_000_000, 201)):
        job = job_on("mine")
        job["task"]["bin"] = bin
        job["training"]["iterations"] = 1
        answer = daemon.post("/v1/jobs", json=job)
        assert answer.status_code == status, answer.text
        if status == 422:
            assert answer.json()["errors"][0]["pointer"] == "/task/bin"
    assert finish(daemon, answer.json())["status"] == "succeeded"
