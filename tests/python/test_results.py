"""Arrays on their way in and out: datasets, weights, curves. No server."""

from __future__ import annotations

import hashlib
import sys

import numpy as np
import pytest
import safetensors.numpy
from modprop import (
    Dataset,
    Gradients,
    Metrics,
    Simulation,
    Weights,
    WeightsCorrupt,
    weights_sha256,
)
from modprop._arrays import as_json, dataset_bytes, dataset_name

RANDOM = np.random.default_rng(5)
INPUTS = RANDOM.normal(size=(7, 4, 3))
CLASSES = RANDOM.integers(0, 2, size=(7, 4))


def weights_document(bias=True):
    N, inputs, outputs = 5, 3, 2
    arrays = {
        "W": RANDOM.normal(size=(N, N)),
        "Win": RANDOM.normal(size=(inputs, N)),
        "b": RANDOM.normal(size=N),
        "Wout": RANDOM.normal(size=(N, outputs)),
        "bout": RANDOM.normal(size=outputs),
    }
    arrays = {name: array.astype(np.float32) for name, array in arrays.items() if bias or name != "b"}
    digest = hashlib.sha256(b"".join(arrays[name].tobytes() for name in arrays)).hexdigest()
    # Nine significant digits are what a server prints; they bring float32 back exactly.
    lists = {name: [float(f"{x:.9g}") for x in array.ravel()] for name, array in arrays.items()}
    nested = {name: np.array(values).reshape(arrays[name].shape).tolist() for name, values in lists.items()}
    extra = {"job": "j1", "iteration": 3, "sha256": digest, "units": N, "inputs": inputs, "outputs": outputs}
    return nested | extra | {"leak": [0.9] * N, "types": [0, 0, 1, 1, 1], "sign": [-1, -1, 1, 1, 1]}, arrays


@pytest.mark.parametrize("bias", [True, False])
def test_weights_come_back_bit_for_bit(bias):
    document, arrays = weights_document(bias)
    weights = Weights.from_document(document)
    assert set(weights.arrays()) == set(arrays)
    for name, array in arrays.items():
        assert weights.arrays()[name].dtype == np.float32 and np.array_equal(weights.arrays()[name], array)
    assert (weights.b is None) != bias
    assert Weights.from_document(weights.document()).sha256 == weights.sha256 == weights_sha256(arrays)


def test_weights_changed_on_the_way_are_refused():
    document, _ = weights_document()
    document["W"][2][3] += 1e-3
    with pytest.raises(WeightsCorrupt, match="j1 at iteration 3"):
        Weights.from_document(document)


def test_weights_as_torch_tensors(monkeypatch):
    weights = Weights.from_document(weights_document()[0])
    try:
        import torch  # noqa: F401
    except ImportError:
        with pytest.raises(ImportError, match="pip install torch"):
            weights.to_torch()
    else:
        tensors = weights.to_torch()
        assert np.array_equal(tensors["W"].numpy(), weights.W) and tensors["W"].data_ptr() != weights.W.ctypes.data
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ImportError, match="pip install torch"):
        weights.to_torch()


def test_a_dataset_is_safetensors_with_the_servers_types():
    mask, test = np.ones((7, 4)), RANDOM.normal(size=(7, 9, 3))
    arrays = {
        "inputs": INPUTS,
        "targets": CLASSES,
        "mask": mask,
        "test_inputs": test,
        "test_targets": np.zeros((7, 9), dtype=bool),
    }
    read = safetensors.numpy.load(dataset_bytes(arrays))
    assert {name: (array.dtype.str, array.shape) for name, array in read.items()} == {
        "inputs": ("<f4", (7, 4, 3)), "targets": ("<i4", (7, 4)), "mask": ("<f4", (7, 4)),
        "test_inputs": ("<f4", (7, 9, 3)), "test_targets": ("<i4", (7, 9)),
    }  # fmt: skip
    assert np.array_equal(read["inputs"], INPUTS.astype(np.float32)) and np.array_equal(read["targets"], CLASSES)


def test_arrays_that_are_not_contiguous_keep_their_order():
    swapped = np.swapaxes(RANDOM.normal(size=(4, 7, 3)), 0, 1)
    assert np.array_equal(
        safetensors.numpy.load(dataset_bytes({"inputs": swapped, "targets": CLASSES}))["inputs"],
        swapped.astype(np.float32),
    )


