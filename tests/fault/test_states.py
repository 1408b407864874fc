"""A job's states under everything at once: actions of clients, kills, clean ends and crashes of the daemon itself.
Then the whole store is verified.
"""

import ctypes
import os
import pathlib
import platform
import random
import signal
import sqlite3
import subprocess
import time

import daemons
import pytest
from daemons import assert_counted, drawn_seed, wait_until

JOB = {
    "task": {"type": "delayed_xor", "delay": 20, "cue": 10},
    "network": {"units": 12},
    "training": {"iterations": 1500, "batch_size": 4, "evaluate_every": 7, "checkpoint_every": 50},
}
ENDLESS = JOB | {"training": {"iterations": 10**9, "batch_size": 4, "evaluate_every": 10**6, "checkpoint_every": 10**6}}
SECONDS = 300 if os.environ.get("MODPROP_LONG") else 8
JOBS = 400 if os.environ.get("MODPROP_LONG") else 24
SEEDS = 3
FINAL = {"succeeded", "failed", "cancelled"}


def get(daemon, id, wait=0):
    return daemon.get(f"/v1/jobs/{id}?wait={wait}", timeout=wait + 60).json()


def disturb(daemon, rng, jobs, cancelled):
    """A moment of a busy lab: jobs come, some are paused, resumed, cancelled.

    What is answered must hold from then on.
    """
    if len(jobs) < JOBS and rng.random() < 0.4:
        seed = rng.randrange(SEEDS)
        jobs[daemon.submit(JOB | {"seed": seed, "priority": rng.randrange(3)})] = seed
    elif jobs:
        id = rng.choice(list(jobs))
        action = rng.choice(["pause", "resume", "resume", "cancel" if rng.random() < 0.1 else "resume"])
        answer = daemon.post(f"/v1/jobs/{id}/{action}")
        assert answer.status_code in (200, 409), answer.text
        if answer.status_code == 200:
            status = answer.json()["status"]
            expected = {
                "pause": {"pausing", "paused"},
                "resume": {"queued", "running", "pausing"},
                "cancel": {"cancelling", "cancelled"},
            }
            assert status in expected[action] | FINAL, (action, status)
            if action == "cancel":
                cancelled.add(id)
        elif action == "cancel":
            assert get(daemon, id)["status"] in FINAL


def end(daemon, rng):
    """SIGKILL, a clean end, or SIGKILL in the midst of a clean end."""
    draw = rng.random()
    if draw < 0.6:
        daemon.kill()
    elif draw < 0.85:
        assert daemon.stop() == 0
    else:
        daemon.signal(signal.SIGTERM)
        time.sleep(rng.uniform(0, 0.05))
        daemon.kill()


def test_whatever_happens_every_job_ends_once_and_with_its_own_weights(start, tmp_path):
    seed = drawn_seed()
    rng, jobs, cancelled = random.Random(seed), {}, set()
    until = time.monotonic() + SECONDS
    while time.monotonic() < until:
        daemon = start("--workers", rng.randrange(1, 4), "--cores", "2")
        quiet = time.monotonic() + rng.uniform(0.05, 1.2)
        while time.monotonic() < quiet:
            disturb(daemon, rng, jobs, cancelled)
            time.sleep(rng.uniform(0, 0.1))
        end(daemon, rng)
    daemon = start("--workers", "2")
    digests = {}
    for id in jobs:
        if get(daemon, id)["status"] in ("pausing", "paused"):
            daemon.post(f"/v1/jobs/{id}/resume")
    for id, of in jobs.items():
        job = get(daemon, id, 300)
        assert job["status"] == ("cancelled" if id in cancelled and job["status"] != "succeeded" else "succeeded"), job
        if job["status"] == "succeeded":
            digests.setdefault(of, set()).add(job["weights_sha256"])
    assert all(len(found) == 1 for found in digests.values()), digests
    assert_counted(daemon)
    assert daemon.stop() == 0
    verified = subprocess.run([daemons.MODPROPD, "verify", "--data", daemon.data], capture_output=True, text=True)
    assert (
        verified.returncode == 0 and f"{len(jobs)} job{'s' * (len(jobs) != 1)}: {len(jobs)} whole" in verified.stdout
    ), verified.stdout


def crash(daemon, thread="job 0", which=0):
    """A fatal signal to one thread: of the job in a slot (its team comes last), of the pool, or of the loop."""
    tasks = pathlib.Path(f"/proc/{daemon.process.pid}/task")
    task = sorted(int(x.parent.name) for x in tasks.glob("*/comm") if x.read_text().strip() == thread)[which]
    daemon.expected.add(-signal.SIGSEGV)
    tgkill = {"x86_64": 234, "aarch64": 131}[platform.machine()]
    assert ctypes.CDLL(None).syscall(tgkill, daemon.process.pid, task, int(signal.SIGSEGV)) == 0
    assert daemon.wait(60) == -signal.SIGSEGV


def running(daemon, id):
    return wait_until(lambda: get(daemon, id)["status"] == "running" and get(daemon, id)["progress"]["iteration"] > 0)


