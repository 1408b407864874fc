"""SIGKILL at any instant of a busy daemon, against an oracle of all that was promised to its clients.

Clients submit (each submission under a key, sent again until it is answered), pause, resume, cancel, and follow streams
with Last-Event-ID,
all at once; the daemon is killed again and again, also while it starts. The oracle keeps what was answered. At the end
it must hold: every
acknowledged job is there and no other; every key has made one job; an answered pause or cancellation has held; each job
ended once, with the
bits of a run that nothing disturbed; what each follower saw, over all its connections, is what is stored, from the
first event, without gap
or double; and `modpropd verify` finds the store whole.
"""

import collections
import json
import os
import random
import subprocess
import threading
import time
import uuid

import daemons
import pytest
import requests

LONG = bool(os.environ.get("MODPROP_LONG"))
KILLS = int(os.environ.get("MODPROP_KILLS", 200 if LONG else 10))
JOBS_OPEN = 12  # submitters rest while more have not ended
PATIENCE = 300  # seconds, for what must come: the machine may be busy
KINDS = [{"seed": seed, "rule": {"type": rule}} for seed in (1, 2) for rule in ("modprop", "bptt", "eprop")]
JOB = {
    "task": {"type": "delayed_xor", "delay": 40, "cue": 20},
    "network": {"units": 24},
    "training": {"iterations": 240, "batch_size": 8, "evaluate_every": 10, "checkpoint_every": 30},
}
FINAL = {"succeeded", "failed", "cancelled"}


class Lab:
    """The daemon that runs now, and what has been promised so far."""

    def __init__(self, start, seed):
        self.start, self.seed = start, seed
        self.daemon = start("--workers", "2", "--cores", "2")
        self.url = self.daemon.url
        self.ending = False
        self.lock = threading.Lock()
        self.jobs = {}  # id: kind, acknowledged
        self.keys = {}  # key: id
        self.ended = set()  # known to have ended
        self.actions = {}  # id: the last action that may have been taken, and whether it was answered
        self.cancels = set()  # those for which a cancellation may have been taken
        self.count = collections.Counter()
        self.faults = []  # what clients saw that must not be

    def call(self, method, path, **options):
        """The answer, or None where the daemon died under the request."""
        try:
            return requests.request(method, self.url + path, timeout=PATIENCE, **options)
        except requests.RequestException:
            self.count["requests cut"] += 1
            time.sleep(0.01)
            return None

    def fault(self, *words):
        with self.lock:
            self.faults.append(" ".join(map(str, words)))

    def killed_while_starting(self, rng):
        """A daemon that is killed before or just after it is ready."""
        daemon = self.start("--workers", "2", "--cores", "2", data=self.daemon.data, wait=False)
        time.sleep(rng.uniform(0, 0.12))
        daemon.kill()
        self.count["kills while starting"] += 1

    def kill(self, rng):
        self.daemon.kill()
        self.count["kills under load"] += 1
        if rng.random() < 0.25:
            self.killed_while_starting(rng)
        self.daemon = self.start("--workers", rng.randrange(1, 4), "--cores", "2", data=self.daemon.data)
        self.url = self.daemon.url


def body_of(kind, rng):
    return JOB | KINDS[kind] | {"threads": rng.choice([None, 1, 2]), "priority": rng.randrange(3)}


def submit_all(lab, rng):
    """Submits while the lab is open; each key until it is answered, some once more after that."""
    while not lab.ending:
        if len(lab.jobs) - len(lab.ended) >= JOBS_OPEN:
            time.sleep(0.05)
            continue
        key, kind = str(uuid.UUID(int=rng.getrandbits(128))), rng.randrange(len(KINDS))
        body = body_of(kind, rng)
        for time_sent in range(rng.choice([1, 1, 2])):
            answer = None
            while answer is None or answer.status_code in (409, 503):
                answer = lab.call("POST", "/v1/jobs", json=body, headers={"Idempotency-Key": key})
            if answer.status_code != 201:
                lab.fault("submission answered", answer.status_code, answer.text)
                return
            id = answer.json()["id"]
            with lab.lock:
                if lab.keys.setdefault(key, id) != id:
                    lab.fault("key", key, "made", lab.keys[key], "and", id)
                lab.jobs[id] = kind
                lab.count["submissions answered again"] += time_sent
        time.sleep(rng.uniform(0, 0.1))


