"""The identity of a build follows from sources, compiler and flags alone, and appears wherever results are reported."""

import re
import shutil
import subprocess

import pytest
from daemons import MODPROPD, ROOT
from runs import ended, submit

JOB = {
    "task": {"type": "pattern", "duration": 20},
    "network": {"units": 8},
    "training": {"iterations": 2, "batch_size": 1},
}


def identity(folder, *options):
    """Of a build of the tree in `folder`, which need not be a git repository."""
    build = folder / "build"
    subprocess.run(["meson", "setup", build, folder, *options], check=True, capture_output=True)
    subprocess.run(["ninja", "-C", build, "core/build.c"], check=True, capture_output=True)
    return re.search(r'"(\S+\+[0-9a-f]{16})"', (build / "core" / "build.c").read_text())[1]


def copy(target):
    keep_out = shutil.ignore_patterns(".git", "build*", "golden*", "releases", "__pycache__")
    for path in ROOT.iterdir():
        if path.is_dir() and path.name in ("core", "api", "server", "clients", "docker", "tests"):
            shutil.copytree(
                path, target / path.name, ignore=lambda folder, names: keep_out(folder, names) - {"build.py", "build.h"}
            )
        elif path.name.startswith("meson"):
            shutil.copy(path, target)
    return target


@pytest.fixture
def trees(tmp_path):
    folders = [tmp_path / "one", tmp_path / "another" / "deeper"]
    for folder in folders:
        folder.mkdir(parents=True)
    return [copy(folder) for folder in folders]


def test_builds_of_one_tree_in_two_folders_are_the_same(trees):
    mapped = f"-Dc_args=-ffile-prefix-map={trees[1]}=."
    first, second = identity(trees[0], "-Dtests=false"), identity(trees[1], "-Dtests=false")
    assert first == second
    shutil.rmtree(trees[1] / "build")
    assert len({first, identity(trees[1], "-Dtests=false", "-Dc_args=-O1")}) == 2
    shutil.rmtree(trees[1] / "build")
    empty = identity(trees[1], "-Dtests=false", mapped)
    shutil.rmtree(trees[0] / "build")
    assert empty == identity(trees[0], "-Dtests=false", mapped.replace(str(trees[1]), str(trees[0])))


def test_a_changed_source_makes_another_build(trees):
    before = identity(trees[0], "-Dtests=false")
    source = trees[0] / "core" / "engine" / "plan.c"
    source.write_text(source.read_text() + "\n")
    subprocess.run(["ninja", "-C", trees[0] / "build", "core/build.c"], check=True, capture_output=True)
    after = (trees[0] / "build" / "core" / "build.c").read_text()
    assert before not in after and before.split("+")[0] in after


def test_the_build_is_told_with_every_result(daemon):
    version = daemon.get("/version").json()
    shown = subprocess.run([MODPROPD, "--version"], capture_output=True, text=True, check=True).stdout
    assert re.fullmatch(re.escape(version["version"]) + r"\+[0-9a-f]{16}", version["build"])
    assert shown == f"modpropd {version['version']} (build {version['build']})\n"
    job = ended(daemon, submit(daemon, JOB))
    assert job["build"] == version["build"]
    assert daemon.get(f"/v1/jobs/{job['id']}/manifest").json()["build"] == version["build"]
