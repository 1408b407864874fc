"""Experiments: what is accepted, how trials come to be, what outlasts a crash, and what may not be deleted."""

import collections
import csv
import io
import itertools
import json
import sqlite3
import subprocess
import time

import numpy as np
import pytest
from daemons import EXPERIMENT_FINAL, MODPROPD, wait_until

TINY = {
    "task": {"type": "delayed_xor", "delay": 10, "cue": 5},
    "network": {"units": 8},
    "training": {"iterations": 4, "batch_size": 2, "evaluate_every": 2, "checkpoint_every": 10},
}
ENDLESS = TINY | {"training": {"iterations": 10**9, "batch_size": 2, "evaluate_every": 10**6}}
RULES = {"name": "rule", "patches": [{"/rule": {"type": "bptt"}}, {"/rule": {"type": "eprop"}}]}
RATES = {"path": "/optimizer/learning_rate", "values": [0.001, 0.01]}


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


def ended(daemon, id, timeout=300):
    wait_until(lambda: get(daemon, id)["status"] in EXPERIMENT_FINAL, timeout)
    return get(daemon, id)


def jobs(daemon, status=None):
    return [job for job in daemon.jobs() if status is None or job["status"] == status]


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


def test_an_id_with_more_behind_it_is_unknown(daemon):
    id = submit(daemon, {"base": TINY, "seeds": [1]})["id"]
    ended(daemon, id)
    longer = f"/v1/experiments/{id}x"
    for path in ("", "/points", "/trials", "/compare", "/curves", "/events"):
        assert daemon.get(longer + path).status_code == 404, path
    assert daemon.post(longer + "/pause").status_code == 404
    assert daemon.request("PATCH", longer, json={"notes": "x"}).status_code == 404
    assert daemon.request("DELETE", longer).status_code == 404
    assert get(daemon, id)["status"] == "complete"


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


def test_what_tables_show_has_no_control_characters(daemon):
    rule = {"name": "a\tb", "patches": [{"label": "bp\u0001tt", "/rule": {"type": "bptt"}}]}
    faulty = {"base": TINY, "name": "x\n", "notes": "two\nlines \u0007", "tags": ["a\r"], "axes": [rule]}
    faulty["metrics"] = [{"final": "loss", "name": "lo\nss"}]
    places = {"/name", "/notes", "/tags/0", "/axes/0/name", "/axes/0/patches/0/label", "/metrics/0/name"}
    assert pointers(submit(daemon, faulty, 422)) == places
    listed = {"base": TINY, "design": "list", "points": [{"/task/delay": 12, "label": "a\u007f"}]}
    assert pointers(submit(daemon, listed, 422)) == {"/points/0/label"}
    id = submit(daemon, {"base": TINY, "axes": [RULES], "seeds": [1], "notes": "two\nlines"})["id"]
    for change, pointer in (
        ({"name": "x\n"}, "/name"),
        ({"axes": {"rule": [{"label": "\u0001", "/rule": {"type": "mdgl"}}]}}, "/axes/rule/0/label"),
    ):
        answer = daemon.request("PATCH", f"/v1/experiments/{id}", json=change)
        assert answer.status_code == 422 and pointers(answer.json()) == {pointer}


def test_a_value_that_is_there_twice_is_named(daemon):
    """It would make the same trials twice, and its spread look smaller."""
    bptt = {"/rule": {"type": "bptt"}}
    labelled = {"name": "rule", "patches": [bptt, {"/rule": {"type": "eprop"}}, bptt | {"label": "again"}]}
    delays = {"path": "/task/delay", "values": [10, 12, 10, 10]}
    answer = submit(daemon, {"base": TINY, "axes": [labelled, delays]}, 422)
    assert pointers(answer) == {"/axes/0/patches/2", "/axes/1/values/2", "/axes/1/values/3"}
    points = [{"/task/delay": 10}, {"/task/delay": 12}, {"/task/delay": 10}]
    assert pointers(submit(daemon, {"base": TINY, "design": "list", "points": points}, 422)) == {"/points/2"}
    rates = {"path": "/optimizer/learning_rate", "values": [0.001, 0.002, 0.003, 0.004]}
    zipped = {"base": TINY, "axes": [delays, rates], "design": "zip", "seeds": [1]}
    assert submit(daemon, zipped)["points"] == 4, "along a zip a value may return"


