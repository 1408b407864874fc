"""Fixtures of the service tests."""

from daemons import daemon, start  # noqa: F401
