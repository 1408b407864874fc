"""Jobs from submission to deletion, against a real daemon."""

import json
import os
import re
import signal
import time

import pytest
from conftest import Program
from daemons import wait_until
from work import LONG, SHORT, digest, ended, status_of, submit


def test_submit_show_list(modprop, tmp_path):
    file = tmp_path / "job.json"
    file.write_text(
        json.dumps(
            {
                "task": {"type": "delayed_xor", "delay": 20, "cue": 20},
                "network": {"units": 20},
                "training": {"iterations": 40},
            }
        )
    )
    [job] = submit(modprop, file, "--name", "mine", "--set", "rule.mu=0.3", "--seed", "7")
    assert re.fullmatch(r"[0-9a-f-]{36}", job)
    document = ended(modprop, job)
    assert (document["name"], document["rule"]["mu"], document["seed"], document["status"]) == (
        "mine",
        0.3,
        7,
        "succeeded",
    )
    text = modprop.run("show", "latest").stdout
    assert re.search(r"^status +succeeded$", text, re.M) and re.search(
        r"^rule +modprop  mu 0.3  weights cell", text, re.M
    )
    [heading, row] = modprop.lines("list")
    assert (
        heading.split()[:2] == ["JOB", "NAME"]
        and row.startswith(job)
        and row.split()[2:7] == ["delayed_xor", "modprop", "mu", "0.3", "cell"]
        and "succeeded" in row
    )
    [again] = submit(modprop, "--from", job, "--rule", "eprop", "--set", "training.iterations=20")
    copy = json.loads(modprop.run("show", again, "--json").stdout)
    assert (
        copy["rule"]["type"] == "eprop"
        and "mu" not in copy["rule"]
        and copy["seed"] == 7
        and copy["task"] == document["task"]
    )
    assert modprop.lines("list", "--quiet", "--rule", "eprop") == [again]
    assert len(json.loads(modprop.run("list", "--json", "--all").stdout)["jobs"]) == 2


def test_standard_input_and_seeds(modprop):
    body = json.dumps(
        {
            "task": {"type": "delayed_xor", "delay": 20, "cue": 20},
            "network": {"units": 20},
            "training": {"iterations": 20},
        }
    )
    jobs = modprop.run("submit", "-", "--seed", "3-5", input=body).stdout.split()
    assert [json.loads(modprop.run("show", job, "--json").stdout)["seed"] for job in jobs] == [3, 4, 5]


def test_what_show_printed_can_be_submitted(modprop, tmp_path):
    """modprop show --json > job.json, an editor, modprop submit job.json."""
    [job] = submit(modprop, *SHORT, "--name", "first")
    shown = ended(modprop, job)
    (tmp_path / "job.json").write_text(json.dumps(shown))
    again = ended(modprop, modprop.run("submit", tmp_path / "job.json").stdout.strip())
    assert again["id"] != job and again["name"] == "first"
    assert (again["config_sha256"], again["weights_sha256"]) == (shown["config_sha256"], shown["weights_sha256"])


def test_a_key_makes_one_job(modprop):
    first = submit(modprop, *SHORT, "--key", "once")
    assert submit(modprop, *SHORT, "--key", "once") == first
    modprop.run("submit", *SHORT, "--set", "seed=9", "--key", "once", status=4)
    assert len(modprop.lines("list", "-q")) == 1


def test_ids_are_resolved(start, tmp_path):
    modprop = Program(tmp_path, start("--workers", "0").url)
    assert "there is no job yet" in modprop.run("show", "latest", status=4).stderr
    jobs = []
    for _ in range(3):
        jobs += submit(modprop, *SHORT)
        time.sleep(0.01)
    assert json.loads(modprop.run("show", jobs[1][:23].upper(), "--json").stdout)["id"] == jobs[1]
    assert json.loads(modprop.run("show", "latest", "--json").stdout)["id"] == jobs[2]
    assert f'more than one job id starts with "{jobs[0][:2]}"' in modprop.run("cancel", jobs[0][:2], status=2).stderr
    assert 'no job has "ffff" as its name' in modprop.run("show", "ffff", status=4).stderr
    assert 'no job has "no_job" as its name or as the' in modprop.run("show", "no_job", status=4).stderr
    assert "(404)" in modprop.run("show", "01a20dc9-85ec-7000-9f95-000000000000", status=4).stderr


