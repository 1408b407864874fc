#!/usr/bin/env python3
"""Writes jobs.json: 30 small jobs a rule, and the sha256 of the weights with which the daemon of $MODPROPD ends each.

    MODPROPD=PATH python3 tests/bits/record.py

The digests in the repository are those of version 0.1.0. They are a promise: a change that alters one of them alters
the results of every stored job. So record again only to add jobs, with a build that gives the recorded digests of the
jobs already listed; this script refuses to replace a digest.

Each job is the one of many drawn that brings the most pairs of values that no job of its rule has had.
"""

import itertools
import json
import pathlib
import random
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
import made  # noqa: E402
from daemons import Daemon  # noqa: E402
from runs import run_all  # noqa: E402

LIST = pathlib.Path(__file__).with_name("jobs.json")
JOBS_A_RULE = 30
RULES = ("bptt", "eprop", "mdgl", "modprop", "rtrl")
TASKS = {
    "xor": {"type": "delayed_xor", "delay": 13, "cue": 6},
    "xor, loud": {"type": "delayed_xor", "delay": 0, "cue": 9, "amplitude": 1.5, "noise": 0.3},
    "pattern": {"type": "pattern", "duration": 41},
    "patterns": {"type": "pattern", "inputs": 5, "outputs": 3, "duration": 30},
    "evidence": {"type": "evidence", "cues": 3, "cue_duration": 8, "cue_active": 5, "delay": 7, "recall": 6},
    "evidence, busy": {
        "type": "evidence",
        "cues": 2,
        "cue_duration": 6,
        "cue_active": 6,
        "delay": 3,
        "recall": 2,
        "cue_probability": 0.9,
        "active_rate": 300,
        "background_rate": 50,
    },
    "rows": {"type": "row_mnist"},
    "rows, slow": {"type": "row_mnist", "steps_per_row": 2},
    "pixels": {"type": "pixel_mnist"},
    "classes": {"type": "dataset", "name": "classes"},
    "values": {"type": "dataset", "name": "values"},
}
SHAPES = {"classes": (3, 4), "values": (2, 3), "pixels": (1, 10)}  # of the tasks that take initial weights here
# Each value is what it adds to a section; "" stands for the default.
NETWORK = {
    "units": [6, 11, 21, 37, 70],
    "tau": ["", 7, "list", {"low": 3, "high": 40}],
    "activation": ["relu", "tanh"],
    "dale": [True, False],
    "excitatory_fraction": ["", 0.5],
    "types_per_sign": [1, 2, 3],
    "connectivity": ["", 0.4],
    "rewiring": ["none", "deep_r"],
    "discretization": ["exponential", "euler"],
    "bias": [True, False],
}
RULE = {
    "mu": ["", 0.6, "auto"],
    "weights": ["cell", "type"],
    "averaging": ["all", "existing"],
    "tracking": ["current", "initial"],
    "first_hop": ["mu", "exact"],
    "taps": ["", 1, 5],
    "feedback": ["symmetric", "random", "adaptive"],
    "feedback_decay": ["", 0.001],
}
OF_RULE = {"modprop": tuple(RULE), "mdgl": ("weights", "averaging", "tracking", "feedback", "feedback_decay")}
OPTIMIZER = {
    "type": ["adam", "sgd"],
    "learning_rate": ["", 0.01],
    "decay": [None, {"factor": 0.5, "every": 3}],
    "momentum": ["", 0.5],
    "beta1": ["", 0.8],
    "beta2": ["", 0.99],
    "epsilon": ["", 1e-4],
    "l2": [0, 0.01],
    "l1": [0, 0.005],
    "clip_norm": [None, 0.05],
}
TRAINING = {
    "iterations": [5, 9, 14],
    "batch_size": [1, 3, 5, 8, 17],
    "evaluate_every": [4],
    "checkpoint_every": [3],
    "memory": ["", 1048576],
    "stop_when": [None, {"metric": "loss", "above": 0, "evaluations": 2}],
    "diagnostics": [False, ["cosine", "spectral_radius", "psi", "norms"]],
}


