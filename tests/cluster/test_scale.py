"""Many workers at one daemon: what each costs it. Work and bytes are counted, not wall time."""

import os
import re

from workers import JOB, Peer

WORKERS = 2000 if os.environ.get("MODPROP_LONG") else 100
ROUNDS = 3
BYTES_MOST = 20_000  # of memory, a worker with one lease
SECONDS_MOST = 0.004  # of processor time, a beat with its HTTP request


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
