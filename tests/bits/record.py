#!/usr/bin/env python3
"""Adds jobs to the lists, with the sha256 of the weights with which the daemon of $MODPROPD ends each.

    MODPROPD=PATH python3 tests/bits/record.py

The digests of jobs.json are those of version 0.1.0, and the list is closed. jobs-0.2.json has those of version 0.2; a
group of draws.py that it lacks is drawn and added. The digests are a promise: a change that alters one of them alters
the results of every stored job. So this script adds nothing with a build that does not give all digests recorded.
"""

import json
import pathlib
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
import draws  # noqa: E402
import made  # noqa: E402
from daemons import Daemon  # noqa: E402
from runs import run_all  # noqa: E402

FOLDER = pathlib.Path(__file__).parent
CLOSED, OPEN = FOLDER / "jobs.json", FOLDER / "jobs-0.2.json"


def listed(path):
    return json.loads(path.read_text()) if path.exists() else []


def digests_of(entries):
    with tempfile.TemporaryDirectory() as folder:
        data = pathlib.Path(folder)
        made.mnist_write(data)
        daemon = Daemon(data, "--workers", "4")
        try:
            made.datasets_put(daemon)
            return run_all(daemon, [entry["job"] for entry in entries])
        finally:
            daemon.finish()


def main():
    known = listed(OPEN)
    groups = {entry["group"] for entry in known}
    new = [
        {"group": group, "job": job}
        for group in draws.GROUPS
        if group not in groups
        for job in draws.jobs_choose(group)
    ]
    entries = listed(CLOSED) + known + new
    for entry, digest in zip(entries, digests_of(entries), strict=True):
        if not digest:
            sys.exit(f"record: this job did not succeed: {json.dumps(entry['job'])}")
        if entry.get("sha256", digest) != digest:
            sys.exit(f"record: this build gives other weights than those recorded: {json.dumps(entry['job'])}")
        entry["sha256"] = digest
    lines = [json.dumps({"group": one["group"], "sha256": one["sha256"], "job": one["job"]}) for one in known + new]
    OPEN.write_text("[\n" + ",\n".join(lines) + "\n]\n")
    print(f"{len(new)} jobs added; {len(entries)} in all")


if __name__ == "__main__":
    main()
