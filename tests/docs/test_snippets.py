"""What start.md and tutorial.md tell a reader to type runs as it stands there; only sizes are made small."""

import json
import os
import re
import subprocess

import pytest
from daemons import ROOT

CLI = ROOT / "build" / "clients" / "cli" / "modprop"
SMALL = [
    (r"(training\.iterations=)\d+", r"\g<1>4"),
    (r'("iterations": )\d+', r"\g<1>4"),
    (r"(task\.delay=)\d+", r"\g<1>20"),
    (r"(task\.cue=)\d+", r"\g<1>10"),
    (r'"delay": 100, "cue": 50', '"delay": 20, "cue": 10'),
    (r'"count": 10', '"count": 2'),
    (r"--seeds 11-12", "--seeds 3"),
]


def blocks(page):
    return re.findall(r"^```(sh|json|python)\n(.*?)^```", (ROOT / "clients" / "docs" / page).read_text(), re.M | re.S)


@pytest.mark.parametrize("page", ["start.md", "tutorial.md"])
def test_the_commands_of_a_page(page, daemon, tmp_path):
    folder = tmp_path / "work"
    folder.mkdir()
    environment = os.environ | {
        "PATH": f"{CLI.parent}:{os.environ['PATH']}",
        "MODPROP_SERVER": daemon.url,
        "HOME": str(tmp_path),
    }
    ran = 0
    for language, text in blocks(page):
        for pattern, small in SMALL:
            text = re.sub(pattern, small, text)
        if language == "json":
            (folder / "hypothesis.json").write_text(text)
        elif language == "sh":
            done = subprocess.run(
                ["bash", "-e", "-o", "pipefail", "-c", text],
                cwd=folder, env=environment, capture_output=True, text=True, timeout=120,
            )  # fmt: skip
            assert done.returncode == 0, f"{text}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
            ran += 1
    assert ran >= (4 if page == "start.md" else 7)
    if page == "tutorial.md":
        supplement = folder / "supplement"
        assert (supplement / "methods.md").exists() or list(supplement.glob("methods*")), list(supplement.iterdir())
        assert list(supplement.rglob("*.svg"))


def test_the_session_of_the_readme_is_what_the_daemon_answers(daemon):
    """Its losses are those of this build, to the last digit; fewer iterations than the default's end it early."""
    shown = [
        json.loads(line.replace(",...}", "}"))
        for line in (ROOT / "README.md").read_text().splitlines()
        if line.startswith('{"id":') and '"type":"progress"' in line
    ]
    assert [one["iteration"] for one in shown] == [0, 20]
    body = {"task": {"type": "delayed_xor"}, "training": {"iterations": 21}}
    job = daemon.post("/v1/jobs", body).json()
    url = f"/v1/jobs/{job['id']}"
    while daemon.get(url, params={"wait": 60}).json()["status"] not in ("succeeded", "failed"):
        pass
    made = daemon.get(f"{url}/metrics").json()
    for one in shown:
        at = made["iteration"].index(one["iteration"])
        assert (made["loss"][at], made["accuracy"][at]) == (one["loss"], one["accuracy"])
