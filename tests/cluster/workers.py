"""Real workers, and what their daemon must have stored when they are done."""

import hashlib
import os
import signal
import subprocess
import threading
import uuid

from daemons import MODPROPD

JOB = {
    "task": {"type": "delayed_xor", "delay": 40, "cue": 20},
    "network": {"units": 24},
    "training": {"iterations": 200, "batch_size": 8, "evaluate_every": 10, "checkpoint_every": 20},
}
# Seconds of a core, with as many events: long enough to be stopped half way on a machine with nothing else to do
SLOW = JOB | {"network": {"units": 256}, "training": JOB["training"] | {"iterations": 300, "batch_size": 32}}
FINAL = {"succeeded", "failed", "cancelled"}
LEASE = 3  # seconds: the shortest


class Worker:
    """A running `modpropd worker`. `log()` is what it has written so far; `inside`: words that it is started by."""

    def __init__(self, url, token_file, *flags, environment=None, inside=()):
        self.lines = []
        variables = {k: v for k, v in os.environ.items() if not k.startswith(("MODPROP_", "MODPROPD_"))}
        words = [*inside, MODPROPD, "worker", "--server", url, "--checkpoint-interval", "0", *map(str, flags)]
        if token_file:
            words += ["--token-file", str(token_file)]
        self.process = subprocess.Popen(
            words, stderr=subprocess.PIPE, env=variables | (environment or {}), text=True, errors="replace"
        )
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        for line in self.process.stderr:
            self.lines.append(line)

    def log(self):
        return "".join(self.lines)

    def signal(self, number):
        self.process.send_signal(number)

    def kill(self):
        self.signal(signal.SIGKILL)
        return self.wait()

    def stop(self):
        if self.process.poll() is None:
            self.signal(signal.SIGTERM)
        return self.wait()

    def wait(self, timeout=120):
        status = self.process.wait(timeout)
        self.reader.join(5)
        return status

    def finish(self):
        """The end of a test."""
        if self.process.poll() is None:
            self.signal(signal.SIGCONT)
            self.process.kill()
        self.wait()
        self.process.stderr.close()
        for word in ("ERROR: AddressSanitizer", "runtime error:", "ERROR: LeakSanitizer"):
            assert word not in self.log(), self.log()[-8000:]


def events(daemon, job, **options):
    found, after = [], 0
    while True:
        page = daemon.get(f"/v1/jobs/{job}/events", params={"limit": 1000, "after": after}, **options).json()
        found += page["events"]
        if not page["events"]:
            return found
        after = page["events"][-1]["id"]


def numbers(daemon, job, **options):
    """What a job's evaluations gave, and the digest of its weights: what must be the same wherever it was trained."""
    row = daemon.get(f"/v1/jobs/{job}", **options).json()
    curve = [
        (event["iteration"], event["loss"], event["accuracy"], event["training_loss"])
        for event in events(daemon, job, **options)
        if event["type"] == "progress"
    ]
    return row["status"], curve, row["weights_sha256"]


def assert_whole(daemon, job, expected, **options):
    """The bits of an undisturbed run, every event once, and every checkpoint as its event says."""
    assert numbers(daemon, job, **options) == expected
    assert [event["id"] for event in events(daemon, job, **options)] == list(
        range(1, len(events(daemon, job, **options)) + 1)
    )


def sha256(data):
    return hashlib.sha256(data).hexdigest()


class Peer:
    """A worker made of single calls. It trains nothing: what it sends was recorded from a daemon's own run."""

    def __init__(self, daemon, headers=None, **facts):
        self.daemon, self.headers = daemon, dict(headers or {})
        build = daemon.get("/version").json()["build"]
        facts = {"slots": 2, "cores": 2, "memory": 1 << 30, "isa": "avx2", "build": build} | facts
        answer = daemon.post("/v1/workers", json=facts, headers=self.headers)
        assert answer.status_code == 201, answer.text
        self.id = answer.json()["id"]
        self.headers["Modprop-Worker"] = f"{self.id} {answer.json()['secret']}"
        self.facts = facts

    def call(self, method, path, **options):
        headers = self.headers | options.pop("headers", {})
        return self.daemon.request(method, path, headers=headers, **options)

    def lease(self, request=None, slots=1, wait=0):
        body = {"request_id": request or str(uuid.uuid4()), "slots": slots, "memory": 1 << 30}
        answer = self.call("POST", f"/v1/workers/{self.id}/leases?wait={wait}", json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()["leases"]

    def beat(self, *leases):
        running = [{"job": lease["job"], "attempt": lease["attempt"]} for lease in leases]
        answer = self.call("POST", f"/v1/workers/{self.id}/beat", json={"running": running})
        assert answer.status_code == 200, answer.text
        return [order["order"] for order in answer.json()["orders"]]

    def records(self, lease, first, records):
        path = f"/v1/jobs/{lease['job']}/attempts/{lease['attempt']}/records"
        return self.call("POST", path, json={"first": first, "records": records})

    def checkpoint(self, lease, record, iteration, data, digest=None, loss=0.5):
        path = f"/v1/jobs/{lease['job']}/attempts/{lease['attempt']}/checkpoints/{iteration}"
        query = {"sha256": digest or sha256(data), "record": record, "loss": loss}
        return self.call("PUT", path, data=data, params=query, headers={"Content-Type": "application/octet-stream"})

    def end(self, lease, records, **body):
        path = f"/v1/jobs/{lease['job']}/attempts/{lease['attempt']}/end"
        return self.call("POST", path, json={"verdict": "finished", "records": records} | body)
