"""Power cuts.

The daemon runs under the library of interpose.c, which writes down every write, truncation and sync of its files; the
disk that a
cut may have left is then made from that: all that was synced, and of what came after a file's last sync any part, in
any order, torn at any
sector. On such a disk every job that was acknowledged before the cut must be there, and end with the bits of a run that
nothing disturbed.
"""

import json
import os
import random
import struct
import subprocess
import time

import daemons
import pytest
from faults import LIBRARY, Faults

pytestmark = pytest.mark.skipif(not LIBRARY.exists(), reason="build/tests/fault/libfault.so was not built")
LONG = bool(os.environ.get("MODPROP_LONG"))
RUNS, CUTS = (10, 10) if LONG else (1, 4)
SECTOR = 512
PATIENCE = 300
JOB = {
    "seed": 0,
    "task": {"type": "delayed_xor", "delay": 40, "cue": 20},
    "network": {"units": 24},
    "training": {"iterations": 120, "batch_size": 8, "evaluate_every": 10, "checkpoint_every": 20},
}


def records_of(journal):
    """(kind, path, offset, bytes): w a write, t a truncation to `offset`, s a sync, u a removal."""
    data, at, found = journal.read_bytes(), 0, []
    while at < len(data):
        end = data.index(b"\n", at)
        kind, offset, length, size = data[at:end].split()
        path = data[end + 1 : end + 1 + int(length)].decode()
        at = end + 1 + int(length)
        size = int(size) if kind == b"w" else 0
        found.append((kind.decode(), path, int(offset), data[at : at + size]))
        at += size
    return found


class Disk:
    """Files as they are after some of the records."""

    def __init__(self):
        self.files = {}

    def apply(self, kind, path, offset, data):
        if kind == "s":
            return  # directories are synced too, and are no files
        file = self.files.setdefault(path, bytearray())
        if kind == "w":
            file.extend(bytes(max(0, offset - len(file))))
            file[offset : offset + len(data)] = data
        elif kind == "t":
            del file[offset:]
            file.extend(bytes(max(0, offset - len(file))))
        elif kind == "u":
            del self.files[path]

    def put(self, folder):
        folder.mkdir(mode=0o700)
        for path, data in self.files.items():
            if "/" not in path:
                (folder / path).write_bytes(data)


def torn(rng, record):
    """The sectors of a write that reached the disk."""
    kind, path, offset, data = record
    at = 0
    while at < len(data):
        size = min(SECTOR - (offset + at) % SECTOR, len(data) - at)
        if rng.random() < 0.5:
            yield kind, path, offset + at, data[at : at + size]
        at += size


def cut(rng, records):
    """The disk after a cut behind the last of the records: what was synced is there, of the rest any part.

    The shared memory of SQLite's log is
    lost, as it is not synced; a file whose directory is known to SQLite as synced is there."""
    synced = {}
    for number, (kind, path, _, _) in enumerate(records):
        if kind == "s":
            synced[path] = number
    disk = Disk()
    for number, record in enumerate(records):
        if record[1].endswith("-shm"):
            continue
        sure = number <= synced.get(record[1], -1)
        if sure or record[0] == "u" or (record[0] == "t" and rng.random() < 0.5):
            if record[0] != "u" or record[1] in disk.files:
                disk.apply(*record)
        elif record[0] == "w":
            whole = rng.choice([0, 1, 2])
            for part in [] if whole == 0 else [record] if whole == 1 else torn(rng, record):
                disk.apply(*part)
    return disk


def submit_some(daemon, rng, journal):
    """Submissions for a while; of each that was acknowledged, how much had been written down by then."""
    promised = {}
    until = time.monotonic() + rng.uniform(1, 3)
    while time.monotonic() < until:
        answer = daemon.post("/v1/jobs", json=JOB | {"seed": rng.randrange(2)})
        assert answer.status_code == 201
        promised[answer.json()["id"]] = (journal.stat().st_size, answer.json()["seed"])
        time.sleep(rng.uniform(0, 0.3))
    return promised


