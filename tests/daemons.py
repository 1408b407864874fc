"""Real daemons over real sockets, each with a data directory of its own: one way to start and judge them.

The daemon under test is $MODPROPD, else build/server/modpropd. A daemon that a test left running is stopped at its end,
and one that died of anything but the test's own signal, or that a sanitizer complained about, fails the test.
"""

import contextlib
import os
import pathlib
import re
import signal
import socket
import sqlite3
import subprocess
import threading
import time

import pytest
import requests

ROOT = pathlib.Path(__file__).resolve().parents[1]
MODPROPD = os.environ.get("MODPROPD", str(ROOT / "build" / "server" / "modpropd"))
PATIENCE = 120  # seconds, for what must come: the machine may be busy with other things
START_SECONDS = PATIENCE
SANITIZED = (
    b"__asan_init" in pathlib.Path(MODPROPD).read_bytes() or b"__tsan_init" in pathlib.Path(MODPROPD).read_bytes()
    if os.path.exists(MODPROPD)
    else False
)
STOP_SECONDS = 60
EXPERIMENT_FINAL = ("complete", "complete_with_failures", "cancelled")


class Daemon:
    """A running modpropd. `url` is its address, `log()` what it has written to standard error so far."""

    def __init__(self, data, *flags, environment=None, wait=True):
        self.data = pathlib.Path(data)
        self.lines = []
        self.expected = {0}
        variables = {k: v for k, v in os.environ.items() if not k.startswith(("MODPROP_", "MODPROPD_"))}
        self.process = subprocess.Popen(
            [MODPROPD, "--data", str(data), "--listen", "127.0.0.1:0", *map(str, flags)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=variables | (environment or {}),
            text=True,
            errors="replace",
        )
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        self.ready_line = self.process.stdout.readline() if wait else ""
        self.url = self.ready_line.split()[-1] if self.ready_line else None
        self.port = int(self.url.rsplit(":", 1)[1]) if self.url else None
        if wait and not self.url:
            self.process.wait(START_SECONDS)
            self.reader.join(5)
            raise RuntimeError(f"modpropd did not start: {self.log()}")

    def _read(self):
        for line in self.process.stderr:
            self.lines.append(line)

    def log(self):
        """What has been read of the log: the daemon writes it apart, so that a line may come after an answer."""
        return "".join(self.lines)

    def logged(self, text):
        """Waits until the log has this text."""
        wait_until(lambda: text in self.log())

    def request(self, method, path, **options):
        options.setdefault("timeout", PATIENCE)
        return requests.request(method, self.url + path, **options)

    def submit(self, job, **options):
        """The id of a new job."""
        answer = self.post("/v1/jobs", json=job, **options)
        assert answer.status_code == 201, answer.text
        return answer.json()["id"]

    def get(self, path, **options):
        return self.request("GET", path, **options)

    def post(self, path, json=None, **options):
        if json is None and "data" not in options:
            return self.request("POST", path, **options)
        return self.request("POST", path, json=json, **options)

    def jobs(self):
        """Every job of the list, page by page."""
        found, after = [], None
        while True:
            page = self.get("/v1/jobs", params={"limit": 100} | ({"after": after} if after else {})).json()
            found += page["jobs"]
            after = page["next"]
            if after is None:
                return found

    def connect(self, timeout=PATIENCE):
        """A plain socket to the daemon."""
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=timeout)
        connection.settimeout(timeout)
        return connection

    def exchange(self, data, timeout=PATIENCE):
        """Sends bytes and returns all that comes back until the daemon closes or `timeout` seconds pass in silence.

        Where the daemon keeps the connection, the last request must say "Connection: close".
        """
        with self.connect(timeout) as connection:
            answer = b""
            try:
                connection.sendall(data)
                while chunk := connection.recv(65536):
                    answer += chunk
            except (TimeoutError, ConnectionResetError, BrokenPipeError):
                pass
            return answer

    def signal(self, number):
        self.process.send_signal(number)

    def stop(self, timeout=STOP_SECONDS):
        """SIGTERM, then the exit status."""
        if self.process.poll() is None:
            self.signal(signal.SIGTERM)
        return self.wait(timeout)

    def kill(self):
        """SIGKILL: what a power cut leaves."""
        self.expected.add(-signal.SIGKILL)
        self.signal(signal.SIGKILL)
        return self.wait(STOP_SECONDS)

    def wait(self, timeout):
        status = self.process.wait(timeout)
        self.reader.join(5)
        return status

    def finish(self):
        """The end of a test: the daemon must go cleanly, whatever was done to it."""
        try:
            status = self.stop()
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.wait(STOP_SECONDS)
            why = f"modpropd did not stop within {STOP_SECONDS} s of SIGTERM:\n{self.log()[-4000:]}"
            raise AssertionError(why) from None
        finally:
            self.process.stdout.close()
        assert status in self.expected, f"modpropd exited {status}:\n{self.log()[-8000:]}"
        for word in ("ERROR: AddressSanitizer", "runtime error:", "WARNING: ThreadSanitizer", "ERROR: LeakSanitizer"):
            assert word not in self.log(), self.log()[-8000:]


