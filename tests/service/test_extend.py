"""Extending jobs and trying them again: POST /v1/jobs/{id}/extend and /retry.

The promise: an extended job is, in weights, evaluations and configuration, the job that would have been submitted with
these iterations at the start.
"""

import json
import sqlite3

import pytest
from daemons import wait_until

JOBS = "/v1/jobs"
SMALL = {
    "task": {"type": "delayed_xor", "delay": 20, "cue": 10},
    "network": {"units": 12, "types_per_sign": 2},
    "optimizer": {"decay": {"factor": 0.8, "every": 30}},
    "training": {"iterations": 60, "batch_size": 4, "evaluate_every": 20, "checkpoint_every": 50},
}


def job_of(iterations, **sections):
    merged = json.loads(json.dumps(SMALL))
    merged["training"]["iterations"] = iterations
    for section, values in sections.items():
        merged[section] = {**merged.get(section, {}), **values} if isinstance(values, dict) else values
    return merged


def submit(daemon, job):
    answer = daemon.post(JOBS, json=job)
    assert answer.status_code == 201, answer.text
    return answer.json()


def end(daemon, job):
    answer = daemon.get(f"{JOBS}/{job}?wait=300", timeout=310).json()
    assert answer["status"] in ("succeeded", "failed", "cancelled"), answer
    return answer


def ended(daemon, job):
    """Submits and waits."""
    created = submit(daemon, job)
    return end(daemon, created["id"])


def extend(daemon, job, **body):
    answer = daemon.post(f"{JOBS}/{job}/extend", json=body)
    assert answer.status_code == 201, answer.text
    assert answer.headers["Location"] == f"{JOBS}/{answer.json()['id']}"
    return answer.json()


def curves(daemon, job):
    metrics = daemon.get(f"{JOBS}/{job}/metrics").json()
    return {k: v for k, v in metrics.items() if k not in ("elapsed_seconds", "trials_per_second")}


def assert_same(daemon, extended, direct):
    """Bits, curves and configuration."""
    assert extended["status"] == direct["status"] == "succeeded", extended
    assert extended["weights_sha256"] == direct["weights_sha256"]
    assert extended["config_sha256"] == direct["config_sha256"]
    assert extended["metrics"] == direct["metrics"]
    assert extended["outcome"] == direct["outcome"]
    assert curves(daemon, extended["id"]) == curves(daemon, direct["id"])


@pytest.mark.parametrize(
    "sections",
    [
        {},
        {"optimizer": {"type": "sgd", "learning_rate": 0.01, "momentum": 0.9}},
        {"rule": {"type": "modprop", "weights": "type", "tracking": "initial", "mu": "auto"}},
        {"rule": {"type": "eprop", "feedback": "adaptive", "feedback_decay": 0.01}},
        {"training": {"iterations": 60, "batch_size": 4, "evaluate_every": 20, "diagnostics": True}},
    ],
)
def test_extended_is_as_if_asked_for_at_the_start(daemon, sections):
    first = job_of(60, **sections)
    longer = json.loads(json.dumps(first))
    longer["training"]["iterations"] = 130
    source, direct = ended(daemon, first), ended(daemon, longer)
    made = extend(daemon, source["id"], iterations=130)
    assert made["origin"] == {
        "kind": "extension",
        "job": source["id"],
        "iteration": 60,
        "weights_sha256": source["weights_sha256"],
    }
    assert made["progress"]["iteration"] >= 60 and made["training"]["iterations"] == 130
    extended = end(daemon, made["id"])
    if "diagnostics" in first["training"]:  # times differ
        for job in (extended, direct):
            metrics = daemon.get(f"{JOBS}/{job['id']}/metrics").json()
            assert metrics["iteration"] == [0, 20, 40, 60, 80, 100, 120, 130]
        assert extended["weights_sha256"] == direct["weights_sha256"]
    else:
        assert_same(daemon, extended, direct)
    manifest = daemon.get(f"{JOBS}/{extended['id']}/manifest").json()
    assert manifest["origin"] == made["origin"] and manifest["config_sha256"] == direct["config_sha256"]
    assert daemon.get(f"{JOBS}/{direct['id']}/manifest").json()["origin"] is None


def test_an_evaluation_that_was_not_due_is_left_out(daemon):
    source, direct = ended(daemon, job_of(50)), ended(daemon, job_of(130))
    assert curves(daemon, source["id"])["iteration"] == [0, 20, 40, 50]
    assert_same(daemon, end(daemon, extend(daemon, source["id"], iterations=130)["id"]), direct)


