#!/usr/bin/env python3
"""Writes data directories with a released version, $MODPROPD, and what every later version must make of them.

    MODPROPD=PATH python3 tests/bits/record_release.py

Run once a release. releases/VERSION-killed.tar.xz is a data directory as SIGKILL left it; VERSION-stopped.tar.xz is one
whose daemon ended on SIGTERM. Both hold finished, paused, running and queued jobs of every rule, a diverged and a
cancelled one, a dataset of each kind and MNIST files. releases/VERSION.json says how each job stood, and what a daemon
of the same version that nobody interrupted made of it.

A job that runs too fast to be caught ends the script; then run it again.
"""

import json
import pathlib
import shutil
import sys
import tarfile
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
import made  # noqa: E402
from daemons import Daemon, wait_until  # noqa: E402
from runs import curve, ended, submit  # noqa: E402

FOLDER = pathlib.Path(__file__).with_name("releases")
XOR = {"type": "delayed_xor", "delay": 20, "cue": 8}
LONG = {"iterations": 6000, "batch_size": 16, "evaluate_every": 600, "checkpoint_every": 100}
SHORT = {"iterations": 20, "batch_size": 3, "evaluate_every": 5, "checkpoint_every": 5}


def job(name, rule, task=XOR, training=SHORT, network=None, optimizer=None):
    return {
        "name": name,
        "task": task,
        "network": {"units": 9, **(network or {})},
        "rule": rule,
        "optimizer": {"learning_rate": 0.001, **(optimizer or {})},
        "training": training,
    }


TYPED = {"type": "modprop", "weights": "type", "tracking": "initial"}
AUTO = {"type": "modprop", "mu": "auto", "first_hop": "exact", "taps": 4}
ADAPTIVE = {"type": "mdgl", "feedback": "adaptive", "feedback_decay": 0.001}
RULES = [{"type": type} for type in ("bptt", "eprop", "mdgl", "modprop", "rtrl")]
CLASSES, VALUES = ({"type": "dataset", "name": name} for name in made.DATASETS)
TAUS = {"tau": [4 + unit for unit in range(9)], "activation": "tanh"}
FREE = {"dale": False, "bias": True, "discretization": "euler", "tau": {"low": 3, "high": 30}}

FINISHED = [
    *(job(f"finished {rule['type']}", rule) for rule in RULES),
    job("finished types", TYPED, network={"types_per_sign": 2, "connectivity": 0.5}),
    job("finished auto", AUTO, task=CLASSES, optimizer={"type": "sgd", "momentum": 0.8}),
    job("finished adaptive", ADAPTIVE, task=VALUES, network=TAUS, optimizer={"clip_norm": 0.1}),
    job("finished pattern", RULES[3], task={"type": "pattern", "outputs": 2, "duration": 40}, network=FREE),
    job(
        "finished evidence",
        RULES[1],
        task={"type": "evidence", "cues": 3, "cue_duration": 8, "cue_active": 5, "delay": 9, "recall": 5},
    ),
    job("finished rows", RULES[4], task={"type": "row_mnist"}),
    job("finished pixels", RULES[0], task={"type": "pixel_mnist"}, training=SHORT | {"iterations": 5}),
    job("finished given", RULES[0], task=CLASSES, network={"initial": made.initial_weights(9, 3, 4)}),
    job("finished early", RULES[2], training=SHORT | {"stop_when": {"metric": "loss", "above": 0, "evaluations": 2}}),
    job("finished told", RULES[3], training=SHORT | {"diagnostics": True}),
]
FAILED = [job("diverged", RULES[0], task=VALUES, optimizer={"type": "sgd", "learning_rate": 1000, "clip_norm": None})]
UNFINISHED = [
    *(job(rule["type"], rule, training=LONG) for rule in RULES),
    job("types", TYPED, training=LONG, network={"types_per_sign": 2, "connectivity": 0.5}),
    job("auto", AUTO, task=CLASSES, training=LONG, optimizer={"type": "sgd", "momentum": 0.8, "l2": 0, "l1": 0}),
    job("adaptive", ADAPTIVE, task=VALUES, training=LONG, network=TAUS),
    job("rows", RULES[3], task={"type": "row_mnist"}, training=LONG, network=FREE),
    job("given", RULES[1], task=CLASSES, training=LONG, network={"initial": made.initial_weights(9, 3, 4)}),
]


