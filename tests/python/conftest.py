"""Fixtures: real daemons, clients of them, and scripted servers."""

from __future__ import annotations

import pytest
from daemons import daemon, start  # noqa: F401
from modprop import Client
from scripted import Script


@pytest.fixture(autouse=True)
def no_settings(monkeypatch, tmp_path):
    """A developer's own server and token stay out of the tests."""
    for name in ("MODPROP_SERVER", "MODPROP_TOKEN", "MODPROP_TOKEN_FILE", "MODPROP_CA_FILE", "MODPROP_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "no-config"))


@pytest.fixture
def client(daemon):  # noqa: F811
    with Client(daemon.url, patience=30) as client:
        yield client


@pytest.fixture
def script():
    script = Script()
    yield script
    script.close()
