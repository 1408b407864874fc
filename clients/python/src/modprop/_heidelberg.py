"""Spikes of the Heidelberg data sets, SHD and SSC, from their HDF5 files.

Cramer, Stradmann, Schemmel and Zenke 2022, IEEE TNNLS 33, 2744: words that a model of the cochlea turned into the
spikes of 700 units. A file has spikes/times (seconds) and spikes/units, a list a trial each, labels, and under extra
the speaker of each trial and the word of each label.
"""

from __future__ import annotations

import dataclasses
import gzip
import io
import os
import pathlib
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._spikes import Spikes
from ._trials import Count, Trials

CHANNELS = 700


@dataclasses.dataclass(frozen=True)
class _File:
    """One file's trials; `words` by label, empty where it has none."""

    path: str
    times: list[NDArray[np.float64]]
    units: list[NDArray[np.int64]]
    labels: NDArray[np.int64]
    speakers: NDArray[np.int64]
    words: tuple[str, ...]


def heidelberg(
    train: str | os.PathLike[str],
    test: str | os.PathLike[str] | None = None,
    *,
    units: int = CHANNELS,
    dt: float = 0.001,
    bins: int | None = None,
    duration: float | None = None,
    classes: Iterable[int] | None = None,
    count: Count = "every",
    test_share: float = 0.0,
    test_speakers: Sequence[int] = (),
    seed: int = 0,
) -> Trials:
    """Trials of the files of SHD or SSC (HDF5, also gzipped; needs h5py): spikes, and the spoken word as class.

    units: of the 700, neighbours are pooled to so many. dt: seconds a tick, or bins: ticks a trial. duration: seconds a
    trial; later spikes are left out; None: until the last spike of all. classes: the labels to keep, numbered anew in
    this order. count: the loss counts at "every" step or at the "last". Without a test file: test_share of the trials,
    drawn by the seed, or those of test_speakers are the ones to evaluate on. Raises ImportError, or ValueError with the
    file and what is wrong.
    """
    if not 1 <= units <= CHANNELS:
        raise ValueError(f"units must be from 1 to {CHANNELS}; got {units}")
    if (test is not None) + (test_share > 0) + (len(test_speakers) > 0) > 1:
        raise ValueError("the trials to evaluate on must be a test file, a share or speakers: one of them")
    if count not in ("every", "last"):
        raise ValueError(f'count must be "every" or "last"; got {count!r}')
    files = {"": _read(train)} | ({} if test is None else {"test_": _read(test)})
    kept = {label: number for number, label in enumerate(classes if classes is not None else _labels(files[""]))}
    chosen = {prefix: np.flatnonzero(np.isin(file.labels, list(kept))) for prefix, file in files.items()}
    if test is None and (test_share > 0 or len(test_speakers)):
        files["test_"] = files[""]
        chosen |= _divided(files[""], chosen[""], test_share, test_speakers, seed)
    for prefix, trials in chosen.items():
        if not len(trials):
            raise ValueError(f"no {'test' if prefix else 'training'} trial is left in {files[prefix].path}")
    dt, ticks = _ticks([files[prefix].times[i] for prefix in files for i in chosen[prefix]], dt, bins, duration)
    arrays: dict[str, Any] = {}
    for prefix, file in files.items():
        arrays[prefix + "inputs"] = _spikes_of(file, chosen[prefix], units, dt, ticks)
        arrays[prefix + "targets"] = np.array([kept[int(label)] for label in file.labels[chosen[prefix]]], np.int32)
        if count == "last":
            arrays[prefix + "mask"] = np.zeros((ticks, len(chosen[prefix])), np.float32)
            arrays[prefix + "mask"][-1] = 1
    words = files[""].words
    return Trials(arrays, tuple(words[label] if label < len(words) else label for label in kept))


def _labels(file: _File) -> list[int]:
    return [int(label) for label in np.unique(file.labels)]


def _divided(
    file: _File, trials: NDArray[np.int64], share: float, speakers: Sequence[int], seed: int
) -> dict[str, NDArray[np.int64]]:
    """The trials of one file as training and test trials."""
    if len(speakers) and not len(file.speakers):
        raise ValueError(f"{file.path} does not say who speaks (extra/speaker)")
    if len(speakers):
        held = np.isin(file.speakers[trials], speakers)
    elif share < 1:
        held = np.zeros(len(trials), bool)
        held[np.random.default_rng(seed).permutation(len(trials))[: round(share * len(trials))]] = True
    else:
        raise ValueError(f"test_share must be below 1; got {share}")
    return {"": trials[~held], "test_": trials[held]}


