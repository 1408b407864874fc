"""Lanes: computations of requests on libuv's pool. None holds up another token's or a job; none outlives its client."""

import hashlib
import json
import os
import pathlib
import resource
import threading
import time

import numpy as np
import pytest
import requests
from daemons import SANITIZED, wait_until
from test_datasets import safetensors

SMALL = {
    "task": {"type": "delayed_xor", "delay": 20, "cue": 10},
    "network": {"units": 12},
    "training": {"iterations": 20, "batch_size": 4, "evaluate_every": 5, "checkpoint_every": 10},
}
ENDLESS = SMALL | {"training": {"iterations": 10**9, "batch_size": 4, "evaluate_every": 10**6}}
LONG = bool(os.environ.get("MODPROP_LONG"))
TOKENS = {"first": "submit", "second": "submit", "reader": "read"}


def gradient_body(units=64, steps=1000, trials=20):
    """Nearly as many multiply-adds as one request may take: many seconds of work in a small body."""
    return {
        "network": {
            "W": [[0.01] * units] * units,
            "Win": [[0.1] * units],
            "Wout": [[0.01]] * units,
            "bout": [0.0],
            "leak": [0.1] * units,
        },
        "inputs": [[[0.5]] * trials] * steps,
        "targets": [[[0.5]] * trials] * steps,
        "mask": [[1.0] * trials] * steps,
        "loss": "mse",
        "rules": [{"type": "rtrl"}],
    }


def token_file(folder):
    path = folder / "tokens"
    path.write_text(
        "".join(f"{name}:{role}:{hashlib.sha256(name.encode()).hexdigest()}\n" for name, role in TOKENS.items())
    )
    path.chmod(0o600)
    return path


@pytest.fixture
def shared(start, tmp_path):
    """A daemon with three tokens."""
    return start("--token-file", token_file(tmp_path), "--workers", "1", "--cores", "1")


def by(name):
    return {"Authorization": f"Bearer {name}"}


def trained(daemon):
    id = daemon.post("/v1/jobs", json=SMALL, headers=by("first")).json()["id"]
    wait_until(lambda: daemon.get(f"/v1/jobs/{id}", headers=by("first")).json()["status"] == "succeeded")
    return id


def depth(daemon, name=None):
    text = daemon.get("/metrics", headers=by(name) if name else {}).text
    return int(float(next(x for x in text.splitlines() if x.startswith("modprop_service_queue_depth ")).split()[1]))


def threads(daemon):
    """Names of the daemon's threads."""
    return [x.read_text().strip() for x in pathlib.Path(f"/proc/{daemon.process.pid}/task").glob("*/comm")]


def begin(daemon, body, name):
    """Sends a gradient's request and returns the connection, from which nobody reads."""
    text = json.dumps(body).encode()
    connection = daemon.connect()
    head = f"POST /v1/gradients HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {name}\r\n"
    head += f"Content-Type: application/json\r\nContent-Length: {len(text)}\r\n\r\n"
    connection.sendall(head.encode() + text)
    return connection


def test_a_computation_ends_with_its_client(shared):
    connections = [begin(shared, gradient_body(), "first") for _ in range(6)]
    wait_until(lambda: depth(shared, "first") == 6)
    used = cpu_seconds(shared)
    for connection in connections:
        connection.close()
    wait_until(lambda: depth(shared, "first") == 0)
    assert cpu_seconds(shared) - used < 6  # a single one takes longer


