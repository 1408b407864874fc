"""The guides' commands (clients/cli/README.md, clients/curl.md), run as they stand, in their order, in one shell."""

import json
import os
import re
import shutil
import subprocess

from conftest import MODPROP
from daemons import ROOT
from work import digest

GUIDE = ROOT / "clients" / "cli" / "README.md"


def test_every_command_of_the_guide_works(modprop, tmp_path):
    blocks = re.findall(r"^```sh\n(.*?)^```$", GUIDE.read_text(), re.M | re.S)
    assert len(blocks) >= 6
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "modprop").symlink_to(MODPROP)
    environment = modprop.environment | {"PATH": f"{tmp_path}/bin:{modprop.environment['PATH']}"}
    result = subprocess.run(
        ["bash", "-eu"],
        input="\n".join(blocks),
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
    )
    assert result.returncode == 0, result.stdout
    assert "exit status 4" in result.stdout and 'did you mean "modprop"?' in result.stdout
    assert (tmp_path / "curve.csv").read_text().count("\n") == 12
    assert (tmp_path / "curves.svg").read_text().startswith("<svg ") and (
        tmp_path / "weights.safetensors"
    ).stat().st_size > 14400 * 4
    assert json.loads((tmp_path / "result.json").read_text())["status"] == "succeeded"
    assert len(modprop.lines("list", "-q", "--limit", "100")) == 9 + 16 + 4, (
        "jobs, trials of an experiment, and those run again"
    )


def test_the_guide_has_every_exit_status(offline):
    statuses = json.loads(offline.run("help", "--json").stdout)["exit"]
    assert [int(number) for number in re.findall(r"^\| (\d+) \|", GUIDE.read_text(), re.M)] == [
        status["status"] for status in statuses
    ]


def curl_calls(script):
    """The calls of a shell script in their order: (method and path or the line itself, the status that the guide
    promises)."""
    lines = re.sub(r"\\\n\s*", " ", script).splitlines()
    calls = []
    for line in lines:
        count = len(re.findall(r"(?:^|[ (])curl ", line.split("#")[0]))
        promised = re.search(r"# (\d{3})\b", line)
        calls += [(line, promised and promised.group(1))] * count
    return calls


def test_every_curl_line_of_the_guide_works(daemon, tmp_path):
    """Each call's status is taken from curl itself and compared with what the guide says: a number behind #, else
    success."""
    guide = (ROOT / "clients" / "curl.md").read_text()
    script = "\n".join(re.findall(r"^```sh\n(.*?)^```$", guide, re.M | re.S)).replace(
        "http://127.0.0.1:8080", daemon.url
    )
    calls = curl_calls(script)
    assert len(calls) > 45 and daemon.url in script
    (tmp_path / "bin").mkdir()
    curl, log = tmp_path / "bin" / "curl", tmp_path / "statuses"
    curl.write_text(f"#!/bin/sh\nexec {shutil.which('curl')} -sS -w '%{{stderr}}%{{http_code}}\\n' \"$@\" 2>>'{log}'\n")
    curl.chmod(0o755)
    result = subprocess.run(
        ["bash", "-eu", "-o", "pipefail"],
        input=script,
        cwd=tmp_path,
        env=os.environ | {"PATH": f"{tmp_path}/bin:{os.environ['PATH']}", "HOME": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
    )
    assert result.returncode == 0, result.stdout[-4000:]
    statuses = re.findall(r"^\d{3}$", log.read_text(), re.M)
    wrong = [
        (status, line)
        for status, (line, promised) in zip(statuses, calls, strict=False)
        if not status.startswith(promised or "2")
    ]
    assert len(statuses) == len(calls) and not wrong, wrong
    assert json.loads((tmp_path / "run.ndjson").read_text().splitlines()[-1])["type"] == "weights"
    assert (
        digest(json.loads((tmp_path / "weights40.json").read_text()))
        == json.loads((tmp_path / "weights40.json").read_text())["sha256"]
    )
    assert (tmp_path / "curve.csv").read_text().startswith("iteration,loss,accuracy")
    assert json.loads((tmp_path / "openapi.json").read_text())["openapi"].startswith("3.1")
    assert '"detail":"is not a known field; did you mean \\"taps\\"?"' in result.stdout
