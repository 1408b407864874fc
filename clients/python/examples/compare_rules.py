#!/usr/bin/env python3
"""Compares learning rules across seeds: an experiment, its table, paired differences and a picture.

    python compare_rules.py --seeds 5 --iterations 1000 --picture rules.png

Seeds differ more than rules do, and the same seed starts every rule from the same weights and shows it the same trials;
so rules are compared on the same several seeds. Needs a running modpropd ($MODPROP_SERVER, else http://127.0.0.1:8080).
"""

from __future__ import annotations

import argparse

from modprop import Client

RULES = {
    "bptt": {"type": "bptt"},
    "modprop": {"type": "modprop", "mu": 0.25},
    "mdgl": {"type": "mdgl"},
    "e-prop": {"type": "eprop"},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--server", help="the daemon's address")
    parser.add_argument("--seeds", type=int, default=3, help="how many: 1, 2, .. (default 3)")
    parser.add_argument("--iterations", type=int, default=600)
    parser.add_argument(
        "--delay", type=int, default=200, help="ms between the two cues (default 200; the published task has 700)"
    )
    parser.add_argument("--picture", help="a file for the curves (needs matplotlib)")
    arguments = parser.parse_args()

    with Client(arguments.server) as client:
        # Submitting is quick and durable: the daemon queues the jobs and shares its cores among those that run.
        experiment = client.experiment(
            {
                "task": {"type": "delayed_xor", "delay": arguments.delay},
                "training": {"iterations": arguments.iterations},
            },
            axes={"rule": [{"label": label, "/rule": rule} for label, rule in RULES.items()]},
            seeds=arguments.seeds,
            metrics=["loss_below:0.1:5", "final:loss", "final:accuracy"],
            name="learning rules",
        )
        for trial in experiment:
            label = list(RULES)[int(trial.point)]
            print(f"{label:8} seed {trial.seed}: loss {trial.loss:.3f}, accuracy {trial.accuracy:.2f}", flush=True)

        print(experiment.points().table())
        for pair in experiment.compare("rule", metrics=["final:loss"]):
            print(
                f"{pair.label} with {pair.to_label}: better on {pair.won:.0%} of {pair.n} seeds, p = {pair.holm_p:.3f}"
            )
        if arguments.picture:
            experiment.plot().figure.savefig(arguments.picture)


if __name__ == "__main__":
    main()