def test_stop_when_counts_what_the_longer_job_would_have_counted(daemon):
    """Its last evaluation, at 50, is one that a job of 200 iterations never makes: it must not count in a row."""
    stop = {"metric": "loss", "below": 1000.0, "evaluations": 4}
    source = ended(
        daemon, job_of(50, training={**SMALL["training"], "iterations": 50, "stop_when": stop | {"evaluations": 5}})
    )
    longer = job_of(200)
    longer["training"]["stop_when"] = stop | {"evaluations": 5}
    direct = ended(daemon, longer)
    assert direct["progress"]["iteration"] == 80
    assert_same(daemon, end(daemon, extend(daemon, source["id"], iterations=200)["id"]), direct)


def test_a_job_that_met_its_condition_needs_another(daemon):
    met = job_of(200)
    met["training"]["stop_when"] = {"metric": "loss", "below": 1000.0, "evaluations": 2}
    source = ended(daemon, met)
    assert source["progress"]["iteration"] == 20
    answer = daemon.post(f"{JOBS}/{source['id']}/extend", json={"iterations": 100})
    assert answer.status_code == 422
    assert answer.json()["errors"] == [
        {
            "pointer": "/stop_when",
            "detail": "was met at iteration 20, where a job with it ends; give null, or a condition that has not been "
            "met",
        }
    ]
    direct = ended(daemon, job_of(100))
    assert_same(daemon, end(daemon, extend(daemon, source["id"], iterations=100, stop_when=None)["id"]), direct)


def test_a_cancelled_job_and_one_that_diverged(daemon):
    endless = job_of(10**7)
    job = submit(daemon, endless)["id"]
    wait_until(lambda: daemon.get(f"{JOBS}/{job}/checkpoints").json()["checkpoints"])
    daemon.post(f"{JOBS}/{job}/cancel")
    source = end(daemon, job)
    at = daemon.get(f"{JOBS}/{job}/checkpoints").json()["checkpoints"][0]["iteration"]
    assert source["status"] == "cancelled" and at > 0
    assert_same(daemon, end(daemon, extend(daemon, job, iterations=at + 33)["id"]), ended(daemon, job_of(at + 33)))

    wild = job_of(60, optimizer={"learning_rate": 1000.0, "decay": None})
    source = ended(daemon, wild)
    assert source["outcome"] == "diverged"
    wild["training"]["iterations"] = 90
    assert_same(daemon, end(daemon, extend(daemon, source["id"], iterations=90)["id"]), ended(daemon, wild))


def test_an_extended_job_needs_the_other_no_more(start):
    """While it waits, the other job is deleted with its checkpoint and curves, and the daemon is killed."""
    daemon = start("--workers", "1")
    source, direct = ended(daemon, job_of(60)), ended(daemon, job_of(130))
    blocker = submit(daemon, job_of(10**7))["id"]
    wait_until(lambda: daemon.get(f"{JOBS}/{blocker}").json()["status"] == "running")
    made = extend(daemon, source["id"], iterations=130)
    assert made["status"] == "queued" and made["progress"]["iteration"] == 60
    assert made["metrics"] == source["metrics"]
    weights = daemon.get(f"{JOBS}/{made['id']}/weights").json()
    assert weights["iteration"] == 60 and weights["sha256"] == source["weights_sha256"]
    assert daemon.request("DELETE", f"{JOBS}/{source['id']}").status_code == 204
    daemon.kill()
    daemon = start("--workers", "1", data=daemon.data)
    daemon.post(f"{JOBS}/{blocker}/cancel")
    assert_same(daemon, end(daemon, made["id"]), direct)
    assert daemon.request("DELETE", f"{JOBS}/{made['id']}").status_code == 204

    def purged():
        with sqlite3.connect(f"file:{daemon.data / 'modprop.db'}?mode=ro", uri=True) as database:
            return database.execute("SELECT count(*) FROM histories").fetchone() == (0,)

    wait_until(purged)


def test_an_extension_can_be_extended_before_it_ran(start):
    daemon = start("--workers", "1")
    source, direct = ended(daemon, job_of(60)), ended(daemon, job_of(130))
    blocker = submit(daemon, job_of(10**7))["id"]
    wait_until(lambda: daemon.get(f"{JOBS}/{blocker}").json()["status"] == "running")
    first = extend(daemon, source["id"], iterations=100)["id"]
    daemon.post(f"{JOBS}/{first}/cancel")
    second = extend(daemon, first, iterations=130)
    assert second["origin"]["job"] == first
    daemon.post(f"{JOBS}/{blocker}/cancel")
    assert_same(daemon, end(daemon, second["id"]), direct)


