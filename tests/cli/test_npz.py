"""Files that numpy.savez wrote, as datasets: what arrives is what Python's own client sends."""

import io
import json
import os
import re
import struct
import zipfile

import numpy as np
import pytest

TYPES = ["<f2", "<f4", "<f8", ">f4", ">f8", "|i1", "<i2", "<i4", ">i4", "<i8", "|u1", "<u2", "<u4"]


def tensors(content):
    """A safetensors file's arrays."""
    size = struct.unpack("<Q", content[:8])[0]
    types = {"F32": "<f4", "F64": "<f8", "I8": "i1", "I16": "<i2", "I32": "<i4", "I64": "<i8", "U8": "u1", "BOOL": "?"}
    found = {}
    for name, entry in json.loads(content[8 : 8 + size]).items():
        first, last = entry["data_offsets"]
        data = np.frombuffer(content[8 + size + first : 8 + size + last], types[entry["dtype"]])
        found[name] = data.reshape(entry["shape"])
    return found


def put(modprop, path, arrays, save=np.savez, **options):
    save(path, **arrays)
    modprop.run("datasets", "put", "data", path, **options)
    return tensors(modprop.run("datasets", "get", "data", text=False).stdout)


@pytest.mark.parametrize("turn", range(4), ids=["C", "F", "C-compressed", "F-compressed"])
def test_every_type_and_order_arrives_as_it_was(modprop, tmp_path, turn):
    """Each type with each order and compression in the long run, with one of them in the short."""
    save, order = (np.savez, np.savez_compressed)[turn // 2], "CF"[turn % 2]
    rng = np.random.default_rng(3)
    for kind in TYPES if os.environ.get("MODPROP_LONG") else TYPES[turn::4]:
        values = rng.integers(0, 100, (5, 4, 3)) / (1 if np.dtype(kind).kind in "iu" else 8)
        arrays = {
            "inputs": np.array(values, kind, order=order),
            "targets": np.array(rng.integers(0, 2, (5, 4)), order=order),
            "mask": np.array(rng.integers(0, 2, (5, 4)) | 1, bool, order=order),
        }
        found = put(modprop, tmp_path / "data.npz", arrays, save)
        assert set(found) == set(arrays)
        for name, array in arrays.items():
            assert np.array_equal(found[name].astype(array.dtype), array), (kind, name)


def test_half_precision_is_exact(modprop, tmp_path):
    every = np.arange(65536, dtype=np.uint16).view(np.float16)
    every = every[np.isfinite(every)].reshape(1, -1, 1)
    arrays = {"inputs": every, "targets": np.zeros(every.shape[:2], np.int64)}
    assert np.array_equal(put(modprop, tmp_path / "half.npz", arrays)["inputs"], every.astype(np.float32))


@pytest.mark.parametrize("kind", ["<i8", ">i2", "|u1"])
def test_spikes_and_their_shape(modprop, tmp_path, kind):
    spikes = {"trials": [0, 0, 1], "times": [3, 9, 0], "units": [2, 0, 1]}
    arrays = {f"spikes_{name}": np.array(values, kind) for name, values in spikes.items()}
    arrays |= {"targets": np.array([0, 1]), "shape": np.array([10, 2, 3], kind)}
    arrays |= {f"test_{name}": values for name, values in arrays.items()} | {"test_shape": (10, 2, 3)}
    np.savez(tmp_path / "spikes.npz", **arrays)
    stored = json.loads(modprop.run("datasets", "put", "spikes", tmp_path / "spikes.npz", "--json").stdout)
    assert (stored["steps"], stored["trials"], stored["inputs"], stored["spikes"]) == (10, 2, 3, 3)
    shown = modprop.run("datasets", "show", "spikes").stdout
    assert re.search(r"^spikes +3$", shown, re.M) and re.search(r"^test_spikes +3$", shown, re.M), shown
    listed = modprop.run("datasets").stdout
    assert re.search(r"^spikes +10 +2 +2 +3 +2 ", listed, re.M), listed
    for shape in (np.array([10.0, 2, 3]), np.array([10, 2]), np.array([[10, 2, 3]])):
        np.savez(tmp_path / "bad.npz", **arrays | {"shape": shape})
        refused = modprop.run("datasets", "put", "spikes", tmp_path / "bad.npz", status=2)
        assert "shape must be three integers, steps, trials and inputs of the spikes" in refused.stderr


def test_a_job_trains_on_it(modprop, tmp_path):
    rng = np.random.default_rng(1)
    signs = rng.integers(0, 2, 32)
    np.savez(
        tmp_path / "signs.npz", inputs=np.tile(2.0 * signs - 1, (20, 1))[:, :, None], targets=np.tile(signs, (20, 1))
    )
    shown = modprop.run("datasets", "put", "signs", tmp_path / "signs.npz").stdout
    assert "inputs" in shown and "sha256" in shown
    words = ["--task", "dataset", "--set", "task.name=signs", "--set", "network.units=20"]
    words += ["--set", "training.iterations=40", "--follow"]
    assert "succeeded after 40 iterations" in modprop.run("submit", *words).stdout
    assert "dataset signs" in modprop.run("list").stdout


def test_what_is_no_dataset_is_named(modprop, tmp_path):
    path = tmp_path / "bad.npz"
    good = np.zeros((2, 3, 1))

    def refused(status=2, **arrays):
        np.savez(path, **arrays)
        return modprop.run("datasets", "put", "bad", path, status=status).stderr

    assert 'holds "labels.npy", which no dataset has; there are inputs (or spikes_trials' in refused(
        inputs=good, labels=good
    )
    assert "inputs must be an array of numbers or booleans; got the type '<c16'" in refused(inputs=good.astype(complex))
    assert "got the type '|O'" in refused(inputs=np.array([None, 1], object))
    assert "got the type '<U3'" in refused(inputs=np.array(["one"]))
    assert "got the type '<u8'" in refused(inputs=good.astype(np.uint64))
    assert "targets" in refused(status=4, inputs=good)  # the server's own words
    for name, content in {"inputs.npy": b"nothing", "targets.npy": b"\x93NUMPY\x01\x00\xff\xff{"}.items():
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr(name, content)
        assert "is not an array of numpy" in modprop.run("datasets", "put", "bad", path, status=2).stderr
    buffer = io.BytesIO()
    np.savez(buffer, inputs=good, targets=np.zeros((2, 3), int))
    path.write_bytes(buffer.getvalue()[:-40])
    assert "cannot be read as an npz file" in modprop.run("datasets", "put", "bad", path, status=5).stderr
    with zipfile.ZipFile(path, "w") as archive:
        whole = io.BytesIO()
        np.save(whole, good)
        archive.writestr("inputs.npy", whole.getvalue()[:-8])
    assert "truncated or damaged" in modprop.run("datasets", "put", "bad", path, status=5).stderr
