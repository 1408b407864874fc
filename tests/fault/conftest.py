"""Fixtures of the tests of faults."""

from daemons import daemon, start  # noqa: F401
