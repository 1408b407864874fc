"""Random faults: workers and the daemon are killed, stopped and resumed while a queue is worked off.

Whatever happened, each result has the bits of an undisturbed run, and each event is there once. $MODPROP_FAULTS and
$MODPROP_JOBS say how many; the seed is printed, and $MODPROP_TEST_SEED gives it again.
"""

import contextlib
import os
import random
import signal
import subprocess
import time

import pytest
from daemons import MODPROPD, drawn_seed, small_disk, wait_until
from workers import FINAL, JOB, LEASE, SLOW, assert_whole, numbers

LONG = bool(os.environ.get("MODPROP_LONG"))
FAULTS = int(os.environ.get("MODPROP_FAULTS", 500 if LONG else 6))
JOBS = int(os.environ.get("MODPROP_JOBS", 300 if LONG else 8))
WORKERS = 3
BODY = JOB | {"training": JOB["training"] | {"iterations": 600}}
KINDS = 4


class Lab:
    """A daemon that is started again at its address whenever it was killed, and a few workers."""

    def __init__(self, start, work, folder):
        self.start, self.work, self.folder = start, work, folder
        self.daemon = start(*self.flags(), data=folder / "data")
        self.port = self.daemon.port
        self.workers = [self.hire() for _ in range(WORKERS)]
        self.asleep = {}  # worker: when it wakes

    def flags(self):
        return ("--workers", "0", "--worker-lease", LEASE, "--cores", "1")

    def hire(self):
        return self.work(f"http://127.0.0.1:{self.port}", None, "--slots", 2, "--cores", 1)

    def fault(self, dice):
        what = dice.choices(("kill", "stop", "sleep", "daemon", "daemon stops"), (4, 3, 3, 2, 1))[0]
        at = dice.randrange(WORKERS)
        worker = self.workers[at]
        if what in ("kill", "stop"):
            self.asleep.pop(worker, None)
            worker.signal(signal.SIGCONT)
            worker.signal(signal.SIGKILL if what == "kill" else signal.SIGTERM)
            if what == "kill":
                worker.wait()
            self.workers[at] = self.hire()
        elif what == "sleep" and worker not in self.asleep:
            worker.signal(signal.SIGSTOP)
            self.asleep[worker] = time.monotonic() + dice.uniform(0, 2 * LEASE)
        elif what.startswith("daemon"):
            self.daemon.kill() if what == "daemon" else self.daemon.stop()
            time.sleep(dice.choice((0, 0, LEASE + 1)))
            self.daemon = self.start(*self.flags(), "--listen", f"127.0.0.1:{self.port}", data=self.folder / "data")

    def wake(self, everybody=False):
        for worker, when in list(self.asleep.items()):
            if everybody or time.monotonic() > when:
                worker.signal(signal.SIGCONT)
                del self.asleep[worker]


def test_random_faults_change_no_bit_and_lose_no_event(start, work, tmp_path):
    dice = random.Random(drawn_seed())
    alone = start("--workers", "1", data=tmp_path / "alone")
    expected = []
    for seed in range(KINDS):
        job = alone.post("/v1/jobs", json=BODY | {"seed": seed}).json()["id"]
        wait_until(lambda job=job: alone.get(f"/v1/jobs/{job}").json()["status"] in FINAL, timeout=120)
        expected.append(numbers(alone, job))
    alone.stop()
    lab = Lab(start, work, tmp_path)
    jobs = [lab.daemon.post("/v1/jobs", json=BODY | {"seed": i % KINDS}).json()["id"] for i in range(JOBS)]
    for _ in range(FAULTS):
        time.sleep(dice.uniform(0, 1.5))
        lab.wake()
        lab.fault(dice)
    lab.wake(everybody=True)
    for i, job in enumerate(jobs):
        wait_until(lambda job=job: lab.daemon.get(f"/v1/jobs/{job}").json()["status"] in FINAL, timeout=300, every=0.2)
        assert_whole(lab.daemon, job, expected[i % KINDS])
    metrics = lab.daemon.get("/metrics").text
    assert "modprop_leases_total" in metrics

    lab.daemon.stop()
    verified = subprocess.run([MODPROPD, "verify", "--data", str(tmp_path / "data")], capture_output=True, text=True)
    assert verified.returncode == 0, verified.stdout + verified.stderr


def test_a_worker_whose_scratch_disk_is_full_gives_its_job_back(head, work, tmp_path, expected):
    with small_disk(tmp_path / "small", "64k") as small:
        (small / "ballast").write_bytes(b"x" * 45000)
        worker = work(head.url, None, "--slots", 1, "--scratch", small)
        job = head.post("/v1/jobs", json=JOB | {"seed": 1}).json()["id"]
        wait_until(lambda: "scratch directory" in worker.log())
        wait_until(lambda: head.get(f"/v1/jobs/{job}").json()["attempt"] > 1)
        worker.kill()
        work(head.url, None, "--slots", 1)
        wait_until(lambda: head.get(f"/v1/jobs/{job}").json()["status"] in FINAL)
        assert_whole(head, job, expected["job", 1])


@pytest.mark.skipif(not LONG, reason="a long test (MODPROP_LONG)")
def test_a_daemon_whose_disk_is_full_goes_on_when_there_is_room(start, work, tmp_path, expected):
    """Evaluations and checkpoints keep coming while nothing can be stored; the job goes on from what was stored."""
    with small_disk(tmp_path / "disk", "24m") as disk:
        daemon = start("--workers", "0", "--worker-lease", LEASE, data=disk / "data")
        worker = work(daemon.url, None, "--slots", 1)
        job = daemon.post("/v1/jobs", json=SLOW | {"seed": 1}).json()["id"]
        wait_until(lambda: daemon.get(f"/v1/jobs/{job}/checkpoints").json()["checkpoints"])
        with contextlib.suppress(OSError), (disk / "ballast").open("wb", buffering=0) as ballast:
            while True:
                ballast.write(bytes(65536))
        daemon.logged("jobs stop until it succeeds")
        assert daemon.get("/readyz").status_code == 503
        (disk / "ballast").unlink()
        wait_until(lambda: daemon.get("/readyz").status_code == 200)
        wait_until(lambda: daemon.get(f"/v1/jobs/{job}").json()["status"] in FINAL, 300)
        assert_whole(daemon, job, expected["slow", 1])
        assert worker.stop() == 0
        assert daemon.stop() == 0
