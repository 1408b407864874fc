#!/usr/bin/env python3
"""Compares learning rules across seeds: mean and spread of the loss, a table and a picture.

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
        jobs = [
            client.train(
                {"type": "delayed_xor", "delay": arguments.delay},
                rule,
                seed=seed,
                name=label,
                training={"iterations": arguments.iterations},
            )
            for seed in range(1, arguments.seeds + 1)
            for label, rule in RULES.items()
        ]
        for job in jobs:
            job.wait()
            print(f"{job.name:8} seed {job.seed}: loss {job.loss:.3f}, accuracy {job.accuracy:.2f}", flush=True)

        comparison = client.compare(jobs, by=lambda document: document["name"])
        print(comparison.table())
        for label, rule in comparison.items():
            print(f"{label:8} last evaluation: loss {rule.mean()[-1]:.3f} ± {rule.std()[-1]:.3f}")
        if arguments.picture:
            comparison.plot().figure.savefig(arguments.picture)


if __name__ == "__main__":
    main()
