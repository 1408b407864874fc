"""modpropd verify, backup, and what a schema of before becomes."""

import hashlib
import json
import pathlib
import sqlite3
import subprocess

import daemons
import pytest
from daemons import MODPROPD, wait_until

SMALL = {
    "task": {"type": "delayed_xor", "delay": 20, "cue": 10},
    "network": {"units": 12},
    "training": {"iterations": 40, "batch_size": 4, "evaluate_every": 5, "checkpoint_every": 10},
}


def command(*arguments):
    return subprocess.run([MODPROPD, *map(str, arguments)], capture_output=True, text=True, timeout=120)


def train(daemon, **changes):
    job = daemon.post("/v1/jobs", json=SMALL | changes).json()
    return daemon.get(f"/v1/jobs/{job['id']}?wait=300", timeout=310).json()


@pytest.fixture
def stored(start, tmp_path):
    """A data directory with one finished job, nobody running on it, and the job."""
    daemon = start("--cores", "2")
    job = train(daemon)
    assert job["status"] == "succeeded"
    assert daemon.stop() == 0
    return tmp_path / "data", job


def change(data, statement, *values):
    with sqlite3.connect(data / "modprop.db") as database:
        assert database.execute(statement, values).rowcount > 0


def test_verify_accepts_what_training_stored_and_trains_it_again(stored):
    data, job = stored
    result = command("verify", "--data", data, "--rerun", job["id"])
    assert result.returncode == 0, result.stdout + result.stderr
    assert "trained again to the same bits" in result.stdout
    assert result.stdout.endswith("1 job: 1 whole, 0 damaged, 1 trained again\n")


@pytest.mark.parametrize(
    "statement, words",
    [
        (
            "UPDATE events SET json=replace(json, '\"loss\":0', '\"loss\":1') WHERE type='progress'",
            "its events' digest",
        ),
        ("DELETE FROM events WHERE id=3", "event 4 follows event 2"),
        ("UPDATE checkpoints SET bytes=zeroblob(length(bytes))", "do not have the sha256"),
        ("DELETE FROM checkpoints", "has no checkpoint"),
        ("UPDATE jobs SET weights_sha256='0'", "its weights' sha256"),
        ("UPDATE jobs SET document=replace(document, '\"units\":12', '\"units\":13')", "its document's sha256"),
        ("UPDATE jobs SET document='{'", "its document cannot be read"),
        ("UPDATE jobs SET status=3", "a terminal event"),
        ("UPDATE jobs SET status=7", "its status differs from its last event"),
        ("UPDATE jobs SET loss=loss+1e-9", "its metrics differs from its last event"),
        ("UPDATE jobs SET iteration=39", "its metrics differs from its last event"),
        ("UPDATE jobs SET error_code='diverged'", "its error differs from its last event"),
        ("UPDATE jobs SET rule='bptt'", "are not those of its document"),
        ("UPDATE jobs SET seed=77", "are not those of its document"),
    ],
)
def test_verify_finds_damage(stored, statement, words):
    data, job = stored
    change(data, statement)
    result = command("verify", "--data", data)
    assert result.returncode == 1
    assert job["id"] + " DAMAGED " in result.stdout and words in result.stdout
    assert result.stdout.endswith("1 job: 0 whole, 1 damaged\n")


@pytest.mark.parametrize("status", [8, -1, 1 << 40])
def test_a_status_that_does_not_exist_is_damage(stored, status):
    data, _ = stored
    change(data, "UPDATE jobs SET status=?", status)
    before = (data / "modprop.db").read_bytes()
    for arguments in (("verify", "--data", data), ("--data", data, "--listen", "127.0.0.1:0")):
        result = command(*arguments)
        assert result.returncode == 1 and "damaged" in result.stderr, (arguments, result.stdout, result.stderr)
    assert (data / "modprop.db").read_bytes() == before


def test_training_again_finds_numbers_that_were_changed_with_all_their_digests(stored):
    data, job = stored
    with sqlite3.connect(data / "modprop.db") as database:
        recheck = json.loads(
            database.execute("SELECT recheck FROM events WHERE type='progress' AND iteration=20").fetchone()[0]
        )
        recheck["loss"] += 1e-6
        database.execute("UPDATE events SET recheck=? WHERE type='progress' AND iteration=20", (json.dumps(recheck),))
    assert command("verify", "--data", data).returncode == 0
    result = command("verify", "--data", data, "--rerun")
    assert result.returncode == 1 and "iteration 20, trained again, gave" in result.stdout


def test_verify_runs_beside_a_daemon(daemon):
    job = daemon.post("/v1/jobs", json=SMALL | {"training": {"iterations": 100000}}).json()
    result = command("verify", "--data", daemon.data)
    assert result.returncode == 0, result.stdout
    assert f"{job['id']} ok: " in result.stdout
    assert daemon.post(f"/v1/jobs/{job['id']}/cancel").status_code == 200