def section(dice, choices, names=None):
    chosen = {name: dice.choice(values) for name, values in choices.items() if names is None or name in names}
    return {name: value for name, value in chosen.items() if value != "" or value is False}


def network_draw(dice, type):
    network = section(dice, NETWORK)
    if type == "rtrl":
        network["units"] = min(network["units"], 25)  # its cost grows with the fourth power
    if network.get("tau") == "list":
        network["tau"] = [3 + 2 * unit for unit in range(network["units"])]
    if not network["dale"]:
        network["rewiring"] = "none"
    return network


def rule_draw(dice, type):
    rule = section(dice, RULE, OF_RULE.get(type, ("feedback", "feedback_decay")))
    if rule.get("weights", "type") == "cell":
        rule |= {"averaging": "all", "tracking": "current"}
    if rule["feedback"] != "adaptive":
        rule.pop("feedback_decay", None)
    return {"type": type} | rule


def optimizer_draw(dice):
    optimizer = section(dice, OPTIMIZER)
    for name in ("beta1", "beta2", "epsilon") if optimizer["type"] == "sgd" else ("momentum",):
        optimizer.pop(name, None)
    return optimizer


def job_draw(dice, type):
    task = dice.choice(list(TASKS))
    job = {
        "name": task,
        "seed": dice.choice([1, 7, 2**53 - 1]),
        "threads": dice.choice([None, 1, 2]),
        "task": TASKS[task],
        "network": network_draw(dice, type),
        "rule": rule_draw(dice, type),
        "optimizer": optimizer_draw(dice),
        "training": section(dice, TRAINING),
    }
    if task in SHAPES and job["network"]["units"] <= 11:
        job["network"]["initial"] = made.initial_weights(job["network"]["units"], *SHAPES[task])
    if task == "pixels":  # 784 steps
        job["training"] |= {"batch_size": 2, "iterations": 5}
        job["network"]["units"] = 11
        job["network"] = {k: v for k, v in job["network"].items() if k != "initial" and not isinstance(v, list)}
    return job


def pairs(job):
    values = [("task", job["name"])]
    for name in ("network", "rule", "optimizer", "training"):
        values += [(name, key, "whole" if key == "initial" else json.dumps(value)) for key, value in job[name].items()]
    return set(itertools.combinations(sorted(values, key=repr), 2)) | {(value,) for value in values}


def jobs_choose(type):
    dice, seen, chosen = random.Random(f"modprop {type}"), set(), []
    while len(chosen) < JOBS_A_RULE:
        best = max((job_draw(dice, type) for _ in range(60)), key=lambda job: len(pairs(job) - seen))
        seen |= pairs(best)
        chosen.append(best)
    return chosen


def main():
    before = (
        {json.dumps(entry["job"]): entry["sha256"] for entry in json.loads(LIST.read_text())} if LIST.exists() else {}
    )
    jobs = [job for type in RULES for job in jobs_choose(type)]
    with tempfile.TemporaryDirectory() as folder:
        data = pathlib.Path(folder)
        made.mnist_write(data)
        daemon = Daemon(data, "--workers", "4")
        try:
            made.datasets_put(daemon)
            digests = run_all(daemon, jobs)
        finally:
            daemon.finish()
    for job, digest in zip(jobs, digests, strict=True):
        if before.get(json.dumps(job), digest) != digest:
            sys.exit(f"record: this build gives other weights than those recorded: {json.dumps(job)}")
    lines = [json.dumps({"sha256": digest, "job": job}) for job, digest in zip(jobs, digests, strict=True)]
    LIST.write_text("[\n" + ",\n".join(lines) + "\n]\n")
    print(f"{len(lines)} jobs, {len(set(digests))} different weights")


if __name__ == "__main__":
    main()
