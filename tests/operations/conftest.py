"""What operators put around a daemon, for real: Prometheus, nginx, systemd's tools.

A command that is not installed is taken from build/tools, where tests/operations/run unpacks it; a test whose command
is in neither place is skipped.
"""

import shutil
import socket

import pytest
from daemons import ROOT, daemon, start  # noqa: F401

TOOLS = ROOT / "build" / "tools" / "usr"

SMALL = {
    "task": {"type": "delayed_xor", "delay": 20, "cue": 10},
    "network": {"units": 12},
    "training": {"iterations": 40, "batch_size": 4, "evaluate_every": 5, "checkpoint_every": 10},
}


def tool(name):
    """The path of a command; the test is skipped where there is none."""
    found = shutil.which(name) or shutil.which(name, path=f"/usr/sbin:/sbin:{TOOLS}/bin:{TOOLS}/sbin")
    if found is None:
        pytest.skip(f"{name} is not installed (docker/packages)")
    return found


def free_port():
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return listening.getsockname()[1]
