"""A daemon for the documentation's tests."""

from daemons import daemon, start  # noqa: F401
