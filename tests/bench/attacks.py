"""Attacks on one daemon, all at once: each that needs no more than the role `submit`, in a process of its own.

What is stored is made first, by SQL where the interface would take hours. An attack is a function of the daemon's port,
a trained job, and the moment at which it ends; it counts the statuses that it got. None of them waits for another.
"""

from __future__ import annotations

import collections
import concurrent.futures
import contextlib
import http.client
import json
import pathlib
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from typing import Any

QUEUED, EVENTS, DOCUMENTS, DOCUMENT_BYTES = 20000, 240000, 4, 72_000_000
DISK_MEGABYTES, DISK_LEFT_MEGABYTES = 2000, 24  # while it is prepared; then
TRIALS = 1 << 19  # of the dataset: 64 steps each, 33 MB of inputs and 268 MB of targets
SMALL: dict[str, Any] = {
    "task": {"type": "delayed_xor", "delay": 20, "cue": 10},
    "network": {"units": 12},
    "training": {"iterations": 20, "batch_size": 4, "evaluate_every": 5, "checkpoint_every": 10},
}
GREEDY = SMALL | {
    "network": {"units": 6},
    "priority": 100,
    "training": {"iterations": 10**7, "batch_size": 1, "evaluate_every": 1, "checkpoint_every": 10**6},
}
TYPES = {
    "task": {"type": "delayed_xor", "delay": 10, "cue": 2},
    "network": {"units": 1000, "dale": False, "types_per_sign": 1000},
    "rule": {"type": "modprop", "weights": "type"},
    "priority": 100,
    "training": {"iterations": 1000, "batch_size": 1},
}
Statuses = collections.Counter[str]
MANY, LARGE = "00000000-0000-7000-8000-000000000001", "00000000-0000-7000-8000-{:012}"


# ---- what is stored ----


def rows_copy(database: sqlite3.Connection, table: str, count: int, **changes: str) -> None:
    """Copies the first row of a table; a change is an expression, in which n counts from 1."""
    columns = [row[1] for row in database.execute(f"PRAGMA table_info({table})")]
    values = ", ".join(changes.get(column, column) for column in columns)
    database.execute(
        f"WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n+1 FROM c WHERE n<{count}) INSERT INTO {table} "
        f"({', '.join(columns)}) SELECT {values} FROM c, (SELECT * FROM {table} LIMIT 1)"
    )


def store_fill(path: pathlib.Path) -> None:
    """Beside the one job that is there: 20,000 queued ones, 4 with documents of 72 MB, and 240,000 events of one."""
    with contextlib.closing(sqlite3.connect(path, timeout=60)) as database:
        new = "'00000000-0000-7000-{}-' || printf('%012d', n)"
        rows_copy(database, "jobs", 1 + DOCUMENTS, id=new.format(8000), number="1000 + n", finished="n")
        rows_copy(database, "jobs", QUEUED, id=new.format(9000), number="10000 + n", status="0", finished="0")
        seq = database.execute("SELECT max(seq) FROM events").fetchone()[0]
        event = {
            "id": "100 + n",
            "terminal": "0",
            "job": f"'{MANY}'",
            "iteration": "n",
            "recheck": "'{}'",
            "type": "'progress'",
        }
        rows_copy(database, "events", EVENTS, seq=f"{seq} + n", **event)
        document = json.loads(database.execute("SELECT document FROM jobs LIMIT 1").fetchone()[0])
        document["network"]["initial"] = {"W": [0.0] * (DOCUMENT_BYTES // 5)}
        text = json.dumps(document)
        for number in range(2, 2 + DOCUMENTS):
            database.execute("INSERT INTO documents (number, text) VALUES (?, ?)", (1000 + number, text))
        database.execute("UPDATE totals SET value=(SELECT sum(bytes) FROM jobs) WHERE name='bytes'")
        database.commit()


def dataset_put(port: int, name: str) -> None:
    """Classes: inputs of a byte, targets of eight, made while they are sent."""
    size = 64 * TRIALS
    parts = {
        "inputs": {"dtype": "U8", "shape": [64, TRIALS, 1], "data_offsets": [0, size]},
        "targets": {"dtype": "I64", "shape": [64, TRIALS], "data_offsets": [size, 9 * size]},
    }
    head = json.dumps(parts).encode()

    def body() -> Iterator[bytes]:
        yield len(head).to_bytes(8, "little") + head
        for left in range(9 * size - 8, 0, -(1 << 20)):
            yield bytes(min(left, 1 << 20))
        yield (1).to_bytes(8, "little")

    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=300)
    headers = {"Content-Type": "application/octet-stream", "Content-Length": str(8 + len(head) + 9 * size)}
    connection.request("PUT", f"/v1/datasets/{name}", body(), headers)
    answer = connection.getresponse()
    if answer.status != 201:
        raise RuntimeError(f"the dataset was refused: {answer.read().decode()[:300]}")


# ---- requests ----


def send(port: int, method: str, path: str, document: Any = None, patience: float = 120) -> tuple[str, Any]:
    """Status and body; "cut" where the connection ends or nothing comes for `patience` seconds."""
    body = None if document is None else document if isinstance(document, bytes) else json.dumps(document).encode()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=patience)
    try:
        connection.request(method, path, body, {"Content-Type": "application/json"} if body else {})
        answer = connection.getresponse()
        content = answer.read()
        return str(answer.status), json.loads(content) if content[:1] == b"{" else content
    except (OSError, http.client.HTTPException):
        return "cut", b""
    finally:
        connection.close()


