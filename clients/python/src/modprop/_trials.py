"""Trials that are ready to be uploaded: what modprop.datasets makes, and how sequences become such."""

from __future__ import annotations

import dataclasses
import os
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ._arrays import dataset_bytes

Count = Literal["every", "last"]


@dataclasses.dataclass(frozen=True, eq=False)
class Trials(Mapping[str, Any]):
    """The arguments of `Client.dataset`: `client.dataset(**trials)`. `classes` has the label of each class."""

    arrays: Mapping[str, Any]
    classes: tuple[Any, ...] = ()

    def __getitem__(self, name: str) -> Any:
        return self.arrays[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.arrays)

    def __len__(self) -> int:
        return len(self.arrays)

    def __repr__(self) -> str:
        shapes = ", ".join(f"{name} {tuple(array.shape)}" for name, array in self.arrays.items())
        return f"Trials({shapes}; {len(self.classes)} classes)"

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the safetensors file that an upload would send, for `modprop datasets put`."""
        pathlib.Path(path).write_bytes(dataset_bytes(self.arrays))


def from_sequences(
    sequences: Sequence[Any],
    labels: Sequence[Any] | NDArray[Any] | None = None,
    *,
    values: Any = None,
    test: tuple[Sequence[Any], Any] | None = None,
    count: Count = "every",
    hold: int = 1,
    standardize: bool = False,
) -> Trials:
    """Trials of sequences of unequal length: each an array (steps, inputs), or (steps) of one input. What is shorter
    than the longest is followed by zeros that a mask does not count.

    labels: one a sequence, of any kind that can be sorted; the classes are their order. Or values: numbers to match,
    one a sequence or (sequences, outputs). test: sequences and their labels (or values) to evaluate on. count: "every"
    step of a sequence, or only its "last". hold: steps (of 1 ms) for which each element is shown. standardize: every
    input has mean 0 and standard deviation 1 over the elements of the training sequences. Raises ValueError, naming the
    sequence.
    """
    if (labels is None) == (values is None):
        raise ValueError("either labels or values must be given")
    if hold < 1 or count not in ("every", "last"):
        raise ValueError(f'hold must be at least 1 and count "every" or "last"; got {hold} and {count!r}')
    splits: dict[str, tuple[Any, Any]] = {"": (sequences, labels if values is None else values)}
    if test is not None:
        splits["test_"] = test
    read = {prefix: _sequences(prefix, part[0]) for prefix, part in splits.items()}
    steps = hold * max(len(one) for part in read.values() for one in part)
    if standardize:
        read = _standardized(read)
    classes: tuple[Any, ...] = () if values is not None else _classes(labels)
    arrays: dict[str, Any] = {}
    for prefix, part in read.items():
        answers = splits[prefix][1]
        if len(answers) != len(part):
            raise ValueError(
                f"there must be a {'label' if values is None else 'value'} for each sequence; got {len(answers)} for "
                f"{len(part)} {'test ' if prefix else ''}sequences"
            )
        arrays[prefix + "inputs"] = _padded(part, steps, hold)
        arrays[prefix + "targets"] = (
            _numbers(answers, classes) if values is None else _constants(prefix, answers, steps)
        )
        arrays[prefix + "mask"] = _mask([hold * len(one) for one in part], steps, count)
    return Trials(arrays, classes)


def _sequences(prefix: str, sequences: Sequence[Any]) -> list[NDArray[np.float64]]:
    """The sequences as (steps, inputs)."""
    read: list[NDArray[np.float64]] = []
    kind = "test sequence" if prefix else "sequence"
    for number, sequence in enumerate(sequences):
        array = np.asarray(sequence, dtype=np.float64)
        array = array[:, None] if array.ndim == 1 else array
        if array.ndim != 2 or array.size == 0:
            raise ValueError(f"{kind} {number} must have the shape (steps, inputs), neither 0; got {array.shape}")
        if not np.isfinite(array).all():
            raise ValueError(f"{kind} {number} must hold finite numbers; one at step "
                             f"{int(np.argwhere(~np.isfinite(array))[0][0])} is not")  # fmt: skip
        if read and array.shape[1] != read[0].shape[1]:
            raise ValueError(
                f"{kind} {number} must have as many inputs as the first, {read[0].shape[1]}; it has {array.shape[1]}"
            )
        read.append(array)
    if not read:
        raise ValueError(f"there must be at least one {kind}")
    return read


def _standardized(read: Mapping[str, list[NDArray[np.float64]]]) -> dict[str, list[NDArray[np.float64]]]:
    every = np.concatenate(read[""])
    mean, deviation = every.mean(0), every.std(0)
    deviation[deviation == 0] = 1  # an input that never changes becomes 0
    return {prefix: [(one - mean) / deviation for one in part] for prefix, part in read.items()}


def _padded(sequences: Sequence[NDArray[np.float64]], steps: int, hold: int) -> NDArray[np.float32]:
    padded = np.zeros((steps, len(sequences), sequences[0].shape[1]), np.float32)
    for trial, sequence in enumerate(sequences):
        padded[: hold * len(sequence), trial] = np.repeat(sequence, hold, axis=0)
    return padded


def _mask(lengths: Sequence[int], steps: int, count: Count) -> NDArray[np.float32]:
    step, length = np.arange(steps)[:, None], np.asarray(lengths)
    return np.asarray(step < length if count == "every" else step == length - 1, dtype=np.float32)


def _classes(labels: Any) -> tuple[Any, ...]:
    return tuple(sorted({label.item() if isinstance(label, np.generic) else label for label in labels}))


def _numbers(labels: Any, classes: tuple[Any, ...]) -> NDArray[np.int32]:
    """The number of each label; ValueError for one that no training sequence has."""
    numbers = {label: number for number, label in enumerate(classes)}
    unknown = [label for label in labels if label not in numbers]
    if unknown:
        raise ValueError(f"test labels must be those of training sequences; {unknown[0]!r} is not")
    return np.array([numbers[label] for label in labels], dtype=np.int32)


def _constants(prefix: str, values: Any, steps: int) -> NDArray[np.float32]:
    """The value of each sequence, the same at all steps: (T,B,O)."""
    array = np.asarray(values, dtype=np.float32)
    array = array[:, None] if array.ndim == 1 else array
    if array.ndim != 2:
        raise ValueError(f"{prefix}values must be one a sequence, or (sequences, outputs); got {array.shape}")
    return np.ascontiguousarray(np.broadcast_to(array, (steps, *array.shape)))
