"""POST /v1/gradients against the worked cases and against the definitions on random networks; and its bounds."""

import json
import os
import pathlib

import definitions
import numpy as np
import pytest
from daemons import SANITIZED, Daemon

CASES = json.loads((pathlib.Path(__file__).resolve().parents[1] / "golden" / "gradients.json").read_text())


INSTRUCTION_SETS = [
    name
    for name, flag in (("portable", ""), ("avx2", " avx2 "), ("avx512", " avx512f "))
    if flag in pathlib.Path("/proc/cpuinfo").read_text()
]


CHOICES = [f"{name}, {cores}" for name in INSTRUCTION_SETS for cores in (1, 2)]


@pytest.fixture(scope="module", params=CHOICES[-1:] if SANITIZED else CHOICES)
def calculator(request, tmp_path_factory):
    """A daemon for each instruction set of this host, with one core and with two."""
    name, cores = request.param.split(", ")
    daemon = Daemon(tmp_path_factory.mktemp("calculator"), "--cores", cores, environment={"MODPROPD_ISA": name})
    yield daemon
    daemon.finish()


def check(daemon, body, expected, bound):
    """Every gradient of the answer within `bound` of the largest entry.

    `expected` is a list of (loss, gradients), a rule each.
    """
    answer = daemon.post("/v1/gradients", json=body, timeout=120)
    assert answer.status_code == 200, answer.text
    document = answer.json()
    assert [entry["rule"] for entry in document["rules"]] == body["rules"]
    for entry, (loss, gradients) in zip(document["rules"], expected, strict=True):
        assert document["loss"] == pytest.approx(loss, rel=1e-5)
        for name, values in gradients.items():
            values, got = np.array(values), np.array(entry["gradients"][name])
            assert np.abs(got - values).max() <= bound * max(np.abs(values).max(), 1e-30), (entry["rule"], name)
    return document


@pytest.mark.parametrize("index", range(len(CASES)))
def test_golden(calculator, index):
    case = CASES[index]
    body = {name: case[name] for name in ("network", "inputs", "targets", "mask", "loss")} | {
        "rules": [entry["rule"] for entry in case["rules"]]
    }
    document = check(calculator, body, [(case["expected_loss"], entry["gradients"]) for entry in case["rules"]], 1e-5)
    truth = [entry for entry in document["rules"] if entry["rule"]["type"] == "bptt"][0]
    assert truth["cosine"]["all"] == pytest.approx(1.0)


@pytest.mark.parametrize("index", range(len(CASES)))
def test_definitions_reproduce_the_worked_cases(index):
    """The reference itself: to the last digits of float64."""
    case = CASES[index]
    for entry in case["rules"]:
        loss, gradients = definitions.gradients(case, entry["rule"])
        assert loss == pytest.approx(case["expected_loss"], rel=1e-12)
        for name, values in entry["gradients"].items():
            assert np.abs(gradients[name] - np.array(values)).max() <= 1e-12 * max(np.abs(values).max(), 1e-30), (
                entry["rule"],
                name,
            )


RULES = [
    {"type": "bptt"},
    {"type": "rtrl"},
    {"type": "eprop"},
    {"type": "eprop", "feedback": "random"},
    {"type": "mdgl"},
    {"type": "mdgl", "weights": "type"},
] + [
    {"type": "modprop", "mu": mu, "weights": weights, "first_hop": hop, "taps": taps, "averaging": averaging}
    for weights, averaging in (("cell", "all"), ("type", "all"), ("type", "existing"))
    for hop in ("mu", "exact")
    for mu, taps in ((0.25, None), (0.4, 1), (0.3, 5), (0.1, None))
]


def random_case(rng):
    """A body of POST /v1/gradients: any sizes, sparse or not, equal leaks or not, masks of every shape."""
    N, I, O, T, B = (int(rng.integers(low, high)) for low, high in ((6, 40), (1, 5), (2, 4), (2, 60), (1, 12)))
    types = np.sort(rng.integers(0, rng.integers(1, 7), N))
    types = np.unique(types, return_inverse=True)[1]
    W = rng.normal(0, rng.choice([0.3, 0.9, 1.3]) / np.sqrt(N), (N, N)) * (rng.random((N, N)) < rng.choice([0.3, 1.0]))
    np.fill_diagonal(W, 0)
    leak = np.full(N, rng.uniform(0.5, 0.99)) if rng.random() < 0.6 else rng.uniform(0.3, 0.99, N)
    mask = [
        np.ones((T, B)),
        rng.random((T, B)) * (rng.random((T, B)) < 0.5),
        np.repeat(np.arange(T)[:, None] == T - 1, B, 1) * 1.0,
    ][rng.integers(3)]
    mask[-1, 0] += mask.sum() == 0
    entropy = rng.random() < 0.5
    network = {
        "W": W,
        "Win": rng.normal(0, 1, (I, N)),
        "Wout": rng.normal(0, 1 / np.sqrt(N), (N, O)),
        "bout": rng.normal(0, 0.1, O),
        "leak": leak,
        "feedback": rng.normal(0, 1 / np.sqrt(N), (O, N)),
        "types": types,
    } | ({"b": rng.normal(0, 0.1, N)} if rng.random() < 0.5 else {})
    network = {
        name: np.float32(value).tolist() if name not in ("types", "leak") else value.tolist()
        for name, value in network.items()
    }
    targets = rng.integers(0, O, (T, B)) if entropy else np.float32(rng.normal(0, 1, (T, B, O)))
    return {
        "network": network | {"activation": str(rng.choice(["relu", "tanh"]))},
        "inputs": np.float32(rng.normal(0, 1, (T, B, I))).tolist(),
        "targets": targets.tolist(),
        "mask": np.float32(mask).tolist(),
        "loss": "cross_entropy" if entropy else "mse",
        "rules": RULES,
    }


