"""What the programs send: a few datasets of several shapes and dtypes, jobs on them, initial weights.

All of it follows from names and small numbers, so that a step names it and a reproduction is short, and so that equal
jobs come again under other circumstances.
"""

import functools
import hashlib
import json
import struct

import numpy as np

DTYPES = {"float32": "F32", "float64": "F64", "int8": "I8", "uint8": "U8", "int16": "I16", "int32": "I32"}
DTYPES["int64"] = "I64"

# name: steps, trials, inputs, dtype of the inputs, outputs (negative: values instead of classes), dtype of the targets,
# trials of the test split, mask
SHAPES = {
    "narrow": (6, 8, 2, "f4", 2, "i8", 0, True),
    "narrow-too": (6, 8, 2, "f4", 2, "i8", 0, True),  # other numbers in the same shapes
    "narrow-f64": (6, 8, 2, "f8", 2, "u1", 0, False),
    "narrow-i8": (6, 5, 2, "i1", 2, "i4", 4, False),
    "wide": (2, 4, 16000, "u1", 2, "i8", 0, False),
    "values": (5, 7, 2, "f4", -2, "f8", 0, True),
    "long": (60, 6, 2, "i2", 2, "u1", 3, True),
    "classes": (6, 9, 2, "u1", 9, "i8", 5, False),
    "large": (20, 300, 96, "f4", 3, "i8", 0, False),
}
RULES = {
    "bptt": {"type": "bptt"},
    "cell": {"type": "modprop"},
    "type": {"type": "modprop", "weights": "type"},
    "eprop": {"type": "eprop"},
    "mdgl": {"type": "mdgl"},
}
LENGTHS = {"short": (8, 4, 2), "medium": (300, 50, 20), "endless": (10**7, 5000, 200)}


def encode(arrays):
    """A safetensors file."""
    header, data = {}, b""
    for name, array in arrays.items():
        raw = np.ascontiguousarray(array).tobytes()
        header[name] = {
            "dtype": DTYPES[str(array.dtype)],
            "shape": list(array.shape),
            "data_offsets": [len(data), len(data) + len(raw)],
        }
        data += raw
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def split(rng, steps, trials, inputs, dtype, outputs, target, mask):
    x = rng.integers(0, 4, (steps, trials, inputs)) if dtype[0] in "iu" else rng.normal(0, 0.5, (steps, trials, inputs))
    wanted = (
        rng.normal(0, 0.5, (steps, trials, -outputs))
        if outputs < 0
        else np.tile(np.arange(trials) % outputs, (steps, 1))
    )
    made = {"inputs": x.astype(dtype), "targets": wanted.astype(target)}
    return made | ({"mask": np.ones((steps, trials), "f4")} if mask else {})


class Dataset:
    """One of SHAPES: its file, and what the daemon must say of it."""

    def __init__(self, name):
        steps, trials, inputs, dtype, outputs, target, test, mask = SHAPES[name]
        rng = np.random.default_rng(sorted(SHAPES).index(name))
        arrays = split(rng, steps, trials, inputs, dtype, outputs, target, mask)
        tested = split(rng, steps, test, inputs, dtype, outputs, target, mask) if test else {}
        self.name = name
        self.body = encode(arrays | {f"test_{key}": value for key, value in tested.items()})
        self.sha256 = hashlib.sha256(self.body).hexdigest()
        self.inputs, self.outputs, self.steps, self.test = inputs, abs(outputs), steps, test
        self.trained = np.asarray(arrays["inputs"], "f4")
        self.tested = np.asarray(tested["inputs"], "f4") if test else None
        self.said = {"sha256": self.sha256, "size": len(self.body), "steps": steps, "trials": trials, "inputs": inputs}
        self.said |= {"outputs": abs(outputs), "test_trials": test, "loss": "mse" if outputs < 0 else "cross_entropy"}


@functools.cache
def dataset(name):
    return Dataset(name)


def with_sha256(digest):
    """The name of the dataset that has this digest, or None."""
    return next((name for name in SHAPES if dataset(name).sha256 == digest), None)


@functools.cache
def initial_weights(units, inputs, outputs, seed):
    """A document of weights, as a client would send it back."""
    rng = np.random.default_rng(seed)
    shapes = {"W": (units, units), "Win": (inputs, units), "Wout": (units, outputs), "bout": (outputs,)}
    weights = {name: rng.normal(0, 0.1, shape).astype("f4") for name, shape in shapes.items()}
    np.fill_diagonal(weights["W"], 0)
    return {name: array.tolist() for name, array in weights.items()}


def job(step, initial=None):
    """The body of a submission; `initial` is what stands at network.initial."""
    iterations, evaluate, checkpoint = LENGTHS[step["length"]]
    task = {"type": "dataset", "name": step["on"]} if step["on"] else {"type": "delayed_xor", "delay": 4, "cue": 3}
    if step["on"] and step.get("version"):
        task["sha256"] = dataset(step["version"]).sha256
    network = {"units": step["units"], "tau": 5, "dale": False, "connectivity": 1.0, "initial": initial}
    if step["rule"] == "type":
        network |= {"dale": True, "initial": None}
    training = {"iterations": iterations, "batch_size": 2, "evaluate_every": evaluate, "checkpoint_every": checkpoint}
    return {
        "name": step["job"],
        "seed": step["seed"],
        "priority": step.get("priority", 0),
        "task": task,
        "network": network,
        "rule": RULES[step["rule"]],
        "optimizer": {"learning_rate": 0.001},
        "training": training,
    }


def identity(step, data, initial):
    """What the weights of a job follow from: equal for jobs that must end with equal weights."""
    document = job(step) | {"data": data, "initial": initial}
    del document["name"], document["priority"], document["task"]
    return json.dumps(document, sort_keys=True)


GRADIENTS = {
    "network": {
        "W": [[0, 0.5], [-0.4, 0]],
        "Win": [[1, 0.8]],
        "Wout": [[0.3, -0.2], [0.1, 0.6]],
        "bout": [0, 0],
        "leak": [0.9, 0.9],
        "types": [0, 1],
        "activation": "relu",
    },
    "inputs": [[[1]], [[0.5]], [[0.2]]],
    "targets": [[0], [0], [1]],
    "mask": [[0], [0], [1]],
    "loss": "cross_entropy",
    "rules": [{"type": "bptt"}, {"type": "modprop", "mu": 0.25}, {"type": "eprop"}],
}
BROKEN = {
    "empty": b"",
    "short": b"1234567",
    "huge header": struct.pack("<Q", 1 << 60) + b"{}",
    "no JSON": struct.pack("<Q", 3) + b"{x}",
    "cut": encode({"inputs": np.ones((3, 2, 2), "f4"), "targets": np.zeros((3, 2), "i8")})[:-5],
    "no targets": encode({"inputs": np.ones((3, 2, 2), "f4")}),
    "nan": encode({"inputs": np.full((3, 2, 2), np.nan, "f4"), "targets": np.zeros((3, 2), "i8")}),
    "classes": encode({"inputs": np.ones((3, 2, 2), "f4"), "targets": np.full((3, 2), -1, "i8")}),
}
