"""What the server answers, as numpy arrays and small typed records.

Shapes: T steps, B trials, N units, I inputs, O outputs, K evaluations. `W[q, p]` is the weight from unit q to unit p.
Times are in milliseconds of simulated time unless a name says seconds.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from . import _figures, _html, _plot
from ._errors import WeightsCorrupt
from ._points import optional

if TYPE_CHECKING:
    import pandas
    import torch
    import xarray
    from matplotlib.axes import Axes

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
WEIGHT_NAMES = ("W", "Win", "b", "Wout", "bout")  # in the order in which the SHA-256 takes them


SIMULATION_DIMENSIONS = {
    "inputs": ("step", "trial", "input"),
    "rates": ("step", "trial", "unit"),
    "outputs": ("step", "trial", "output"),
    "labels": ("trial",),
    "trial_indices": ("trial",),
    "targets": ("step", "trial", "output"),
    "mask": ("step", "trial"),
}


@dataclasses.dataclass(frozen=True)
class Progress:
    """One evaluation of a running job.

    `loss` and `accuracy` (0 to 1) are the evaluation's; `training_loss` is that of the last training batch. A number
    that the task does not have (accuracy of a pattern), or that was not finite, is None. `elapsed_seconds` counts
    training time of all attempts.
    """

    job: str
    id: int
    iteration: int
    iterations: int | None
    loss: float | None
    accuracy: float | None
    training_loss: float | None
    learning_rate: float | None
    elapsed_seconds: float | None
    trials_per_second: float | None
    event: Mapping[str, Any] = dataclasses.field(repr=False)

    @classmethod
    def from_event(cls, event: Mapping[str, Any], iterations: int | None) -> Progress:
        """A `progress` event of a job that is to train for `iterations`."""
        names = ("loss", "accuracy", "training_loss", "learning_rate", "elapsed_seconds", "trials_per_second")
        numbers = {name: event.get(name) for name in names}
        return cls(
            job=event["job"],
            id=event["id"],
            iteration=event["iteration"],
            iterations=iterations,
            event=event,
            **numbers,
        )

    @property
    def fraction(self) -> float | None:
        """0 to 1: how much of the job's iterations is done."""
        return self.iteration / self.iterations if self.iterations else None


class Metrics(dict[str, NDArray[Any]]):
    """A learning curve by columns: `metrics["loss"]` is an array (K,), one entry an evaluation, at the iterations of
    `metrics.iteration`, which is a column too. `pandas.DataFrame(metrics)` is a table of it; `to_pandas()` has the
    iterations as its index.

    What the server sends as null (accuracy of a task without classes, a loss that was not finite or where nothing
    counted) is NaN. A dict because pandas makes columns of no other mapping.
    """

    def __init__(self, iteration: Any, columns: Mapping[str, Any]) -> None:
        super().__init__(iteration=np.asarray(iteration, dtype=np.int64))
        self.update((name, np.asarray(values, dtype=np.float64)) for name, values in columns.items())
        for name, values in self.items():
            if values.shape != self.iteration.shape:
                raise ValueError(f"{name} has {values.shape}, iteration {self.iteration.shape}")

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Metrics:
        """The columns of a metrics document: its members that are lists."""
        columns = {
            name: values for name, values in document.items() if isinstance(values, list) and name != "iteration"
        }
        return cls(document["iteration"], columns)

    def __missing__(self, name: str) -> NDArray[Any]:
        raise KeyError(f"there is no {name!r} in these metrics; there are {', '.join(self) or 'none'}")

    def __repr__(self) -> str:
        return (
            f"<Metrics {', '.join(name for name in self if name != 'iteration')} at {len(self.iteration)} iterations>"
        )

    @property
    def iteration(self) -> NDArray[np.int64]:
        """(K,) after how many iterations each evaluation took place."""
        return self["iteration"]

    @property
    def loss(self) -> Doubles:
        """(K,) the loss of each evaluation; NaN where nothing counted or it was not finite."""
        return self["loss"]

    @property
    def accuracy(self) -> Doubles:
        """(K,) from 0 to 1; NaN throughout where the task has no accuracy."""
        return self["accuracy"] if "accuracy" in self else np.full(self.iteration.shape, np.nan)

    def plot(self, axes: Axes | None = None, *, metric: str = "loss", label: str | None = None) -> Axes:
        """Draws one column over the iterations (needs matplotlib); the loss on a logarithmic scale."""
        values = self.accuracy if metric == "accuracy" else self[metric]
        return _plot.curve(self.iteration, values, axes, metric=metric, label=label)

    def to_pandas(self) -> pandas.DataFrame:
        """A row an evaluation, indexed by iteration (needs pandas)."""
        return optional("pandas", "to_pandas").DataFrame(self).set_index("iteration")


