"""Files of the time series archives (.ts), and those that PyPI's package aeon brings along.

The format: https://www.aeon-toolkit.org, "Data formats": lines that begin with @ say what follows, each line after
@data is a series, its inputs divided by colons, their values by commas, its label at the end. aeon itself is not
imported: its data are text files, and it needs far more packages than this one.
"""

from __future__ import annotations

import importlib.util
import io
import os
import pathlib
import zipfile
from typing import Any, TextIO

import numpy as np
from numpy.typing import NDArray

from ._trials import Trials, from_sequences

FOLDER = "aeon/datasets/data"


def from_ts(
    train: str | os.PathLike[str] | TextIO, test: str | os.PathLike[str] | TextIO | None = None, **options: Any
) -> Trials:
    """Trials of a .ts file, and of another one to evaluate on. Labels become classes (@classLabel), numbers values to
    match (@targetLabel). options: those of `from_sequences`. Raises ValueError with the file's name and line."""
    sequences, answers, classes = _read(train)
    other = None
    if test is not None:
        test_sequences, test_answers, same = _read(test)
        if same != classes:
            raise ValueError(
                f"{_name(test)} must have {'class labels' if classes else 'values'}, as {_name(train)} has"
            )
        other = (test_sequences, test_answers)
    options |= {"labels" if classes else "values": answers}
    return from_sequences(sequences, test=other, **options)


def aeon(name: str = "JapaneseVowels", *, source: str | os.PathLike[str] | None = None, **options: Any) -> Trials:
    """Trials of a problem that the package aeon brings along, with its own split into training and test;
    `aeon_names()` lists them. source: the package's wheel (pip download --no-deps aeon), or a folder with
    NAME/NAME_TRAIN.ts; else the installed package, which is not imported. options: those of `from_sequences`. Raises
    ValueError or FileNotFoundError."""
    files = _files(source)
    if name not in _names(files):
        raise ValueError(f"there is no problem {name!r} in {files}; there are {', '.join(_names(files))}")
    return from_ts(_open(files, f"{name}_TRAIN.ts"), _open(files, f"{name}_TEST.ts"), **options)


def aeon_names(source: str | os.PathLike[str] | None = None) -> list[str]:
    """The problems of aeon that have a training and a test file."""
    return _names(_files(source))


# ---- where aeon's files are


def _files(source: str | os.PathLike[str] | None) -> zipfile.Path | pathlib.Path:
    """The folder of the problems, in an installed package, a wheel or elsewhere."""
    if source is None:
        found = importlib.util.find_spec("aeon")
        if found is None or not found.submodule_search_locations:
            raise FileNotFoundError(
                "the package aeon is not installed: pip install aeon, or pip download --no-deps aeon and give its "
                "wheel as source"
            )
        return pathlib.Path(found.submodule_search_locations[0]) / "datasets" / "data"
    if zipfile.is_zipfile(source):
        return zipfile.Path(source, FOLDER + "/")
    if not pathlib.Path(source).is_dir():
        raise FileNotFoundError(f"{source} is neither a folder nor a wheel")
    return pathlib.Path(source)


def _names(files: zipfile.Path | pathlib.Path) -> list[str]:
    names = []
    for folder in files.iterdir():
        inside = {file.name for file in folder.iterdir()} if folder.is_dir() else set()
        ends = (name.removesuffix("_TRAIN.ts") for name in inside if name.endswith("_TRAIN.ts"))
        names += [name for name in ends if f"{name}_TEST.ts" in inside]
    return sorted(names)


def _open(files: zipfile.Path | pathlib.Path, wanted: str) -> TextIO:
    """A file of one of the folders, as text with a name."""
    for folder in files.iterdir():
        file = folder / wanted
        if folder.is_dir() and file.is_file():
            text = _Named(file.read_text(encoding="utf-8"))
            text.name = wanted
            return text
    raise FileNotFoundError(f"there is no {wanted} in {files}")


class _Named(io.StringIO):
    name = ""


# ---- the format


def _name(file: str | os.PathLike[str] | TextIO) -> str:
    return str(getattr(file, "name", "the text")) if hasattr(file, "read") else str(file)


def _read(file: Any) -> tuple[list[NDArray[np.float64]], list[Any], bool]:
    """Sequences (steps, inputs), the label or value of each, and whether they are labels."""
    text = file.read() if hasattr(file, "read") else pathlib.Path(file).read_text(encoding="utf-8")
    lines = [(number, line.strip()) for number, line in enumerate(text.splitlines(), 1)]
    lines = [(number, line) for number, line in lines if line and line[0] not in "#%"]
    header = [line.lower().split() for _, line in lines if line.startswith("@")]
    says = {words[0]: words[1:] for words in header}
    if "@data" not in says:
        raise ValueError(f"{_name(file)} is not a .ts file: it has no line @data")
    classes = says.get("@classlabel", ["false"])[0] == "true"
    if not classes and says.get("@targetlabel", ["false"])[0] != "true":
        raise ValueError(f"{_name(file)} has neither @classLabel nor @targetLabel: there is nothing to learn")
    if says.get("@timestamps", ["false"])[0] == "true":
        raise ValueError(f"{_name(file)} has time stamps, which only files without are read with")
    sequences, answers = [], []
    for number, line in lines:
        if not line.startswith("@"):
            *parts, answer = line.split(":")
            sequences.append(_sequence(f"{_name(file)}, line {number}", parts))
            answers.append(answer.strip() if classes else _value(f"{_name(file)}, line {number}", answer))
    return sequences, answers, classes


def _value(place: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"{place}: a number must stand here; got {text[:40]!r}") from None


def _sequence(place: str, parts: list[str]) -> NDArray[np.float64]:
    """(steps, inputs) of a line's inputs."""
    inputs = [[_value(place, value) for value in part.split(",")] for part in parts]
    if len({len(one) for one in inputs}) != 1:
        raise ValueError(f"{place}: the inputs of a series must be of one length; got {[len(one) for one in inputs]}")
    return np.ascontiguousarray(np.transpose(inputs), dtype=np.float64)
