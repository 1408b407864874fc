"""Weights to begin with: what follows from them where the job does not say it."""

import pytest
from test_jobs import SMALL, changed, finish, submit

BEGIN = {"training": {"iterations": 2, "evaluate_every": 2, "checkpoint_every": 2}}


def without_units(initial, **network):
    job = changed(SMALL, **BEGIN)
    kept = {name: value for name, value in job["network"].items() if name != "units"}
    return job | {"network": kept | {"initial": initial} | network}


@pytest.fixture
def trained(daemon):
    return finish(daemon, submit(daemon, changed(SMALL, network={"units": 14}, **BEGIN)))


def faults(daemon, job):
    answer = daemon.post("/v1/jobs", json=job)
    assert answer.status_code == 422, answer.text
    return [error["pointer"] for error in answer.json()["errors"]]


def test_units_follow_from_initial_weights(daemon, trained):
    document = daemon.get(f"/v1/jobs/{trained['id']}/weights").json()
    made = []
    for initial in (document, {"job": trained["id"]}, {"job": trained["id"], "iteration": 2}):
        for network in ({}, {"units": 14}):
            job = finish(daemon, submit(daemon, without_units(initial, **network)))
            assert job["status"] == "succeeded" and job["network"]["units"] == 14
            made.append((job["config_sha256"], job["weights_sha256"]))
    assert len(set(made)) == 1, "one job, however it was said"
    by_unit = finish(daemon, submit(daemon, without_units({"job": trained["id"]}, tau=[10.0] * 14)))
    assert by_unit["status"] == "succeeded"


def test_what_rests_on_units_is_checked_with_those_of_the_weights(daemon, trained):
    for initial in ({"job": trained["id"]}, daemon.get(f"/v1/jobs/{trained['id']}/weights").json()):
        assert faults(daemon, without_units(initial, tau=[10.0] * 13)) == ["/network/tau"]
        assert faults(daemon, without_units(initial, types_per_sign=15)) == ["/network/types_per_sign"]
        assert faults(daemon, without_units(initial, units=15))[0].startswith("/network/initial")
    wide = finish(daemon, submit(daemon, changed(SMALL, network={"units": 70}, **BEGIN)))
    by_rtrl = without_units({"job": wide["id"]}) | {"rule": {"type": "rtrl"}}
    assert faults(daemon, by_rtrl) == ["/network/units"]
