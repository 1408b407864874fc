"""What a worker may send, and what is refused: nothing of a refused upload is stored."""

import concurrent.futures
import json
import os
import random
import time
import uuid

import pytest
import requests
from daemons import wait_until
from workers import JOB, LEASE, Peer, assert_whole, events, sha256

LONG = bool(os.environ.get("MODPROP_LONG"))
ROUNDS = 5000 if LONG else 60


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """{seed: (progress records, {iteration: checkpoint bytes}, weights' digest, whole)} of undisturbed runs."""
    import sqlite3

    from daemons import Daemon
    from workers import FINAL, numbers

    folder = tmp_path_factory.mktemp("recorded") / "data"
    alone = Daemon(folder, "--workers", "2")
    body = JOB | {"training": JOB["training"] | {"keep_checkpoints": 100}}
    jobs = {seed: alone.post("/v1/jobs", json=body | {"seed": seed}).json()["id"] for seed in (1, 2)}
    found = {}
    for seed, job in jobs.items():
        wait_until(lambda job=job: alone.get(f"/v1/jobs/{job}").json()["status"] in FINAL)
        progress = [event for event in events(alone, job) if event["type"] == "progress"]
        with sqlite3.connect(f"file:{folder / 'modprop.db'}?mode=ro", uri=True) as database:
            rows = dict(database.execute("SELECT iteration, bytes FROM checkpoints WHERE job=?", (job,)).fetchall())
        database.close()
        whole = numbers(alone, job)
        found[seed] = (progress, rows, whole[2], whole)
    alone.finish()
    return found


@pytest.fixture
def leased(head):
    """(peer, lease of a job of seed 1)"""
    body = JOB | {"seed": 1, "training": JOB["training"] | {"keep_checkpoints": 100}}
    head.post("/v1/jobs", json=body)
    peer = Peer(head)
    leases = peer.lease(wait=10)
    assert len(leases) == 1
    return peer, leases[0]


def stored(daemon, lease):
    """Everything that a refused upload could have changed."""
    job = lease["job"]
    row = daemon.get(f"/v1/jobs/{job}").json()
    return events(daemon, job), daemon.get(f"/v1/jobs/{job}/checkpoints").json(), row["status"], row["attempt"]


def test_a_lease_is_answered_again_to_the_same_request(head):
    peer = Peer(head)
    jobs = {head.post("/v1/jobs", json=JOB | {"seed": seed}).json()["id"] for seed in range(3)}
    first = peer.lease("one", slots=2)
    assert len(first) == 2 and {lease["job"] for lease in first} < jobs
    assert peer.lease("one", slots=2) == first
    second = peer.lease("two", slots=2)
    assert len(second) == 1 and peer.lease("three", slots=2) == []
    assert {lease["job"] for lease in first + second} == jobs
    assert peer.beat(*first, *second) == ["go"] * 3


def test_a_recorded_run_arrives_whole(leased, recorded):
    peer, lease = leased
    progress, checkpoints, weights, whole = recorded[1]
    answer = peer.records(lease, 0, progress)
    assert answer.status_code == 200 and answer.json() == {"next": len(progress)}
    last = max(checkpoints)
    assert peer.checkpoint(lease, len(progress), last, checkpoints[last]).status_code == 201
    answer = peer.end(lease, len(progress) + 1, weights_sha256=weights)
    assert answer.json() == {"ended": True}
    assert_whole(peer.daemon, lease["job"], whole)
    again = peer.end(lease, len(progress) + 1, weights_sha256=weights)
    assert again.json() == {"ended": True}, "the end is idempotent"
    assert peer.records(lease, 0, progress).status_code == 409


