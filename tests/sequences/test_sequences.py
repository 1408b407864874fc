"""Random programs against a daemon and the model of world.py. programs.py plays them by hand, too.

$MODPROPD is best a sanitized daemon. $MODPROP_SEQUENCES is the time of both tests together in seconds (30; half an hour
in the long run). The seed is printed; MODPROP_TEST_SEED repeats it.
"""

import os
import pathlib

import programs
import pytest
from daemons import drawn_seed

SECONDS = float(os.environ.get("MODPROP_SEQUENCES", 1800 if os.environ.get("MODPROP_LONG") else 30))
KEPT = sorted(pathlib.Path(__file__).with_name("kept").glob("*.json"))


@pytest.mark.parametrize("path", KEPT, ids=lambda path: path.stem)
def test_what_once_failed(path):
    """Programs that the fuzzer found, shrunk; each once more."""
    programs.play(programs.read(path), {})


@pytest.mark.parametrize("clients", [1, 4])
def test_programs(clients):
    """One client with now and then two steps at once, then four at once."""
    count, steps = programs.fuzz(SECONDS / 2, drawn_seed(), clients, shrinking=max(60, SECONDS / 10))
    print(f"{clients} clients, {SECONDS / 2:.0f} s: {count} programs, {steps} steps")