def test_the_points_of_a_fault_are_named(daemon):
    axes = [RULES, {"path": "/optimizer/learning_rate", "values": [0.001, -1]}]
    for path in ("/v1/experiments:validate", "/v1/experiments"):
        answer = daemon.post(path, json={"base": TINY, "axes": axes})
        assert answer.status_code == 422
        (error,) = answer.json()["errors"]
        assert error["pointer"] == "/points/0.1/optimizer/learning_rate" and "2 points" in error["detail"]
    whole = daemon.post("/v1/experiments:validate", json={"base": TINY | {"threads": 0}, "axes": axes[:1]}).json()
    assert pointers(whole) == {"/base/threads"}
    assert daemon.get("/v1/experiments").json()["experiments"] == []


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
    belongs = {made["seed"]: made.get("experiment", {}).get("id") for made in jobs(daemon) if made["seed"] > 1}
    assert belongs == {2: None, 3: second, 4: second}, "a job passes to an experiment that holds it"
    for id in (third, second):
        assert daemon.request("DELETE", f"/v1/experiments/{id}").status_code == 204
    wait_until(lambda: {made["id"] for made in jobs(daemon)} == {job})


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
    assert done["counts"]["cancelled"] == 300 and done["counts"]["waiting"] == 0, "what was never made is cancelled too"
    act(daemon, id, "cancel")
    act(daemon, id, "resume", 409)


def test_failed_trials_are_made_again(daemon):
    endless = {"/training/iterations": 10**9, "/training/evaluate_every": 10**6, "/training/checkpoint_every": 10**6}
    axis = {"name": "length", "patches": [{"/training/iterations": 4}, endless | {"/time_limit": 1}]}
    id = submit(daemon, {"base": TINY, "axes": [axis], "seeds": [1, 2]})["id"]
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
        before = get(daemon, id)["counts"]
        time.sleep(0.1)
        daemon.kill()
        daemon = start(data=daemon.data)
        after = get(daemon, id)["counts"]
        assert sum(after.values()) == 300 and after["failed"] == after["paused"] == 0
        assert after["waiting"] <= before["waiting"] and after["succeeded"] >= before["succeeded"]
    done = ended(daemon, id)
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


LEARNS = TINY | {"training": {"iterations": 60, "batch_size": 2, "evaluate_every": 5, "checkpoint_every": 100}}
METRICS = [
    {"name": "learned", "loss_below": 0.68, "in_a_row": 2},
    {"final": "loss"},
    {"best": "accuracy"},
    {"area": "loss"},
]


@pytest.fixture
def found(daemon):
    """The daemon, an experiment that is complete, and of each job its curves, by point and seed."""
    axes = [RULES, {"path": "/optimizer/learning_rate", "values": [0.001, 0.03]}]
    id = submit(daemon, {"base": LEARNS, "axes": axes, "seeds": {"count": 8}, "metrics": METRICS})["id"]
    ended(daemon, id)
    curves = {}
    for job in jobs(daemon):
        curves.setdefault(job["experiment"]["point"], {})[job["seed"]] = daemon.get(
            f"/v1/jobs/{job['id']}/metrics"
        ).json()
    return daemon, f"/v1/experiments/{id}", curves


def learned(curve):
    under = [loss < 0.68 for loss in curve["loss"]]
    for i in range(len(under) - 1):
        if under[i] and under[i + 1]:
            return curve["iteration"][i]
    return np.inf


def area(curve):
    x, y = np.array(curve["iteration"], float), np.array(curve["loss"])
    return float(((y[1:] + y[:-1]) / 2 * np.diff(x)).sum() / (x[-1] - x[0]))


COMPUTED = {
    "learned": learned,
    "final_loss": lambda curve: curve["loss"][-1],
    "best_accuracy": lambda curve: max(curve["accuracy"]),
    "area_loss": area,
}


