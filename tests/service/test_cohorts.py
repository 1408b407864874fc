"""Jobs of equal shape side by side on a device (PoCL in the tests).

They differ in all that may differ, come and go, are paused, resumed and cancelled, and each has the bits that it has
alone on the processor. Skipped, with the daemon's reason, where there is no device.
"""

import re

import pytest
from daemons import wait_until

ENDLESS = 1_000_000  # updates: the job lasts until it is paused or cancelled, however fast the device is


@pytest.fixture
def on_device(start):
    """A daemon with one core for jobs: whatever runs beside a job runs on the device."""
    try:
        return start("--device", "opencl:0", "--workers", "1", "--device-jobs", "6")
    except RuntimeError as error:
        pytest.skip(f"SKIPPED: {error}")


def job(number, iterations):
    """Of one shape; seed, task, rule and optimiser have numbers of their own."""
    return {
        "task": {"type": "delayed_xor", "delay": 13, "cue": 6, "amplitude": 1 + number, "noise": 0.01 * number},
        "network": {"units": 13, "tau": 7},
        "rule": {"type": "modprop", "weights": "type", "mu": 0.2 + 0.1 * number},
        "optimizer": {"learning_rate": 0.001 * (1 + number), "l2": 0.0001 * number},
        "training": {
            "iterations": iterations,
            "batch_size": 8,
            "evaluate_every": 50 * (1 + number),
            "checkpoint_every": ENDLESS,
        },
        "seed": 70 + number,
    }


def ended(daemon, id):
    answer = daemon.get(f"/v1/jobs/{id}?wait=600", timeout=610).json()
    assert answer["status"] == "succeeded", answer
    return answer["weights_sha256"]


def status(daemon, id):
    return daemon.get(f"/v1/jobs/{id}").json()["status"]


def metric(daemon, name):
    return float(re.search(rf"^{name} (\S+)$", daemon.get("/metrics").text, re.M)[1])


def device_has(daemon, jobs, cohorts):
    return metric(daemon, "modprop_device_jobs") == jobs and metric(daemon, "modprop_device_cohorts") == cohorts


def paused(daemon, id):
    """Pauses the job; how many updates it has made, and its weights."""
    assert daemon.post(f"/v1/jobs/{id}/pause").status_code in (200, 202)
    wait_until(lambda: status(daemon, id) == "paused", timeout=300)
    document = daemon.get(f"/v1/jobs/{id}/weights").json()
    return document["iteration"], document["sha256"]


def test_jobs_run_side_by_side_and_each_has_its_own_bits(on_device, start, tmp_path):
    daemon = on_device
    holder = daemon.submit(job(0, ENDLESS))
    pauses = daemon.submit(job(1, ENDLESS))
    wait_until(lambda: device_has(daemon, 2, 1), timeout=300)
    late = [daemon.submit(job(number, 12)) for number in (2, 3)]
    found = [ended(daemon, id) for id in late]
    assert status(daemon, holder) == "running" and status(daemon, pauses) == "running"
    first, _ = paused(daemon, pauses)
    assert daemon.post(f"/v1/jobs/{pauses}/resume").status_code in (200, 202)
    wait_until(lambda: daemon.get(f"/v1/jobs/{pauses}").json()["progress"]["iteration"] > first, timeout=300)
    assert status(daemon, holder) == "running"
    made, weights = paused(daemon, pauses)
    for id in (holder, pauses):
        assert daemon.post(f"/v1/jobs/{id}/cancel").status_code in (200, 202)
        wait_until(lambda id=id: status(daemon, id) == "cancelled", timeout=300)
    wait_until(lambda: device_has(daemon, 0, 0), timeout=300)
    assert metric(daemon, "modprop_device_updates_total") >= made + 24
    assert metric(daemon, "modprop_device_memory_bytes") == 0
    alone = start(data=tmp_path / "processor")
    assert [ended(alone, alone.submit(job(number, 12))) for number in (2, 3)] == found
    assert ended(alone, alone.submit(job(1, made))) == weights


def test_two_jobs_that_begin_at_once_share_no_single_place(start):
    """Where a job runs is known only after its start; its place on the device is taken before."""
    try:
        daemon = start("--device", "opencl:0", "--workers", "2", "--device-jobs", "1")
    except RuntimeError as error:
        pytest.skip(f"SKIPPED: {error}")
    jobs = [daemon.submit(job(number, ENDLESS)) for number in (0, 1)]
    for id in jobs:
        wait_until(lambda id=id: daemon.get(f"/v1/jobs/{id}").json()["progress"]["iteration"] > 0, timeout=300)
    assert device_has(daemon, 1, 1)
    for id in jobs:
        assert daemon.post(f"/v1/jobs/{id}/cancel").status_code in (200, 202)
        wait_until(lambda id=id: status(daemon, id) == "cancelled", timeout=300)
