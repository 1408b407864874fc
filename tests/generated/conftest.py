"""Requests generated from the served OpenAPI document.

schemathesis and the validator come from PyPI into build/schemathesis.
"""

import subprocess

import pytest
from daemons import ROOT, start  # noqa: F401

VENV = ROOT / "build" / "schemathesis"
PACKAGES = ["schemathesis>=4,<5", "openapi-spec-validator>=0.7"]


@pytest.fixture(scope="session")
def tools():
    """The folder of the installed commands; the test is skipped where no package registry can be reached."""
    marker = VENV / "installed"
    if not marker.exists() or marker.read_text() != "\n".join(PACKAGES):
        made = subprocess.run(["/usr/bin/python3", "-m", "venv", str(VENV)], capture_output=True, text=True)
        if made.returncode == 0:
            made = subprocess.run(
                [VENV / "bin" / "pip", "install", "--quiet", "--disable-pip-version-check", *PACKAGES],
                capture_output=True,
                text=True,
            )
        if made.returncode != 0:
            pytest.skip(
                "SKIPPED: schemathesis and openapi-spec-validator come from PyPI, which is out of reach: "
                f"{(made.stderr or made.stdout).strip()[-300:]}"
            )
        marker.write_text("\n".join(PACKAGES))
    return VENV / "bin"