def test_repeated_and_reordered_uploads_leave_each_record_once(leased, recorded):
    peer, lease = leased
    progress, checkpoints, weights, whole = recorded[1]
    dice = random.Random(19)
    arrived = 0
    while arrived < len(progress):
        first = dice.randrange(len(progress))
        batch = progress[first : first + dice.randrange(1, 6)]
        answer = peer.records(lease, first, batch)
        assert answer.status_code == 200
        if first <= arrived:
            arrived = max(arrived, first + len(batch))
        assert answer.json() == {"next": arrived}, "what comes too early is not taken"
    last = max(checkpoints)
    early = peer.checkpoint(lease, arrived + 1, last, checkpoints[last])
    assert early.status_code == 200 and early.json() == {"next": arrived}
    assert peer.checkpoint(lease, arrived, last, checkpoints[last]).status_code == 201
    repeated = peer.checkpoint(lease, arrived, last, checkpoints[last])
    assert repeated.status_code == 200 and repeated.json() == {"next": arrived + 1}
    assert peer.end(lease, arrived, weights_sha256=weights).json() == {"ended": False, "next": arrived + 1}
    assert peer.end(lease, arrived + 1, weights_sha256=weights).json() == {"ended": True}
    assert_whole(peer.daemon, lease["job"], whole)


def test_a_checkpoint_that_is_not_the_jobs_own_is_refused(leased, recorded):
    peer, lease = leased
    progress, checkpoints, _, _ = recorded[1]
    others = recorded[2][1]
    last = max(checkpoints)
    good = checkpoints[last]
    before = stored(peer.daemon, lease)
    wrong = [
        (last, others[last], None, "another job's"),
        (last, good, "0" * 64, "another sha256"),
        (last, good[:-1], None, "truncated"),
        (last, good[:-1], sha256(good), "truncated on the way"),
        (last, b"", None, "empty"),
        (last, good[:100] + bytes([good[100] ^ 1]) + good[101:], None, "a flipped bit"),
        (last - 20, good, None, "another iteration"),
    ]
    for iteration, data, digest, why in wrong:
        answer = peer.checkpoint(lease, 0, iteration, data, digest)
        assert answer.status_code == 422, (why, answer.status_code, answer.text)
    assert peer.checkpoint(lease, 0, last, good + b"\0" * (1 << 20)).status_code == 413
    assert stored(peer.daemon, lease) == before
    assert peer.beat(lease) == ["go"], "the lease holds: the worker may do better"


def test_a_finished_job_has_the_weights_that_the_daemon_has(leased, recorded):
    peer, lease = leased
    progress, checkpoints, weights, whole = recorded[1]
    assert peer.end(lease, 0, weights_sha256=weights).status_code == 422, "there is no checkpoint"
    peer.records(lease, 0, progress)
    last = max(checkpoints)
    assert peer.checkpoint(lease, len(progress), last - 20, checkpoints[last - 20]).status_code == 201
    assert peer.end(lease, len(progress) + 1, weights_sha256=weights).status_code == 422
    assert peer.checkpoint(lease, len(progress) + 1, last, checkpoints[last]).status_code == 201
    assert peer.end(lease, len(progress) + 2, weights_sha256="0" * 64).status_code == 422
    assert peer.end(lease, len(progress) + 2, weights_sha256=weights).status_code == 200
    assert_whole(peer.daemon, lease["job"], whole)


def test_other_numbers_for_what_is_stored_fail_the_job(leased, recorded):
    peer, lease = leased
    progress = recorded[1][0]
    assert peer.records(lease, 0, progress[:5]).status_code == 200
    path = f"/v1/jobs/{lease['job']}/attempts/{lease['attempt']}/release"
    assert peer.call("POST", path, json={}).json() == {"ended": True}
    assert peer.call("POST", path, json={}).json() == {"ended": True}, "released is released"
    (again,) = peer.lease(wait=10)
    assert again["job"] == lease["job"] and again["attempt"] == 2
    changed = [progress[0], progress[1] | {"loss": progress[1]["loss"] * 1.0000000001}]
    assert peer.records(again, 0, changed).status_code == 409
    row = wait_until(lambda: (row := peer.daemon.get(f"/v1/jobs/{lease['job']}").json())["status"] == "failed" and row)
    assert row["error"]["code"] == "not_reproducible"


