"""Networks that fail between a worker and its daemon: nothing is lost, nothing comes twice, and no job starts over."""

import json
import os
import random
import struct
import subprocess
import time

import pytest
from daemons import drawn_seed, wait_until
from relay import Relay
from workers import FINAL, JOB, LEASE, SLOW, assert_whole, events

LONG = pytest.mark.skipif(not os.environ.get("MODPROP_LONG"), reason="a long test (MODPROP_LONG)")
HOLDS = "600"  # seconds of a lease that no machine lets pass


@pytest.fixture
def relay():
    """relay(daemon, cut=...): stopped at the test's end."""
    made = []

    def maker(daemon, **options):
        made.append(Relay(daemon.port, **options))
        return made[-1]

    yield maker
    for one in made:
        one.stop()


def row(daemon, job):
    return daemon.get(f"/v1/jobs/{job}").json()


def ended(daemon, job):
    wait_until(lambda: row(daemon, job)["status"] in FINAL, 300)


def begun(daemon, job):
    wait_until(lambda: any(event["type"] == "checkpoint" for event in events(daemon, job)))


def test_connections_that_break_anywhere_lose_nothing(start, work, relay, expected):
    """Each is reset after some bytes, in the midst of a head, of records or of a checkpoint; the link goes down too."""
    daemon = start("--workers", "0", "--worker-lease", HOLDS)
    dice = random.Random(drawn_seed())
    link = relay(daemon, cut=lambda: dice.choice((300, 3000, 2_000_000, 3_000_000)) + dice.randrange(1000))
    worker = work(link.url, None, "--slots", 1)
    job = daemon.submit(SLOW | {"seed": 1})
    begun(daemon, job)
    link.set("down")
    wait_until(lambda: "cannot be reached" in worker.log())
    link.set("up")
    ended(daemon, job)
    assert_whole(daemon, job, expected["slow", 1])
    assert row(daemon, job)["attempt"] == 1 and link.resets > 3


def test_a_worker_with_many_jobs_has_few_connections(start, work, relay):
    """One each for beats and for requests of leases, two for all jobs together: a cluster has a thousand workers."""
    daemon = start("--workers", "0", "--worker-lease", HOLDS)
    link = relay(daemon)
    jobs = [daemon.submit(JOB | {"seed": seed}) for seed in range(8)]
    work(link.url, None, "--slots", len(jobs))
    for job in jobs:
        ended(daemon, job)
    assert link.most <= 4


def dataset(daemon, name, target):
    """About 600 kB of trials, all of one target: the task that trains on them."""
    content = {"inputs": {"dtype": "F32", "shape": [40000, 3, 1], "data_offsets": [0, 480000]}}
    content |= {"targets": {"dtype": "U8", "shape": [40000, 3], "data_offsets": [480000, 600000]}}
    text = json.dumps(content).encode()
    data = struct.pack("<Q", len(text)) + text + bytes(480000) + bytes([0, target]) * 60000
    headers = {"Content-Type": "application/octet-stream"}
    assert daemon.request("PUT", f"/v1/datasets/{name}", data=data, headers=headers).status_code == 201
    return {"task": {"type": "dataset", "name": name}, "network": {"units": 8}, "training": {"iterations": 5}}


def test_datasets_on_their_way_hold_up_no_other_job(start, work, relay):
    """However slowly they come, one is fetched at a time, and what other jobs report goes beside it."""
    daemon = start("--workers", "0", "--worker-lease", HOLDS)
    link = relay(daemon, hold=200_000)
    waiting = [daemon.submit(dataset(daemon, name, target)) for target, name in enumerate(("first", "second"), 1)]
    work(link.url, None, "--slots", 3)
    wait_until(lambda: link.held > 0)
    job = daemon.submit(JOB | {"training": JOB["training"] | {"iterations": 20}})
    ended(daemon, job)
    assert row(daemon, job)["status"] == "succeeded"
    assert {row(daemon, one)["attempt"] for one in waiting} == {1} and link.held == 1


