"""Jobs and experiments as runs of TensorBoard, MLflow and Weights & Biases, as files on this machine::

    from modprop import Client, export

    with Client() as client:
        export.tensorboard(client.job("latest"), "runs")                    # tensorboard --logdir runs
        export.mlflow(client.get_experiment("three rules"), "mlruns")       # mlflow ui --backend-store-uri mlruns
        export.wandb(client.get_experiment("three rules"), "offline")       # wandb sync offline/wandb/offline-run-*

A job is one run; each trial of an experiment that has a job is one, named by its point and seed. A run has the learning
curves at their iterations (what is not finite is left out), the parameters (`task.delay`), the whole job as job.json
and, where the server has them, the weights as weights.npz. Nothing is sent to anybody but the modpropd.

Each needs the package of its name: pip install 'modprop[tensorboard]', 'modprop[mlflow]' or 'modprop[wandb]'. They
write what there is now: export a job that still runs again when it has ended, into another folder.
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import io
import json
import math
import os
import pathlib
import re
import tempfile
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

import numpy as np

from . import _calls
from ._client import Job
from ._errors import Conflict, NotFound
from ._experiment import Experiment
from ._points import optional
from ._results import Metrics, Weights

__all__ = ["mlflow", "tensorboard", "wandb"]

CONFIGURATION = ("task", "network", "rule", "optimizer", "training", "seed")
PARAMETER_MOST = 250  # characters, which every version of MLflow takes; longer ones are in job.json


@dataclasses.dataclass(frozen=True)
class Run:
    """A job with what is exported of it."""

    name: str
    document: Mapping[str, Any]
    metrics: Metrics
    weights: Weights | None

    @property
    def id(self) -> str:
        """The job's."""
        return str(self.document["id"])

    @property
    def folder(self) -> str:
        """A name for a folder of its own: no other job has it."""
        return f"{re.sub(r'[^A-Za-z0-9.+-]+', '-', self.name).strip('-.') or 'job'}-{self.id[-8:]}"

    def rows(self) -> Iterator[tuple[int, dict[str, float]]]:
        """Each evaluation: its iteration, and the numbers that it has."""
        for at, iteration in enumerate(self.metrics.iteration):
            values = {name: float(column[at]) for name, column in self.metrics.items() if name != "iteration"}
            yield int(iteration), {name: value for name, value in values.items() if math.isfinite(value)}

    def parameters(self) -> dict[str, Any]:
        """The configuration, flat: "task.delay" and its value; lists as JSON."""
        flat: dict[str, Any] = {}

        def put(name: str, value: Any) -> None:
            if isinstance(value, Mapping):
                for key, member in value.items():
                    put(f"{name}.{key}", member)
            else:
                flat[name] = json.dumps(value) if isinstance(value, list) else value

        for name in CONFIGURATION:
            put(name, self.document.get(name))
        return {name: value for name, value in flat.items() if value is not None and len(str(value)) <= PARAMETER_MOST}

    @property
    def begun(self) -> float:
        """When it began, in seconds since 1970."""
        return _seconds(self.document.get("started_at") or self.document["created_at"])

    def times(self) -> list[float]:
        """The moment of each evaluation, in seconds since 1970: training time counted from the beginning."""
        elapsed = self.metrics.get("elapsed_seconds")
        passed = np.zeros(len(self.metrics.iteration)) if elapsed is None else np.nan_to_num(elapsed)
        return [self.begun + float(seconds) for seconds in passed]

    def files(self) -> dict[str, bytes]:
        """job.json, and weights.npz where there are weights: W, Win, Wout and so on, bit for bit."""
        found = {"job.json": json.dumps(self.document, indent=2).encode()}
        if self.weights is not None:
            packed = io.BytesIO()
            arrays: dict[str, Any] = dict(self.weights.arrays())  # Any: stubs of numpy 2.2 see options in the names
            np.savez(packed, **arrays)
            found["weights.npz"] = packed.getvalue()
        return found

    def write(self, folder: pathlib.Path) -> None:
        """Writes the files."""
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in self.files().items():
            (folder / name).write_bytes(content)


def _seconds(moment: str) -> float:
    return datetime.fromisoformat(moment.replace("Z", "+00:00")).timestamp()


def _runs(of: Job | Experiment, weights: bool) -> Iterator[Run]:
    """One after the other, so that memory is that of one."""
    call = of.client._call

    def run(id: str, name: str | None) -> Run:
        document, found = call(_calls.job_get(id)), None
        if weights:
            with contextlib.suppress(Conflict, NotFound):  # none yet, or not kept
                found = call(_calls.weights(id, None))
        return Run(
            name or document.get("name") or f"job {id[-8:]}", document, call(_calls.metrics(id, None, None)), found
        )

    if isinstance(of, Job):
        yield run(of.id, None)
        return
    for trial in of.trials():
        if trial.job is not None and not trial.archived:
            yield run(trial.job, f"{trial.label} seed {trial.seed}")


def _module(name: str) -> Any:
    """A module of one of the packages; raises ImportError, which says how to get the package."""
    package = name.partition(".")[0]
    optional(package, f"export.{package}")
    return importlib.import_module(name)