def test_statistics_of_points_are_those_of_numpy(found):
    daemon, at, curves = found
    points = daemon.get(at + "/points").json()["points"]
    assert [point["point"] for point in points] == ["0.0", "0.1", "1.0", "1.1"]
    rates = ["bptt, learning_rate=0.001", "bptt, learning_rate=0.03"]
    default = daemon.get("/v1/jobs").json()["jobs"][0]
    assert len({point["label"] for point in points}) == 4 and default
    assert [point["label"] for point in points][1] == rates[1]
    assert points[0]["colour"] == points[1]["colour"] != points[2]["colour"]
    assert points[3]["values"] == {"rule": "eprop", "learning_rate": 0.03}
    nevers = 0
    for point in points:
        assert point["n"] == 8 and point["failed"] == point["unfinished"] == 0
        for name, compute in COMPUTED.items():
            values = np.array([compute(curve) for curve in curves[point["point"]].values()])
            metric, never = point["metrics"][name], int(np.isinf(values).sum())
            nevers += never
            assert (metric["n"], metric["never"], metric["missing"], metric["few"]) == (8, never, 0, True)
            median = np.sort(values)[3:5]
            expected = "never" if np.isinf(median).any() else median.mean()
            assert metric["median"] == (expected if expected == "never" else pytest.approx(expected, rel=1e-12))
            if never:
                assert metric["mean"] is None
            else:
                assert metric["mean"] == pytest.approx(values.mean(), rel=1e-12)
                assert metric["standard_deviation"] == pytest.approx(values.std(ddof=1), rel=1e-9, abs=1e-15)
                low, high = np.quantile(values, (0.25, 0.75))
                assert metric["quartiles"] == {
                    "low": pytest.approx(low, rel=1e-12),
                    "high": pytest.approx(high, rel=1e-12),
                }
    assert nevers > 0, "some never learn, and are not dropped"


def test_trials_have_their_values(found):
    daemon, at, curves = found
    trials = daemon.get(at + "/trials").json()["trials"]
    assert [(trial["point"], trial["seed"]) for trial in trials] == [
        (point, seed) for point in sorted(curves) for seed in range(1, 9)
    ]
    for trial in trials:
        for name, compute in COMPUTED.items():
            value = compute(curves[trial["point"]][trial["seed"]])
            assert trial["metrics"][name] == ("never" if np.isinf(value) else pytest.approx(value, rel=1e-12))
    some = daemon.get(at + "/trials", params={"points": "1.0,0.1"}).json()["trials"]
    assert {trial["point"] for trial in some} == {"1.0", "0.1"}
    assert daemon.get(at + "/trials", params={"points": "7.7"}).status_code == 422


def flips(differences):
    """The exact two-sided p of a mean under all changes of signs."""
    signs = np.array(list(itertools.product((-1, 1), repeat=len(differences))))
    sums = np.abs(signs @ differences)
    return float((sums >= np.abs(differences.sum()) * (1 - 1e-12)).mean())


def test_comparisons_are_paired_by_seed(found):
    daemon, at, curves = found
    all = daemon.get(at + "/compare").json()["comparisons"]
    assert {(c["point"], c["to"]) for c in all} == {("1.0", "0.0"), ("1.1", "0.1")} and len(all) == 2 * len(METRICS)
    for metric in ("final_loss", "best_accuracy"):
        for c in [c for c in all if c["metric"] == metric]:
            x, y = ([COMPUTED[metric](curves[c[of]][seed]) for seed in range(1, 9)] for of in ("to", "point"))
            differences = np.array(y) - np.array(x)
            sign = -1 if metric == "best_accuracy" else 1
            won = ((sign * differences < 0) + 0.5 * (differences == 0)).mean()
            assert c["mean_difference"] == pytest.approx(differences.mean(), rel=1e-9, abs=1e-15)
            assert c["won"] == pytest.approx(won) and c["n"] == 8 and c["few"] and not c["logarithms"]
            assert c["sign_flip_p"] == pytest.approx(flips(differences), rel=1e-12)
    tested = sorted((c for c in all if c["sign_flip_p"] is not None), key=lambda c: c["sign_flip_p"])
    most = 0.0
    for rank, c in enumerate(tested):
        most = max(most, min(1.0, c["sign_flip_p"] * (len(tested) - rank)))
        assert c["holm_p"] == pytest.approx(most), "one family: all comparisons of the answer"
    assert all[0]["metric"] == "learned" and all[0]["logarithms"]


