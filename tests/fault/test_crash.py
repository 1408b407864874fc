"""What a crash leaves: jobs go on from their checkpoints and end with the weights of a run that nothing disturbed.

Events have no gap and no double.
"""

import json
import pathlib
import sqlite3

import pytest
from daemons import Daemon, wait_until

JOB = {
    "seed": 5,
    "task": {"type": "delayed_xor", "delay": 60, "cue": 20},
    "network": {"units": 32},
    "training": {"iterations": 1000, "batch_size": 8, "evaluate_every": 50, "checkpoint_every": 100},
}


def submit(daemon, job=JOB, **headers):
    answer = daemon.post("/v1/jobs", json=job, headers=headers)
    assert answer.status_code == 201, answer.text
    return answer.json()["id"]


def ended(daemon, job, seconds=300):
    answer = daemon.get(f"/v1/jobs/{job}?wait={seconds}", timeout=seconds + 10).json()
    assert answer["status"] == "succeeded", answer
    return answer


def events(daemon, job):
    found, after = [], 0
    while True:
        page = daemon.get(f"/v1/jobs/{job}/events?limit=1000&after={after}").json()["events"]
        if not page:
            return found
        found += page
        after = page[-1]["id"]


def digest(daemon, job):
    return daemon.get(f"/v1/jobs/{job}/weights").json()["sha256"]


def iteration(daemon, job):
    return daemon.get(f"/v1/jobs/{job}").json()["progress"]["iteration"]


def results(found):
    """What must not depend on interruptions: the evaluations' numbers."""
    return [
        {k: e[k] for k in ("iteration", "loss", "accuracy", "training_loss", "learning_rate")}
        for e in found
        if e["type"] == "progress"
    ]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """Weights and evaluations of a run in peace."""
    daemon = Daemon(tmp_path_factory.mktemp("peace") / "data")
    job = submit(daemon)
    ended(daemon, job)
    kept = digest(daemon, job), results(events(daemon, job))
    daemon.finish()
    return kept


def check_whole(daemon, job, undisturbed):
    found = events(daemon, job)
    assert [e["id"] for e in found] == list(range(1, len(found) + 1))
    assert results(found) == undisturbed[1]
    assert digest(daemon, job) == undisturbed[0]


def test_killed_and_started_again_ends_with_the_same_weights(start, undisturbed):
    first = start()
    job = submit(first)
    wait_until(lambda: iteration(first, job) > 250)
    first.kill()
    second = start(data=first.data)
    answer = ended(second, job)
    assert answer["attempt"] == 2
    check_whole(second, job, undisturbed)


def test_terminated_and_started_again_ends_with_the_same_weights(start, undisturbed):
    first = start()
    job = submit(first)
    wait_until(lambda: iteration(first, job) > 250)
    assert first.stop() == 0
    second = start(data=first.data)
    assert ended(second, job)["attempt"] == 2, "it was stopped in its midst"
    check_whole(second, job, undisturbed)


def test_paused_and_resumed_ends_with_the_same_weights(daemon, undisturbed):
    job = submit(daemon)
    wait_until(lambda: iteration(daemon, job) > 300)
    assert daemon.post(f"/v1/jobs/{job}/pause").status_code == 200
    wait_until(lambda: daemon.get(f"/v1/jobs/{job}").json()["status"] == "paused")
    assert daemon.post(f"/v1/jobs/{job}/resume").status_code == 200
    ended(daemon, job)
    check_whole(daemon, job, undisturbed)


def test_threads_and_company_do_not_change_the_weights(start, undisturbed):
    daemon = start("--workers", "3", "--cores", "2")
    jobs = [submit(daemon, {**JOB, "threads": threads}) for threads in (1, 2, None)]
    for job in jobs:
        ended(daemon, job)
        assert digest(daemon, job) == undisturbed[0]


