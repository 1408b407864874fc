"""Thousands of small jobs, from several clients at once, are followed, read and deleted.

The daemon is in the end as large, and has as many descriptors open, as once its caches were full. A
sanitizer keeps freed memory: its daemon is held to the descriptors alone.
"""

import concurrent.futures
import os
import statistics
import threading

import daemons
import requests

JOBS = int(os.environ.get("MODPROP_JOBS", 6000 if os.environ.get("MODPROP_LONG") else 150))
CLIENTS = 5  # each with a connection of its own, kept open
ROUND = 25
# bytes: less than 15 of each job in the long form; the first hundreds fill buffers that stay
LEAK = 64e3 if JOBS >= 1000 else 1e6
CACHES = 16e6  # bytes: what the database's page caches may take
PATIENCE = 300
SMALL = {
    "task": {"type": "delayed_xor", "delay": 10, "cue": 10},
    "network": {"units": 8},
    "training": {"iterations": 6, "batch_size": 2, "evaluate_every": 2, "checkpoint_every": 3},
}


def sizes_of(daemon):
    """Resident bytes, bytes of the store's memory, bytes allocated otherwise, open descriptors."""
    lines = daemon.get("/metrics", timeout=PATIENCE).text.splitlines()
    values = dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    resident, heap, store, descriptors = (
        float(values[name])
        for name in (
            "process_resident_memory_bytes",
            "modprop_heap_bytes",
            "modprop_store_memory_bytes",
            "process_open_fds",
        )
    )
    return resident, store, heap - store, descriptors


def live_through(daemon, session, number):
    """A job's whole life as clients see it: submitted, followed to its end, its results read.

    Most are deleted then, so that the database and with it its page caches stay small.
    """
    url = f"{daemon.url}/v1/jobs"
    with session.post(
        url,
        json=SMALL | {"seed": number % 7, "name": f"job {number}"},
        headers={"Accept": "application/x-ndjson"},
        stream=True,
        timeout=PATIENCE,
    ) as stream:
        lines = [line for line in stream.iter_lines() if line]
        id = stream.headers["Location"].rsplit("/", 1)[1]
    assert b'"type":"weights"' in lines[-1]
    for path in ("", "/weights", "/metrics", "/manifest", "/checkpoints", "/events?limit=1000"):
        assert session.get(f"{url}/{id}{path}", timeout=PATIENCE).status_code == 200, path
    if number % 40:
        assert session.delete(f"{url}/{id}", timeout=PATIENCE).status_code == 204


def test_thousands_of_jobs_leave_nothing_behind(start):
    # Without the C library's caches of each thread, which count as allocated and take thousands of jobs to fill.
    caches = {"GLIBC_TUNABLES": "glibc.malloc.tcache_count=0"}
    daemon = start("--workers", "2", "--cores", "2", "--log-level", "warning", environment=caches)
    sizes = []
    mine = threading.local()

    def connect():
        mine.session = requests.Session()

    with concurrent.futures.ThreadPoolExecutor(CLIENTS, initializer=connect) as clients:
        for first in range(0, JOBS, ROUND):
            list(clients.map(lambda number: live_through(daemon, mine.session, number), range(first, first + ROUND)))
            sizes.append(sizes_of(daemon))
    quarter = len(sizes) // 4
    columns = list(zip(*sizes, strict=True))
    early, late = (
        [statistics.median(column[part]) for column in columns]
        for part in (slice(quarter, 2 * quarter), slice(-quarter, None))
    )
    for name, at_first, second, last in zip(
        ("resident", "store", "allocated otherwise"), sizes[0][:3], early[:3], late[:3], strict=True
    ):
        print(
            f"{JOBS} jobs, {name}: {at_first / 1e6:.2f} MB at first, {second / 1e6:.2f} in the second "
            f"quarter, {last / 1e6:.2f} in the last"
        )
    descriptors = columns[3]
    assert max(descriptors) - min(descriptors) <= 4, descriptors
    if not daemons.SANITIZED:
        assert late[1] < CACHES, "the store's memory is bounded"
        assert late[2] - early[2] < LEAK, "nothing that grows with the jobs"
