#!/usr/bin/env python3
"""Trains a task of neurogym through the service: trials are drawn here, uploaded once, and learned with several rules.

    pip install "neurogym==2.0.*"
    python neurogym_task.py --task PerceptualDecisionMaking-v0 --iterations 400

A step of the service is one step of the environment (`--dt` ms each), so time constants are given in steps. Trials of
different length are padded; padded steps, and those before the decision, have mask 0 and so no part in the loss. Needs
a running modpropd.
"""

from __future__ import annotations

import argparse
from typing import Any

import neurogym
import numpy as np
from modprop import Client, Dataset
from numpy.typing import NDArray

MEMBRANE_MS = 100.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--server", help="the daemon's address")
    parser.add_argument(
        "--task",
        default="PerceptualDecisionMaking-v0",
        help="a neurogym environment (default PerceptualDecisionMaking-v0)",
    )
    parser.add_argument("--dt", type=int, default=50, help="ms a step (default 50)")
    parser.add_argument("--trials", type=int, default=1000, help="for training; a fifth as many for testing")
    parser.add_argument("--iterations", type=int, default=400)
    parser.add_argument("--units", type=int, default=60)
    parser.add_argument(
        "--seeds", type=int, default=5, help="runs of each rule: on one seed chance decides (default 5)"
    )
    arguments = parser.parse_args()

    with Client(arguments.server) as client:
        dataset = upload(client, arguments.task, arguments.dt, arguments.trials)
        print(f"uploaded {arguments.task} as {dataset.name}", flush=True)
        jobs = {
            rule: [
                client.train(
                    dataset,
                    rule,
                    seed=seed,
                    name=f"{arguments.task} {rule}",
                    network={"units": arguments.units, "tau": MEMBRANE_MS / arguments.dt},
                    optimizer={"type": "adam", "learning_rate": 2e-3},
                    training={"iterations": arguments.iterations},
                )
                for seed in range(1, arguments.seeds + 1)
            ]
            for rule in ("bptt", "modprop", "eprop")
        }
        print(f"accuracy of the decisions on trials not trained on, over {arguments.seeds} seeds")
        for rule, runs in jobs.items():
            accuracies = np.array([job.wait().accuracy for job in runs])
            print(
                f"{rule:8} median {np.median(accuracies):.2f}, from {accuracies.min():.2f} to {accuracies.max():.2f}",
                flush=True,
            )


def upload(client: Client, task: str, dt: int, count: int) -> Dataset:
    inputs, targets, mask = trials(task, dt, count, seed=1)
    test_inputs, test_targets, test_mask = trials(task, dt, max(1, count // 5), seed=2, steps=len(inputs))
    return client.dataset(
        inputs, targets, mask=mask, test_inputs=test_inputs, test_targets=test_targets, test_mask=test_mask
    )


def trials(
    task: str, dt: int, count: int, *, seed: int, steps: int | None = None
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Inputs (T,B,I), target actions (T,B) and mask (T,B) of `count` trials; T is the longest's length, or `steps`,
    which cuts."""
    environment = neurogym.make(task, dt=dt).unwrapped
    environment.seed(seed)
    drawn = []
    for _ in range(count):
        environment.new_trial()
        drawn.append((environment.ob.copy(), environment.gt.copy()))
    length = steps or max(len(actions) for _, actions in drawn)
    inputs = np.zeros((length, count, drawn[0][0].shape[1]), np.float32)
    targets = np.zeros((length, count), np.int32)
    mask = np.zeros((length, count), np.float32)
    for trial, (observed, actions) in enumerate(drawn):
        end = min(length, len(actions))
        inputs[:end, trial] = observed[:end]
        targets[:end, trial] = actions[:end]
        mask[:end, trial] = actions[:end] != 0  # action 0 is "keep fixating"
    return inputs, targets, mask


if __name__ == "__main__":
    main()
