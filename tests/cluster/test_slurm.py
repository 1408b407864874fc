"""`modprop pool slurm` with a real Slurm: allocations come and go with the queue, and jobs survive whatever happens."""

import os
import pathlib
import re
import signal
import subprocess
import time

import pytest
from daemons import MODPROPD, ROOT, wait_until
from slurm import Slurm, missing
from workers import FINAL, JOB, LEASE, SLOW, assert_whole, events

LONG = bool(os.environ.get("MODPROP_LONG"))
MODPROP = os.environ.get("MODPROP", str(ROOT / "build" / "clients" / "cli" / "modprop"))

pytestmark = pytest.mark.skipif(bool(missing()), reason=f"this host lacks {', '.join(missing())}")


@pytest.fixture(scope="module")
def slurm(tmp_path_factory):
    running = Slurm(tmp_path_factory.mktemp("slurm") / "slurm")
    yield running
    running.stop()


class Pool:
    """A daemon, a pool's configuration, and calls of `modprop pool`."""

    def __init__(self, slurm, daemon, tokens, folder, **keys):
        self.slurm, self.daemon, self.tokens = slurm, daemon, tokens
        self.headers = tokens["submit"]
        self.name = re.sub(r"\W", "", folder.name)[:40]
        keys = {
            "max_workers": 3,
            "slots": 2,
            "cores": 2,
            "memory": "400M",
            "walltime": "10m",
            "idle": 2,
            "poll": 1,
            "program": MODPROPD,
            "token_file": tokens["secret"],
            "output": folder / "allocation-%j.log",
            "scratch": folder / "scratch",
        } | keys
        self.folder = folder
        self.file = folder / "config"
        lines = [f"server = {daemon.url}", f"token_file = {tokens['secret']}"]
        lines += [f"pool.{self.name}.{key} = {value}" for key, value in keys.items()]
        self.file.touch(mode=0o600)
        self.file.write_text("\n".join(lines) + "\n")
        self.keeper = None

    def command(self, *words, environment=None):
        return subprocess.run(
            [MODPROP, *words, "--config", self.file],
            env=(environment or self.slurm.environment),
            capture_output=True,
            text=True,
            timeout=120,
        )

    def once(self, **options):
        return self.command("pool", "slurm", self.name, "--once", **options)

    def keep(self, environment=None):
        self.keeper = subprocess.Popen(
            [MODPROP, "pool", "slurm", self.name, "--config", self.file],
            env=environment or self.slurm.environment,
            stderr=subprocess.PIPE,
            text=True,
        )

    def allocations(self, states="all"):
        text = self.slurm.run("squeue", "-h", "-n", f"modprop-{self.name}", "-t", states, "-o", "%i %T").stdout
        return [tuple(line.split()) for line in text.splitlines()]

    def submit(self, body):
        answer = self.daemon.post("/v1/jobs", json=body, headers=self.headers)
        assert answer.status_code == 201, answer.text
        return answer.json()["id"]

    def status(self, job):
        return self.daemon.get(f"/v1/jobs/{job}", headers=self.headers).json()["status"]

    def ended(self, job):
        wait_until(lambda: self.status(job) in FINAL, 300)

    def whole(self, job, expected):
        assert_whole(self.daemon, job, expected, headers=self.headers)

    def finish(self):
        if self.keeper:
            self.keeper.send_signal(signal.SIGTERM)
            self.keeper.wait(120)
            self.keeper.stderr.close()
        self.slurm.run("scancel", "--full", "-n", f"modprop-{self.name}", check=False)
        wait_until(lambda: not self.allocations("PENDING,RUNNING,COMPLETING"))


@pytest.fixture
def pool(slurm, start, tokens, tmp_path):
    """pool(**keys): a pool of a daemon of its own."""
    made = []

    def maker(**keys):
        folder = tmp_path / f"{len(made)}{tmp_path.name}"
        folder.mkdir()
        flags = ("--workers", "0", "--token-file", tokens["file"], "--worker-lease", LEASE)
        made.append(Pool(slurm, start(*flags, data=folder / "data"), tokens, folder, **keys))
        return made[-1]

    yield maker
    for one in made:
        one.finish()


def test_allocations_come_with_the_queue_and_go_when_it_is_empty(pool, expected):
    lab = pool()
    assert lab.once().returncode == 0 and lab.allocations() == [], "there is no work"
    jobs = {seed: lab.submit(JOB | {"seed": seed}) for seed in range(1, 5)}
    lab.keep()
    pools = {}  # of each worker, by its allocation: it leaves the list when it ends

    def all_ended():
        ended = all(lab.status(job) in FINAL for job in jobs.values())
        workers = lab.daemon.get("/v1/workers", headers=lab.tokens["read"]).json()["workers"]
        pools.update((worker["external"], worker["pool"]) for worker in workers)
        return ended

    wait_until(all_ended, 300)
    for seed, job in jobs.items():
        lab.whole(job, expected["job", seed])
    assert 1 <= len(lab.allocations()) <= 3
    assert set(pools) <= {f"slurm:{id}" for id, _ in lab.allocations()} and set(pools.values()) == {lab.name}
    wait_until(lambda: not lab.allocations("PENDING,RUNNING,COMPLETING"))


def test_check_asks_slurm_and_submits_nothing(pool):
    lab = pool()
    answer = lab.command("pool", "check", lab.name)
    assert answer.returncode == 0 and "would take" in answer.stdout, answer.stderr
    wrong = pool(sbatch_args="--partition=nowhere")
    answer = wrong.command("pool", "check", wrong.name)
    assert answer.returncode == 5 and "Slurm refuses" in answer.stderr
    assert lab.allocations() == []


