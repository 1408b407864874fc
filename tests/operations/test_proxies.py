"""nginx and Caddy in front, with the configurations that docker/GUIDE.md prints.

Events one by one, large answers whole, uploads that nobody holds in memory.
"""

import hashlib
import json
import pathlib
import re
import socket
import subprocess
import threading
import time

import pytest
import requests
from conftest import SMALL, free_port, tool
from daemons import ROOT, wait_until

MIB = 1 << 20


def resident(process, what="RssAnon"):
    """Bytes of a process and its children that no file backs."""
    total = 0
    children = pathlib.Path(f"/proc/{process}/task/{process}/children").read_text().split()
    for one in [str(process), *children]:
        total += int(re.search(rf"{what}:\s+(\d+) kB", pathlib.Path(f"/proc/{one}/status").read_text())[1]) * 1024
    return total


class Proxy:
    """A proxy in front of a daemon; `patience` replaces the seconds that nginx waits for an answer to go on."""

    def __init__(self, kind, folder, daemon, patience=None):
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = folder / "proxy.log"
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                getattr(self, kind)(folder, daemon, patience),
                stderr=log,
                stdout=log,
                env={
                    "PATH": "/usr/bin:/bin",
                    "HOME": str(folder),
                    "XDG_DATA_HOME": str(folder),
                    "XDG_CONFIG_HOME": str(folder),
                },
            )
        try:
            wait_until(self.accepts)
        except AssertionError:
            self.stop()
            raise AssertionError(self.log.read_text()) from None

    def accepts(self):
        with socket.socket() as trial:
            return trial.connect_ex(("127.0.0.1", self.port)) == 0

    def example(self, kind, daemon):
        """What the guide prints, in front of this daemon."""
        text = re.search(rf"```{kind}\n(.*?)```", (ROOT / "docker" / "GUIDE.md").read_text(), re.S)[1]
        assert "127.0.0.1:8080" in text
        return text.replace("127.0.0.1:8080", f"127.0.0.1:{daemon.port}")

    def nginx(self, folder, daemon, patience):
        location = self.example("nginx", daemon)
        assert "proxy_read_timeout 75s" in location
        location = (
            location
            if patience is None
            else location.replace("proxy_read_timeout 75s", f"proxy_read_timeout {patience}s")
        )
        places = "\n".join(
            f"{name}_temp_path {folder}/{name};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        (folder / "nginx.conf").write_text(
            f"daemon off; worker_processes 1; pid {folder}/pid; error_log stderr;\n"
            f"events {{}}\nhttp {{ access_log off; {places}\nserver {{ listen 127.0.0.1:{self.port};\n{location}}} }}\n"
        )
        return [tool("nginx"), "-p", str(folder), "-c", str(folder / "nginx.conf"), "-e", "stderr"]

    def caddy(self, folder, daemon, patience):
        site = self.example("caddy", daemon)
        assert site.startswith("modprop.lab.example {")
        site = site.replace("modprop.lab.example {", f"http://:{self.port} {{\n    bind 127.0.0.1", 1)
        (folder / "Caddyfile").write_text("{\n    admin off\n    auto_https off\n}\n" + site)
        return [tool("caddy"), "run", "--config", str(folder / "Caddyfile"), "--adapter", "caddyfile"]

    def stop(self):
        self.process.terminate()
        self.process.wait(120)


@pytest.fixture(params=["nginx", "caddy"])
def proxy(request, daemon, tmp_path):
    proxied = Proxy(request.param, tmp_path, daemon)
    yield proxied
    proxied.stop()


def submit(url, job):
    answer = requests.post(f"{url}/v1/jobs", json=job, timeout=120)
    assert answer.status_code == 201, answer.text
    return answer.json()["id"]


@pytest.mark.parametrize("accept", ["text/event-stream", "application/x-ndjson"])
def test_events_arrive_one_by_one(daemon, proxy, accept):
    """Each event reaches a client of the proxy while the job still runs.

    Through it the job is paused, and the pause is heard before any later event exists.
    """
    endless = SMALL | {"training": {"iterations": 10**9, "batch_size": 4, "evaluate_every": 200000}}
    id = submit(proxy.url, endless)
    with requests.get(
        f"{proxy.url}/v1/jobs/{id}/events", headers={"Accept": accept}, stream=True, timeout=120
    ) as answer:
        assert answer.status_code == 200 and answer.headers["Content-Type"].startswith(accept)
        lines = answer.iter_lines(chunk_size=1)

        def hear(status):
            for line in lines:
                text = line.decode().removeprefix("data: ")
                if text.startswith("{") and json.loads(text).get("status") == status:
                    return True
            return False

        assert hear("running")
        for action, status in (("pause", "paused"), ("resume", "running"), ("cancel", "cancelled")):
            assert requests.post(f"{proxy.url}/v1/jobs/{id}/{action}", timeout=120).status_code == 200
            assert hear(status), "before any later event exists"
        assert not any(lines)  # the stream ends behind its terminal event


