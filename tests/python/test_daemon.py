"""The package against a real daemon: the whole way, restarts included."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import threading
import time

import httpx
import numpy as np
import pytest
import safetensors.numpy
from daemons import ROOT
from modprop import (
    AsyncClient,
    Client,
    Conflict,
    InvalidRequest,
    JobFailed,
    NotAllowed,
    NotFound,
    ServerUnreachable,
    weights_sha256,
)

TASK = {"type": "delayed_xor", "delay": 20, "cue": 20}
NETWORK = {"units": 24, "tau": 20}


def training(iterations, **more):
    return {"iterations": iterations, "batch_size": 8, **more}


def test_the_whole_way(client, tmp_path):
    job = client.train(
        TASK, "modprop", network=NETWORK, training=training(60), seed=3, name="whole", metadata={"lab": "x"}
    )
    assert (job.name, job.metadata, job.seed, job.iterations) == ("whole", {"lab": "x"}, 3, 60)
    seen = list(job)
    assert [progress.iteration for progress in seen] == [0, 20, 40, 60] and all(
        0 <= progress.accuracy <= 1 for progress in seen
    )
    assert job.status == "succeeded" and job.loss == seen[-1].loss
    weights = job.weights
    assert (
        weights.W.shape == (24, 24)
        and weights.Win.shape == (2, 24)
        and weights.Wout.shape == (24, 2)
        and weights.b is None
    )
    assert weights.iteration == 60 and not weights.W.diagonal().any()
    assert weights.sha256 == job.document["weights_sha256"] == weights_sha256(weights.arrays())
    metrics = job.metrics()
    assert metrics.iteration.tolist() == [0, 20, 40, 60] and metrics.loss.tolist() == [
        progress.loss for progress in seen
    ]
    assert {checkpoint.iteration for checkpoint in job.checkpoints()} == {60}
    assert job.weights_at(60).sha256 == weights.sha256
    pytest.importorskip("matplotlib").use("Agg")
    job.plot().figure.savefig(tmp_path / "curve.png")
    again = client.job(job.id)
    assert again.document == job.document
    job.delete()
    with pytest.raises(NotFound):
        again.refresh()


def test_weights_are_uploaded_and_begin_a_job(client, tmp_path):
    job = client.train(TASK, network=NETWORK, training=training(20)).wait(300)
    by_job = client.train(TASK, network={"tau": 20, "initial": job}, training=training(20)).wait(300)
    arrays = job.weights.arrays()
    safetensors.numpy.save_file(arrays, tmp_path / "mine.safetensors")
    for weights in (job.weights, arrays, tmp_path / "mine.safetensors"):
        stored = client.put_weights(weights, name="mine")
        assert stored.kind == "weights" and stored.document["units"] == 24
        begun = client.train(TASK, network={"tau": 20, "initial": stored}, training=training(20)).wait(300)
        assert begun.weights.sha256 == by_job.weights.sha256
        initial = begun.document["network"]["initial"]
        assert (initial["from_weights"], initial["from_sha256"]) == ("mine", stored.sha256)
    assert [dataset.kind for dataset in client.datasets()] == ["weights"]
    assert np.array_equal(client.dataset_arrays("mine")["W"], job.weights.W)
    with pytest.raises(ValueError, match="there is no bout"):
        client.put_weights({"W": arrays["W"], "Win": arrays["Win"], "Wout": arrays["Wout"]})
    with pytest.raises(InvalidRequest, match="the tensor bout"):
        client.put_weights(arrays | {"bout": np.zeros(5)})


def test_a_job_is_extended_and_tried_again(daemon, client):
    job = client.train(TASK, "modprop", network=NETWORK, training=training(40)).wait(300)
    longer = client.train(TASK, "modprop", network=NETWORK, training=training(80)).wait(300)
    extended = job.extend(80)
    assert extended.id != job.id and extended.origin["kind"] == "extension" and job.origin is None
    assert [progress.iteration for progress in extended] == [0, 20, 40, 60, 80]
    assert extended.weights.sha256 == longer.weights.sha256
    with pytest.raises(InvalidRequest, match="more than the 40"):
        job.extend(40)
    with pytest.raises(Conflict, match="succeeded"):
        job.retry()
    stop = {"metric": "loss", "below": 1000.0, "evaluations": 1}
    stopped = client.train(TASK, network=NETWORK, training=training(80, stop_when=stop)).wait(300)
    with pytest.raises(InvalidRequest, match="stop_when"):
        stopped.extend(100)
    assert stopped.extend(20, stop_when=None, idempotency_key="one").wait(300).iteration == 20

    async def the_same():
        async with AsyncClient(daemon.url) as clients:
            one = await clients.job(job.id)
            other = await (await one.extend(80, idempotency_key="two")).wait(300)
            endless = await (await clients.train(TASK, training=training(10**6))).cancel()
            retried = await (await endless.wait(check=False)).retry()
            await retried.cancel()
            return other, retried.origin, endless.id

    other, origin, endless = asyncio.run(the_same())
    assert other.origin == extended.origin and origin == {"kind": "retry", "job": endless}


def test_the_same_job_has_the_same_weights(client):
    first, second = (
        client.train(TASK, "eprop", network=NETWORK, training=training(20), seed=3, threads=n).wait(300) for n in (1, 2)
    )
    assert first.weights.sha256 == second.weights.sha256


def test_a_job_may_hold_numpy(client):
    """Numbers and arrays as an experiment's own code makes them."""
    network = {"units": np.int64(24), "tau": np.linspace(10, 30, 24)}
    rule = {"type": "modprop", "mu": np.float64(0.125)}
    job = client.train(TASK | {"noise": np.float32(0.5)}, rule, network=network, seed=np.arange(4)[3])
    assert job.seed == 3 and job.document["rule"]["mu"] == 0.125 and job.document["task"]["noise"] == 0.5
    assert job.document["network"]["tau"] == network["tau"].tolist()
    assert client.validate({"task": TASK, "network": network})["network"]["units"] == 24
    job.cancel()
    with pytest.raises(TypeError, match="not int"):
        client.train(3)