def test_what_cannot_be_extended(daemon, start, tmp_path):
    source = ended(daemon, job_of(60))["id"]

    def refused(job, body, status):
        answer = daemon.post(f"{JOBS}/{job}/extend", json=body)
        assert answer.status_code == status, answer.text
        return answer.json()

    assert refused(source, {}, 422)["errors"][0]["pointer"] == "/iterations"
    assert refused(source, {"iterations": 60}, 422)["errors"] == [
        {"pointer": "/iterations", "detail": "must be more than the 60 that the job has made; got 60"}
    ]
    errors = refused(source, {"iterations": "many", "iteration": 3, "stop_when": {"metric": "los", "below": 1}}, 422)[
        "errors"
    ]
    assert {error["pointer"] for error in errors} == {"/iterations", "/iteration", "/stop_when/metric"}
    assert refused("no-such-job", {"iterations": 100}, 404)["detail"] == "there is no job no-such-job"
    running = submit(daemon, job_of(10**7))["id"]
    assert "wait until it has ended, or cancel it" in refused(running, {"iterations": 100}, 409)["detail"]
    daemon.post(f"{JOBS}/{running}/pause")
    wait_until(lambda: daemon.get(f"{JOBS}/{running}").json()["status"] == "paused")
    assert refused(running, {"iterations": 100}, 409)["detail"] == "the job is paused; resume it, or cancel it first"
    # a job that no worker can begin: one that was begun has a checkpoint
    daemon = start("--workers", "0", data=tmp_path / "idle")
    queued = submit(daemon, job_of(60))["id"]
    daemon.post(f"{JOBS}/{queued}/cancel")
    assert end(daemon, queued)["status"] == "cancelled"
    assert "has no checkpoint" in refused(queued, {"iterations": 100}, 409)["detail"]


def test_idempotency_is_by_the_job_that_is_extended(daemon):
    one, other = ended(daemon, job_of(20))["id"], ended(daemon, job_of(20) | {"seed": 2})["id"]
    ids = []
    for job in (one, other, one):
        answer = daemon.post(f"{JOBS}/{job}/extend", json={"iterations": 40}, headers={"Idempotency-Key": "again"})
        assert answer.status_code == 201
        ids.append(answer.json()["id"])
    assert ids[0] == ids[2] != ids[1]


def test_extending_streams_as_a_submission_does(daemon):
    source = ended(daemon, job_of(40))
    answer = daemon.post(
        f"{JOBS}/{source['id']}/extend", json={"iterations": 80}, headers={"Accept": "application/x-ndjson"}
    )
    lines = [json.loads(line) for line in answer.text.splitlines() if line]
    assert [line["iteration"] for line in lines if line["type"] == "progress"] == [0, 20, 40, 60, 80]
    assert lines[-1]["type"] == "weights" and lines[-1]["iteration"] == 80
    assert [line["id"] for line in lines[:-1]] == list(range(1, len(lines)))


def test_retry(daemon):
    limited = job_of(10**7) | {"time_limit": 1}
    source = ended(daemon, limited)
    assert source["status"] == "failed" and source["error"]["code"] == "time_limit"
    answer = daemon.post(f"{JOBS}/{source['id']}/retry")
    assert answer.status_code == 201, answer.text
    made = answer.json()
    assert made["id"] != source["id"] and made["origin"] == {"kind": "retry", "job": source["id"]}
    assert made["config_sha256"] == source["config_sha256"] and made["progress"]["iteration"] < 10**6
    assert made["time_limit"] == 1 and end(daemon, made["id"])["error"]["code"] == "time_limit"
    done = ended(daemon, job_of(20))["id"]
    answer = daemon.post(f"{JOBS}/{done}/retry")
    assert answer.status_code == 409 and "has succeeded; extend it" in answer.json()["detail"]
    at = daemon.get(f"{JOBS}/{source['id']}/checkpoints").json()["checkpoints"][0]["iteration"]
    assert extend(daemon, source["id"], iterations=at + 1)["origin"]["kind"] == "extension"


def test_the_origin_is_the_daemons_to_say(daemon):
    answer = daemon.post(JOBS, json=job_of(20) | {"origin": {"kind": "retry", "job": "x"}})
    assert answer.status_code == 422 and answer.json()["errors"][0]["pointer"] == "/origin"