def test_the_same_arrays_have_the_same_name():
    first, again = (
        dataset_bytes({"inputs": INPUTS, "targets": CLASSES}),
        dataset_bytes({"inputs": INPUTS.copy(), "targets": CLASSES.copy()}),
    )
    assert (
        dataset_name(first)
        == dataset_name(again)
        != dataset_name(dataset_bytes({"inputs": INPUTS + 1, "targets": CLASSES}))
    )


@pytest.mark.parametrize(
    "arrays, message",
    [
        ({"inputs": INPUTS}, "inputs and targets belong together"),
        ({"inputs": INPUTS[0], "targets": CLASSES}, r"inputs must have 3 dimensions.*\(4, 3\)"),
        (
            {"inputs": INPUTS, "targets": CLASSES[:5]},
            r"targets must begin with the \(T,B\) of inputs, \(7, 4\); its shape is \(5, 4\)",
        ),
        (
            {"inputs": INPUTS, "targets": CLASSES.astype(float)},
            r"targets of shape \(T,B\) are classes and must be integers",
        ),
        ({"inputs": INPUTS, "targets": CLASSES - 5}, "targets must be classes 0, 1, 2"),
        ({"inputs": INPUTS, "targets": np.zeros(7, int)}, "targets must be"),
        (
            {"inputs": np.where(INPUTS[1, 2, 0] == INPUTS, np.nan, INPUTS), "targets": CLASSES},
            r"inputs must be finite; the entry at \(1, 2, 0\)",
        ),
        ({"inputs": INPUTS, "targets": CLASSES, "mask": np.ones((4, 7))}, "mask must begin with"),
        ({"inputs": INPUTS, "targets": CLASSES, "test_inputs": INPUTS}, "test_inputs and test_targets belong together"),
        (
            {"inputs": INPUTS, "targets": CLASSES, "test_inputs": INPUTS[:, :, :2], "test_targets": CLASSES},
            "test_inputs must have the shape of inputs",
        ),
        (
            {"inputs": INPUTS, "targets": CLASSES, "test_inputs": INPUTS, "test_targets": INPUTS},
            "test_targets must have the shape of targets",
        ),
        (
            {"inputs": np.ma.masked_greater(INPUTS, 0), "targets": CLASSES},
            "inputs is a masked array with [0-9]+ masked entries.*mask",
        ),
        ({"inputs": INPUTS, "targets": np.ma.masked_equal(CLASSES, 1)}, "targets is a masked array"),
        ({"inputs": INPUTS + 1j, "targets": CLASSES}, "inputs must be real; got complex128"),
        ({"inputs": INPUTS, "targets": CLASSES, "mask": np.ones((7, 4)) * 1j}, "mask must be real"),
        ({"inputs": INPUTS.astype(str), "targets": CLASSES}, "inputs must be numbers; got an array of <U"),
        ({"inputs": [[[1, 2]], [[1]]], "targets": CLASSES}, "inputs must be an array, with rows of equal length"),
        ({"inputs": INPUTS * 1e300, "targets": CLASSES}, "inputs must be finite; the entry at .* is not, as float32"),
    ],
)
def test_a_wrong_array_is_named_before_it_is_sent(arrays, message):
    with pytest.raises(ValueError, match=message):
        dataset_bytes(arrays)


def test_a_curve_reads_null_as_nan():
    metrics = Metrics.from_document({"iteration": [0, 20], "loss": [0.7, None], "accuracy": [None, None], "next": None})
    assert (
        metrics.iteration.tolist() == [0, 20]
        and metrics.loss[0] == 0.7
        and np.isnan(metrics.loss[1])
        and np.isnan(metrics.accuracy).all()
    )
    assert np.isnan(Metrics([0], {"loss": [1]}).accuracy).all()


def test_a_column_that_is_not_there_is_told_with_those_that_are():
    metrics = Metrics([0, 20], {"loss": [1.0, 0.5]})
    with pytest.raises(KeyError, match="there is no 'los' in these metrics; there are iteration, loss"):
        metrics.plot(metric="los") if has_matplotlib() else metrics["los"]
    assert metrics.get("los") is None


def has_matplotlib():
    try:
        import matplotlib
    except ImportError:
        return False
    matplotlib.use("Agg")
    return True