def test_comparing_jobs_that_have_nothing_to_show_yet(start):
    with Client(start("--workers", "0").url) as client:
        jobs = [client.train(TASK, rule, network=NETWORK, training=training(20)) for rule in ("bptt", "eprop")]
        comparison = client.compare(jobs)
        assert list(comparison) == ["bptt", "eprop"] and comparison["bptt"].unfinished == 1
        assert "| bptt | 0 | - | - | - |" in comparison.table()


def test_going_on_from_given_weights(client):
    first = client.train(TASK, "bptt", network=NETWORK, training=training(20)).wait(300)
    second = client.train(
        TASK, "bptt", network=NETWORK | {"initial": first.weights.document()}, training=training(20, evaluate_every=20)
    ).wait(300)
    third = client.train(
        TASK, "bptt", network=NETWORK | {"initial": {"job": first.id, "iteration": 20}}, training=training(20)
    ).wait(300)
    assert second.weights.sha256 == third.weights.sha256 != first.weights.sha256


def follow_through_a_kill(start, tmp_path, follow):
    """Starts a long job, has `follow` follow it in a thread, kills the daemon in its middle, starts it anew at the same
    port; what follow returned. `follow(url, id, began)` sets `began` once it has seen the job train.
    """
    daemon = start("--workers", "1", data=tmp_path / "data")
    with Client(daemon.url) as client:
        submitted = client.train(TASK, "modprop", network=NETWORK, training=training(3000, checkpoint_every=50), seed=1)
    found, began = {}, threading.Event()
    thread = threading.Thread(target=lambda: found.update(result=follow(daemon.url, submitted.id, began)))
    thread.start()
    assert began.wait(120)
    daemon.kill()
    time.sleep(0.3)
    start("--workers", "1", "--listen", f"127.0.0.1:{daemon.port}", data=tmp_path / "data")
    thread.join(300)
    assert not thread.is_alive()
    return found["result"]


