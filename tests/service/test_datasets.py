"""Datasets: uploads, their checks, training on them."""

import hashlib
import json
import os
import shutil
import sqlite3
import struct
import subprocess
import threading

import numpy as np
import pytest
import requests
from daemons import MODPROPD, wait_until
from test_jobs import SMALL, finish, submit

TYPES = {
    "float32": "F32",
    "float64": "F64",
    "int32": "I32",
    "int64": "I64",
    "uint8": "U8",
    "int8": "I8",
    "int16": "I16",
}


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


def stored(daemon):
    """The versions whose files are there, and whatever else lies beside them."""
    folder = daemon.data / "datasets" / "content"
    return sorted(entry.removesuffix(".safetensors") for entry in os.listdir(folder) if not entry.endswith(".json"))


def digest(body):
    return hashlib.sha256(body).hexdigest()


def held(daemon, name):
    return {one["sha256"]: one["jobs"] for one in daemon.get(f"/v1/datasets/{name}").json()["versions"]}


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
    download = daemon.get("/v1/datasets/mine", headers={"Accept": "application/octet-stream"})
    assert download.content == body and download.headers["ETag"] == f'"{info["sha256"]}"'
    assert download.headers["Content-Disposition"] == 'attachment; filename="mine.safetensors"'
    job = finish(daemon, submit(daemon, job_on("mine")))
    assert job["status"] == "succeeded" and job["metrics"]["accuracy"] > 0.9, job
    for trials, status in ((30, 200), (31, 422)):
        shown = daemon.post(f"/v1/jobs/{job['id']}/simulate", json={"split": "test", "trials": trials, "every": 12})
        assert shown.status_code == status, shown.text
    assert shown.json()["errors"] == [
        {"pointer": "/trials", "detail": "must be at most the test split's trials (30); got 31"}
    ]
    assert put(daemon, "mine", safetensors(**arrays(seed=3))).status_code == 200, "replaced"
    assert len(stored(daemon)) == 2, "the job holds its version"
    assert daemon.request("DELETE", f"/v1/jobs/{job['id']}").status_code == 204
    wait_until(lambda: len(stored(daemon)) == 1)
    assert daemon.request("DELETE", "/v1/datasets/mine").status_code == 204
    wait_until(lambda: os.listdir(daemon.data / "datasets" / "content") == [])
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
        (
            safetensors(**nan_at_5()),
            "inputs must hold finite numbers within the range of float32; entry [0, 1, 2] is nan",
        ),
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
        (safetensors(**arrays()) + b"more", "4 bytes after its last tensor"),
        (
            safetensors(**arrays() | {"mask": np.full((12, 30), 1e-60)}),
            "mask must count at least one step; all its entries are 0 as float32",
        ),
        (
            safetensors(**arrays() | {"targets": np.eye(3, dtype="f4")[arrays()["targets"]]}),
            "targets holds classes as one-hot rows",
        ),
        (
            safetensors(
                **arrays()
                | {f"test_{name}": value for name, value in arrays(classes=4, inputs=4, seed=2).items()}
                | {"test_inputs": arrays()["inputs"]}
            ),
            "test_targets must hold classes that occur in targets too",
        ),
        (safetensors(**arrays() | {"inputs": np.zeros((12, 30), "f4")}), "at most 16384 inputs; got F32 (12, 30)"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_bad_datasets(shared, body, words):
    answer = put(shared, "bad", body)
    assert answer.status_code in (415, 422) and (words in answer.json()["detail"] or body == b""), answer.text
    assert shared.get("/v1/datasets").json()["datasets"] == [] and stored(shared) == []


def test_names_types_and_sizes(start):
    daemon = start("--max-dataset", "64K")
    body = safetensors(**arrays())
    for name in ("a%20b", "..%2f..%2fx", "x" * 65, ".hidden", "%00"):
        assert put(daemon, name, body).status_code in (404, 422), name
    assert put(daemon, "a", body, "application/json").status_code == 415
    assert put(daemon, "a", b"x" * 70_000).status_code == 413
    assert put(daemon, "a", (b"x" * 10_000 for _ in range(10))).status_code == 413


def test_jobs_hold_the_version_that_they_were_accepted_with(start):
    """A PUT and a DELETE disturb nobody; what nobody holds goes, at once or when the last job does."""
    daemon = start("--workers", "0")
    bodies = [safetensors(**arrays(seed=seed)) for seed in range(3)]
    first, second, third = map(digest, bodies)
    put(daemon, "mine", bodies[0])
    job = submit(daemon, job_on("mine"))
    assert job["task"]["name"] == "mine" and job["task"]["sha256"] == first
    assert put(daemon, "mine", bodies[1]).status_code == 200
    assert put(daemon, "mine", bodies[2]).status_code == 200
    assert held(daemon, "mine") == {third: 0, first: 1}
    wait_until(lambda: stored(daemon) == sorted([first, third]))
    old = job_on("mine")
    old["task"]["sha256"] = first
    other = submit(daemon, old)
    assert other["task"]["sha256"] == first and other["config_sha256"] == job["config_sha256"]
    old["task"]["sha256"] = second
    refused = daemon.post("/v1/jobs", json=old)
    assert refused.status_code == 422 and refused.json()["errors"][0]["pointer"] == "/task/sha256", refused.text
    assert daemon.post("/v1/jobs:validate", json=job_on("mine")).status_code == 200, "which holds nothing"
    assert held(daemon, "mine") == {third: 0, first: 2}
    page = daemon.get(f"/v1/datasets/mine/jobs?sha256={first}&limit=1").json()
    assert page["jobs"] == [other["id"]] and page["next"] == other["id"]
    page = daemon.get(f"/v1/datasets/mine/jobs?sha256={first}&before={page['next']}").json()
    assert page == {"sha256": first, "jobs": [job["id"]], "next": None}
    assert put(daemon, "mine", bodies[0]).status_code == 200, "back to the first"
    wait_until(lambda: stored(daemon) == [first])
    assert daemon.request("DELETE", "/v1/datasets/mine").status_code == 204
    listed = daemon.get("/v1/datasets").json()
    assert listed["datasets"] == [] and listed["unnamed"] == {"versions": 1, "bytes": len(bodies[0])}
    daemon.stop()
    daemon = start("--workers", "1", data=daemon.data)
    for one in (job, other):
        one = finish(daemon, one)
        assert one["status"] == "succeeded", one
        assert daemon.get(f"/v1/jobs/{one['id']}/manifest").json()["dataset_sha256"] == first
    assert daemon.get("/v1/datasets").json()["unnamed"]["versions"] == 1
    for one in (job, other):
        assert stored(daemon) == [first]
        assert daemon.request("DELETE", f"/v1/jobs/{one['id']}").status_code == 204
    wait_until(lambda: stored(daemon) == [])


def test_lists_have_pages_and_bounds(start):
    body = [wide(2, seed=seed) for seed in range(4)]
    daemon = start("--max-datasets", "3", "--max-datasets-bytes", "1M")
    for number in (2, 0, 1):
        assert put(daemon, f"set-{number}", body[number]).status_code == 201
    assert put(daemon, "same-bytes", body[0]).status_code == 507, "checked before the bytes come"
    refused = put(daemon, "set-3", body[3])
    assert refused.status_code == 507 and "--max-datasets" in refused.json()["detail"], refused.text
    page = daemon.get("/v1/datasets?limit=2").json()
    assert [one["name"] for one in page["datasets"]] == ["set-0", "set-1"] and page["next"] == "set-1"
    assert page["total"] == {"datasets": 3, "versions": 3, "bytes": sum(map(len, body[:3]))}
    page = daemon.get("/v1/datasets?limit=2&after=set-1").json()
    assert [one["name"] for one in page["datasets"]] == ["set-2"] and page["next"] is None
    daemon.stop()
    daemon = start("--max-datasets-bytes", str(3 * len(body[0]) + 100), data=daemon.data)
    refused = put(daemon, "set-3", body[3])
    assert refused.status_code == 507 and "--max-datasets-bytes" in refused.json()["detail"], refused.text
    assert len(stored(daemon)) == 3


def test_what_an_upload_taught_is_not_read_again(daemon):
    """Lists, HEAD, validation and submission work on what is kept beside the file: nobody opens the file for them."""
    body = safetensors(**arrays() | {"inputs": (np.abs(arrays()["inputs"]) * 50).astype("u1")})
    info = put(daemon, "mine", body).json()
    assert info["dtypes"] == {"inputs": "U8", "targets": "I64"} and info["counted"] == 30
    assert info["memory_bytes"] == 12 * 30 * (3 + 8 + 4), "the inputs in place, not as float32"
    path = daemon.data / "datasets" / "content" / f"{info['sha256']}.safetensors"
    path.rename(path.with_suffix(".away"))
    assert daemon.get("/v1/datasets").json()["datasets"] == [info] == [daemon.get("/v1/datasets/mine").json()]
    assert daemon.request("HEAD", "/v1/datasets/mine").status_code == 200
    estimate = daemon.post("/v1/jobs:validate", json=job_on("mine")).json()["estimate"]
    assert estimate["data_bytes"] == info["memory_bytes"]
    job = finish(daemon, submit(daemon, job_on("mine")))
    assert job["status"] == "failed" and "is no longer stored" in job["error"]["detail"], job
    path.with_suffix(".away").rename(path)
    assert finish(daemon, submit(daemon, job_on("mine")))["status"] == "succeeded"


def test_a_file_cut_short_ends_a_job_and_not_the_daemon(daemon):
    """Once the file was mapped, and a page that could not be read was a SIGBUS."""
    body = wide(512, steps=50, trials=100)
    name = put(daemon, "mine", body).json()["sha256"]
    path = daemon.data / "datasets" / "content" / f"{name}.safetensors"
    os.truncate(path, len(body) // 2)
    job = finish(daemon, submit(daemon, job_on("mine")))
    assert job["status"] == "failed" and "damaged" in job["error"]["detail"], job
    path.write_bytes(body)
    document = job_on("mine") | {"training": {"iterations": 100000, "batch_size": 16, "evaluate_every": 1000}}
    running = submit(daemon, document)
    wait_until(lambda: daemon.get(f"/v1/jobs/{running['id']}").json()["progress"]["iteration"] > 0)
    os.truncate(path, 100)
    iteration = daemon.get(f"/v1/jobs/{running['id']}").json()["progress"]["iteration"]
    wait_until(lambda: daemon.get(f"/v1/jobs/{running['id']}").json()["progress"]["iteration"] > iteration)
    daemon.post(f"/v1/jobs/{running['id']}/cancel")
    assert finish(daemon, running)["status"] == "cancelled"


@pytest.mark.parametrize("kind", ["u1", "i1", "i2", "i4", "i8", "f8"])
def test_a_type_read_in_place_gives_the_bits_of_its_floats(daemon, kind):
    data = arrays()
    data["inputs"] = (data["inputs"] * 20).astype(kind)
    targets = np.random.default_rng(5).integers(0, 9, (12, 30, 2)).astype(kind)
    digests = set()
    for inputs, classes, values in (
        (data["inputs"], data["targets"], targets),
        (data["inputs"].astype("f4"), data["targets"].astype("u1"), targets.astype("f4")),
    ):
        put(daemon, "classes", safetensors(**data | {"inputs": inputs, "targets": classes}))
        put(daemon, "values", safetensors(inputs=inputs, targets=values))
        jobs = [finish(daemon, submit(daemon, job_on(name))) for name in ("classes", "values")]
        digests.add(tuple(job["weights_sha256"] for job in jobs))
    assert len(digests) == 1


def test_data_count_once_in_the_memory_of_jobs(start):
    """Two jobs on one dataset take its bytes once; on two datasets they take them twice, and the second waits."""
    bodies = [wide(4096, steps=64, trials=64, seed=seed) for seed in (1, 2)]  # 64 MiB of float32 each
    daemon = start("--workers", "2", "--cores", "2", "--memory", "120M", "--max-dataset", "128M")
    for name, body in zip("ab", bodies, strict=True):
        put(daemon, name, body)
    document = job_on("a") | {"training": {"iterations": 10**6, "batch_size": 1, "evaluate_every": 10**6}}
    document["network"]["units"] = 6
    jobs = [submit(daemon, document), submit(daemon, document)]
    wait_until(lambda: all(daemon.get(f"/v1/jobs/{job['id']}").json()["status"] == "running" for job in jobs))
    daemon.post(f"/v1/jobs/{jobs[1]['id']}/cancel")
    finish(daemon, jobs[1])
    other = submit(daemon, document | {"task": {"type": "dataset", "name": "b"}})
    wait_until(lambda: daemon.get(f"/v1/jobs/{jobs[0]['id']}").json()["progress"]["iteration"] > 5)
    assert daemon.get(f"/v1/jobs/{other['id']}").json()["status"] == "queued"
    daemon.post(f"/v1/jobs/{jobs[0]['id']}/cancel")
    wait_until(lambda: daemon.get(f"/v1/jobs/{other['id']}").json()["status"] == "running")
    daemon.post(f"/v1/jobs/{other['id']}/cancel")
    daemon.stop()
    daemon = start("--memory", "64M", data=daemon.data)
    refused = daemon.post("/v1/jobs", json=document)
    assert refused.status_code == 422 and "its data 67" in refused.json()["errors"][0]["detail"], refused.text


def test_upload_that_breaks_off_leaves_nothing(daemon):
    with daemon.connect() as connection:
        connection.sendall(
            b"PUT /v1/datasets/x HTTP/1.1\r\nHost: localhost\r\nContent-Type: "
            b"application/octet-stream\r\nContent-Length: 100000\r\n\r\n" + b"x" * 5000
        )
        wait_until(
            lambda: stored(daemon),
            timeout=120,
        )
    wait_until(lambda: not stored(daemon))


def test_a_test_split_counts_each_step_once(daemon):
    """The loss of a split is sum m l / sum m over all of it, also where its batches differ in what they count.

    Trials in which nothing counts do no harm.
    """
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


def as_version_1(daemon, names):
    """The directory as version 0.1 would have left it: files by name, jobs without the digest of their data."""
    folder = daemon.data / "datasets"
    (folder / "user").mkdir()
    for name, sha256 in names:
        path = folder / "content" / f"{sha256}.safetensors"
        (folder / "user" / f"{name}@{sha256}.safetensors").write_bytes(path.read_bytes())
    shutil.rmtree(folder / "content")
    shutil.rmtree(folder / "names")
    with sqlite3.connect(daemon.data / "modprop.db") as database:
        for number, document in database.execute("SELECT number, document FROM jobs").fetchall():
            document = json.loads(document)
            del document["task"]["sha256"]
            database.execute(
                "UPDATE jobs SET document=?, dataset_sha256='' WHERE number=?",
                (json.dumps(document, separators=(",", ":")), number),
            )
    database.close()


def test_a_directory_of_version_1_is_migrated(start):
    """Two files of one name, which a kill amid a replacement left, an unfinished upload, a damaged file."""
    daemon = start("--workers", "0")
    bodies = [safetensors(**arrays(seed=seed)) for seed in (1, 2, 3)]
    for name, body in zip(("mine", "new", "mine-too"), bodies, strict=True):
        assert put(daemon, name, body).status_code == 201
    job = submit(daemon, job_on("mine"))
    daemon.stop()
    as_version_1(daemon, [("mine", digest(bodies[0])), ("mine", digest(bodies[1])), ("mine-too", digest(bodies[2]))])
    folder = daemon.data / "datasets" / "user"
    os.utime(folder / f"mine@{digest(bodies[0])}.safetensors", (1, 1))
    (folder / ".upload-left").write_bytes(bodies[0][:100])
    damaged = folder / f"damaged@{'0' * 64}.safetensors"
    damaged.write_bytes(bodies[0])
    daemon = start("--workers", "1", data=daemon.data)
    listed = {one["name"]: one["sha256"] for one in daemon.get("/v1/datasets").json()["datasets"]}
    assert listed == {"mine": digest(bodies[1]), "mine-too": digest(bodies[2])}
    assert list(folder.iterdir()) == [damaged]
    daemon.logged("is skipped")
    wait_until(lambda: stored(daemon) == sorted(map(digest, bodies[1:])))
    job = finish(daemon, job)
    assert job["status"] == "succeeded", job
    assert daemon.get(f"/v1/jobs/{job['id']}/manifest").json()["dataset_sha256"] == digest(bodies[1])
    assert held(daemon, "mine") == {digest(bodies[1]): 1}


def test_a_start_finishes_what_a_kill_left(start):
    """A version without its name, a name without its version, one without what is known of it, a part of a file."""
    daemon = start()
    bodies = [safetensors(**arrays(seed=seed)) for seed in (1, 2, 3)]
    for name, body in zip("abc", bodies, strict=True):
        assert put(daemon, name, body).status_code == 201
    known = daemon.get("/v1/datasets/b").json()
    daemon.kill()
    folder = daemon.data / "datasets"
    (folder / "names" / "a.json").unlink()
    (folder / "content" / f"{digest(bodies[1])}.json").write_text("{")
    (folder / "content" / f"{digest(bodies[2])}.safetensors").unlink()
    (folder / "content" / ".upload-left").write_bytes(b"x")
    daemon = start(data=daemon.data)
    assert daemon.get("/v1/datasets").json()["datasets"] == [known]
    wait_until(lambda: stored(daemon) == [digest(bodies[1])])


def test_a_file_that_cannot_be_read_to_its_end_does_not_hold_up_the_end_of_the_daemon(start):
    """Data on a disk that hangs: SIGTERM ends the daemon in its time all the same, and what was answered is stored."""
    daemon = start("--shutdown-timeout", "1")
    (daemon.data / "datasets" / "mnist").mkdir()
    os.mkfifo(daemon.data / "datasets" / "mnist" / "train-images-idx3-ubyte")

    def ask():
        with pytest.raises(requests.exceptions.ConnectionError):
            daemon.post("/v1/jobs:validate", json={"task": {"type": "row_mnist"}}, timeout=120)

    asked = threading.Thread(target=ask)
    asked.start()
    wait_until(lambda: "modprop_http_requests_active 2" in daemon.get("/metrics").text)
    job = finish(daemon, submit(daemon, SMALL))
    assert daemon.stop() == 0 and "did not end in time" in daemon.log()
    asked.join()
    verified = subprocess.run([MODPROPD, "verify", "--data", daemon.data, job["id"]], capture_output=True, text=True)
    assert verified.returncode == 0 and "1 whole" in verified.stdout, verified


def wide(inputs, steps=12, trials=8, seed=1):
    random = np.random.default_rng(seed)
    return safetensors(
        inputs=random.normal(size=(steps, trials, inputs)).astype("f4"),
        targets=random.integers(0, 2, (steps, trials)).astype("i8"),
    )


def test_a_simulation_runs_on_the_data_that_its_job_was_trained_on(daemon):
    """A replaced dataset with more inputs once wrote beyond the network's buffers; an equal shape went unnoticed."""
    assert put(daemon, "a", wide(2)).status_code == 201
    job = finish(daemon, submit(daemon, job_on("a")))
    assert job["status"] == "succeeded", job
    question = {"trials": 8, "every": 1}
    before = daemon.post(f"/v1/jobs/{job['id']}/simulate", json=question)
    assert before.status_code == 200, before.text
    for body in (wide(16000), wide(2, seed=9), wide(1), wide(2, steps=3, trials=1)):
        assert put(daemon, "a", body).status_code == 200
        after = daemon.post(f"/v1/jobs/{job['id']}/simulate", json=question)
        assert after.status_code == 200 and after.content == before.content, after.text[:300]
    assert daemon.request("DELETE", "/v1/datasets/a").status_code == 204
    after = daemon.post(f"/v1/jobs/{job['id']}/simulate", json=question)
    assert after.status_code == 200 and after.content == before.content, after.text[:300]


@pytest.mark.parametrize("initial", [False, True])
def test_a_submission_and_a_replacement_at_once(daemon, initial):
    """Whichever comes first, the job trains on the data against which it was checked, and says which."""
    narrow, other = wide(2), wide(64)
    digests = {hashlib.sha256(body).hexdigest(): inputs for body, inputs in ((narrow, 2), (other, 64))}
    for turn in range(10):
        put(daemon, "a", narrow)
        document = job_on("a") | {"training": {"iterations": 2, "batch_size": 2, "evaluate_every": 1}}
        if initial:
            random = np.random.default_rng(turn)
            document["network"]["initial"] = {
                "W": (random.normal(size=(12, 12)) * 0.1).tolist(),
                "Win": random.normal(size=(2, 12)).tolist(),
                "Wout": random.normal(size=(12, 2)).tolist(),
                "bout": [0, 0],
            }
            document["network"] |= {"dale": False, "bias": False, "rewiring": "none", "connectivity": 1}
        answers = {}
        threads = [
            threading.Thread(target=lambda a: a.update(put=put(daemon, "a", other)), args=(answers,)),
            threading.Thread(
                target=lambda a, d: a.update(job=daemon.post("/v1/jobs", json=d)), args=(answers, document)
            ),
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert answers["put"].status_code == 200, answers["put"].text
        job = answers["job"]
        assert job.status_code == 201 or (initial and job.status_code == 422), job.text
        if job.status_code == 422:
            continue
        job = finish(daemon, job.json())
        assert job["status"] == "succeeded", job
        weights = daemon.get(f"/v1/jobs/{job['id']}/weights").json()
        assert len(weights["Win"]) == digests[job["task"]["sha256"]]
        manifest = daemon.get(f"/v1/jobs/{job['id']}/manifest").json()
        assert manifest["dataset_sha256"] == job["task"]["sha256"] == manifest["config"]["task"]["sha256"]


def test_an_answer_is_about_what_was_put(daemon):
    """Four clients put four contents under one name at once: each hears of its own."""
    bodies = [wide(2, seed=seed) for seed in range(4)]
    for _ in range(5):
        answers = {}
        threads = [
            threading.Thread(target=lambda a, b: a.update({digest(b): put(daemon, "a", b)}), args=(answers, body))
            for body in bodies
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert all(answer.json()["sha256"] == sha256 for sha256, answer in answers.items())
        assert sum(answer.status_code == 201 for answer in answers.values()) == 1
        assert daemon.request("DELETE", "/v1/datasets/a").status_code == 204
    wait_until(lambda: stored(daemon) == [])


def test_a_document_whose_file_is_gone_goes_at_the_next_start(start):
    """A kill between the two leaves it: when a version is added the document comes first, when it goes it is last."""
    daemon = start("--workers", "0")
    body = safetensors(**arrays())
    put(daemon, "mine", body)
    daemon.kill()
    content = daemon.data / "datasets" / "content"
    orphan = content / f"{digest(b'another')}.json"
    orphan.write_bytes((content / f"{digest(body)}.json").read_bytes())
    daemon = start("--workers", "0", data=daemon.data)
    assert not orphan.exists() and stored(daemon) == [digest(body)]
    assert daemon.get("/v1/datasets/mine").status_code == 200
