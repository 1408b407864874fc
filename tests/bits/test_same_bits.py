"""The jobs of the lists end with the recorded weights, bit for bit, by every set of kernels that this host has.

jobs.json is 30 jobs a rule that cover every task and parameter of version 0.1.0, with its weights; jobs-0.2.json is 30
jobs for each rule, neuron model and shared parameter that came with version 0.2 (record.py).
"""

import json
import pathlib

import made
import pytest
from runs import run_all

LISTS = ("jobs.json", "jobs-0.2.json")
ENTRIES = [entry for name in LISTS for entry in json.loads(pathlib.Path(__file__).with_name(name).read_text())]
JOBS = [entry["job"] for entry in ENTRIES]


def started(start, isa, data):
    """A daemon with this set of kernels and all data; None where the host lacks the set."""
    made.mnist_write(data)
    try:
        daemon = start("--isa", isa, "--workers", "4", data=data)
    except RuntimeError:
        assert isa != "portable"
        return None
    made.datasets_put(daemon)
    return daemon


@pytest.mark.parametrize("isa", ("portable", "avx2", "avx512", "neon"))
def test_the_weights_of_every_job_are_those_recorded(start, tmp_path, isa):
    daemon = started(start, isa, tmp_path)
    if daemon is None:
        pytest.skip(f"this host lacks {isa}")
    digests = run_all(daemon, JOBS)
    wrong = [entry["job"] for entry, digest in zip(ENTRIES, digests, strict=True) if entry["sha256"] != digest]
    assert not wrong, f"{len(wrong)} of {len(JOBS)} jobs ended with other weights; the first: {json.dumps(wrong[0])}"


def test_the_lists_are_whole():
    count = {}
    for entry in ENTRIES:
        group = entry.get("group", entry["job"]["rule"]["type"])
        count[group] = count.get(group, 0) + 1
    assert len(count) >= 17 and set(count.values()) == {30}, count
    assert len({entry["sha256"] for entry in ENTRIES}) == len(ENTRIES)
    assert all(len(entry["sha256"]) == 64 for entry in ENTRIES)


def test_the_lists_have_every_rule_task_and_neuron_model(daemon):
    """What the daemon offers and the lists lack: a group of draws.py, and record.py adds 30 jobs."""
    rules, tasks, neurons = (daemon.get(f"/v1/{name}").json()[name] for name in ("rules", "tasks", "neurons"))
    seen = {(job["rule"]["type"], name) for job in JOBS for name in job["rule"]}
    offered = {(rule["type"], name) for rule in rules for name in rule["parameters"]}
    assert offered <= seen, f"parameters of rules: {sorted(offered - seen)}"
    models = {job["network"].get("model", "membrane") for job in JOBS}
    assert {neuron["type"] for neuron in neurons} == models
    named = {name for job in JOBS for name in job["network"]} | {"model"}
    missing = {name for neuron in neurons for name in neuron["parameters"]} - named
    assert not missing, f"parameters of the network: {sorted(missing)}"
    assert {task["type"] for task in tasks} == {job["task"]["type"] for job in JOBS}
