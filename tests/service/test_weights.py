"""Weights that stand by themselves, and which units an answer shows by itself."""

import json
import struct

import numpy as np
import pytest
from test_jobs import SMALL, changed, digest, finish, submit


def safetensors_of(content):
    """Metadata and arrays of a safetensors file."""
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + length])
    kinds = {"F32": "<f4", "I32": "<i4", "U8": "u1"}

    def array(about):
        begin, end = about["data_offsets"]
        return np.frombuffer(content[8 + length + begin : 8 + length + end], kinds[about["dtype"]]).reshape(
            about["shape"]
        )

    return header.pop("__metadata__"), {name: array(about) for name, about in header.items()}


@pytest.mark.parametrize("tau", [12, [10.0 + i for i in range(20)], {"low": 5, "high": 50}])
def test_weights_say_what_runs_them(daemon, tau):
    job = finish(daemon, submit(daemon, changed(SMALL, network={"tau": tau, "activation": "tanh"})))
    weights = daemon.get(f"/v1/jobs/{job['id']}/weights").json()
    assert digest(weights) == weights["sha256"] == job["weights_sha256"]
    about = {name: weights[name] for name in ("activation", "neuron", "discretization", "tau", "readout", "task")}
    assert about == {
        "activation": "tanh",
        "neuron": "leaky",
        "discretization": "exponential",
        "tau": tau,
        "readout": "linear",
        "task": job["task"],
    }
    metadata, arrays = safetensors_of(daemon.get(f"/v1/jobs/{job['id']}/weights?format=safetensors").content)
    assert {name: metadata[name] for name in ("activation", "neuron", "discretization", "readout")} == {
        name: about[name] for name in ("activation", "neuron", "discretization", "readout")
    }
    assert json.loads(metadata["tau"]) == tau and json.loads(metadata["task"]) == job["task"]
    assert metadata["sha256"] == weights["sha256"] and float(metadata["density"]) == pytest.approx(weights["density"])
    for name in ("W", "Win", "Wout", "bout", "leak", "mask"):
        assert np.array_equal(np.array(weights[name], arrays[name].dtype), arrays[name])
    again = submit(daemon, changed(SMALL, network={"tau": tau, "activation": "tanh", "initial": weights}))
    assert finish(daemon, again)["status"] == "succeeded"


@pytest.mark.parametrize("rewiring, connectivity", [("deep_r", 1), ("none", 0.3)])
def test_the_mask_leaves_out_what_only_holds_a_place(daemon, rewiring, connectivity):
    wanted = changed(SMALL, network={"rewiring": rewiring, "connectivity": connectivity}, optimizer={"l1": 30})
    job = finish(daemon, submit(daemon, wanted))
    weights = daemon.get(f"/v1/jobs/{job['id']}/weights").json()
    W, mask = np.array(weights["W"], "f4"), np.array(weights["mask"])
    placeholders = np.abs(W) == np.float32(1e-12)
    assert placeholders.any() == (rewiring == "deep_r")
    assert np.array_equal(mask, (W != 0) & ~placeholders) and not mask.diagonal().any()
    assert weights["density"] == pytest.approx(mask.sum() / (20 * 19)) and weights["density"] <= connectivity


@pytest.mark.parametrize(
    "network, units",
    [
        ({"units": 120}, [0, 4, 9, 13, 18, 23, 42, 61, 81, 100]),  # 23 inhibitory ones come first
        ({"units": 120, "types_per_sign": 23}, [0, 4, 9, 13, 18, 23, 43, 64, 80, 100]),
        ({"units": 120, "dale": False, "rewiring": "none"}, [12 * i for i in range(10)]),
        ({"units": 6}, [0, 1, 2, 3, 4, 5]),
    ],
)
def test_a_simulation_shows_units_of_all_types(daemon, network, units):
    job = finish(daemon, submit(daemon, changed(SMALL, network=network, training={"iterations": 1})))
    assert daemon.post(f"/v1/jobs/{job['id']}/simulate", json={"every": 40}).json()["units"] == units
