"""The units: how exposed they leave the daemon, whether it runs under their filter, and systemd's protocols.

No service manager runs here; its part (a notify socket, a passed descriptor, the filter, SIGABRT of a watchdog) is
played as its manual describes it.
"""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time

import pytest
import requests
from conftest import SMALL, tool
from daemons import MODPROPD, PATIENCE, ROOT, SANITIZED, wait_until

UNIT = ROOT / "docker" / "modpropd.service"


@pytest.fixture
def units(tmp_path):
    """The units as they are installed, but with commands that exist here."""
    text = UNIT.read_text().replace("@SBINDIR@/modpropd", "/bin/true").replace("@SYSCONFDIR@", "/etc")
    assert "@" not in re.sub(r"@[a-z-]+\b", "", text)  # nothing unfilled but the names of sets of system calls
    (tmp_path / "modpropd.service").write_text(re.sub("(?m)^Documentation=.*$", "", text))
    (tmp_path / "modpropd.socket").write_text(
        re.sub("(?m)^Documentation=.*$", "", (ROOT / "docker" / "modpropd.socket").read_text())
    )
    return tmp_path


def test_units_are_well_formed(units):
    for name in ("modpropd.service", "modpropd.socket"):
        ended = subprocess.run([tool("systemd-analyze"), "verify", str(units / name)], capture_output=True, text=True)
        assert ended.returncode == 0 and "modpropd" not in ended.stderr, ended.stderr


def test_exposure_is_below_two(units):
    ended = subprocess.run(
        [tool("systemd-analyze"), "security", "--offline=true", "--no-pager", str(units / "modpropd.service")],
        capture_output=True,
        text=True,
    )
    score = re.search(r"Overall exposure level for modpropd.service: ([0-9.]+)", ended.stdout)
    assert score, ended.stdout + ended.stderr
    print("exposure", score[1])
    assert float(score[1]) < 2


def calls_of(name, seen=()):
    """The system calls of a set, sets within it opened."""
    text = subprocess.run(
        [tool("systemd-analyze"), "syscall-filter", name], capture_output=True, text=True, check=True
    ).stdout
    words = {line.strip() for line in text.splitlines()[1:] if line.strip() and not line.strip().startswith("#")}
    found = {word for word in words if not word.startswith("@")}
    for word in words - found:
        found |= calls_of(word) if word not in seen else set()
    return found


UNDER_FILTER = """
import os, sys, seccomp
filter = seccomp.SyscallFilter(seccomp.KILL_PROCESS)
for call in sys.argv[1].split(","):
    try:
        filter.add_rule(seccomp.ALLOW, call)
    except (RuntimeError, OSError):
        pass  # of another architecture
filter.load()
os.execv(sys.argv[2], sys.argv[2:])
"""


