"""What ends or bounds a job's life beside its own training: time limit, memory, retention.

And the manifest that it leaves.
"""

import hashlib
import os
import re
import sqlite3
import time

from daemons import wait_until

SMALL = {
    "task": {"type": "delayed_xor", "delay": 20, "cue": 10},
    "network": {"units": 12},
    "training": {"iterations": 20, "batch_size": 4, "evaluate_every": 5, "checkpoint_every": 10},
}
ENDLESS = SMALL | {"training": {"iterations": 10**9, "batch_size": 4, "evaluate_every": 10**6}}


def end(daemon, id, wait=300):
    return daemon.get(f"/v1/jobs/{id}?wait={wait}", timeout=wait + 10).json()


def status(daemon, id):
    return daemon.get(f"/v1/jobs/{id}").json()["status"]


def test_a_job_ends_at_its_time_limit_and_keeps_its_checkpoint(daemon):
    job = end(daemon, daemon.submit(ENDLESS | {"time_limit": 1}))
    assert job["status"] == "failed" and job["error"]["code"] == "time_limit"
    assert daemon.get(f"/v1/jobs/{job['id']}/manifest").json()["training_seconds"] >= 1
    assert daemon.get(f"/v1/jobs/{job['id']}/checkpoints").json()["checkpoints"]


def test_the_time_limit_counts_all_attempts(start, tmp_path):
    daemon = start()
    id = daemon.submit(ENDLESS | {"time_limit": 1000})
    wait_until(lambda: daemon.get(f"/v1/jobs/{id}").json()["progress"]["iteration"] > 0)
    assert daemon.post(f"/v1/jobs/{id}/pause").status_code == 200
    wait_until(lambda: status(daemon, id) == "paused")
    assert daemon.stop() == 0
    with sqlite3.connect(tmp_path / "data" / "modprop.db") as database:
        assert database.execute("SELECT trained FROM jobs").fetchone()[0] > 0
        database.execute("UPDATE jobs SET trained=trained+999")
    daemon = start()
    assert daemon.post(f"/v1/jobs/{id}/resume").status_code == 200
    job = end(daemon, id)
    assert job["status"] == "failed" and job["error"]["code"] == "time_limit" and job["attempt"] == 2


