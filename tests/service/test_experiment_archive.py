"""What experiments keep of their trials: events, results that outlast jobs, what is reused, and what goes."""

import json
import sqlite3
import subprocess
import threading
import time

import pytest
from daemons import MODPROPD, wait_until
from test_experiment_growth import edit, held, trials
from test_experiments import ENDLESS, METRICS, RATES, RULES, TINY, act, ended, get, jobs, submit


def events(daemon, id, **options):
    answer = daemon.get(f"/v1/experiments/{id}/events", params={"limit": 1000} | options)
    assert answer.status_code == 200, answer.text
    return answer.json()["events"]


def rows(daemon, query):
    database = sqlite3.connect(f"file:{daemon.data}/modprop.db?mode=ro", uri=True)
    found = database.execute(query).fetchall()
    database.close()
    return found


def kept(daemon, count):
    """Until the results of so many jobs are kept."""
    wait_until(lambda: rows(daemon, "SELECT count(*) FROM findings") == [(count,)])
    wait_until(lambda: rows(daemon, "SELECT count(*) FROM endings") == [(0,)])


def test_events_are_those_of_trials_and_of_the_experiment(daemon):
    id = submit(daemon, {"base": TINY, "axes": [RULES], "seeds": [1, 2]})["id"]
    ended(daemon, id)
    found = events(daemon, id)
    assert [event["id"] for event in found] == list(range(1, 7)) and all(event["experiment"] == id for event in found)
    assert [event["seq"] for event in found] == sorted({event["seq"] for event in found})
    assert [e["status"] for e in found if e["type"] == "experiment"] == ["running", "complete"]
    told = {(e["point"], e["seed"]): e for e in found if e["type"] == "trial"}
    assert set(told) == {(point, seed) for point in "01" for seed in (1, 2)}
    for trial in trials(daemon, id):
        event = told[trial["point"], trial["seed"]]
        assert event["job"] == trial["job"] and event["loss"] == trial["metrics"]["final_loss"]
        assert event["status"] == "succeeded" and event["outcome"] == "trained" and not event["linked"]
    linked = submit(daemon, {"base": TINY | {"rule": {"type": "bptt"}}, "seeds": [1]})["id"]
    ended(daemon, linked)
    told = [e for e in events(daemon, linked) if e["type"] == "trial"]
    assert [(e["linked"], e["loss"], e["job"]) for e in told] == [(True, told[0]["loss"], told[0]["job"])]
    assert told[0]["loss"] in [trial["metrics"]["final_loss"] for trial in trials(daemon, id)]


def test_a_stream_resumes_and_ends_with_the_experiment(daemon):
    id = submit(daemon, {"base": TINY, "axes": [RULES], "seeds": {"count": 5}})["id"]
    at, lines = f"/v1/experiments/{id}/events", {"Accept": "application/x-ndjson"}
    with daemon.get(at, headers=lines, stream=True) as answer:
        live = [json.loads(line) for line in answer.iter_lines() if line]
    assert live[-1]["status"] == "complete" and live == events(daemon, id)
    rest = daemon.get(at, headers=lines | {"Last-Event-ID": "4"}).text.splitlines()
    assert [json.loads(line)["id"] for line in rest] == list(range(5, 13))
    assert daemon.get(at, headers=lines, params={"after": 12}).status_code == 204
    sse = daemon.get(at, headers={"Accept": "text/event-stream"}, params={"after": 11}).text
    assert sse.startswith("id: 12\nevent: experiment\ndata: {")
    edit(daemon, id, {"seeds": [6]})
    ended(daemon, id)
    with daemon.get(at, headers=lines, stream=True) as answer:
        whole = [json.loads(line) for line in answer.iter_lines() if line]
    statuses = [e["status"] for e in whole if e["type"] == "experiment"]
    assert statuses == ["running", "complete", "running", "complete"], "an end in between ends no stream"
    assert daemon.get("/v1/experiments/none/events").status_code == 404


def test_a_deleted_experiment_ends_its_streams_and_leaves_nothing(start):
    daemon = start("--workers", "1")
    id = submit(daemon, {"base": TINY, "seeds": [1, 2]})["id"]
    ended(daemon, id)
    kept(daemon, 2)
    edit(daemon, id, {"seeds": [3]})
    ended(daemon, id)
    assert daemon.request("DELETE", f"/v1/experiments/{id}").status_code == 204
    tables = ("experiments", "trials", "findings", "tallies", "endings", "jobs", "checkpoints", "purges")
    wait_until(lambda: all(rows(daemon, f"SELECT count(*) FROM {table}") == [(0,)] for table in tables))
    wait_until(lambda: rows(daemon, "SELECT count(*) FROM events WHERE type<>'deleted'") == [(0,)])


