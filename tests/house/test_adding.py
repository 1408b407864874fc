"""core/ADDING.md is true: its blocks, applied to a copy of the tree, build, pass and train.

A block "```c FILE" is a new file. A block "```diff FILE" changes one: lines with a space before them stand in the file,
those with - go, those with + come, and @@ separates places; blanks at the ends of lines do not count.
"""

import os
import re
import shutil
import subprocess
import time

import daemons
import pytest
from daemons import ROOT

TARGETS = [
    "server/modpropd",
    "tests/unit/test_identity",
    "tests/unit/test_tasks",
    "tests/unit/test_rules",
    "tests/unit/test_neurons",
]
JOB = {
    "task": {"type": "hold", "cue": 3, "delay": 7},
    "network": {"units": 8, "dale": False},
    "rule": {"type": "fading", "keep": 0.5},
    "training": {"iterations": 200, "batch_size": 16, "evaluate_every": 100},
}


def blocks():
    """(kind, file, text) of every block of the page that names a file."""
    page = (ROOT / "core" / "ADDING.md").read_text()
    return re.findall(r"^```(c|diff) (\S+)\n(.*?)^```$", page, re.S | re.M)


def changed(text, diff):
    lines = [line.rstrip() for line in text.splitlines()]
    for place in re.split(r"^@@.*\n", diff, flags=re.M):
        given = [(line[:1], re.sub(r"\s+\\$", " \\\\", line[1:].rstrip())) for line in place.splitlines()]
        old = [line for mark, line in given if mark != "+"]
        plain = [re.sub(r"\s+\\$", " \\\\", line) for line in lines]
        at = [i for i in range(len(lines)) if plain[i : i + len(old)] == old]
        assert len(at) == 1, f"this place was found {len(at)} times:\n{place}"
        lines[at[0] : at[0] + len(old)] = [line for mark, line in given if mark != "-"]
    return "\n".join(lines) + "\n"


