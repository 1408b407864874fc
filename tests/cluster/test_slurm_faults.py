"""What happens to a real Slurm: controllers killed, allocations preempted or out of time, nodes down.

Each takes a minute or more, so they belong to the long run (MODPROP_LONG). $MODPROP_FAULTS and $MODPROP_JOBS say how
many random faults over how many jobs.
"""

import os
import pathlib
import random
import re
import signal
import time

import pytest
from daemons import Daemon, drawn_seed, wait_until
from pools import running
from slurm import NODES, missing
from workers import FINAL, JOB, SLOW, events, numbers

pytestmark = [
    pytest.mark.skipif(bool(missing()), reason=f"this host lacks {', '.join(missing())}"),
    pytest.mark.skipif(not os.environ.get("MODPROP_LONG"), reason="a long test (MODPROP_LONG)"),
]
FAULTS = int(os.environ.get("MODPROP_FAULTS", 100))
JOBS = int(os.environ.get("MODPROP_JOBS", 60))
MANY = int(os.environ.get("MODPROP_MANY", 600))
KINDS = 4
# Minutes of a core, with few events: Slurm takes 45 s to preempt an allocation. A busy machine needs fewer
ITERATIONS = int(os.environ.get("MODPROP_ITERATIONS", 20000))
LENGTHY = SLOW | {
    "training": SLOW["training"] | {"iterations": ITERATIONS, "evaluate_every": 50, "checkpoint_every": 50}
}


@pytest.fixture(scope="module")
def lengthy(tmp_path_factory):
    """The numbers of an undisturbed run of LENGTHY."""
    alone = Daemon(tmp_path_factory.mktemp("lengthy") / "data", "--workers", "1")
    job = alone.post("/v1/jobs", json=LENGTHY).json()["id"]
    wait_until(lambda: alone.get(f"/v1/jobs/{job}").json()["status"] in FINAL, 1800)
    found = numbers(alone, job)
    alone.finish()
    return found


def attempts(lab, job):
    return lab.daemon.get(f"/v1/jobs/{job}", headers=lab.headers).json()["attempt"]


def reached(lab, job):
    """The newest checkpoint's iteration."""
    found = events(lab.daemon, job, headers=lab.headers)
    return max((event["iteration"] for event in found if event["type"] == "checkpoint"), default=0)


def test_a_controller_that_is_killed_takes_no_allocation_away(pool, slurm, lengthy):
    lab = pool(max_workers=2)
    job = lab.submit(LENGTHY)
    lab.keep()
    allocation = running(lab, job)
    wait_until((slurm.folder / "state" / "job_state").exists)  # what it has not saved is lost: that is no fault of ours
    slurm.kill("slurmctld")
    wait_until(lambda: "squeue cannot be asked" in lab.said(), 900)
    other = lab.submit(JOB | {"seed": 1})  # which would have an allocation of its own
    wait_until(lambda: lab.status(other) in FINAL, 900)  # by the worker that there is
    assert attempts(lab, job) == 1, "nothing was declared dead"
    slurm.start("slurmctld")
    slurm.wait(lambda: slurm.run("squeue", "-h", check=False).returncode == 0)
    lab.ended(job)  # where Slurm had not saved it yet it runs the allocation again, and the lease tells them apart
    lab.whole(job, lengthy)
    ours = [id for id, _ in lab.allocations()]
    assert allocation in ours and len(ours) <= 2


def test_a_controller_that_hangs_while_sbatch_waits_makes_no_surplus(pool, slurm):
    lab = pool(max_workers=1)
    lab.submit(LENGTHY)
    slurm.kill("slurmctld", signal.SIGSTOP)
    try:
        answer = lab.once()
    finally:
        slurm.kill("slurmctld", signal.SIGCONT)
    assert answer.returncode == 0 and "squeue cannot be asked" in answer.stderr
    slurm.wait(lambda: slurm.run("squeue", "-h", check=False).returncode == 0)
    for _ in range(3):
        assert lab.once().returncode == 0
    assert len(lab.allocations()) == 1


def test_a_preempted_allocation_goes_on_from_its_checkpoint(pool, slurm, lengthy):
    lab = pool(max_workers=1)
    job = lab.submit(LENGTHY)
    lab.keep()
    allocation = running(lab, job)
    urgent = ["--partition=urgent", "--nodes=3", "--exclusive", "--output=/dev/null", "--time=1"]
    slurm.run("sbatch", "--parsable", *urgent, input="#!/bin/sh\nsleep 5\n")
    slurm.wait(lambda: (allocation, "RUNNING") not in lab.allocations())
    before = reached(lab, job)
    lab.ended(job)
    lab.whole(job, lengthy)
    assert attempts(lab, job) > 1 and before > 0
    assert len(lab.allocations()) >= 2


def test_an_allocation_at_its_walltime_gives_its_job_back(pool, slurm, lengthy):
    lab = pool(max_workers=1, sbatch_args="--time=1 --signal=B:TERM@45")
    job = lab.submit(LENGTHY)
    lab.keep()
    running(lab, job)
    wait_until(lambda: attempts(lab, job) > 1, 900)
    assert reached(lab, job) > 0
    lab.ended(job)
    lab.whole(job, lengthy)
    assert "refused" not in lab.outputs()


def test_a_node_that_is_declared_down_while_its_processes_live_on(pool, slurm, lengthy):
    """Slurm calls the allocation failed, and the pool submits another; the first worker has the lease, and keeps it."""
    lab = pool(max_workers=1)
    job = lab.submit(LENGTHY)
    lab.keep()
    allocation = running(lab, job)
    node = slurm.run("squeue", "-h", "-j", allocation, "-o", "%N").stdout.strip()
    slurm.kill(node)
    try:
        slurm.wait(lambda: (allocation, "NODE_FAIL") in lab.allocations())
        lab.ended(job)
        lab.whole(job, lengthy)
    finally:
        slurm.start(node)
        slurm.wait(lambda: slurm.idle() >= 2)


