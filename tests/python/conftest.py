"""Fixtures: real daemons (those of the service tests), clients of them, and scripted servers."""

from __future__ import annotations

import importlib.util
import pathlib
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "python"))

# The daemons of these tests are those of tests/service: one way to start and to judge them.
_spec = importlib.util.spec_from_file_location("service_daemons", ROOT / "tests" / "service" / "conftest.py")
assert _spec is not None and _spec.loader is not None
service_daemons = importlib.util.module_from_spec(_spec)
sys.modules["service_daemons"] = service_daemons
_spec.loader.exec_module(service_daemons)
start = service_daemons.start
daemon = service_daemons.daemon

from modprop import Client  # noqa: E402
from scripted import Script  # noqa: E402


@pytest.fixture(autouse=True)
def no_settings(monkeypatch, tmp_path):
    """A developer's own server and token stay out of the tests."""
    for name in ("MODPROP_SERVER", "MODPROP_TOKEN", "MODPROP_TOKEN_FILE", "MODPROP_CA_FILE", "MODPROP_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "no-config"))


@pytest.fixture
def client(daemon):
    with Client(daemon.url, patience=30) as client:
        yield client


@pytest.fixture
def script():
    script = Script()
    yield script
    script.close()