def test_jobs_run_together_only_where_their_memory_fits(start, tmp_path):
    estimate = start().post("/v1/jobs:validate", json=ENDLESS).json()["estimate"]["memory_bytes"]
    daemon = start("--workers", "3", "--cores", "2", "--memory", estimate * 5 // 2, data=tmp_path / "small")
    first, second, third = (daemon.submit(ENDLESS) for _ in range(3))
    wait_until(lambda: status(daemon, second) == "running")
    time.sleep(1)
    assert status(daemon, first) == "running" and status(daemon, third) == "queued"
    daemon.post(f"/v1/jobs/{first}/cancel")
    wait_until(lambda: status(daemon, third) == "running")
    for id in (second, third):
        daemon.post(f"/v1/jobs/{id}/cancel")
        assert end(daemon, id)["status"] == "cancelled"


def test_manifest_names_all_that_the_result_came_from(daemon):
    id = daemon.submit(SMALL | {"seed": 7, "name": "free of results"})
    job = end(daemon, id)
    answer = daemon.get(job["links"]["manifest"])
    assert answer.status_code == 200
    manifest = answer.json()
    assert (
        manifest["job"] == id
        and manifest["status"] == "succeeded"
        and manifest["seed"] == 7
        and manifest["attempts"] == 1
    )
    assert manifest["config_sha256"] == job["config_sha256"] and manifest["weights_sha256"] == job["weights_sha256"]
    assert manifest["config"]["training"]["iterations"] == 20 and "name" not in manifest["config"]
    assert manifest["instruction_sets"] == [job["instruction_set"]] and manifest["build"] == job["build"]
    assert (
        manifest["dataset_sha256"] is None
        and manifest["training_seconds"] > 0
        and manifest["metrics"] == job["metrics"]
    )
    lines = daemon.get(f"/v1/jobs/{id}/events", headers={"Accept": "application/x-ndjson"}).text.splitlines()
    assert manifest["events"]["count"] == len([line for line in lines if line])
    digest = ""
    for line in filter(None, lines):
        digest = hashlib.sha256((digest + line).encode()).hexdigest()
    assert manifest["events"]["digest"] == digest


def test_every_instruction_set_that_the_host_has_gives_the_same_weights(start, tmp_path):
    """The help names the sets.

    The portable one runs anywhere, a set that this host lacks is refused with a sentence.
    """
    job = SMALL | {"network": {"units": 37, "types_per_sign": 2}}
    digests = {}
    for name in ("portable", "avx2", "avx512", "neon"):
        daemon = start("--isa", name, data=tmp_path / name, wait=False)
        daemon.ready_line = daemon.process.stdout.readline()
        if not daemon.ready_line:
            daemon.expected.add(2)
            assert daemon.wait(60) == 2 and "--isa" in daemon.log() and name != "portable"
            continue
        daemon.url = daemon.ready_line.split()[-1]
        for rule in ("bptt", "eprop", "mdgl", "modprop"):
            ended = end(daemon, daemon.submit(job | {"rule": {"type": rule}}))
            assert ended["instruction_set"] == name
            digests.setdefault(rule, set()).add(ended["weights_sha256"])
    assert all(len(found) == 1 for found in digests.values()) and len(digests) == 4, digests


def test_there_is_no_manifest_before_the_end(daemon):
    id = daemon.submit(ENDLESS)
    assert daemon.get(f"/v1/jobs/{id}/manifest").status_code == 409
    daemon.post(f"/v1/jobs/{id}/cancel")
    assert end(daemon, id)["status"] == "cancelled"
    manifest = daemon.get(f"/v1/jobs/{id}/manifest").json()
    assert manifest["status"] == "cancelled" and manifest["weights_sha256"] is None
    assert daemon.get("/v1/jobs/none/manifest").status_code == 404


def test_finished_jobs_go_some_days_after_their_end(start, tmp_path):
    daemon = start("--workers", "1")
    old, new = [end(daemon, daemon.submit(SMALL | {"seed": seed}))["id"] for seed in (1, 2)]
    paused = daemon.submit(ENDLESS)
    daemon.post(f"/v1/jobs/{paused}/pause")
    wait_until(lambda: status(daemon, paused) == "paused")
    assert daemon.stop() == 0
    with sqlite3.connect(tmp_path / "data" / "modprop.db") as database:
        database.execute(
            "UPDATE jobs SET created=1, finished=CASE WHEN finished>0 THEN finished-2*86400000 ELSE 0 END "
            "WHERE id IN (?,?)",
            (old, paused),
        )
    daemon = start("--keep-days", "1")
    wait_until(lambda: daemon.get(f"/v1/jobs/{old}").status_code == 404)
    assert daemon.get(f"/v1/jobs/{new}").status_code == 200
    assert status(daemon, paused) == "paused"
    told = daemon.get("/v1/events", headers={"Accept": "application/json"}, params={"after": 0, "limit": 1000}).json()[
        "events"
    ]
    assert [event["type"] for event in told if event["job"] == old] == ["deleted"]


def pages(data, count):
    """Bytes of the database's pages."""
    with sqlite3.connect(data / "modprop.db") as database:
        return database.execute(
            f"SELECT ({count})*page_size FROM pragma_page_count, pragma_freelist_count, pragma_page_size"
        ).fetchone()[0]


def test_the_longest_finished_jobs_go_while_the_store_takes_too_much(start, tmp_path):
    daemon = start("--workers", "1")
    assert daemon.stop() == 0
    empty = pages(daemon.data, "page_count")  # tables and indexes without a row: no job takes them
    daemon = start("--workers", "1", data=daemon.data)
    ids = [end(daemon, daemon.submit(SMALL | {"seed": seed}))["id"] for seed in range(40)]
    assert daemon.stop() == 0
    bound = pages(daemon.data, "page_count") // 2
    daemon = start("--keep-bytes", bound, data=daemon.data)

    def left():
        return [job["id"] for job in daemon.get("/v1/jobs?limit=100").json()["jobs"]]

    def settled():
        text = daemon.get("/metrics").text
        used = float(re.search(r"^modprop_store_bytes (\S+)$", text, re.M)[1])
        return used <= bound and "\nmodprop_store_purging 0\n" in text

    wait_until(lambda: len(left()) < 30 and settled())
    if os.environ.get("MODPROP_LONG"):
        time.sleep(6)  # another round may be due
    kept = left()
    assert kept == ids[::-1][: len(kept)] and 5 <= len(kept) < 30
    assert float(re.search(r"^modprop_store_bytes (\S+)$", daemon.get("/metrics").text, re.M)[1]) <= bound
    assert daemon.stop() == 0
    assert pages(daemon.data, "page_count-freelist_count") <= bound + empty