def test_a_damaged_checkpoint_falls_back_to_the_one_before(start, undisturbed):
    first = start()
    job = submit(first)
    wait_until(lambda: len(first.get(f"/v1/jobs/{job}/checkpoints").json()["checkpoints"]) >= 2)
    first.kill()
    with sqlite3.connect(first.data / "modprop.db") as database:
        newest, bytes_ = database.execute(
            "SELECT iteration, bytes FROM checkpoints WHERE job=? ORDER BY iteration DESC LIMIT 1", (job,)
        ).fetchone()
        damaged = bytearray(bytes_)
        damaged[len(damaged) // 2] ^= 1
        database.execute("UPDATE checkpoints SET bytes=? WHERE job=? AND iteration=?", (bytes(damaged), job, newest))
    database.close()
    second = start(data=first.data)
    ended(second, job)
    check_whole(second, job, undisturbed)
    assert any(e["type"] == "log" and "damaged" in e["message"] for e in events(second, job))


def test_numbers_that_do_not_come_out_again_fail_the_job(start):
    first = start()
    job = submit(first)
    wait_until(lambda: any(e.get("iteration") == 250 for e in events(first, job) if e["type"] == "progress"))
    first.kill()
    with sqlite3.connect(first.data / "modprop.db") as database:
        database.execute("DELETE FROM checkpoints WHERE job=?", (job,))
        check = json.loads(
            database.execute(
                "SELECT recheck FROM events WHERE job=? AND iteration=50 AND type='progress'", (job,)
            ).fetchone()[0]
        )
        check["loss"] += 1e-9
        database.execute(
            "UPDATE events SET recheck=? WHERE job=? AND iteration=50 AND type='progress'", (json.dumps(check), job)
        )
    database.close()
    second = start(data=first.data)
    answer = second.get(f"/v1/jobs/{job}?wait=300", timeout=310).json()
    assert (
        answer["status"] == "failed"
        and answer["error"]["code"] == "not_reproducible"
        and answer["error"]["iteration"] == 50
    )


def test_a_second_daemon_on_the_same_data_is_refused(start):
    first = start()
    second = start(data=first.data, wait=False)
    second.expected.add(1)
    assert second.wait(120) == 1
    assert str(first.process.pid) in second.log() and "belongs to a running modpropd" in second.log()


def test_a_damaged_database_is_refused_and_kept(start, tmp_path):
    data = tmp_path / "damaged"
    data.mkdir(mode=0o700)
    (data / "modprop.db").write_bytes(b"this is no database" * 1000)
    daemon = start(data=data, wait=False)
    daemon.expected.add(1)
    assert daemon.wait(60) == 1
    assert "damaged" in daemon.log() and "backup" in daemon.log()
    assert (data / "modprop.db").read_bytes() == b"this is no database" * 1000


def test_a_full_disk_stalls_jobs_until_there_is_room(start, small_disk, undisturbed):
    daemon = start(data=small_disk / "data")
    job = submit(daemon)
    wait_until(lambda: iteration(daemon, job) > 100)
    ballast = pathlib.Path(small_disk / "ballast")
    with open(ballast, "wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 4096)
        except OSError:
            pass
    wait_until(lambda: daemon.post("/v1/jobs", json=JOB).status_code == 507, every=0.2)
    wait_until(lambda: "jobs stop until it succeeds" in daemon.log() and "the disk is full" in daemon.log())
    assert daemon.get("/livez").status_code == 200
    stopped = wait_until(lambda: (found := daemon.get(f"/v1/jobs/{job}").json()).get("reason") and found)
    assert (
        stopped["status"] not in ("failed", "succeeded")
        and stopped["reason"] == "the disk is full; the job resumes by itself"
    )
    ballast.unlink()
    ended(daemon, job)
    check_whole(daemon, job, undisturbed)
    assert [
        e["reason"]
        for e in events(daemon, job)
        if e["type"] == "status" and e["status"] == "queued" and e["attempt"] > 1
    ] == ["the disk is full"]
