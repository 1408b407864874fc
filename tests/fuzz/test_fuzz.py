"""A short run of every fuzzing target; an hour in all by `sh tests/run --long`. $FUZZ_SECONDS is the time of each."""
import os
import pathlib
import subprocess

import pytest

SECONDS = os.environ.get("FUZZ_SECONDS", "330" if os.environ.get("MODPROP_LONG") else "4")
RUN = pathlib.Path(__file__).with_name("run")


@pytest.mark.parametrize("target", ["job", "gradients", "simulate", "safetensors", "dataset", "idx", "checkpoint", "query", "accept", "tokens", "config"])
def test_target(target):
    ended = subprocess.run(["sh", str(RUN), SECONDS, target], capture_output=True, text=True)
    if ended.returncode == 77:
        pytest.skip(ended.stdout.strip())
    assert ended.returncode == 0, ended.stdout[-8000:] + ended.stderr[-2000:]