def test_curves_are_quartiles_over_seeds(found):
    daemon, at, curves = found
    answer = daemon.get(at + "/curves", params={"keys": "loss", "points": "1.1", "seeds": "true"}).json()["curves"]
    assert len(answer) == 1 and answer[0]["key"] == "loss" and answer[0]["n"] == [8] * 13
    values = np.array([curves["1.1"][seed]["loss"] for seed in range(1, 9)])
    for name, q in (("low", 0.25), ("median", 0.5), ("high", 0.75)):
        assert answer[0][name] == pytest.approx(np.quantile(values, q, axis=0), rel=1e-12)
    assert answer[0]["seeds"]["3"]["value"] == curves["1.1"][3]["loss"]
    assert len(daemon.get(at + "/curves").json()["curves"]) == 8
    assert daemon.get(at + "/curves", params={"keys": "lose"}).status_code == 422


def test_any_curve_is_a_metric_in_any_unit(found):
    daemon, at, curves = found
    asked = {"metrics": "loss_below:0.68:2,final:training_loss,best:accuracy", "in": "trials"}
    for trial in daemon.get(at + "/trials", params=asked).json()["trials"]:
        curve = curves[trial["point"]][trial["seed"]]
        when = learned(curve)
        assert trial["metrics"] == {
            "loss_below_0.68": "never" if np.isinf(when) else 2 * when,
            "final_training_loss": pytest.approx(curve["training_loss"][-1], rel=1e-12),
            "best_accuracy": max(curve["accuracy"]),
        }
    seconds = daemon.get(at + "/trials", params=asked | {"in": "seconds"}).json()["trials"]
    for trial in seconds:
        curve = curves[trial["point"]][trial["seed"]]
        when = learned(curve)
        expected = "never" if np.isinf(when) else curve["elapsed_seconds"][curve["iteration"].index(when)]
        assert trial["metrics"]["loss_below_0.68"] == expected
    one = daemon.get(at + "/compare", params={"metrics": "final:loss", "axis": "learning_rate", "to": 1}).json()
    assert [(c["point"], c["to"]) for c in one["comparisons"]] == [("0.0", "0.1"), ("1.0", "1.1")]
    for bad in ({"metrics": "final:los"}, {"metrics": "loss"}, {"metrics": "loss_below:x"}, {"in": "days"}):
        assert daemon.get(at + "/points", params=bad).status_code == 422, bad
    assert daemon.get(at + "/compare", params={"axis": "none"}).status_code == 422
    assert daemon.get(at + "/compare", params={"to": 2}).status_code == 422


def test_curves_have_means_and_any_x(found):
    daemon, at, curves = found
    asked = {"keys": "loss", "points": "1.1", "mean": "true", "draws": 500, "x": "trials", "seeds": "true"}
    (curve,) = daemon.get(at + "/curves", params=asked).json()["curves"]
    values = np.array([curves["1.1"][seed]["loss"] for seed in range(1, 9)])
    assert curve["mean"] == pytest.approx(values.mean(axis=0), rel=1e-12)
    assert curve["x"] == [2 * i for i in curve["iteration"]] == curve["seeds"]["5"]["x"]
    for low, mean, high in zip(curve["mean_low"], curve["mean"], curve["mean_high"], strict=True):
        assert low is None or low <= mean <= high
    assert daemon.get(at + "/curves", params=asked).json()["curves"] == [curve], "draws are seeded"
    timed = daemon.get(at + "/curves", params={"keys": "loss", "points": "1.1", "x": "seconds"}).json()["curves"][0]
    elapsed = np.array([curves["1.1"][seed]["elapsed_seconds"] for seed in range(1, 9)])
    assert timed["x"] == pytest.approx(np.median(elapsed, axis=0), rel=1e-12) and "mean" not in timed
    assert "x" not in daemon.get(at + "/curves").json()["curves"][0]


