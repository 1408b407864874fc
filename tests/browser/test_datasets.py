"""Datasets in the dashboard: uploaded, listed with versions and holders, chosen in the form, deleted."""

import json
import struct

import numpy
from conftest import finish, submit
from daemons import wait_until


def safetensors(path, steps=6, trials=20, inputs=3, seed=1, **more):
    random = numpy.random.default_rng(seed)
    mask = numpy.zeros((steps, trials), "f4")
    mask[-2:] = 1
    targets = numpy.broadcast_to(numpy.arange(trials) % 2, (steps, trials))
    arrays = {
        "inputs": random.normal(size=(steps, trials, inputs)).astype("f4"),
        "targets": numpy.ascontiguousarray(targets, "i4"),
        "mask": mask,
    } | more
    kinds, header, data = {"f4": "F32", "i4": "I32"}, {}, b""
    for name, array in arrays.items():
        raw = array.tobytes()
        kind = kinds[array.dtype.str[1:]]
        header[name] = {"dtype": kind, "shape": list(array.shape), "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)
    return path


def upload(browser, path, name=None):
    browser.wait("document.getElementById('dataset-file')")
    browser.find("#dataset-file").send_keys(str(path))
    if name:
        browser.type("#dataset-name", name)
    browser.press("Upload")


def test_spikes_are_described(daemon, browser, tmp_path):
    lists = {"trials": [0, 0, 1], "times": [3, 3, 90], "units": [0, 1, 1]}
    tensors = {f"spikes_{name}": numpy.array(values, "i4") for name, values in lists.items()}
    tensors["targets"] = numpy.array([0, 1], "i4")
    header, data = {"__metadata__": {"shape": "[100, 2, 4]"}}, b""
    for name, array in tensors.items():
        raw = array.tobytes()
        header[name] = {"dtype": "I32", "shape": list(array.shape), "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    path = tmp_path / "events.safetensors"
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)
    browser.expected.append("jobs:validate")
    browser.open(f"{daemon.url}/#/datasets")
    upload(browser, path)
    browser.wait("document.querySelector('.dataset h2')?.textContent === 'events'")
    shown = browser.find(".dataset p").text
    assert shown == "100 ticks × 2 trials × 4 inputs; 3 spikes, 2 a trial; 2 classes to answer.", shown
    browser.press("Train on it")
    browser.wait("document.querySelector('.summary .good')")
    assert browser.find("#f-task-bin").get_attribute("value") == "1"


def test_a_dataset_is_uploaded_trained_on_and_deleted(daemon, browser, tmp_path):
    browser.expected.append("jobs:validate")
    browser.open(f"{daemon.url}/#/datasets")
    browser.wait("document.querySelector('.datasets .empty')?.textContent.startsWith('No dataset yet')")
    upload(browser, safetensors(tmp_path / "my data.safetensors"))
    browser.wait("document.querySelector('.dataset h2')?.textContent === 'my_data'")
    said = browser.find("#dataset-said").text
    assert said.startswith("my_data: 6 steps × 20 trials × 3 inputs, version "), said
    browser.press("Train on it")
    browser.wait("document.querySelector('.summary .good')")
    assert browser.find("#f-task-name").tag_name == "select"
    assert browser.find("#f-task-name").get_attribute("value") == "my_data"
    browser.script("document.querySelectorAll('details').forEach(d => { d.open = true })")
    for field, value in {"training-iterations": "20", "network-units": "20"}.items():
        browser.type(f"#f-{field}", value)
    browser.wait("document.querySelector('.summary .good')")
    browser.find(".side .primary").click()
    browser.wait("location.hash.startsWith('#/jobs/')")
    browser.wait("document.querySelector('.facts').textContent.includes('dataset my_data')")
    finish(daemon, browser.script("return location.hash.slice(7)"))
    browser.open(f"{daemon.url}/#/datasets")
    upload(browser, safetensors(tmp_path / "second.safetensors", seed=2), "my_data")
    browser.wait("document.querySelectorAll('.dataset tbody tr').length === 2")
    browser.press("1 job")
    browser.wait("document.querySelector('.dataset tbody a')")
    browser.cdp("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(tmp_path / "saved"))
    browser.press("Download")
    wait_until((tmp_path / "saved" / "my_data.safetensors").exists)
    stored = (tmp_path / "second.safetensors").read_bytes()
    assert (tmp_path / "saved" / "my_data.safetensors").read_bytes() == stored
    browser.press("Delete")
    alert = browser.alert()
    assert alert.text == "Delete the dataset my_data with 2 versions? 1 job keeps its version of it."
    alert.accept()
    browser.wait("document.querySelector('.datasets .empty')")
    assert daemon.get("/v1/datasets").json()["datasets"] == []


def test_a_dataset_that_is_refused_says_why(daemon, browser, tmp_path):
    browser.expected += ["422", "400"]
    bad = tmp_path / "bad.safetensors"
    bad.write_bytes(b"this is no safetensors file, but a sentence")
    browser.open(f"{daemon.url}/#/datasets")
    browser.press("Upload")
    browser.wait("document.getElementById('dataset-said').textContent === 'Choose a file and a name.'")
    upload(browser, bad)
    browser.wait("document.getElementById('dataset-said').textContent.includes('safetensors')")
    browser.wait("!document.querySelector('.upload .primary').disabled")
    upload(browser, safetensors(tmp_path / "good.safetensors"), "no such name")
    browser.wait("document.getElementById('dataset-said').textContent.includes('letters, digits')")


def test_what_was_wanted_and_what_counts_is_shown(daemon, browser, tmp_path):
    """Of a dataset with classes and a mask; and of a task of values, whose targets are dashed lines."""
    body = safetensors(tmp_path / "data.safetensors").read_bytes()
    kind = {"Content-Type": "application/octet-stream"}
    assert daemon.request("PUT", "/v1/datasets/mine", data=body, headers=kind).status_code == 201
    network, training = {"units": 20}, {"iterations": 20}
    classes = submit(daemon, task={"type": "dataset", "name": "mine"}, network=network, training=training)
    values = submit(daemon, task={"type": "pattern", "duration": 60}, network=network, training=training)
    for id in (classes, values):
        finish(daemon, id)
    said = "document.getElementById('activity-said').textContent"
    names = "[...document.querySelectorAll('#activity figure:last-child .entry-name')].map(e => e.textContent)"
    for id in (classes, values):
        browser.open(f"{daemon.url}/#/jobs/{id}")
        browser.wait("document.getElementById('activity')")
        browser.script("document.getElementById('activity').open = true")
        browser.wait("document.querySelectorAll('#activity figure').length === 3")
        answer = daemon.request("POST", f"/v1/jobs/{id}/simulate", json={"trials": 1, "seed": 1}).json()
        units = [f"unit {unit}" for unit in answer["units"]]
        shown = browser.script(
            "return [...document.querySelectorAll('#activity figure:nth-child(2) .entry-name')].map(e => e.textContent)"
        )
        assert shown == units, "some of every cell type, as the daemon chooses"
        text, series = browser.wait(said), browser.script(f"return {names}")
        if id == classes:
            assert "Shaded: the steps that count." in text and "the colour of the target class" in text
            assert f"number {answer['trial_indices'][0]} of the data" in text
            assert series == ["output 0", "output 1"]
        else:
            assert "Dashed: the target." in text and "target 0" in series
            assert len(series) == 2 * len(answer["outputs"][0][0])


def test_spans_that_count(daemon, browser):
    browser.open(daemon.url + "/#/jobs")
    found = browser.script(
        """return import("/activity.js").then(({ countedSpans, targetsOf }) => [
            countedSpans({ every: 2, mask: [[0], [1], [1], [0], [1]] }, 0),
            countedSpans({ every: 2, mask: [[1], [1]] }, 0),
            countedSpans({ every: 2, mask: null }, 0),
            targetsOf({ targets: null }, 0),
            targetsOf({ targets: [[null], [3]], loss_type: "cross_entropy" }, 0).values.map(([v]) => String(v)),
            targetsOf({ targets: [[null], [[1, 2]]], loss_type: "mse" }, 0).values.map(String)])"""
    )
    assert found == [[[1, 5], [7, 9]], [], [], None, ["NaN", "3"], ["NaN,NaN", "1,2"]]