def check_followed(events, document, weights):
    assert [event["id"] for event in events] == list(range(1, len(events) + 1)), "each event once, none missing"
    assert [event["iteration"] for event in events if event["type"] == "progress"] == list(range(0, 3001, 20))
    assert document["status"] == "succeeded" and document["attempt"] == 2
    assert weights.sha256 == document["weights_sha256"]


def test_following_through_a_killed_daemon(start, tmp_path):
    def follow(url, id, began):
        with Client(url, patience=60) as client:
            job, events = client.job(id), []
            for event in job.events():
                events.append(event)
                if event.get("iteration", 0) >= 60:
                    began.set()
            return events, job.refresh().document, job.weights

    check_followed(*follow_through_a_kill(start, tmp_path, follow))


def test_following_through_a_killed_daemon_asynchronously(start, tmp_path):
    async def follow(url, id, began):
        async with AsyncClient(url, patience=60) as client:
            job, events = await client.job(id), []
            async for event in job.events():
                events.append(event)
                if event.get("iteration", 0) >= 60:
                    began.set()
            await job.refresh()
            return events, job.document, await job.weights()

    check_followed(*follow_through_a_kill(start, tmp_path, lambda url, id, began: asyncio.run(follow(url, id, began))))


def test_queries_captions_and_views(start):
    daemon = start("--workers", "0")
    with Client(daemon.url) as client:
        first = client.train(TASK, "bptt", network=NETWORK, seed=1, name='a "quoted" one', notes="n", tags=["x", "y z"])
        second = client.train(TASK, "eprop", network=NETWORK, seed=2, metadata={"lab": "x"})
        assert (first.notes, first.tags, second.notes, second.tags) == ("n", ["x", "y z"], "", [])
        assert [job.id for job in client.jobs("rule:eprop meta.lab=x")] == [second.id]
        assert [job.id for job in client.jobs(name='a "quoted" one')] == [first.id]
        assert [job.id for job in client.jobs('tag:"y z"', rule="bptt")] == [first.id]
        with pytest.raises(InvalidRequest, match='did you mean "loss"'):
            list(client.jobs("lossy<1"))
        first.update(name="b", tags=None)
        assert (first.name, first.notes, first.tags) == ("b", "n", [])
        assert client.job(first.id).update(notes="m").name == "b"
        with pytest.raises(TypeError, match="tags must be a list"):
            first.update(tags="x")
        view = client.save_view("mine", "rule:bptt", sort="-loss", columns=["name"])
        assert client.views() == [view] and (view.q, view.sort, view.columns) == ("rule:bptt", "-loss", ["name"])
        assert [job.id for job in client.jobs(view="mine")] == [first.id]
        assert list(client.jobs("seed:2", view="mine")) == []
        client.delete_view("mine")
        with pytest.raises(NotFound):
            list(client.jobs(view="mine"))

    async def the_same():
        async with AsyncClient(daemon.url) as client:
            await client.save_view("mine", "rule:eprop")
            job = [job async for job in client.jobs("seed:2", view="mine")][0]
            await job.update(tags=["z"])
            assert job.tags == ["z"] and [view.name for view in await client.views()] == ["mine"]
            await client.delete_view("mine")

    asyncio.run(the_same())


def test_a_restart_that_is_orderly(start, tmp_path):
    """wait() outlasts SIGTERM and a new start."""
    daemon = start("--workers", "1", data=tmp_path / "data")
    with Client(daemon.url, patience=60) as client:
        job = client.train(TASK, "modprop", network=NETWORK, training=training(2000), seed=1)
        while job.refresh().iteration < 20:
            time.sleep(0.02)
        waiting = threading.Thread(target=job.wait)
        waiting.start()
        daemon.signal(signal.SIGTERM)
        daemon.wait(300)
        start("--workers", "1", "--listen", f"127.0.0.1:{daemon.port}", data=tmp_path / "data")
        waiting.join(300)
        assert not waiting.is_alive() and job.status == "succeeded"


