"""Weights to begin with: what follows from them where the job does not say it."""

import hashlib
import json
import struct

import numpy as np
import pytest
from test_jobs import SMALL, changed, finish, submit

BEGIN = {"training": {"iterations": 2, "evaluate_every": 2, "checkpoint_every": 2}}


def without_units(initial, **network):
    job = changed(SMALL, **BEGIN)
    kept = {name: value for name, value in job["network"].items() if name != "units"}
    return job | {"network": kept | {"initial": initial} | network}


@pytest.fixture
def trained(daemon):
    return finish(daemon, submit(daemon, changed(SMALL, network={"units": 14}, **BEGIN)))


def faults(daemon, job):
    answer = daemon.post("/v1/jobs", json=job)
    assert answer.status_code == 422, answer.text
    return [error["pointer"] for error in answer.json()["errors"]]


def test_units_follow_from_initial_weights(daemon, trained):
    document = daemon.get(f"/v1/jobs/{trained['id']}/weights").json()
    made = []
    for initial in (document, {"job": trained["id"]}, {"job": trained["id"], "iteration": 2}):
        for network in ({}, {"units": 14}):
            job = finish(daemon, submit(daemon, without_units(initial, **network)))
            assert job["status"] == "succeeded" and job["network"]["units"] == 14
            made.append((job["config_sha256"], job["weights_sha256"]))
    assert len(set(made)) == 1, "one job, however it was said"
    by_unit = finish(daemon, submit(daemon, without_units({"job": trained["id"]}, tau=[10.0] * 14)))
    assert by_unit["status"] == "succeeded"


def test_what_rests_on_units_is_checked_with_those_of_the_weights(daemon, trained):
    for initial in ({"job": trained["id"]}, daemon.get(f"/v1/jobs/{trained['id']}/weights").json()):
        assert faults(daemon, without_units(initial, tau=[10.0] * 13)) == ["/network/tau"]
        assert faults(daemon, without_units(initial, types_per_sign=15)) == ["/network/types_per_sign"]
        assert faults(daemon, without_units(initial, units=15))[0].startswith("/network/initial")
    wide = finish(daemon, submit(daemon, changed(SMALL, network={"units": 70}, **BEGIN)))
    by_rtrl = without_units({"job": wide["id"]}) | {"rule": {"type": "rtrl"}}
    assert faults(daemon, by_rtrl) == ["/network/units"]


# ---- weights that were uploaded


def upload(daemon, name, content):
    headers = {"Content-Type": "application/octet-stream"}
    return daemon.request("PUT", f"/v1/datasets/{name}", data=content, headers=headers)


def safetensors(**arrays):
    header, body = {}, b""
    for name, array in arrays.items():
        kind = {"float32": "F32", "float64": "F64", "int64": "I64"}[array.dtype.name]
        ends = [len(body), len(body) + array.nbytes]
        header[name] = {"dtype": kind, "shape": list(array.shape), "data_offsets": ends}
        body += array.tobytes()
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + body


def test_uploaded_weights_begin_a_job(daemon, trained):
    """As GET .../weights gave them: the same job, however it was said, and the job says what it took."""
    content = daemon.get(f"/v1/jobs/{trained['id']}/weights?format=safetensors").content
    stored = upload(daemon, "mine", content)
    assert stored.status_code == 201 and stored.text.endswith("}\n")
    shown = stored.json()
    assert {k: shown[k] for k in ("kind", "units", "inputs", "outputs", "bias")} == {
        "kind": "weights", "units": 14, "inputs": 2, "outputs": 2, "bias": False,
    }  # fmt: skip
    assert shown["sha256"] == hashlib.sha256(content).hexdigest()
    by_job = finish(daemon, submit(daemon, without_units({"job": trained["id"]})))
    assert by_job["network"]["initial"] == {
        "units": 14, "inputs": 2, "outputs": 2,
        "from_sha256": trained["weights_sha256"], "from_job": trained["id"], "from_iteration": 2,
    }  # fmt: skip
    jobs = [
        finish(daemon, submit(daemon, without_units(initial)))
        for initial in ({"weights": "mine"}, {"weights": "mine", "sha256": shown["sha256"]})
    ]
    for job in jobs:
        assert job["status"] == "succeeded" and job["network"]["units"] == 14
        assert (job["config_sha256"], job["weights_sha256"]) == (by_job["config_sha256"], by_job["weights_sha256"])
        assert job["network"]["initial"] == {
            "units": 14, "inputs": 2, "outputs": 2, "from_sha256": shown["sha256"], "from_weights": "mine",
        }  # fmt: skip
    again = daemon.get("/v1/datasets/mine", headers={"Accept": "application/octet-stream"})
    assert again.content == content
    validated = daemon.post("/v1/jobs:validate", json=without_units({"weights": "mine"})).json()
    assert validated["network"]["units"] == 14 and validated["network"]["initial"]["from_weights"] == "mine"


