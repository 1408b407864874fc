"""Jobs that the tests submit, and what they ask of them."""

import hashlib
import json
import struct

# A second or less; and long enough to be interrupted.
SHORT = [
    "--task",
    "delayed_xor",
    "--set",
    "task.delay=20",
    "--set",
    "task.cue=20",
    "--set",
    "network.units=20",
    "--set",
    "training.iterations=60",
    "--set",
    "training.checkpoint_every=20",
    "--set",
    "training.keep_checkpoints=3",
]
LONG = [
    "--task",
    "delayed_xor",
    "--set",
    "task.delay=20",
    "--set",
    "task.cue=20",
    "--set",
    "network.units=60",
    "--set",
    "training.iterations=30000",
    "--set",
    "training.checkpoint_every=50",
]


def submit(modprop, *words):
    return modprop.run("submit", *words).stdout.split()


def ended(modprop, job):
    return json.loads(modprop.run("show", job, "--wait", "50", "--json").stdout)


def status_of(modprop, job):
    return json.loads(modprop.run("show", job, "--json").stdout)["status"]


def _flat(values):
    return [x for row in values for x in (row if isinstance(row, list) else [row])]


def digest(weights):
    """The contract's sha256 of a weights document."""
    parts = [_flat(weights[name]) for name in ("W", "Win", "b", "Wout", "bout") if weights.get(name) is not None]
    return hashlib.sha256(b"".join(struct.pack(f"<{len(part)}f", *part) for part in parts)).hexdigest()
