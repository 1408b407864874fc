"""Neuron models over HTTP: jobs of each, what is refused, noise and firing cost against numpy in float64."""

import numpy as np
import pytest
from test_jobs import finish, submit

TASK = {"type": "delayed_xor", "delay": 20, "cue": 10}
NETWORK = {"units": 20}
TRAINING = {"iterations": 3, "batch_size": 8, "evaluate_every": 3}


def job_of(model, rule, **more):
    return {
        "task": TASK,
        "network": {**NETWORK, "model": model, **more},
        "rule": {"type": rule},
        "training": TRAINING,
    }


def test_models_are_listed(shared):
    answer = shared.get("/v1/neurons").json()
    models = {model["type"]: model for model in answer["neurons"]}
    assert answer["default"] == "membrane" and set(models) == {"membrane", "rate", "lif", "alif"}
    assert "activation" in models["rate"]["parameters"] and "threshold" not in models["rate"]["parameters"]
    assert "beta" in models["alif"]["parameters"] and "beta" not in models["lif"]["parameters"]
    assert models["lif"]["parameters"]["tau"]["default"] == 20
    assert models["lif"]["parameters"]["readout_tau"]["default"] == 20
    assert models["lif"]["defaults"]["rule"]["first_hop"]["default"] == "exact"
    assert models["rate"]["defaults"]["rule"]["first_hop"]["default"] == "mu"
    assert models["rate"]["own_defaults"] == {"network": [], "rule": ["first_hop"]}
    for name in ("rate", "lif", "alif"):
        for one in models[name]["recommended"]:
            assert one["settings"]["network"]["model"] == name and "tests/reproduce" in one["evidence"]
        assert len(models[name]["recommended"]) >= 1
    assert models["alif"]["own_defaults"] == {"network": ["tau"], "rule": ["first_hop"]}


@pytest.mark.parametrize("task", ["delayed_xor", "evidence", "copy"])
def test_own_defaults_come_before_the_tasks(shared, task):
    """A job that says nothing has its model's own defaults, then its task's."""
    models = {model["type"]: model for model in shared.get("/v1/neurons").json()["neurons"]}
    tasks = {one["type"]: one for one in shared.get("/v1/tasks").json()["tasks"]}
    for name, model in models.items():
        job = {"task": {"type": task}, "network": {"model": name}, "rule": {"type": "modprop"}}
        filled = shared.post("/v1/jobs:validate", json=job).json()
        listed = {"network": model["parameters"], "rule": model["defaults"]["rule"]}
        plain = {"network": models["membrane"]["parameters"], "rule": models["membrane"]["defaults"]["rule"]}
        for section, own in model["own_defaults"].items():
            of_task = tasks[task]["defaults"][section]
            for field in filled[section].keys() - {"model", "type"}:
                value = listed[section][field]["default"]
                if (
                    field not in own
                    and field in of_task
                    and of_task[field]["default"] != plain[section][field]["default"]
                ):
                    value = of_task[field]["default"]
                assert filled[section][field] == value, (name, section, field)


@pytest.mark.parametrize("model", ("rate", "lif", "alif"))
@pytest.mark.parametrize("rule", ("bptt", "eprop", "mdgl", "modprop", "rtrl"))
def test_jobs_of_every_model_and_rule(shared, model, rule):
    job = finish(shared, submit(shared, job_of(model, rule, noise=0.1)))
    assert job["status"] == "succeeded", job
    weights = shared.get(f"/v1/jobs/{job['id']}/weights").json()
    assert weights["neuron"] == model and np.isfinite(weights["W"]).all()
    spikes = model != "rate"
    assert ("threshold" in weights) == spikes and weights["readout"] == ("leaky" if spikes else "linear")
    assert ("rho" in weights) == (model == "alif")
    shown = shared.post(f"/v1/jobs/{job['id']}/simulate", json={"trials": 4, "every": 1}).json()
    if spikes:
        assert set(np.unique(shown["rates"])) <= {0.0, 1.0}
    if model == "alif":
        beta, sign = np.array(weights["beta"]), np.array(weights["sign"])
        for one in (-1, 1):  # the last 40 % of each sign adapt
            count = int((sign == one).sum())
            assert (beta[sign == one] > 0).sum() == round(0.4 * count) and beta[sign == one][-1] > 0


def test_what_has_no_meaning_is_refused(shared):
    for network, rule, training, pointer, words in (
        ({"model": "lif"}, {"type": "modprop", "first_hop": "mu"}, {}, "/rule/first_hop", 'must be "exact"'),
        ({"model": "rate"}, {"type": "modprop", "first_hop": "exact"}, {}, "/rule/first_hop", 'must be "mu"'),
        ({"model": "lif", "activation": "tanh"}, {}, {}, "/network/activation", "does not apply"),
        ({"threshold": 0.5}, {}, {}, "/network/threshold", "does not apply"),
        ({"model": "lif", "threshold": 1e-300}, {}, {}, "/network/threshold", "from 1e-06"),
        ({"model": "lif", "beta": 0.5}, {}, {}, "/network/beta", "does not apply"),
        ({"model": "izhikevich"}, {}, {}, "/network/model", "must be one of"),
        ({}, {}, {"rate_cost": 1}, "/training/rate_cost", "does not spike"),
        ({"model": "lif"}, {"type": "rtrl"}, {"rate_cost": 1}, "/training/rate_cost", "forward in time"),
    ):
        body = {"task": TASK, "network": {**NETWORK, **network}, "rule": rule, "training": {**TRAINING, **training}}
        answer = shared.post("/v1/jobs:validate", json=body)
        errors = {error["pointer"]: error["detail"] for error in answer.json()["errors"]}
        assert answer.status_code == 422 and words in errors[pointer], (body, errors)


