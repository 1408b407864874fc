"""One client against another: attacks that need no more than the role `submit`, each as it was made on version 0.1.

What they cost is counted in processor time of a thread or the process, in bytes and in statuses, never in wall time.
Crashes that are blamed on an innocent job stand in test_states.py, computations that hold up others' in
tests/service/test_lanes.py; all attacks at once and what /livez takes meanwhile in tests/bench.
"""

import json
import os
import pathlib
import re

import daemons
import pytest
from daemons import wait_until

TINY = {
    "task": {"type": "delayed_xor", "delay": 4, "cue": 3},
    "network": {"units": 6},
    "training": {"iterations": 5, "batch_size": 1, "evaluate_every": 5, "checkpoint_every": 5},
}
FINAL = ("succeeded", "failed", "cancelled")
TICKS = os.sysconf("SC_CLK_TCK")


def processor_seconds(daemon, thread=None):
    """Of the whole process, or of one thread; the loop's is the process' first."""
    path = f"/proc/{daemon.process.pid}" + (f"/task/{thread}" if thread else "") + "/stat"
    fields = pathlib.Path(path).read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def loop_seconds(daemon):
    return processor_seconds(daemon, daemon.process.pid)


def memory(daemon, field):
    """A field of /proc/PID/status in bytes: VmHWM is the most that was ever resident."""
    status = pathlib.Path(f"/proc/{daemon.process.pid}/status").read_text()
    return int(re.search(rf"^{field}:\s+(\d+) kB$", status, re.M).group(1)) * 1024


def status(daemon, id):
    return daemon.get(f"/v1/jobs/{id}").json()["status"]


def put_zeros(daemon, name, steps, trials, inputs):
    """A dataset of classes: inputs of a byte, targets of eight, all 0 but the last target, made while it is sent."""
    size, labels = steps * trials * inputs, steps * trials * 8
    parts = {
        "inputs": {"dtype": "U8", "shape": [steps, trials, inputs], "data_offsets": [0, size]},
        "targets": {"dtype": "I64", "shape": [steps, trials], "data_offsets": [size, size + labels]},
    }
    head = json.dumps(parts).encode()

    def body():
        yield len(head).to_bytes(8, "little") + head
        for left in range(size + labels - 8, 0, -(1 << 20)):
            yield bytes(min(left, 1 << 20))
        yield (1).to_bytes(8, "little")

    headers = {"Content-Type": "application/octet-stream"}
    answer = daemon.request("PUT", f"/v1/datasets/{name}", data=body(), headers=headers, timeout=300)
    assert answer.status_code == 201, answer.text
    return answer.json()


def on_dataset(name):
    return TINY | {"task": {"type": "dataset", "name": name}, "rule": {"type": "bptt"}}


@pytest.fixture
def disk(tmp_path):
    """A file system of 16 MB."""
    with daemons.small_disk(tmp_path / "disk", "16m") as folder:
        yield folder


def test_one_small_job_cannot_take_the_disk_from_others(start, disk):
    """It may be refused, or paused at its bound; in any case it can be cancelled and deleted, and others go on."""
    daemon = start("--workers", "1", "--cores", "1", data=disk / "data")
    for iterations in (10**12, 10**9, 10**7, 10**6, 10**5):
        training = TINY["training"] | {"iterations": iterations, "evaluate_every": 1, "checkpoint_every": iterations}
        answer = daemon.post("/v1/jobs", json=TINY | {"training": training})
        if answer.status_code == 201:
            break
        assert answer.status_code == 422, answer.text
    id = answer.json()["id"]

    def stands():
        job = daemon.get(f"/v1/jobs/{id}").json()
        return job["status"] != "running" and job["status"] != "queued" or job.get("reason")

    wait_until(stands, timeout=180)
    if status(daemon, id) not in FINAL:
        answer = daemon.post(f"/v1/jobs/{id}/cancel")
        assert answer.status_code == 200, answer.text
        wait_until(lambda: status(daemon, id) in FINAL)
    answer = daemon.request("DELETE", f"/v1/jobs/{id}")
    assert answer.status_code == 204, answer.text
    wait_until(lambda: daemon.post("/v1/jobs", json=TINY).status_code == 201, every=0.5)
    other = daemon.get("/v1/jobs").json()["jobs"][0]["id"]
    assert daemon.get(f"/v1/jobs/{other}?wait=300", timeout=310).json()["status"] == "succeeded"


