"""Experiments: what is accepted, how trials come to be, what outlasts a crash, and what may not be deleted."""

import collections
import time

from daemons import wait_until

TINY = {
    "task": {"type": "delayed_xor", "delay": 10, "cue": 5},
    "network": {"units": 8},
    "training": {"iterations": 4, "batch_size": 2, "evaluate_every": 2, "checkpoint_every": 10},
}
ENDLESS = TINY | {"training": {"iterations": 10**9, "batch_size": 2, "evaluate_every": 10**6}}
RULES = {"name": "rule", "patches": [{"/rule": {"type": "bptt"}}, {"/rule": {"type": "eprop"}}]}
RATES = {"path": "/optimizer/learning_rate", "values": [0.001, 0.01]}
FINAL = ("complete", "complete_with_failures", "cancelled")


def submit(daemon, experiment, status=201, **options):
    answer = daemon.post("/v1/experiments", json=experiment, **options)
    assert answer.status_code == status, answer.text
    return answer.json()


def get(daemon, id):
    return daemon.get(f"/v1/experiments/{id}").json()


def act(daemon, id, action, status=200):
    answer = daemon.post(f"/v1/experiments/{id}/{action}")
    assert answer.status_code == status, answer.text
    return answer.json()


def ended(daemon, id, timeout=60):
    wait_until(lambda: get(daemon, id)["status"] in FINAL, timeout)
    return get(daemon, id)


def jobs(daemon, status=None):
    found, after = [], None
    while True:
        page = daemon.get("/v1/jobs", params={"limit": 100} | ({"after": after} if after else {})).json()
        found += page["jobs"]
        after = page["next"]
        if after is None:
            return [job for job in found if status is None or job["status"] == status]


def test_every_point_is_run_with_every_seed(daemon):
    made = submit(daemon, {"base": TINY, "axes": [RULES, RATES], "seeds": {"from": 3, "count": 2}, "name": "first"})
    assert made["points"] == 4 and made["trials"] == 8 and made["name"] == "first"
    done = ended(daemon, made["id"])
    assert done["status"] == "complete" and done["finished_at"]
    assert done["counts"]["succeeded"] == 8 and sum(done["counts"].values()) == 8
    found = {
        (job["experiment"]["point"], job["rule"]["type"], job["optimizer"]["learning_rate"], job["seed"])
        for job in jobs(daemon)
    }
    rates = (0.001, 0.01)
    assert found == {
        (f"{i}.{j}", rule, rate, seed)
        for i, rule in enumerate(("bptt", "eprop"))
        for j, rate in enumerate(rates)
        for seed in (3, 4)
    }
    assert {job["experiment"]["id"] for job in jobs(daemon)} == {made["id"]}
    assert [e["id"] for e in daemon.get("/v1/experiments").json()["experiments"]] == [made["id"]]


def test_ranges_zips_and_lists(daemon):
    ranges = [
        {"path": "/optimizer/learning_rate", "log": [1e-4, 1e-2], "count": 3},
        {"path": "/task/delay", "linear": [10, 20], "count": 3},
    ]
    zipped = submit(daemon, {"base": TINY, "axes": ranges, "design": "zip", "seeds": [7]})
    ended(daemon, zipped["id"])
    found = sorted((job["experiment"]["point"], job["task"]["delay"]) for job in jobs(daemon))
    assert found == [("0", 10), ("1", 15), ("2", 20)]
    rates = sorted(job["optimizer"]["learning_rate"] for job in jobs(daemon))
    assert rates[0] == 1e-4 and abs(rates[1] - 1e-3) < 1e-15 and rates[2] == 1e-2
    points = [{"/rule": {"type": "bptt"}, "/task/delay": 12}, {"label": "long", "/task/delay": 30}]
    listed = submit(daemon, {"base": TINY, "design": "list", "points": points, "seeds": [1, 5]})
    assert listed["points"] == 2 and ended(daemon, listed["id"])["counts"]["succeeded"] == 4


def pointers(answer):
    return {error["pointer"] for error in answer["errors"]}