@LONG
def test_a_link_that_is_silent_beyond_the_lease(start, work, relay, expected):
    daemon = start("--workers", "0", "--worker-lease", LEASE)
    link = relay(daemon)
    cut_off = work(link.url, None, "--slots", 1)
    job = daemon.submit(SLOW | {"seed": 1})
    begun(daemon, job)
    link.set("silent")
    wait_until(lambda: row(daemon, job)["attempt"] == 2)
    work(daemon.url, None, "--slots", 1)
    ended(daemon, job)
    link.set("up")
    wait_until(lambda: "abandon" in cut_off.log())
    assert_whole(daemon, job, expected["slow", 1])
    assert cut_off.stop() == 0


@LONG
def test_connections_that_are_forgotten_cost_no_lease(start, work, relay):
    """A firewall that was started anew answers nothing on the connections of before: a beat finds a new one in time."""
    daemon = start("--workers", "0", "--worker-lease", 20)
    link = relay(daemon)
    work(link.url, None, "--slots", 1)
    body = SLOW | {"training": SLOW["training"] | {"iterations": 10**6}}
    job = daemon.submit(body)
    begun(daemon, job)
    for _ in range(2):
        seen = max(event["id"] for event in events(daemon, job))
        taken = link.taken
        link.forget()
        wait_until(lambda taken=taken: link.taken > taken)
        wait_until(lambda seen=seen: max(event["id"] for event in events(daemon, job)) > seen)
        time.sleep(20)  # were the lease not renewed, it would end now
        assert row(daemon, job)["attempt"] == 1
    assert daemon.post(f"/v1/jobs/{job}/cancel").status_code == 200
    ended(daemon, job)


def ip(*words):
    return subprocess.run(["ip", *map(str, words)], capture_output=True, text=True)


@pytest.fixture
def namespace():
    """(name, address of this side): a network namespace, with one cable to this host."""
    name = f"modprop{os.getpid()}"
    near, far = f"mp{os.getpid()}a", f"mp{os.getpid()}b"
    if ip("netns", "add", name).returncode != 0:
        pytest.skip("no network namespace can be made here")
    try:
        if ip("link", "add", near, "type", "veth", "peer", "name", far, "netns", name).returncode != 0:
            pytest.skip("no cable between network namespaces can be made here")
        ip("addr", "add", "10.213.7.1/24", "dev", near)
        ip("link", "set", near, "up")
        for words in (("addr", "add", "10.213.7.2/24", "dev", far), ("link", "set", far, "up")):
            assert ip("-n", name, *words).returncode == 0
        yield name, near, "10.213.7.1"
    finally:
        ip("netns", "delete", name)
        ip("link", "delete", near)


@LONG
def test_a_cable_that_is_pulled_out_and_put_back(start, work, tokens, namespace, expected):
    name, cable, address = namespace
    flags = ("--workers", "0", "--worker-lease", LEASE, "--token-file", tokens["file"], "--allow-host", address)
    daemon = start(*flags)
    headers = tokens["submit"]
    link = Relay(daemon.port, address=address)  # the daemon itself stays on loopback
    try:
        worker = work(link.url, tokens["secret"], "--slots", 1, inside=["ip", "netns", "exec", name])
        jobs = []
        for seed in (1, 2):
            answer = daemon.post("/v1/jobs", json=SLOW | {"seed": seed}, headers=headers)
            jobs.append(answer.json()["id"])
        seen = lambda: any(e["type"] == "checkpoint" for e in events(daemon, jobs[0], headers=headers))  # noqa: E731
        wait_until(seen)
        for seconds in (1, LEASE + 2, 1):
            ip("link", "set", cable, "down")
            time.sleep(seconds)
            ip("link", "set", cable, "up")
            time.sleep(1)
        for seed, job in zip((1, 2), jobs, strict=True):
            wait_until(lambda job=job: daemon.get(f"/v1/jobs/{job}", headers=headers).json()["status"] in FINAL, 300)
            assert_whole(daemon, job, expected["slow", seed], headers=headers)
        assert worker.stop() == 0
    finally:
        link.stop()
