"""Experiments that are edited and grow, designs that are drawn, and bounds of their own."""

import itertools
import time

import numpy as np
from daemons import wait_until
from test_experiments import ENDLESS, RATES, RULES, TINY, act, ended, get, jobs, pointers, submit


def edit(daemon, id, change, status=200):
    answer = daemon.request("PATCH", f"/v1/experiments/{id}", json=change)
    assert answer.status_code == status, answer.text
    return answer.json()


def trials(daemon, id):
    return daemon.get(f"/v1/experiments/{id}/trials").json()["trials"]


def held(daemon, id):
    return {(trial["point"], trial["seed"]): trial["job"] for trial in trials(daemon, id)}


def test_names_notes_and_tags_change_in_any_state(daemon):
    id = submit(daemon, {"base": TINY, "seeds": [1], "name": "old", "tags": ["a"]})["id"]
    ended(daemon, id)
    finished = get(daemon, id)["finished_at"]
    changed = edit(daemon, id, {"name": "new", "notes": "what we saw", "tags": ["a", "paper"]})
    assert (changed["name"], changed["notes"], changed["tags"]) == ("new", "what we saw", ["a", "paper"])
    assert changed["status"] == "complete" and changed["finished_at"] == finished
    assert changed["specification"]["name"] == "new"
    assert edit(daemon, id, {"name": None, "tags": None})["name"] is None
    assert get(daemon, id)["tags"] == [] and get(daemon, id)["notes"] == "what we saw"
    again = edit(daemon, id, {"metrics": [{"best": "loss"}]})
    assert list(daemon.get(f"/v1/experiments/{id}/points").json()["points"][0]["metrics"]) == ["best_loss"]
    assert again["status"] == "complete" and len(jobs(daemon)) == 1


def test_faults_of_a_change_are_named_and_nothing_changes(daemon):
    id = submit(daemon, {"base": TINY, "axes": [RULES, RATES], "seeds": [1]})["id"]
    ended(daemon, id)
    before = get(daemon, id)
    faults = {
        "/base": {"base": TINY},
        "/seeds/0": {"seeds": ["x"]},
        "/axes/speed": {"axes": {"speed": [1]}},
        "/axes/rule": {"axes": {"rule": []}},
        "/count": {"count": 3},
        "/points": {"points": [{"/task/delay": 3}]},
        "/tags": {"tags": "x"},
        "/axes": {"axes": {"learning_rate": [i * 1e-6 for i in range(1, 9000)]}},
    }
    for pointer, change in faults.items():
        assert pointer in pointers(edit(daemon, id, change, 422))
    bad = edit(daemon, id, {"axes": {"learning_rate": [-1]}}, 422)
    assert pointers(bad) == {"/points/0.2/optimizer/learning_rate"}
    assert get(daemon, id) == before
    assert daemon.request("PATCH", "/v1/experiments/none", json={}).status_code == 404


def test_seeds_and_values_are_added_and_what_ran_stays(daemon):
    log = {"path": "/optimizer/learning_rate", "log": [1e-3, 1e-1], "count": 3}
    id = submit(daemon, {"base": TINY, "axes": [RULES, log], "seeds": {"from": 1, "count": 2}})["id"]
    ended(daemon, id)
    before = held(daemon, id)
    assert len(before) == 12
    grown = edit(daemon, id, {"seeds": {"from": 1, "count": 3}, "axes": {"learning_rate": [0.5, 1e-3]}})
    assert grown["points"] == 8 and grown["trials"] == 24 and grown["specification"]["seeds"] == {"from": 1, "count": 3}
    assert ended(daemon, id)["counts"]["succeeded"] == 24
    after = held(daemon, id)
    points = [f"{i}.{j}" for i, j in itertools.product(range(2), range(4))]
    assert set(after) == {(point, seed) for point in points for seed in (1, 2, 3)}
    assert {key: after[key] for key in before} == before
    rates = {j["experiment"]["point"][2]: j["optimizer"]["learning_rate"] for j in jobs(daemon)}
    assert rates["0"] == 1e-3 and rates["2"] == 1e-1 and rates["3"] == 0.5
    assert edit(daemon, id, {"seeds": [2, 3], "axes": {"learning_rate": [0.5]}})["status"] == "complete"
    apart = edit(daemon, id, {"seeds": [9]})
    assert apart["specification"]["seeds"] == [{"from": 1, "count": 3}, 9] and apart["status"] == "running"
    assert ended(daemon, id)["counts"]["succeeded"] == 32 and held(daemon, id).items() >= after.items()
    more = {"label": "far", "/rule": {"type": "eprop", "feedback": "random"}}
    assert edit(daemon, id, {"axes": {"rule": [more]}})["points"] == 12
    assert ended(daemon, id)["counts"]["succeeded"] == 48


