#!/usr/bin/env python3
"""Runs the comparisons behind the paper's figures through a modpropd's API, and writes their table and curves.

    tests/reproduce/run --experiment delayed_xor --seeds 1-10 --server http://127.0.0.1:8080 --out results

Jobs are found again by their metadata: those that the daemon has already, finished or not, are not submitted a second
time, so the program
may be stopped and started as one likes, and the daemon too. Jobs go on without it. With --report nothing is submitted.

`--experiment confirm` takes the best six rows of the screen that the daemon holds (by median final loss) to full
length, on delayed XOR;
`confirm_row_mnist` the same on row MNIST.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import re
import shlex
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

import modprop
import report
from experiments import Condition, Experiment, confirmation, experiments
from modprop import Client, Job, Metrics, ModpropError

CONFIRMATIONS = {"confirm": "delayed_xor", "confirm_row_mnist": "row_mnist"}
BEST = 6


def main() -> int:
    arguments = parse()
    try:
        with Client(arguments.server, token=arguments.token, patience=600) as client:
            for name in arguments.experiment:
                run(client, experiment_named(client, name), arguments)
    except ModpropError as error:
        print(f"reproduce: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("reproduce: stopped; the jobs go on, and the same command finds them again", file=sys.stderr)
        return 130
    return 0


def parse() -> argparse.Namespace:
    known = [*experiments(), *CONFIRMATIONS]
    parser = argparse.ArgumentParser(
        prog="tests/reproduce/run", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--experiment", action="append", required=True, choices=known, help="which comparison; may be given again"
    )
    parser.add_argument(
        "--seeds",
        type=seeds,
        default=None,
        metavar="1-10",
        help="seeds: numbers and ranges with commas between (default 1-10; 1-3 for screen)",
    )
    parser.add_argument("--server", help="the daemon's address (default $MODPROP_SERVER, else http://127.0.0.1:8080)")
    parser.add_argument("--token", help="where the daemon asks for one (default $MODPROP_TOKEN)")
    parser.add_argument(
        "--out",
        type=pathlib.Path,
        default=pathlib.Path("reproduced"),
        help="folder for NAME.md, NAME_*.csv and NAME.png",
    )
    parser.add_argument(
        "--only",
        action="append",
        default=[],
        metavar="TEXT",
        help="only rows whose label holds this text; may be given again",
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        type=override,
        metavar="training.iterations=100",
        help="changes every job; the value is JSON",
    )
    parser.add_argument("--priority", type=int, default=0, help="of the jobs in the daemon's queue")
    parser.add_argument("--report", action="store_true", help="submit nothing: write what the daemon has finished")
    return parser.parse_args()


def seeds(text: str) -> list[int]:
    """`1-3,7` is 1, 2, 3, 7."""
    found: list[int] = []
    for part in text.split(","):
        match = re.fullmatch(r"(\d+)(?:-(\d+))?", part)
        low, high = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
        if high < low:
            raise argparse.ArgumentTypeError(f'seeds are numbers and ranges such as "1-10" or "1,2,5-7"; got {text!r}')
        found += range(low, high + 1)
    return list(dict.fromkeys(found))


def override(text: str) -> tuple[str, Any]:
    path, equals, value = text.partition("=")
    if not equals or "." not in path:
        raise argparse.ArgumentTypeError(
            f"--set takes PATH=VALUE with a path such as training.iterations; got {text!r}"
        )
    try:
        return path, json.loads(value)
    except ValueError:
        return path, value


def experiment_named(client: Client, name: str) -> Experiment:
    if name not in CONFIRMATIONS:
        return experiments()[name]
    return confirmation(name, CONFIRMATIONS[name], best_of_screen(client))


def best_of_screen(client: Client) -> list[str]:
    """The labels of the screen's best rows.

    Least median final loss over their seeds, divergence counted as infinite.
    """
    losses: dict[str, list[float]] = {}
    for job in client.jobs(metadata={"reproduce": "screen"}):
        if job.finished and job.status != "cancelled":
            losses.setdefault(job.metadata["condition"], []).append(
                float("inf") if job.status == "failed" or job.loss is None else job.loss
            )
    if len(losses) < BEST:
        raise ModpropError(
            f"the daemon holds {len(losses)} finished rows of the screen, at least {BEST} are needed: run "
            "--experiment screen first"
        )
    return sorted(losses, key=lambda label: statistics.median(losses[label]))[:BEST]


def run(client: Client, experiment: Experiment, arguments: argparse.Namespace) -> None:
    """Submits what is missing, waits for all, writes the report."""
    began = time.monotonic()
    chosen = arguments.seeds or list(range(1, 4 if experiment.name == "screen" else 11))
    rows = [
        row for row in experiment.conditions if not arguments.only or any(text in row.label for text in arguments.only)
    ]
    jobs = gather(client, experiment.name, rows, chosen, dict(arguments.set), arguments)
    outcomes = [
        outcome_of(row, seed, job, experiment.below, f"{index}/{len(jobs)}")
        for index, (row, seed, job) in enumerate(jobs, 1)
    ]
    if outcomes:
        notes = provenance(client, outcomes, time.monotonic() - began)
        report.write(arguments.out, experiment.name, experiment.about, notes, outcomes)
        print(f"{experiment.name}: written to {arguments.out}/{experiment.name}.md, .png and .csv", flush=True)


def is_result(job: Job) -> bool:
    """Whether the job is a result or may become one.

    One that was cancelled, or failed by anything but divergence, is none: it is trained
    anew."""
    return job.status != "cancelled" and (
        job.status != "failed" or (job.document.get("error") or {}).get("code") == "diverged"
    )


def gather(
    client: Client,
    name: str,
    rows: Sequence[Condition],
    chosen: Sequence[int],
    overrides: Mapping[str, Any],
    arguments: argparse.Namespace,
) -> list[tuple[Condition, int, Job]]:
    """The job of each row and seed: the daemon's own where it has one, of whatever experiment, else submitted now.

    Seed by seed, so that a
    part of a run compares all rows."""
    held = {job.metadata["key"]: job for job in client.jobs() if "reproduce" in job.metadata and is_result(job)}
    jobs, fresh = [], 0
    for seed in chosen:
        for row in rows:
            document = row.job(name, seed, overrides)
            job = held.get(document["metadata"]["key"])
            if arguments.report and (job is None or not job.finished):
                continue
            if job is None:
                job, fresh = client.submit(document | {"priority": arguments.priority}), fresh + 1
            jobs.append((row, seed, job))
    print(
        f"{name}: {len(jobs)} jobs, {fresh} submitted now, {sum(job.finished for *_, job in jobs)} finished before",
        flush=True,
    )
    return jobs


def outcome_of(row: Condition, seed: int, job: Job, below: float, place: str) -> report.Outcome:
    """Waits for the job and says how it went. A failure other than divergence is no result and ends the program."""
    job.wait(check=False)
    if not is_result(job):
        raise modprop.JobFailed(job.document)
    metrics = job.metrics() if job.status == "succeeded" else Metrics([], {"loss": [], "accuracy": []})
    outcome = report.Outcome(row.label, seed, job, metrics, below)
    print(f"  {place} seed {seed:2d} {row.label}: {summary(outcome)}", flush=True)
    return outcome


def summary(outcome: report.Outcome) -> str:
    if outcome.diverged:
        return "diverged"
    learned = f"learned at {outcome.learned:.0f}" if outcome.learned != float("inf") else "not learned"
    return f"loss {outcome.loss:.4g}, accuracy {outcome.accuracy:.4g}, {learned}"


def provenance(client: Client, outcomes: Sequence[report.Outcome], seconds: float) -> list[str]:
    """What made these numbers: the command, the build, the time."""
    version = client.version()
    command = " ".join(map(shlex.quote, ["tests/reproduce/run", *without_address(sys.argv[1:])]))
    build = ", ".join(f"{name} {value}" for name, value in version.items() if isinstance(value, str) and name != "name")
    trained = sum(outcome.seconds for outcome in outcomes)
    return [
        f"Command: `{command}`",
        "",
        f"{len(outcomes)} jobs, {trained / 3600:.2f} hours of training, counted job by job; this command "
        f"took {seconds / 60:.1f} minutes "
        f"(jobs that the daemon had begun before took less of it). modpropd: {build}.",
    ]


def without_address(arguments: Sequence[str]) -> list[str]:
    """The command line without what says where and as whom it ran."""
    kept, skip = [], False
    for argument in arguments:
        if not skip and argument.split("=")[0] not in ("--server", "--token", "--out"):
            kept.append(argument)
        skip = not skip and argument in ("--server", "--token", "--out")
    return kept


if __name__ == "__main__":
    sys.exit(main())