@pytest.mark.parametrize("name", ["first", 'a "b\\ OR *', "beef"])
def test_jobs_are_found_by_their_names(start, tmp_path, name):
    modprop = Program(tmp_path, start("--workers", "0").url)
    [job] = submit(modprop, *SHORT, "--name", name)
    submit(modprop, *SHORT, "--name", name + " more")
    submit(modprop, *SHORT, "--name", name.upper())
    assert json.loads(modprop.run("show", name, "--json").stdout)["id"] == job
    [other] = submit(modprop, *SHORT, "--name", name)
    said = modprop.run("metrics", name, status=2).stderr
    assert f'more than one job has the name "{name}", such as {other} and {job}; give the id' in said


def test_a_name_is_meant_where_several_ids_begin_so(start, tmp_path):
    modprop = Program(tmp_path, start("--workers", "0").url)
    jobs = [submit(modprop, *SHORT, "--name", str(number))[0] for number in range(3)]
    assert jobs[1].startswith("0") and jobs[2].startswith("0")
    assert json.loads(modprop.run("show", "0", "--json").stdout)["id"] == jobs[0]
    submit(modprop, *SHORT, "--name", "0")
    assert 'more than one job id starts with "0"' in modprop.run("cancel", "0", status=2).stderr
    assert 'no job has "" as its name' in modprop.run("cancel", "", status=4).stderr


def test_prefixes_and_lists_reach_beyond_a_page(start, tmp_path):
    modprop = Program(tmp_path, start("--workers", "0").url)
    [first] = submit(modprop, *SHORT)
    time.sleep(0.01)
    submit(modprop, *SHORT, "--seed", "1-120")
    assert json.loads(modprop.run("show", first[:20], "--json").stdout)["id"] == first
    assert len(modprop.lines("list", "-q", "--limit", "110")) == 110
    assert len(set(modprop.lines("list", "-q", "--all"))) == 121


def test_bad_fields_are_named(modprop):
    lines = modprop.run(
        "submit", "--task", "delayed_xr", "--set", "rule.mu=high", "--set", "netwrok.units=3", status=4
    ).stderr.splitlines()
    assert "(422)" in lines[0]
    assert any(line.startswith("  netwrok ") and "network" in line for line in lines)
    assert any(line.startswith("  rule.mu ") and "from 0 to 1" in line for line in lines)
    assert any(line.startswith("  task.type ") and "delayed_xor" in line for line in lines)
    assert len(json.loads(modprop.run("submit", "--set", "rule.mu=high", "--json", status=4).stderr)["errors"]) >= 1


def test_validate(modprop):
    result = modprop.run("validate", "--task", "delayed_xor")
    assert "the job is valid" in result.stdout and re.search(r"memory_bytes +[0-9.]+ MiB", result.stdout)
    assert re.search(r"^method +reverse recursion$", result.stdout, re.M)
    by_type = modprop.run("validate", "--task", "delayed_xor", "--set", "rule.weights=type")
    assert re.search(r"^method +forward traces$", by_type.stdout, re.M)
    assert json.loads(modprop.run("validate", "--task", "delayed_xor", "--json").stdout)
    modprop.run("validate", "--task", "nothing", status=4)
    assert modprop.lines("list", "-q") == []


def test_pause_resume_cancel_delete(modprop):
    [job] = submit(modprop, *LONG)
    wait_until(lambda: status_of(modprop, job) == "running")
    assert modprop.run("pause", job).stdout.split()[1] in ("pausing", "paused")
    wait_until(lambda: status_of(modprop, job) == "paused")
    assert modprop.run("resume", job).stdout.split()[1] in ("queued", "running")
    assert "(409)" in modprop.run("delete", job, status=4).stderr
    modprop.run("cancel", job[:23])
    assert ended(modprop, job)["status"] == "cancelled"
    assert modprop.run("delete", job).stdout == f"{job}  deleted\n"
    modprop.run("show", job, status=4)
    [job] = submit(modprop, *SHORT)
    ended(modprop, job)
    assert json.loads(modprop.run("delete", job, "--json").stdout) == {"id": job, "status": "deleted"}


