"""The manual pages, made from the tables: every command and option is in them, and a page that the programs cannot make
is an error."""

import json
import re
import shutil
import subprocess
import sys

import pytest
from conftest import MODPROP
from daemons import MODPROPD, ROOT

SCRIPT = ROOT / "clients" / "cli" / "manual.py"


def page(name, program, tmp_path):
    target = tmp_path / name
    subprocess.run([sys.executable, SCRIPT, name, program, target], check=True, timeout=120)
    return target


def rendered(target):
    if shutil.which("mandoc") is None:
        pytest.skip("mandoc is not installed")
    text = subprocess.run(
        ["mandoc", "-T", "ascii", "-O", "width=200", target], stdout=subprocess.PIPE, text=True, timeout=120, check=True
    ).stdout
    return re.sub(".\x08", "", text)  # bold and underlined characters are struck over


def test_pages_are_well_formed(tmp_path):
    if shutil.which("mandoc") is None:
        pytest.skip("mandoc is not installed")
    for name, program in (("modprop", MODPROP), ("modpropd", MODPROPD)):
        lint = subprocess.run(
            ["mandoc", "-T", "lint", "-W", "warning", page(name, program, tmp_path)],
            stdout=subprocess.PIPE,
            text=True,
            timeout=120,
        )
        faults = [line for line in lint.stdout.splitlines() if "missing date" not in line]
        assert not faults, "\n".join(faults)


def test_modprop_page_is_whole(offline, tmp_path):
    text = rendered(page("modprop", MODPROP, tmp_path))
    table = json.loads(offline.run("help", "--json").stdout)
    for command in table["commands"]:
        if command["group"]:
            assert f"modprop {command['name']} {command['operands']}".rstrip() in text
            assert all(f"--{option['name']}" in text for option in command["options"])
    assert "130" in text and "MODPROP_TOKEN_FILE" in text


def test_modpropd_page_is_whole(tmp_path):
    text = rendered(page("modpropd", MODPROPD, tmp_path))
    usage = subprocess.run([MODPROPD, "--help"], stdout=subprocess.PIPE, text=True, timeout=120).stdout
    flags = [line.split()[0] for line in usage.splitlines() if line.startswith("  --")]
    assert len(flags) > 20 and all(f" {flag} " in text or f" {flag}\n" in text for flag in flags)