def test_a_quiet_stream_outlives_the_proxys_patience(start, tmp_path):
    """The heartbeat keeps nginx from giving up.

    With a read timeout of 3 s a stream that is silent for longer stays open.
    """
    daemon = start("--workers", "0", "--heartbeat", "1")
    proxied = Proxy("nginx", tmp_path, daemon, patience=3)
    try:
        id = submit(proxied.url, SMALL)
        began = time.monotonic()
        threading.Timer(7, lambda: requests.post(f"{daemon.url}/v1/jobs/{id}/cancel", timeout=120)).start()
        with requests.get(
            f"{proxied.url}/v1/jobs/{id}/events", headers={"Accept": "text/event-stream"}, stream=True, timeout=120
        ) as answer:
            text = answer.raw.read().decode()
        assert time.monotonic() - began >= 6 and '"status":"cancelled"' in text and text.count(":\n\n") >= 3
    finally:
        proxied.stop()


def test_large_weights_arrive_whole(daemon, proxy):
    """At 1000 units the document has more than 10 MB; its sha256 is that of the numbers that came through."""
    import numpy

    large = {
        "task": {"type": "delayed_xor", "delay": 1, "cue": 4},
        "network": {"units": 1000, "rewiring": "none"},
        "rule": {"type": "eprop"},
        "training": {"iterations": 1, "batch_size": 1, "evaluate_every": 1},
    }
    id = submit(proxy.url, large)
    job = requests.get(f"{proxy.url}/v1/jobs/{id}?wait=300", timeout=310).json()
    assert job["status"] == "succeeded", job
    answer = requests.get(f"{proxy.url}/v1/jobs/{id}/weights", timeout=120, headers={"Accept-Encoding": "identity"})
    assert answer.status_code == 200 and len(answer.content) > 10 * MIB
    weights = answer.json()
    digest = hashlib.sha256()
    for name in ("W", "Win", "b", "Wout", "bout"):
        if weights.get(name) is not None:
            digest.update(numpy.array(weights[name], dtype="<f4").tobytes())
    assert digest.hexdigest() == weights["sha256"] == job["weights_sha256"]


def test_a_large_upload_is_held_by_nobody(daemon, proxy):
    """100 MB in pieces.

    Neither the daemon nor the proxy grows by more than a small part of it while it passes, and it is there whole.
    """
    import numpy

    steps, trials, width = 400, 2000, 32
    inputs = (numpy.arange(steps * trials * width, dtype="<f4") % 251).reshape(steps, trials, width)
    arrays = {"inputs": (inputs, "F32"), "targets": (numpy.zeros((steps, trials), dtype="<i8"), "I64")}
    header, body, offset = {}, [], 0
    for name, (values, kind) in arrays.items():
        header[name] = {"dtype": kind, "shape": list(values.shape), "data_offsets": [offset, offset + values.nbytes]}
        body.append(values.tobytes())
        offset += values.nbytes
    head = json.dumps(header).encode()
    head += b" " * (-len(head) % 8)
    whole = len(head).to_bytes(8, "little") + head + b"".join(body)
    assert len(whole) > 98 * MIB
    processes = (daemon.process.pid, proxy.process.pid)
    before = [resident(process) for process in processes]
    most = [0, 0]

    def pieces():
        for i in range(0, len(whole), MIB):
            yield whole[i : i + MIB]
            if i % (8 * MIB) == 0:
                for k, process in enumerate(processes):
                    most[k] = max(most[k], resident(process) - before[k])

    answer = requests.put(
        f"{proxy.url}/v1/datasets/large",
        data=pieces(),
        headers={"Content-Type": "application/octet-stream"},
        timeout=180,
    )
    assert answer.status_code in (200, 201), answer.text
    most = [max(grown, resident(process) - held) for grown, process, held in zip(most, processes, before, strict=True)]
    print(f"grew by {most[0] / MIB:.1f} MiB (daemon), {most[1] / MIB:.1f} MiB (proxy)")
    assert most[0] < 16 * MIB and most[1] < 16 * MIB, most
    with requests.get(
        f"{proxy.url}/v1/datasets/large", headers={"Accept": "application/octet-stream"}, stream=True, timeout=120
    ) as back:
        digest = hashlib.sha256()
        for piece in back.iter_content(MIB):
            digest.update(piece)
    assert digest.digest() == hashlib.sha256(whole).digest()
