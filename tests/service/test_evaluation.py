"""What evaluations cost: part of the test split, the cadence that a job gets, progress and stops within one."""

import numpy as np
import pytest
from daemons import wait_until
from test_counting import progress_of
from test_datasets import arrays, job_on, put, safetensors
from test_jobs import SMALL, changed, finish, submit


def with_test(trials, steps=12, chosen=None):
    """A dataset with a test split of so many trials, or of those chosen of them."""
    test = arrays(steps=steps, trials=trials, seed=2)
    rows = range(trials) if chosen is None else chosen
    return safetensors(**arrays(steps=steps), **{f"test_{name}": array[:, rows] for name, array in test.items()})


def job_of(daemon, job_id):
    return daemon.get(f"/v1/jobs/{job_id}").json()


def validate(daemon, job):
    answer = daemon.post("/v1/jobs:validate", json=job)
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.mark.parametrize("trials", [1, 7, 20, None])
def test_an_evaluation_takes_trials_evenly_spaced_over_the_test_split(daemon, trials):
    put(daemon, "whole", with_test(20))
    put(daemon, "part", with_test(20, chosen=[k * 20 // (trials or 20) for k in range(trials or 20)]))
    evaluation = {"evaluation": {"trials": trials}}
    some = finish(daemon, submit(daemon, changed(job_on("whole"), training=evaluation)))
    all_of_part = finish(daemon, submit(daemon, job_on("part")))
    assert some["training"].get("evaluation") == (evaluation["evaluation"] if trials else None)
    assert some["weights_sha256"] == all_of_part["weights_sha256"]
    pairs = zip(progress_of(daemon, some), progress_of(daemon, all_of_part), strict=True)
    assert all((a["loss"], a["accuracy"]) == (b["loss"], b["accuracy"]) for a, b in pairs)


def test_part_of_a_split_must_be_there(daemon):
    put(daemon, "whole", with_test(20))
    put(daemon, "untested", safetensors(**arrays()))

    def refusal(name, evaluation):
        answer = daemon.post("/v1/jobs:validate", json=changed(job_on(name), training={"evaluation": evaluation}))
        assert answer.status_code == 422
        (error,) = answer.json()["errors"]
        return error["pointer"], error["detail"]

    assert refusal("whole", {"trials": 21}) == (
        "/training/evaluation/trials",
        "must be at most the trials of the test split (20); got 21",
    )
    assert refusal("untested", {"trials": 5})[0] == "/training/evaluation"
    assert "no test split" in refusal("untested", {"trials": 5})[1]
    assert refusal("whole", {"trials": 0})[0] == "/training/evaluation/trials"
    assert refusal("whole", 500)[0] == "/training/evaluation"


def test_the_default_cadence_keeps_evaluation_under_a_fifth(daemon):
    put(daemon, "large", with_test(2000))
    put(daemon, "untested", safetensors(**arrays()))

    def cadence(job, **training):
        return validate(daemon, changed(job, training={"evaluate_every": None, **training}))["training"][
            "evaluate_every"
        ]

    large, untested = job_on("large"), job_on("untested")
    assert cadence(large) == 500 and cadence(large, batch_size=32) == 250 and cadence(large, batch_size=1) == 8000
    assert cadence(large, evaluation={"trials": 100}) == 25 and cadence(untested) == cadence(SMALL) == 20
    assert validate(daemon, {"task": {"type": "delayed_xor"}})["training"]["evaluate_every"] == 20
    del large["training"]["evaluate_every"]
    for rule in ("bptt", "eprop", "modprop"):
        job = validate(daemon, changed(large, rule={"type": rule}, training={"iterations": 100_000}))
        work = job["estimate"]
        assert job["training"]["evaluate_every"] == 500
        assert 0 < work["evaluation"]["multiply_adds"] <= 0.255 * work["training"]["multiply_adds"]


def test_an_evaluation_says_how_far_it_is_and_stops_at_once(daemon):
    put(daemon, "large", with_test(2000, steps=30))
    wanted = changed(job_on("large", units=60), training={"iterations": 1, "batch_size": 1, "checkpoint_every": 1})

    def caught():
        """A job that was paused amid its first evaluation; one whose end came first is no such job."""
        job = submit(daemon, wanted)

        def under_way():
            seen = job_of(daemon, job["id"])
            evaluating = seen["progress"]["evaluating"]
            return evaluating if evaluating and evaluating["done"] > 0 else seen["status"] == "succeeded"

        evaluating = wait_until(under_way, every=0.001)
        if evaluating is True or daemon.post(f"/v1/jobs/{job['id']}/pause").status_code != 200:
            return None
        assert evaluating["trials"] == 2000
        wait_until(lambda: job_of(daemon, job["id"])["status"] in ("paused", "succeeded"))
        stopped = job_of(daemon, job["id"])
        assert stopped["progress"]["evaluating"] is None
        return job if stopped["metrics"]["loss"] is None else None

    job = wait_until(caught)
    assert daemon.post(f"/v1/jobs/{job['id']}/resume").status_code == 200
    ended = finish(daemon, job)
    assert ended["weights_sha256"] == finish(daemon, submit(daemon, wanted))["weights_sha256"]
    assert np.isfinite(ended["metrics"]["loss"]) and ended["progress"]["evaluating"] is None


def test_validate_gives_work_and_seconds_once_a_rate_is_known(daemon):
    first = validate(daemon, SMALL)["estimate"]
    assert first["training"]["seconds"] is None and first["evaluation"]["seconds"] is None
    assert "rate is not known yet" in first["seconds_reason"]
    assert first["training"]["multiply_adds"] == 100 * first["multiply_adds"]
    assert first["evaluation"]["multiply_adds"] == pytest.approx(11 * first["forward_multiply_adds"])
    finish(daemon, submit(daemon, SMALL))
    known = validate(daemon, SMALL)["estimate"]
    assert known["seconds_reason"] is None and known["threads"] == 1
    assert known["training"]["seconds"] > 0 and known["evaluation"]["seconds"] > 0
    tenfold = validate(daemon, changed(SMALL, training={"iterations": 1000}))["estimate"]
    assert tenfold["training"]["seconds"] == pytest.approx(10 * known["training"]["seconds"])
