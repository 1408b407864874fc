"""Fixtures of the tests of faults."""

import daemons
import pytest
from daemons import daemon, start  # noqa: F401


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 3 MB."""
    with daemons.small_disk(tmp_path / "small", "3m") as folder:
        yield folder
