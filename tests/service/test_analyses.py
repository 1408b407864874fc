"""Analyses of trained networks, held against numpy on what a simulation of the same trials shows."""

import numpy as np
import pytest
from daemons import Daemon
from test_jobs import finish, submit

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


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A daemon with one job of each kind, by name, for all tests: they change nothing."""
    daemon = Daemon(tmp_path_factory.mktemp("analyses"), "--workers", "1")
    made = {name: submit(daemon, job) for name, job in {"xor": XOR, "wave": WAVE}.items()}
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
    for type in ("dimensionality", "selectivity"):
        answer = analyse(trained, "xor", type=type, trials=4)
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