def test_orphans_are_found(stored):
    data, _ = stored
    change(data, "DELETE FROM jobs")
    result = command("verify", "--data", data)
    assert result.returncode == 1 and "belong to no job" in result.stderr


def test_a_damaged_database_is_told_and_left_alone(stored, start):
    data, _ = stored
    whole = (data / "modprop.db").read_bytes()
    damaged = whole[:8192] + b"\xff" * 4096 + whole[12288:]
    (data / "modprop.db").write_bytes(damaged)
    assert command("verify", "--data", data).returncode == 1
    result = command("--data", data, "--listen", "127.0.0.1:0")
    assert result.returncode == 1 and "is damaged" in result.stderr and "backup" in result.stderr
    assert (data / "modprop.db").read_bytes() == damaged


def test_a_backup_taken_under_load_has_every_acknowledged_job(start, tmp_path):
    daemon = start("--workers", "2")
    ids = [daemon.post("/v1/jobs", json=SMALL | {"seed": seed}).json()["id"] for seed in range(30)]
    copy = tmp_path / "restored" / "modprop.db"
    copy.parent.mkdir()
    result = command("backup", "--data", daemon.data, copy)
    assert result.returncode == 0, result.stderr
    assert copy.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in copy.parent.iterdir()] == ["modprop.db"]
    assert command("verify", "--data", copy.parent).returncode == 0
    again = start("--workers", "2", data=copy.parent)
    ended = [again.get(f"/v1/jobs/{id}?wait=300", timeout=310).json() for id in ids]
    here = [daemon.get(f"/v1/jobs/{id}?wait=300", timeout=310).json() for id in ids]
    assert [job["weights_sha256"] for job in ended] == [job["weights_sha256"] for job in here]


def test_a_backup_replaces_nothing(stored, tmp_path):
    data, _ = stored
    (tmp_path / "kept").write_text("mine")
    result = command("backup", "--data", data, tmp_path / "kept")
    assert result.returncode == 1 and "exists already" in result.stderr
    assert (tmp_path / "kept").read_text() == "mine"


@pytest.mark.parametrize(
    "arguments, words",
    [
        (("backup", "--data", "/tmp"), "file to write is missing"),
        (("backup", "--data", "/nowhere", "x.db"), "cannot open the database"),
        (("verify", "--data", "/tmp", "--workers", "2"), "allowed here are --data and --config"),
        (("verify", "--data", "/tmp", "a", "b"), "more than one operand"),
        (("verify",), "--data"),
    ],
)
def test_bad_usage_is_one_sentence(arguments, words):
    result = command(*arguments)
    assert result.returncode in (1, 2) and words in result.stderr and result.stdout == ""


def test_a_database_of_the_first_version_is_brought_forward(start, tmp_path):
    ended, ran = "01a20df0-71ca-7000-b923-5a79ea637cf1", "01a20df0-720c-7000-8d74-94e3c5d86229"
    data = tmp_path / "data"
    data.mkdir(mode=0o700)
    with sqlite3.connect(data / "modprop.db") as database:
        database.executescript((pathlib.Path(__file__).parent / "schema1.sql").read_text())
        texts = [row[0] for row in database.execute("SELECT json FROM events WHERE job=? ORDER BY id", (ended,))]
    database.close()
    result = command("verify", "--data", data)
    assert result.returncode == 1 and "older modprop" in result.stderr
    daemon = start()
    job = daemon.get(f"/v1/jobs/{ended}").json()
    weights = "c22cc29508834f6a4d3861ad6335e8442b607e2d464f04d78a68958e54ffaf6e"
    assert job["outcome"] == "trained" and job["progress"]["fraction"] == 1
    assert job["weights_sha256"] == daemon.get(f"/v1/jobs/{ended}/weights").json()["sha256"] == weights
    digest = ""
    for text in texts:
        digest = hashlib.sha256((digest + text).encode()).hexdigest()
    assert daemon.get(f"/v1/jobs/{ended}/manifest").json()["events"] == {"count": len(texts), "digest": digest}
    wait_until(lambda: daemon.get(f"/v1/jobs/{ran}").json()["progress"]["iteration"] > 0)
    assert daemon.get(f"/v1/jobs/{ran}").json()["attempt"] == 2
    assert daemon.post(f"/v1/jobs/{ran}/cancel").status_code == 200
    assert daemon.stop() == 0
    result = command("verify", "--data", data)
    assert result.returncode == 0 and result.stdout.endswith("2 jobs: 2 whole, 0 damaged\n")


