"""numpy arrays on their way to the server: as JSON lists, or as the safetensors body of a dataset.

The safetensors package writes the body (a well-kept library, rather than code of our own for a binary format). What is
checked here is what a user can get wrong before a long upload; the server checks everything again.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import pathlib
import struct
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray

from . import _spikes
from ._spikes import Spikes

SPLIT_NAMES = ("inputs", "targets", "mask")
FILE_NAMES = (*SPLIT_NAMES, *(f"spikes_{name}" for name in _spikes.NAMES))


def as_json(value: Any, pointer: str = "") -> Any:
    """`value` as JSON has it, whatever the depth: arrays (numpy's, torch's, pandas') as lists, and a job, weights or a
    dataset as the document that stands for it. Raises ValueError or TypeError with the JSON Pointer of what JSON cannot
    hold: NaN, infinities, complex numbers, masked entries, objects of other kinds.
    """
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, float):
        return _finite(pointer, value)
    if hasattr(value, "__modprop_json__"):
        return as_json(value.__modprop_json__(), pointer)
    if isinstance(value, Mapping):
        return {_key(pointer, key): as_json(item, f"{pointer}/{_escape(key)}") for key, item in value.items()}
    if hasattr(value, "__array__"):
        return _array_json(pointer, value)
    if isinstance(value, (Sequence, range)) and not isinstance(value, (bytes, bytearray)):
        return [as_json(item, f"{pointer}/{index}") for index, item in enumerate(value)]
    raise TypeError(f"{_place(pointer)} must be something that JSON can hold; got {_kind(value)}")


def _place(pointer: str) -> str:
    return pointer or "the body"


def _kind(value: Any) -> str:
    return f"a value of type {type(value).__qualname__}"


def _key(pointer: str, key: Any) -> str:
    if not isinstance(key, str):
        raise TypeError(f"{_place(pointer)} must have names that are strings; got {key!r}")
    return key


def _escape(key: Any) -> str:
    """A reference token of a JSON Pointer (RFC 6901)."""
    return str(key).replace("~", "~0").replace("/", "~1")


def _finite(pointer: str, value: float) -> float:
    if not math.isfinite(value):
        raise ValueError(f"{_place(pointer)} must be a finite number; got {value}")
    return value


def _array_json(pointer: str, value: Any) -> Any:
    array = _plain(_place(pointer), value)
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        at = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
        _finite(pointer + "".join(f"/{i}" for i in at), float(array[at]))
    return as_json(array.tolist(), pointer) if array.dtype.kind == "O" else array.tolist()


def _plain(name: str, values: Any) -> NDArray[Any]:
    """`values` as an array that loses nothing when it becomes numbers: no masked entries, no imaginary parts."""
    if isinstance(values, np.ma.MaskedArray) and np.any(values.mask):
        raise ValueError(
            f"{name} is a masked array with {np.sum(values.mask)} masked entries, which cannot be sent: fill them "
            f"(.filled(0)) and say in mask which steps count"
        )
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise ValueError(f"{name} must be an array, with rows of equal length: {error}") from error
    if array.dtype.kind == "c":
        raise ValueError(f"{name} must be real; got {array.dtype}: take .real, or the parts as two inputs")
    return array


def dataset_bytes(arrays: Mapping[str, Any]) -> bytes:
    """The safetensors body of a dataset. `arrays` has `inputs`, (T,B,I) or Spikes, `targets` (B), (T,B) or (T,B,O),
    perhaps `mask` (T,B), and perhaps the same three with the prefix `test_`; those that are None are left out. Raises
    ValueError with the array's name.
    """
    splits: dict[str, dict[str, Any]] = {}
    tensors: dict[str, NDArray[Any]] = {}
    metadata: dict[str, str] = {}
    for prefix in ("", "test_"):
        part = {name: arrays.get(prefix + name) for name in SPLIT_NAMES}
        if prefix and all(value is None for value in part.values()):
            continue
        splits[prefix] = _split(prefix, part["inputs"], part["targets"], part["mask"])
        inputs = splits[prefix]["inputs"]
        if isinstance(inputs, Spikes):
            tensors |= _spikes.tensors(prefix, inputs)
            metadata |= _spikes.metadata(prefix, inputs)
        tensors |= {prefix + name: array for name, array in splits[prefix].items() if not isinstance(array, Spikes)}
    if len(splits) == 2:
        _agree(splits[""], splits["test_"])
    return _with_metadata(safetensors.numpy.save(tensors), metadata)


def _with_metadata(body: bytes, metadata: Mapping[str, str]) -> bytes:
    """The file with these metadata; the package would write several in an order that differs from run to run, and so
    give the same arrays another digest."""
    if not metadata:
        return body
    header, content = _header(body)
    text = json.dumps({"__metadata__": dict(metadata)} | header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # so that the tensors are aligned
    return struct.pack("<Q", len(text)) + text + content


def _header(body: bytes) -> tuple[dict[str, Any], bytes]:
    """The header of a safetensors file, and what follows it."""
    (size,) = struct.unpack("<Q", body[:8])
    header: dict[str, Any] = json.loads(body[8 : 8 + size])
    return header, body[8 + size :]


def dataset_file(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The arrays of a dataset's file: .npz (numpy.savez, with `shape` where it has spikes) or .safetensors. Raises
    ValueError, naming what is wrong."""
    kind = pathlib.Path(path).suffix
    if kind == ".npz":
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        shapes = {name: arrays.pop(name) for name in ("shape", "test_shape") if name in arrays}
    elif kind == ".safetensors":
        content = pathlib.Path(path).read_bytes()
        arrays, shapes = safetensors.numpy.load(content), _shapes(content)
    else:
        raise ValueError(f"{path} must be a file named .npz or .safetensors")
    unknown = sorted(name for name in arrays if name.removeprefix("test_") not in FILE_NAMES)
    if unknown:
        raise ValueError(
            f"{path} holds {unknown[0]!r}, which no dataset has; there are {', '.join(FILE_NAMES)}, and the same with "
            f"test_ in front"
        )
    return _spikes.collected(arrays, shapes)


def _shapes(body: bytes) -> dict[str, Any]:
    """The shapes of spikes in the metadata of a safetensors file."""
    metadata = _header(body)[0].get("__metadata__", {})
    return {name: json.loads(metadata[name]) for name in ("shape", "test_shape") if name in metadata}


def weights_bytes(weights: Any) -> bytes:
    """The safetensors body of weights: of a `.safetensors` file, or of anything with W, Win, Wout, bout and perhaps b.
    Raises ValueError with the array's name; the server checks the shapes."""
    if isinstance(weights, (str, os.PathLike)):
        return pathlib.Path(weights).read_bytes()
    named = weights.arrays() if hasattr(weights, "arrays") else weights
    missing = [name for name in ("W", "Win", "Wout", "bout") if named.get(name) is None]
    if missing:
        raise ValueError(f"weights must have W, Win, Wout and bout; there is no {missing[0]}")
    arrays = {name: named[name] for name in ("W", "Win", "b", "Wout", "bout") if named.get(name) is not None}
    return safetensors.numpy.save({name: _real(name, array, (1, 2)) for name, array in arrays.items()})


def dataset_arrays(content: bytes) -> dict[str, Any]:
    """The arrays of a dataset's safetensors body; inputs that are spikes as Spikes."""
    return _spikes.collected(safetensors.numpy.load(content), _shapes(content))


def dataset_name(content: bytes) -> str:
    """The name of a dataset that was given none: made of its content, so that the same arrays are stored once."""
    return "data-" + hashlib.sha256(content).hexdigest()[:16]


def _split(prefix: str, inputs: Any, targets: Any, mask: Any) -> dict[str, Any]:
    """One split (training or test), checked, in the types that the server stores."""
    if inputs is None or targets is None:
        raise ValueError(f"{prefix}inputs and {prefix}targets belong together: both must be given")
    split = {
        "inputs": inputs if isinstance(inputs, Spikes) else _real(f"{prefix}inputs", inputs, (3,)),
        "targets": _targets(f"{prefix}targets", targets),
    }
    if mask is not None:
        split["mask"] = _real(f"{prefix}mask", mask, (2,))
    steps_trials = split["inputs"].shape[:2]
    for name, array in split.items():
        if array.ndim == 1 and len(array) != steps_trials[1]:
            raise ValueError(
                f"{prefix}{name} must be a class for each of the {steps_trials[1]} trials of {prefix}inputs, or one "
                f"for each of its (T,B), {steps_trials}; its shape is {array.shape}"
            )
        if array.ndim > 1 and array.shape[:2] != steps_trials:
            raise ValueError(
                f"{prefix}{name} must begin with the (T,B) of {prefix}inputs, {steps_trials}; its shape is "
                f"{array.shape}"
            )
    return split


def _targets(name: str, values: Any) -> NDArray[Any]:
    """Classes (B) or (T,B) as int32, values (T,B,O) as float32."""
    array = _plain(name, values)
    if array.ndim == 3:
        return _real(name, array, (3,))
    if array.ndim not in (1, 2):
        raise ValueError(f"{name} must be (B) or (T,B) classes or (T,B,O) values; its shape is {array.shape}")
    if not (np.issubdtype(array.dtype, np.integer) or array.dtype == np.bool_):
        raise ValueError(
            f"{name} of shape {'(B)' if array.ndim == 1 else '(T,B)'} are classes and must be integers, not "
            f"{array.dtype}; values to match need the shape (T,B,O)"
        )
    if array.size and (array.min() < 0 or array.max() > np.iinfo(np.int32).max):
        raise ValueError(f"{name} must be classes 0, 1, 2, ..; the least is {array.min()}, the greatest {array.max()}")
    return np.ascontiguousarray(array, dtype=np.int32)


def _real(name: str, values: Any, dimensions: tuple[int, ...]) -> NDArray[np.float32]:
    plain = _plain(name, values)
    if plain.dtype.kind not in "fiub":
        raise ValueError(f"{name} must be numbers; got an array of {plain.dtype}")
    with np.errstate(over="ignore"):  # what is beyond float32 becomes infinite and is named below
        array = np.ascontiguousarray(plain, dtype=np.float32)
    if array.ndim not in dimensions or array.size == 0:
        raise ValueError(f"{name} must have {dimensions[0]} dimensions, none of them 0; its shape is {array.shape}")
    if not np.isfinite(array).all():
        at = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
        raise ValueError(f"{name} must be finite; the entry at {at} is not, as float32")
    return array


def _agree(training: Mapping[str, Any], test: Mapping[str, Any]) -> None:
    """Training and test split must fit the same network; a test split may hold another number of trials."""
    if isinstance(training["inputs"], Spikes) != isinstance(test["inputs"], Spikes):
        raise ValueError("test_inputs must be Spikes where inputs are, and an array where they are one")
    for name in ("inputs", "targets"):
        one, other = training[name].shape, test[name].shape
        classes = name == "targets" and len(one) < 3 and len(other) < 3
        if not classes and (len(one) != len(other) or one[0] != other[0] or one[2:] != other[2:]):
            raise ValueError(
                f"test_{name} must have the shape of {name} but for the number of trials; {other} does not fit {one}"
            )