def cpu_seconds(daemon):
    fields = pathlib.Path(f"/proc/{daemon.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / 100


def test_heavy_computations_hold_neither_reads_nor_another_token(shared):
    job = trained(shared)
    held = [begin(shared, gradient_body(), "first") for _ in range(4)]
    wait_until(lambda: "lane heavy" in threads(shared) and depth(shared, "first") == 4)
    assert shared.get(f"/v1/jobs/{job}/metrics", headers=by("first")).status_code == 200
    assert shared.get(f"/v1/jobs/{job}/weights", headers=by("second")).status_code == 200
    answer = shared.post(f"/v1/jobs/{job}/simulate", json={"trials": 2}, headers=by("second"))
    assert answer.status_code == 200, answer.text
    assert depth(shared, "first") == 4  # none of the four has ended: nobody waited for them
    for connection in held:
        connection.close()


def test_one_token_holds_at_most_half_of_the_waiting_places(start, tmp_path):
    daemon = start("--max-waiting", "4")
    held = [begin(daemon, gradient_body(), "nobody")]
    wait_until(lambda: "lane heavy" in threads(daemon))  # it waits no more, so two others may
    held += [begin(daemon, gradient_body(), "nobody") for _ in range(2)]
    wait_until(lambda: depth(daemon) == 3)
    answer = daemon.post("/v1/gradients", json=gradient_body(units=2, steps=2, trials=1))
    assert answer.status_code == 429 and "--max-waiting" in answer.json()["detail"]
    for connection in held:
        connection.close()


def test_a_job_runs_on_a_thread_of_the_pool_and_a_full_pool_starves_nobody(start, tmp_path):
    daemon = start("--workers", "2", "--cores", "1")
    wait_until(lambda: threads(daemon).count("pool") == 2 + 7 + 2)  # slots, seats of the lanes, file operations
    count = len(threads(daemon))
    done = daemon.post("/v1/jobs", json=SMALL).json()["id"]
    wait_until(lambda: daemon.get(f"/v1/jobs/{done}").json()["status"] == "succeeded")
    jobs = [daemon.post("/v1/jobs", json=ENDLESS).json()["id"] for _ in range(3)]
    wait_until(lambda: sorted(x for x in threads(daemon) if x.startswith("job")) == ["job 0", "job 1"])
    assert len(threads(daemon)) == count  # no thread was made for them
    held = [begin(daemon, gradient_body(), "nobody") for _ in range(2)]
    wait_until(lambda: "lane heavy" in threads(daemon))
    assert daemon.get(f"/v1/jobs/{done}/metrics").status_code == 200
    assert daemon.get("/v1/datasets").status_code == 200
    assert daemon.get(f"/v1/jobs/{jobs[2]}").json()["status"] == "queued"
    for connection in held:
        connection.close()
    assert daemon.stop() == 0


def test_the_daemon_stops_amid_computations(shared):
    held = [begin(shared, gradient_body(), name) for name in ("first", "first", "second")]
    wait_until(lambda: depth(shared, "first") == 3)
    assert shared.stop() == 0
    for connection in held:
        connection.close()


def test_a_tick_that_is_due_while_the_daemon_stops_does_no_harm(start):
    """It stops after parts of a second; at times the loop's tick falls where the lanes are gone."""
    for wait in range(12) if LONG else (3, 9):
        daemon = start("--workers", "0", "--cores", "1")
        held = begin(daemon, gradient_body(), "nobody")
        time.sleep(0.8 + wait * 0.02)
        assert daemon.stop() == 0, daemon.log()
        held.close()


@pytest.mark.skipif(SANITIZED, reason="a sanitizer needs more addresses than the limit leaves")
def test_a_daemon_without_threads_says_so(start):
    limit = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (4 << 30, limit[1]))
    try:
        daemon = start("--workers", "1000", wait=False)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, limit)
    daemon.expected.add(1)
    assert daemon.wait(60) == 1 and "lower --workers" in daemon.log(), daemon.log()


def test_a_large_validation_needs_the_role_submit(shared):
    body = SMALL | {"metadata": {"text": "x" * 70000}}
    assert shared.post("/v1/jobs:validate", json=SMALL, headers=by("reader")).status_code == 200
    answer = shared.post("/v1/jobs:validate", json=body, headers=by("reader"))
    assert answer.status_code == 403 and "needs the role submit" in answer.json()["detail"]
    assert shared.post("/v1/jobs:validate", json=body, headers=by("first")).status_code in (200, 422)


