"""Workers against a real daemon: whatever ends, stops or sleeps, results are those of an undisturbed run."""

import json
import pathlib
import re
import signal
import struct
import subprocess
import time

import pytest
from daemons import MODPROPD, ROOT, wait_until
from workers import FINAL, JOB, LEASE, SLOW, assert_whole, events


def submit(daemon, body, **options):
    answer = daemon.post("/v1/jobs", json=body, **options)
    assert answer.status_code == 201, answer.text
    return answer.json()["id"]


def status(daemon, job):
    return daemon.get(f"/v1/jobs/{job}").json()["status"]


def ended(daemon, job):
    wait_until(lambda: status(daemon, job) in FINAL, 300)


def under_way(daemon, job, evaluations=3):
    """Waits until it has reported something, and has a checkpoint to go on from."""

    def seen():
        kinds = [event["type"] for event in events(daemon, job)]
        return kinds.count("progress") >= evaluations and "checkpoint" in kinds

    wait_until(seen)


def test_a_worker_trains_as_the_daemon_does(head, work, expected):
    worker = work(head.url, None, "--slots", 2, "--cores", 2)
    jobs = {seed: submit(head, JOB | {"seed": seed}) for seed in range(1, 5)}
    for seed, job in jobs.items():
        ended(head, job)
        assert_whole(head, job, expected["job", seed])
    row = head.get("/v1/workers").json()["workers"][0]
    assert row["slots"] == 2 and row["known"]
    assert worker.stop() == 0


def test_a_daemon_and_its_workers_share_the_queue(start, work, expected):
    daemon = start("--workers", "1", "--worker-lease", LEASE)
    work(daemon.url, None, "--slots", 1, "--cores", 1)
    jobs = {seed: submit(daemon, JOB | {"seed": seed}) for seed in range(1, 5)}
    for seed, job in jobs.items():
        ended(daemon, job)
        assert_whole(daemon, job, expected["job", seed])


def test_a_worker_that_is_stopped_gives_its_job_back_with_a_checkpoint(head, work, expected):
    first = work(head.url, None, "--slots", 2)  # one of which asks for more
    job = submit(head, SLOW | {"seed": 1})
    under_way(head, job)
    assert first.stop() == 0
    wait_until(lambda: status(head, job) == "queued")
    reached = max(event["iteration"] for event in events(head, job) if event["type"] == "checkpoint")
    assert reached > 0 and head.get(f"/v1/jobs/{job}").json()["attempt"] == 2
    work(head.url, None, "--slots", 1)
    ended(head, job)
    assert_whole(head, job, expected["slow", 1])


def test_a_job_moves_between_instruction_sets(head, work, expected):
    first = work(head.url, None, "--slots", 1, "--isa", "portable")
    job = submit(head, SLOW | {"seed": 1})
    under_way(head, job)
    assert first.stop() == 0
    second = work(head.url, None, "--slots", 1)
    ended(head, job)
    assert_whole(head, job, expected["slow", 1])
    sets = head.get(f"/v1/jobs/{job}/manifest").json()["instruction_sets"]
    best = head.get("/version").json()["instruction_set"]
    assert sets == (["portable"] if best == "portable" else ["portable", best])
    assert second.stop() == 0


def test_a_worker_that_is_killed_loses_its_lease_and_nothing_else(head, work, expected):
    first = work(head.url, None, "--slots", 1)
    job = submit(head, SLOW | {"seed": 1})
    under_way(head, job)
    first.kill()
    work(head.url, None, "--slots", 1)
    ended(head, job)
    assert_whole(head, job, expected["slow", 1])
    assert any("went silent" in (event.get("reason") or "") for event in events(head, job))


def test_a_worker_that_slept_beyond_its_lease_is_refused_and_abandons(head, work, expected):
    first = work(head.url, None, "--slots", 1)
    job = submit(head, SLOW | {"seed": 1})
    under_way(head, job)
    first.signal(signal.SIGSTOP)
    wait_until(lambda: head.get(f"/v1/jobs/{job}").json()["attempt"] == 2)
    second = work(head.url, None, "--slots", 1)
    wait_until(lambda: status(head, job) == "running")
    first.signal(signal.SIGCONT)
    wait_until(lambda: "abandon" in first.log())
    ended(head, job)
    assert_whole(head, job, expected["slow", 1])
    assert "abandon" not in second.log()