def test_jobs_side_by_side_asynchronously(daemon):
    async def run():
        async with AsyncClient(daemon.url) as client:
            jobs = [
                await client.train(TASK, rule, network=NETWORK, training=training(40), name=rule)
                for rule in ("bptt", "eprop", "mdgl")
            ]
            await asyncio.gather(*(job.wait(300) for job in jobs))
            assert [progress.iteration async for progress in jobs[0]] == [0, 20, 40]
            compared = await client.compare(jobs)
            assert list(compared) == ["bptt", "eprop", "mdgl"] and compared.curve("bptt").iteration.tolist() == [
                0,
                20,
                40,
            ]
            pytest.importorskip("matplotlib").use("Agg")
            [line] = (await jobs[0].plot(metric="accuracy")).get_lines()
            assert line.get_label() == "bptt" and line.get_xdata().tolist() == [0, 20, 40]
            assert [job.name async for job in client.jobs(rule="eprop")] == ["eprop"]
            assert len(await client.rules()) >= 4 and (await client.validate({"task": TASK}))["task"]["delay"] == 20
            with pytest.raises(InvalidRequest, match="/rule/type"):
                await client.train(rule="hebb")

    asyncio.run(run())


def test_pausing_resuming_cancelling(client):
    job = client.train(TASK, network=NETWORK, training=training(10**6))
    while job.refresh().iteration < 20:
        time.sleep(0.02)
    with pytest.raises(Conflict):
        job.delete()
    with pytest.raises(TimeoutError, match="still running"):
        job.wait(0.5)
    job.pause()
    while job.refresh().status != "paused":
        time.sleep(0.02)
    assert job.resume().status in ("queued", "running")
    job.cancel()
    with pytest.raises(JobFailed, match="was cancelled"):
        job.wait(300)
    assert job.wait(check=False).status == "cancelled"


def test_weights_before_the_first_checkpoint(start):
    with Client(start("--workers", "0").url) as client, pytest.raises(Conflict):
        _ = client.train(TASK).weights


def test_a_bar(client, capsys):
    pytest.importorskip("tqdm")
    client.train(TASK, network=NETWORK, training=training(40), name="barred").wait(300, progress=True)
    shown = capsys.readouterr().err
    assert "barred" in shown and "40/40" in shown and "loss=" in shown


def test_bad_fields_are_all_named(client):
    with pytest.raises(InvalidRequest) as caught:
        client.train("delayed_xr", {"type": "modprop", "mu": 2}, training={"iterations": 0})
    assert {"/task/type", "/rule/mu", "/training/iterations"} <= {error.pointer for error in caught.value.errors}
    assert "/rule/mu" in str(caught.value)


def test_what_can_be_trained(client):
    rules = {rule["type"]: rule for rule in client.rules()}
    assert {"bptt", "eprop", "mdgl", "modprop"} <= set(rules) and rules["modprop"]["parameters"]["mu"][
        "default"
    ] == 0.25
    assert {"delayed_xor", "row_mnist", "dataset"} <= {task["type"] for task in client.tasks()}
    assert client.version()["name"] == "modpropd"


def test_the_stream_of_all_jobs(client):
    stream = client.events(after=0)
    job = client.train(TASK, network=NETWORK, training=training(20))
    for event in stream:
        if event["job"] == job.id and event["type"] == "status" and event["status"] == "succeeded":
            break
    stream.close()


def test_gradients_agree_with_the_worked_cases(client):
    case = json.loads((ROOT / "tests" / "golden" / "gradients.json").read_text())[0]
    network = {name: np.array(value) if isinstance(value, list) else value for name, value in case["network"].items()}
    asked = [entry["rule"] for entry in case["rules"] if entry["rule"].get("feedback", "symmetric") == "symmetric"][:4]
    found = client.gradients(
        network,
        np.array(case["inputs"]),
        np.array(case["targets"]),
        asked,
        mask=np.array(case["mask"]),
        loss=case["loss"],
    )
    assert found.loss == pytest.approx(case["expected_loss"], rel=1e-5) and len(found.rules) == len(asked)
    for entry, rule in zip((e for e in case["rules"] if e["rule"] in asked), found.rules, strict=False):
        for name, expected in entry["gradients"].items():
            if expected is not None:
                expected = np.array(expected)
                assert rule.gradients[name].shape == expected.shape
                assert np.abs(rule.gradients[name] - expected).max() <= 1e-5 * np.abs(expected).max()
        assert -1.0001 <= rule.cosine["all"] <= 1.0001