def test_zips_and_lists_grow_by_rows(daemon):
    delays = {"path": "/task/delay", "values": [10, 12]}
    zipped = submit(daemon, {"base": TINY, "axes": [RATES, delays], "design": "zip", "seeds": [1]})["id"]
    ended(daemon, zipped)
    assert pointers(edit(daemon, zipped, {"axes": {"delay": [14]}}, 422)) == {"/axes"}
    rows = {"axes": {"delay": [12, 12], "learning_rate": [0.01, 0.02]}}
    assert edit(daemon, zipped, rows)["points"] == 3, "one of the two rows is there"
    assert ended(daemon, zipped)["counts"]["succeeded"] == 3
    listed = submit(daemon, {"base": TINY, "design": "list", "points": [{"/task/delay": 10}], "seeds": [1]})["id"]
    ended(daemon, listed)
    assert edit(daemon, listed, {"points": [{"/task/delay": 10}, {"/task/delay": 11}]})["points"] == 2
    assert ended(daemon, listed)["counts"]["succeeded"] == 2


def test_a_random_design_is_drawn_by_a_counter(daemon):
    axes = [
        {"path": "/optimizer/learning_rate", "log_uniform": [1e-4, 1e-1]},
        {"path": "/task/delay", "uniform": [10, 40], "integer": True},
        RULES,
    ]
    design = {"base": TINY, "design": "random", "axes": axes, "count": 12, "seeds": [1]}
    few = submit(daemon, design)["id"]
    assert ended(daemon, few)["counts"]["succeeded"] == 12

    def points(id):
        return [p["values"] for p in daemon.get(f"/v1/experiments/{id}/points").json()["points"]]

    first = points(few)
    rates = np.log([p["learning_rate"] for p in first])
    assert len(set(rates)) == 12 and np.log(1e-4) <= rates.min() and rates.max() <= np.log(1e-1)
    assert all(isinstance(p["delay"], int) and 10 <= p["delay"] <= 40 for p in first)
    assert len({p["rule"] for p in first}) == 2
    assert edit(daemon, few, {"count": 11}, 422)["errors"][0]["pointer"] == "/count"
    assert edit(daemon, few, {"count": 20})["points"] == 20
    assert ended(daemon, few)["counts"]["succeeded"] == 20 and points(few)[:12] == first
    many = submit(daemon, design | {"count": 20})["id"]
    ended(daemon, many)
    assert points(many) == points(few)
    other = submit(daemon, design | {"random_seed": 1})["id"]
    assert points(other) != first
    wrong = {"base": TINY, "axes": axes, "count": 2}
    assert pointers(submit(daemon, wrong, 422)) == {"/axes/0/log_uniform", "/axes/1/uniform", "/count"}
    assert "/count" in pointers(submit(daemon, {"base": TINY, "design": "random", "axes": axes}, 422))
    wide = {"path": "/optimizer/learning_rate", "uniform": [-1.7e308, 1.7e308]}
    wrong = {"base": TINY, "design": "random", "axes": [wide], "count": 2}
    assert pointers(submit(daemon, wrong, 422)) == {"/axes/0/uniform"}
    wide = {"path": "/optimizer/learning_rate", "linear": [-1.7e308, 1.7e308], "count": 3}
    assert pointers(submit(daemon, {"base": TINY, "axes": [wide]}, 422)) == {"/axes/0/linear"}


def test_growth_while_it_runs_and_while_it_is_paused(start):
    daemon = start("--workers", "1")
    id = submit(daemon, {"base": ENDLESS, "seeds": [1, 2]})["id"]
    wait_until(lambda: get(daemon, id)["counts"]["running"] == 1)
    assert edit(daemon, id, {"seeds": [3]})["status"] == "running"
    wait_until(lambda: get(daemon, id)["counts"]["queued"] == 2)
    act(daemon, id, "pause")
    assert edit(daemon, id, {"seeds": [4, 5]})["status"] == "paused"
    wait_until(lambda: get(daemon, id)["counts"]["paused"] == 3)
    assert get(daemon, id)["counts"]["waiting"] == 2
    act(daemon, id, "resume")
    wait_until(lambda: get(daemon, id)["counts"]["queued"] == 4)
    act(daemon, id, "cancel")
    assert ended(daemon, id)["status"] == "cancelled"
    assert "retry" in edit(daemon, id, {"seeds": [6]}, 409)["detail"]
    assert edit(daemon, id, {"name": "stopped"})["name"] == "stopped"


def test_no_more_jobs_run_than_most_running(start):
    daemon = start("--workers", "3", "--cores", "3")
    id = submit(daemon, {"base": ENDLESS, "seeds": {"count": 9}, "most_running": 2})["id"]
    wait_until(lambda: get(daemon, id)["counts"]["running"] == 2)
    time.sleep(0.3)
    counts = get(daemon, id)["counts"]
    assert (counts["running"], counts["queued"], counts["waiting"]) == (2, 0, 7)
    edit(daemon, id, {"most_running": None})
    wait_until(lambda: (counts := get(daemon, id)["counts"])["running"] == 3 and counts["waiting"] == 0)
    act(daemon, id, "cancel")
    ended(daemon, id)
