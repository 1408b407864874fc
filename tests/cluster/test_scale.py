"""Many workers at one daemon: what each costs it. Work and bytes are counted and bounded; times are only printed.

$MODPROP_WORKERS and $MODPROP_RESULTS say how many in the long run.
"""

import http.client
import json
import os
import re
import sqlite3
import threading
import time

import pytest
from daemons import Daemon, wait_until
from workers import FINAL, JOB, Peer, assert_whole, events, numbers, sha256

LONG = bool(os.environ.get("MODPROP_LONG"))
WORKERS = int(os.environ.get("MODPROP_WORKERS", 2000 if LONG else 100))
RESULTS = int(os.environ.get("MODPROP_RESULTS", 2000))
ROUNDS = 3
BYTES_MOST = 20_000  # of memory, a worker with one lease
SECONDS_MOST = 0.004  # of processor time, a beat with its HTTP request
RESULT_SECONDS_MOST = 0.1  # of processor time, all threads together


def metric(daemon, name):
    return float(re.search(rf"^{name} (\S+)$", daemon.get("/metrics").text, re.M).group(1))


def memory(daemon):
    return metric(daemon, "modprop_heap_bytes") - metric(daemon, "modprop_store_memory_bytes")


def test_what_a_worker_and_a_beat_cost(start):
    daemon = start("--workers", "0", "--worker-lease", "1h", "--max-queued", 10000)
    peers = [Peer(daemon) for _ in range(8)]  # what the first ones need for all
    for seed in range(WORKERS + len(peers)):
        assert daemon.post("/v1/jobs", json=JOB | {"seed": seed}).status_code == 201
    leases = [peer.lease(wait=60) for peer in peers]
    before = memory(daemon)
    more = [Peer(daemon) for _ in range(WORKERS)]
    leases += [peer.lease(wait=60) for peer in more]
    assert all(len(lease) == 1 for lease in leases)
    taken = (memory(daemon) - before) / WORKERS
    used = metric(daemon, "process_cpu_seconds_total")
    for _ in range(ROUNDS):
        for peer, lease in zip(peers + more, leases, strict=True):
            assert peer.beat(*lease) == ["go"]
    beats = ROUNDS * len(leases)
    used = (metric(daemon, "process_cpu_seconds_total") - used) / beats
    print(f"{WORKERS} workers: {taken:.0f} bytes each, {1e6 * used:.0f} µs of processor time a beat")
    assert taken < BYTES_MOST
    assert used < SECONDS_MOST
    assert metric(daemon, "modprop_leases") == len(leases)
    assert daemon.get("/v1/jobs?q=status:running&limit=1").status_code == 200


class Line:
    """A connection that is kept, as a worker keeps its own."""

    def __init__(self, daemon):
        self.connection = http.client.HTTPConnection("127.0.0.1", daemon.port, timeout=120)

    def call(self, method, path, headers, body=None, binary=False):
        kind = "application/octet-stream" if binary else "application/json"
        data = body if binary or body is None else json.dumps(body).encode()
        self.connection.request(method, path, data, headers | ({"Content-Type": kind} if data is not None else {}))
        answer = self.connection.getresponse()
        text = answer.read()
        assert answer.status in (200, 201), (method, path, answer.status, text)
        return json.loads(text)

    def close(self):
        self.connection.close()