def test_extend_and_retry(modprop):
    [job] = submit(modprop, *SHORT)
    ended(modprop, job)
    [longer] = submit(modprop, *SHORT, "--set", "training.iterations=100")
    lines = modprop.lines("extend", job[:23], "--iterations", "100", "--follow", "--plain")
    evaluations = [line.split()[1] for line in lines if line.startswith("iteration ")]
    assert evaluations == ["0/100", "20/100", "40/100", "60/100", "80/100", "100/100"]
    extended = ended(modprop, lines[0])
    assert extended["weights_sha256"] == ended(modprop, longer)["weights_sha256"]
    assert extended["origin"]["job"] == job
    assert "must be more than the 60" in modprop.run("extend", job, "--iterations", "60", status=4).stderr
    assert "extend needs --iterations N" in modprop.run("extend", job, status=2).stderr
    bad = modprop.run("extend", job, "--iterations", "90", "--stop-when", "low", status=2).stderr
    assert "--stop-when must be none, or JSON" in bad
    keyed = ["extend", job, "--iterations", "90", "--stop-when", "none", "--key", "once"]
    assert modprop.lines(*keyed) == modprop.lines(*keyed)
    assert "has succeeded" in modprop.run("retry", job, status=4).stderr
    [long] = submit(modprop, *LONG)
    modprop.run("cancel", long)
    ended(modprop, long)
    [again] = modprop.lines("retry", long)
    document = json.loads(modprop.run("show", again, "--json").stdout)
    assert document["origin"] == {"kind": "retry", "job": long} and again != long
    modprop.run("cancel", again)


# ---- follow ----------------------------------------------------------------------------------------------------------


def test_follow_in_a_pipe_is_lines(modprop):
    result = modprop.run("submit", *SHORT, "--follow")
    lines = result.stdout.splitlines()
    evaluations = [line for line in lines if line.startswith("iteration ")]
    assert [line.split()[1] for line in evaluations] == ["0/60", "20/60", "40/60", "60/60"]
    assert all("loss " in line and "accuracy " in line for line in evaluations)
    assert re.fullmatch(r"succeeded after 60 iterations: loss [0-9.e-]+, accuracy [0-9.]+ %", lines[-1])
    assert "\x1b" not in result.stdout
    # Followed again after its end, all comes again from the store.
    assert [line for line in modprop.lines("follow", lines[0]) if line.startswith("iteration ")][-1].startswith(
        "iteration 60/60"
    )


def test_follow_json_is_the_events(modprop):
    [job] = submit(modprop, *SHORT)
    events = [json.loads(line) for line in modprop.lines("follow", job, "--json")]
    assert [event["id"] for event in events] == list(range(1, len(events) + 1))
    assert events[-1]["type"] == "status" and events[-1]["status"] == "succeeded"


def test_follow_reports_a_cancelled_job_by_its_status(modprop):
    [job] = submit(modprop, *LONG)
    process = modprop.start("follow", job, text=True)
    wait_until(lambda: status_of(modprop, job) == "running")
    modprop.run("cancel", job)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 1 and output.splitlines()[-1].startswith("cancelled")