def test_what_is_stale_is_refused_and_not_stored(head, recorded):
    progress, checkpoints, weights, _ = recorded[1]
    job = head.post("/v1/jobs", json=JOB | {"seed": 1}).json()["id"]
    slow, quick = Peer(head), Peer(head)
    (old,) = slow.lease(wait=10)
    assert slow.records(old, 0, progress[:3]).status_code == 200
    wait_until(lambda: head.get(f"/v1/jobs/{job}").json()["attempt"] == 2)
    (new,) = quick.lease(wait=10)
    assert (new["job"], new["attempt"]) == (job, 2)
    before = stored(head, new)
    last = max(checkpoints)
    for lease in (old, old | {"attempt": 2}, old | {"attempt": 3}, old | {"job": str(uuid.uuid4())}):
        assert slow.records(lease, 3, progress[3:]).status_code == 409
        assert slow.checkpoint(lease, 3, last, checkpoints[last]).status_code == 409
        assert slow.end(lease, 3, weights_sha256=weights).status_code == 409
        assert slow.beat(lease) == ["abandon"]
    assert stored(head, new) == before
    assert quick.beat(new) == ["go"]


def test_a_lease_holds_over_a_restart_and_its_records_go_on(start, recorded, tmp_path):
    daemon = start("--workers", "0", "--worker-lease", LEASE, data=tmp_path / "data")
    progress, checkpoints, weights, whole = recorded[1]
    job = daemon.post("/v1/jobs", json=JOB | {"seed": 1}).json()["id"]
    peer = Peer(daemon)
    (lease,) = peer.lease(wait=10)
    assert peer.records(lease, 0, progress[:7]).status_code == 200
    daemon.kill()
    time.sleep(LEASE + 1)
    peer.daemon = again = start("--workers", "0", "--worker-lease", LEASE, data=tmp_path / "data")
    assert peer.records(lease, 7, progress[7:]).status_code == 404, "it has to announce itself again"
    answer = peer.call("POST", "/v1/workers", json=peer.facts)
    assert answer.status_code == 200 and answer.json()["id"] == peer.id
    assert peer.beat(lease) == ["go"]
    assert peer.records(lease, 5, progress[5:]).json() == {"next": len(progress)}, "two of them were there"
    last = max(checkpoints)
    assert peer.checkpoint(lease, len(progress), last, checkpoints[last]).status_code == 201
    assert peer.end(lease, len(progress) + 1, weights_sha256=weights).status_code == 200
    assert_whole(again, job, whole)


def test_bad_calls_are_refused(leased, recorded):
    peer, lease = leased
    before = stored(peer.daemon, lease)
    records = f"/v1/jobs/{lease['job']}/attempts/{lease['attempt']}/records"
    for body, code in (
        ({}, 422),
        ({"first": -1, "records": []}, 422),
        ({"first": 0, "records": {}}, 422),
        ({"first": 0, "records": [{}]}, 422),
        ({"first": 0, "records": [{"type": "progress"}]}, 422),
        ({"first": 0, "records": [{"type": "progress", "iteration": "1"}]}, 422),
        ({"first": 0, "records": [recorded[1][0][0], {"type": "status"}]}, 422),
        ({"first": 0, "records": [{"type": "log", "message": "x"}] * 1025}, 422),
        ({"first": 0, "records": [{"type": "log", "message": "x" * 300000}]}, 413),
    ):
        assert peer.call("POST", records, json=body).status_code == code, body
    assert stored(peer.daemon, lease) == before
    path = f"/v1/workers/{peer.id}/leases"
    for body in ({}, {"request_id": "", "slots": 1, "memory": 1}, {"request_id": "x", "slots": 0, "memory": 1}):
        assert peer.call("POST", path, json=body).status_code == 422
    other = Peer(peer.daemon)
    assert other.call("POST", path, json={}).status_code == 403, "each calls for itself"
    for value in (
        "",
        "x",
        peer.id,
        f"{peer.id} ",
        f"{peer.id} {'0' * 64}",
        f"{other.id} {peer.headers['Modprop-Worker'][37:]}",
    ):
        answer = peer.call("POST", records, json={"first": 0, "records": []}, headers={"Modprop-Worker": value})
        assert answer.status_code == 403, value
    answer = peer.daemon.post("/v1/workers", json=peer.facts | {"build": "another"})
    assert answer.status_code == 409 and "same build" in answer.text