def dataset_arrays(trials, seed):
    """A task that a small network learns: the class is the sign of the mean input."""
    random = np.random.default_rng(seed)
    sign = random.integers(0, 2, trials)
    inputs = (random.normal(size=(20, trials, 2)) * 0.3 + (2 * sign - 1)[None, :, None]).astype(np.float32)
    return inputs, np.repeat(sign[None, :], 20, axis=0)


def test_training_on_ones_own_arrays(client):
    inputs, targets = dataset_arrays(64, 1)
    test_inputs, test_targets = dataset_arrays(32, 2)
    mask = np.zeros((20, 64))
    mask[-5:] = 1
    dataset = client.dataset(
        inputs, targets, mask=mask, test_inputs=test_inputs, test_targets=test_targets, name="signs"
    )
    assert dataset.name == "signs" and len(dataset.sha256) == 64
    assert [held.name for held in client.datasets()] == ["signs"]
    job = client.train(
        dataset,
        "bptt",
        network={"units": 20, "tau": 5},
        optimizer={"type": "adam", "learning_rate": 0.01},
        training=training(100),
    ).wait(300)
    assert job.accuracy > 0.9
    job.delete()
    client.delete_dataset("signs")
    assert client.datasets() == []


def test_the_network_at_work(client):
    job = client.train(TASK, network=NETWORK, training=training(20)).wait(300)
    shown = client.job(job.id).simulate(trials=3, units=[0, 5])
    assert shown["units"].tolist() == [0, 5] and shown["labels"].shape == (3,) and set(shown["labels"]) <= {0, 1}
    assert (
        shown["inputs"].shape == (60, 3, 2)
        and shown["rates"].shape == (60, 3, 2)
        and shown["outputs"].shape == (60, 3, 2)
    )
    assert shown["targets"].shape == shown["mask"].shape == (60, 3) and shown["trial_indices"].tolist() == [0, 1, 2]
    assert np.array_equal(np.isnan(shown["targets"]), shown["mask"] == 0)
    plain, own = job.evaluate(trials=30, seed=2), job.evaluate(trials=30, seed=2, weights=job.weights)
    assert plain.loss == own.loss == job.evaluate(trials=30, seed=2, weights=job).loss and plain.split == "fresh"
    hurt = job.evaluate(trials=30, seed=2, lesion={"units": [0, 1], "synapses": [[2, 3]]}, noise=0.5)
    assert hurt.loss != plain.loss and 0 <= hurt.accuracy <= 1 and hurt.trials == 30
    given = np.random.default_rng(0).normal(size=(30, 2, 2))
    shown = job.simulate(inputs=given, units=[1])
    assert shown["rates"].shape == (30, 2, 1) and shown["outputs"].shape == (30, 2, 2)
    # What the network does here is what its equations say.
    w, config = job.weights, job.document["network"]
    v = z = np.zeros((2, w.W.shape[0]))
    for t in range(30):
        v = w.leak * v + (1 - w.leak) * (z @ w.W + given[t] @ w.Win)
        z = np.maximum(v, 0)
        assert (
            np.abs(z[:, 1] - shown["rates"][t, :, 0]).max() < 1e-4
            and np.abs(z @ w.Wout + w.bout - shown["outputs"][t]).max() < 1e-4
        )
    assert config["activation"] == "relu"