def test_interrupting_follow_leaves_the_job_alone(modprop):
    [job] = submit(modprop, *LONG)
    # what runs the tests may ignore the signal (a shell's background does), and a program keeps what it inherits
    process = modprop.start("follow", job, text=True, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
    assert process.stdout.readline()
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 130 and f"modprop follow {job}" in errors
    assert status_of(modprop, job) in ("queued", "running")


@pytest.mark.parametrize("words", [[], ["--json"]])
def test_following_into_a_pipe_that_closes_ends(modprop, words):
    """As in `modprop follow JOB | head -3`: the reader has gone, the job goes on for minutes."""
    [job] = submit(modprop, *LONG)
    process = modprop.start("follow", job, *words)
    for _ in range(3):
        assert process.stdout.readline()
    process.stdout.close()
    assert process.wait(timeout=120) == -signal.SIGPIPE and process.stderr.read() == b""
    assert status_of(modprop, job) == "running"


def test_following_into_what_cannot_be_written_ends(modprop):
    [job] = submit(modprop, *LONG)
    with open("/dev/full", "w") as full:
        process = modprop.start("follow", job, stdout=full, text=True)
        _, errors = process.communicate(timeout=120)
    assert process.returncode == 5 and "standard output cannot be written: No space left" in errors


def test_the_whole_way_through_a_killed_daemon(start, tmp_path):
    """Submit, follow through a kill -9 and a restart on the same port, weights equal to the server's sha256."""
    daemon = start("--workers", "1", data=tmp_path / "data")
    modprop = Program(tmp_path, daemon.url)
    [job] = submit(modprop, *LONG, "--set", "training.iterations=600")
    process = modprop.start("follow", job, "--json", text=True)
    first = [process.stdout.readline() for _ in range(6)]
    daemon.kill()
    time.sleep(0.3)
    start("--workers", "1", "--listen", f"127.0.0.1:{daemon.port}", data=tmp_path / "data")
    output = process.stdout.read()  # not communicate, which passes over what readline has buffered
    assert process.wait(timeout=120) == 0, process.stderr.read()
    events = [json.loads(line) for line in first + output.splitlines()]
    assert [event["id"] for event in events] == list(range(1, len(events) + 1))
    assert events[-1]["status"] == "succeeded"
    assert [event["iteration"] for event in events if event["type"] == "progress"] == list(range(0, 601, 20))
    weights = json.loads(modprop.run("weights", job).stdout)
    assert (
        digest(weights) == weights["sha256"] == json.loads(modprop.run("show", job, "--json").stdout)["weights_sha256"]
    )


def test_follow_gives_up_when_told_to(start, tmp_path):
    daemon = start("--workers", "1", data=tmp_path / "data")
    modprop = Program(tmp_path, daemon.url)
    [job] = submit(modprop, *LONG)
    process = modprop.start("follow", job, "--patience", "1", text=True)
    assert process.stdout.readline()
    daemon.kill()
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 3 and "gave up following the job" in errors


# ---- several jobs, noted and chosen ----------------------------------------------------------------------------------


def test_seeds_are_numbers_and_ranges(modprop):
    jobs = submit(modprop, *SHORT, "--seeds", "9,1,3-5,4")
    documents = [json.loads(modprop.run("show", job, "--json").stdout) for job in jobs]
    assert [document["seed"] for document in documents] == [9, 1, 3, 4, 5]
    for wrong in ("1,", ",1", "5-1", "1-2-3", "x", "-1", "1;2", "0-1000", str(2**53)):
        error = modprop.run("submit", *SHORT, "--seed", wrong, status=2).stderr
        assert "--seed must be numbers from 0 to 2^53-1 or ranges" in error and wrong in error


def test_metadata_and_names_choose_jobs(modprop):
    first = submit(modprop, *SHORT, "--name", "a", "--metadata", "lab=north", "--metadata", "n=3", "--seed", "1-3")
    second = submit(modprop, *SHORT, "--name", "b", "--metadata", "a.b=[1]", "--metadata", "n=3")
    assert json.loads(modprop.run("show", second[0], "--json").stdout)["metadata"] == {"a.b": [1], "n": 3}
    assert modprop.lines("list", "-q", "--name", "a") == first[::-1]
    assert modprop.lines("list", "-q", "--metadata", "n=3") == second + first[::-1]
    assert modprop.lines("list", "-q", "--metadata", "lab", "--metadata", "n=3") == first[::-1]
    assert modprop.lines("list", "-q", "--metadata", "a.b=[1]") == second
    assert modprop.lines("list", "-q", "--metadata", "n=4") == []
    page = json.loads(modprop.run("list", "--json", "--name", "a", "--limit", "2").stdout)
    assert [job["id"] for job in page["jobs"]] == first[:0:-1] and page["next"] is not None
    modprop.run("submit", *SHORT, "--metadata", "=1", status=2)


def test_queries_edits_and_views(modprop):
    first = submit(modprop, *SHORT, "--name", "the first", "--tag", "paper", "--tag", "b c", "--seed", "1-3")
    second = submit(modprop, *SHORT, "--rule", "eprop", "--notes", "of note", "--metadata", "lab=x, y")
    assert modprop.lines("list", "-q", "rule:eprop") == second
    assert modprop.lines("list", "-q", "tag:paper", "seed:1..2") == first[1::-1]
    assert modprop.lines("list", "-q", "--query", '-rule:eprop tag:"b c"') == first[::-1]
    assert modprop.lines("list", "-q", "--metadata", "lab=x, y") == second
    assert modprop.lines("list", "-q", "--name", "the") == []
    error = modprop.run("list", "lossy<1", status=4).stderr
    assert 'at character 1: there is no field "lossy"; did you mean "loss"?' in error
    modprop.run("edit", second[0], "--name", "new", "--tags", "paper,x")
    shown = json.loads(modprop.run("show", second[0], "--json").stdout)
    assert (shown["name"], shown["notes"], shown["tags"]) == ("new", "of note", ["paper", "x"])
    assert "say what to change" in modprop.run("edit", second[0], status=2).stderr
    modprop.run("views", "save", "papers", "tag:paper", "--sort", "-seed", "--columns", "seed,name,rule,meta.lab")
    modprop.run("views", "save", "all")
    [heading, *rows] = modprop.lines("list", "--view", "papers")
    assert heading.split() == ["seed", "name", "rule", "meta.lab"]
    assert [row.split()[0] for row in rows] == ["3", "2", "1", "1"] and "x, y" in "".join(rows)
    assert modprop.lines("list", "-q", "--view", "papers", "rule:eprop") == second
    assert [line.split()[0] for line in modprop.lines("views")] == ["NAME", "all", "papers"]
    modprop.run("views", "delete", "papers", "all")
    assert "there is no view papers" in modprop.run("list", "--view", "papers", status=4).stderr


def test_all_and_a_limit_exclude_each_other(modprop):
    assert "--all and --limit exclude each other" in modprop.run("list", "--all", "--limit", "1", status=2).stderr


def test_follow_of_several_goes_from_the_oldest_on_and_says_what_waits(start, tmp_path):
    modprop = Program(tmp_path, start("--workers", "1").url)
    jobs = submit(modprop, *SHORT, "--seed", "1-4")
    lines = modprop.lines("follow", *jobs[::-1])
    titles = [line for line in lines if re.match(r"[0-9a-f]{8}-[0-9a-f]{4}  delayed_xor", line)]
    assert [title.split()[0] for title in titles] == [job[:13] for job in jobs]


def test_follow_says_the_place_in_the_queue(start, tmp_path):
    modprop = Program(tmp_path, start("--workers", "0").url)
    jobs = submit(modprop, *SHORT, "--seed", "1-3")
    follower = modprop.start("follow", jobs[2], text=True)
    assert follower.stdout.readline().startswith(jobs[2][:13])
    assert follower.stdout.readline() == "queued, 2 ahead\n"
    modprop.run("cancel", jobs[2])
    follower.communicate(timeout=120)


@pytest.mark.skipif(not os.environ.get("MODPROP_LONG"), reason="SKIPPED: waits for 70 s; MODPROP_LONG=1 runs it")
def test_a_quiet_stream_of_a_live_daemon_is_not_a_lost_one(start, tmp_path):
    modprop = Program(tmp_path, start("--workers", "0", "--heartbeat", "300").url)
    [job] = submit(modprop, *SHORT)
    follower = modprop.start("follow", job, "--patience", "3", text=True)
    time.sleep(70)
    assert follower.poll() is None
    modprop.run("cancel", job)
    out, errors = follower.communicate(timeout=120)
    assert follower.returncode == 1 and "cancelled" in out and errors == ""