def act_all(lab, rng):
    """Pauses, resumes and cancels; what was answered is kept, and looked at again before the next action."""
    while not lab.ending:
        with lab.lock:
            open_jobs = [id for id in lab.jobs if id not in lab.ended]
        time.sleep(rng.uniform(0, 0.05))
        if not open_jobs:
            continue
        id = rng.choice(open_jobs)
        look_at(lab, id)
        action = rng.choice(
            ["pause", "pause", "resume", "resume", "resume", "cancel" if rng.random() < 0.4 else "resume"]
        )
        before = lab.actions.get(id, ("resume", False))
        lab.actions[id] = (action, False)
        answer = lab.call("POST", f"/v1/jobs/{id}/{action}")
        if action == "cancel" and (answer is None or answer.status_code == 200):
            lab.cancels.add(id)
        if answer is not None and answer.status_code == 200:
            lab.actions[id] = (action, True)
            lab.count["actions answered"] += 1
        elif answer is not None and answer.status_code in (409, 503):
            lab.actions[id] = before
        elif answer is not None:
            lab.fault(action, "answered", answer.status_code, answer.text)


def look_at(lab, id):
    """The job as it is now; it must be as the last answered action left it."""
    answer = lab.call("GET", f"/v1/jobs/{id}")
    if answer is None or answer.status_code == 503:
        return
    if answer.status_code != 200:
        lab.fault("job", id, "answered", answer.status_code)
        return
    status = answer.json()["status"]
    action, answered = lab.actions.get(id, ("resume", False))
    allowed = {"pause": {"pausing", "paused", "succeeded"}, "cancel": {"cancelling", "cancelled"}}
    if answered and action in allowed and status not in allowed[action]:
        lab.fault("job", id, "is", status, "after an answered", action)
    if status in FINAL:
        with lab.lock:
            lab.ended.add(id)


def follow(lab, path, seen, header):
    """Follows a stream over all deaths of the daemon, until it ends (204 after the terminal event) or the lab closes.

    `seen` gets (id, data).
    """
    while True:
        headers = {"Accept": "text/event-stream", "Last-Event-ID": str(seen[-1][0] if seen else 0)}
        try:
            with requests.get(lab.url + path, headers=headers, stream=True, timeout=120) as answer:
                if answer.status_code == 204:
                    return None
                if answer.status_code not in (200, 503):
                    return lab.fault("stream", path, "answered", answer.status_code)
                number = None
                for line in answer.iter_lines(chunk_size=1, decode_unicode=True):
                    if line.startswith("id:"):
                        number = int(line[3:])
                    elif line.startswith("data:") and number is not None:
                        seen.append((number, line[5:].strip()))
                        number = None
        except (requests.RequestException, OSError, AttributeError):  # AttributeError: urllib3 whose connection is gone
            pass
        lab.count["streams cut"] += 1
        if lab.ending and header == "all":
            return None
        time.sleep(0.02)


def follow_some(lab, rng, followed):
    """One job after another, each from its first event to its end."""
    while not lab.ending:
        with lab.lock:
            new = [id for id in lab.jobs if id not in followed and id not in lab.ended]
            id = rng.choice(new) if new else None
            if id is not None:
                followed[id] = []
        if id is None:
            time.sleep(0.05)
        else:
            follow(lab, f"/v1/jobs/{id}/events", followed[id], "job")


def run_apart(target, *arguments):
    thread = threading.Thread(target=target, args=arguments, daemon=True)
    thread.start()
    return thread


def stored_events(daemon, id):
    found, after = [], 0
    while page := daemon.get(
        f"/v1/jobs/{id}/events", headers={"Accept": "application/json"}, params={"after": after, "limit": 1000}
    ).json()["events"]:
        found += page
        after = page[-1]["id"]
    return found


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """The weights of each kind of job, trained in peace by one thread, alone."""
    daemon = daemons.Daemon(tmp_path_factory.mktemp("peace") / "data", "--workers", "1", "--cores", "1")
    kept = []
    for kind in KINDS:
        id = daemon.post("/v1/jobs", json=JOB | kind).json()["id"]
        kept.append(daemon.get(f"/v1/jobs/{id}?wait={PATIENCE}", timeout=PATIENCE + 10).json()["weights_sha256"])
    daemon.finish()
    assert len(set(kept)) == len(KINDS)
    return kept


