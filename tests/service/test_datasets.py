"""Datasets: uploads, their checks, training on them."""

import hashlib
import json
import os
import struct
import subprocess
import threading

import numpy as np
import pytest
import requests

from daemons import MODPROPD, wait_until
from test_jobs import SMALL, finish, submit

TYPES = {"float32": "F32", "float64": "F64", "int32": "I32", "int64": "I64", "uint8": "U8"}


def safetensors(**arrays):
    header, data = {}, b""
    for name, array in arrays.items():
        raw = np.ascontiguousarray(array).tobytes()
        header[name] = {
            "dtype": TYPES[str(array.dtype)],
            "shape": list(array.shape),
            "data_offsets": [len(data), len(data) + len(raw)],
        }
        data += raw
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def arrays(steps=12, trials=30, inputs=3, classes=3, seed=1):
    random = np.random.default_rng(seed)
    labels = random.integers(0, classes, trials)
    x = random.normal(size=(steps, trials, inputs)).astype("f4") * 0.1
    x[:, np.arange(trials), labels] += 1
    mask = np.zeros((steps, trials), "f4")
    mask[-1] = 1
    return {"inputs": x, "targets": np.broadcast_to(labels, (steps, trials)).astype("i8"), "mask": mask}


def put(daemon, name, body, kind="application/octet-stream"):
    return daemon.request("PUT", f"/v1/datasets/{name}", data=body, headers={"Content-Type": kind})


def job_on(name, **network):
    return {
        "task": {"type": "dataset", "name": name},
        "network": {"units": 12, "tau": 5, **network},
        "rule": {"type": "bptt"},
        "optimizer": {"learning_rate": 0.01, "l1": 0, "decay": None},
        "training": {"iterations": 150, "batch_size": 16, "evaluate_every": 50},
    }


def test_life_of_a_dataset(daemon):
    body = safetensors(**arrays(), **{f"test_{k}": v for k, v in arrays(seed=2).items()})
    answer = put(daemon, "mine", body)
    assert answer.status_code == 201, answer.text
    info = answer.json()
    assert info["sha256"] == hashlib.sha256(body).hexdigest() and info["size"] == len(body)
    assert (info["steps"], info["trials"], info["inputs"], info["outputs"], info["test_trials"], info["loss"]) == (
        12,
        30,
        3,
        3,
        30,
        "cross_entropy",
    )
    assert daemon.get("/v1/datasets/mine").json() == info
    assert daemon.get("/v1/datasets").json()["datasets"] == [info]
    assert daemon.get("/v1/datasets/mine", headers={"Accept": "application/octet-stream"}).content == body
    job = finish(daemon, submit(daemon, job_on("mine")))
    assert job["status"] == "succeeded" and job["metrics"]["accuracy"] > 0.9, job
    for trials, status in ((30, 200), (31, 422)):
        shown = daemon.post(f"/v1/jobs/{job['id']}/simulate", json={"split": "test", "trials": trials, "every": 12})
        assert shown.status_code == status, shown.text
    assert shown.json()["errors"] == [
        {"pointer": "/trials", "detail": "must be at most the test split's trials (30); got 31"}
    ]
    assert put(daemon, "mine", safetensors(**arrays(seed=3))).status_code == 200, "replaced"
    assert len(os.listdir(daemon.data / "datasets" / "user")) == 1
    assert daemon.request("DELETE", "/v1/datasets/mine").status_code == 204
    assert (
        daemon.get("/v1/datasets/mine").status_code == 404
        and daemon.request("DELETE", "/v1/datasets/mine").status_code == 404
    )
    answer = daemon.post("/v1/jobs", json=job_on("mine"))
    assert answer.status_code == 422 and answer.json()["errors"][0]["pointer"] == "/task/name"


def test_squared_error(daemon):
    x = np.random.default_rng(1).normal(size=(10, 8, 2)).astype("f4")
    assert put(daemon, "values", safetensors(inputs=x, targets=x.cumsum(0).astype("f8") * 0.1)).json()["loss"] == "mse"
    job = finish(daemon, submit(daemon, job_on("values")))
    assert job["status"] == "succeeded" and job["metrics"]["accuracy"] is None


def nan_at_5():
    changed = arrays()
    changed["inputs"].reshape(-1)[5] = np.nan
    return changed


@pytest.mark.parametrize(
    "body,words",
    [
        (b"", "empty"),
        (b"x" * 7, "header"),
        (struct.pack("<Q", 1 << 60) + b"{}", "header"),
        (struct.pack("<Q", 2) + b"[]", "JSON object"),
        (struct.pack("<Q", 3) + b"{x}", "line 1"),
        (safetensors(inputs=arrays()["inputs"]), "targets"),
        (safetensors(**nan_at_5()), "inputs must hold finite numbers of float32's range; entry [0, 1, 2] is nan"),
        (safetensors(**arrays() | {"extra": np.zeros(3, "f4")}), "extra"),
        (
            safetensors(**arrays() | {"mask": np.zeros((12, 30), "f4")}),
            "mask must count at least one step; all its entries are 0",
        ),
        (
            safetensors(**arrays() | {"targets": np.full((12, 30), -1, "i8")}),
            "classes from 0 to 4095; entry [0, 0] is -1",
        ),
        (
            safetensors(**arrays() | {"targets": np.zeros((12, 29), "i8")}),
            "steps and trials of inputs, F32 (12, 30, 3); got I64 (12, 29)",
        ),
        (
            safetensors(**arrays() | {"mask": np.ones((11, 30), "f4")}),
            "mask must have the shape (steps, trials) of inputs, F32 (12, 30, 3); got F32 (11, 30)",
        ),
        (
            safetensors(**arrays() | {"mask": np.full((12, 30), -0.5, "f4")}),
            "mask must hold numbers from 0 to 1000000; entry [0, 0] is -0.5",
        ),
        (
            safetensors(**arrays() | {f"test_{name}": value for name, value in arrays(steps=10, seed=2).items()}),
            "steps (12), inputs (3) and kind of targets (classes) of the training split; got 10, 3 and I64 (10, 30)",
        ),
        (safetensors(**arrays())[:-4], "data_offsets"),
        (safetensors(**arrays() | {"inputs": np.zeros((12, 30), "f4")}), "at most 16384 inputs; got F32 (12, 30)"),
    ],
)
def test_bad_datasets(daemon, body, words):
    answer = put(daemon, "bad", body)
    assert answer.status_code in (415, 422) and (words in answer.json()["detail"] or body == b""), answer.text
    assert daemon.get("/v1/datasets").json()["datasets"] == [] and os.listdir(daemon.data / "datasets" / "user") == []


