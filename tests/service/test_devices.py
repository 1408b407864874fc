"""Jobs on an OpenCL device (PoCL in the tests): the recorded weights, a change of place at a checkpoint, and what is
said of what the device does not cover. Skipped, with the daemon's reason, where there is no device."""

import json

import pytest
from daemons import ROOT, wait_until

LISTS = ("jobs.json", "jobs-0.2.json")
ENTRIES = [entry for name in LISTS for entry in json.loads((ROOT / "tests" / "bits" / name).read_text())]
XOR = {
    "task": {"type": "delayed_xor", "delay": 13, "cue": 6},
    "network": {"units": 12, "tau": 7},
    "rule": {"type": "bptt"},
    "training": {"iterations": 400, "batch_size": 8, "evaluate_every": 50, "checkpoint_every": 50},
    "seed": 5,
}


@pytest.fixture
def on_device(start):
    """Starts a daemon whose jobs run on device 0."""

    def starter(*flags, **options):
        try:
            return start("--device", "opencl:0", "--workers", "1", *flags, **options)
        except RuntimeError as error:
            pytest.skip(f"SKIPPED: {error}")

    return starter


def covered(daemon, job):
    answer = daemon.post("/v1/jobs:validate", json=job)
    assert answer.status_code == 200, answer.text
    return answer.json()["estimate"]["device"]


def ended(daemon, id):
    job = daemon.get(f"/v1/jobs/{id}?wait=300", timeout=310).json()
    assert job["status"] == "succeeded", job
    return job["weights_sha256"], daemon.get(f"/v1/jobs/{id}/manifest").json()["instruction_sets"]


def test_devices_are_listed_where_the_daemon_has_one(on_device):
    document = on_device().get("/v1/devices").json()
    assert document["reason"] is None and document["devices"][0]["used"]
    for number, device in enumerate(document["devices"]):
        assert device["number"] == number and device["name"] and device["memory_bytes"] > 0
        assert device["suitable"] == (device["reason"] is None)


def test_without_a_device_nothing_is_listed_and_nothing_covered(daemon):
    assert daemon.get("/v1/devices").json() == {"devices": [], "reason": "--device is none"}
    assert covered(daemon, XOR) is None


@pytest.mark.parametrize("text", ["gpu", "opencl:", "opencl:x", "opencl:99", "opencl:-1"])
def test_a_device_that_is_not_there_is_refused(start, text):
    daemon = start("--device", text, wait=False)
    assert daemon.wait(20) == 2 and "--device" in daemon.log()
    daemon.expected = {2}


def test_validate_says_what_the_device_covers(on_device):
    daemon = on_device()
    assert covered(daemon, XOR) == {"covers": True, "reason": None}
    for change, word in (
        ({"rule": {"type": "snap", "order": 1}}, "rule snap"),
        ({"task": {"type": "go_nogo"}}, "task go_nogo"),
        ({"network": {"units": 12, "noise": 0.1}}, "network.noise"),
        ({"network": {"units": 12, "model": "lif"}}, "network.model"),
        ({"rule": {"type": "modprop", "mu": {"gain_at_most": 10}}}, "credit gain"),
    ):
        answer = covered(daemon, XOR | change)
        assert not answer["covers"] and word in answer["reason"], answer


def test_jobs_end_with_the_recorded_weights(on_device):
    """A job of each rule and task that the device covers."""
    daemon, chosen = on_device(), {}
    for entry in ENTRIES:
        job = entry["job"]
        kind = (job["rule"]["type"], job["task"]["type"])
        drawn = job["task"]["type"] in ("delayed_xor", "pattern", "evidence")
        if drawn and kind not in chosen and covered(daemon, job)["covers"]:
            chosen[kind] = entry
    assert len(chosen) >= 8, chosen.keys()
    ids = {daemon.submit(entry["job"]): entry for entry in chosen.values()}
    for id, entry in ids.items():
        sha256, sets = ended(daemon, id)
        assert sha256 == entry["sha256"], json.dumps(entry["job"])
        assert sets[-1] == "opencl" and len(sets) == 2, sets


@pytest.mark.parametrize("first", ["device", "processor"])
def test_a_job_changes_its_place_at_a_checkpoint(on_device, start, tmp_path, first):
    # Long enough to be interrupted wherever it began: a processor makes thousands of such updates a second.
    training = XOR["training"] | {"iterations": 6000, "evaluate_every": 1000, "checkpoint_every": 200}
    job = XOR | {"rule": {"type": "modprop", "weights": "type"}, "training": training}
    here, there = (on_device, start) if first == "device" else (start, on_device)
    daemon = here(data=tmp_path / "one")
    id = daemon.submit(job)
    wait_until(lambda: daemon.get(f"/v1/jobs/{id}/checkpoints").json()["checkpoints"], timeout=120, every=0.01)
    daemon.kill()
    daemon = there(data=tmp_path / "one")
    sha256, sets = ended(daemon, id)
    assert "opencl" in sets, sets
    undisturbed = start(data=tmp_path / "two")
    assert ended(undisturbed, undisturbed.submit(job))[0] == sha256