def test_no_secret_is_in_scripts_arguments_or_logs(pool, slurm, expected):
    lab = pool()
    job = lab.submit(SLOW | {"seed": 1})
    assert lab.once().returncode == 0
    ((allocation, _),) = lab.allocations()
    wait_until(lambda: lab.status(job) == "running")
    seen = slurm.run("scontrol", "write", "batch_script", allocation, "-").stdout
    assert "--token-file" in seen
    seen += slurm.run("scontrol", "show", "job", allocation).stdout
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes()
            if b"modpropd" in words:
                seen += (words + (process / "environ").read_bytes()).decode(errors="replace")
        except OSError:
            continue
    lab.ended(job)
    seen += "".join(file.read_text() for file in lab.folder.glob("allocation-*.log"))
    assert lab.tokens["secret"].read_text().strip() not in seen
    lab.whole(job, expected["slow", 1])


def running(lab, job):
    """Waits until a worker has reported on the job and stored a checkpoint; the allocation that runs."""

    def seen():
        kinds = [event["type"] for event in events(lab.daemon, job, headers=lab.headers)]
        return kinds.count("progress") >= 3 and "checkpoint" in kinds

    wait_until(seen)
    ((allocation, _),) = lab.allocations("RUNNING")
    return allocation


@pytest.mark.parametrize("how", ["scancel", "node"])
def test_an_allocation_that_is_lost_costs_nothing_but_time(pool, slurm, expected, how):
    lab = pool(max_workers=1)
    job = lab.submit(SLOW | {"seed": 1})
    lab.keep()
    allocation = running(lab, job)
    if how == "scancel":
        slurm.run("scancel", allocation)
    else:
        node = slurm.run("squeue", "-h", "-j", allocation, "-o", "%N").stdout.strip()
        slurm.kill(node)  # the processes of its allocation live on: Slurm may start it a second time
        slurm.run("scancel", "--full", allocation, check=False)
    lab.ended(job)
    lab.whole(job, expected["slow", 1])
    if how == "node":
        slurm.start(node)
        slurm.wait(lambda: slurm.idle() >= 2)


def wrapper(folder, program, text):
    """A folder with a program of that name, to come first on PATH; {real} is the real one."""
    folder.mkdir(exist_ok=True)
    real = subprocess.check_output(["which", program], text=True).strip()
    file = folder / program
    file.write_text("#!/bin/sh\n" + text.replace("{real}", real).replace("{folder}", str(folder)) + "\n")
    file.chmod(0o755)


def test_an_sbatch_that_fails_after_submitting_makes_no_surplus(pool, slurm):
    lab = pool(max_workers=1)
    lab.submit(JOB)
    tools = lab.folder / "tools"
    wrapper(tools, "sbatch", '{real} "$@" >/dev/null\necho "sbatch: error: Socket timed out" >&2\nexit 1')
    environment = slurm.environment | {"PATH": f"{tools}:{slurm.environment['PATH']}"}
    for _ in range(3):
        answer = lab.once(environment=environment)
        assert answer.returncode == 0
    assert len(lab.allocations()) == 1


def test_what_cannot_be_asked_has_not_ended(pool, slurm):
    lab = pool(max_workers=2)
    lab.submit(JOB)
    tools = lab.folder / "tools"
    wrapper(tools, "squeue", 'echo "slurm_load_jobs error: Unable to contact slurm controller" >&2\nexit 1')
    environment = slurm.environment | {"PATH": f"{tools}:{slurm.environment['PATH']}"}
    for text in ('echo "error" >&2; exit 1', 'echo "nonsense"', "echo '12|RUNNING'"):
        wrapper(tools, "squeue", text)
        answer = lab.once(environment=environment)
        assert answer.returncode == 0 and "nothing is done" in answer.stderr
    assert lab.allocations() == []
    lab.daemon.stop()
    answer = lab.once()
    assert answer.returncode == 0 and "daemon cannot be asked" in answer.stderr and lab.allocations() == []


def test_a_pool_whose_workers_never_join_pauses_itself(pool, slurm):
    lab = pool(program="/bin/false")
    lab.submit(JOB)
    answers = []
    for _ in range(30):
        answers.append(lab.once())
        wait_until(lambda: not lab.allocations("PENDING,RUNNING,COMPLETING"))
        if answers[-1].returncode != 0:
            break
    assert answers[-1].returncode == 5 and "never joined" in answers[-1].stderr
    assert 10 <= len(lab.allocations()) <= 12


def test_commands_are_as_few_as_designed(pool, slurm):
    lab = pool(poll=2, max_workers=3)
    for seed in range(8):
        lab.submit(SLOW | {"seed": seed})
    tools = lab.folder / "tools"
    for program in ("squeue", "sbatch", "scancel", "sacct"):
        wrapper(tools, program, f'date +%s.%N >>{{folder}}/{program}.calls\nexec {{real}} "$@"')
    begun = time.monotonic()
    lab.keep(slurm.environment | {"PATH": f"{tools}:{slurm.environment['PATH']}"})
    wait_until(lambda: len(lab.allocations("RUNNING")) == 3)
    time.sleep(4)
    seconds = time.monotonic() - begun

    def calls(name):
        file = tools / f"{name}.calls"
        return [float(line) for line in file.read_text().split()] if file.exists() else []

    submitted = calls("sbatch")
    assert len(submitted) == 3 and not calls("sacct") and not calls("scancel")
    # a program may be slow to begin and note when it was called
    assert all(b - a >= 1 for a, b in zip(submitted, submitted[1:], strict=False)), "a poll, or 10 s, apart"
    assert len(calls("squeue")) <= seconds / 2 + 1, "one a poll"
