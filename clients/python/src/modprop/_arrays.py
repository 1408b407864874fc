"""numpy arrays on their way to the server: as JSON lists, or as the safetensors body of a dataset.

The safetensors package writes the body (a well-kept library, rather than code of our own for a binary format). What is
checked here is what a user can get wrong before a long upload; the server checks everything again.
"""

from __future__ import annotations

import hashlib
import math
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray

DATASET_NAMES = ("inputs", "targets", "mask", "test_inputs", "test_targets", "test_mask")


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
    """The safetensors body of a dataset. `arrays` has `inputs` (T,B,I), `targets` (T,B) or (T,B,O), perhaps `mask`
    (T,B), and perhaps the same three with the prefix `test_`; those that are None are left out. Raises ValueError with
    the array's name.
    """
    tensors: dict[str, NDArray[Any]] = {}
    for prefix in ("", "test_"):
        part = {name: arrays.get(prefix + name) for name in ("inputs", "targets", "mask")}
        if prefix and all(value is None for value in part.values()):
            continue
        tensors |= _split(prefix, part["inputs"], part["targets"], part["mask"])
    _agree(tensors)
    return safetensors.numpy.save(tensors)


def dataset_file(path: str | os.PathLike[str]) -> dict[str, NDArray[Any]]:
    """The arrays of a dataset's file: .npz (numpy.savez) or .safetensors. Raises ValueError, naming what is wrong."""
    kind = pathlib.Path(path).suffix
    if kind == ".npz":
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    elif kind == ".safetensors":
        arrays = safetensors.numpy.load_file(path)
    else:
        raise ValueError(f"{path} must be a file named .npz or .safetensors")
    unknown = sorted(set(arrays) - set(DATASET_NAMES))
    if unknown:
        raise ValueError(f"{path} holds {unknown[0]!r}, which no dataset has; there are {', '.join(DATASET_NAMES)}")
    return arrays


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


def dataset_arrays(content: bytes) -> dict[str, NDArray[Any]]:
    """The arrays of a dataset's safetensors body."""
    return dict(safetensors.numpy.load(content))


def dataset_name(content: bytes) -> str:
    """The name of a dataset that was given none: made of its content, so that the same arrays are stored once."""
    return "data-" + hashlib.sha256(content).hexdigest()[:16]


def _split(prefix: str, inputs: Any, targets: Any, mask: Any) -> dict[str, NDArray[Any]]:
    """One split (training or test), checked, in the types that the server stores."""
    if inputs is None or targets is None:
        raise ValueError(f"{prefix}inputs and {prefix}targets belong together: both must be given")
    tensors = {
        f"{prefix}inputs": _real(f"{prefix}inputs", inputs, (3,)),
        f"{prefix}targets": _targets(f"{prefix}targets", targets),
    }
    if mask is not None:
        tensors[f"{prefix}mask"] = _real(f"{prefix}mask", mask, (2,))
    steps_trials = tensors[f"{prefix}inputs"].shape[:2]
    for name, array in tensors.items():
        if array.shape[:2] != steps_trials:
            raise ValueError(
                f"{name} must begin with the (T,B) of {prefix}inputs, {steps_trials}; its shape is {array.shape}"
            )
    return tensors


def _targets(name: str, values: Any) -> NDArray[Any]:
    """Classes (T,B) as int32, values (T,B,O) as float32."""
    array = _plain(name, values)
    if array.ndim == 3:
        return _real(name, array, (3,))
    if array.ndim != 2:
        raise ValueError(f"{name} must be (T,B) classes or (T,B,O) values; its shape is {array.shape}")
    if not (np.issubdtype(array.dtype, np.integer) or array.dtype == np.bool_):
        raise ValueError(
            f"{name} of shape (T,B) are classes and must be integers, not {array.dtype}; values to match "
            f"need the shape (T,B,O)"
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


def _agree(tensors: Mapping[str, NDArray[Any]]) -> None:
    """Training and test split must fit the same network; a test split may hold another number of trials."""
    for name in ("inputs", "targets"):
        train, test = tensors[name], tensors.get("test_" + name)
        if test is not None and (
            train.ndim != test.ndim or train.shape[0] != test.shape[0] or train.shape[2:] != test.shape[2:]
        ):
            raise ValueError(
                f"test_{name} must have the shape of {name} but for the number of trials; {test.shape} does not fit "
                f"{train.shape}"
            )
