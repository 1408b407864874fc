"""Trials from data that others published, and from sequences of one's own.

    from modprop import Client, datasets

    with Client() as client:
        vowels = client.dataset(**datasets.aeon("JapaneseVowels", source="aeon-1.6.0-py3-none-any.whl"))
        words = client.dataset(**datasets.heidelberg("shd_train.h5", "shd_test.h5", units=140, bins=100))
        own = client.dataset(**datasets.from_sequences(arrays, labels))

Nothing is downloaded: who has the files names them. `python -m modprop.datasets --help` does the same at the shell.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from ._client import Client
from ._errors import ModpropError
from ._heidelberg import CHANNELS, heidelberg
from ._trials import Trials, from_sequences
from ._ts import aeon, aeon_names, from_ts

__all__ = ["Trials", "aeon", "aeon_names", "from_sequences", "from_ts", "heidelberg"]


def main(words: Sequence[str] | None = None) -> int:
    """The command line: makes trials, and uploads them or writes them to a file. Returns the exit status."""
    options = vars(_parser().parse_args(words))
    make, name, output = options.pop("make"), options.pop("name"), options.pop("output")
    server = options.pop("server")
    try:
        trials = make(**options)
        print(trials)
        if output is not None:
            trials.save(output)
        else:
            with Client(server) as client:
                dataset = client.dataset(**trials, name=name)
            print(f"stored as {dataset.name}, version {dataset.sha256}")
    except (ImportError, OSError, ValueError, ModpropError) as error:
        print(f"modprop.datasets: {error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m modprop.datasets", description="Make a dataset of published data.")
    kinds = parser.add_subparsers(required=True, metavar="KIND")
    spikes = kinds.add_parser("heidelberg", help="spikes of SHD or SSC, from HDF5 files")
    spikes.set_defaults(make=heidelberg)
    spikes.add_argument("train", metavar="TRAIN", help="the file of training trials, .h5 or .h5.gz")
    spikes.add_argument("test", metavar="TEST", nargs="?", help="the file of trials to evaluate on")
    spikes.add_argument("--units", type=int, default=CHANNELS, help=f"inputs; the {CHANNELS} are pooled to so many")
    spikes.add_argument("--dt", type=float, default=0.001, help="seconds a tick (0.001)")
    spikes.add_argument("--bins", type=int, help="ticks a trial, instead of --dt")
    spikes.add_argument("--duration", type=float, help="seconds a trial; else until the last spike")
    spikes.add_argument("--classes", type=_integers, help="labels to keep, as 0,1,2 or 0-9; else all")
    spikes.add_argument("--test-share", type=float, default=0.0, help="without TEST: this share of the trials")
    spikes.add_argument(
        "--test-speakers", type=_integers, default=[], help="without TEST: the trials of these speakers"
    )
    spikes.add_argument("--seed", type=int, default=0, help="of the draw of the test trials (0)")
    _add_count(spikes)
    package = kinds.add_parser("aeon", help="series that the package aeon brings along")
    package.set_defaults(make=lambda problem, **options: aeon(problem, **options))
    package.add_argument("problem", nargs="?", default="JapaneseVowels", help="JapaneseVowels, ...")
    package.add_argument("--source", help="the package's wheel, or a folder; else the installed package")
    files = kinds.add_parser("ts", help="series of .ts files")
    files.set_defaults(make=from_ts)
    files.add_argument("train", metavar="TRAIN", help="the file of training series")
    files.add_argument("test", metavar="TEST", nargs="?", help="the file of series to evaluate on")
    for series in (package, files):
        series.add_argument("--hold", type=int, default=1, help="steps for which each element is shown (1)")
        series.add_argument("--standardize", action="store_true", help="mean 0 and standard deviation 1 of each input")
        _add_count(series)
    for each in kinds.choices.values():
        each.add_argument("--name", help="of the dataset; else one made of its content")
        each.add_argument("-o", "--output", help="write a safetensors file instead of an upload")
        each.add_argument("--server", help="URL; else as the client finds it")
    return parser


def _add_count(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--count", choices=("every", "last"), default="every", help="steps that the loss counts (every)"
    )


def _integers(text: str) -> list[int]:
    """ "0,3,5-8" as a list."""
    found: list[int] = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        found += range(int(first), int(last or first) + 1)
    return found


if __name__ == "__main__":
    sys.exit(main())
