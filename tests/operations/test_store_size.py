"""What the guide says of a job's size, measured."""

import re
import sqlite3

from conftest import SMALL
from daemons import ROOT


def size(data):
    with sqlite3.connect(f"file:{data}/modprop.db?mode=ro", uri=True) as database:
        return database.execute(
            "SELECT (page_count - freelist_count) * page_size FROM pragma_page_count, "
            "pragma_freelist_count, pragma_page_size"
        ).fetchone()[0]


def test_a_job_takes_what_the_guide_says(start, tmp_path):
    per_event, rest = map(
        int,
        re.search(
            r"keep_checkpoints \* checkpoint_bytes \+ (\d+) \* events \+ (\d+)",
            (ROOT / "docker" / "GUIDE.md").read_text(),
        ).groups(),
    )
    job = SMALL | {
        "network": {"units": 60},
        "training": {
            "iterations": 1000,
            "batch_size": 2,
            "evaluate_every": 10,
            "checkpoint_every": 100,
            "keep_checkpoints": 2,
        },
    }
    daemon = start("--workers", "2")
    checkpoint = daemon.post("/v1/jobs:validate", json=job).json()["estimate"]["checkpoint_bytes"]
    assert daemon.stop() == 0
    before = size(tmp_path / "data")
    daemon = start("--workers", "2")
    ids = [daemon.post("/v1/jobs", json=job | {"seed": seed}).json()["id"] for seed in range(10)]
    ended = [daemon.get(f"/v1/jobs/{id}?wait=300", timeout=310).json() for id in ids]
    assert {one["status"] for one in ended} == {"succeeded"}
    events = len(
        daemon.get(f"/v1/jobs/{ids[0]}/events?limit=1000", headers={"Accept": "application/json"}).json()["events"]
    )
    assert 110 <= events <= 120
    assert daemon.stop() == 0
    measured = (size(tmp_path / "data") - before) / len(ids)
    told = 2 * checkpoint + per_event * events + rest
    print(f"measured {measured:.0f} bytes a job, the guide says {told}")
    assert 0.8 * told < measured < 1.2 * told
