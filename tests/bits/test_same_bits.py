"""The jobs of jobs.json end with the weights that version 0.1.0 gave them, bit for bit.

They run by every set of kernels that this host has.

The list is 30 jobs a rule that cover every task and parameter that reaches a result (record.py draws them).
"""

import json
import pathlib

import made
import pytest
from runs import run_all

LIST = json.loads(pathlib.Path(__file__).with_name("jobs.json").read_text())


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
    digests = run_all(daemon, [entry["job"] for entry in LIST])
    wrong = [entry["job"] for entry, digest in zip(LIST, digests, strict=True) if entry["sha256"] != digest]
    assert not wrong, f"{len(wrong)} of {len(LIST)} jobs ended with other weights; the first: {json.dumps(wrong[0])}"


def test_the_list_is_whole():
    count = {}
    for entry in LIST:
        type = entry["job"]["rule"]["type"]
        count[type] = count.get(type, 0) + 1
    assert count == {"bptt": 30, "eprop": 30, "mdgl": 30, "modprop": 30, "rtrl": 30}
    assert len({entry["sha256"] for entry in LIST}) == len(LIST) and all(len(entry["sha256"]) == 64 for entry in LIST)