def bytes_until(records):
    """How long the journal was after each record."""
    at = 0
    for kind, path, offset, data in records:
        size = len(data) if kind == "w" else 0
        at += len(f"{kind} {offset} {len(path)} {size}\n{path}") + size
        yield at


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    daemon = daemons.Daemon(tmp_path_factory.mktemp("peace") / "data", "--workers", "1", "--cores", "1")
    ids = [daemon.post("/v1/jobs", json=JOB | {"seed": seed}).json()["id"] for seed in range(2)]
    kept = [daemon.get(f"/v1/jobs/{id}?wait={PATIENCE}", timeout=PATIENCE + 10).json()["weights_sha256"] for id in ids]
    daemon.finish()
    return kept


@pytest.mark.parametrize("run", range(RUNS))
def test_what_was_acknowledged_survives_a_power_cut(start, tmp_path, undisturbed, run):
    seed = daemons.drawn_seed() + run
    rng, journal = random.Random(seed), tmp_path / "journal"
    faults = Faults(tmp_path, tmp_path / "data", journal)
    daemon = start("--workers", "2", "--cores", "2", data=tmp_path / "data", environment=faults.environment)
    promised = submit_some(daemon, rng, journal)
    daemon.kill()
    records = records_of(journal)
    lengths = list(bytes_until(records))
    assert lengths[-1] == journal.stat().st_size and any(
        record[0] == "s" and record[1] == "modprop.db-wal" for record in records
    )
    for number in range(CUTS):
        upto = rng.randrange(len(records) // 4, len(records) + 1)
        held = {id: of for id, (length, of) in promised.items() if length <= (lengths[upto - 1] if upto else 0)}
        folder = tmp_path / f"cut-{number}"
        cut(rng, records[:upto]).put(folder)
        after = start("--workers", "2", "--cores", "2", data=folder)
        for id, of in held.items():
            job = after.get(f"/v1/jobs/{id}?wait={PATIENCE}", timeout=PATIENCE + 10).json()
            assert job.get("weights_sha256") == undisturbed[of], job
        assert after.stop() == 0
        verified = subprocess.run([daemons.MODPROPD, "verify", "--data", folder], capture_output=True, text=True)
        assert verified.returncode == 0, verified.stdout + verified.stderr
        print(
            f"cut behind record {upto} of {len(records)}: {len(held)} of {len(promised)} jobs had been "
            "acknowledged, and are there"
        )


def test_a_dataset_that_was_acknowledged_is_synced_with_its_directories(start, tmp_path):
    """A file, its name, and the directories that lead to it: each is synced before the answer."""
    tensors = {
        "inputs": {"dtype": "F32", "shape": [2, 1, 1], "data_offsets": [0, 8]},
        "targets": {"dtype": "F32", "shape": [2, 1, 1], "data_offsets": [8, 16]},
    }
    text = json.dumps(tensors).encode()
    bodies = [struct.pack("<Q", len(text)) + text + bytes([number]) * 8 + bytes(8) for number in range(2)]
    journal = tmp_path / "journal"
    daemon = start(data=tmp_path / "data", environment=Faults(tmp_path, tmp_path / "data", journal).environment)
    for body, status in zip(bodies, (201, 200), strict=True):
        before = len(records_of(journal))
        answer = daemon.request(
            "PUT", "/v1/datasets/one", data=body, headers={"Content-Type": "application/octet-stream"}
        )
        assert answer.status_code == status, answer.text
        kinds = [(kind, path) for kind, path, _, _ in records_of(journal)[before:] if path.startswith("datasets/")]
        upload = next(path for kind, path in kinds if kind == "w")
        name = next(path for kind, path in kinds if kind == "w" and path.startswith("datasets/names/"))
        order = [("s", upload), ("s", "datasets/content"), ("s", name), ("s", "datasets/names")]
        assert "/.upload-" in upload and sorted(order, key=kinds.index) == order, kinds
    assert ("s", "datasets") in [(kind, path) for kind, path, _, _ in records_of(journal)]
