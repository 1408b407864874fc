"""The system fails: writes, syncs, memory, threads, the clock; see interpose.c.

Nothing that was acknowledged is lost, no job ends with other
bits, the daemon stays up, and resumes by itself once the system works again.
"""

import errno
import os
import pathlib
import random
import resource
import subprocess
import time

import daemons
import pytest
import requests
from daemons import assert_counted, drawn_seed, wait_until
from faults import KINDS, LIBRARY, Faults

pytestmark = pytest.mark.skipif(not LIBRARY.exists(), reason="build/tests/fault/libfault.so was not built")
LONG = bool(os.environ.get("MODPROP_LONG"))
JOB = {
    "seed": 0,
    "task": {"type": "delayed_xor", "delay": 40, "cue": 20},
    "network": {"units": 24},
    "training": {"iterations": 200, "batch_size": 8, "evaluate_every": 10, "checkpoint_every": 20},
}
# Seconds of training on a fast machine, so that what is done to it while it runs finds it running.
SLOW = JOB | {
    "task": {"type": "delayed_xor", "delay": 300, "cue": 50},
    "network": {"units": 64},
    "training": {"iterations": 2500, "batch_size": 8, "evaluate_every": 100, "checkpoint_every": 20},
}
PATIENCE = 300
YEAR = 365 * 86400 * 10**9


def in_peace(folder, *jobs):
    """The digests of the weights of `jobs`, trained undisturbed."""
    daemon = daemons.Daemon(folder / "data", "--workers", "1")
    ids = [daemon.post("/v1/jobs", json=job).json()["id"] for job in jobs]
    kept = [end(daemon, id)["weights_sha256"] for id in ids]
    daemon.finish()
    return kept


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """The weights of JOB by seed."""
    return in_peace(tmp_path_factory.mktemp("peace"), *(JOB | {"seed": seed} for seed in range(3)))


@pytest.fixture(scope="module")
def undisturbed_slow(tmp_path_factory):
    return in_peace(tmp_path_factory.mktemp("peace"), SLOW)[0]


def end(daemon, id):
    return daemon.get(f"/v1/jobs/{id}?wait={PATIENCE}", timeout=PATIENCE + 10).json()


@pytest.fixture
def faulty(start, tmp_path):
    """faulty(*flags): a daemon under the library, and the hold on it."""

    def make(*flags, data=None, **options):
        data = data or tmp_path / "data"
        faults = Faults(tmp_path, data)
        return start(*flags, data=data, environment=faults.environment, **options), faults

    return make


def verify(data, jobs):
    done = subprocess.run([daemons.MODPROPD, "verify", "--data", data], capture_output=True, text=True)
    assert done.returncode == 0 and f"{jobs} whole, 0 damaged" in done.stdout, done.stdout + done.stderr


@pytest.mark.parametrize(
    "kind, number, reason",
    [
        ("write", errno.ENOSPC, "the disk is full"),
        ("write", errno.EIO, "the disk failed: Input/output error"),
        ("sync", errno.EIO, "the disk failed: Input/output error"),
    ],
)
def test_a_failing_disk_stops_jobs_and_says_why(faulty, undisturbed_slow, kind, number, reason):
    daemon, faults = faulty("--workers", "1")
    id = daemon.post("/v1/jobs", json=SLOW).json()["id"]
    wait_until(lambda: daemon.get(f"/v1/jobs/{id}/checkpoints").json()["checkpoints"])
    setattr(faults, f"error_{kind}", number)
    setattr(faults, f"rate_{kind}", 10**6)
    answer = daemon.post("/v1/jobs", json=JOB)
    assert answer.status_code == 507 and answer.json()["detail"] == reason and int(answer.headers["Retry-After"]) > 0
    assert (
        wait_until(lambda: daemon.get(f"/v1/jobs/{id}").json().get("reason")) == f"{reason}; the job resumes by itself"
    )
    assert daemon.get("/livez").status_code == 200
    daemon.logged(reason)
    failed = getattr(faults, f"failed_{kind}")
    wait_until(lambda: getattr(faults, f"failed_{kind}") > failed)  # one retry, which fails
    faults.none()
    assert end(daemon, id)["weights_sha256"] == undisturbed_slow
    events = daemon.get(f"/v1/jobs/{id}/events?limit=1000").json()["events"]
    assert [event["id"] for event in events] == list(range(1, len(events) + 1))
    assert {
        event["reason"] for event in events if event["type"] == "status" and event["attempt"] > 1 and "reason" in event
    } == {reason}
    assert len(daemon.get("/v1/jobs").json()["jobs"]) == 1
    assert daemon.stop() == 0
    verify(daemon.data, 1)


