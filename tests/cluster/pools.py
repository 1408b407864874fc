"""Pools of workers under a real Slurm: a daemon, a pool's configuration, and calls of `modprop pool`."""

import os
import re
import signal
import subprocess

from daemons import MODPROPD, ROOT, wait_until
from workers import FINAL, assert_whole, events

MODPROP = os.environ.get("MODPROP", str(ROOT / "build" / "clients" / "cli" / "modprop"))


class Pool:
    """A daemon, a pool's configuration, and calls of `modprop pool`."""

    def __init__(self, slurm, daemon, flags, tokens, folder, **keys):
        self.slurm, self.daemon, self.flags, self.tokens = slurm, daemon, flags, tokens
        self.headers = tokens["submit"]
        self.name = re.sub(r"\W", "", folder.name)[:40]
        keys = {
            "max_workers": 3,
            "slots": 2,
            "cores": 2,
            "memory": "400M",
            "walltime": "10m",
            "idle": 2,
            "poll": 1,
            "program": MODPROPD,
            "token_file": tokens["secret"],
            "output": folder / "allocation-%j.log",
            "scratch": folder / "scratch",
        } | keys
        self.folder = folder
        self.file = folder / "config"
        lines = [f"server = {daemon.url}", f"token_file = {tokens['secret']}"]
        lines += [f"pool.{self.name}.{key} = {value}" for key, value in keys.items()]
        self.file.touch(mode=0o600)
        self.file.write_text("\n".join(lines) + "\n")
        self.keeper = None

    def command(self, *words, environment=None):
        return subprocess.run(
            [MODPROP, *words, "--config", self.file],
            env=(environment or self.slurm.environment),
            capture_output=True,
            text=True,
            timeout=120,
        )

    def once(self, **options):
        return self.command("pool", "slurm", self.name, "--once", **options)

    def keep(self, environment=None):
        words = [MODPROP, "pool", "slurm", self.name, "--config", self.file]
        with (self.folder / "keeper.log").open("w") as log:
            self.keeper = subprocess.Popen(words, env=environment or self.slurm.environment, stderr=log)

    def said(self):
        """What the keeper has written."""
        return (self.folder / "keeper.log").read_text()

    def outputs(self):
        """What the allocations have written."""
        return "".join(file.read_text() for file in self.folder.glob("allocation-*.log"))

    def allocations(self, states="all"):
        text = self.slurm.run("squeue", "-h", "-n", f"modprop-{self.name}", "-t", states, "-o", "%i %T").stdout
        return [tuple(line.split()) for line in text.splitlines()]

    def submit(self, body):
        answer = self.daemon.post("/v1/jobs", json=body, headers=self.headers)
        assert answer.status_code == 201, answer.text
        return answer.json()["id"]

    def status(self, job):
        return self.daemon.get(f"/v1/jobs/{job}", headers=self.headers).json()["status"]

    def ended(self, job):
        wait_until(lambda: self.status(job) in FINAL, 900)

    def whole(self, job, expected):
        assert_whole(self.daemon, job, expected, headers=self.headers)

    def finish(self):
        if self.keeper:
            self.keeper.send_signal(signal.SIGTERM)
            self.keeper.wait(120)
        name = f"modprop-{self.name}"
        self.slurm.run("scancel", "--state=PENDING", "-n", name, check=False)

        def ended():
            """No test is about how they end: killed, and again where one had only been about to start.

            Cancelled while it ends by itself, an allocation may stay in COMPLETING for a minute.
            """
            self.slurm.run("scancel", "--signal=KILL", "--full", "-n", name, check=False)
            return not self.allocations("PENDING,RUNNING,COMPLETING")

        wait_until(ended, every=0.5)


def running(lab, job):
    """Waits until a worker has reported on the job and stored a checkpoint; the allocation that runs."""

    def seen():
        kinds = [event["type"] for event in events(lab.daemon, job, headers=lab.headers)]
        return kinds.count("progress") >= 3 and "checkpoint" in kinds

    wait_until(seen)
    ((allocation, _),) = lab.allocations("RUNNING")
    return allocation


def wrapper(folder, program, text):
    """A folder with a program of that name, to come first on PATH; {real} is the real one."""
    folder.mkdir(exist_ok=True)
    real = subprocess.check_output(["which", program], text=True).strip()
    file = folder / program
    file.write_text("#!/bin/sh\n" + text.replace("{real}", real).replace("{folder}", str(folder)) + "\n")
    file.chmod(0o755)