def tensorboard(of: Job | Experiment, folder: str | pathlib.Path, *, weights: bool = True) -> list[pathlib.Path]:
    """Writes a folder a run into `folder`, for `tensorboard --logdir folder`, and returns these folders.

    Curves are scalars by iteration, parameters a table of text and hyperparameters, weights histograms at the iteration
    that they are of. weights: whether to read and write them. Raises ImportError, or FileExistsError where a run has
    been exported to this folder before.
    """
    writer = _module("tensorboard.summary.writer.event_file_writer")
    protocol = _module("tensorboard.compat.proto.event_pb2")
    made = []
    for run in _runs(of, weights):
        place = pathlib.Path(folder) / run.folder
        if place.exists():
            raise FileExistsError(f"{place} exists: choose another folder, or remove it")
        run.write(place)
        file, times = writer.EventFileWriter(str(place)), run.times()
        for (iteration, values), moment in zip(run.rows(), times, strict=True):
            summary = _scalars(values)
            file.add_event(protocol.Event(wall_time=moment, step=iteration, summary=summary))
        for iteration, summary in _described(run):
            file.add_event(protocol.Event(wall_time=run.begun, step=iteration, summary=summary))
        file.close()
        made.append(place)
    return made


def _scalars(values: Mapping[str, float]) -> Any:
    summary = _module("tensorboard.compat.proto.summary_pb2").Summary()
    for name, value in values.items():
        summary.value.add(tag=name, simple_value=value)
    return summary


def _described(run: Run) -> Iterator[tuple[int, Any]]:
    """Parameters and histograms of weights, as summaries with their iterations."""
    parameters = _module("tensorboard.plugins.hparams.summary_v2")
    histogram = _module("tensorboard.plugins.histogram.summary_v2")
    yield 0, parameters.hparams_pb(run.parameters())
    if run.weights is not None:
        for name, array in run.weights.arrays().items():
            yield run.weights.iteration, histogram.histogram_pb(f"weights/{name}", array)


def mlflow(
    of: Job | Experiment, folder: str | pathlib.Path, *, experiment: str | None = None, weights: bool = True
) -> list[str]:
    """Writes runs into MLflow's file store `folder`, for `mlflow ui --backend-store-uri folder`, and returns their ids.

    experiment: MLflow's, which is made where there is none of that name; by default the name of the experiment here,
    else "modprop". job.json and weights.npz are artifacts. weights: whether to read and write them. Raises ImportError.
    """
    package = _module("mlflow")
    entities = _module("mlflow.entities")
    place = pathlib.Path(folder).resolve()
    name = experiment or (of.name if isinstance(of, Experiment) else None) or "modprop"
    with _file_store():
        client = package.MlflowClient(tracking_uri=place.as_uri())
        known = client.get_experiment_by_name(name)
        into = known.experiment_id if known is not None else client.create_experiment(name)
        return [_mlflow_run(client, into, entities, run) for run in _runs(of, weights)]


@contextlib.contextmanager
def _file_store() -> Iterator[None]:
    """Newer versions of MLflow write files only where the environment says so."""
    name, before = "MLFLOW_ALLOW_FILE_STORE", os.environ.get("MLFLOW_ALLOW_FILE_STORE")
    os.environ[name] = "true"
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


def _mlflow_run(client: Any, into: str, entities: Any, run: Run) -> str:
    """Writes one run into the experiment `into`; its id."""
    tags = {"modprop.job": run.id, "modprop.status": str(run.document["status"])}
    made = str(client.create_run(into, start_time=int(1000 * run.begun), tags=tags, run_name=run.name).info.run_id)
    parameters = [entities.Param(key, str(value)) for key, value in run.parameters().items()]
    for chunk in _chunks(parameters, 100):
        client.log_batch(made, params=chunk)
    curves = [
        entities.Metric(key, value, int(1000 * moment), iteration)
        for (iteration, values), moment in zip(run.rows(), run.times(), strict=True)
        for key, value in values.items()
    ]
    for chunk in _chunks(curves, 1000):
        client.log_batch(made, metrics=chunk)
    with tempfile.TemporaryDirectory() as files:
        run.write(pathlib.Path(files))
        client.log_artifacts(made, files)
    ended = {"succeeded": "FINISHED", "failed": "FAILED", "cancelled": "KILLED"}.get(run.document["status"])
    if ended is not None:
        client.set_terminated(made, ended, int(1000 * _seconds(run.document["finished_at"])))
    return made


def _chunks(values: list[Any], size: int) -> Iterator[list[Any]]:
    for first in range(0, len(values), size):
        yield values[first : first + size]


def wandb(
    of: Job | Experiment, folder: str | pathlib.Path, *, project: str = "modprop", weights: bool = True
) -> list[pathlib.Path]:
    """Writes offline runs of Weights & Biases below `folder` and returns their folders, which `wandb sync` uploads
    whenever you choose.

    The runs of an experiment form a group of its name. weights: whether to read and write them. Raises ImportError.
    """
    package = _module("wandb")
    place = pathlib.Path(folder)
    place.mkdir(parents=True, exist_ok=True)
    group = (of.name or of.id) if isinstance(of, Experiment) else None
    made = []
    for run in _runs(of, weights):
        logged = package.init(
            mode="offline", dir=str(place), project=project, group=group, name=run.name, id=f"{run.id[-12:]}",
            config=run.parameters(), notes=run.document.get("notes") or None, tags=run.document.get("tags") or None,
            reinit="finish_previous", settings=package.Settings(silent=True, console="off", disable_git=True),
        )  # fmt: skip
        files = pathlib.Path(logged.dir)
        run.write(files)
        for iteration, values in run.rows():
            logged.log(values, step=iteration)
        logged.finish()
        made.append(files.parent)
    return made
