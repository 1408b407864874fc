"""Fixtures of the service tests."""

from daemons import daemon, shared, start  # noqa: F401
