"""What a token's or an experiment's jobs may take from others: turns in the queue, places in it, bytes in the store."""

import hashlib
import re

import pytest
from daemons import wait_until

SMALL = {
    "task": {"type": "delayed_xor", "delay": 20, "cue": 10},
    "network": {"units": 12},
    "training": {"iterations": 20, "batch_size": 4, "evaluate_every": 10, "checkpoint_every": 10},
}
ENDLESS = SMALL | {"training": {"iterations": 10**9, "batch_size": 4, "evaluate_every": 10**6}}


@pytest.fixture
def tokens(tmp_path):
    path = tmp_path / "tokens"
    path.write_text("".join(f"{x}:admin:{hashlib.sha256(x.encode()).hexdigest()}\n" for x in ("first", "second")))
    path.chmod(0o600)
    return path


def submit(daemon, name, job=SMALL, status=201):
    answer = daemon.post("/v1/jobs", json=job, headers={"Authorization": f"Bearer {name}"})
    assert answer.status_code == status, answer.text
    return answer.json() if status != 201 else answer.json()["id"]


def get(daemon, id, name="first"):
    return daemon.get(f"/v1/jobs/{id}", headers={"Authorization": f"Bearer {name}"}).json()


def started(daemon, names):
    """The names of jobs in the order in which they began."""
    order = re.findall(r"job job=(\S+) status=running", daemon.log())
    return [names[id] for id in order if id in names]


def test_tokens_take_turns_and_so_do_the_experiments_of_one(start, tokens):
    daemon = start("--token-file", tokens, "--workers", "1")
    held = submit(daemon, "first", ENDLESS)
    wait_until(lambda: get(daemon, held)["status"] == "running")
    names = {}
    for experiment, count in (("a", 4), ("b", 2)):
        for i in range(count):
            id = submit(daemon, "first", SMALL | {"metadata": {"experiment": experiment}})
            names[id] = f"first {experiment}{i}"
    names |= {submit(daemon, "second"): f"second {i}" for i in range(2)}
    urgent = submit(daemon, "first", SMALL | {"priority": 1})
    names[urgent] = "urgent"
    daemon.post(f"/v1/jobs/{held}/cancel", headers={"Authorization": "Bearer first"})
    wait_until(lambda: all(get(daemon, id)["status"] == "succeeded" for id in names))
    wait_until(lambda: len(started(daemon, names)) == len(names))
    assert started(daemon, names) == [
        "urgent",
        "second 0",
        "first a0",
        "second 1",
        "first b0",
        "first a1",
        "first b1",
        "first a2",
        "first a3",
    ]


def test_a_token_may_have_so_many_jobs_in_the_queue(start, tokens):
    daemon = start("--token-file", tokens, "--workers", "0", "--max-token-queued", "3")
    for _ in range(3):
        submit(daemon, "first")
    assert "--max-token-queued" in submit(daemon, "first", status=429)["detail"]
    submit(daemon, "second")


def test_a_token_may_give_so_high_a_priority(start, tokens):
    with tokens.open("a") as file:
        file.write(f"student:submit:{hashlib.sha256(b'student').hexdigest()}\n")
    daemon = start("--token-file", tokens, "--workers", "0", "--max-submit-priority", "5")
    submit(daemon, "student", SMALL | {"priority": 5})
    problem = submit(daemon, "student", SMALL | {"priority": 6}, status=422)
    assert problem["errors"][0]["pointer"] == "/priority"
    assert "at most 5" in problem["errors"][0]["detail"]
    submit(daemon, "first", SMALL | {"priority": 6})  # an admin's


def test_turns_and_owners_outlast_a_restart(start, tokens):
    first = start("--token-file", tokens, "--workers", "0")
    names = {submit(first, "first"): f"first {i}" for i in range(3)} | {submit(first, "second"): "second"}
    assert first.stop() == 0
    daemon = start("--token-file", tokens, "--workers", "1", data=first.data)
    wait_until(lambda: all(get(daemon, id)["status"] == "succeeded" for id in names))
    wait_until(lambda: len(started(daemon, names)) == len(names))
    assert started(daemon, names) == ["first 0", "second", "first 1", "first 2"]


def test_a_job_that_could_fill_the_disk_is_refused(daemon):
    job = SMALL | {"training": {"iterations": 10**12, "batch_size": 1, "evaluate_every": 1}}
    answer = daemon.post("/v1/jobs", json=job)
    assert answer.status_code == 422, answer.text
    (error,) = answer.json()["errors"]
    assert error["pointer"] == "/training/evaluate_every" and "--max-job-bytes" in error["detail"]
    assert daemon.post("/v1/jobs:validate", json=job).status_code == 422


def test_a_job_at_its_bound_is_paused_and_loses_no_event(start):
    first = start("--workers", "1")
    job = SMALL | {"training": {"iterations": 10**7, "batch_size": 1, "evaluate_every": 1, "checkpoint_every": 1000}}
    id = first.post("/v1/jobs", json=job).json()["id"]
    wait_until(lambda: first.get(f"/v1/jobs/{id}").json()["progress"]["iteration"] > 100)
    first.kill()
    daemon = start("--workers", "1", "--max-job-bytes", "1M", data=first.data)
    wait_until(lambda: daemon.get(f"/v1/jobs/{id}").json()["status"] == "paused")
    events, after = [], 0
    while page := daemon.get(f"/v1/jobs/{id}/events?limit=1000&after={after}").json()["events"]:
        events += page
        after = page[-1]["id"]
    assert [event["id"] for event in events] == list(range(1, len(events) + 1))
    assert "--max-job-bytes" in events[-1]["reason"] and events[-1]["status"] == "paused"
    numbers = [event["iteration"] for event in events if event["type"] == "progress"]
    assert numbers == list(range(len(numbers)))


def test_every_bound_is_a_metric_beside_what_is_used(start, tokens):
    daemon = start("--token-file", tokens, "--workers", "0", "--max-token-queued", "3", "--max-datasets-bytes", "1G")
    text = daemon.get("/metrics", headers={"Authorization": "Bearer first"}).text
    values = dict(re.findall(r"^(modprop_\S+) (\S+)$", text, re.M))
    assert values['modprop_bound{option="max-token-queued"}'] == "3"
    assert values['modprop_bound{option="max-datasets-bytes"}'] == str(1 << 30)
    assert values["modprop_datasets"] == values["modprop_dataset_bytes"] == "0"
    assert float(values["modprop_store_reserve_bytes"]) > 0