def checkpointed(daemon, id):
    """Whether the job has stored a checkpoint of its own."""
    return any(one["iteration"] > 0 for one in daemon.get(f"/v1/jobs/{id}/checkpoints").json()["checkpoints"])


def halted(daemon, job, action):
    """Submits the job and cancels or pauses it once it has a checkpoint."""
    id = submit(daemon, job)
    wait_until(lambda: checkpointed(daemon, id), 60, 0.001)
    assert daemon.post(f"/v1/jobs/{id}/{action}").status_code == 200, (
        f"{job['name']} had ended: it needs more iterations"
    )
    wait_until(lambda: daemon.get(f"/v1/jobs/{id}").json()["status"] in ("paused", "cancelled"), 60, 0.001)
    return job | {"id": id}


def started(data, workers):
    made.mnist_write(data)
    daemon = Daemon(data, "--workers", str(workers))
    made.datasets_put(daemon)
    return daemon


def all_run(daemon):
    """The statuses of all jobs once one alone is queued; the others that are to run must not have ended."""
    statuses = {one["id"]: one["status"] for one in daemon.get("/v1/jobs?limit=100").json()["jobs"]}
    count = list(statuses.values()).count
    assert count("running") + count("queued") == len(UNFINISHED) + 1, "a job needs more iterations"
    return statuses if count("queued") == 1 else None


def fill(data, end):
    """Makes the data directory; `end` ends the daemon. Returns each job with its id and status."""
    daemon, jobs = started(data, len(UNFINISHED)), []
    try:
        for one in FINISHED + FAILED:
            jobs.append(one | {"id": submit(daemon, one)})
            ended(daemon, jobs[-1]["id"])
        jobs.append(halted(daemon, job("cancelled", RULES[1], training=LONG), "cancel"))
        paused = [halted(daemon, one | {"name": f"paused {one['name']}"}, "pause") for one in UNFINISHED]
        running = [halted(daemon, one | {"name": f"running {one['name']}"}, "pause") for one in UNFINISHED]
        for one in running:
            assert daemon.post(f"/v1/jobs/{one['id']}/resume").status_code == 200
        waiting = job("queued", RULES[3]) | {"priority": -1}
        waiting |= {"id": submit(daemon, waiting)}
        jobs += [*paused, *running, waiting]
        statuses = wait_until(lambda: all_run(daemon), 60, 0.001)
        end(daemon)
    finally:
        daemon.finish()
    return [one | {"status": statuses[one["id"]]} for one in jobs]


def result(daemon, job):
    """What an undisturbed run makes of the job."""
    id = submit(daemon, {key: value for key, value in job.items() if key not in ("id", "status")})
    end = ended(daemon, id)
    return {"end": end["status"], "weights_sha256": end.get("weights_sha256"), "curve": curve(daemon, id)}


def result_name(job):
    """Paused and running jobs are the same and have the same results."""
    return job["name"].removeprefix("paused ").removeprefix("running ")


def pack(data, target):
    with tarfile.open(target, "w:xz", preset=9) as archive:
        for path in sorted(data.rglob("*")):
            if path.is_file() and path.name != "lock":
                archive.add(path, path.relative_to(data), filter=anonymous)


def anonymous(member):
    member.uid = member.gid = member.mtime = 0
    member.uname = member.gname = ""
    return member


def main():
    FOLDER.mkdir(exist_ok=True)
    told = {"jobs": {}, "results": {}}
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        whole = started(folder / "whole", 2)
        try:
            version = whole.get("/version").json()["version"]
            for name, end in (("killed", Daemon.kill), ("stopped", Daemon.stop)):
                jobs = fill(folder / name, end)
                told["jobs"][name] = [{key: one[key] for key in ("id", "name", "status")} for one in jobs]
                for one in jobs:
                    if one["status"] != "cancelled" and result_name(one) not in told["results"]:
                        told["results"][result_name(one)] = result(whole, one)
                pack(folder / name, folder / f"{version}-{name}.tar.xz")
        finally:
            whole.finish()
        for path in folder.glob("*.tar.xz"):
            shutil.copy(path, FOLDER)
    (FOLDER / f"{version}.json").write_text(json.dumps(told, indent=1) + "\n")


if __name__ == "__main__":
    main()
