"""`modprop pool slurm` with a real Slurm: allocations come and go with the queue, and jobs survive whatever happens."""

import pathlib
import time

import pytest
from daemons import wait_until
from pools import running, wrapper
from slurm import missing
from workers import FINAL, JOB, SLOW

pytestmark = pytest.mark.skipif(bool(missing()), reason=f"this host lacks {', '.join(missing())}")


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
    seen += lab.outputs()
    assert lab.tokens["secret"].read_text().strip() not in seen
    lab.whole(job, expected["slow", 1])


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
    assert lab.once().returncode == 0
    (_,) = lab.allocations()
    for _ in range(9):  # the keeper would take half a minute to submit them
        slurm.run("sbatch", f"--job-name=modprop-{lab.name}", "--output=/dev/null", "--wrap=exit 1")
    wait_until(lambda: len(lab.allocations("FAILED")) == 10)
    answer = lab.once()
    assert answer.returncode == 5 and "never joined" in answer.stderr
    assert len(lab.allocations()) == 10


def test_workers_that_had_nothing_to_do_any_more_had_joined(pool, slurm):
    """They have left the daemon's list by the time that there is work again."""
    lab = pool()
    for _ in range(10):
        slurm.run("sbatch", f"--job-name=modprop-{lab.name}", "--output=/dev/null", "--wrap=exit 0")
    wait_until(lambda: len(lab.allocations("COMPLETED")) == 10)
    lab.submit(JOB)
    answer = lab.once()
    assert answer.returncode == 0 and "submitted allocation" in answer.stderr


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
    time.sleep(2.5)  # of a poll, and a little
    seconds = time.monotonic() - begun

    def calls(name):
        file = tools / f"{name}.calls"
        return [float(line) for line in file.read_text().split()] if file.exists() else []

    submitted = calls("sbatch")
    assert len(submitted) == 3 and not calls("sacct") and not calls("scancel")
    # a program may be slow to begin and note when it was called
    assert all(b - a >= 1 for a, b in zip(submitted, submitted[1:], strict=False)), "a poll, or 10 s, apart"
    assert len(calls("squeue")) <= seconds / 2 + 1, "one a poll"