def repeat(act: Callable[[], str], end: float, pause: float = 0.0) -> Statuses:
    """Counts what act returns until the end."""
    found: Statuses = collections.Counter()
    while time.time() < end:
        found[act()] += 1
        time.sleep(pause)
    return found


def together(count: int, work: Callable[[], Statuses]) -> Statuses:
    """The same from several threads."""
    with concurrent.futures.ThreadPoolExecutor(count) as pool:
        return sum((future.result() for future in [pool.submit(work) for _ in range(count)]), collections.Counter())


# ---- the attacks; each in a process of its own ----


def fill_the_disk(port: int, job: str, end: float) -> Statuses:
    """A small job that stores an event an update until nothing can be written; then it is cancelled and deleted."""

    def act() -> str:
        status, answer = send(port, "POST", "/v1/jobs", GREEDY)
        if status != "201":
            time.sleep(0.5)
            return status
        limit = min(end, time.time() + 10)
        while time.time() < limit and send(port, "GET", "/readyz")[0] == "200":
            time.sleep(0.1)
        full = time.time() < limit
        cancelled, detail = send(port, "POST", f"/v1/jobs/{answer['id']}/cancel")
        cancelled += f" ({detail['detail']})" if cancelled == "507" else ""
        while time.time() < end and send(port, "DELETE", f"/v1/jobs/{answer['id']}")[0] == "409":
            time.sleep(0.1)
        return f"{'full' if full else 'not full'}, cancel {cancelled}"

    return repeat(act, end)


def look_at_datasets(port: int, job: str, end: float) -> Statuses:
    heads = iter(range(10**9))
    return together(
        4,
        lambda: repeat(
            lambda: send(port, *(("HEAD", "/v1/datasets/large") if next(heads) % 2 else ("GET", "/v1/datasets")))[0],
            end,
            0.02,
        ),
    )


def list_documents(port: int, job: str, end: float) -> Statuses:
    paths = ["/v1/jobs?limit=100&status=succeeded", *(f"/v1/jobs/{LARGE.format(n)}" for n in range(2, 2 + DOCUMENTS))]
    turns = iter(range(10**9))
    return together(4, lambda: repeat(lambda: send(port, "GET", paths[next(turns) % len(paths)])[0], end, 0.02))


def delete_events(port: int, job: str, end: float) -> Statuses:
    time.sleep(6)  # the disk is full by then: what the events leave is room again
    return collections.Counter([send(port, "DELETE", f"/v1/jobs/{MANY}")[0]])


def poll_the_queue(port: int, job: str, end: float) -> Statuses:
    return together(20, lambda: repeat(lambda: send(port, "GET", "/v1/jobs?limit=100&status=queued")[0], end, 2))