@pytest.mark.parametrize("draw", range(6))
def test_random_networks_by_the_definitions(calculator, draw):
    seed = int(os.environ.get("MODPROP_TEST_SEED", "20")) * 1000 + draw
    print(f"seed {seed}")
    body = random_case(np.random.default_rng(seed))
    check(calculator, body, [definitions.gradients(body, rule) for rule in RULES], 3e-5)


def small():
    case = CASES[0]
    return {name: json.loads(json.dumps(case[name])) for name in ("network", "inputs", "targets", "mask", "loss")} | {
        "rules": [{"type": "bptt"}]
    }


def signs(body):
    """What uoro alone takes."""
    return [[[1.0] * len(body["network"]["W"]) for _ in step] for step in body["inputs"]]


@pytest.mark.parametrize(
    "change,pointer",
    [
        (lambda b: b["network"]["W"][2].pop(), "/network/W/2"),
        (lambda b: b["network"].pop("Win"), "/network/Win"),
        (lambda b: b["network"]["leak"].__setitem__(1, 1.5), "/network/leak/1"),
        (lambda b: b["network"]["types"].__setitem__(0, 99), "/network/types/0"),
        (lambda b: b["targets"][3].__setitem__(0, 7), "/targets/3/0"),
        (lambda b: b.__setitem__("mask", [[0.0] * 3] * len(b["inputs"])), "/mask"),
        (lambda b: b.__setitem__("loss", "hinge"), "/loss"),
        (lambda b: b.__setitem__("rules", []), "/rules"),
        (lambda b: b["rules"].append({"type": "modprop", "mu": "auto"}), "/rules/1/mu"),
        (lambda b: b["rules"].append({"type": "bppt"}), "/rules/1/type"),
        (lambda b: b["rules"].append({"type": "eprop", "feedback": "random"}), "/network/feedback"),
        (lambda b: b.__setitem__("inputs", [[]]), "/inputs"),
        (lambda b: b.__setitem__("nu", signs(b)), "/nu"),
        (lambda b: b["network"].__setitem__("activaton", "relu"), "/network/activaton"),
    ],
)
def test_bad_fields(shared, change, pointer):
    body = small()
    change(body)
    answer = shared.post("/v1/gradients", json=body)
    assert answer.status_code == 422 and pointer in [error["pointer"] for error in answer.json()["errors"]], answer.text


def test_too_much_work_is_refused_with_the_bound(shared):
    body = small()
    body["inputs"], body["targets"], body["mask"] = body["inputs"] * 2000, body["targets"] * 2000, body["mask"] * 2000
    body["rules"] = [{"type": "rtrl"}] * 64
    units = 60
    body["network"] = {
        "W": [[0.0] * units] * units,
        "Win": [[0.0] * units] * 2,
        "Wout": [[0.0] * 2] * units,
        "bout": [0.0, 0.0],
        "leak": [0.9] * units,
    }
    answer = shared.post("/v1/gradients", json=body, timeout=120)
    assert answer.status_code == 422 and "multiply-adds together, at most " in answer.json()["errors"][0]["detail"]


def test_rtrl_is_for_small_networks(shared):
    """The bound is one, of jobs and of gradients: 64 units are computed, 65 refused by field, bound and value."""
    for units in (64, 65):
        body = small()
        width = len(body["inputs"][0][0])
        body["network"] = {
            "W": [[0.01] * units] * units,
            "Win": [[0.1] * units] * width,
            "Wout": [[0.1] * 2] * units,
            "bout": [0.0, 0.0],
            "leak": [0.9] * units,
        }
        body["rules"] = [{"type": "eprop"}, {"type": "rtrl"}]
        answer = shared.post("/v1/gradients", json=body, timeout=120)
        job = shared.post(
            "/v1/jobs:validate",
            json={"task": {"type": "delayed_xor"}, "network": {"units": units}, "rule": {"type": "rtrl"}},
        )
        if units == 64:
            assert answer.status_code == 200 and job.status_code == 200, (answer.text, job.text)
            continue
        assert answer.status_code == 422 and job.status_code == 422
        assert answer.json()["errors"] == [
            {"pointer": "/rules/1/type", "detail": "must not be rtrl with more than 64 units; the network has 65"}
        ]
        assert job.json()["errors"] == [
            {"pointer": "/network/units", "detail": "must be at most 64 with rule rtrl; got 65"}
        ]


def test_gradients_do_not_wait_for_jobs(start):
    daemon = start("--workers", "2")
    for _ in range(4):
        daemon.post("/v1/jobs", json={"task": {"type": "delayed_xor"}, "training": {"iterations": 100000}})
    assert daemon.post("/v1/gradients", json=small(), timeout=120).status_code == 200