def test_a_job_keeps_the_weights_that_it_was_accepted_with(start):
    """A copy: neither a deletion nor a restart matters to a job that waits."""
    daemon = start("--workers", "1")
    source = finish(daemon, submit(daemon, changed(SMALL, network={"units": 14}, **BEGIN)))
    upload(daemon, "mine", daemon.get(f"/v1/jobs/{source['id']}/weights?format=safetensors").content)
    wanted = finish(daemon, submit(daemon, without_units({"weights": "mine"})))["weights_sha256"]
    running = submit(daemon, changed(SMALL, training={"iterations": 10**7}))["id"]
    waiting = submit(daemon, without_units({"weights": "mine"}))
    assert waiting["status"] == "queued"
    assert daemon.request("DELETE", "/v1/datasets/mine").status_code == 204
    daemon.kill()
    daemon = start("--workers", "1", data=daemon.data)
    daemon.post(f"/v1/jobs/{running}/cancel")
    assert finish(daemon, waiting)["weights_sha256"] == wanted


def test_uploaded_weights_run_in_a_simulation(daemon, trained):
    zeros = {"W": (14, 14), "Win": (2, 14), "Wout": (14, 2), "bout": (2,)}
    content = safetensors(**{name: np.zeros(shape) for name, shape in zeros.items()})
    assert upload(daemon, "zeros", content).status_code == 201
    body = {"weights": {"weights": "zeros"}, "units": [0, 1], "trials": 1}
    shown = daemon.post(f"/v1/jobs/{trained['id']}/simulate", json=body).json()
    assert not np.any(shown["rates"]) and not np.any(shown["outputs"])


def test_what_is_wrong_with_uploaded_weights(daemon, trained):
    good = {"W": np.zeros((5, 5)), "Win": np.zeros((2, 5)), "Wout": np.zeros((5, 2)), "bout": np.zeros(2)}
    wrong = {
        "W": (np.zeros((5, 4)), "the tensor W must hold F32 or F64 of the shape (5, 5); got F64 (5, 4)"),
        "Win": (
            np.zeros((2, 4), np.float32),
            "the tensor Win must hold F32 or F64 of the shape (2, 5); got F32 (2, 4)",
        ),
        "b": (np.zeros(4), "the tensor b must hold F32 or F64 of the shape (5); got F64 (4)"),
        "bout": (np.zeros(3), "the tensor bout must hold F32 or F64 of the shape (2); got F64 (3)"),
        "Wout": (np.full((5, 2), np.nan), "must hold finite numbers within the range of float32; entry [0, 0] is nan"),
    }
    for name, (array, says) in wrong.items():
        answer = upload(daemon, "bad", safetensors(**(good | {name: array})))
        assert answer.status_code == 422 and says in answer.json()["detail"], answer.text
    without = upload(daemon, "bad", safetensors(**{name: good[name] for name in ("W", "Win", "Wout")}))
    assert "the tensor bout must hold F32 or F64 of the shape (2); got none" in without.json()["detail"]
    assert "weights must have the tensors W (N, N)" in upload(daemon, "bad", safetensors(W=good["W"])).json()["detail"]
    assert upload(daemon, "small", safetensors(**good)).status_code == 201
    assert faults(daemon, without_units({"weights": "none"})) == ["/network/initial/weights"]
    assert faults(daemon, without_units({"weights": "small", "sha256": "0" * 64})) == ["/network/initial/sha256"]
    assert faults(daemon, without_units({"weights": "small", "iteration": 3})) == ["/network/initial/iteration"]
    assert faults(daemon, without_units({"weights": "small"})) == ["/network/units"], "five units with Dale's law"
    assert faults(daemon, {"task": {"type": "dataset", "name": "small"}}) == ["/task/name"]
    data = {"inputs": np.zeros((3, 2, 1)), "targets": np.zeros((3, 2), np.int64)}
    assert upload(daemon, "data", safetensors(**data)).json()["kind"] == "dataset"
    assert faults(daemon, without_units({"weights": "data"})) == ["/network/initial/weights"]