def test_bootstrap_intervals_on_request(found):
    daemon, at, _ = found
    asked = {"bootstrap": 1000, "metrics": "final:loss"}
    points = daemon.get(at + "/points", params=asked).json()["points"]
    assert points == daemon.get(at + "/points", params=asked).json()["points"]
    for point in points:
        metric = point["metrics"]["final_loss"]
        for name, centre in (("mean_bootstrap_95", "mean"), ("interquartile_mean_bootstrap_95", "interquartile_mean")):
            assert metric[name]["low"] <= metric[centre] <= metric[name]["high"]
    assert "mean_bootstrap_95" not in daemon.get(at + "/points").json()["points"][0]["metrics"]["final_loss"]


def test_points_are_told_apart_by_colour_dash_marker_and_panel(daemon):
    third = {"name": "rule", "patches": [*RULES["patches"], {"label": "ModProp", "/rule": {"type": "modprop"}}]}
    axes = [third, RATES, {"path": "/task/delay", "values": [10, 12]}, {"path": "/network/units", "values": [8, 9]}]
    id = submit(daemon, {"base": TINY, "axes": axes, "seeds": [1]})["id"]
    points = {p["point"]: p for p in daemon.get(f"/v1/experiments/{id}/points").json()["points"]}
    colours = {rule["type"]: rule["colour"] for rule in daemon.get("/v1/rules").json()["rules"]}
    assert len(set(colours.values())) == len(colours), "one a rule"
    for point in points.values():
        indices = [int(i) for i in point["point"].split(".")]
        assert point["colour"] == colours[point["rule"]]
        assert [point["dash"], point["marker"]] == indices[1:3]
        assert point["panel"] == f"units={(8, 9)[indices[3]]}"
    act(daemon, id, "cancel")
    mus = {"path": "/rule", "values": [{"type": "modprop", "mu": mu} for mu in (0.1, 0.2)] + [{"type": "eprop"}]}
    id = submit(daemon, {"base": TINY, "axes": [mus], "seeds": [1]})["id"]
    points = daemon.get(f"/v1/experiments/{id}/points").json()["points"]
    assert [point["dash"] for point in points] == [0, 1, 0] and {point["panel"] for point in points} == {""}
    others = {"path": "/rule", "values": [{"type": rule} for rule in ("uoro", "eprop", "snap")]}
    id = submit(daemon, {"base": TINY, "axes": [others], "seeds": [1]})["id"]
    points = daemon.get(f"/v1/experiments/{id}/points").json()["points"]
    assert [point["dash"] for point in points] == [0, 0, 0], "their colours tell them apart"
    act(daemon, id, "cancel")


def labels(daemon, experiment):
    id = submit(daemon, experiment | {"seeds": [1]})["id"]
    found = [point["label"] for point in daemon.get(f"/v1/experiments/{id}/points").json()["points"]]
    act(daemon, id, "cancel")
    return found


def test_labels_are_as_short_as_tells_points_apart(start):
    daemon = start("--workers", "0")
    mus = [{"/rule": {"type": "modprop", "mu": mu}} for mu in (0.1, 0.2)]
    eprop = {"/rule": {"type": "eprop", "feedback": "random"}}
    rules = {"name": "rule", "patches": [{"/rule": {"type": "bptt"}}, *mus, eprop]}
    assert labels(daemon, {"base": TINY, "axes": [rules]}) == ["bptt", "modprop, mu=0.1", "modprop, mu=0.2", "eprop"]
    rates = {"path": "/optimizer/learning_rate", "values": [0.001, 0.01]}
    delays = {"path": "/task/delay", "values": [20, 30]}
    together = labels(daemon, {"base": TINY, "axes": [delays, rates], "design": "zip"})
    assert len(set(together)) == 2 and all(label.count("=") == 1 for label in together), "one of the two is enough"
    own = {"name": "rule", "patches": [{"label": "ours", "/rule": {"type": "modprop"}}, {"/rule": {"type": "bptt"}}]}
    assert labels(daemon, {"base": TINY, "axes": [own, rates]}) == [
        "ours, learning_rate=0.001",
        "ours, learning_rate=0.01",
        "bptt, learning_rate=0.001",
        "bptt, learning_rate=0.01",
    ]
    assert labels(daemon, {"base": TINY | {"rule": {"type": "eprop"}}}) == ["eprop"]


