"""A full disk: one small job fills it, and what frees space goes through all the same, before and after a restart.

Needs the right to mount a small file system; skipped where there is none.
"""

import errno
import os
import re
import subprocess

import daemons
import pytest
import requests
from daemons import wait_until

MODPROP = os.environ.get("MODPROP", str(daemons.ROOT / "build" / "clients" / "cli" / "modprop"))
GREEDY = {
    "task": {"type": "delayed_xor", "delay": 20, "cue": 10},
    "network": {"units": 6},
    "training": {"iterations": 10**7, "batch_size": 1, "evaluate_every": 1, "checkpoint_every": 10**6},
}
SMALL = GREEDY | {"training": {"iterations": 10, "batch_size": 4, "evaluate_every": 10, "checkpoint_every": 10}}


@pytest.fixture
def disk(tmp_path):
    """A file system of 7 MB."""
    with daemons.small_disk(tmp_path / "disk", "7m") as folder:
        yield folder / "data"


def is_full(daemon):
    return re.search(r"^modprop_store_full 1$", daemon.get("/metrics").text, re.M) is not None


def fill(daemon):
    """Submits a job that writes an event for every update, and waits until the disk is full."""
    job = daemon.submit(GREEDY)
    wait_until(lambda: is_full(daemon))
    return job


def free(daemon, job):
    answer = daemon.post(f"/v1/jobs/{job}/cancel")
    assert answer.status_code == 200, answer.text
    wait_until(lambda: daemon.get(f"/v1/jobs/{job}").json()["status"] == "cancelled")
    assert delete(daemon, job).status_code == 204
    wait_until(lambda: daemon.get("/readyz").status_code == 200)


def delete(daemon, job):
    return requests.delete(f"{daemon.url}/v1/jobs/{job}", timeout=120)


@pytest.mark.parametrize("restarted", [False, True], ids=["running", "restarted"])
def test_cancel_and_delete_go_through_on_a_full_disk(start, disk, restarted):
    daemon = start("--workers", "1", "--max-job-bytes", 2**62, data=disk)
    done = daemon.submit(SMALL)
    assert daemon.get(f"/v1/jobs/{done}?wait=300", timeout=310).json()["status"] == "succeeded"
    job = fill(daemon)
    if restarted:
        daemon.kill()
        daemon = start("--workers", "1", "--max-job-bytes", 2**62, data=disk)
        wait_until(lambda: is_full(daemon))
    ready = daemon.get("/readyz")
    assert ready.status_code == 503 and "read only: the disk is full" in ready.json()["detail"]
    doctor = subprocess.run([MODPROP, "doctor", "-s", daemon.url], capture_output=True, text=True, timeout=120)
    assert doctor.returncode == 1 and re.search("^FAIL  ready .*read only: the disk is full", doctor.stdout, re.M)
    refused = daemon.post("/v1/jobs", json=SMALL)
    assert refused.status_code == 507 and "full" in refused.json()["detail"]
    assert delete(daemon, done).status_code == 204
    free(daemon, job)
    doctor = subprocess.run([MODPROP, "doctor", "-s", daemon.url], capture_output=True, text=True, timeout=120)
    assert doctor.returncode == 0 and "takes jobs" in doctor.stdout, doctor.stdout
    again = daemon.submit(SMALL)
    assert daemon.get(f"/v1/jobs/{again}?wait=300", timeout=310).json()["status"] == "succeeded"
    assert daemon.stop() == 0


def test_a_full_disk_can_be_filled_and_freed_again_and_again(start, disk):
    daemon = start("--workers", "1", "--max-job-bytes", 2**62, data=disk)
    for _ in range(3 if os.environ.get("MODPROP_LONG") else 2):
        free(daemon, fill(daemon))
        daemon.submit(SMALL)  # ready is said only of a disk that stays so while the rest of the job is removed
    assert daemon.stop() == 0


