"""The eigenvalues of W, from the server: held against numpy's, of any checkpoint, within bounds, stopped in time."""

import json
import math

import numpy as np
import pytest
import requests
from daemons import wait_until
from test_jobs import SMALL, changed, finish, submit
from test_lanes import depth

KEPT = {"iterations": 30, "checkpoint_every": 10, "keep_checkpoints": 3}


def values(spectrum):
    return np.array(spectrum["real"]) + 1j * np.array(spectrum["imaginary"])


def distance(found, expected):
    """The largest distance from an eigenvalue to its partner: each takes the nearest that is left."""
    left, worst = list(expected), 0.0
    for value in found:
        nearest = min(range(len(left)), key=lambda i: abs(left[i] - value))
        worst = max(worst, abs(left.pop(nearest) - value))
    return worst


@pytest.mark.parametrize(
    "network",
    [{"units": 40}, {"units": 41, "dale": False, "rewiring": "none", "connectivity": 0.3}, {"units": 2, "dale": False}],
)
def test_every_checkpoint_s_spectrum_is_numpy_s(daemon, network):
    job = finish(daemon, submit(daemon, changed(SMALL, network=network, training=KEPT)))
    kept = [c["iteration"] for c in daemon.get(f"/v1/jobs/{job['id']}/checkpoints").json()["checkpoints"]]
    assert len(kept) == 3
    for iteration in (*kept, None):
        query = "" if iteration is None else f"?iteration={iteration}"
        weights = daemon.get(f"/v1/jobs/{job['id']}/weights{query}").json()
        answer = daemon.get(f"/v1/jobs/{job['id']}/spectrum{query}")
        assert answer.status_code == 200, answer.text
        spectrum = answer.json()
        assert {k: spectrum[k] for k in ("job", "iteration", "sha256", "units")} == {
            k: weights[k] for k in ("job", "iteration", "sha256", "units")
        }
        found, expected = values(spectrum), np.linalg.eigvals(np.array(weights["W"], "f4").astype(float))
        size = np.abs(expected).max()
        assert len(found) == len(expected) and distance(found, expected) < 1e-9 * max(size, 1e-3)
        assert spectrum["spectral_radius"] == pytest.approx(size, rel=1e-12, abs=1e-12)
        assert spectrum["multiply_adds"] > 0 or weights["units"] == 2  # which need none
        moduli = [math.sqrt(v.real * v.real + v.imag * v.imag) for v in found]
        order = [(-modulus, -v.real, -v.imag) for modulus, v in zip(moduli, found, strict=True)]
        assert spectrum["spectral_radius"] == moduli[0] and order == sorted(order)


def test_the_radius_is_the_diagnostic_s(daemon):
    job = finish(daemon, submit(daemon, changed(SMALL, training={"diagnostics": ["spectral_radius"]})))
    curve = daemon.get(f"/v1/jobs/{job['id']}/metrics?keys=spectral_radius").json()
    spectrum = daemon.get(f"/v1/jobs/{job['id']}/spectrum").json()
    assert curve["iteration"][-1] == spectrum["iteration"]
    assert curve["spectral_radius"][-1] == pytest.approx(spectrum["spectral_radius"], rel=1e-12)


def test_csv_and_an_unchanged_answer(daemon):
    job = finish(daemon, submit(daemon, changed(SMALL, network={"units": 10})))
    path = f"/v1/jobs/{job['id']}/spectrum"
    answer = daemon.get(path)
    csv = daemon.get(path, headers={"Accept": "text/csv"})
    lines = csv.text.split("\r\n")
    assert lines[0] == "real,imaginary" and lines[-1] == ""
    assert [complex(*map(float, line.split(","))) for line in lines[1:-1]] == list(values(answer.json()))
    assert csv.headers["ETag"] != answer.headers["ETag"]
    again = daemon.get(path, headers={"If-None-Match": answer.headers["ETag"]})
    assert again.status_code == 304 and not again.content
    assert daemon.get(path, headers={"If-None-Match": csv.headers["ETag"]}).status_code == 200


def test_what_there_is_not(daemon):
    paused = submit(daemon, changed(SMALL, training={"iterations": 10**6, "checkpoint_every": 10**6}))
    assert daemon.get(f"/v1/jobs/{paused['id']}/spectrum").status_code == 409
    daemon.post(f"/v1/jobs/{paused['id']}/cancel")
    job = finish(daemon, submit(daemon, SMALL))
    missing = daemon.get(f"/v1/jobs/{job['id']}/spectrum?iteration=7777")
    assert missing.status_code == 404 and "checkpoints" in missing.json()["detail"]
    assert daemon.get("/v1/jobs/nobody/spectrum").status_code == 404
    assert daemon.get(f"/v1/jobs/{job['id']}/spectrum?iteration=-1").status_code == 422


def big(units):
    return {
        "task": {"type": "delayed_xor", "delay": 2, "cue": 2},
        "network": {"units": units, "dale": False, "rewiring": "none"},
        "training": {"iterations": 1, "batch_size": 1},
    }


def test_too_many_units_are_rejected_before_any_work(daemon):
    job = finish(daemon, submit(daemon, big(2200)))
    answer = daemon.get(f"/v1/jobs/{job['id']}/spectrum")
    assert answer.status_code == 422, answer.text
    assert "2200 units" in answer.json()["detail"] and "multiply-adds" in answer.json()["detail"]
    assert "ETag" not in answer.headers


def test_it_ends_when_its_client_is_gone(start):
    daemon = start("--workers", "1")
    job = finish(daemon, submit(daemon, big(1500)))

    with pytest.raises(requests.RequestException):
        daemon.get(f"/v1/jobs/{job['id']}/spectrum", timeout=0.5)
    wait_until(lambda: depth(daemon) == 0)


def test_the_document_of_the_api_has_it(daemon):
    document = json.loads(daemon.get("/openapi.json").text)
    got = document["paths"]["/v1/jobs/{id}/spectrum"]["get"]
    assert got["responses"]["200"]["content"]["application/json"]["schema"]["$ref"].endswith("/Spectrum")
    job = finish(daemon, submit(daemon, SMALL))
    assert job["links"]["spectrum"] == f"/v1/jobs/{job['id']}/spectrum"
