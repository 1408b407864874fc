"""The same job gives the same bits, whatever runs beside it, whatever its threads, interruptions and instruction set.

Every rule, alone and in company, by one thread and by two, paused and not, through every set of kernels that this host
has.
"""

import itertools
import os

import pytest
from daemons import wait_until

LONG = bool(os.environ.get("MODPROP_LONG"))
PATIENCE = 300
ISAS = ("portable", "avx2", "avx512")
RULES = [
    {"type": "bptt"},
    {"type": "eprop"},
    {"type": "mdgl"},
    {"type": "modprop"},
    {"type": "modprop", "weights": "type"},
    {"type": "modprop", "first_hop": "exact", "taps": 5},
    {"type": "modprop", "mu": "auto", "feedback": "adaptive"},
    {"type": "modprop", "mu": {"gain_at_most": 1.2, "every": 7, "mu": 0.9}},
    {"type": "filter", "taps": {"fit": {"steps": 30, "basis": "free", "every": 7, "trials": 19}}},
    {"type": "filter", "taps": {"fit": {"steps": 30, "terms": 3, "every": 7, "trials": 3}}, "feedback": "random"},
]
# 37 units and 5 trials: no multiple of any kernel's width
JOB = {
    "task": {"type": "delayed_xor", "delay": 30, "cue": 10},
    "network": {"units": 37, "types_per_sign": 2, "bias": True},
    "training": {"iterations": 150 if LONG else 50, "batch_size": 5, "evaluate_every": 25, "checkpoint_every": 20},
}
ENDLESS = JOB | {"network": {"units": 21}, "training": {"iterations": 10**9, "batch_size": 3, "evaluate_every": 10**6}}


def end(daemon, id):
    job = daemon.get(f"/v1/jobs/{id}?wait={PATIENCE}", timeout=PATIENCE + 10).json()
    assert job["status"] == "succeeded", job
    return job["weights_sha256"]


def iteration(daemon, id):
    return daemon.get(f"/v1/jobs/{id}").json()["progress"]["iteration"]


def interrupt(daemon, id):
    """Pauses the job where it is and lets it go on; it reports how often it was caught at it."""
    wait_until(lambda: iteration(daemon, id) > 3, PATIENCE, 0.002)
    if daemon.post(f"/v1/jobs/{id}/pause").status_code != 200:
        return 0  # it had ended
    wait_until(lambda: daemon.get(f"/v1/jobs/{id}").json()["status"] in ("paused", "succeeded"), PATIENCE, 0.002)
    return int(daemon.post(f"/v1/jobs/{id}/resume").status_code == 200)


def company_keep(daemon, rules):
    """Two jobs that never end run beside those that are looked at."""
    return [daemon.submit(ENDLESS | {"rule": rule, "priority": 10}) for rule in rules]


def starts_with(start, isa, data):
    """A daemon with this set of kernels, or None where the host lacks it."""
    daemon = start("--isa", isa, "--workers", "3", "--cores", "2", data=data, wait=False)
    daemon.ready_line = daemon.process.stdout.readline()
    if not daemon.ready_line:
        daemon.expected.add(2)
        assert daemon.wait(60) == 2 and isa != "portable"
        return None
    daemon.url = daemon.ready_line.split()[-1]
    return daemon


@pytest.fixture(scope="module")
def seen():
    """What the sets of kernels before this one gave."""
    return {}


@pytest.mark.parametrize("isa", ISAS)
def test_the_same_bits(start, tmp_path, isa, seen):
    daemon = starts_with(start, isa, tmp_path / isa)
    if daemon is None:
        pytest.skip(f"this host lacks {isa}")
    rules = RULES if LONG or isa != "portable" else RULES[4:5] + RULES[-1:]  # the plain C is slow
    alone = {}
    for (number, rule), threads in itertools.product(enumerate(rules), (1, 2)):
        alone.setdefault(number, set()).add(end(daemon, daemon.submit(JOB | {"rule": rule, "threads": threads})))
    assert all(len(found) == 1 for found in alone.values()), alone
    company, caught = company_keep(daemon, RULES[:2]), 0
    for (number, rule), threads, pauses in itertools.product(enumerate(rules), (1, 2), (0, 2) if LONG else (1,)):
        id = daemon.submit(JOB | {"rule": rule, "threads": threads})
        caught += sum(interrupt(daemon, id) for _ in range(pauses))
        assert {end(daemon, id)} == alone[number], (rule, threads, pauses)
    while not caught:
        id = daemon.submit(JOB | {"rule": rules[0]})
        caught += interrupt(daemon, id)
        assert {end(daemon, id)} == alone[0]
    for id in company:
        assert daemon.get(f"/v1/jobs/{id}").json()["status"] == "running"
        assert daemon.post(f"/v1/jobs/{id}/cancel").status_code == 200
    for number, rule in enumerate(rules):
        (digest,) = alone[number]
        assert seen.setdefault(str(rule), digest) == digest, rule
