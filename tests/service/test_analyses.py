"""Analyses of trained networks, held against numpy on what a simulation of the same trials shows."""

import time

import definitions
import numpy as np
import pytest
import requests
from daemons import Daemon
from test_datasets import arrays as dataset_arrays
from test_datasets import put, safetensors
from test_jobs import finish, submit
from test_lanes import depth
from test_spectrum import big

XOR = {
    "task": {"type": "delayed_xor", "delay": 20, "cue": 10},
    "network": {"units": 14, "tau": 10},
    "training": {
        "iterations": 40,
        "batch_size": 8,
        "evaluate_every": 20,
        "checkpoint_every": 10,
        "keep_checkpoints": 5,
    },
}
WAVE = {  # a task of values, without classes
    "task": {"type": "pattern"},
    "network": {"units": 12},
    "training": {"iterations": 10, "batch_size": 4, "evaluate_every": 10, "checkpoint_every": 10},
}


XOR_OTHER = XOR | {"seed": 2, "network": {"units": 11, "tau": 10}}
SPLIT = {  # a dataset with a test split
    "task": {"type": "dataset", "name": "split"},
    "network": {"units": 10, "tau": 5},
    "training": {"iterations": 20, "batch_size": 8, "evaluate_every": 10, "checkpoint_every": 20},
}
ONE = {  # one trial, so that every batch is known; smooth, so that there are second derivatives
    "task": {"type": "dataset", "name": "one"},
    "network": {"units": 6, "tau": 4, "activation": "tanh", "dale": False, "rewiring": "none", "connectivity": 0.6},
    "training": {"iterations": 30, "batch_size": 2, "evaluate_every": 30, "checkpoint_every": 30},
}
JOBS = {"xor": XOR, "other": XOR_OTHER, "wave": WAVE, "split": SPLIT, "one": ONE}
NAMES = ("dimensionality", "selectivity", "timescales", "changes", "curvature", "lesions")
CASE = dataset_arrays(steps=9, trials=1, inputs=2, classes=2)
CASE |= {"targets": np.arange(9)[:, None] % 2, "mask": (np.arange(9)[:, None] > 4).astype("f4")}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A daemon with one job of each kind, by name, for all tests: they change nothing."""
    daemon = Daemon(tmp_path_factory.mktemp("analyses"), "--workers", "1")
    test = {f"test_{name}": array for name, array in dataset_arrays(seed=2, trials=12).items()}
    assert put(daemon, "split", safetensors(**dataset_arrays(), **test)).status_code == 201
    assert put(daemon, "one", safetensors(**CASE)).status_code == 201
    made = {name: submit(daemon, job) for name, job in JOBS.items()}
    yield daemon, {name: finish(daemon, job)["id"] for name, job in made.items()}
    daemon.finish()


def analyse(trained, job, status=200, **asked):
    daemon, ids = trained
    answer = daemon.post(f"/v1/jobs/{ids.get(job, job)}/analyses", json=asked)
    assert answer.status_code == status, answer.text[:500]
    return answer.json()


def arrays(answer):
    """The results as arrays; null becomes NaN."""
    found = {name: np.array(result["values"], float) for name, result in answer["results"].items()}
    for name, result in answer["results"].items():
        assert found[name].ndim == len(result["axes"]), name
    return found


def simulated(trained, job, **asked):
    """(inputs, rates, targets, labels) of the same trials, steps first."""
    daemon, ids = trained
    units = daemon.get(f"/v1/jobs/{ids[job]}/weights").json()["units"]
    asked |= {"units": list(range(units)), "every": 1}
    answer = daemon.post(f"/v1/jobs/{ids[job]}/simulate", json=asked).json()
    return [np.array(answer[name], float) for name in ("inputs", "rates", "targets", "labels")]


def binned(values, every):
    return np.array([values[at : at + every].mean(0) for at in range(0, len(values), every)])


def correlation(a, b):
    return np.corrcoef(a, b)[0, 1] if a.std() > 0 and b.std() > 0 else np.nan


def test_the_table_explains_every_result(trained):
    daemon, _ = trained
    listed = {one["type"]: one for one in daemon.get("/v1/analyses").json()["analyses"]}
    for type in NAMES:
        answer = analyse(trained, "xor", type=type, **({} if type == "curvature" else {"trials": 4}))
        described = listed[type]["results"]
        for name, result in answer["results"].items():
            assert described[name]["axes"] == result["axes"] and described[name]["unit"] == result["unit"]
            assert described[name]["description"]
        assert set(answer["parameters"]) == set(listed[type]["parameters"])
        assert answer["multiply_adds"] > 0


@pytest.mark.parametrize("every", [1, 7])
def test_dimensionality_is_numpys(trained, every):
    asked = {"trials": 9, "seed": 3}
    found = arrays(analyse(trained, "xor", type="dimensionality", every=every, components=4, **asked))
    _, rates, _, labels = simulated(trained, "xor", **asked)
    x = binned(rates, every)
    flat = x.reshape(-1, x.shape[2])
    values, vectors = np.linalg.eigh(np.cov(flat.T))
    values, vectors = np.maximum(values[::-1], 0), vectors[:, ::-1]
    assert np.allclose(found["variance"], values, rtol=1e-4, atol=1e-6 * values[0])
    assert np.isclose(found["participation_ratio"], values.sum() ** 2 / (values**2).sum(), rtol=1e-4)
    assert np.allclose(found["explained"], values / values.sum(), atol=1e-5)
    assert np.allclose(found["mean"], flat.mean(0), atol=1e-5)
    assert np.allclose(found["components"] @ found["components"].T, np.eye(4), atol=1e-9)
    assert np.allclose(np.abs((found["components"] @ vectors[:, :4]).diagonal()), 1, atol=1e-3)
    paths = (x - flat.mean(0)) @ found["components"].T
    assert np.allclose(found["trajectories"], paths, atol=1e-4 * np.abs(paths).max())
    assert np.array_equal(found["label"], labels)
    assert np.array_equal(found["step"], np.arange(0, len(rates), every))


def test_selectivity_is_that_of_an_analysis_of_variance(trained):
    asked = {"trials": 40, "seed": 5}
    window = {"begin": 30, "end": 40}
    found = arrays(analyse(trained, "xor", type="selectivity", every=5, **window, **asked))
    daemon, ids = trained
    x, rates, _, labels = simulated(trained, "xor", **asked)
    means = rates[30:40].mean(0)
    groups = [means[labels == label] for label in np.unique(labels)]
    assert found["label_trials"].tolist() == [len(group) for group in groups]
    assert np.allclose(found["tuning"], [group.mean(0) for group in groups], atol=1e-6)
    active = means.std(0) > 1e-5
    between = sum(len(group) * (group.mean(0) - means.mean(0)) ** 2 for group in groups)
    total = ((means - means.mean(0)) ** 2).sum(0)
    between, total = between[active], total[active]
    assert active.any() and np.allclose(found["selectivity"][active], between / total, atol=1e-4)
    f = between / (len(groups) - 1) / ((total - between) / (len(means) - len(groups)))
    assert np.allclose(found["f_ratio"][active], f, rtol=1e-3)
    for unit in np.flatnonzero(active):
        best = int(found["preferred"][unit])
        assert groups[best].mean(0)[unit] == max(group.mean(0)[unit] for group in groups)
        inside, outside = groups[best][:, unit], np.concatenate([g[:, unit] for i, g in enumerate(groups) if i != best])
        d = (inside.mean() - outside.mean()) / np.sqrt((inside.var(ddof=1) + outside.var(ddof=1)) / 2)
        assert np.isclose(found["d_prime"][unit], d, rtol=1e-3)
    bins, inputs = binned(rates[30:40], 5), binned(x[30:40], 5)
    for unit in np.flatnonzero(bins.reshape(-1, 14).std(0) > 1e-5):
        r = correlation(bins[:, :, unit].ravel(), inputs[:, :, 0].ravel())
        assert np.isnan(r) or np.isclose(found["input_correlation"][unit, 0], r, atol=1e-4)
    types = np.array(daemon.get(f"/v1/jobs/{ids['xor']}/weights").json()["types"])
    assert np.array_equal(found["unit_type"], types) and np.array_equal(found["type_units"], np.bincount(types))
    for type in range(types.max() + 1):
        known = found["selectivity"][(types == type) & np.isfinite(found["selectivity"])]
        assert np.isclose(found["type_selectivity"][type], known.mean(), atol=1e-9)
        assert np.allclose(found["type_tuning"][:, type], found["tuning"][:, types == type].mean(1), atol=1e-9)


def test_a_task_of_values_has_correlations_with_its_targets(trained):
    answer = analyse(trained, "wave", type="selectivity", trials=3, every=1)
    found = arrays(answer)
    assert "tuning" not in found and "d_prime" not in found
    _, rates, targets, _ = simulated(trained, "wave", trials=3)
    counts = ~np.isnan(targets[:, :, 0])
    for unit in range(12):
        if rates[:, :, unit][counts].std() > 1e-5:
            r = correlation(rates[:, :, unit][counts], targets[:, :, 0][counts])
            assert np.isclose(found["target_correlation"][unit, 0], r, atol=1e-4)


def test_what_does_not_fit_is_named(trained):
    def pointers(**asked):
        return {error["pointer"] for error in analyse(trained, "xor", 422, **asked)["errors"]}

    assert pointers() == {"/type"}
    assert pointers(type="dimensionalty") == {"/type"}
    assert pointers(type="selectivity", components=3) == {"/components"}
    assert pointers(type="selectivity", split="test") == {"/split"}
    assert pointers(type="selectivity", begin=10**6) == {"/begin"}
    assert pointers(type="selectivity", begin=20, end=10) == {"/end"}
    assert analyse(trained, "xor", 404, type="selectivity", iteration=7)["detail"]
    assert analyse(trained, "nobody", 404, type="selectivity")["detail"]


def test_timescales_are_those_of_the_best_exponential(trained):
    asked = {"trials": 12, "seed": 4, "noise": 0.5}
    found = arrays(analyse(trained, "xor", type="timescales", every=2, lags=15, **asked))
    daemon, ids = trained
    _, rates, _, _ = simulated(trained, "xor", **asked)
    x = binned(rates, 2)
    x = x - x.mean(1, keepdims=True)
    bins = len(x)
    covariance = np.array([(x[: bins - lag] * x[lag:]).sum((0, 1)) / (bins - lag) for lag in range(16)])
    varies = covariance[0] > 1e-9
    rho = covariance[:, varies] / covariance[0, varies]
    assert varies.sum() > 4 and np.allclose(found["autocorrelation"][:, varies], rho, atol=1e-3)
    assert np.allclose(found["mean_autocorrelation"], rho.mean(1), atol=1e-3)
    assert np.array_equal(found["lag"], 2.0 * np.arange(16))
    grid, fitted = np.exp(np.linspace(np.log(0.1), np.log(160), 4000)), 0
    for at, unit in enumerate(np.flatnonzero(varies)):
        y = found["autocorrelation"][1:, unit]
        errors = []
        for tau in grid:
            design = np.stack([np.exp(-np.arange(1, 16) / tau), np.ones(15)], 1)
            solution = np.linalg.lstsq(design, y, rcond=None)[0]
            errors.append(((design @ solution - y) ** 2).sum())
        tau, a, b = (found[name][unit] for name in ("timescale", "amplitude", "offset"))
        if np.isfinite(tau):
            fitted += 1
            own = ((a * (np.exp(-found["lag"][1:] / tau) + b) - y) ** 2).sum()
            assert own <= min(errors) * (1 + 1e-6) + 1e-12, at
    assert fitted > 0
    types = np.array(daemon.get(f"/v1/jobs/{ids['xor']}/weights").json()["types"])
    known = found["timescale"][(types == 0) & np.isfinite(found["timescale"])]
    assert not len(known) or np.isclose(found["type_timescale"][0], known.mean())


def test_similarity_of_two_jobs_is_numpys(trained):
    _, ids = trained
    asked = {"trials": 10, "seed": 6}
    found = arrays(analyse(trained, "xor", type="similarity", other={"job": ids["other"]}, every=3, **asked))
    x, y = (binned(simulated(trained, name, **asked)[1], 3) for name in ("xor", "other"))

    def cka(x, y):
        x, y = x - x.mean(0), y - y.mean(0)
        return np.linalg.norm(y.T @ x) ** 2 / np.linalg.norm(x.T @ x) / np.linalg.norm(y.T @ y)

    assert np.isclose(found["cka"], cka(x.reshape(-1, 14), y.reshape(-1, 11)), rtol=1e-4)
    a, b = (v.reshape(-1, v.shape[2]) - v.reshape(-1, v.shape[2]).mean(0) for v in (x, y))
    nuclear = np.linalg.svd(a.T @ b, compute_uv=False).sum() / np.linalg.norm(a) / np.linalg.norm(b)
    assert np.isclose(found["procrustes_similarity"], nuclear, rtol=1e-4)
    assert np.isclose(found["procrustes_distance"], np.sqrt(2 - 2 * nuclear), rtol=1e-3)
    for k, value in enumerate(found["cka_over_time"]):
        assert np.isnan(value) or np.isclose(value, cka(x[k], y[k]), rtol=1e-3, atol=1e-6)
    same = arrays(analyse(trained, "xor", type="similarity", other={}, **asked))
    assert np.isclose(same["cka"], 1) and same["procrustes_distance"] < 1e-6
    earlier = arrays(analyse(trained, "xor", type="similarity", other={"iteration": 10}, **asked))
    assert 0 < earlier["cka"] < 1
    wrong = [
        ({"job": ids["wave"]}, "/other"),
        ({"job": "nobody"}, "/other/job"),
        ({"iteration": 7}, "/other/iteration"),
    ]
    for other, pointer in wrong:
        answer = analyse(trained, "xor", 422, type="similarity", other=other)
        assert [error["pointer"] for error in answer["errors"]] == [pointer], answer


def test_changes_begin_at_the_initial_weights(trained):
    daemon, ids = trained
    start = finish(daemon, submit(daemon, XOR | {"training": XOR["training"] | {"iterations": 1}}))
    initial = {"initial": {"job": start["id"]}, **XOR["network"]}
    job = finish(daemon, submit(daemon, XOR | {"network": initial}))["id"]
    asked = {"trials": 7, "seed": 8}
    found = arrays(analyse(trained, job, type="changes", every=4, **asked))
    kept = sorted(c["iteration"] for c in daemon.get(f"/v1/jobs/{job}/checkpoints").json()["checkpoints"])
    assert found["iteration"].tolist() == [0, *kept] and len(kept) >= 4
    given = daemon.get(f"/v1/jobs/{start['id']}/weights").json()
    weights = [given] + [daemon.get(f"/v1/jobs/{job}/weights?iteration={n}").json() for n in kept]
    units = {"units": list(range(14)), "every": 1} | asked
    kernels = []
    for at, one in enumerate(weights):
        W, W0, Win, Wout = (np.array(v, float) for v in (one["W"], given["W"], one["Win"], one["Wout"]))
        assert np.isclose(found["norm_W"][at], np.linalg.norm(W)) and np.isclose(
            found["change_W"][at], np.linalg.norm(W - W0), atol=1e-9
        )
        assert np.isclose(found["change_Win"][at], np.linalg.norm(Win - np.array(given["Win"])), atol=1e-9)
        assert np.isclose(found["norm_Wout"][at], np.linalg.norm(Wout))
        for name, matrix in (("effective_rank", W), ("change_rank", W - W0)):
            s = np.linalg.svd(matrix, compute_uv=False)
            p = s[s > 1e-12] / s.sum() if s.sum() > 0 else s[:0]
            expected = np.exp(-(p * np.log(p)).sum()) if len(p) else np.nan
            assert np.isclose(found[name][at], expected, rtol=1e-5, equal_nan=True), (name, at)
        assert np.isclose(found["spectral_radius"][at], np.abs(np.linalg.eigvals(W)).max())
        given_weights = {key: one[key] for key in ("W", "Win", "Wout", "bout")}
        shown = daemon.post(f"/v1/jobs/{job}/simulate", json=units | {"weights": given_weights}).json()
        x = binned(np.array(shown["rates"]), 4).reshape(-1, 14)
        kernels.append(x @ x.T)
        assert np.isclose(found["loss"][at], shown["loss"], rtol=1e-5)
        alignment = (kernels[0] * kernels[at]).sum() / np.linalg.norm(kernels[0]) / np.linalg.norm(kernels[at])
        assert np.isclose(found["kernel_alignment"][at], alignment, rtol=1e-5)


def test_the_curvature_is_that_of_the_hessian(trained):
    daemon, ids = trained
    found = arrays(analyse(trained, "one", type="curvature", iterations=300, seed=3))
    weights = daemon.get(f"/v1/jobs/{ids['one']}/weights").json()
    names = ("W", "Win", "b", "Wout", "bout")
    shapes = [np.shape(weights[name]) for name in names]
    point = np.concatenate([np.ravel(weights[name]).astype(float) for name in names])
    case = {"inputs": CASE["inputs"], "targets": CASE["targets"], "mask": CASE["mask"], "loss": "cross_entropy"}

    def gradient(point):
        parts = np.split(point, np.cumsum([np.prod(shape) for shape in shapes])[:-1])
        network = {name: part.reshape(shape) for name, part, shape in zip(names, parts, shapes, strict=True)}
        network |= {"leak": weights["leak"], "activation": "tanh"}
        loss, found = definitions.gradients(case | {"network": network}, {"type": "bptt"})
        return loss, np.concatenate([np.ravel(found[name]) for name in names])

    movable = np.flatnonzero(np.concatenate([np.ravel(weights["W"]) != 0, np.ones(len(point) - 36, bool)]))
    hessian = np.empty((len(movable), len(movable)))
    for row, at in enumerate(movable):
        step = np.zeros(len(point))
        step[at] = 1e-5
        hessian[row] = ((gradient(point + step)[1] - gradient(point - step)[1]) / 2e-5)[movable]
    values = np.linalg.eigvalsh((hessian + hessian.T) / 2)
    top = values[np.argmax(np.abs(values))]
    loss, at_point = gradient(point)
    assert np.isclose(found["loss"], loss, rtol=1e-4)
    assert np.isclose(found["gradient_norm"], np.linalg.norm(at_point[movable]), rtol=1e-3)
    assert np.isclose(found["eigenvalue"], top, rtol=0.01), (found["eigenvalue"], values[[0, -1]])
    assert found["estimate"][-1] == found["eigenvalue"] and found["residual"] < 0.2


def test_generalization_is_two_evaluations(trained):
    daemon, ids = trained
    found = arrays(analyse(trained, "split", type="generalization"))
    for split, trials in (("training", 30), ("test", 12)):
        evaluated = daemon.post(f"/v1/jobs/{ids['split']}/evaluate", json={"split": split}).json()
        assert found[f"{split}_trials"] == trials == evaluated["trials"]
        assert found[f"{split}_loss"] == evaluated["loss"] and found[f"{split}_accuracy"] == evaluated["accuracy"]
    assert found["loss_gap"] == found["test_loss"] - found["training_loss"]
    assert found["accuracy_gap"] == found["training_accuracy"] - found["test_accuracy"]
    assert "split" in analyse(trained, "xor", 422, type="generalization")["detail"]


def test_lesions_are_evaluations_of_lesioned_networks(trained):
    daemon, ids = trained
    asked = {"trials": 20, "seed": 9}

    def evaluated(**lesion):
        answer = daemon.post(f"/v1/jobs/{ids['xor']}/evaluate", json=asked | lesion).json()
        return answer["loss"], answer["accuracy"]

    units = arrays(analyse(trained, "xor", type="lesions", of="units", **asked))
    assert (units["loss"], units["accuracy"]) == evaluated()
    for unit in (0, 5, 13):
        found = units["unit_loss"][unit], units["unit_accuracy"][unit]
        assert found == evaluated(lesion={"units": [unit]})
    weights = daemon.get(f"/v1/jobs/{ids['xor']}/weights").json()
    types = np.array(weights["types"])
    groups = [np.flatnonzero(types == t).tolist() for t in range(types.max() + 1)]
    by_type = arrays(analyse(trained, "xor", type="lesions", **asked))
    for t, group in enumerate(groups):
        assert by_type["type_loss"][t] == evaluated(lesion={"units": group})[0]
    paths = arrays(analyse(trained, "xor", type="lesions", of="pathways", **asked))
    count = len(groups)
    assert paths["pathway_loss"].shape == (count + 1, count + 1) and np.isnan(paths["pathway_loss"][0, count])
    for a, source in enumerate(groups):
        for b, target in enumerate(groups):
            cut = {"synapses": [[q, p] for q in source for p in target]}
            assert paths["pathway_loss"][a + 1, b] == evaluated(lesion=cut)[0]
    kept = {key: np.array(weights[key], float) for key in ("W", "Win", "Wout", "bout")}
    for name, index, where in (("Win", (0, 1), np.s_[:, groups[1]]), ("Wout", (2, count), np.s_[groups[1], :])):
        changed = {key: value.copy() for key, value in kept.items()}
        changed[name][where] = 0
        given = {key: value.tolist() for key, value in changed.items()}
        assert np.isclose(paths["pathway_loss"][index], evaluated(weights=given)[0], rtol=1e-6)


def test_difficulty_runs_the_task_with_another_parameter(trained):
    daemon, ids = trained
    asked = {"trials": 20, "seed": 9}
    found = arrays(analyse(trained, "xor", type="difficulty", parameter="delay", values=[20, 30], **asked))
    own = daemon.post(f"/v1/jobs/{ids['xor']}/evaluate", json=asked).json()
    assert (found["loss"][0], found["accuracy"][0]) == (own["loss"], own["accuracy"])
    longer = XOR | {"task": XOR["task"] | {"delay": 30}, "training": XOR["training"] | {"iterations": 1}}
    longer = finish(daemon, submit(daemon, longer))["id"]
    other = daemon.post(f"/v1/jobs/{longer}/evaluate", json=asked | {"weights": {"job": ids["xor"]}}).json()
    assert (found["loss"][1], found["accuracy"][1]) == (other["loss"], other["accuracy"])
    assert found["value"].tolist() == [20, 30]
    noisy = arrays(analyse(trained, "xor", type="difficulty", parameter="current_noise", values=[0, 0.5], **asked))
    assert noisy["loss"][0] == own["loss"]
    assert (
        noisy["loss"][1] == daemon.post(f"/v1/jobs/{ids['xor']}/evaluate", json=asked | {"noise": 0.5}).json()["loss"]
    )

    def pointers(**asked):
        return {error["pointer"] for error in analyse(trained, "xor", 422, type="difficulty", **asked)["errors"]}

    assert pointers(values=[1]) == {"/parameter"}
    assert pointers(parameter="delay") == {"/values"}
    assert pointers(parameter="delay", values=[]) == {"/values"}
    assert pointers(parameter="nothing", values=[1]) == {"/parameter"}
    assert pointers(parameter="delay", values=[10, -5]) == {"/values/1"}
    assert pointers(parameter="delay", values=[10.5]) == {"/values/0"}


def test_checkpoints_spaced_in_the_logarithm_show_the_whole_course(trained):
    daemon, _ = trained
    training = {"iterations": 200, "batch_size": 1, "evaluate_every": 100, "checkpoint_every": 1}
    spaced = {"keep_checkpoints": 8, "checkpoint_spacing": "log"}
    job = finish(daemon, submit(daemon, XOR | {"training": training | spaced}))
    kept = sorted(c["iteration"] for c in daemon.get(f"/v1/jobs/{job['id']}/checkpoints").json()["checkpoints"])
    assert len(kept) == 8 and kept[0] == 1 and kept[-1] == 200
    ratios = np.diff(np.log(kept))
    assert ratios.max() < 3 * np.log(200) / 7, kept
    assert arrays(analyse(trained, job["id"], type="changes", trials=2))["iteration"].tolist() == [0, *kept]
    assert job["training"]["checkpoint_spacing"] == "log"
    plain = finish(daemon, submit(daemon, XOR | {"training": training | {"keep_checkpoints": 2}}))
    newest = sorted(c["iteration"] for c in daemon.get(f"/v1/jobs/{plain['id']}/checkpoints").json()["checkpoints"])
    assert newest == [199, 200] and plain["weights_sha256"] == job["weights_sha256"]
    assert "checkpoint_spacing" not in plain["training"]


def test_too_much_is_rejected_and_what_runs_ends_with_its_client(start):
    daemon = start("--workers", "1")
    job = finish(daemon, submit(daemon, big(1400)))
    path = f"/v1/jobs/{job['id']}/analyses"
    refused = daemon.post(path, json={"type": "lesions", "of": "units", "trials": 4096})
    assert refused.status_code == 422, refused.text[:500]
    [error] = refused.json()["errors"]
    assert error["pointer"] == "/trials" and "multiply-adds" in error["detail"]
    with pytest.raises(requests.RequestException):
        daemon.post(path, json={"type": "dimensionality", "trials": 2}, timeout=0.5)
    end = time.monotonic() + 20
    while depth(daemon) and time.monotonic() < end:
        time.sleep(0.1)
    assert depth(daemon) == 0