@dataclasses.dataclass(frozen=True)
class Weights:
    """The weights of a job at one iteration; arrays of float32, checked against the server's SHA-256 when they were
    read.

    `W` (N,N) recurrent, `Win` (I,N), `b` (N,) or None, `Wout` (N,O), `bout` (O,), `leak` (N,) the factor that a
    potential keeps a step, `types` (N,) the cell type of each unit, `sign` (N,) its sign under Dale's law (-1, 1; 0 or
    None without).
    """

    job: str | None
    iteration: int
    sha256: str
    W: Floats
    Win: Floats
    b: Floats | None
    Wout: Floats
    bout: Floats
    leak: Floats
    types: NDArray[np.int32]
    sign: NDArray[np.int32] | None

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Weights:
        """Raises WeightsCorrupt where the arrays do not have the SHA-256 that the document states."""
        arrays = {name: _floats(document.get(name)) for name in WEIGHT_NAMES}
        sign = document.get("sign")
        weights = cls(
            job=document.get("job"),
            iteration=int(document["iteration"]),
            sha256=document["sha256"],
            leak=np.asarray(document["leak"], dtype=np.float32),
            types=np.asarray(document["types"], dtype=np.int32),
            sign=None if sign is None else np.asarray(sign, dtype=np.int32),
            **arrays,  # type: ignore[arg-type]
        )
        found = weights_sha256(weights.arrays())
        if found != weights.sha256:
            raise WeightsCorrupt(
                f"weights of job {weights.job} at iteration {weights.iteration}: SHA-256 is {found}, the server states "
                f"{weights.sha256}"
            )
        return weights

    def __repr__(self) -> str:
        units, inputs, outputs = self.W.shape[0], self.Win.shape[0], self.Wout.shape[1]
        return (
            f"<Weights of {units} units, {inputs} inputs, {outputs} outputs, iteration {self.iteration}, sha256 "
            f"{self.sha256[:12]}>"
        )

    def _repr_html_(self) -> str:
        return _html.weights(self)

    def plot(self, axes: Axes | None = None) -> Axes:
        """W as a map, units in the order of their cell types; blue is negative, orange positive (needs matplotlib)."""
        return _figures.weights(self, axes)

    def arrays(self) -> dict[str, Floats]:
        """W, Win, b (where there is one), Wout and bout by name."""
        named = {name: getattr(self, name) for name in WEIGHT_NAMES}
        return {name: array for name, array in named.items() if array is not None}

    def document(self) -> dict[str, Any]:
        """As a weights document, as the server sends it; `network={"initial": weights}` takes the weights
        themselves."""
        return {
            name: value.tolist() if isinstance(value, np.ndarray) else value
            for name, value in self.__modprop_json__().items()
        }

    def __modprop_json__(self) -> dict[str, Any]:
        """What stands for the weights in a request (_arrays.as_json)."""
        fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        units, inputs, outputs = self.W.shape[0], self.Win.shape[0], self.Wout.shape[1]
        present = {name: value for name, value in fields.items() if value is not None}
        return present | {"units": units, "inputs": inputs, "outputs": outputs}

    def to_torch(self) -> dict[str, torch.Tensor]:
        """The same arrays as torch tensors that own their memory (needs torch)."""
        package = optional("torch", "to_torch")
        return {name: package.from_numpy(array.copy()) for name, array in self.arrays().items()}