@pytest.fixture
def archived(start):
    """Of one experiment everything that statistics say, before and after retention has deleted its jobs."""
    daemon = start("--workers", "2")
    axes = [RULES, RATES]
    training = {
        "iterations": 60,
        "batch_size": 2,
        "evaluate_every": 5,
        "checkpoint_every": 100,
        "diagnostics": ["norms"],
    }
    experiment = {"base": TINY | {"training": training}, "axes": axes, "seeds": {"count": 4}, "metrics": METRICS}
    id = submit(daemon, experiment)["id"]
    ended(daemon, id)
    views = {
        "points": {"bootstrap": 200},
        "trials": {},
        "compare": {},
        "curves": {"keys": "loss,gradient_norm_W", "seeds": "true", "mean": "true", "x": "seconds"},
    }

    def seen(of):
        return {v: of.get(f"/v1/experiments/{id}/{v}", params=p).json() for v, p in views.items()}

    kept(daemon, 16)
    before = seen(daemon)
    assert daemon.stop() == 0
    again = start("--keep-bytes", "1", data=daemon.data)
    wait_until(lambda: jobs(again) == [])
    return again, id, before, seen


def test_statistics_outlast_the_jobs(archived):
    daemon, id, before, seen = archived
    after = seen(daemon)
    assert all(trial["archived"] for trial in after["trials"]["trials"])
    for trial in before["trials"]["trials"]:
        assert not trial["archived"]
        trial["archived"] = True
    assert after == before
    counts = get(daemon, id)["counts"]
    assert counts["succeeded"] == 16 and sum(counts.values()) == 16 and get(daemon, id)["status"] == "complete"
    grown = edit(daemon, id, {"seeds": [5]})
    assert grown["trials"] == 20
    assert ended(daemon, id)["counts"]["succeeded"] == 20, "what has gone is not run again"
    assert daemon.stop() == 0


def test_the_results_are_those_of_the_events(daemon):
    """A trial whose result is not kept yet has the same values."""
    id = submit(daemon, {"base": TINY, "seeds": {"count": 3}, "metrics": METRICS})["id"]
    ended(daemon, id)
    kept(daemon, 3)
    found = [daemon.get(f"/v1/experiments/{id}/{view}").json() for view in ("points", "trials", "curves")]
    asked = {"jobs": [trial["job"] for trial in found[1]["trials"]], "metrics": METRICS, "curves": ["loss", "accuracy"]}
    other = daemon.post("/v1/compare", json=asked).json()
    assert other["points"][0]["metrics"] == found[0]["points"][0]["metrics"]
    for own, of_events in zip(found[2]["curves"], other["curves"], strict=True):
        assert (own["median"], own["iteration"]) == (of_events["median"], of_events["iteration"])


def test_retry_makes_archived_failures_again(start):
    daemon = start("--workers", "1")
    id = submit(daemon, {"base": ENDLESS, "seeds": [1, 2]})["id"]
    wait_until(lambda: get(daemon, id)["counts"]["running"] == 1)
    act(daemon, id, "cancel")
    ended(daemon, id)
    kept(daemon, 2)
    daemon.stop()
    again = start("--keep-bytes", "1", "--workers", "1", data=daemon.data)
    wait_until(lambda: jobs(again) == [])
    assert get(again, id)["counts"]["cancelled"] == 2
    act(again, id, "retry")
    wait_until(lambda: get(again, id)["counts"]["running"] == 1)
    wait_until(lambda: get(again, id)["counts"]["queued"] == 1)
    assert sum(get(again, id)["counts"].values()) == 2
    act(again, id, "cancel")
    ended(again, id)


def test_reuse_goes_by_what_reaches_a_result(daemon):
    training = TINY["training"] | {"checkpoint_every": 3, "diagnostics": ["norms"]}
    first = submit(daemon, {"base": TINY | {"training": training, "threads": 1, "name": "x"}, "seeds": [1]})["id"]
    ended(daemon, first)
    plain = submit(daemon, {"base": TINY, "seeds": [1]})["id"]
    ended(daemon, plain)
    assert held(daemon, plain) == held(daemon, first), "diagnostics, threads and checkpoints reach no result"
    asked = TINY | {"training": TINY["training"] | {"diagnostics": ["psi"]}}
    other = submit(daemon, {"base": asked, "seeds": [1]})["id"]
    ended(daemon, other)
    assert held(daemon, other) != held(daemon, first), "it has not the diagnostics that are asked for"
    longer = TINY | {"training": TINY["training"] | {"iterations": 6}}
    third = submit(daemon, {"base": longer, "seeds": [1]})["id"]
    ended(daemon, third)
    assert len(jobs(daemon)) == 3