def test_a_database_of_a_newer_modprop_is_refused(stored):
    data, _ = stored
    with sqlite3.connect(data / "modprop.db") as database:
        database.execute("PRAGMA user_version=99")
    result = command("--data", data, "--listen", "127.0.0.1:0")
    assert result.returncode == 1 and "newer modprop" in result.stderr


@pytest.mark.parametrize("damage", ["page", "truncated", "emptied", "moved"])
def test_a_damaged_database_keeps_the_log_beside_it(start, damage):
    """What a kill leaves is a database and its log: neither changes by a byte when the daemon refuses them."""
    daemon = start("--workers", "1")
    train(daemon)
    with sqlite3.connect(daemon.data / "modprop.db") as database:
        database.execute("PRAGMA wal_checkpoint(PASSIVE)")  # so that there are pages to damage
        daemon.post("/v1/jobs", json=SMALL)
        daemon.kill()
        file = daemon.data / "modprop.db"
        kept = file.read_bytes()
    # the connection above closed as the last one and has copied the log: make another that is left behind
    database.close()
    file.write_bytes(kept)
    (daemon.data / "modprop.db-wal").write_bytes(b"what was committed" * 1000)
    if damage == "page":
        file.write_bytes(kept[:8192] + b"\xff" * 4096 + kept[12288:])
    elif damage == "truncated":
        file.write_bytes(kept[: len(kept) // 2])
    elif damage == "emptied":
        file.write_bytes(b"")
    else:
        file.unlink()
    before = {
        path.name: path.read_bytes() for path in daemon.data.glob("modprop.db*") if not path.name.endswith("-shm")
    }
    result = command("--data", daemon.data, "--listen", "127.0.0.1:0")
    assert result.returncode == 1 and "nothing was changed: restore it from a backup" in result.stderr, result.stderr
    after = {path.name: path.read_bytes() for path in daemon.data.glob("modprop.db*") if not path.name.endswith("-shm")}
    assert after == before, (
        sorted(before),
        sorted(after),
        [name for name in after if after.get(name) != before.get(name)],
    )


def test_what_a_damaged_database_says_is_not_obeyed_by_a_terminal(stored):
    data, job = stored
    evil = "\x1b]0;title\x07\u009b31m"
    change(data, "UPDATE jobs SET id=? WHERE id=?", job["id"][:20] + evil[:4], job["id"])
    change(data, "UPDATE events SET type=?, json=? WHERE id=2", evil, '{"type": "' + evil + '"}')
    for arguments in (["verify", "--data", data], ["verify", "--data", data, "--rerun"]):
        result = command(*arguments)
        assert result.returncode == 1 and not set("\x1b\x07\u009b") & set(result.stdout + result.stderr), result


def test_a_daemon_that_cannot_start_says_what_to_do(start, tmp_path):
    daemon = start("--workers", "0")
    taken = command("--data", tmp_path / "other", "--listen", f"127.0.0.1:{daemon.port}")
    assert taken.returncode == 1
    assert "Address already in use; give another --listen, such as 127.0.0.1:0 for a free port" in taken.stderr
    orphan = command("--data", tmp_path / "x" / "y", "--listen", "127.0.0.1:0")
    said = f"--data: the directory {tmp_path}/x/y cannot be created: its parent {tmp_path}/x does not exist"
    assert orphan.returncode == 1 and said in orphan.stderr and not (tmp_path / "x").exists()
    closed = command("--data", "/sys/kernel", "--listen", "127.0.0.1:0")  # nobody may write there
    assert closed.returncode == 1 and "--data: /sys/kernel cannot be written by this user" in closed.stderr


def test_a_second_daemon_is_refused_without_the_lock_file_too(start):
    daemon = start("--workers", "0")
    (daemon.data / "lock").unlink()
    result = command("--data", daemon.data, "--listen", "127.0.0.1:0")
    assert result.returncode == 1 and "belongs to a running modpropd" in result.stderr
    assert daemon.post("/v1/jobs", json=SMALL).status_code == 201


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 64 kB."""
    with daemons.small_disk(tmp_path / "small", "64k") as folder:
        yield folder


def test_a_backup_to_a_full_disk_leaves_nothing(stored, small_disk):
    data, _ = stored
    result = command("backup", "--data", data, small_disk / "copy.db")
    assert result.returncode == 1 and "cannot be copied" in result.stderr
    assert list(small_disk.iterdir()) == []


def test_a_backup_beyond_the_limit_of_file_sizes_fails_and_leaves_nothing(stored, tmp_path):
    data, _ = stored
    target = tmp_path / "target"
    target.mkdir()
    limited = f"ulimit -f 40; exec {MODPROPD} backup --data {data} {target}/copy.db"
    result = subprocess.run(["bash", "-c", limited], capture_output=True, text=True, timeout=120)
    assert result.returncode == 1 and "cannot be copied" in result.stderr, (result.returncode, result.stderr)
    assert list(target.iterdir()) == []