def test_progress_of_a_point(start):
    daemon = start("--workers", "1")
    long = {"iterations": 10**9, "batch_size": 2, "evaluate_every": 10**6, "checkpoint_every": 10**6}
    axis = {"name": "length", "patches": [{"/training/iterations": 4}, {"/training": long}]}
    id = submit(daemon, {"base": TINY, "axes": [axis], "seeds": [1, 2], "most_running": 1})["id"]
    wait_until(lambda: get(daemon, id)["counts"] | {"running": 1, "succeeded": 1} == get(daemon, id)["counts"])
    short, endless = daemon.get(f"/v1/experiments/{id}/points").json()["points"]
    assert (short["n"], short["running"], short["unfinished"], short["progress"]) == (1, 0, 1, 0.5)
    assert (endless["running"], endless["unfinished"]) == (1, 2) and endless["progress"] < 0.01
    act(daemon, id, "cancel")


def rows(answer):
    assert answer.headers["Content-Type"].startswith("text/csv")
    return list(csv.DictReader(io.StringIO(answer.text)))


def test_tables_are_the_same_as_csv(found):
    daemon, at, _ = found
    accept = {"headers": {"Accept": "text/csv"}}
    points = daemon.get(at + "/points").json()["points"]
    for row, point in zip(rows(daemon.get(at + "/points", **accept)), points, strict=True):
        assert row["label"] == point["label"]
        assert float(row["metrics.final_loss.mean_95.low"]) == point["metrics"]["final_loss"]["mean_95"]["low"]
        assert row["metrics.learned.median"] == str(point["metrics"]["learned"]["median"])
    assert len(rows(daemon.get(at + "/trials", **accept))) == 32
    assert len(rows(daemon.get(at + "/compare", **accept))) == 8
    assert len(rows(daemon.get(at + "/curves", params={"keys": "loss"}, **accept))) == 4 * 13
    own = rows(daemon.get(at + "/curves", params={"keys": "loss", "seeds": "true"}, **accept))
    assert len(own) == 4 * 8 * 13 and float(own[0]["value"]) > 0
    lines = {"headers": {"Accept": "application/x-ndjson"}}
    for view in ("points", "trials", "curves", "compare"):
        whole = daemon.get(f"{at}/{view}").json()
        text = daemon.get(f"{at}/{view}", **lines)
        assert text.headers["Content-Type"].startswith("application/x-ndjson")
        assert [json.loads(line) for line in text.text.splitlines()] == next(iter(whole.values()))


def test_any_set_of_jobs_gives_the_same_numbers(found):
    daemon, at, _ = found
    trials = daemon.get(at + "/trials").json()["trials"]
    answer = daemon.post("/v1/compare", json={"jobs": [trial["job"] for trial in trials], "metrics": METRICS})
    assert answer.status_code == 200, answer.text
    of_experiment = daemon.get(at + "/points").json()["points"]
    for own, other in zip(answer.json()["points"], of_experiment, strict=True):
        for name in ("label", "colour", "n", "metrics"):
            assert own[name] == other[name]
    of_jobs = {(c["metric"], c["label"]): c for c in answer.json()["comparisons"] if c["to"] == "0"}
    for c in daemon.get(at + "/compare").json()["comparisons"]:
        if c["to"] == "0.0":
            assert of_jobs[c["metric"], c["label"]]["sign_flip_p"] == c["sign_flip_p"]
    nothing = daemon.post("/v1/compare", json={"jobs": ["none"], "by": 1})
    assert nothing.status_code == 422 and pointers(nothing.json()) == {"/by"}
    assert pointers(daemon.post("/v1/compare", json={"jobs": ["none"]}).json()) == {"/jobs/0"}


