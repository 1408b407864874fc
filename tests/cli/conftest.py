"""Fixtures of the command line's tests: real daemons (those of the service tests) and a `modprop` to run against them.

The program under test is $MODPROP, else build/clients/cli/modprop. A sanitizer's complaint fails the test whatever the
test expects.
"""

import os
import pathlib
import subprocess

import pytest
from daemons import ROOT, daemon, start  # noqa: F401

MODPROP = os.environ.get("MODPROP", str(ROOT / "build" / "clients" / "cli" / "modprop"))


class Program:
    """modprop with an environment of its own: no settings of whoever runs the tests, a home in a temporary
    directory."""

    def __init__(self, home, server=None):
        self.home = pathlib.Path(home)
        self.environment = {
            k: v
            for k, v in os.environ.items()
            if not k.startswith(("MODPROP_", "XDG_")) and k not in ("NO_COLOR", "COLUMNS")
        }
        self.environment |= {"HOME": str(self.home), "LC_ALL": "C.UTF-8", "TERM": "xterm-256color"}
        if server is not None:
            self.environment["MODPROP_SERVER"] = server

    def start(self, *words, environment=None, **options):
        options.setdefault("stdout", subprocess.PIPE)
        options.setdefault("stderr", subprocess.PIPE)
        return subprocess.Popen([MODPROP, *map(str, words)], env=self.environment | (environment or {}), **options)

    def run(self, *words, status=0, input=None, environment=None, text=True, timeout=120):
        """Runs to the end and checks the exit status; returns what subprocess.run returns."""
        feed = {"input": input} if input is not None else {"stdin": subprocess.DEVNULL}
        result = subprocess.run(
            [MODPROP, *map(str, words)],
            env=self.environment | (environment or {}),
            text=text,
            timeout=timeout,
            capture_output=True,
            **feed,
        )
        errors = result.stderr if text else result.stderr.decode(errors="replace")
        assert "Sanitizer" not in errors and "runtime error:" not in errors, errors
        assert result.returncode == status, (
            f"{words}: exit {result.returncode}, not {status}\n{result.stdout}\n{errors}"
        )
        return result

    def lines(self, *words, **options):
        return self.run(*words, **options).stdout.splitlines()


@pytest.fixture
def offline(tmp_path):
    """modprop without a server."""
    return Program(tmp_path)


@pytest.fixture
def modprop(tmp_path, daemon):  # noqa: F811
    """modprop and a daemon for it."""
    return Program(tmp_path, daemon.url)