def test_the_spectrum_of_every_checkpoint(client):
    job = client.train(TASK, network=NETWORK, training=training(20)).wait(300)
    for iteration in (None, job.checkpoints()[0].iteration):
        weights = job.weights if iteration is None else job.weights_at(iteration)
        spectrum = job.spectrum(iteration)
        assert (spectrum.sha256, spectrum.iteration) == (weights.sha256, weights.iteration)
        assert spectrum.eigenvalues.dtype == np.complex128 and spectrum.eigenvalues.shape == (24,)
        expected = np.sort_complex(np.linalg.eigvals(weights.W.astype(float)))
        assert np.abs(np.sort_complex(spectrum.eigenvalues) - expected).max() < 1e-8
        assert spectrum.radius == pytest.approx(np.abs(expected).max()) and "24 units" in repr(spectrum)
    with pytest.raises(NotFound, match="checkpoints"):
        job.spectrum(7)


def test_a_submission_with_ones_own_key_is_made_once(client):
    document = {"task": TASK, "network": NETWORK, "training": training(20)}
    first, again = (client.submit(document, idempotency_key="one") for _ in range(2))
    assert first.id == again.id
    with pytest.raises(InvalidRequest):
        client.submit(document | {"seed": 9}, idempotency_key="one")


def test_the_raw_service_agrees(client, daemon):
    """The package hides nothing: its document is the server's own."""
    job = client.train(TASK, network=NETWORK, training=training(20)).wait(300)
    assert httpx.get(f"{daemon.url}/v1/jobs/{job.id}").json() == job.document


def test_a_daemon_with_a_token_and_a_certificate_of_its_own(start, tmp_path, monkeypatch):
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    openssl = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    names = ["-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"]
    subprocess.run([*openssl, *names, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    daemon = start("--tls-cert", certificate, "--tls-key", key, "--create-token", data=tmp_path / "data")
    assert daemon.url.startswith("https://")
    token = (tmp_path / "data" / "token").read_text().strip()
    with Client(daemon.url, token=token) as client, pytest.raises(ServerUnreachable, match="(?i)certificate"):
        client.version()
    monkeypatch.setenv("MODPROP_CA_FILE", str(certificate))
    with Client(daemon.url) as client, pytest.raises(NotAllowed):
        client.train(TASK)
    with Client(daemon.url, token=token) as client:
        job = client.train(TASK, network=NETWORK, training=training(20))
        assert [progress.iteration for progress in job] == [0, 20] and job.weights.sha256 == job.document[
            "weights_sha256"
        ]


@pytest.mark.parametrize("kind", [".npz", ".safetensors"])
def test_a_dataset_goes_up_as_a_file_and_comes_back(client, tmp_path, kind):
    random = np.random.default_rng(3)
    arrays = {
        "inputs": random.normal(size=(6, 4, 2)).astype(np.float32),
        "targets": random.integers(0, 2, (6, 4)).astype(np.int32),
        "mask": np.ones((6, 4), np.float32),
    }
    file = tmp_path / f"trials{kind}"
    if kind == ".npz":
        np.savez_compressed(file, **arrays)
    else:
        safetensors.numpy.save_file(arrays, file)
    dataset = client.dataset_file(file)
    for back in (client.dataset_arrays(dataset), client.dataset_arrays(dataset.name)):
        assert set(back) == set(arrays)
        for name, array in arrays.items():
            assert back[name].dtype == array.dtype and np.array_equal(back[name], array)
    assert client.dataset(**arrays).name == dataset.name

    async def fetch():
        async with AsyncClient(client.server) as other:
            return await other.dataset_arrays(await other.dataset_file(file, name="mine"))

    assert np.array_equal(asyncio.run(fetch())["inputs"], arrays["inputs"])


def test_files_of_datasets_that_cannot_be_are_named(client, tmp_path):
    np.savez(tmp_path / "a.npz", inputs=np.zeros((2, 2, 1)), target=np.zeros((2, 2), int))
    with pytest.raises(ValueError, match="holds 'target', which no dataset has; there are inputs, targets, mask"):
        client.dataset_file(tmp_path / "a.npz")
    with pytest.raises(ValueError, match="must be a file named .npz or .safetensors"):
        client.dataset_file(tmp_path / "a.csv")
    with pytest.raises(NotFound):
        client.dataset_arrays("none")