def test_a_daemon_that_is_killed_finds_its_workers_at_work(start, work, expected, tmp_path):
    flags = ("--workers", "0", "--worker-lease", "60")  # which a busy machine does not let pass
    daemon = start(*flags, data=tmp_path / "data")
    worker = work(daemon.url, None, "--slots", 1)
    job = submit(daemon, SLOW | {"seed": 1})
    under_way(daemon, job)
    port = daemon.port
    daemon.kill()
    again = start(*flags, "--listen", f"127.0.0.1:{port}", data=tmp_path / "data")
    ended(again, job)
    assert_whole(again, job, expected["slow", 1])
    assert again.get(f"/v1/jobs/{job}").json()["attempt"] == 1, "nothing started over"
    assert worker.log().count("job started") == 1


@pytest.mark.parametrize("how", ["kill", "stop"])
def test_a_daemon_that_was_down_longer_than_a_lease_takes_nothing_away(start, work, expected, tmp_path, how):
    daemon = start("--workers", "0", "--worker-lease", LEASE, data=tmp_path / "data")
    worker = work(daemon.url, None, "--slots", 1)
    jobs = [submit(daemon, SLOW | {"seed": seed}) for seed in (1, 2)]
    under_way(daemon, jobs[0])
    port = daemon.port
    getattr(daemon, how)()
    time.sleep(LEASE + 1)
    again = start("--workers", "0", "--worker-lease", "60", "--listen", f"127.0.0.1:{port}", data=tmp_path / "data")
    for seed, job in zip((1, 2), jobs, strict=True):
        ended(again, job)
        assert_whole(again, job, expected["slow", seed])
        assert again.get(f"/v1/jobs/{job}").json()["attempt"] == 1
    assert worker.log().count("job started") == 2 and "cannot be reached" in worker.log()


def test_pausing_and_cancelling_reach_a_worker(head, work, expected):
    work(head.url, None, "--slots", 2)
    paused, cancelled = submit(head, SLOW | {"seed": 1}), submit(head, SLOW | {"seed": 2})
    under_way(head, paused)
    assert head.post(f"/v1/jobs/{paused}/pause").json()["status"] == "pausing"
    assert head.post(f"/v1/jobs/{cancelled}/cancel").status_code == 200
    wait_until(lambda: status(head, cancelled) == "cancelled")
    wait_until(lambda: status(head, paused) == "paused")
    head.post(f"/v1/jobs/{paused}/resume")
    ended(head, paused)
    assert_whole(head, paused, expected["slow", 1])


def test_an_idle_worker_ends_and_so_does_one_at_its_walltime(head, work):
    assert work(head.url, None, "--idle", 1).wait(120) == 0
    assert work(head.url, None, "--walltime", 61).wait(120) == 0


def test_a_worker_without_its_token_is_refused_at_once(start, work, tokens):
    daemon = start("--workers", "0", "--token-file", tokens["file"])
    worker = work(daemon.url)
    assert worker.wait(120) == 1 and "refuses this worker (401)" in worker.log()
    readable = tokens["secret"].with_name("readable")
    readable.write_text(tokens["secret"].read_text())
    readable.chmod(0o644)
    worker = work(daemon.url, readable)
    assert worker.wait(120) == 1 and "chmod 600" in worker.log()


def test_no_token_is_seen_in_arguments_environment_or_logs(start, work, tokens):
    daemon = start("--workers", "0", "--token-file", tokens["file"], "--log-level", "debug", "--worker-lease", LEASE)
    worker = work(daemon.url, tokens["secret"], "--slots", 1, "--log-level", "debug")
    job = submit(daemon, JOB, headers=tokens["submit"])
    wait_until(lambda: daemon.get(f"/v1/jobs/{job}", headers=tokens["read"]).json()["status"] == "succeeded")
    secret = tokens["secret"].read_text().strip()
    process = f"/proc/{worker.process.pid}"
    seen = [pathlib.Path(process, name).read_bytes().decode() for name in ("cmdline", "environ")]
    assert secret not in "".join([*seen, worker.log(), daemon.log()])
    assert not re.search(r"\b[0-9a-f]{64}\b", worker.log()), "nor the worker's own secret"