def test_every_fault_is_named_with_its_pointer(daemon):
    faulty = {
        "base": TINY | {"seed": 1},
        "axes": [{"path": "optimizer", "values": [1]}, {"path": "/a", "linear": [1], "count": 2}, {"name": "x"}],
        "design": "square",
        "seeds": {"from": -1},
        "metrics": [{"loss_below": "low"}, {"final": "los"}, {}],
        "reuse": "all",
        "sedes": 3,
    }
    answer = submit(daemon, faulty, 422)
    assert {"/base/seed", "/design", "/seeds/from", "/reuse", "/sedes", "/metrics/0/loss_below"} <= pointers(answer)
    faulty["design"] = "grid"
    assert {"/axes/0/path", "/axes/1/linear", "/axes/2"} <= pointers(submit(daemon, faulty, 422))


def test_the_points_of_a_fault_are_named(daemon):
    axes = [RULES, {"path": "/optimizer/learning_rate", "values": [0.001, -1]}]
    for path in ("/v1/experiments:validate", "/v1/experiments"):
        answer = daemon.post(path, json={"base": TINY, "axes": axes})
        assert answer.status_code == 422
        (error,) = answer.json()["errors"]
        assert error["pointer"] == "/points/0.1/optimizer/learning_rate" and "2 points" in error["detail"]
    whole = daemon.post("/v1/experiments:validate", json={"base": TINY | {"threads": 0}, "axes": axes[:1]}).json()
    assert pointers(whole) == {"/base/threads"}
    assert daemon.get("/v1/experiments").json() == {"experiments": [], "next": None}


def test_validate_says_what_it_costs(daemon):
    experiment = {"base": TINY, "axes": [RULES, RATES], "seeds": {"count": 5}}
    answer = daemon.post("/v1/experiments:validate", json=experiment).json()
    assert (answer["points"], answer["seeds"], answer["trials"]) == (4, 5, 20)
    costs = 0.0
    for rule in ("bptt", "eprop"):
        for rate in (0.001, 0.01):
            job = TINY | {"rule": {"type": rule}, "optimizer": {"learning_rate": rate}}
            one = daemon.post("/v1/jobs:validate", json=job).json()["estimate"]
            costs += 5 * (one["training"]["multiply_adds"] + one["evaluation"]["multiply_adds"])
    assert abs(answer["estimate"]["multiply_adds"] / costs - 1) < 1e-12


def test_a_key_is_answered_once(daemon):
    experiment = {"base": TINY, "seeds": [1]}
    key = {"Idempotency-Key": "one"}
    first = submit(daemon, experiment, headers=key)
    again = daemon.post("/v1/experiments", json=experiment, headers=key)
    assert again.status_code == 201 and again.json()["id"] == first["id"]
    assert again.headers["Idempotency-Replayed"] == "true"
    assert daemon.post("/v1/experiments", json=experiment | {"seeds": [2]}, headers=key).status_code == 422
    assert daemon.post("/v1/jobs", json=TINY, headers=key).status_code == 201, "keys of jobs are others"
    assert len(daemon.get("/v1/experiments").json()["experiments"]) == 1


def test_a_job_that_an_experiment_holds_stays(daemon):
    id = submit(daemon, {"base": TINY, "seeds": [1, 2]})["id"]
    ended(daemon, id)
    for job in jobs(daemon):
        answer = daemon.request("DELETE", f"/v1/jobs/{job['id']}")
        assert answer.status_code == 409 and "experiment" in answer.json()["detail"]
    assert daemon.request("DELETE", f"/v1/experiments/{id}").status_code == 204
    assert daemon.get(f"/v1/experiments/{id}").status_code == 404
    wait_until(lambda: jobs(daemon) == [])


def test_what_the_store_has_is_linked_and_not_run(daemon):
    job = daemon.post("/v1/jobs", json=TINY | {"seed": 2}).json()["id"]
    wait_until(lambda: daemon.get(f"/v1/jobs/{job}").json()["status"] == "succeeded")
    first = submit(daemon, {"base": TINY, "seeds": [1, 2, 3]})["id"]
    assert ended(daemon, first)["counts"]["succeeded"] == 3
    assert len(jobs(daemon)) == 3
    assert daemon.request("DELETE", f"/v1/jobs/{job}").status_code == 409
    second = submit(daemon, {"base": TINY, "seeds": [1, 2, 3, 4]})["id"]
    assert ended(daemon, second)["counts"]["succeeded"] == 4 and len(jobs(daemon)) == 4
    third = submit(daemon, {"base": TINY, "seeds": [1], "reuse": "none"})["id"]
    assert ended(daemon, third)["counts"]["succeeded"] == 1 and len(jobs(daemon)) == 5
    assert daemon.request("DELETE", f"/v1/experiments/{first}").status_code == 204
    time.sleep(0.5)
    left = {job["id"] for job in jobs(daemon)}
    assert job in left and len(left) == 5, "what a client submitted or another experiment holds stays"
    assert get(daemon, second)["counts"]["succeeded"] == 4


