"""Thousands of small jobs: they come from several clients at once, are followed, read and deleted, and the daemon is as large and has as many
descriptors open in the end as it was and had once its caches were full. A sanitizer keeps freed memory: its daemon is held to the descriptors alone."""
import concurrent.futures
import os
import pathlib
import statistics
import threading

import requests

import daemons

JOBS = int(os.environ.get("MODPROP_JOBS", 6000 if os.environ.get("MODPROP_LONG") else 150))
CLIENTS = 5  # each with a connection of its own, kept open
ROUND = 25
CACHES = 16e6  # bytes: what the database's page caches may take once they are full
PATIENCE = 300
SMALL = {"task": {"type": "delayed_xor", "delay": 10, "cue": 10}, "network": {"units": 8},
         "training": {"iterations": 6, "batch_size": 2, "evaluate_every": 2, "checkpoint_every": 3}}


def size_of(daemon):
    """Resident bytes, and open descriptors."""
    process = pathlib.Path(f"/proc/{daemon.process.pid}")
    return int((process / "statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE"), len(list((process / "fd").iterdir()))


def live_through(daemon, session, number):
    """A job's whole life as clients see it: submitted, followed to its end, its results read; most are deleted then, so that the
    database and with it its page caches stay small."""
    url = f"{daemon.url}/v1/jobs"
    with session.post(url, json=SMALL | {"seed": number % 7, "name": f"job {number}"}, headers={"Accept": "application/x-ndjson"}, stream=True,
                      timeout=PATIENCE) as stream:
        lines = [line for line in stream.iter_lines() if line]
        id = stream.headers["Location"].rsplit("/", 1)[1]
    assert b'"type":"weights"' in lines[-1]
    for path in ("", "/weights", "/metrics", "/manifest", "/checkpoints", "/events?limit=1000"):
        assert session.get(f"{url}/{id}{path}", timeout=PATIENCE).status_code == 200, path
    if number % 40:
        assert session.delete(f"{url}/{id}", timeout=PATIENCE).status_code == 204


def test_thousands_of_jobs_leave_nothing_behind(start):
    daemon = start("--workers", "2", "--cores", "2", "--log-level", "warning")
    sizes, descriptors = [], []
    mine = threading.local()

    def connect():
        mine.session = requests.Session()

    with concurrent.futures.ThreadPoolExecutor(CLIENTS, initializer=connect) as clients:
        for first in range(0, JOBS, ROUND):
            list(clients.map(lambda number: live_through(daemon, mine.session, number), range(first, first + ROUND)))
            resident, open_now = size_of(daemon)
            sizes.append(resident)
            descriptors.append(open_now)
    quarter = len(sizes) // 4
    early, late = statistics.median(sizes[quarter:2 * quarter]), statistics.median(sizes[-quarter:])
    print(f"{JOBS} jobs: {sizes[0] / 1e6:.1f} MB at first, {early / 1e6:.1f} MB in the second quarter, {late / 1e6:.1f} MB in the last;"
          f" descriptors {min(descriptors)} to {max(descriptors)}")
    assert max(descriptors) - min(descriptors) <= 4, descriptors
    if not daemons.SANITIZED:
        assert late - early < (1e6 if JOBS >= 3000 else CACHES), sizes
