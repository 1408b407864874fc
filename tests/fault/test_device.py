"""A device is lost while jobs run on it: all go on, on the processor, and have the bits that they would have had."""

import os

import daemons
import pytest
from daemons import ROOT, wait_until

PLAIN = ROOT / "build" / "server" / "modpropd"  # a sanitizer looks functions up by the dlsym that the library replaces
LIBRARY = ROOT / "build" / "tests" / "fault" / "libdevicefault.so"
ENDLESS = 1_000_000
pytestmark = [
    pytest.mark.skipif(not os.environ.get("MODPROP_LONG"), reason="of the long run"),
    pytest.mark.skipif(not PLAIN.exists() or not LIBRARY.exists(), reason="build/ has no daemon and libdevicefault.so"),
]


def job(number, iterations):
    return {
        "task": {"type": "delayed_xor", "delay": 13, "cue": 6},
        "network": {"units": 13, "tau": 7},
        "rule": {"type": "modprop", "weights": "type"},
        "training": {
            "iterations": iterations,
            "batch_size": 8,
            "evaluate_every": 50,
            "checkpoint_every": ENDLESS,
        },
        "seed": 80 + number,
    }


def read(daemon, id):
    return daemon.get(f"/v1/jobs/{id}").json()


def goes_on(daemon, id, before):
    """Whether the job runs again and has made more updates than before."""
    now = read(daemon, id)
    return now["status"] == "running" and now["progress"]["iteration"] > before


def on_device(daemon):
    return next(device["jobs"] for device in daemon.get("/v1/devices").json()["devices"] if device["used"])


def test_jobs_of_a_lost_device_go_on_with_the_same_bits(start, tmp_path, monkeypatch):
    fault = tmp_path / "fault"
    environment = {"LD_PRELOAD": str(LIBRARY), "MODPROP_DEVICE_FAULT": str(fault)}
    monkeypatch.setattr(daemons, "MODPROPD", PLAIN)
    try:
        daemon = start(
            *("--device", "opencl:0", "--workers", "3", "--device-jobs", "4"),
            data=tmp_path / "device",
            environment=environment,
        )
    except RuntimeError as error:
        pytest.skip(f"SKIPPED: {error}")
    ids = [daemon.submit(job(number, ENDLESS)) for number in range(3)]
    wait_until(lambda: on_device(daemon) == 3, timeout=300)
    fault.touch()
    wait_until(lambda: on_device(daemon) == 0, timeout=300)
    made = []
    for id in ids:
        before = read(daemon, id)["progress"]["iteration"]
        wait_until(lambda id=id, before=before: goes_on(daemon, id, before), timeout=300)
        assert daemon.post(f"/v1/jobs/{id}/pause").status_code in (200, 202)
        wait_until(lambda id=id: read(daemon, id)["status"] == "paused", timeout=300)
        weights = daemon.get(f"/v1/jobs/{id}/weights").json()
        made.append((weights["iteration"], weights["sha256"]))
        assert daemon.post(f"/v1/jobs/{id}/cancel").status_code in (200, 202)
    assert on_device(daemon) == 0
    wait_until(lambda: "has failed" in daemon.log())
    alone = start(data=tmp_path / "processor")
    for number, (iterations, sha256) in enumerate(made):
        ended = alone.get(f"/v1/jobs/{alone.submit(job(number, iterations))}?wait=300", timeout=310).json()
        assert ended["status"] == "succeeded" and ended["weights_sha256"] == sha256, ended