def test_a_value_of_an_axis_is_named_by_what_tells_it_apart(daemon):
    rules = [{"type": "bptt"}, {"type": "modprop", "mu": 0.1}, {"type": "modprop", "mu": 0.2}]
    for patches, names in (
        ([{"/rule": rule} for rule in rules[:2]], ["bptt", "modprop"]),
        ([{"/rule": rule} for rule in rules], ["bptt", 1, 2]),
        ([{"/rule": rule, "label": f"rule {i}"} for i, rule in enumerate(rules)], ["rule 0", "rule 1", "rule 2"]),
    ):
        id = submit(daemon, {"base": TINY, "axes": [{"name": "rule", "patches": patches}], "seeds": [1]})["id"]
        points = daemon.get(f"/v1/experiments/{id}/points").json()["points"]
        assert [point["values"]["rule"] for point in points] == names


def test_a_label_has_no_more_digits_than_it_needs(daemon):
    for axis, rates in (
        ({"log": [0.001, 0.03], "count": 4}, ["0.001", "0.003107", "0.009655", "0.03"]),
        ({"values": [0.123456789, 0.123456788]}, ["0.123456789", "0.123456788"]),
    ):
        experiment = {"base": TINY, "axes": [{"path": "/optimizer/learning_rate"} | axis], "seeds": [1]}
        id = submit(daemon, experiment)["id"]
        labels = [point["label"] for point in daemon.get(f"/v1/experiments/{id}/points").json()["points"]]
        assert labels == [f"learning_rate={rate}" for rate in rates]


def test_a_rule_has_the_colour_of_its_points(found):
    daemon, at, _ = found
    colours = {rule["type"]: rule["colour"] for rule in daemon.get("/v1/rules").json()["rules"]}
    assert all(colours[point["rule"]] == point["colour"] for point in daemon.get(at + "/points").json()["points"])


def test_any_set_of_jobs_has_trials_and_curves(found):
    daemon, at, _ = found
    jobs = [trial["job"] for trial in daemon.get(at + "/trials").json()["trials"]]
    answer = daemon.post("/v1/compare", json={"jobs": jobs, "curves": ["loss", "accuracy"], "seeds": True}).json()
    assert {trial["job"] for trial in answer["trials"]} == set(jobs)
    of_experiment = daemon.get(at + "/curves", params={"keys": "loss,accuracy", "seeds": "true"}).json()["curves"]
    by_label = {(curve["label"], curve["key"]): curve for curve in answer["curves"]}
    assert len(by_label) == len(answer["curves"]) == len(of_experiment)
    for curve in of_experiment:
        own = by_label[curve["label"], curve["key"]]
        assert all(own[name] == curve[name] for name in ("iteration", "n", "median", "low", "high", "seeds"))
    bad = daemon.post("/v1/compare", json={"jobs": jobs, "curves": ["loss", "lost", 3, "loss"], "seeds": 1})
    assert bad.status_code == 422 and pointers(bad.json()) == {"/curves/1", "/curves/2", "/curves/3", "/seeds"}


def test_verify_and_a_backup_know_experiments(start, tmp_path):
    daemon = start("--workers", "2")
    id = submit(daemon, {"base": TINY, "axes": [RULES], "seeds": [1, 2]})["id"]
    linked = submit(daemon, {"base": TINY, "seeds": [1, 2, 3]})["id"]
    ended(daemon, id)
    counts = ended(daemon, linked)["counts"]
    assert daemon.stop() == 0
    copy = tmp_path / "copy"
    copy.mkdir()
    commands = ["verify", "--data", daemon.data], ["backup", "--data", daemon.data, copy / "modprop.db"]
    for command in (*commands, ["verify", "--data", copy]):
        done = subprocess.run([MODPROPD, *map(str, command)], capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stdout + done.stderr
    again = start(data=copy)
    assert get(again, linked)["counts"] == counts and get(again, id)["status"] == "complete"
    database = sqlite3.connect(copy / "modprop.db")
    database.execute("DELETE FROM experiments WHERE id=?", (linked,))
    database.commit()
    database.close()
    damaged = subprocess.run([MODPROPD, "verify", "--data", str(copy)], capture_output=True, text=True, timeout=120)
    assert damaged.returncode == 1 and "trials" in damaged.stdout + damaged.stderr
