"""Filter taps fitted to BPTT, in training and as an analysis, held against numpy's least squares on the same trials."""

import itertools
import json
import math
import subprocess

import definitions
import numpy as np
import pytest
from daemons import MODPROPD, Daemon
from test_datasets import put, safetensors
from test_jobs import finish, submit

SEED, UNITS, STEPS, TRIALS, FITTED = 5, 9, 14, 7, 24
SMALL = {
    "task": {"type": "delayed_xor", "delay": 20, "cue": 10},
    "network": {"units": 20, "tau": 20, "types_per_sign": 2},
    "training": {"iterations": 12, "batch_size": 4, "evaluate_every": 4, "checkpoint_every": 4},
}
RNG = np.random.default_rng(3)
INPUTS = RNG.normal(0, 1, (STEPS, TRIALS, 3)).astype("f4")
TARGETS = RNG.normal(0, 1, (STEPS, TRIALS, 2)).astype("f4")


def philox(counter, key):
    """Ten rounds of Philox4x32 (Salmon et al. 2011)."""
    c, k = list(counter), list(key)
    for _ in range(10):
        one, two = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [two >> 32 ^ c[1] ^ k[0], two & 0xFFFFFFFF, one >> 32 ^ c[3] ^ k[1], one & 0xFFFFFFFF]
        k = [(k[0] + 0x9E3779B9) & 0xFFFFFFFF, (k[1] + 0xBB67AE85) & 0xFFFFFFFF]
    return c


def drawn(iteration, first, count):
    """Which trials of the training split the trials first .. of an iteration are."""
    words = [philox((0, first + i, iteration, 9), (SEED, 0)) for i in range(count)]
    return [(word[1] << 32 | word[0]) * TRIALS >> 64 for word in words]


def credit(network, trials, last_only):
    """A (T,B,C), psi and bptt's nonlocal term N (T,B,N) by their definitions."""
    W, Wout = np.array(network["W"]), np.array(network["Wout"])
    leak, types = np.array(network["leak"]), np.array(network["types"])
    mask = np.ones((STEPS, len(trials)))
    mask[: STEPS - 1] = 0 if last_only else 1
    _, y, psi = definitions.forward(network | {"activation": "tanh"}, INPUTS[:, trials].astype(float))
    err = definitions.loss_and_error(y, TARGETS[:, trials], mask, "mse")[1]
    a, d, N = psi * (err @ Wout.T), np.zeros_like(psi[0]), np.zeros_like(psi)
    for t in reversed(range(STEPS)):
        N[t] = ((1 - leak) * d) @ W.T
        d = a[t] + leak * d + psi[t] * N[t]
    return a @ np.eye(types.max() + 1)[types], psi, N, types


def weights_of(A):
    return 1 / (A**2).sum((0, 2))


def regressors(A, t, steps, basis, terms):
    """(B, unknowns), the unknowns being lag or term, then type."""
    lags = [A[t + s] if t + s < STEPS else np.zeros_like(A[0]) for s in range(1, steps + 1)]
    if basis == "free":
        return np.concatenate(lags, 1)
    decays = np.exp(-1 / np.exp(np.linspace(0, np.log(steps), terms)))
    return np.concatenate([sum(k ** (s - 1) * lag for s, lag in enumerate(lags, 1)) for k in decays], 1)


def solve(rows, wanted, ridge):
    """Ridge regression by least squares on the rows with those of the ridge below."""
    strength = np.sqrt(ridge * (rows**2).sum() / rows.shape[1])
    below = strength * np.eye(rows.shape[1])
    return np.linalg.lstsq(np.vstack([rows, below]), np.concatenate([wanted, np.zeros(len(below))]), rcond=None)[0]


def fitted(A, psi, N, types, steps, basis, terms, ridge, decouples):
    """Taps (S,C,C), [s - 1][g][h]."""
    count, root = types.max() + 1, np.sqrt(weights_of(A))
    taps = np.zeros((steps, count, count))
    decays = np.exp(-1 / np.exp(np.linspace(0, np.log(steps), terms)))

    def rows(g, t, X):
        """A row a trial and unit of the type."""
        each = [(root * psi[t, :, p], N[t, :, p]) for p in np.flatnonzero(types == g)]
        return np.concatenate([f[:, None] * X for f, _ in each]), np.concatenate([f * n for f, n in each])

    for g in range(count):
        if decouples:
            for s in range(1, min(steps, STEPS - 1) + 1):
                taps[s - 1, g] = solve(*rows(g, STEPS - 1 - s, A[STEPS - 1]), ridge)
            continue
        parts = [rows(g, t, regressors(A, t, steps, basis, terms)) for t in range(STEPS - 1)]
        found = solve(np.concatenate([r for r, _ in parts]), np.concatenate([w for _, w in parts]), ridge)
        found = found.reshape(-1, count)
        powers = decays[None, :] ** np.arange(steps)[:, None]
        taps[:, g] = found if basis == "free" else powers @ found
    return taps


