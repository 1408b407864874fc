"""Fixtures of the tests of workers."""

import subprocess

import pytest
from daemons import MODPROPD, Daemon, daemon, start, wait_until  # noqa: F401
from pools import Pool
from slurm import Slurm
from workers import FINAL, JOB, LEASE, SLOW, Worker, numbers


class Undisturbed(dict):
    """{(kind, seed): (status, curve, digest)} of jobs on a daemon's own slots, each run when it is first asked for."""

    BODIES = {"job": JOB, "slow": SLOW}

    def __init__(self, folder):
        super().__init__()
        self.folder, self.alone = folder, None

    def __missing__(self, key):
        kind, seed = key
        self.alone = self.alone or Daemon(self.folder, "--workers", "1")
        job = self.alone.post("/v1/jobs", json=self.BODIES[kind] | {"seed": seed}).json()["id"]
        wait_until(lambda: self.alone.get(f"/v1/jobs/{job}").json()["status"] in FINAL)
        self[key] = numbers(self.alone, job)
        return self[key]


@pytest.fixture(scope="session")
def expected(tmp_path_factory):
    """What JOB ("job") and SLOW ("slow") of a seed give where nothing happens to them."""
    runs = Undisturbed(tmp_path_factory.mktemp("alone") / "data")
    yield runs
    if runs.alone:
        runs.alone.finish()


@pytest.fixture
def tokens(tmp_path):
    """{role: headers}; the daemon's file under "file", the file of a worker's token under "secret"."""
    made = {"file": tmp_path / "tokens", "secret": tmp_path / "worker-token"}
    for role in ("read", "submit", "admin", "worker"):
        words = [MODPROPD, "token", f"lab-{role}", role, "--token-file", str(made["file"])]
        token = subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()
        made[role] = {"Authorization": "Bearer " + token}
        if role == "worker":
            made["secret"].touch(mode=0o600)
            made["secret"].write_text(token + "\n")
    return made


@pytest.fixture
def work(tmp_path):
    """work(url, token_file, *flags): starts a worker with a scratch directory of its own; ended with the test."""
    running = []

    def starter(url, token_file=None, *flags, **options):
        scratch = tmp_path / f"scratch{len(running)}"
        worker = Worker(url, token_file, "--scratch", scratch, *flags, **options)
        worker.scratch = scratch
        running.append(worker)
        return worker

    yield starter
    for worker in running:
        worker.finish()


@pytest.fixture
def head(start):  # noqa: F811
    """A daemon that leaves all to workers, with the shortest lease."""
    return start("--workers", "0", "--worker-lease", LEASE)


@pytest.fixture(scope="session")
def slurm(tmp_path_factory):
    running = Slurm(tmp_path_factory.mktemp("slurm") / "slurm")
    yield running
    running.stop()


@pytest.fixture
def pool(slurm, start, tokens, tmp_path):  # noqa: F811
    """pool(**keys): a pool of a daemon of its own."""
    made = []

    def maker(**keys):
        folder = tmp_path / f"{len(made)}{tmp_path.name}"
        folder.mkdir()
        flags = ("--workers", "0", "--token-file", tokens["file"], "--worker-lease", LEASE)
        made.append(Pool(slurm, start(*flags, data=folder / "data"), flags, tokens, folder, **keys))
        return made[-1]

    yield maker
    for one in made:
        one.finish()
