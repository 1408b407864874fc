"""Spikes as lists: what a dataset's inputs may be instead of an array.

Kept sorted by trial and time, as the server wants them, in numpy arrays; never expanded to steps times inputs.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

NAMES = ("trials", "times", "units")


@dataclasses.dataclass(frozen=True, eq=False)
class Spikes:
    """The spikes of B trials: spike k is of unit `units[k]`, in trial `trials[k]`, at tick `times[k]`; integers, in any
    order. `shape` is (T,B,I): T ticks, B trials, I units. A job's step is one tick, or `task={..., "bin": n}` n of
    them, and its input i is the number of spikes of unit i in them. On and off events of one place are two units.

    Give it to `Client.dataset` as inputs. Raises ValueError, naming what is wrong.
    """

    trials: NDArray[np.integer[Any]]
    times: NDArray[np.integer[Any]]
    units: NDArray[np.integer[Any]]
    shape: tuple[int, int, int]

    def __post_init__(self) -> None:
        shape = tuple(int(length) for length in self.shape)
        if len(shape) != 3 or min(shape) < 1:
            raise ValueError(f"the shape of spikes must be (T,B,I), each at least 1; got {self.shape}")
        object.__setattr__(self, "shape", shape)
        limits = dict(zip(("times", "trials", "units"), shape, strict=True))
        for name in NAMES:
            object.__setattr__(self, name, _indices(name, getattr(self, name), limits[name]))
        if not len(self.trials) == len(self.times) == len(self.units):
            counts = ", ".join(f"{len(getattr(self, name))} {name}" for name in NAMES)
            raise ValueError(f"spikes must have one trial, time and unit each; got {counts}")
        order = _order(self.trials, self.times, self.units, shape)
        for name in NAMES if order is not None else ():
            object.__setattr__(self, name, getattr(self, name)[order])

    @classmethod
    def from_lists(
        cls, times: Sequence[Any], units: Sequence[Any], *, ticks: int | None = None, inputs: int | None = None
    ) -> Spikes:
        """Of a list of times and a list of units a trial. ticks: T, else up to the last spike; inputs: I, else up to
        the highest unit."""
        if len(times) != len(units):
            raise ValueError(f"times and units must be lists of as many trials; got {len(times)} and {len(units)}")
        for number, (one, other) in enumerate(zip(times, units, strict=True)):
            if len(one) != len(other):
                raise ValueError(f"trial {number} must have a time and a unit a spike; got {len(one)} and {len(other)}")
        all_times, all_units = (_joined(lists) for lists in (times, units))
        if not len(all_times):
            raise ValueError("there must be at least one spike; got none")
        trials = np.repeat(np.arange(len(times)), [len(one) for one in times])
        ticks = int(all_times.max()) + 1 if ticks is None else ticks
        inputs = int(all_units.max()) + 1 if inputs is None else inputs
        return cls(trials, all_times, all_units, (ticks, len(times), inputs))

    @property
    def ndim(self) -> int:
        """3, as of the array that they stand for."""
        return 3

    def __len__(self) -> int:
        return len(self.units)

    def counts(self, bin: int = 1) -> NDArray[np.float32]:
        """The inputs (T,B,I) of a job whose steps are `bin` ticks, as float32: the number of spikes of each."""
        ticks, trials, inputs = self.shape
        expanded = np.zeros((-(-ticks // bin), trials, inputs), np.float32)
        np.add.at(expanded, (self.times // bin, self.trials, self.units), 1)
        return expanded


def _order(trials: Any, times: Any, units: Any, shape: Sequence[int]) -> NDArray[np.int64] | None:
    """What sorts by trial, time and unit; None where it is so already. By one key where 64 bits hold it: recordings
    come nearly sorted, which a stable sort of one key makes use of."""
    if math.prod(shape) > np.iinfo(np.int64).max:
        order: NDArray[np.int64] = np.lexsort((units, times, trials))
        return order
    key = trials.astype(np.int64) * shape[0]
    key += times
    key *= shape[2]
    key += units
    return np.argsort(key, kind="stable") if np.any(key[1:] < key[:-1]) else None


def _joined(lists: Sequence[Any]) -> NDArray[Any]:
    return np.concatenate([np.asarray(one) for one in lists if len(one)] or [np.zeros(0, np.int64)])


def _indices(name: str, values: Any, limit: int) -> NDArray[np.integer[Any]]:
    """One of the three lists, in the smallest type that has its limit."""
    array = np.asarray(values)
    if array.ndim != 1 or not np.issubdtype(array.dtype, np.integer):
        raise ValueError(f"the {name} of spikes must be a list of integers; got {array.dtype} of shape {array.shape}")
    bad = np.flatnonzero((array < 0) | (array >= limit))
    if len(bad):
        raise ValueError(
            f"the {name} of spikes must be from 0 to {limit - 1}, as the shape says; number {bad[0]} is {array[bad[0]]}"
        )
    small = next(kind for kind in (np.int16, np.int32, np.int64) if limit - 1 <= np.iinfo(kind).max)
    return np.ascontiguousarray(array, dtype=small)


def tensors(prefix: str, spikes: Spikes) -> dict[str, NDArray[Any]]:
    """The tensors of a dataset's file."""
    if not len(spikes):
        raise ValueError(f"{prefix}inputs must have at least one spike; got none")
    return {f"{prefix}spikes_{name}": getattr(spikes, name) for name in NAMES}


def metadata(prefix: str, spikes: Spikes) -> dict[str, str]:
    """What the metadata of a dataset's file say of them."""
    return {f"{prefix}shape": json.dumps(list(spikes.shape))}


def collected(arrays: Mapping[str, Any], shapes: Mapping[str, Any]) -> dict[str, Any]:
    """A file's arrays, with `inputs` and `test_inputs` where it has lists of spikes. `shapes`: shape and test_shape.
    Raises ValueError for a list or a shape that is missing."""
    found = dict(arrays)
    for prefix in ("", "test_"):
        lists = {name: found.pop(f"{prefix}spikes_{name}", None) for name in NAMES}
        if all(values is None for values in lists.values()):
            continue
        missing = [f"{prefix}spikes_{name}" for name, values in lists.items() if values is None]
        shape = shapes.get(prefix + "shape")
        if missing or shape is None:
            raise ValueError(f"a dataset of spikes needs {[*missing, prefix + 'shape'][0]}, which is not there")
        found[prefix + "inputs"] = Spikes(**lists, shape=tuple(np.asarray(shape).tolist()))
    return found
