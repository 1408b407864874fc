"""POST /v1/gradients against the worked cases, and its bounds."""
import json
import pathlib

import numpy as np
import pytest

CASES = json.loads((pathlib.Path(__file__).resolve().parents[1] / "golden" / "gradients.json").read_text())


@pytest.mark.parametrize("index", range(len(CASES)))
def test_golden(daemon, index):
    case = CASES[index]
    body = {name: case[name] for name in ("network", "inputs", "targets", "mask", "loss")} | {"rules": [entry["rule"] for entry in case["rules"]]}
    answer = daemon.post("/v1/gradients", json=body)
    assert answer.status_code == 200, answer.text
    document = answer.json()
    assert document["loss"] == pytest.approx(case["expected_loss"], rel=1e-5)
    assert [entry["rule"] for entry in document["rules"]] == body["rules"]
    for entry, expected in zip(document["rules"], case["rules"]):
        for name, values in expected["gradients"].items():
            values, got = np.array(values), np.array(entry["gradients"][name])
            assert np.abs(got - values).max() <= 1e-5 * max(np.abs(values).max(), 1e-30), (expected["rule"], name)
    truth = [entry for entry in document["rules"] if entry["rule"]["type"] == "bptt"][0]
    assert truth["cosine"]["all"] == pytest.approx(1.0)


def small():
    case = CASES[0]
    return {name: json.loads(json.dumps(case[name])) for name in ("network", "inputs", "targets", "mask", "loss")} | {"rules": [{"type": "bptt"}]}


@pytest.mark.parametrize("change,pointer", [
    (lambda b: b["network"]["W"][2].pop(), "/network/W/2"), (lambda b: b["network"].pop("Win"), "/network/Win"),
    (lambda b: b["network"]["leak"].__setitem__(1, 1.5), "/network/leak/1"), (lambda b: b["network"]["types"].__setitem__(0, 99), "/network/types/0"),
    (lambda b: b["targets"][3].__setitem__(0, 7), "/targets/3/0"), (lambda b: b.__setitem__("mask", [[0.0] * 3] * len(b["inputs"])), "/mask"),
    (lambda b: b.__setitem__("loss", "hinge"), "/loss"), (lambda b: b.__setitem__("rules", []), "/rules"),
    (lambda b: b["rules"].append({"type": "modprop", "mu": "auto"}), "/rules/1/mu"), (lambda b: b["rules"].append({"type": "bppt"}), "/rules/1/type"),
    (lambda b: b["rules"].append({"type": "eprop", "feedback": "random"}), "/network/feedback"), (lambda b: b.__setitem__("inputs", [[]]), "/inputs"),
    (lambda b: b["network"].__setitem__("activaton", "relu"), "/network/activaton")])
def test_bad_fields(daemon, change, pointer):
    body = small()
    change(body)
    answer = daemon.post("/v1/gradients", json=body)
    assert answer.status_code == 422 and pointer in [error["pointer"] for error in answer.json()["errors"]], answer.text


def test_too_much_work_is_refused_with_the_bound(daemon):
    body = small()
    body["inputs"], body["targets"], body["mask"] = body["inputs"] * 2000, body["targets"] * 2000, body["mask"] * 2000
    body["rules"] = [{"type": "rtrl"}] * 64
    units = 120
    body["network"] = {"W": [[0.0] * units] * units, "Win": [[0.0] * units] * 2, "Wout": [[0.0] * 2] * units, "bout": [0.0, 0.0], "leak": [0.9] * units}
    answer = daemon.post("/v1/gradients", json=body, timeout=60)
    assert answer.status_code == 422 and "at most" in answer.json()["errors"][0]["detail"]


def test_gradients_do_not_wait_for_jobs(start):
    daemon = start("--workers", "2")
    for _ in range(4):
        daemon.post("/v1/jobs", json={"task": {"type": "delayed_xor"}, "training": {"iterations": 100000}})
    assert daemon.post("/v1/gradients", json=small(), timeout=20).status_code == 200