def test_noise_alone_gives_v_its_standard_deviation(shared):
    """With tanh in its linear range z is v: weights of 0 leave nothing but the noise."""
    n, tau, noise = 40, 20.0, 0.01
    weights = {"W": np.zeros((n, n)), "Win": np.zeros((1, n)), "Wout": np.zeros((n, 2)), "bout": np.zeros(2)}
    job = finish(
        shared,
        submit(
            shared,
            {
                "task": {"type": "delayed_xor", "delay": 380, "cue": 10},
                "network": {
                    "units": n,
                    "dale": False,
                    "activation": "tanh",
                    "tau": tau,
                    "noise": noise,
                    "initial": {k: (v if k != "Win" else np.zeros((2, n))).tolist() for k, v in weights.items()},
                },
                "rule": {"type": "eprop"},
                "optimizer": {"type": "sgd", "learning_rate": 0, "l1": 0, "l2": 0},
                "training": {"iterations": 1, "batch_size": 16, "evaluate_every": 1},
            },
        ),
    )
    request = {"trials": 16, "every": 1, "units": list(range(n)), "seed": 4}
    rates = np.array(shared.post(f"/v1/jobs/{job['id']}/simulate", json=request).json()["rates"])[100:]
    assert abs(rates.std() / noise - 1) < 0.02 and abs(rates.mean()) < 0.1 * noise
    ahead = (rates[1:] * rates[:-1]).mean() / (rates**2).mean()  # of steps next to each other
    assert abs(ahead - np.exp(-1 / tau)) < 0.01
    other = np.array(shared.post(f"/v1/jobs/{job['id']}/simulate", json={**request, "seed": 5}).json()["rates"])[100:]
    assert abs((rates * other).mean()) < 0.05 * noise**2


def alif_eprop_cost(network, x, cost, target):
    """The firing cost's part of e-prop's gradient of W, in float64, by the eligibility traces."""
    W, Win, b = (np.array(network[name]) for name in ("W", "Win", "b"))
    leak, rho, beta = (np.array(network[name]) for name in ("leak", "rho", "beta"))
    threshold, dampening = network["threshold"], network["dampening"]
    T, B, N = len(x), len(x[0]), len(W)
    v, h, z, rest = np.zeros((B, N)), np.zeros((B, N)), np.zeros((B, N)), np.zeros((B, N))
    eps, ea, psi_before = np.zeros((B, N, 1)), np.zeros((B, N, N)), np.zeros((B, 1, N))
    eps = np.zeros((B, N, N))
    total, traces = np.zeros(N), np.zeros((N, N))
    for t in range(T):
        source = z
        v = leak * v + z @ W + np.array(x[t]) @ Win + b - threshold * z
        h = rho * h + z
        above = v - threshold - beta * h
        z = ((above > 0) & (rest == 0)).astype(float)
        psi = dampening / threshold * np.maximum(0, 1 - abs(above) / threshold) * (rest == 0)
        rest = np.where(z > 0, network["refractory"], np.maximum(rest - 1, 0))
        ea = psi_before * eps + (rho - beta * psi_before) * ea
        eps = leak * eps + source[:, :, None]
        psi_before = psi[:, None, :]
        traces += (psi_before * (eps - beta * ea)).sum(0)
        total += z.sum(0)
    return cost * (total / (T * B) - target) / (T * B) * traces


def test_firing_cost_is_that_of_a_reference_in_float64(shared):
    rng = np.random.default_rng(7)
    n, inputs, steps, trials = 9, 2, 40, 3
    network = {
        "model": "alif",
        "W": rng.normal(0, 0.4, (n, n)).tolist(),
        "Win": rng.normal(0, 0.7, (inputs, n)).tolist(),
        "b": rng.normal(0.1, 0.1, n).tolist(),
        "Wout": rng.normal(0, 0.5, (n, 2)).tolist(),
        "bout": [0.0, 0.0],
        "leak": rng.uniform(0.8, 0.95, n).tolist(),
        "rho": rng.uniform(0.95, 0.99, n).tolist(),
        "beta": (0.1 * (np.arange(n) % 2)).tolist(),
        "threshold": 0.6,
        "dampening": 0.3,
        "refractory": 2,
        "readout_kappa": 0.9,
    }
    network["W"] = np.array(network["W"], np.float32).astype(float)
    network["W"][np.diag_indices(n)] = 0
    network["W"] = network["W"].tolist()
    x = rng.normal(0, 1, (steps, trials, inputs)).tolist()
    body = {
        "network": network,
        "inputs": x,
        "targets": rng.integers(0, 2, (steps, trials)).tolist(),
        "loss": "cross_entropy",
        "rules": [{"type": "eprop"}],
    }
    plain = shared.post("/v1/gradients", json=body).json()
    costly = shared.post("/v1/gradients", json={**body, "rate_cost": 40.0, "rate_target": 0.02}).json()
    assert costly["loss"] == plain["loss"]  # it is not reported
    difference = np.array(costly["rules"][0]["gradients"]["W"]) - np.array(plain["rules"][0]["gradients"]["W"])
    expected = alif_eprop_cost(network, x, 40.0, 0.02)
    assert abs(expected).max() > 1e-3
    assert abs(difference - expected).max() < 2e-5 * max(abs(expected).max(), 1e-6) + 1e-6
    assert costly["rules"][0]["gradients"]["Wout"] == plain["rules"][0]["gradients"]["Wout"]
