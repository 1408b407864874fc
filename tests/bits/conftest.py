"""Fixtures of the tests of bits."""

from daemons import daemon, start  # noqa: F401
