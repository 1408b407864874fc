"""Experiments through kill -9 at any moment, as they run, grow, are retried and deleted: nothing is lost or doubled."""

import collections
import contextlib
import random
import subprocess
import threading
import time

import requests
from daemons import EXPERIMENT_FINAL, MODPROPD, drawn_seed, wait_until

TINY = {
    "task": {"type": "delayed_xor", "delay": 10, "cue": 5},
    "network": {"units": 8},
    "training": {"iterations": 4, "batch_size": 2, "evaluate_every": 2, "checkpoint_every": 10},
}
RULES = {"name": "rule", "patches": [{"/rule": {"type": "bptt"}}, {"/rule": {"type": "eprop"}}]}


def get(daemon, at):
    return daemon.get(at).json()


def trials(daemon, at):
    return {(trial["point"], trial["seed"]): trial["job"] for trial in get(daemon, at + "/trials")["trials"]}


def verified(daemon):
    done = subprocess.run([MODPROPD, "verify", "--data", daemon.data], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr


def asked(daemon, method, path, dice, **options):
    """Asks, and kills the daemon at a moment around it; whether it was answered with success."""
    statuses = []

    def ask():
        with contextlib.suppress(requests.RequestException):
            statuses.append(daemon.request(method, path, **options).status_code)

    thread = threading.Thread(target=ask)
    thread.start()
    time.sleep(dice.uniform(0, 0.02))
    daemon.kill()
    thread.join()
    return bool(statuses) and statuses[0] < 300


def test_growth_under_kills_keeps_what_was_answered(start):
    dice = random.Random(drawn_seed())
    daemon = start("--workers", "2")
    id = daemon.post("/v1/experiments", json={"base": TINY, "axes": [RULES], "seeds": [1, 2]}).json()["id"]
    at, answered, before = f"/v1/experiments/{id}", {1, 2}, {}
    for extra in range(3, 13):
        if asked(daemon, "PATCH", at, dice, json={"seeds": [extra], "name": f"up to {extra}"}):
            answered.add(extra)
        daemon = start("--workers", "2", data=daemon.data)
        after = trials(daemon, at)
        assert before.items() <= after.items(), "what there was stays"
        before = after
    wait_until(lambda: get(daemon, at)["status"] in EXPERIMENT_FINAL, 120)
    seeds = {seed for _, seed in trials(daemon, at)}
    assert answered <= seeds <= set(range(1, 13)), "what was answered is there; what was not may be"
    counts = get(daemon, at)["counts"]
    assert counts["succeeded"] == sum(counts.values()) == get(daemon, at)["trials"] == 2 * len(seeds)
    made = collections.Counter((job["rule"]["type"], job["seed"]) for job in daemon.jobs())
    assert set(made.values()) == {1} and len(made) == 2 * len(seeds), "each once"
    events = get(daemon, at + "/events?limit=1000")["events"]
    ends = [(event["point"], event["seed"]) for event in events if event["type"] == "trial"]
    assert sorted(ends) == sorted(trials(daemon, at)), "one event for the end of each trial"
    assert [event["id"] for event in events] == list(range(1, len(events) + 1))
    assert daemon.stop() == 0
    verified(daemon)


def test_retry_and_deletion_under_kills(start):
    dice = random.Random(drawn_seed())
    daemon = start("--workers", "2")
    endless = {"/training/iterations": 10**9, "/training/evaluate_every": 10**6, "/training/checkpoint_every": 10**6}
    axis = {"name": "length", "patches": [{"/training/iterations": 4}, endless | {"/time_limit": 1}]}
    seeds = {"count": 4}
    id = daemon.post("/v1/experiments", json={"base": TINY, "axes": [axis], "seeds": seeds}).json()["id"]
    at = f"/v1/experiments/{id}"
    wait_until(lambda: get(daemon, at)["status"] == "complete_with_failures")
    done = {key: job for key, job in trials(daemon, at).items() if key[0] == "0"}
    failed = {job for key, job in trials(daemon, at).items() if key[0] == "1"}
    asked(daemon, "POST", at + "/retry", dice)
    for _ in range(3):
        daemon = start("--workers", "2", data=daemon.data)
        time.sleep(dice.uniform(0, 0.1))
        daemon.kill()
    daemon = start("--workers", "2", data=daemon.data)
    if get(daemon, at)["status"] == "complete_with_failures":
        daemon.post(at + "/retry")
    wait_until(lambda: get(daemon, at)["status"] == "complete_with_failures")
    again = trials(daemon, at)
    assert len(again) == 8 and done.items() <= again.items() and not failed & set(again.values())
    assert get(daemon, at)["counts"]["failed"] == 4 and len(daemon.jobs()) == 8
    asked(daemon, "DELETE", at, dice)
    for _ in range(3):
        daemon = start("--workers", "2", data=daemon.data)
        time.sleep(dice.uniform(0, 0.05))
        daemon.kill()
    daemon = start("--workers", "2", data=daemon.data)
    daemon.request("DELETE", at)
    wait_until(lambda: daemon.get(at).status_code == 404 and daemon.jobs() == [])
    assert daemon.stop() == 0
    verified(daemon)