def test_a_cancellation_that_cannot_be_stored_stops_the_job_all_the_same(faulty):
    daemon, faults = faulty("--workers", "1")
    id = daemon.post("/v1/jobs", json=SLOW).json()["id"]
    wait_until(lambda: daemon.get(f"/v1/jobs/{id}/checkpoints").json()["checkpoints"])
    faults.rate_write = 10**6  # what is under way, and the cancellation itself
    answer = daemon.post(f"/v1/jobs/{id}/cancel")
    assert answer.status_code == 507 and answer.json()["detail"] == "the disk failed: Input/output error"
    reason = wait_until(lambda: daemon.get(f"/v1/jobs/{id}").json().get("reason"))
    assert (
        reason == "the disk failed: Input/output error; the job is cancelled as soon as the cancellation can be stored"
    )
    wait_until(lambda: not any(x.startswith("job") for x in thread_names(daemon)))  # nobody trains
    attempts = daemon.get(f"/v1/jobs/{id}").json()["attempt"]
    faults.none()
    ended = end(daemon, id)
    assert ended["status"] == "cancelled" and ended["attempt"] == attempts


def thread_names(daemon):
    return [path.read_text() for path in pathlib.Path(f"/proc/{daemon.process.pid}/task").glob("*/comm")]


def test_a_failing_disk_takes_no_place_in_the_queue(faulty):
    """What could not be written was not queued.

    Not by clients who resume again and again, nor by the daemon's own attempts.
    """
    daemon, faults = faulty("--workers", "1", "--max-queued", "2")
    endless = SLOW | {"training": SLOW["training"] | {"iterations": 10**6}}
    id = daemon.post("/v1/jobs", json=endless).json()["id"]
    paused = daemon.post("/v1/jobs", json=JOB).json()["id"]
    assert daemon.post(f"/v1/jobs/{paused}/pause").json()["status"] == "paused"
    wait_until(lambda: daemon.get(f"/v1/jobs/{id}/checkpoints").json()["checkpoints"])
    faults.error_write = errno.ENOSPC
    faults.rate_write = 10**6
    assert [daemon.post(f"/v1/jobs/{paused}/resume").status_code for _ in range(5)] == [507] * 5
    wait_until(lambda: daemon.get(f"/v1/jobs/{id}").json().get("reason"))
    time.sleep(5)  # the daemon tries twice to queue the job that ran
    faults.none()
    wait_until(lambda: daemon.get(f"/v1/jobs/{id}").json()["status"] == "running", PATIENCE)
    assert [daemon.post("/v1/jobs", json=JOB).status_code for _ in range(3)] == [201, 201, 429]


def test_jobs_need_no_new_thread(faulty, undisturbed):
    daemon, faults = faulty("--workers", "2", "--cores", "2")
    faults.rate_thread = 10**6
    ids = [daemon.post("/v1/jobs", json=JOB | {"seed": seed}).json()["id"] for seed in (0, 1)]
    assert [end(daemon, id)["weights_sha256"] for id in ids] == undisturbed[:2]