def test_pause_resume_and_cancel(start):
    daemon = start("--workers", "1")
    id = submit(daemon, {"base": ENDLESS, "seeds": {"count": 300}})["id"]
    wait_until(lambda: get(daemon, id)["counts"]["running"] == 1)
    wait_until(lambda: get(daemon, id)["counts"]["queued"] == 199)
    assert get(daemon, id)["counts"]["waiting"] == 100, "no more than a window"
    act(daemon, id, "pause")
    wait_until(lambda: get(daemon, id)["counts"]["paused"] == 200)
    assert get(daemon, id)["status"] == "paused"
    assert act(daemon, id, "retry", 409)["detail"].startswith("the experiment is paused")
    assert daemon.request("DELETE", f"/v1/experiments/{id}").status_code == 409
    act(daemon, id, "resume")
    wait_until(lambda: get(daemon, id)["counts"]["running"] == 1 and get(daemon, id)["counts"]["queued"] == 199)
    assert act(daemon, id, "cancel")["status"] in ("cancelling", "cancelled")
    done = ended(daemon, id)
    assert done["status"] == "cancelled"
    assert done["counts"]["cancelled"] == 200 and done["counts"]["waiting"] == 100
    act(daemon, id, "cancel")
    act(daemon, id, "resume", 409)


def test_failed_trials_are_made_again(daemon):
    base = TINY | {"time_limit": 1}
    endless = {"/training/iterations": 10**9, "/training/evaluate_every": 10**6, "/training/checkpoint_every": 10**6}
    axis = {"name": "length", "patches": [{"/training/iterations": 4}, endless]}
    id = submit(daemon, {"base": base, "axes": [axis], "seeds": [1, 2]})["id"]
    done = ended(daemon, id)
    assert done["status"] == "complete_with_failures"
    assert done["counts"]["succeeded"] == 2 and done["counts"]["failed"] == 2
    failed = {job["id"] for job in jobs(daemon, "failed")}
    act(daemon, id, "retry")
    done = ended(daemon, id)
    assert done["counts"]["failed"] == 2 and done["counts"]["succeeded"] == 2
    assert not failed & {job["id"] for job in jobs(daemon)}, "these are other jobs"


def test_a_crash_in_the_midst_loses_and_doubles_nothing(start):
    daemon = start()
    id = submit(daemon, {"base": TINY, "axes": [RULES], "seeds": {"count": 150}})["id"]
    for _ in range(4):
        before = sum(get(daemon, id)["counts"][s] for s in ("queued", "running", "succeeded"))
        time.sleep(0.1)
        daemon.kill()
        daemon = start(data=daemon.data)
        after = sum(get(daemon, id)["counts"][s] for s in ("queued", "running", "succeeded"))
        assert after >= before
    done = ended(daemon, id, 120)
    assert done["counts"]["succeeded"] == 300
    found = collections.Counter((job["rule"]["type"], job["seed"]) for job in jobs(daemon))
    assert len(found) == 300 and set(found.values()) == {1}


def test_a_hundred_thousand_trials_are_accepted_and_leave_room(start):
    daemon = start("--workers", "0")
    experiment = {
        "base": TINY,
        "axes": [{"path": "/optimizer/learning_rate", "log": [1e-5, 1e-1], "count": 1000}],
        "seeds": {"count": 100},
    }
    id = submit(daemon, experiment)["id"]
    wait_until(lambda: get(daemon, id)["counts"]["queued"] == 200)
    assert get(daemon, id)["counts"]["waiting"] == 100_000 - 200
    assert daemon.post("/v1/jobs", json=TINY).status_code == 201
    act(daemon, id, "cancel")
    assert ended(daemon, id)["status"] == "cancelled"