def peak_of(daemon, names):
    """Bytes that the daemon took at its most while as many large bodies came at once, and their statuses."""
    numbers = ",".join(["[]"] * 1_800_000)
    body = '{"task": {"type": "delayed_xor"}, "network": {}, "anything": [' + numbers + "]}"
    url, statuses, base = daemon.url, [], memory_of(daemon, "VmRSS")

    def ask(name, path):
        headers = {"Content-Type": "application/json", **by(name)}
        statuses.append(requests.post(f"{url}{path}", data=body, headers=headers, timeout=300).status_code)

    asks = [threading.Thread(target=ask, args=(name, path)) for name in names for path in LARGE]
    for one in asks:
        one.start()
    for one in asks:
        one.join()
    return memory_of(daemon, "VmHWM") - base, statuses


LARGE = ("/v1/jobs:validate", "/v1/gradients")


def memory_of(daemon, field):
    text = pathlib.Path(f"/proc/{daemon.process.pid}/status").read_text()
    return int(next(line for line in text.splitlines() if line.startswith(field)).split()[1]) << 10


@pytest.mark.skipif(SANITIZED, reason="a sanitizer's memory is not the daemon's")
def test_large_bodies_at_once_take_no_more_than_the_setting(start, tmp_path):
    path = token_file(tmp_path)
    names = ("first", "second")

    def peak(memory):
        data = tmp_path / memory
        return peak_of(start("--token-file", path, "--workers", "0", "--request-memory", memory, data=data), names)

    together, statuses = peak("16G")
    bounded, those = peak("64M")
    assert statuses == those == [422] * 4, "each is answered, late or not"
    assert bounded < 420 << 20, f"one at a time: {bounded >> 20} MiB"
    print(f"{together >> 20} MiB together, {bounded >> 20} MiB one at a time")


def test_what_gradients_compute_with_is_counted(start, tmp_path):
    """An engine with a history of 30 MB: it waits for its turn, and is refused where it is more than there is."""
    body = gradient_body(units=64, steps=1000, trials=60) | {"rules": [{"type": "bptt"}]}
    answer = start("--request-memory", "16M", "--workers", "0").post("/v1/gradients", json=body)
    assert answer.status_code == 200 and np.isfinite(answer.json()["loss"]), answer.text[:300]
    small = start("--memory", "16M", "--workers", "0", data=tmp_path / "small")
    answer = small.post("/v1/gradients", json=body)
    assert answer.status_code == 422 and "--memory" in answer.json()["detail"], answer.text[:300]


def test_data_and_networks_of_evaluations_are_counted(start, tmp_path):
    """Two tokens evaluate on two datasets of 64 MB: with a small bound one waits for the other."""
    daemon = start("--token-file", token_file(tmp_path), "--workers", "1", "--request-memory", "16M")
    job = SMALL | {"task": {"type": "dataset", "name": "small"}, "network": {"units": 12, "tau": 20}}

    def put(name, trials):
        body = safetensors(
            inputs=np.full((100, trials, 40), len(name), np.float32),
            targets=np.arange(100 * trials).reshape(100, -1) % 3,
        )
        head = {"Content-Type": "application/octet-stream"} | by("first")
        assert daemon.request("PUT", f"/v1/datasets/{name}", data=body, headers=head).status_code == 201

    for name, trials in (("small", 40), ("first", 4000), ("second", 4000)):
        put(name, trials)
    id = daemon.post("/v1/jobs", json=job, headers=by("first")).json()["id"]
    wait_until(lambda: daemon.get(f"/v1/jobs/{id}", headers=by("first")).json()["status"] == "succeeded")
    pathlib.Path(f"/proc/{daemon.process.pid}/clear_refs").write_text("5")
    base, statuses, url = memory_of(daemon, "VmRSS"), [], daemon.url

    def ask(name):
        body = {"dataset": {"name": name}, "split": "training", "trials": 4000}
        answer = requests.post(f"{url}/v1/jobs/{id}/evaluate", json=body, headers=by(name), timeout=120)
        statuses.append(answer.status_code)

    asks = [threading.Thread(target=ask, args=(name,)) for name in ("first", "second") for _ in range(3)]
    for one in asks:
        one.start()
    for one in asks:
        one.join()
    peak = memory_of(daemon, "VmHWM") - base
    print(f"{peak >> 20} MiB at once")
    assert statuses == [200] * 6
    assert SANITIZED or peak < 100 << 20, f"{peak >> 20} MiB at once"