@pytest.mark.skipif(SANITIZED, reason="sanitizers make calls of their own")
def test_a_job_trains_under_the_units_system_call_filter(tmp_path):
    """Stricter than the unit, which answers EPERM.

    Here a call that is not allowed kills, so that none can go unnoticed.
    """
    if subprocess.run(["/usr/bin/python3", "-c", "import seccomp"], capture_output=True).returncode != 0:
        pytest.skip("python3-seccomp is not installed (docker/packages)")
    allowed = set()
    for line in re.findall(r"(?m)^SystemCallFilter=(.*)$", UNIT.read_text()):
        minus = line.startswith("~")
        for name in line.lstrip("~").split():
            allowed = allowed - calls_of(name) if minus else allowed | calls_of(name)
    assert "futex" in allowed and "reboot" not in allowed
    # The loop asks for short slices of time and goes on without them, which is what the unit's EPERM means to it.
    allowed.add("sched_setattr")
    if os.geteuid() == 0:
        # SQLite hands its files to the database's owner where it runs as root, which the unit never does.
        allowed.add("fchown")
    process = subprocess.Popen(
        [
            "/usr/bin/python3",
            "-c",
            UNDER_FILTER,
            ",".join(sorted(allowed)),
            MODPROPD,
            "--data",
            str(tmp_path / "data"),
            "--listen",
            "127.0.0.1:0",
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        line = process.stdout.readline()
        assert line, process.communicate()[1]
        url = line.split()[-1]
        job = requests.post(f"{url}/v1/jobs", json=SMALL, timeout=120).json()
        assert requests.get(f"{url}/v1/jobs/{job['id']}?wait=300", timeout=310).json()["status"] == "succeeded"
        for path in ("/metrics", "/version", f"/v1/jobs/{job['id']}/weights", f"/v1/jobs/{job['id']}/events", "/"):
            assert requests.get(url + path, timeout=120).status_code == 200
        assert requests.post(f"{url}/v1/jobs/{job['id']}/simulate", timeout=120).status_code == 200
        process.terminate()
        assert process.wait(120) == 0, process.stderr.read()
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        process.stdout.close()
        process.stderr.close()


@pytest.fixture
def manager(tmp_path):
    """A notify socket, and what was heard on it."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        listening.settimeout(PATIENCE)
        yield listening


def test_readiness_watchdog_and_stop_are_told(start, manager, tmp_path):
    daemon = start(environment={"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "2000000"})
    assert manager.recv(100) == b"READY=1"
    for _ in range(3):
        assert manager.recv(100) == b"WATCHDOG=1"
    daemon.signal(signal.SIGTERM)
    heard = set()
    while b"STOPPING=1" not in heard:
        heard.add(manager.recv(100))
    assert daemon.wait(60) == 0


def test_a_loop_that_stands_still_says_nothing(start, manager, tmp_path):
    """What the watchdog is for: a stopped process is silent, and speaks again when it goes on."""
    daemon = start(environment={"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "2000000"})
    assert manager.recv(100) == b"READY=1"
    daemon.signal(signal.SIGSTOP)
    try:
        time.sleep(0.5)
        manager.setblocking(False)
        with pytest.raises(BlockingIOError):
            while manager.recv(100):
                pass
        time.sleep(3)
        with pytest.raises(BlockingIOError):
            manager.recv(100)
    finally:
        daemon.signal(signal.SIGCONT)
    manager.settimeout(PATIENCE)
    assert manager.recv(100) == b"WATCHDOG=1"


PASS_SOCKET = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ |= {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": sys.argv[2]}
os.execv(sys.argv[3], sys.argv[3:])
"""


def activated(listening, data, *flags, count=1):
    return subprocess.Popen(
        [sys.executable, "-c", PASS_SOCKET, str(listening.fileno()), str(count), MODPROPD, "--data", str(data), *flags],
        pass_fds=(listening.fileno(), 3),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_socket_activation_refuses_no_client_while_the_daemon_is_away(tmp_path):
    """systemd holds the socket: who connects between two daemons waits for the second."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        url = f"http://127.0.0.1:{port}"
        first = activated(listening, tmp_path / "data")
        assert first.stdout.readline() == f"modpropd listening on {url}\n", first.stderr.read()
        job = requests.post(f"{url}/v1/jobs", json=SMALL, timeout=120).json()
        assert requests.get(f"{url}/v1/jobs/{job['id']}?wait=300", timeout=310).json()["status"] == "succeeded"
        first.terminate()
        assert first.wait(120) == 0
        with socket.create_connection(("127.0.0.1", port), timeout=120) as early:
            early.sendall(f"GET /v1/jobs/{job['id']} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
            second = activated(listening, tmp_path / "data")
            answer = b""
            while piece := early.recv(65536):
                answer += piece
        assert (
            answer.startswith(b"HTTP/1.1 200") and json.loads(answer.split(b"\r\n\r\n", 1)[1])["status"] == "succeeded"
        )
        second.terminate()
        assert second.wait(120) == 0
        for process in (first, second):
            process.stdout.close()
            process.stderr.close()


def test_an_activated_socket_that_others_reach_needs_tokens(tmp_path):
    with socket.create_server(("0.0.0.0", 0)) as listening:
        refused = activated(listening, tmp_path / "data")
        out, error = refused.communicate(timeout=120)
        assert refused.returncode == 1 and out == "" and "--token-file" in error
        taken = activated(listening, tmp_path / "data", "--create-token")
        assert taken.stdout.readline() == f"modpropd listening on http://0.0.0.0:{listening.getsockname()[1]}\n"
        assert requests.get(f"http://127.0.0.1:{listening.getsockname()[1]}/v1/jobs", timeout=120).status_code == 401
        taken.terminate()
        taken.communicate(timeout=120)
        assert taken.returncode == 0


@pytest.mark.parametrize("count, words", [(2, "exactly one"), (1, "IPv4 or IPv6")])
def test_a_socket_of_another_kind_is_refused(tmp_path, count, words):
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "socket"))
        listening.listen()
        refused = activated(listening, tmp_path / "data", count=count)
        out, error = refused.communicate(timeout=120)
        assert refused.returncode == 1 and out == "" and words in error


def test_configuration_of_the_service_is_taken(start, tmp_path):
    """Every line of the configuration that is installed, the commented ones too.

    Names a setting and a value that the daemon takes.
    """
    text = (ROOT / "docker" / "modpropd.conf").read_text()
    keys = re.findall(r"(?m)^#?([a-z-]+) = ", text)
    assert {"listen", "token-file", "keep-bytes", "log-format"} <= set(keys)
    tokens = tmp_path / "tokens"
    subprocess.run([MODPROPD, "token", "me", "read", "--token-file", str(tokens)], check=True, capture_output=True)
    file = tmp_path / "modpropd.conf"
    file.write_text(re.sub(r"(?m)^#([a-z-]+ = )", r"\1", text).replace("/etc/modprop/tokens", str(tokens)))
    daemon = start(environment={"MODPROPD_CONFIG": str(file)})
    assert daemon.get("/version").json()["limits"] == {"cores": 8, "workers": 4, "memory_bytes": 32 << 30}
    wait_until(lambda: '"message":"ready"' in daemon.log())
