"""What a job is said to have come to: its outcome, and how far it came."""

import json

from daemons import wait_until
from test_jobs import LONG, SMALL, changed, finish, lines, submit


def test_a_job_that_diverged_says_so_everywhere(daemon):
    wild = submit(daemon, changed(SMALL, optimizer={"learning_rate": 1000}))
    calm = submit(daemon, SMALL)
    assert wild["outcome"] is None
    ended = finish(daemon, wild)
    events = lines(daemon.get(f"/v1/jobs/{wild['id']}/events", headers={"Accept": "application/x-ndjson"}))
    first = next(event for event in events if event["type"] == "progress")
    assert ended["status"] == "succeeded" and ended["metrics"]["loss"] > 3 * first["loss"]
    assert ended["outcome"] == events[-1]["outcome"] == "diverged"
    assert finish(daemon, calm)["outcome"] == "trained"
    listed = {job["id"]: job["outcome"] for job in daemon.get("/v1/jobs").json()["jobs"]}
    assert listed == {wild["id"]: "diverged", calm["id"]: "trained"}
    assert daemon.get(f"/v1/jobs/{wild['id']}/manifest").json()["outcome"] == "diverged"


def test_the_outcome_outlives_a_restart_amid_the_job(start):
    daemon = start("--workers", "1")
    job = submit(daemon, changed(LONG, optimizer={"learning_rate": 1000}, training={"iterations": 300}))
    wait_until(lambda: daemon.get(f"/v1/jobs/{job['id']}").json()["progress"]["iteration"] >= 20)
    daemon.kill()
    assert finish(start("--workers", "1", data=daemon.data), job)["outcome"] == "diverged"


def test_progress_is_the_furthest_of_checkpoint_and_evaluation(daemon):
    job = submit(daemon, changed(LONG, training={"evaluate_every": 100000, "checkpoint_every": 50}))

    def checkpoint():
        found = daemon.get(f"/v1/jobs/{job['id']}/checkpoints").json()["checkpoints"]
        return found and found[0]["iteration"]

    wait_until(lambda: (checkpoint() or 0) >= 100)
    daemon.post(f"/v1/jobs/{job['id']}/cancel")
    ended = finish(daemon, job)
    assert ended["progress"]["iteration"] == checkpoint() >= 100
    assert ended["progress"]["fraction"] == ended["progress"]["iteration"] / 100000
    last = daemon.get(f"/v1/jobs/{job['id']}/events?limit=1000").json()["events"][-1]
    assert last["metrics"]["iteration"] == 0  # that of the loss beside it
    assert json.dumps(ended["metrics"]["loss"]) == json.dumps(last["metrics"]["loss"])