def weights_sha256(arrays: Mapping[str, Floats]) -> str:
    """SHA-256 over the little-endian float32 bytes of W, Win, b (if present), Wout, bout, row-major, in this order."""
    digest = hashlib.sha256()
    for name in WEIGHT_NAMES:
        if name in arrays:
            digest.update(np.ascontiguousarray(arrays[name], dtype="<f4").tobytes())
    return digest.hexdigest()


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """A stored checkpoint: its `size` in bytes and the `sha256` of these bytes (not that of the weights in it)."""

    iteration: int
    loss: float | None
    size: int | None
    sha256: str | None

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Checkpoint:
        """One entry of the server's list of checkpoints."""
        return cls(iteration=document["iteration"], **{name: document.get(name) for name in ("loss", "size", "sha256")})


@dataclasses.dataclass(frozen=True)
class Dataset:
    """A dataset that the server holds; give it to `train(task=...)`. Or a file of weights (`kind`): give it as
    `network={"initial": ...}`."""

    name: str
    sha256: str | None
    document: Mapping[str, Any] = dataclasses.field(repr=False)

    @classmethod
    def from_document(cls, document: Mapping[str, Any], name: str | None = None) -> Dataset:
        """The server's description of a dataset; `name` where it holds none."""
        return cls(name=name or document["name"], sha256=document.get("sha256"), document=document)

    @property
    def kind(self) -> str:
        """dataset or weights."""
        return str(self.document.get("kind", "dataset"))

    @property
    def task(self) -> dict[str, Any]:
        """The `task` of a job that trains on it."""
        return {"type": "dataset", "name": self.name}

    def __modprop_json__(self) -> dict[str, Any]:
        return {"weights": self.name, "sha256": self.sha256} if self.kind == "weights" else self.task


@dataclasses.dataclass(frozen=True)
class View:
    """A list that the server keeps by name: `client.jobs(view=...)` reads it."""

    name: str
    of: str  # jobs or experiments
    q: str
    sort: str | None
    columns: list[str] | None

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> View:
        """The server's description of a view."""
        return cls(*(document.get(field.name) for field in dataclasses.fields(cls)))  # type: ignore[arg-type]


@dataclasses.dataclass(frozen=True)
class RuleGradients:
    """What one rule makes of a batch: `gradients` by weight name (shapes of the network, float64), and the cosine of
    each with that of `bptt` (`"all"`: of all together; NaN where one of the two is zero)."""

    rule: Mapping[str, Any]
    gradients: Mapping[str, Doubles]
    cosine: Mapping[str, float]


@dataclasses.dataclass(frozen=True)
class Gradients:
    """The loss of a batch (NaN where nothing counts or it is not finite) and the gradients of the rules, in the order
    asked."""

    loss: float
    rules: tuple[RuleGradients, ...]

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Gradients:
        """The answer of `POST /v1/gradients`."""
        rules = []
        for entry in document["rules"]:
            arrays = {
                name: np.asarray(values, dtype=np.float64)
                for name, values in entry["gradients"].items()
                if values is not None
            }
            cosine = {name: _number(value) for name, value in entry["cosine"].items()}
            rules.append(RuleGradients(entry["rule"], arrays, cosine))
        return cls(loss=_number(document["loss"]), rules=tuple(rules))