def test_what_the_first_lacks_does_not_go_through_the_queue(start):
    daemon = start("--workers", "2", "--cores", "2")
    with requests.Session() as session:
        session.get(daemon.url + "/livez")
        before = resource.prlimit(daemon.process.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(daemon.process.pid, resource.RLIMIT_NOFILE, (3, before[1]))  # no new descriptor
        began = time.monotonic()
        ids = [session.post(daemon.url + "/v1/jobs", json=JOB).json()["id"] for _ in range(30)]
        wait_until(lambda: session.get(f"{daemon.url}/v1/jobs/{ids[0]}").json().get("reason"))
        time.sleep(2)
        tried = sum("reason" in session.get(f"{daemon.url}/v1/jobs/{id}").json() for id in ids)
        assert 1 <= tried <= 2 * (time.monotonic() - began + 1)  # two slots
        resource.prlimit(daemon.process.pid, resource.RLIMIT_NOFILE, before)
    assert {end(daemon, id)["status"] for id in ids} == {"succeeded"}


def test_a_job_goes_on_after_there_was_no_memory_at_all(faulty, undisturbed_slow):
    daemon, faults = faulty("--workers", "1", "--cores", "1")
    threads = f"/proc/{daemon.process.pid}/task"
    resting = len(os.listdir(threads))
    id = daemon.post("/v1/jobs", json=SLOW).json()["id"]
    wait_until(lambda: daemon.get(f"/v1/jobs/{id}").json()["progress"]["iteration"] > 0)
    faults.rate_memory = 10**6
    wait_until(
        lambda: len(os.listdir(threads)) == resting
    )  # it could report nothing, and nothing could be written of it
    time.sleep(1)
    faults.none()
    ended = end(daemon, id)
    assert (ended["status"], ended["attempt"]) == ("succeeded", 2) and ended["weights_sha256"] == undisturbed_slow
    assert_counted(daemon)


def test_without_threads_a_start_fails_in_one_sentence(faulty, tmp_path):
    faults = Faults(tmp_path, tmp_path / "data")
    faults.rate_thread = 10**6
    done = subprocess.run(
        [daemons.MODPROPD, "--data", tmp_path / "data", "--listen", "127.0.0.1:0"],
        capture_output=True,
        text=True,
        env=os.environ | faults.environment,
        timeout=120,
    )
    assert done.returncode == 1 and "thread" in done.stderr and done.stdout == ""


def some_faults(rng, faults):
    """A weather of faults: rates that let most work pass, sometimes a disk that fails for good."""
    faults.seed = rng.randrange(2**40)
    faults.error_write, faults.error_sync = rng.choice([errno.ENOSPC, errno.EIO, errno.EDQUOT]), errno.EIO
    faults.own = rng.random() < 0.5
    for kind, rate in zip(KINDS, (20000, 100000, 3000, 300000), strict=True):
        setattr(faults, f"rate_{kind}", rng.choice([0, rate // 10, rate]))
    if rng.random() < 0.1:
        faults.rate_write = 10**6


def submit(daemon, body, key):
    """The id, or None where it was refused; what is refused must be one of the refusals."""
    try:
        answer = daemon.post("/v1/jobs", json=body, headers={"Idempotency-Key": key})
    except OSError:  # no memory for the connection: closed
        return None
    assert answer.status_code in (201, 409, 429, 500, 503, 507), answer.text
    return answer.json()["id"] if answer.status_code == 201 and answer.text else None


def test_whatever_fails_nothing_acknowledged_is_lost(faulty, undisturbed):
    seed = drawn_seed()
    rng, promised = random.Random(seed), {}
    daemon, faults = faulty("--workers", "2", "--cores", "2")
    until, failed = time.monotonic() + (300 if LONG else 7), 0
    # chance decides what fails when: it goes on until both of these have
    while time.monotonic() < until or (
        not (faults.failed_write and faults.failed_memory) and time.monotonic() < until + 120
    ):
        some_faults(rng, faults)
        change = time.monotonic() + rng.uniform(0.2, 2)
        while time.monotonic() < change:
            of = rng.randrange(3)
            if len(promised) - failed < 400 and (id := submit(daemon, JOB | {"seed": of}, f"key-{rng.random()}")):
                promised[id] = of
            assert daemon.process.poll() is None, daemon.log()[-4000:]
            time.sleep(rng.uniform(0, 0.1))
    faults.none()
    found = {}
    for id, of in promised.items():
        job = wait_until(lambda id=id: end(daemon, id), PATIENCE)
        found[job["status"]] = found.get(job["status"], 0) + 1
        # a job whose own memory could not be had has failed, and said so; all others end as ever
        assert job["status"] == "succeeded" or job["error"]["code"] == "no_memory", str(job)
        assert job["status"] == "failed" or job["weights_sha256"] == undisturbed[of], job
        events = daemon.get(f"/v1/jobs/{id}/events?limit=1000").json()["events"]
        assert [event["id"] for event in events] == list(range(1, len(events) + 1))
    counts = {kind: getattr(faults, f"failed_{kind}") for kind in KINDS}
    stored = len(promised)
    assert_counted(daemon)
    assert daemon.get("/readyz").status_code == 200
    assert daemon.stop() == 0
    done = subprocess.run([daemons.MODPROPD, "verify", "--data", daemon.data], capture_output=True, text=True)
    assert done.returncode == 0 and ", 0 damaged" in done.stdout, done.stdout + done.stderr
    print(f"{stored} jobs acknowledged, {found}; failed calls: {counts}")
    assert counts["write"] and counts["memory"]


def test_the_clock_may_jump(faulty, undisturbed):
    daemon, faults = faulty("--workers", "1", "--keep-days", "30")
    first = daemon.post("/v1/jobs", json=JOB).json()
    kept = end(daemon, first["id"])
    time.sleep(2)  # retention has looked at the clock
    running = daemon.post("/v1/jobs", json=JOB | {"seed": 1, "time_limit": 3600}).json()["id"]
    faults.clock = 20 * YEAR
    ahead = daemon.post("/v1/jobs", json=JOB | {"seed": 2}).json()
    wait_until(lambda: "the clock has jumped" in daemon.log())
    faults.clock = -20 * YEAR
    behind = daemon.post("/v1/jobs", json=JOB).json()
    assert first["id"] < running < ahead["id"] < behind["id"]
    ended = [end(daemon, id) for id in (running, ahead["id"], behind["id"])]
    assert [job["weights_sha256"] for job in ended] == [undisturbed[1], undisturbed[2], undisturbed[0]]
    for job in [kept, *ended]:
        assert job["created_at"] <= job["started_at"] <= job["finished_at"], job
    time.sleep(6)  # retention has looked again
    assert daemon.get(f"/v1/jobs/{first['id']}").status_code == 200
    assert daemon.stop() == 0
    daemon, faults = faulty("--workers", "1", data=daemon.data)
    faults.clock = -20 * YEAR
    after = daemon.post("/v1/jobs", json=JOB).json()["id"]
    assert behind["id"] < after
    assert end(daemon, after)["weights_sha256"] == undisturbed[0]


@pytest.mark.parametrize("function", ["uv_poll_init", "uv_poll_start"])
def test_a_loop_that_cannot_watch_the_network_is_a_failure_to_start(tmp_path, function):
    """Without a look at the result the daemon would say that it is ready, and answer nobody."""
    ended = subprocess.run(
        [daemons.MODPROPD, "--data", str(tmp_path), "--listen", "127.0.0.1:0"],
        env=os.environ | {"LD_PRELOAD": str(LIBRARY), "MODPROP_FAULTS_POLL": function},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ended.returncode == 1 and ended.stdout == "", ended.stderr
    assert "the HTTP daemon cannot join the event loop: not enough memory" in ended.stderr


@pytest.mark.parametrize("links", ["none", "neither"])
def test_a_backup_needs_no_hard_links(start, tmp_path, links):
    """FAT and some network file systems have none, and some cannot rename without replacing either."""
    daemon = start("--workers", "1")
    end(daemon, daemon.post("/v1/jobs", json=JOB).json()["id"])
    target = tmp_path / "target"
    target.mkdir()

    def backup():
        return subprocess.run(
            [daemons.MODPROPD, "backup", "--data", str(daemon.data), str(target / "modprop.db")],
            env=os.environ | {"LD_PRELOAD": str(LIBRARY), "MODPROP_FAULTS_LINKS": links},
            capture_output=True,
            text=True,
            timeout=120,
        )

    done = backup()
    assert done.returncode == 0, done.stderr
    assert [path.name for path in target.iterdir()] == ["modprop.db"]
    first = (target / "modprop.db").read_bytes()
    again = backup()
    assert again.returncode == 1 and "exists already" in again.stderr
    assert (target / "modprop.db").read_bytes() == first
    checked = subprocess.run([daemons.MODPROPD, "verify", "--data", str(target)], capture_output=True, timeout=120)
    assert checked.returncode == 0, checked.stderr
