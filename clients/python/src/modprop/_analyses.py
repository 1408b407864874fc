"""Analyses of trained networks, as the server computes them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from . import _html
from ._points import optional

if TYPE_CHECKING:
    import pandas
    import xarray


class Analysis(Mapping[str, NDArray[np.float64]]):
    """The results of one analysis by name, as float64 arrays (a single number has no axes; what is not defined is NaN).

    `type`, `job` and `iteration` say what was analysed, `axes[name]` names the axes of each result, the outermost
    first, and `units[name]` gives its unit. `parameters` is the request with the server's defaults, `document` the
    whole answer. `client.analyses()` explains every result.
    """

    def __init__(self, document: Mapping[str, Any]) -> None:
        results = document["results"]
        self.document = document
        self.type = str(document["type"])
        self.job = str(document["job"])
        self.iteration = int(document["iteration"])
        self.parameters: Mapping[str, Any] = document["parameters"]
        self.axes = {name: tuple(result["axes"]) for name, result in results.items()}
        self.units: dict[str, str | None] = {name: result["unit"] for name, result in results.items()}
        self._arrays = {name: np.asarray(result["values"], dtype=np.float64) for name, result in results.items()}

    def __getitem__(self, name: str) -> NDArray[np.float64]:
        if name not in self._arrays:
            raise KeyError(f"there is no {name!r} in this analysis; there are {', '.join(self)}")
        return self._arrays[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._arrays)

    def __len__(self) -> int:
        return len(self._arrays)

    def __repr__(self) -> str:
        parts = (
            f"{name} {self[name]:.4g}" if not axes else f"{name} ({', '.join(axes)})"
            for name, axes in self.axes.items()
        )
        return f"<Analysis {self.type}, iteration {self.iteration}: {'; '.join(parts)}>"

    def _repr_html_(self) -> str:
        return _html.analysis(self)

    def to_xarray(self) -> xarray.Dataset:
        """All results as an `xarray.Dataset` with named dimensions (needs xarray). A result that is named as its own
        dimension becomes its coordinate; units are attributes."""
        package = optional("xarray", "to_xarray")
        variables = {
            name: (axes, self[name], {} if self.units[name] is None else {"units": self.units[name]})
            for name, axes in self.axes.items()
        }
        attributes = {"type": self.type, "job": self.job, "iteration": self.iteration}
        dataset: xarray.Dataset = package.Dataset(variables, attrs=attributes)
        return dataset

    def to_pandas(self, axis: str) -> pandas.DataFrame:
        """The results along one axis as a table, a row an entry: `to_pandas("unit")` has a column for each result
        of units alone. Needs pandas."""
        package = optional("pandas", "to_pandas")
        columns = {name: self[name] for name, axes in self.axes.items() if axes == (axis,)}
        if not columns:
            known = ", ".join(dict.fromkeys(axes[0] for axes in self.axes.values() if len(axes) == 1))
            raise KeyError(f"there is no result along {axis!r} alone; there are results along {known}")
        table = package.DataFrame(columns)
        return table.set_index(axis) if axis in columns else table.rename_axis(axis)
