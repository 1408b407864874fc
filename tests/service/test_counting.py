"""Datasets in which few trials count: losses, conditions and draws rest on what counts alone."""

import json
import sqlite3

import numpy as np
import pytest
from daemons import wait_until
from test_datasets import job_on, put, safetensors
from test_jobs import changed, finish, lines, submit

# Of version 0.1.0, whose draw was the first: job_of_version_1() on labelled(0.1) ends with these weights.
WEIGHTS_OF_VERSION_1 = "492e544a90defea87aceb75499f0da923f2fa080685763b5f786f8cfdfcc960f"


def labelled(share, steps=12, trials=20, inputs=3, seed=1):
    """A dataset of which this share of the trials counts, at its last step."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, inputs, trials)
    x = random.normal(size=(steps, trials, inputs)).astype("f4") * 0.1
    x[:, np.arange(trials), labels] += 1
    mask = np.zeros((steps, trials), "f4")
    mask[-1, : max(1, round(share * trials))] = 1
    return {"inputs": x, "targets": np.broadcast_to(labels, (steps, trials)).astype("i8"), "mask": mask}


def progress_of(daemon, job):
    events = lines(daemon.get(f"/v1/jobs/{job['id']}/events", headers={"Accept": "application/x-ndjson"}))
    return [event for event in events if event["type"] == "progress"]


def job_of_version_1(**training):
    task = {"type": "dataset", "name": "few", "draw": 1}
    return changed(job_on("few"), task=task, training={"batch_size": 2, "checkpoint_every": 10, **training})


@pytest.mark.parametrize("share, evaluations", [(0.05, 1), (0.1, 3)])
def test_a_batch_in_which_nothing_counts_stops_no_job(daemon, share, evaluations):
    """Of 20 trials one counts, or two: with batches of 2 most draws of old held nothing, which had the loss 0."""
    assert put(daemon, "few", safetensors(**labelled(share))).status_code == 201
    stop = {"metric": "loss", "below": 0.01, "evaluations": evaluations}
    wanted = changed(
        job_on("few"), training={"batch_size": 2, "iterations": 40, "evaluate_every": 1, "stop_when": stop}
    )
    job = finish(daemon, submit(daemon, wanted))
    assert job["status"] == "succeeded" and job["task"]["draw"] == 2 and job["progress"]["iteration"] > evaluations
    events = progress_of(daemon, job)
    assert all(event["loss"] > 0 and event["accuracy"] in (0, 0.5, 1) for event in events)
    assert all(event["training_loss"] > 0 for event in events[1:])


def test_every_batch_draws_trials_that_count(daemon):
    """With one trial that counts, an evaluation is of that trial, twice: as of a test split of it."""
    few = labelled(0.05)
    only = {f"test_{name}": array[:, :1] for name, array in few.items()}
    put(daemon, "few", safetensors(**few))
    put(daemon, "tested", safetensors(**few, **only))
    wanted = {"batch_size": 2, "iterations": 20, "evaluate_every": 5}
    a, b = (finish(daemon, submit(daemon, changed(job_on(name), training=wanted))) for name in ("few", "tested"))
    assert a["weights_sha256"] == b["weights_sha256"]
    assert a["metrics"]["loss"] == pytest.approx(b["metrics"]["loss"], rel=1e-6)


def test_where_all_trials_count_the_draws_are_the_same(daemon):
    put(daemon, "few", safetensors(**labelled(1)))
    ends = [finish(daemon, submit(daemon, changed(job_of_version_1(), task={"draw": draw}))) for draw in (1, 2)]
    assert ends[0]["weights_sha256"] == ends[1]["weights_sha256"]


def test_a_job_of_before_goes_on_with_its_draw(start):
    daemon = start("--workers", "1")
    put(daemon, "few", safetensors(**labelled(0.1)))
    whole = finish(daemon, submit(daemon, job_of_version_1()))
    assert whole["weights_sha256"] == WEIGHTS_OF_VERSION_1
    longer = job_of_version_1(iterations=4000)
    job = submit(daemon, longer)
    wait_until(lambda: daemon.get(f"/v1/jobs/{job['id']}").json()["progress"]["iteration"] >= 100, every=0.005)
    daemon.kill()
    with sqlite3.connect(daemon.data / "modprop.db") as database:
        (text,) = database.execute("SELECT document FROM jobs WHERE id=?", (job["id"],)).fetchone()
        document = json.loads(text)
        assert document["task"].pop("draw") == 1  # as version 0.1 stored it
        database.execute("UPDATE jobs SET document=? WHERE id=?", (json.dumps(document), job["id"]))
    database.close()
    daemon = start("--workers", "1", data=daemon.data)
    assert finish(daemon, job)["weights_sha256"] == finish(daemon, submit(daemon, longer))["weights_sha256"]


@pytest.mark.parametrize("kind, value", [("f4", 0), ("f8", 1e-60)])
@pytest.mark.parametrize("which", ["mask", "test_mask"])
def test_a_mask_that_counts_nothing_is_refused(daemon, kind, value, which):
    arrays = labelled(0.5)
    arrays |= {f"test_{name}": array for name, array in arrays.items()}
    arrays[which] = np.full(arrays[which].shape, value, kind)
    answer = put(daemon, "none", safetensors(**arrays))
    assert answer.status_code == 422
    assert f"the tensor {which} must count at least one step; all its entries are 0" in answer.text
