"""A short run of every fuzzing target, as many at once as there are cores; an hour in all by `sh tests/run --long`.

$FUZZ_SECONDS is the time of each.
"""

import concurrent.futures
import os
import pathlib
import subprocess

import pytest

SECONDS = os.environ.get("FUZZ_SECONDS", "300" if os.environ.get("MODPROP_LONG") else "2")
RUN = pathlib.Path(__file__).with_name("run")
TARGETS = ["accept", "checkpoint", "config", "dataset", "gradients", "idx", "job", "options", "query", "records"]
TARGETS += ["simulate", "safetensors", "search", "tokens"]


def fuzz(target):
    return subprocess.run(["sh", str(RUN), SECONDS, target], capture_output=True, text=True)


@pytest.fixture(scope="module")
def runs(request):
    """Of each chosen target, its run to come."""
    chosen = [item.callspec.params["target"] for item in request.session.items if item.module is request.module]
    with concurrent.futures.ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        yield {target: pool.submit(fuzz, target) for target in chosen}
        pool.shutdown(cancel_futures=True)


@pytest.mark.parametrize("target", TARGETS)
def test_target(runs, target):
    ended = runs[target].result()
    if ended.returncode == 77:
        pytest.skip(ended.stdout.strip())
    assert ended.returncode == 0, ended.stdout[-8000:] + ended.stderr[-2000:]