def test_gradients_are_arrays_by_name():
    document = {
        "loss": 0.5,
        "rules": [
            {
                "rule": {"type": "eprop"},
                "gradients": {"W": [[1, 2], [3, 4]], "b": None},
                "cosine": {"W": 0.9, "all": None},
            }
        ],
    }
    gradients = Gradients.from_document(document)
    assert gradients.rules[0].gradients["W"].shape == (2, 2) and "b" not in gradients.rules[0].gradients
    assert gradients.rules[0].cosine["W"] == 0.9 and np.isnan(gradients.rules[0].cosine["all"])


def test_a_loss_in_which_nothing_counts_is_nan():
    gradients = Gradients.from_document({"loss": None, "rules": []})
    assert np.isnan(gradients.loss) and gradients.rules == ()


def test_a_mask_that_masks_nothing_is_an_array():
    whole = dataset_bytes({"inputs": np.ma.masked_greater(INPUTS, 1e9), "targets": CLASSES})
    assert whole == dataset_bytes({"inputs": INPUTS, "targets": CLASSES})


def test_arrays_jobs_and_weights_become_json():
    weights = Weights.from_document(weights_document()[0])
    assert as_json({"initial": weights}) == {"initial": weights.document()}
    assert as_json(Dataset("mine", None, {})) == {"type": "dataset", "name": "mine"}
    assert as_json({"a": np.arange(3), "b": np.float32(0.5), "c": (np.int64(1), True, None), "d": range(2)}) == {
        "a": [0, 1, 2],
        "b": 0.5,
        "c": [1, True, None],
        "d": [0, 1],
    }


@pytest.mark.parametrize(
    "value, kind, message",
    [
        ({"rule": {"mu": float("nan")}}, ValueError, "/rule/mu must be a finite number; got nan"),
        ({"network": {"tau": np.array([1, np.inf])}}, ValueError, "/network/tau/1 must be a finite number; got inf"),
        ({"a": [1.0, [np.float32("nan")]]}, ValueError, "/a/1/0 must be a finite number"),
        ({"a/b": {"~": np.nan}}, ValueError, "/a~1b/~0 must be a finite number"),
        ({"inputs": np.array([1j])}, ValueError, "/inputs must be real; got complex128"),
        ({"mask": np.ma.masked_equal([0, 1], 1)}, ValueError, "/mask is a masked array with 1 masked entries"),
        ({"metadata": {"x": {1, 2}}}, TypeError, "/metadata/x must be something that JSON can hold; got .* set"),
        ({"metadata": {"x": 1j}}, TypeError, "/metadata/x must be something that JSON can hold; got .* complex"),
        ({"metadata": {1: 2}}, TypeError, "/metadata must have names that are strings; got 1"),
        ({"task": b"x"}, TypeError, "/task must be something that JSON can hold"),
    ],
)
def test_what_json_cannot_hold_is_named(value, kind, message):
    with pytest.raises(kind, match=message):
        as_json(value)


def test_a_curve_is_a_table_of_pandas():
    pandas = pytest.importorskip("pandas")
    metrics = Metrics([0, 20], {"loss": [1, None], "accuracy": [0.5, 0.75]})
    table = pandas.DataFrame(metrics)
    assert list(table.columns) == ["iteration", "loss", "accuracy"] and table["accuracy"].tolist() == [0.5, 0.75]
    indexed = metrics.to_pandas()
    assert (
        indexed.index.name == "iteration" and indexed.loc[20, "accuracy"] == 0.75 and np.isnan(indexed.loc[20, "loss"])
    )


def test_a_simulation_is_a_dataset_of_xarray():
    xarray = pytest.importorskip("xarray")
    shape = {"inputs": (4, 2, 3), "rates": (4, 2, 2), "outputs": (4, 2, 1)}
    document = {name: np.zeros(size).tolist() for name, size in shape.items()} | {"units": [7, 9], "labels": [1, None]}
    dataset = Simulation.from_document(document).to_xarray()
    assert isinstance(dataset, xarray.Dataset) and dict(dataset.sizes) == {
        "step": 4, "trial": 2, "input": 3, "unit": 2, "output": 1,
    }  # fmt: skip
    assert dataset["rates"].sel(unit=9).shape == (4, 2) and dataset["labels"].values.tolist() == [1, -1]