@pytest.fixture
def start(tmp_path):
    """start(*flags, data=..., environment=...): starts a daemon; all are stopped at the test's end, the last first."""
    running = []

    def starter(*flags, data=None, **options):
        daemon = Daemon(data or tmp_path / "data", *flags, **options)
        running.append(daemon)
        return daemon

    yield starter
    failures = []
    for daemon in reversed(running):
        try:
            daemon.finish()
        except AssertionError as failure:
            failures.append(str(failure))
    assert not failures, "\n".join(failures)


@pytest.fixture
def daemon(start):
    """A daemon with two workers and nothing else set."""
    return start("--workers", "2")


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """A daemon with two workers for all tests of a file that leave nothing behind which another would notice."""
    daemon = Daemon(tmp_path_factory.mktemp("shared") / "data", "--workers", "2")
    yield daemon
    daemon.finish()


@contextlib.contextmanager
def small_disk(folder, size):
    """A file system of so many bytes ("64k", "7m") at a new folder. Skips the test where none can be mounted."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder]
    mounted = subprocess.run(mount, capture_output=True, text=True)
    if mounted.returncode != 0:
        pytest.skip(f"SKIPPED: no small file system can be mounted here: {mounted.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def drawn_seed():
    """The seed of random tests, printed: $MODPROP_TEST_SEED, or a new one in the long run. The short run takes the same
    one each time: whether a change may land must not depend on a draw."""
    drawn = time.time_ns() % 10**6 if os.environ.get("MODPROP_LONG") else 2
    seed = int(os.environ.get("MODPROP_TEST_SEED", drawn))
    print(f"MODPROP_TEST_SEED={seed}")
    return seed


def wait_until(condition, timeout=PATIENCE, every=0.05):
    """Waits until condition() is true and returns its value; fails the test after `timeout` seconds."""
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(every)
    raise AssertionError(f"not within {timeout} s")


STATUSES = (
    "queued",
    "running",
    "pausing",
    "paused",
    "cancelling",
    "succeeded",
    "failed",
    "cancelled",
)  # in the order of the store


def assert_counted(daemon):
    """/metrics, which counts as jobs change, says what is stored. For daemons whose jobs stand still."""
    with sqlite3.connect(f"file:{daemon.data / 'modprop.db'}?mode=ro", uri=True) as database:
        stored = dict.fromkeys(STATUSES, 0) | {
            STATUSES[status]: count
            for status, count in database.execute("SELECT status, count(*) FROM jobs GROUP BY status")
        }
    database.close()
    told = {
        status: int(count)
        for status, count in re.findall(r'^modprop_jobs{status="(\w+)"} (\d+)$', daemon.get("/metrics").text, re.M)
    }
    assert told == stored