def test_names_types_and_sizes(start):
    daemon = start("--max-dataset", "64K")
    body = safetensors(**arrays())
    for name in ("a%20b", "..%2f..%2fx", "x" * 65, ".hidden", "%00"):
        assert put(daemon, name, body).status_code in (404, 422), name
    assert put(daemon, "a", body, "application/json").status_code == 415
    assert put(daemon, "a", b"x" * 70_000).status_code == 413
    assert put(daemon, "a", (b"x" * 10_000 for _ in range(10))).status_code == 413


def test_dataset_in_use_stays(start):
    daemon = start("--workers", "0")
    put(daemon, "mine", safetensors(**arrays()))
    job = submit(daemon, job_on("mine"))
    assert daemon.request("DELETE", "/v1/datasets/mine").status_code == 409
    assert put(daemon, "mine", safetensors(**arrays(seed=5))).status_code == 409
    daemon.post(f"/v1/jobs/{job['id']}/cancel")
    assert daemon.request("DELETE", "/v1/datasets/mine").status_code == 204


def test_upload_that_breaks_off_leaves_nothing(daemon):
    with daemon.connect() as connection:
        connection.sendall(
            b"PUT /v1/datasets/x HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/octet-stream\r\nContent-Length: 100000\r\n\r\n"
            + b"x" * 5000
        )
        wait_until(
            lambda: (daemon.data / "datasets" / "user").exists() and os.listdir(daemon.data / "datasets" / "user"),
            timeout=5,
        )
    wait_until(lambda: not os.listdir(daemon.data / "datasets" / "user"), timeout=5)


def test_a_test_split_counts_each_step_once(daemon):
    """The loss of a split is sum m l / sum m over all of it, also where its batches differ in what they count; trials in which nothing counts do no harm."""
    data, test = arrays(trials=40), arrays(trials=21, seed=3)
    for part in (data, test):
        part["mask"][:] = 0
    data["mask"][-1, ::4] = 1  # a batch of 2 often has nothing that counts
    test["mask"][3:, :5] = 1  # all that counts stands in the first batches
    test["mask"][-1, 20] = 0.5
    assert put(daemon, "masked", safetensors(**data, **{f"test_{k}": v for k, v in test.items()})).status_code == 201
    losses = []
    for batch_size in (2, 21):
        document = job_on("masked")
        document["optimizer"]["learning_rate"] = 0.0
        document["training"] |= {"batch_size": batch_size, "iterations": 20, "evaluate_every": 10}
        job = finish(daemon, submit(daemon, document))
        assert job["status"] == "succeeded", job
        losses.append(job["metrics"]["loss"])
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)


def test_a_kill_in_the_midst_of_a_replacement_leaves_one_dataset(start):
    """Both files are there between the rename of the new one and the removal of the old one."""
    daemon = start()
    bodies = [safetensors(**arrays(seed=seed)) for seed in (1, 2)]
    folder = daemon.data / "datasets" / "user"
    for body in bodies:
        assert put(daemon, "mine", body).status_code in (200, 201)
    assert put(daemon, "mine-too", bodies[0]).status_code == 201
    daemon.kill()
    old = folder / f"mine@{hashlib.sha256(bodies[0]).hexdigest()}.safetensors"
    old.write_bytes(bodies[0])
    os.utime(old, (1, 1))
    (folder / ".upload-left").write_bytes(bodies[0][:100])
    daemon = start(data=daemon.data)
    listed = {one["name"]: one["sha256"] for one in daemon.get("/v1/datasets").json()["datasets"]}
    assert listed == {"mine": hashlib.sha256(bodies[1]).hexdigest(), "mine-too": hashlib.sha256(bodies[0]).hexdigest()}
    assert len(list(folder.iterdir())) == 2


def test_a_file_that_cannot_be_read_to_its_end_does_not_hold_up_the_end_of_the_daemon(start):
    """A dataset on a disk that hangs, or one of gigabytes: SIGTERM ends the daemon in its time all the same, and what was answered is stored."""
    daemon = start("--shutdown-timeout", "1")
    os.mkfifo(daemon.data / "datasets" / "user" / f"stuck@{'0' * 64}.safetensors")

    def ask():
        with pytest.raises(requests.exceptions.ConnectionError):
            daemon.get("/v1/datasets", timeout=120)

    asked = threading.Thread(target=ask)
    asked.start()
    wait_until(lambda: "modprop_http_requests_active 2" in daemon.get("/metrics").text)
    job = finish(daemon, submit(daemon, SMALL))
    assert daemon.stop() == 0 and "did not end in time" in daemon.log()
    asked.join()
    verified = subprocess.run([MODPROPD, "verify", "--data", daemon.data, job["id"]], capture_output=True, text=True)
    assert verified.returncode == 0 and "1 whole" in verified.stdout, verified