def test_a_job_that_brings_the_daemon_down_three_times_at_one_checkpoint_fails(start):
    daemon = start("--workers", "1")
    id = daemon.submit(ENDLESS)
    after = daemon.submit(JOB)
    for _ in range(3):
        running(daemon, id)
        crash(daemon)
        daemon = start("--workers", "1")
    job = get(daemon, id, 300)
    assert job["status"] == "failed" and job["error"]["code"] == "crashed" and job["attempt"] == 3
    assert get(daemon, after, 300)["status"] == "succeeded"


@pytest.mark.parametrize("thread", ["modpropd", "pool"])
def test_a_crash_of_the_daemon_itself_fails_no_job(start, thread):
    daemon = start("--workers", "1")
    id = daemon.submit(ENDLESS)
    for _ in range(4):
        running(daemon, id)
        crash(daemon, thread)
        daemon = start("--workers", "1")
    assert running(daemon, id)


def test_a_crash_fails_the_job_that_made_it_and_no_other(start):
    daemon = start("--workers", "2", "--cores", "4")
    guilty, innocent = daemon.submit(ENDLESS | {"threads": 2}), daemon.submit(ENDLESS)
    for which in (0, -1, 0):
        running(daemon, guilty)
        running(daemon, innocent)
        crash(daemon, which=which)  # the first job has the first slot
        daemon = start("--workers", "2", "--cores", "4")
    job = get(daemon, guilty, 300)
    assert job["status"] == "failed" and job["error"]["code"] == "crashed"
    assert running(daemon, innocent)


def test_a_killed_daemon_is_not_blamed_on_the_job(start):
    daemon = start("--workers", "1")
    id = daemon.submit(ENDLESS)
    for _ in range(4):
        running(daemon, id)
        daemon.kill()
        daemon = start("--workers", "1")
    running(daemon, id)
    assert get(daemon, id)["attempt"] == 5
    assert daemon.post(f"/v1/jobs/{id}/cancel").status_code == 200


@pytest.mark.parametrize("left, found", [("pausing", "paused"), ("cancelling", "cancelled"), ("running", "running")])
def test_what_a_start_makes_of_each_state(start, left, found):
    daemon = start("--workers", "1")
    id = daemon.submit(ENDLESS)
    running(daemon, id)
    daemon.kill()
    with sqlite3.connect(daemon.data / "modprop.db") as database:
        database.execute("UPDATE jobs SET status=?", (daemons.STATUSES.index(left),))
    database.close()
    daemon = start("--workers", "1")
    job = wait_until(lambda: (job := get(daemon, id))["status"] == found and job)
    assert job["attempt"] == (2 if left == "running" else 1)
    daemon.post(f"/v1/jobs/{id}/cancel")
    events = daemon.get(f"/v1/jobs/{id}/events?limit=1000").json()["events"]
    assert [event["id"] for event in events] == list(range(1, len(events) + 1))


def processor_seconds(daemon):
    fields = pathlib.Path(f"/proc/{daemon.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_an_action_is_answered_within_a_second_at_the_published_size(daemon):
    """A second of training, counted in processor time of the two threads that a job may have here."""
    for action, statuses in (("pause", {"pausing", "paused"}), ("cancel", {"cancelling", "cancelled"})):
        id = daemon.submit({"task": {"type": "delayed_xor"}, "training": {"iterations": 10**6}})
        running(daemon, id)
        before = processor_seconds(daemon)
        assert daemon.post(f"/v1/jobs/{id}/{action}").json()["status"] in statuses
        wait_until(lambda id=id: get(daemon, id)["status"] in ("paused", "cancelled"), every=0.01)
        assert processor_seconds(daemon) - before < 2
        daemon.post(f"/v1/jobs/{id}/cancel")


def test_a_stopped_process_goes_on_as_if_nothing_had_been(daemon):
    id = daemon.submit(JOB)
    daemon.signal(signal.SIGSTOP)
    time.sleep(1.5)
    daemon.signal(signal.SIGCONT)
    assert get(daemon, id, 300)["status"] == "succeeded"


# An iteration of it takes seconds: nothing is stored while the tests below restart the daemon.
SLOW = JOB | {
    "network": {"units": 512},
    "task": {"type": "delayed_xor", "delay": 5000, "cue": 10},
    "training": {"iterations": 100, "batch_size": 32},
}


def test_a_job_that_is_killed_without_progress_is_held(start):
    """As when it needs more memory than there is: the system kills the daemon, whoever restarts it starts the job."""
    daemon = start("--workers", "1")
    id = daemon.submit(SLOW)
    for _ in range(10):
        wait_until(lambda daemon=daemon: get(daemon, id)["status"] == "running")
        daemon.kill()
        daemon = start("--workers", "1", data=daemon.data)
    job = get(daemon, id)
    assert job["status"] == "paused"
    reasons = [event.get("reason") for event in daemon.get(f"/v1/jobs/{id}/events").json()["events"]]
    assert "killed ten times" in reasons[-1]
    assert daemon.post(f"/v1/jobs/{id}/resume").status_code == 200
    wait_until(lambda: get(daemon, id)["status"] == "running")


def test_orderly_stops_are_not_counted_as_kills(start):
    daemon = start("--workers", "1")
    id = daemon.submit(SLOW)
    for _ in range(12):
        wait_until(lambda daemon=daemon: get(daemon, id)["status"] == "running")
        daemon.stop()
        daemon = start("--workers", "1", data=daemon.data)
    assert get(daemon, id)["status"] in ("queued", "running")