def end_all(lab):
    """Everything that is paused goes on; every job comes to its end."""
    ended = {}
    for id in lab.jobs:
        if lab.daemon.get(f"/v1/jobs/{id}").json()["status"] in ("pausing", "paused"):
            assert lab.daemon.post(f"/v1/jobs/{id}/resume").status_code == 200
    for id in lab.jobs:
        ended[id] = lab.daemon.get(f"/v1/jobs/{id}?wait={PATIENCE}", timeout=PATIENCE + 10).json()
    return ended


def check_job(lab, job, weights):
    assert job["status"] == "succeeded" or (job["status"] == "cancelled" and job["id"] in lab.cancels), job
    if lab.actions.get(job["id"]) == ("cancel", True):
        assert job["status"] == "cancelled", job
    if job["status"] == "succeeded":
        assert job["weights_sha256"] == weights, job


def check_events(stored, seen):
    assert [event["id"] for event in stored] == list(range(1, len(stored) + 1))
    assert [event["type"] == "status" and event["status"] in FINAL for event in stored].count(True) == 1 and stored[-1][
        "status"
    ] in FINAL
    if seen is not None:
        assert [number for number, _ in seen] == list(range(1, len(seen) + 1))
        assert [json.loads(data) for _, data in seen] == stored[: len(seen)]


def test_whenever_it_is_killed_all_that_was_promised_holds(start, undisturbed):
    seed = daemons.drawn_seed()
    rng, lab, followed, all_seen = random.Random(seed), Lab(start, seed), {}, []
    clients = [
        run_apart(submit_all, lab, random.Random(seed + 1)),
        run_apart(submit_all, lab, random.Random(seed + 2)),
        run_apart(act_all, lab, random.Random(seed + 3)),
    ]
    followers = [run_apart(follow_some, lab, random.Random(seed + 4 + i), followed) for i in range(3)]
    of_all = run_apart(follow, lab, "/v1/events", all_seen, "all")
    began = time.monotonic()
    while lab.count["kills under load"] + lab.count["kills while starting"] < KILLS and not lab.faults:
        time.sleep(rng.choice([rng.uniform(0, 0.05), rng.uniform(0, 1.0)]))
        lab.kill(rng)
    lab.ending = True
    for client in clients:
        client.join(PATIENCE)
        assert not client.is_alive()
    assert not lab.faults, lab.faults
    ended = end_all(lab)
    for follower in followers:
        follower.join(PATIENCE)
        assert not follower.is_alive()
    listed = lab.daemon.jobs()
    assert {job["id"] for job in listed} == set(lab.jobs) == set(lab.keys.values()) and len(listed) == len(lab.keys)
    every = []
    for id, kind in lab.jobs.items():
        stored = stored_events(lab.daemon, id)
        check_job(lab, ended[id], undisturbed[kind])
        check_events(stored, followed.get(id))
        every += stored
    assert lab.daemon.stop() == 0
    of_all.join(PATIENCE)
    by_seq = {event["seq"]: event for event in every}
    assert len(by_seq) == len(every)
    numbers = [number for number, _ in all_seen]
    assert numbers == sorted(by_seq)[: len(numbers)]
    assert [json.loads(data) for _, data in all_seen] == [by_seq[number] for number in numbers]
    verified = subprocess.run([daemons.MODPROPD, "verify", "--data", lab.daemon.data], capture_output=True, text=True)
    assert verified.returncode == 0 and f"{len(listed)} whole, 0 damaged" in verified.stdout, verified.stdout
    statuses = collections.Counter(job["status"] for job in ended.values())
    print(
        f"{KILLS} kills in {time.monotonic() - began:.0f} s:",
        dict(lab.count),
        f"{len(listed)} jobs",
        dict(statuses),
        f"highest attempt {max(job['attempt'] for job in ended.values())}, {len(every)} events stored,"
        f" {len(all_seen)} seen by the follower of all jobs,"
        f" {sum(map(len, followed.values()))} by followers of {len(followed)} jobs",
    )
