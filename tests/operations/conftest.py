"""What operators put around a daemon, for real: Prometheus, nginx, systemd's tools. The daemons are those of tests/service: one way to start and to judge them.

A command that is not installed is taken from build/tools, where tests/operations/run unpacks it; a test whose command is in neither place is skipped.
"""
import importlib.util
import pathlib
import shutil
import socket
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
TOOLS = ROOT / "build" / "tools" / "usr"
_spec = importlib.util.spec_from_file_location("service_daemons", ROOT / "tests" / "service" / "conftest.py")
service_daemons = importlib.util.module_from_spec(_spec)
sys.modules["service_daemons"] = service_daemons
_spec.loader.exec_module(service_daemons)
start = service_daemons.start
daemon = service_daemons.daemon

SMALL = {"task": {"type": "delayed_xor", "delay": 20, "cue": 10}, "network": {"units": 12},
         "training": {"iterations": 40, "batch_size": 4, "evaluate_every": 5, "checkpoint_every": 10}}


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