def measured(A, psi, N, types, taps):
    """Share explained and cosine."""
    n = np.zeros((STEPS, A.shape[1], A.shape[2]))
    for t, s in itertools.product(range(STEPS), range(1, len(taps) + 1)):
        n[t] += A[t + s] @ taps[s - 1].T if t + s < STEPS else 0
    root = np.sqrt(weights_of(A))[None, :, None]
    found, wanted = root * psi * n[..., types], root * psi * N
    share = 1 - ((found - wanted) ** 2).sum() / (wanted**2).sum()
    return share, (found * wanted).sum() / np.linalg.norm(found) / np.linalg.norm(wanted)


@pytest.fixture(scope="module")
def networks(tmp_path_factory):
    """A daemon with two jobs on a dataset of a few trials: loss at every step, and at the last alone."""
    daemon, made = Daemon(tmp_path_factory.mktemp("filters"), "--workers", "1"), {}
    for last_only in (False, True):
        mask = np.ones((STEPS, TRIALS), "f4")
        mask[: STEPS - 1] = 0 if last_only else 1
        assert put(daemon, f"d{last_only}", safetensors(inputs=INPUTS, targets=TARGETS, mask=mask)).status_code < 300
        job = {
            "task": {"type": "dataset", "name": f"d{last_only}"},
            "seed": SEED,
            "network": {"units": UNITS, "tau": 8, "dale": False, "activation": "tanh", "types_per_sign": 3},
            "optimizer": {"learning_rate": 0.01},
            "training": {"iterations": 3, "batch_size": 4},
        }
        id = finish(daemon, submit(daemon, job))["id"]
        made[last_only] = id, daemon.get(f"/v1/jobs/{id}/weights").json()
    yield daemon, made
    daemon.finish()


def analyse(daemon, id, **asked):
    answer = daemon.post(f"/v1/jobs/{id}/analyses", json={"type": "filters"} | asked)
    assert answer.status_code == 200, answer.text
    return {name: np.array(result["values"], float) for name, result in answer.json()["results"].items()}


@pytest.mark.parametrize(
    "last_only, basis, steps, trials",
    [
        (True, "free", 9, FITTED),  # lag by lag
        (True, "free", 14, 2),  # fewer trials than types: the dual form
        (False, "free", 6, FITTED),  # a type's lags together
        (False, "exponential", 9, FITTED),
        (True, "exponential", 13, FITTED),
    ],
)
def test_taps_are_the_least_squares_solution(networks, last_only, basis, steps, trials):
    daemon, made = networks
    id, network = made[last_only]
    asked = {"basis": basis, "steps": [steps], "terms": 3, "trials": trials, "ridge": 0.01, "taps": True}
    found = analyse(daemon, id, **asked)
    seen = credit(network, drawn(3, 4, trials), last_only)
    unseen = credit(network, drawn(3, 4 + trials, trials), last_only)
    taps = fitted(*seen, steps, basis, 3, 0.01, last_only and basis == "free")
    assert np.allclose(found["taps"], taps, rtol=0, atol=2e-4 * np.abs(taps).max())
    assert math.isclose(found["share_seen"][0, 0], measured(*seen, taps)[0], abs_tol=1e-4)
    assert np.allclose([found["share"][0, 0, 0], found["cosine"][0, 0, 0]], measured(*unseen, taps), atol=1e-4)


def test_modprop_s_own_taps_stand_beside_them(networks):
    daemon, made = networks
    id, network = made[False]
    found = analyse(daemon, id, steps=[5], trials=FITTED, mu=0.6)
    W, types, leak = np.array(network["W"]), np.array(network["types"]), network["leak"][0]
    P = np.eye(3)[types]
    sizes = P.sum(0)
    w = (P.T @ W @ P) / np.outer(sizes, sizes)
    K = leak * np.eye(3) + 0.6 * sizes[:, None] * w * (1 - leak)
    taps = np.array([(w * (1 - leak)) @ np.linalg.matrix_power(K, s) for s in range(5)])
    unseen = credit(network, drawn(3, 4 + FITTED, FITTED), False)
    assert np.allclose([found["share"][1, 0, 0], found["cosine"][1, 0, 0]], measured(*unseen, taps), atol=1e-4)
    # the gradient by these taps is modprop's
    rules = [
        "bptt",
        {"type": "modprop", "weights": "type", "mu": 0.6, "first_hop": "exact", "taps": 5},
        {"type": "filter", "taps": taps.transpose(1, 2, 0).tolist()},
    ]
    aligned = daemon.post(f"/v1/jobs/{id}/gradients", json={"rules": rules}).json()["alignment"]["all"]
    assert aligned[1][2] > 1 - 1e-6