def test_a_cancellation_does_not_wait_behind_a_resumption(start):
    """A worker that is silent keeps its job pausing, and who resumes it waits for that."""
    peer = Peer(start("--workers", "0", "--worker-lease", 600))
    peer.daemon.post("/v1/jobs", json=JOB)
    (lease,) = peer.lease(wait=10)
    path = f"{peer.daemon.url}/v1/jobs/{lease['job']}"
    assert requests.post(path + "/pause", timeout=60).json()["status"] == "pausing"
    with concurrent.futures.ThreadPoolExecutor() as pool:
        resumption = pool.submit(requests.post, path + "/resume", timeout=120)
        if LONG:
            answer = resumption.result()
            assert answer.status_code == 409 and "is still pausing" in answer.json()["detail"]
            resumption = pool.submit(requests.post, path + "/resume", timeout=120)
        time.sleep(0.2)  # if it comes later, this tests nothing, and fails neither
        assert requests.post(path + "/cancel", timeout=60).json()["status"] == "cancelling"
        answer = resumption.result()
    assert answer.status_code == 409 and "cannot be resumed" in answer.json()["detail"]
    assert peer.daemon.get(f"/v1/jobs/{lease['job']}").json()["status"] == "cancelled"


def test_pools_say_how_many_workers_would_have_work(head):
    assert head.get("/v1/pools").json() == {"pools": []}
    empty = head.get("/v1/pools/night").json()
    assert (empty["workers"], empty["wanted"]) == (0, 0)
    for seed in range(5):
        head.post("/v1/jobs", json=JOB | {"seed": seed})
    assert head.get("/v1/pools/night").json()["wanted"] == 5
    assert head.get("/v1/pools/night?slots=4").json()["wanted"] == 2
    Peer(head, pool="night", slots=2)
    assert head.get("/v1/pools/night").json()["wanted"] == 3
    assert [pool["name"] for pool in head.get("/v1/pools").json()["pools"]] == ["night"]


def test_uploads_changed_at_random_are_refused_and_harm_nothing(leased, recorded):
    """Bytes flipped, cut out, doubled and inserted, in checkpoints and in the texts of records."""
    peer, lease = leased
    progress, checkpoints, _, _ = recorded[1]
    dice = random.Random(20)
    last = max(checkpoints)
    good = checkpoints[last]
    before = stored(peer.daemon, lease)

    def changed(data):
        data = bytearray(data)
        for _ in range(dice.randrange(1, 4)):
            at, length = dice.randrange(len(data)), dice.randrange(1, 64)
            kind = dice.randrange(4)
            if kind == 0:
                data[at] ^= 1 << dice.randrange(8)
            elif kind == 1 and len(data) > 100:
                del data[at : at + length]
            elif kind == 2:
                data[at:at] = data[at : at + length]
            else:
                data[at:at] = dice.randbytes(length)
        return bytes(data)

    for _ in range(ROUNDS):
        wrong = changed(good)
        if wrong != good:
            assert peer.checkpoint(lease, 0, last, wrong).status_code in (413, 422)
    path = f"/v1/jobs/{lease['job']}/attempts/{lease['attempt']}/records"
    text = json.dumps({"first": 0, "records": progress[:3]}).encode()
    for _ in range(ROUNDS):
        body = changed(text).replace(b'"first": 0', b'"first": 9').replace(b'"first":0', b'"first":9')
        answer = peer.call("POST", path, data=body, headers={"Content-Type": "application/json"})
        assert answer.status_code in (200, 400, 422), (body, answer.text)
        if answer.status_code == 200 and answer.json()["next"] > 0:
            break  # what was left of it begins at 0 and was good: it may be taken
    else:
        assert stored(peer.daemon, lease) == before
    assert peer.beat(lease) == ["go"]