# ---- random faults ----


def processes(lab):
    """Process ids of the pool's workers."""
    found = []
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if b"worker" in words and lab.name.encode() in words:
            found.append(int(process.name))
    return found


class Cluster:
    """A pool under faults. What is down comes up again after a while."""

    def __init__(self, lab, slurm, start):
        self.lab, self.slurm, self.start = lab, slurm, start
        self.down, self.asleep = {}, {}

    def fault(self, dice):
        kinds = ("worker", "sleep", "scancel", "daemon", "node", "controller")
        what = dice.choices(kinds, (5, 4, 3, 3, 2, 2))[0]
        getattr(self, what)(dice)
        return what

    def worker(self, dice, number=signal.SIGKILL):
        found = processes(self.lab)
        if found:
            process = dice.choice(found)
            try:
                os.kill(process, number)
            except ProcessLookupError:
                return
            if number == signal.SIGSTOP:
                self.asleep[process] = time.monotonic() + dice.uniform(0, 8)

    def sleep(self, dice):
        self.worker(dice, signal.SIGSTOP)

    def scancel(self, dice):
        found = self.slurm.run("squeue", "-h", "-t", "RUNNING", "-o", "%i", check=False).stdout.split()
        if found:
            self.slurm.run("scancel", dice.choice(found), check=False)

    def daemon(self, dice):
        lab = self.lab
        port = lab.daemon.port
        lab.daemon.kill() if dice.random() < 0.7 else lab.daemon.stop()
        time.sleep(dice.choice((0, 0, 4)))
        lab.daemon = self.start(*lab.flags, "--listen", f"127.0.0.1:{port}", data=lab.folder / "data")

    def node(self, dice):
        self.take_down(dice.choice(NODES), dice)

    def controller(self, dice):
        self.take_down("slurmctld", dice)

    def take_down(self, name, dice):
        if name not in self.down:
            self.slurm.kill(name)
            self.down[name] = time.monotonic() + dice.uniform(0, 10)

    def wake(self, everybody=False):
        for process, when in list(self.asleep.items()):
            if everybody or time.monotonic() > when:
                del self.asleep[process]
                try:
                    os.kill(process, signal.SIGCONT)
                except ProcessLookupError:
                    continue
        for name, when in list(self.down.items()):
            if everybody or time.monotonic() > when:
                del self.down[name]
                self.slurm.start(name)


def test_random_faults_of_a_cluster_change_no_bit_and_lose_no_event(pool, slurm, start, tmp_path):
    dice = random.Random(drawn_seed())
    body = JOB | {"training": JOB["training"] | {"iterations": 1200}}
    alone = start("--workers", "1", data=tmp_path / "alone")
    wanted = []
    for seed in range(KINDS):
        job = alone.post("/v1/jobs", json=body | {"seed": seed}).json()["id"]
        wait_until(lambda job=job: alone.get(f"/v1/jobs/{job}").json()["status"] in FINAL, 900)
        wanted.append(numbers(alone, job))
    alone.stop()
    lab = pool(idle=5)
    cluster = Cluster(lab, slurm, start)
    jobs = [lab.submit(body | {"seed": i % KINDS}) for i in range(JOBS)]
    lab.keep()
    done = {}
    for _ in range(FAULTS):
        time.sleep(dice.uniform(0, 3))
        cluster.wake()
        what = cluster.fault(dice)
        done[what] = done.get(what, 0) + 1
        assert lab.keeper.poll() is None, lab.said()
    cluster.wake(everybody=True)
    for i, job in enumerate(jobs):
        lab.ended(job)
        lab.whole(job, wanted[i % KINDS])
    print(f"{JOBS} jobs, {FAULTS} faults: {done}; {len(lab.allocations())} allocations")


# ---- an experiment ----


def utilisation(lab, end):
    """The share of the pool's slots that had a job, from the first time that all slots are there until `end()`."""
    had = busy = 0
    while not end():
        answer = lab.daemon.get(f"/v1/pools/{lab.name}", headers=lab.tokens["read"]).json()
        if answer["slots"] == 12 or had:
            had += 12
            busy += answer["running"]
        time.sleep(0.5)
    return busy / had if had else None


def test_an_experiment_over_three_nodes_keeps_their_slots_busy(pool):
    lab = pool(slots=4, cores=4, memory="1000M", idle=30)
    design = {"name": "many", "base": JOB | {"training": JOB["training"] | {"iterations": 4000}}}
    design["seeds"] = {"count": MANY}
    answer = lab.daemon.post("/v1/experiments", json=design, headers=lab.headers)
    assert answer.status_code == 201, answer.text
    path = f"/v1/experiments/{answer.json()['id']}"
    lab.keep()
    trials = lambda: lab.daemon.get(path, headers=lab.headers).json()  # noqa: E731
    ended = lambda: trials()["counts"]["succeeded"] >= MANY - 12  # noqa: E731
    share = utilisation(lab, ended)  # the last dozen leaves slots empty, whoever divides it
    wait_until(lambda: trials()["status"] == "complete", 1800)
    print(f"{MANY} jobs over three nodes of four slots: {100 * share:.1f} % of the slots' time with a job")
    assert share > 0.9
    text = lab.daemon.get("/metrics", headers=lab.tokens["admin"]).text
    assert re.search(r"^modprop_leases_total \d+$", text, re.M)