def test_one_type_a_cell_explains_all_that_more_steps_of_loss_leave(networks):
    """With as many types as units and one step of loss the taps at lag 1 are W itself, so nothing is unexplained."""
    daemon, made = networks
    found = analyse(daemon, made[True][0], types_per_sign=[1, 3, UNITS], steps=[1, 3, 13], trials=300, ridge=1e-9)
    assert found["types"].tolist() == [1, 3, UNITS] and found["steps"].tolist() == [1, 3, 13]
    assert (found["share_lag"][0, 2, 0] > 0.9999) and (found["share_reached"][0, 2, 0] > 0.9999)
    assert found["share"][0, 2, 2] > 0.9
    # finer types and longer taps explain more of what they were fitted to
    assert (np.diff(found["share_seen"], axis=0) > -1e-9).all() and (np.diff(found["share_seen"], axis=1) > -1e-9).all()
    assert math.isclose(found["energy"][0].sum(), 1, rel_tol=1e-9)


def progress(daemon, id):
    answer = daemon.get(f"/v1/jobs/{id}/events", headers={"Accept": "application/x-ndjson"})
    return [event for event in map(json.loads, answer.text.splitlines()) if event["type"] == "progress"]


@pytest.mark.parametrize("basis", ["free", "exponential"])
def test_a_fit_in_training_is_that_of_the_analysis(start, basis):
    daemon = start("--workers", "1")
    fit = {"steps": 25, "basis": basis, "terms": 3, "every": 4, "trials": 16, "ridge": 0.01}
    job = submit(daemon, SMALL | {"rule": {"type": "filter", "taps": {"fit": fit}}})
    done = finish(daemon, job)
    assert done["status"] == "succeeded" and done["rule"]["taps"] == {"fit": fit}
    last = progress(daemon, done["id"])[-1]
    asked = {key: value for key, value in fit.items() if key not in ("every", "steps")}
    found = analyse(daemon, done["id"], steps=[25], **asked)
    assert last["iteration"] == 12 and last["fit_share"] == found["share_seen"][0, 0]
    for name, of in (("fit_share_unseen", "share"), ("fit_cosine", "cosine"), ("fit_cosine_dW", "cosine_dW")):
        assert last[name] == found[of][0, 0, 0], name
    assert last["fit_lags"]["to"] == found["lag"].tolist() == [1, 2, 4, 8, 16, 32, 64]
    assert np.allclose(last["fit_lags"]["energy"], found["energy"][0])
    assert np.allclose(last["fit_lags"]["share"], found["share_lag"][0, 0])
    metrics = daemon.get(f"/v1/jobs/{done['id']}/metrics").json()
    assert metrics["fit_share_unseen"][-1] == last["fit_share_unseen"]
    assert daemon.stop() == 0
    again = subprocess.run([MODPROPD, "verify", "--data", daemon.data, "--rerun"], capture_output=True, text=True)
    assert again.returncode == 0, again.stdout


@pytest.mark.parametrize(
    "taps, network, pointer",
    [
        ({"fit": {}}, {}, "/rule/taps/fit/steps"),
        ({"fit": {"steps": 5, "ridge": 0}}, {}, "/rule/taps/fit/ridge"),
        ({"fit": {"steps": 5, "basis": "cosine"}}, {}, "/rule/taps/fit/basis"),
        ({"fits": {"steps": 5}}, {}, "/rule/taps"),
        (None, {}, "/rule/taps"),
        ({"fit": {"steps": 5, "terms": 64}}, {"units": 200, "types_per_sign": 40}, "/rule/taps"),
        ({"fit": {"steps": 5}}, {"model": "lif", "rewiring": "none"}, "/rule/type"),
    ],
)
def test_a_fit_is_refused_by_name(daemon, taps, network, pointer):
    job = SMALL | {"rule": {"type": "filter", "taps": taps}, "network": SMALL["network"] | network}
    answer = daemon.post("/v1/jobs:validate", json=job)
    assert answer.status_code == 422, answer.text
    assert pointer in [error["pointer"] for error in answer.json()["errors"]], answer.text


def test_a_fit_longer_than_the_trial_is_refused(daemon):
    rule = {"type": "filter", "taps": {"fit": {"steps": 41}}}
    answer = daemon.post("/v1/jobs", json=SMALL | {"rule": rule})
    assert answer.status_code == 422 and "at most 40 steps" in answer.text


def test_the_estimate_counts_a_fit(daemon):
    def estimate(**fit):
        rule = {"type": "filter", "taps": {"fit": {"steps": 20, "basis": "free"} | fit}}
        return daemon.post("/v1/jobs:validate", json=SMALL | {"rule": rule}).json()["estimate"]

    seldom, often, large = estimate(every=100), estimate(every=1), estimate(every=100, trials=4000)
    assert often["multiply_adds"] > 5 * seldom["multiply_adds"]
    assert large["memory_bytes"] > seldom["memory_bytes"] + 4000 * 40 * (3 * 4 + 1) * 8 - 10**6