@dataclasses.dataclass(frozen=True)
class Spectrum:
    """The eigenvalues of W at one iteration, computed by the server.

    `eigenvalues` (N,) complex128: the largest modulus first, then the largest real part; of a conjugate pair the
    positive imaginary part first. `radius` is the largest modulus, `sha256` that of the weights.
    """

    job: str
    iteration: int
    sha256: str
    radius: float
    eigenvalues: NDArray[np.complex128]

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Spectrum:
        """The answer of `GET /v1/jobs/{id}/spectrum`."""
        values = np.empty(len(document["real"]), dtype=np.complex128)
        values.real, values.imag = document["real"], document["imaginary"]
        return cls(
            job=str(document["job"]),
            iteration=int(document["iteration"]),
            sha256=str(document["sha256"]),
            radius=float(document["spectral_radius"]),
            eigenvalues=values,
        )

    def __repr__(self) -> str:
        units = len(self.eigenvalues)
        return f"<Spectrum of {units} units, iteration {self.iteration}, spectral radius {self.radius:.4g}>"

    def plot(self, axes: Axes | None = None) -> Axes:
        """The eigenvalues in the complex plane, with the unit circle (needs matplotlib)."""
        return _figures.spectrum(self, axes)


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """Loss and accuracy (NaN where nothing counts, or the task has none) over `trials` trials of `split`, in which
    `counted` steps count; `document` is the whole answer."""

    loss: float
    accuracy: float
    trials: int
    split: str
    counted: float
    document: Mapping[str, Any] = dataclasses.field(repr=False)

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Evaluation:
        """The answer of `POST /v1/jobs/{id}/evaluate`."""
        return cls(
            loss=_number(document["loss"]),
            accuracy=_number(document["accuracy"]),
            trials=int(document["trials"]),
            split=str(document["split"]),
            counted=_number(document["counted"]),
            document=document,
        )


class Simulation(Mapping[str, NDArray[Any]]):
    """A trained network at work: `inputs` (K,B,I), `rates` (K,B,units asked for) and `outputs` (K,B,O) as float32, K
    the steps that were kept; `units` (of rates), and `labels` (B,), -1 where a trial has no single class. Of trials of
    a task also `targets`, (K,B) classes or (K,B,O) values, NaN where the step does not count, `mask` (K,B), and
    `trial_indices` (B,) in their split.

    `document` is the whole answer; `to_xarray()` has the arrays with named dimensions.
    """

    def __init__(self, arrays: Mapping[str, NDArray[Any]], document: Mapping[str, Any]) -> None:
        self._arrays = dict(arrays)
        self.document = document

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Simulation:
        """The answer of `POST /v1/jobs/{id}/simulate`."""
        arrays: dict[str, NDArray[Any]] = {
            name: np.asarray(document[name], dtype=np.float32) for name in ("inputs", "rates", "outputs")
        }
        arrays["units"] = np.asarray(document["units"], dtype=np.int32)
        arrays["labels"] = np.asarray([-1 if label is None else label for label in document["labels"]], dtype=np.int32)
        for name in ("targets", "mask"):
            if document.get(name) is not None:
                arrays[name] = np.asarray(document[name], dtype=np.float32)
        if document.get("trial_indices") is not None:
            arrays["trial_indices"] = np.asarray(document["trial_indices"], dtype=np.int64)
        return cls(arrays, document)

    def __getitem__(self, name: str) -> NDArray[Any]:
        return self._arrays[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._arrays)

    def __len__(self) -> int:
        return len(self._arrays)

    def __repr__(self) -> str:
        return f"<Simulation {', '.join(f'{name} {array.shape}' for name, array in self.items())}>"

    def plot(self, axes: Axes | None = None, *, trial: int = 0) -> Axes:
        """The rates of one trial over time: lines, a map where there are more than eight units, spikes as a raster; the
        steps that count are shaded (needs matplotlib)."""
        return _figures.activity(self, axes, trial)

    def to_xarray(self) -> xarray.Dataset:
        """The arrays as an `xarray.Dataset` with the dimensions step, trial, input, unit and output (needs xarray);
        `unit` has the units asked for as its coordinate."""
        package = optional("xarray", "to_xarray")
        arrays = {
            name: (dims[: self[name].ndim], self[name]) for name, dims in SIMULATION_DIMENSIONS.items() if name in self
        }
        dataset: xarray.Dataset = package.Dataset(arrays, coords={"unit": self["units"]})
        return dataset


def _number(value: float | None) -> float:
    """JSON has no NaN: the server sends null."""
    return float("nan") if value is None else float(value)


def _floats(values: Any) -> Floats | None:
    return None if values is None else np.asarray(values, dtype=np.float32)