def _ticks(
    times: Sequence[NDArray[np.float64]], dt: float, bins: int | None, duration: float | None
) -> tuple[float, int]:
    """Seconds a tick, and ticks a trial."""
    latest = max((float(one.max()) for one in times if len(one)), default=0.0)
    if duration is not None and not duration > 0:
        raise ValueError(f"duration must be positive; got {duration}")
    if bins is not None:
        if bins < 1:
            raise ValueError(f"bins must be at least 1; got {bins}")
        whole = duration if duration is not None else latest * (1 + 1e-5)  # so that the last spike lies in the last bin
        return (whole or 1.0) / bins, bins
    if not dt > 0:
        raise ValueError(f"dt must be positive; got {dt}")
    return dt, max(1, round(duration / dt)) if duration is not None else _tick(latest, dt) + 1


def _tick(time: Any, dt: float) -> Any:
    """The tick of a time; a time on the border of two belongs to the later one, whatever its last bits are."""
    return np.floor(np.asarray(time) / dt + 1e-6).astype(np.int64)


def _spikes_of(file: _File, trials: NDArray[np.int64], units: int, dt: float, ticks: int) -> Spikes:
    times, pooled = [], []
    for trial in trials:
        tick = _tick(file.times[trial], dt)
        inside = tick < ticks
        times.append(tick[inside])
        pooled.append(file.units[trial][inside] * units // CHANNELS)
    return Spikes.from_lists(times, pooled, ticks=ticks, inputs=units)


# ---- the file


def _h5py() -> Any:
    try:
        import h5py
    except ImportError as error:
        raise ImportError("reading HDF5 files needs h5py: pip install 'modprop[spikes]', or h5py") from error
    return h5py


def _read(path: str | os.PathLike[str]) -> _File:
    h5py = _h5py()
    source: Any = path
    if pathlib.Path(path).suffix == ".gz":
        with gzip.open(path) as packed:
            source = io.BytesIO(packed.read())
    try:
        file = h5py.File(source, "r")
    except FileNotFoundError:
        raise
    except OSError as error:
        raise ValueError(f"{path} cannot be read as an HDF5 file: {error}") from error
    with file:
        missing = [name for name in ("spikes/times", "spikes/units", "labels") if name not in file]
        if missing:
            raise ValueError(f"{path} must have spikes/times, spikes/units and labels; there is no {missing[0]}")
        labels = np.asarray(file["labels"][()])
        times = [np.asarray(one, np.float64) for one in file["spikes/times"][()]]
        units = [np.asarray(one) for one in file["spikes/units"][()]]
        speakers = np.asarray(file["extra/speaker"][()]) if "extra/speaker" in file else np.zeros(0, np.int64)
        keys = file["extra/keys"][()] if "extra/keys" in file else ()
    words = tuple(key.decode() if isinstance(key, bytes) else str(key) for key in keys)
    _check(str(path), times, units, labels, speakers)
    return _File(str(path), times, [one.astype(np.int64) for one in units], labels.astype(np.int64), speakers, words)


def _check(path: str, times: list[Any], units: list[Any], labels: Any, speakers: Any) -> None:
    if not len(times) == len(units) == len(labels) or len(speakers) not in (0, len(labels)):
        raise ValueError(
            f"{path} must have times, units, a label and a speaker a trial; got {len(times)}, {len(units)}, "
            f"{len(labels)} and {len(speakers)}"
        )
    if not np.issubdtype(labels.dtype, np.integer) or (len(labels) and labels.min() < 0):
        raise ValueError(f"{path}: labels must be integers from 0")
    for trial, (time, unit) in enumerate(zip(times, units, strict=True)):
        if time.ndim != 1 or time.shape != unit.shape:
            raise ValueError(
                f"{path}: trial {trial} must have a time and a unit a spike; got {time.shape} and {unit.shape}"
            )
        if len(time) and not (np.isfinite(time).all() and time.min() >= 0):
            raise ValueError(f"{path}: the times of trial {trial} must be seconds from 0; one is not")
        if len(unit) and not (np.issubdtype(unit.dtype, np.integer) and unit.min() >= 0 and unit.max() < CHANNELS):
            raise ValueError(
                f"{path}: the units of trial {trial} must be integers from 0 to {CHANNELS - 1}; one is not"
            )