def simulate_and_leave(port: int, job: str, end: float) -> Statuses:
    return together(
        6, lambda: repeat(lambda: send(port, "POST", f"/v1/jobs/{job}/simulate", {"trials": 4096}, 0.5)[0], end, 0.1)
    )


def ask_for_gradients(port: int, job: str, end: float) -> Statuses:
    units, steps, trials = 64, 1000, 20
    network = {
        "W": [[0.01] * units] * units,
        "Win": [[0.1] * units],
        "Wout": [[0.01]] * units,
        "bout": [0.0],
        "leak": [0.1] * units,
    }
    problem = {
        "inputs": [[[0.5]] * trials] * steps,
        "targets": [[[0.5]] * trials] * steps,
        "mask": [[1.0] * trials] * steps,
    }
    body = json.dumps({"network": network, "loss": "mse", "rules": [{"type": "rtrl"}]} | problem).encode()
    return together(
        3, lambda: repeat(lambda: send(port, "POST", "/v1/gradients", body, max(1, end - time.time()))[0], end, 0.1)
    )


def validate_large_bodies(port: int, job: str, end: float) -> Statuses:
    """14 MB of weights that are no weights."""
    body = json.dumps(SMALL | {"network": {"units": 12, "initial": {"W": [[0.25] * 1000] * 2330}}}).encode()
    return together(2, lambda: repeat(lambda: send(port, "POST", "/v1/jobs:validate", body)[0], end, 0.1))


def submit_many_types(port: int, job: str, end: float) -> Statuses:
    def act() -> str:
        status, answer = send(port, "POST", "/v1/jobs", TYPES)
        time.sleep(2)
        if status == "201":
            status += ", cancel " + send(port, "POST", f"/v1/jobs/{answer['id']}/cancel")[0]
        return status

    return repeat(act, end)


ATTACKS: dict[str, tuple[str, Callable[[int, str, float], Statuses]]] = {
    "disk": ("a small job fills the disk", fill_the_disk),
    "datasets": ("HEAD and lists of a class dataset of 300 MB", look_at_datasets),
    "documents": (f"lists and reads of jobs with documents of {DOCUMENT_BYTES // 10**6} MB", list_documents),
    "deletion": (f"a job with {EVENTS:,} events is deleted", delete_events),
    "pollers": (f"20 clients poll a queue of {QUEUED:,}", poll_the_queue),
    "simulations": ("simulations whose clients hang up", simulate_and_leave),
    "gradients": ("gradients that take as long as they may", ask_for_gradients),
    "validations": ("validation of bodies of 14 MB", validate_large_bodies),
    "types": ("submissions with 1000 types, modprop", submit_many_types),
}


def run_attack(name: str, port: int, job: str, end: float) -> dict[str, int]:
    return dict(ATTACKS[name][1](port, job, end))


@contextlib.contextmanager
def under_attack(port: int, job: str, seconds: float) -> Iterator[dict[str, dict[str, int]]]:
    """All of them, from now on; what they got stands in the value when the context is left."""
    found: dict[str, dict[str, int]] = {}
    end = time.time() + seconds
    with concurrent.futures.ProcessPoolExecutor(len(ATTACKS)) as pool:
        running = {name: pool.submit(run_attack, name, port, job, end) for name in ATTACKS}
        yield found
        found |= {name: future.result() for name, future in running.items()}


@contextlib.contextmanager
def small_disk(folder: pathlib.Path, megabytes: int) -> Iterator[bool]:
    """Mounts a file system of that size at the folder; False where that is not allowed: then nothing bounds it."""
    folder.mkdir(parents=True, exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder)]
    mounted = subprocess.run(command, capture_output=True, check=False).returncode == 0
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", "-l", str(folder)], check=True)
        folder.rmdir()


def disk_shrink(folder: pathlib.Path) -> None:
    """Leaves little room beside what is stored."""
    used = shutil.disk_usage(folder).used >> 20
    size = f"remount,size={used + DISK_LEFT_MEGABYTES}m"
    subprocess.run(["mount", "-o", size, str(folder)], check=True)