def copy_make(folder):
    for name in subprocess.check_output(["git", "ls-files"], cwd=ROOT, text=True).split("\n"):
        if name and (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    for kind, name, text in blocks():
        path = folder / name
        assert (kind == "c") == (not path.exists()), name
        path.write_text(text if kind == "c" else changed(path.read_text(), text))


ENVIRONMENT = os.environ | {"CK_DEFAULT_TIMEOUT": "600"}  # seconds for one unit test, however slow the machine


def run(*command, cwd):
    made = subprocess.run(command, cwd=cwd, capture_output=True, text=True, env=ENVIRONMENT)
    assert made.returncode == 0, f"{command}\n{(made.stdout + made.stderr)[-4000:]}"


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    folder = tmp_path_factory.mktemp("adding")
    copy_make(folder)
    run("meson", "setup", "build", "-Dbuildtype=debug", "-Dwerror=true", cwd=folder)
    run("ninja", "-C", "build", *TARGETS, cwd=folder)
    return folder


def test_the_page_adds_one_of_each():
    new = [name for kind, name, _ in blocks() if kind == "c"]
    assert sorted(new) == [
        "core/kernels/activation_clipped.h",
        "core/model/adapting.c",
        "core/rules/fading.c",
        "core/tasks/hold.c",
    ]
    # beside them only a table of parameters and the tests
    rest = {name for kind, name, _ in blocks() if kind == "diff" and not name.startswith("tests/")}
    assert rest == {"core/base/seams.h", "core/tasks/delayed_xor.c"}
    # a row is one line
    for kind, name, text in blocks():
        if kind == "diff" and name == "core/base/seams.h":
            assert len(re.findall(r"^\+", text, re.M)) == 1 and not re.search(r"^-", text, re.M)


@pytest.mark.parametrize("program", TARGETS[1:])
def test_the_unit_tests_take_what_was_added(tree, program):
    run(str(tree / "build" / program), cwd=tree)


@pytest.fixture
def daemon(tree, tmp_path, monkeypatch):
    monkeypatch.setattr(daemons, "MODPROPD", str(tree / "build" / TARGETS[0]))
    running = daemons.Daemon(tmp_path / "data")
    yield running
    running.finish()


def parameters(document, list, type):
    found = [entry for entry in document[list] if entry["type"] == type]
    assert len(found) == 1
    return found[0]["parameters"]


def finished(daemon, job):
    made = daemon.post("/v1/jobs", json=job)
    assert made.status_code == 201, made.text
    end = time.monotonic() + 60
    while time.monotonic() < end:
        got = daemon.get(f"/v1/jobs/{made.json()['id']}").json()
        if got["status"] not in ("queued", "running"):
            return got
        time.sleep(0.1)
    raise AssertionError("the job did not end")


def test_what_was_added_is_described(daemon):
    rules, tasks = daemon.get("/v1/rules").json(), daemon.get("/v1/tasks").json()
    assert set(parameters(rules, "rules", "fading")) == {"keep", "feedback", "feedback_decay"}
    assert parameters(rules, "rules", "fading")["keep"]["default"] == 0.9
    assert set(parameters(tasks, "tasks", "hold")) == {"cue", "delay"}
    assert parameters(tasks, "tasks", "delayed_xor")["baseline"]["default"] == 0.02
    neurons = parameters(daemon.get("/v1/neurons").json(), "neurons", "adapting")
    assert neurons["tau_adaptation"]["default"] == 200 and "threshold" not in neurons
    text = daemon.get("/openapi.json").text
    assert all(f'"{name}"' in text for name in ("fading", "keep", "hold", "baseline", "adapting"))


def test_what_was_added_trains(daemon):
    job = finished(daemon, JOB)
    assert job["status"] == "succeeded", job
    assert job["rule"]["keep"] == 0.5 and job["task"]["delay"] == 7
    clipped = JOB | {"network": {"units": 8, "dale": False, "activation": "clipped"}}
    assert finished(daemon, clipped)["status"] == "succeeded"


def test_a_neuron_model_trains_with_every_rule_and_on_every_instruction_set(tree, tmp_path, monkeypatch):
    monkeypatch.setattr(daemons, "MODPROPD", str(tree / "build" / TARGETS[0]))
    digests = {}
    for isa in ("portable", "avx2", "avx512", "neon"):
        try:
            running = daemons.Daemon(tmp_path / isa, "--isa", isa)
        except RuntimeError:  # the host lacks it
            continue
        for rule in ("bptt", "eprop", "mdgl", "modprop", "rtrl"):
            network = {"model": "adapting", "units": 8, "beta": 0.4, "activation": "clipped"}
            job = finished(running, JOB | {"network": network, "rule": {"type": rule}})
            assert job["status"] == "succeeded", job
            digests.setdefault(rule, set()).add(job["weights_sha256"])
        running.finish()
    assert all(len(found) == 1 for found in digests.values())
    assert len(set.union(*digests.values())) == len(digests)


def test_a_value_out_of_range_is_rejected(daemon):
    answer = daemon.post("/v1/jobs", json=JOB | {"rule": {"type": "fading", "keep": 2}})
    assert answer.status_code == 422 and "/rule/keep" in answer.text and "from 0 to 1" in answer.text


def test_a_new_parameter_leaves_old_jobs_as_they_were(daemon):
    short = {
        "task": {"type": "delayed_xor", "cue": 4, "delay": 8},
        "network": {"units": 6},
        "training": {"iterations": 3},
    }
    digests = set()
    for task in ({}, {"baseline": 0.02}, {"baseline": 0.5}):
        job = finished(daemon, short | {"task": short["task"] | task})
        assert job["status"] == "succeeded", job
        digests.add(daemon.get(f"/v1/jobs/{job['id']}/weights").text.split('"W"')[1])
    assert len(digests) == 2