def test_an_unfinished_upload_cannot_take_the_disk_from_others(start, disk):
    daemon = start("--workers", "1", "--cores", "1", data=disk / "data")
    first = daemon.post("/v1/jobs", json=TINY).json()["id"]
    assert daemon.get(f"/v1/jobs/{first}?wait=300", timeout=310).json()["status"] == "succeeded"
    with daemon.connect(timeout=120) as connection:
        head = "PUT /v1/datasets/x HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/octet-stream\r\n"
        try:
            connection.sendall(f"{head}Content-Length: {1 << 30}\r\n\r\n".encode())
            for _ in range(40):
                connection.sendall(bytes(1 << 19))
        except OSError:
            pass  # refused
        answer = daemon.request("DELETE", f"/v1/jobs/{first}")
        assert answer.status_code == 204, answer.text
        assert daemon.post("/v1/jobs", json=TINY).status_code == 201


def test_a_large_dataset_costs_the_loop_nothing(start):
    """Its head and the list come from what the upload learned of its 268 MB of targets."""
    daemon = start("--workers", "0")
    put_zeros(daemon, "large", 64, 1 << 19, 1)
    before, loop = processor_seconds(daemon), loop_seconds(daemon)
    for _ in range(10):
        assert daemon.request("HEAD", "/v1/datasets/large").status_code == 200
        assert daemon.get("/v1/datasets").json()["datasets"][0]["name"] == "large"
    assert loop_seconds(daemon) - loop < 0.2
    assert processor_seconds(daemon) - before < 0.4, "nor another thread"


def test_a_large_job_costs_a_list_nothing(start):
    """A body with a million initial weights, stored once; then it is looked at and listed."""
    daemon = start("--workers", "0")
    units = 1000
    row = [0.123456789] * units
    weights = {"W": [[0.0 if i == j else row[j] for j in range(units)] for i in range(units)], "Win": [row, row]}
    weights |= {"Wout": [[0.1, 0.1]] * units, "bout": [0, 0]}
    job = TINY | {"network": {"units": units, "dale": False, "connectivity": 1, "initial": weights}}
    answer = daemon.post("/v1/jobs", json=job, timeout=120)
    assert answer.status_code == 201, answer.text[:1000]
    id, loop = answer.json()["id"], loop_seconds(daemon)
    for _ in range(20):
        assert len(daemon.get(f"/v1/jobs/{id}").content) < 100_000
        assert daemon.get("/v1/jobs?limit=1").json()["jobs"][0]["id"] == id
    assert loop_seconds(daemon) - loop < 0.3


def test_cancel_acts_amid_eigenvalues(start):
    """A thousand types: the decomposition after every update takes minutes, and looks at the stop word."""
    daemon = start("--workers", "1", "--cores", "1")
    job = {
        "task": {"type": "delayed_xor", "delay": 10, "cue": 2},
        "network": {"units": 1000, "dale": False, "types_per_sign": 1000},
        "rule": {"type": "modprop", "weights": "type"},
        "training": {"iterations": 1000, "batch_size": 1},
    }
    answer = daemon.post("/v1/jobs", json=job)
    assert answer.status_code in (201, 422), answer.text
    if answer.status_code == 422:
        return  # its cost is known and too much
    id = answer.json()["id"]
    begun = processor_seconds(daemon)
    wait_until(lambda: processor_seconds(daemon) - begun > 3 or status(daemon, id) in FINAL)
    before = processor_seconds(daemon)
    assert daemon.post(f"/v1/jobs/{id}/cancel").status_code == 200
    wait_until(lambda: status(daemon, id) in FINAL, timeout=180)
    assert processor_seconds(daemon) - before < 5


def test_data_count_in_the_memory_of_jobs(start):
    """128 MB of integers, which version 0.1 held as 512 MB of floats beside --memory 64M."""
    daemon = start("--workers", "2", "--cores", "1", "--memory", "64M")
    base = memory(daemon, "VmRSS")
    put_zeros(daemon, "large", 64, 512, 4096)
    answers = [daemon.post("/v1/jobs", json=on_dataset("large")) for _ in range(2)]
    for answer in answers:
        assert answer.status_code in (201, 422), answer.text
        if answer.status_code == 201:
            id = answer.json()["id"]
            wait_until(lambda id=id: status(daemon, id) in FINAL)
    assert memory(daemon, "VmHWM") - base < 160 << 20