def test_weights_that_are_not_to_be_kept_go(daemon):
    none = submit(daemon, {"base": TINY, "seeds": [1, 2], "keep": {"weights": "none"}})["id"]
    ended(daemon, none)
    kept(daemon, 2)
    wait_until(lambda: rows(daemon, "SELECT count(*) FROM checkpoints") == [(0,)])
    (job, _) = held(daemon, none).values()
    assert daemon.get(f"/v1/jobs/{job}/weights").status_code in (404, 409)
    last = submit(daemon, {"base": TINY, "seeds": [1], "keep": {"weights": "last"}})["id"]
    ended(daemon, last)
    (other,) = held(daemon, last).values()
    assert other != job, "a job without weights is not reused where they are wanted"
    assert daemon.get(f"/v1/jobs/{other}/weights").status_code == 200
    again = submit(daemon, {"base": TINY, "seeds": [1, 2], "keep": {"weights": "none"}})["id"]
    ended(daemon, again)
    assert len(jobs(daemon)) == 3
    assert daemon.stop() == 0


def test_edits_while_a_change_is_in_progress_wait_for_it(start):
    daemon = start("--workers", "1")
    id = submit(daemon, {"base": ENDLESS, "seeds": {"count": 20}})["id"]
    statuses = []

    def ask(action):
        statuses.append(daemon.post(f"/v1/experiments/{id}/{action}").status_code)

    for _ in range(5):
        threads = [threading.Thread(target=ask, args=(action,)) for action in ("pause", "pause")]
        for thread in threads:
            thread.start()
        edit(daemon, id, {"name": f"{time.time()}"})
        for thread in threads:
            thread.join()
        ask("resume")
    assert set(statuses) == {200}
    act(daemon, id, "cancel")
    ended(daemon, id)


BEFORE = """
    DROP TRIGGER trials_added; DROP TRIGGER trials_moved; DROP TRIGGER trials_removed;
    DROP TABLE tallies; DROP TABLE endings; DROP TABLE findings;
    DROP INDEX jobs_identity; ALTER TABLE jobs DROP COLUMN identity;
    ALTER TABLE jobs DROP COLUMN worker; ALTER TABLE jobs DROP COLUMN reported;
    PRAGMA user_version=11;
"""


def test_a_directory_from_before_keeps_its_experiments(start):
    daemon = start("--workers", "1")
    done = submit(daemon, {"base": TINY, "axes": [RULES], "seeds": [1, 2], "metrics": METRICS})["id"]
    ended(daemon, done)
    open_ = submit(daemon, {"base": ENDLESS, "seeds": [1, 2, 3]})["id"]
    wait_until(lambda: get(daemon, open_)["counts"]["running"] == 1)
    counts, points = get(daemon, done)["counts"], daemon.get(f"/v1/experiments/{done}/points").json()
    daemon.kill()
    database = sqlite3.connect(f"{daemon.data}/modprop.db")
    database.executescript(BEFORE)
    database.close()
    again = start("--workers", "1", data=daemon.data)
    assert get(again, done)["counts"] == counts and sum(get(again, open_)["counts"].values()) == 3
    kept(again, 4)
    assert again.get(f"/v1/experiments/{done}/points").json() == points
    act(again, open_, "cancel")
    assert ended(again, open_)["counts"]["cancelled"] == 3
    kept(again, 7)
    linked = submit(again, {"base": TINY, "axes": [RULES], "seeds": [1, 2]})["id"]
    assert ended(again, linked)["counts"]["succeeded"] == 4
    assert held(again, linked) == held(again, done), "jobs without an identity are found by their digest"
    assert again.stop() == 0
    verified = subprocess.run([MODPROPD, "verify", "--data", daemon.data], capture_output=True, text=True, timeout=120)
    assert verified.returncode == 0, verified.stdout + verified.stderr


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        ("UPDATE tallies SET count=count+1", "miscounted"),
        ("DELETE FROM trials", "belong to no job"),
        ("UPDATE findings SET curves=x'00'", "findings"),
    ],
)
def test_verify_finds_damage_to_experiments(start, damage, words):
    daemon = start("--workers", "1")
    ended(daemon, submit(daemon, {"base": TINY, "seeds": [1, 2]})["id"])
    kept(daemon, 2)
    assert daemon.stop() == 0
    database = sqlite3.connect(f"{daemon.data}/modprop.db")
    database.executescript("DROP TRIGGER trials_removed; " + damage)
    database.commit()
    database.close()
    verified = subprocess.run([MODPROPD, "verify", "--data", daemon.data], capture_output=True, text=True, timeout=120)
    assert verified.returncode == 1 and words in verified.stdout + verified.stderr