@pytest.mark.skipif(not LONG, reason="a long test (MODPROP_LONG)")
def test_beats_of_workers_that_wait_for_jobs(start):
    """Each worker holds a connection that waits for leases; all beat, one every ten seconds."""
    daemon = start(
        "--workers", "0", "--worker-lease", "60", "--max-connections", 10000, "--max-address-connections", 10000
    )
    peers = [Peer(daemon) for _ in range(WORKERS)]
    before = memory(daemon)
    waiting = []
    for i, peer in enumerate(peers):
        line = Line(daemon)
        body = json.dumps({"request_id": str(i), "slots": 1, "memory": 1 << 30})
        headers = peer.headers | {"Content-Type": "application/json"}
        line.connection.request("POST", f"/v1/workers/{peer.id}/leases?wait=60", body, headers)
        waiting.append(line)
    wait_until(lambda: metric(daemon, "modprop_http_connections") >= WORKERS)
    taken = (memory(daemon) - before) / WORKERS
    used, took = metric(daemon, "process_cpu_seconds_total"), []
    line = Line(daemon)
    begun = time.monotonic()
    for i in range(3 * WORKERS):
        time.sleep(max(0, begun + i * 10 / WORKERS - time.monotonic()))
        peer = peers[i % WORKERS]
        sent = time.monotonic()
        line.call("POST", f"/v1/workers/{peer.id}/beat", peer.headers, {"running": []})
        took.append(time.monotonic() - sent)
    used = (metric(daemon, "process_cpu_seconds_total") - used) / len(took)
    took.sort()
    tail = took[len(took) * 99 // 100]
    for one in (line, *waiting):
        one.close()
    print(
        f"{WORKERS} workers wait: {taken:.0f} bytes each; a beat takes {1e6 * used:.0f} µs of processor time, "
        f"{1e3 * took[len(took) // 2]:.1f} ms in the median, {1e3 * tail:.1f} in 99 of 100, {1e3 * took[-1]:.1f} ever"
    )
    assert used < SECONDS_MOST
    assert taken < 3 * BYTES_MOST, "with a connection and its buffers"


@pytest.mark.skipif(not LONG, reason="a long test (MODPROP_LONG)")
def test_what_a_result_costs(start, tmp_path):
    """A published job's result: 155 evaluations in four calls, a checkpoint, and the end."""
    training = JOB["training"] | {"iterations": 308, "evaluate_every": 2, "checkpoint_every": 308}
    body = JOB | {"network": {"units": 120}, "training": training}
    folder = tmp_path / "alone"
    alone = Daemon(folder, "--workers", "1")
    job = alone.post("/v1/jobs", json=body).json()["id"]
    wait_until(lambda: alone.get(f"/v1/jobs/{job}").json()["status"] in FINAL)
    progress = [event for event in events(alone, job) if event["type"] == "progress"]
    with sqlite3.connect(f"file:{folder / 'modprop.db'}?mode=ro", uri=True) as database:
        query = "SELECT iteration, bytes FROM checkpoints WHERE job=? ORDER BY iteration DESC LIMIT 1"
        iteration, checkpoint = database.execute(query, (job,)).fetchone()
    database.close()
    whole = numbers(alone, job)
    alone.finish()

    daemon = start("--workers", "0", "--max-queued", RESULTS + 10, data=tmp_path / "data")
    jobs = [daemon.post("/v1/jobs", json=body).json()["id"] for _ in range(RESULTS)]
    size = metric(daemon, "modprop_store_bytes")
    used, begun = metric(daemon, "process_cpu_seconds_total"), time.monotonic()
    faults = []

    def worker():
        try:
            peer, line = Peer(daemon, slots=8), Line(daemon)
            while leases := peer.lease(slots=8):
                for lease in leases:
                    result(peer, line, lease)
            line.close()
        except Exception as fault:  # noqa: BLE001
            faults.append(fault)

    def result(peer, line, lease):
        path = f"/v1/jobs/{lease['job']}/attempts/{lease['attempt']}"
        for first in range(0, len(progress), 40):
            line.call(
                "POST", f"{path}/records", peer.headers, {"first": first, "records": progress[first : first + 40]}
            )
        query = f"sha256={sha256(checkpoint)}&record={len(progress)}&loss=0.5"
        line.call("PUT", f"{path}/checkpoints/{iteration}?{query}", peer.headers, checkpoint, binary=True)
        end = {"verdict": "finished", "records": len(progress) + 1, "weights_sha256": whole[2]}
        assert line.call("POST", f"{path}/end", peer.headers, end) == {"ended": True}

    threads = [threading.Thread(target=worker) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took = time.monotonic() - begun
    used = (metric(daemon, "process_cpu_seconds_total") - used) / RESULTS
    size = (metric(daemon, "modprop_store_bytes") - size) / RESULTS
    assert not faults, faults[0]
    print(
        f"{RESULTS} results of {len(progress)} evaluations ({len(json.dumps(progress))} bytes) and a checkpoint "
        f"({len(checkpoint)} bytes): "
        f"{RESULTS / took:.0f} a second, {1e3 * used:.2f} ms of the daemon's processor time and {size:.0f} bytes each"
    )
    assert used < RESULT_SECONDS_MOST
    for job in (jobs[0], jobs[-1]):
        assert_whole(daemon, job, whole)
