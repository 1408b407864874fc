"""The quickstart with a small job: nothing is installed or built, the rest is as it stands."""

import os
import re
import shutil
import signal
import subprocess
import time

import pytest
import requests
from daemons import ROOT

SMALL = 's/{"type": "delayed_xor"}/{"type": "delayed_xor", "delay": 10, "cue": 10}, "network": {"units": 20}/'


@pytest.fixture
def tree(tmp_path):
    """A tree with the script, the daemon that was built, and programs that stand for what takes minutes."""
    modpropd = os.environ.get("MODPROPD", str(ROOT / "build" / "server" / "modpropd"))
    for folder in ("clients", "docker", "bin", "build/server"):
        (tmp_path / folder).mkdir(parents=True)
    shutil.copy(ROOT / "clients" / "quickstart", tmp_path / "clients")
    (tmp_path / "build" / "server" / "modpropd").symlink_to(ROOT / modpropd)
    (tmp_path / "docker" / "install-packages").write_text("")
    curl = f"""#!/bin/sh
for word; do
    shift
    case $word in '{{"name"'*) word=$(printf %s "$word" | sed '{SMALL}') ;; esac
    set -- "$@" "$word"
done
exec {shutil.which("curl")} "$@"
"""
    for name, text in (("meson", "#!/bin/sh\n"), ("ninja", "#!/bin/sh\n"), ("curl", curl)):
        (tmp_path / "bin" / name).write_text(text)
        (tmp_path / "bin" / name).chmod(0o755)
    return tmp_path


def run(tree, *words):
    environment = os.environ | {"PATH": f"{tree}/bin:{os.environ['PATH']}"}
    made = subprocess.run(
        ["sh", "clients/quickstart", *words], cwd=tree, env=environment, capture_output=True, text=True, timeout=300
    )
    assert made.returncode == 0, made.stdout + made.stderr
    return made.stdout


def listening(text):
    return re.search(r"^modpropd listening on (\S+)$", text, re.M)[1]


def test_it_trains_and_stops_the_daemon(tree):
    text = run(tree)
    url = listening(text)
    assert f"dashboard: {url}/ (until this ends; --stay leaves it running)" in text
    assert "at most left" in text and "time left" not in text and "It stopped early" in text
    assert (tree / "build" / "quickstart" / "weights.json").stat().st_size > 1000
    with pytest.raises(requests.ConnectionError):
        requests.get(url + "/livez")


def test_it_leaves_the_daemon_running_on_request(tree):
    text = run(tree, "--stay")
    process = int(re.search(r"kill (\d+) stops it", text)[1])
    try:
        url = listening(text)
        assert requests.get(url + "/").status_code == 200 and f"\n  {url}/ " in text
        for job in re.findall(r"^  curl (http\S+/v1/jobs/\S+)$", text, re.M):
            assert requests.get(job).json()["status"] == "succeeded"
    finally:
        os.kill(process, signal.SIGTERM)
        for _ in range(100):
            if not os.path.exists(f"/proc/{process}"):
                break
            time.sleep(0.1)


def test_unknown_words_are_named(tree):
    made = subprocess.run(["sh", "clients/quickstart", "--stey"], cwd=tree, capture_output=True, text=True)
    assert made.returncode == 2 and "unknown argument --stey (--full, --stay, --help)" in made.stderr
    shown = subprocess.run(["sh", "clients/quickstart", "--help"], cwd=tree, capture_output=True, text=True).stdout
    assert "--stay" in shown and "--full" in shown