def test_a_job_that_is_paused_on_a_full_disk_loses_no_event(start, disk):
    daemon = start("--workers", "1", "--max-job-bytes", 2**62, data=disk)
    job = fill(daemon)
    assert daemon.post(f"/v1/jobs/{job}/pause").status_code == 200
    wait_until(lambda: daemon.get(f"/v1/jobs/{job}").json()["status"] == "paused")
    after, last = 0, 0
    while True:
        page = daemon.get(f"/v1/jobs/{job}/events?after={after}&limit=1000").json()
        for event in page["events"]:
            assert event["id"] == last + 1
            last = event["id"]
        if page["next"] is None:
            break
        after = page["next"]
    assert last > 1000


def test_a_limit_of_file_sizes_is_a_full_disk_and_no_signal(start, tmp_path, monkeypatch):
    wrapper = tmp_path / "limited"
    wrapper.write_text(f'#!/bin/bash\nulimit -f 3000\nexec "{daemons.MODPROPD}" "$@"\n')
    wrapper.chmod(0o755)
    monkeypatch.setattr(daemons, "MODPROPD", str(wrapper))
    daemon = start("--workers", "1")
    job = daemon.submit(GREEDY)
    wait_until(lambda: "writing failed" in daemon.log())
    answer = daemon.post(f"/v1/jobs/{job}/cancel")
    assert answer.status_code in (200, 507), answer.text
    assert daemon.get("/livez").status_code == 200
    assert daemon.stop() == 0


def test_a_cancellation_that_meets_the_commit_that_fills_the_disk_goes_through(start, disk):
    """Another job's failure is in its way too. It is tried again from the reserve, and answered once."""
    daemon = start("--workers", "3", "--max-job-bytes", 2**62, data=disk)
    for _ in range(3):
        jobs = [daemon.submit(GREEDY) for _ in range(3)]
        wait_until(lambda: daemon.get("/readyz").status_code == 503, every=0.001)
        for job in jobs:
            answer = daemon.post(f"/v1/jobs/{job}/cancel")
            assert answer.status_code == 200, answer.text
        for job in jobs:
            free(daemon, job)
    assert daemon.stop() == 0


@pytest.mark.parametrize("action", ["pause", "cancel"])
def test_actions_that_come_while_the_disk_fills_go_through(start, disk, action):
    """They meet every stage of it: before the failure, in it, and while jobs end because of it."""
    daemon = start("--workers", "3", "--max-job-bytes", 2**62, data=disk)
    for _ in range(2):
        jobs = [daemon.submit(GREEDY) for _ in range(3)]
        wait_until(lambda: used(disk) > 0.93 or is_full(daemon), every=0.002)
        for job in jobs:
            answer = daemon.post(f"/v1/jobs/{job}/{action}")
            assert answer.status_code == 200, answer.text
        for job in jobs:
            free(daemon, job)
    assert daemon.stop() == 0


def used(folder):
    disk = os.statvfs(folder)
    return 1 - disk.f_bavail / disk.f_blocks


def fill_the_rest(path):
    """Not even the reserve's space is left."""
    with path.open("wb", buffering=0) as file:
        try:
            while file.write(b"x" * 65536):
                pass
        except OSError as error:
            assert error.errno == errno.ENOSPC


def test_a_cancellation_that_cannot_be_stored_is_remembered_over_a_restart(start, disk):
    daemon = start("--workers", "1", "--max-job-bytes", 2**62, data=disk)
    job = fill(daemon)
    rest = disk.parent / "rest"
    wait_until(lambda: "resumes by itself" in daemon.get(f"/v1/jobs/{job}").json().get("reason", ""))
    fill_the_rest(rest)
    answer = daemon.post(f"/v1/jobs/{job}/cancel")
    assert answer.status_code == 507, answer.text
    assert "cancelled as soon as" in daemon.get(f"/v1/jobs/{job}").json()["reason"]
    daemon.kill()
    rest.unlink()
    daemon = start("--workers", "1", "--max-job-bytes", 2**62, data=disk)
    wait_until(lambda: daemon.get(f"/v1/jobs/{job}").json()["status"] == "cancelled")
    free(daemon, job)
    again = daemon.submit(SMALL)
    assert daemon.get(f"/v1/jobs/{again}?wait=300", timeout=310).json()["status"] == "succeeded"
    assert daemon.stop() == 0