def test_a_dataset_comes_by_its_digest(head, work, start, tmp_path):
    content = {"inputs": {"dtype": "F32", "shape": [4, 3, 1], "data_offsets": [0, 48]}}
    content |= {"targets": {"dtype": "U8", "shape": [4, 3], "data_offsets": [48, 60]}}
    text = json.dumps(content).encode()
    data = struct.pack("<Q", len(text)) + text + struct.pack("<12f12B", *range(12), *[0, 1] * 6)
    alone = start("--workers", "1", data=tmp_path / "alone")
    body = {"task": {"type": "dataset", "name": "mine"}, "network": {"units": 8}}
    body["training"] = {"iterations": 20, "batch_size": 2}
    found = []
    for daemon in (alone, head):
        headers = {"Content-Type": "application/octet-stream"}
        assert daemon.request("PUT", "/v1/datasets/mine", data=data, headers=headers).status_code == 201
        if daemon is head:
            work(head.url, None, "--slots", 1)
        job = submit(daemon, body)
        ended(daemon, job)
        found.append(daemon.get(f"/v1/jobs/{job}").json()["weights_sha256"])
    assert found[0] == found[1] is not None


def test_mnist_comes_by_its_digest(start, work, tmp_path):
    def files(folder):
        (folder / "datasets" / "mnist").mkdir(parents=True)
        for name, count in (("train", 40), ("t10k", 20)):
            pixels = bytes((i * 7 + i // 784) % 256 for i in range(count * 784))
            images = struct.pack(">4I", 0x803, count, 28, 28) + pixels
            labels = struct.pack(">2I", 0x801, count) + bytes(i % 10 for i in range(count))
            (folder / "datasets" / "mnist" / f"{name}-images-idx3-ubyte").write_bytes(images)
            (folder / "datasets" / "mnist" / f"{name}-labels-idx1-ubyte").write_bytes(labels)

    body = {"task": {"type": "row_mnist"}, "network": {"units": 8}, "training": {"iterations": 4, "batch_size": 4}}
    found = []
    for name, slots in (("alone", 1), ("head", 0)):
        folder = tmp_path / name
        files(folder)
        daemon = start("--workers", slots, "--worker-lease", LEASE, data=folder)
        worker = None if slots else work(daemon.url, None, "--slots", 2)
        job = submit(daemon, body)
        ended(daemon, job)
        row = daemon.get(f"/v1/jobs/{job}").json()
        manifest = daemon.get(f"/v1/jobs/{job}/manifest").json()
        found.append((row["weights_sha256"], manifest["dataset_sha256"]))
    assert found[0] == found[1] and None not in found[0]
    again = submit(daemon, body | {"seed": 2})
    ended(daemon, again)
    assert status(daemon, again) == "succeeded"
    assert (worker.scratch / "datasets" / "mnist" / "t10k-labels-idx1-ubyte").stat().st_size == 28


def test_what_a_killed_worker_left_is_removed_by_the_next_one(head, work, tmp_path):
    scratch = tmp_path / "shared"
    scratch.mkdir()
    first = work(head.url, None, "--slots", 1, "--scratch", scratch)
    job = submit(head, SLOW | {"seed": 1})
    under_way(head, job, evaluations=1)
    (left,) = scratch.glob("run-*")
    alive = work(head.url, None, "--slots", 1, "--scratch", scratch)
    wait_until(lambda: len(list(scratch.glob("run-*"))) == 2)
    assert left.exists(), "its worker lives"
    first.kill()
    work(head.url, None, "--slots", 1, "--scratch", scratch)
    wait_until(lambda: not left.exists())
    wait_until(lambda: len(list(scratch.glob("run-*"))) == 2)
    assert alive.stop() == 0


def test_a_folder_runs_where_there_are_no_libraries(head, expected, tmp_path):
    """A root directory with nothing but the folder, as on a cluster with another distribution."""
    root = tmp_path / "root"
    (root / "tmp").mkdir(parents=True)
    made = subprocess.run(
        ["sh", ROOT / "docker" / "workers" / "folder", root / "modprop", MODPROPD], capture_output=True, text=True
    )
    assert made.returncode == 0, made.stderr
    loader = ["/modprop/lib/loader", "--library-path", "/modprop/lib", "/modprop/lib/modpropd.bin"]
    words = ["worker", "--server", head.url, "--slots", "1", "--cores", "1", "--idle", "2", "--scratch", "/tmp/s"]
    job = submit(head, JOB | {"seed": 1})
    ran = subprocess.run(["chroot", root, *loader, *words], capture_output=True, text=True, timeout=300)
    if ran.returncode == 125:
        pytest.skip(f"chroot needs more rights: {ran.stderr}")
    assert ran.returncode == 0, ran.stderr
    assert_whole(head, job, expected["job", 1])
