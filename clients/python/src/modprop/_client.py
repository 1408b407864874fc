"""The synchronous client. Safe to share between threads: httpx's client is, and a call keeps no state in ours."""

from __future__ import annotations

import os
import ssl
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import EllipsisType, TracebackType
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import httpx

from . import _arrays, _calls, _figures, _studies
from ._analyses import Analysis
from ._bar import Bar
from ._base import JobView, Settings, all_cursor, job_cursor
from ._calls import WAIT_SECONDS, Call, Cursor, Document, Patience
from ._compare import Comparison
from ._errors import Unavailable, problem_from
from ._experiment import Experiment
from ._results import Checkpoint, Dataset, Evaluation, Gradients, Metrics, Progress, Simulation, Spectrum, View, Weights
from ._spelled import spelled, takes_sections
from .parameters import Network, Optimizer, Rule, Task, Training

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from typing_extensions import Unpack

T = TypeVar("T")


class Client:
    """A connection to a modpropd.

    server: its address; else $MODPROP_SERVER, else what the configuration file of the command line says
    (~/.config/modprop/config), else http://127.0.0.1:8080.
    token: for a server that asks for one; else $MODPROP_TOKEN, else that in the file $MODPROP_TOKEN_FILE, else the
    configuration file's.
    timeout: seconds that one answer may take.
    patience: seconds for which a server that was reached before and is away now (a restart, a lost network) is waited
    for, and for which a full queue is.
    verify: for a server with its own certificate: a file of certificates to trust (else $MODPROP_CA_FILE, else
    the configuration file's ca_file), a context, or False for no check at all.

    Use it as a context, or call `close()`.
    """

    def __init__(
        self,
        server: str | None = None,
        *,
        token: str | None = None,
        timeout: float = 30.0,
        patience: float = 120.0,
        verify: bool | str | ssl.SSLContext = True,
    ) -> None:
        self._settings = Settings(server, token, timeout, patience, verify)
        self._http = httpx.Client(**self._settings.http)

    @property
    def server(self) -> str:
        """The server's address."""
        return self._settings.server

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.server}>"

    def close(self) -> None:
        """Closes the connections; jobs on the server go on."""
        self._http.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # ---- jobs

    @takes_sections
    def train(
        self,
        task: str | Task | Dataset = "delayed_xor",
        rule: str | Rule | None = None,
        *,
        network: Network | None = None,
        optimizer: str | Optimizer | None = None,
        training: Training | None = None,
        seed: int | None = None,
        name: str | None = None,
        notes: str | None = None,
        tags: Sequence[str] | None = None,
        metadata: Mapping[str, Any] | None = None,
        threads: int | None = None,
        priority: int | None = None,
        time_limit: int | None = None,
        idempotency_key: str | None = None,
    ) -> Job:
        """Submits a job and returns at once; it is durable on the server by then.

        task, rule, optimizer: a type's name, or a mapping with `type` and any of its parameters (`tasks()` and
        `rules()` list them, `modprop.parameters` has their types); a task may be a `Dataset`. network: its `initial`
        may be a job or its weights, to begin with. What is left out has the server's default, which for delayed XOR is
        the published run.
        seed: 0 to 2^53-1. The same seed gives the same initial weights and trials whatever the rule, so comparisons are
        paired.
        threads: at most that many. priority: higher starts first. time_limit: seconds of training after which the job
        fails. Raises InvalidRequest, naming every bad field.
        """
        document = _calls.job_document(
            task=task, rule=rule, network=network, optimizer=optimizer, training=training, seed=seed, name=name,
            notes=notes, tags=tags, metadata=metadata, threads=threads, priority=priority, time_limit=time_limit,
        )  # fmt: skip
        return self.submit(document, idempotency_key=idempotency_key)

    def submit(self, document: Mapping[str, Any], *, idempotency_key: str | None = None) -> Job:
        """Submits a job document as it is. With your own key the same submission can be repeated from another process
        too, find the first job."""
        return Job(self, self._call(_calls.submit(document, idempotency_key)))

    def validate(self, document: Mapping[str, Any]) -> Document:
        """The job with all defaults, its estimated memory and multiply-adds; nothing is stored. Raises
        InvalidRequest."""
        return self._call(_calls.validate(document))

    def job(self, id: str) -> Job:
        """The job of that id, of the beginning of one, or of the word "latest"; `jobs(name=...)` finds names. Raises
        NotFound, or ValueError where more than one id begins so."""
        search = _calls.IdSearch(id)
        while search.open:
            search.take(self._call(search.page()))
        return Job(self, self._call(_calls.job_get(search.found)))

    def jobs(
        self,
        q: str | None = None,
        *,
        view: str | None = None,
        status: str | None = None,
        task: str | None = None,
        rule: str | None = None,
        name: str | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> Iterator[Job]:
        """All jobs that match, newest first, read page by page as they are asked for.

        q: a query, such as "rule:eprop seed:1..5 loss<0.1 meta.lab=x"; server/QUERIES.md explains the language. view:
        the query of a saved view besides. The others are short for parts of a query; `metadata` need only be part of a
        job's. Raises InvalidRequest, which names the place of each fault.
        """
        after: str | None = None
        if view is not None:
            q = f"{(self._call(_calls.view_get(view))).q} {q or ''}".strip()
        while True:
            page = self._call(_calls.jobs_page(q, status, task, rule, name, 100, after))
            yield from (Job(self, document) for document in page["jobs"] if _calls.matches(document, name, metadata))
            after = page.get("next")
            if after is None:
                return

    def views(self) -> list[View]:
        """The saved views, by name."""
        return self._call(_calls.views())

    def save_view(
        self,
        name: str,
        q: str = "",
        *,
        of: Literal["jobs", "experiments"] = "jobs",
        sort: str | None = None,
        columns: Sequence[str] | None = None,
    ) -> View:
        """Saves a view under a name, in place of the one that has it, for all clients: a query, and how they show what
        it finds. sort: a field, with "-" before it in descending order. Raises InvalidRequest."""
        return self._call(_calls.view_put(name, q, of, sort, columns))

    def delete_view(self, name: str) -> None:
        """Deletes a saved view; what it shows stays."""
        self._call(_calls.view_delete(name))

    def events(self, *, after: int | None = None) -> Iterator[Document]:
        """Every event of every job, for ever: those after sequence number `after`, or from now on. Reconnects without a
        gap."""
        return self._follow(all_cursor(after))

    # ---- experiments

    @_studies.takes_study
    def experiment(
        self, base: Mapping[str, Any], *, idempotency_key: str | None = None, **study: Unpack[_studies.Study]
    ) -> Experiment:
        """Submits an experiment, conditions with seeds, and returns at once; it is durable on the server by then.

        base: a job without its seed, as a document: {"task": "delayed_xor", "training": {"iterations": 500}}. axes:
        what varies, from fields to values: {"rule": ["bptt", {"type": "modprop"}], "optimizer.learning_rate": [1e-4,
        1e-3]}, ranges ({"task.delay": {"linear": [300, 1500], "count": 5}}; log, uniform, log_uniform too), or
        several fields at once, by a name: {"size": [{"label": "small", "/network/units": 50}, ..]}; or a list as the
        contract has it. seeds: 20 for 1 to 20, or those listed.
        design: grid (every combination), zip, list (of `points`), random (`count` points). metrics: "final:loss",
        "best:accuracy", "area:loss", "loss_below:0.1:5" or documents of the contract, with names. compare: {"axis": ..,
        "to": index}. keep: {"weights": "all", "last" or "none"}. most_running: jobs at once. more: other members of the
        contract, such as reuse, random_seed. Jobs that the server has already are linked, not run. Raises
        InvalidRequest, naming every bad field of every point.
        """
        body = _studies.submission(base, study)
        return Experiment(self, self._call(_studies.create(body, idempotency_key)))

    @_studies.takes_study
    def validate_experiment(self, base: Mapping[str, Any], **study: Unpack[_studies.Study]) -> Document:
        """The number of points and trials and an estimate of their cost (core_hours, bytes); nothing is stored. Takes
        what `experiment` does, and raises as it does."""
        body = _studies.submission(base, study)
        return self._call(_studies.validate(body))

    def get_experiment(self, id: str) -> Experiment:
        """The experiment of that id, of the beginning of one, of the word "latest", or of that name. Raises NotFound,
        or ValueError where there is more than one."""
        search = _calls.IdSearch(id, "experiment")
        while search.open:
            search.take(self._call(search.page()))
        found = search.found
        if found == id and len(id) != _calls.ID_CHARACTERS:
            named = [one.id for one in self.experiments(_studies.named(id)) if one.name == id]
            if len(named) > 1:
                raise ValueError(f"more than one experiment has the name {id!r}: {', '.join(named)}; give the id")
            found = named[0] if named else id
        return Experiment(self, self._call(_studies.get(found)))

    def experiments(self, q: str | None = None, *, view: str | None = None) -> Iterator[Experiment]:
        """All experiments that match a query, such as "status:running tag:paper", newest first, read page by page.
        view: the query of a saved view besides. Raises InvalidRequest, which names the place of each fault."""
        after: str | None = None
        if view is not None:
            q = f"{(self._call(_calls.view_get(view))).q} {q or ''}".strip()
        while True:
            page = self._call(_studies.page(q, after))
            for document in page["experiments"]:
                yield Experiment(self, document)
            after = page.get("next")
            if after is None:
                return

    def compare(
        self,
        jobs: Iterable[Job | str] | None = None,
        *,
        q: str | None = None,
        by: Sequence[str] | None = None,
        metrics: _studies.Metrics | None = None,
        to: int | None = None,
        curves: Sequence[str] = _studies.CURVES,
        seeds: bool = True,
        mean: bool = False,
    ) -> Comparison:
        """Compares jobs, or those that a query finds, as the server does: medians, intervals, paired differences.

        by: the fields that make points (name, task, rule, or a parameter such as "task.delay", "meta.lab"); without it
        jobs that differ in nothing but the seed are one point. metrics: as in `experiment`; by default when the loss
        was under 0.1 five times in a row, final loss and final accuracy. to: the index of the point with which the
        others are compared. curves: those to fetch besides; seeds: with each job's own; mean: with means.
        """
        ids = None
        if jobs is not None:
            ids = [(self.job(job)).id if isinstance(job, str) else job.id for job in jobs]
        call = _studies.compare(ids, q=q, by=by, metrics=metrics, to=to, curves=curves, seeds=seeds, mean=mean)
        return self._call(call)

    # ---- datasets

    def dataset(
        self,
        inputs: Any,
        targets: Any,
        *,
        mask: Any = None,
        test_inputs: Any = None,
        test_targets: Any = None,
        test_mask: Any = None,
        name: str | None = None,
    ) -> Dataset:
        """Uploads one's own task and returns what `train(task=...)` takes.

        inputs: (T,B,I) real, T steps (of 1 ms) of B trials, or Spikes, which are never expanded. targets: integer
        classes (cross-entropy), one a trial (B) or one a step (T,B), or (T,B,O) values (squared error). mask: (T,B),
        how much each step counts; all alike without it. test_*: trials to evaluate on, else evaluations draw from the
        same. name: else one made of the content, so that the same arrays are stored once. `modprop.datasets` makes
        such arrays of sequences and of published data: `client.dataset(**trials)`. Raises ValueError, or
        InvalidRequest, naming the array.
        """
        arrays = {
            "inputs": inputs, "targets": targets, "mask": mask,
            "test_inputs": test_inputs, "test_targets": test_targets, "test_mask": test_mask,
        }  # fmt: skip
        return self._call(_calls.dataset_put(name, arrays))

    def dataset_file(self, path: str | os.PathLike[str], *, name: str | None = None) -> Dataset:
        """Uploads a file of arrays named as in `dataset`: .npz (numpy.savez) or .safetensors. Raises as `dataset` does,
        and ValueError for an array of another name."""
        return self._call(_calls.dataset_put(name, _arrays.dataset_file(path)))

    def put_weights(self, weights: Any, *, name: str | None = None) -> Dataset:
        """Uploads weights, of any size, for `train(network={"initial": ...})`: the path of a safetensors file, Weights,
        or a mapping with W (N,N), Win (I,N), perhaps b (N), Wout (N,O) and bout (O). The network's units follow from
        them; a job keeps what it was accepted with, and its `network.initial` says which that was. name: else one made
        of the content."""
        return self._call(_calls.weights_put(name, weights))

    def dataset_arrays(self, dataset: str | Dataset) -> dict[str, Any]:
        """The arrays of a dataset's newest version, by name, as the server stores them; inputs that are spikes as
        Spikes."""
        return self._call(_calls.dataset_get(dataset))

    def datasets(self) -> list[Dataset]:
        """All datasets and files of weights, by name; of each the newest version."""
        found, after = self._call(_calls.datasets())
        while after:
            more, after = self._call(_calls.datasets(after))
            found += more
        return found

    def delete_dataset(self, name: str) -> None:
        """Deletes the dataset's name; versions that jobs rest on stay until those jobs are deleted."""
        self._call(_calls.dataset_delete(name))

    # ---- the rest of the contract

    def tasks(self) -> list[Document]:
        """What can be trained: each task with its parameters (unit, type, default, range, meaning)."""
        return self._call(_calls.tasks())

    def rules(self) -> list[Document]:
        """The learning rules, each with its parameters."""
        return self._call(_calls.rules())

    def neurons(self) -> list[Document]:
        """The neuron models, each with the parameters of its network."""
        return self._call(_calls.neurons())

    def analyses(self) -> list[Document]:
        """The analyses that `job.analyse` takes, each with its parameters and results."""
        return self._call(_calls.analyses())

    def version(self) -> Document:
        """The daemon's version and limits."""
        return self._call(_calls.version())

    def gradients(
        self,
        network: Mapping[str, Any],
        inputs: Any,
        targets: Any,
        rules: Sequence[str | Rule],
        *,
        mask: Any = None,
        loss: str = "cross_entropy",
    ) -> Gradients:
        """What each of `rules` makes of one batch, and its cosine with the true gradient; nothing is trained or stored.

        network: W (N,N), Win (I,N), b (N,) or absent, Wout (N,O), bout (O,), leak (N,), types (N,), activation ("relu",
        "tanh").
        inputs: (T,B,I). targets: (T,B) classes, or (T,B,O) values with loss "mse". mask: (T,B); every step counts
        without it.
        """
        request = {"network": network, "inputs": inputs, "targets": targets, "mask": mask, "loss": loss}
        request["rules"] = [_calls.specification(rule) for rule in rules]
        return self._call(_calls.gradients({name: value for name, value in request.items() if value is not None}))

    # ---- how calls are carried out

    def _call(self, call: Call[T]) -> T:
        patience, again = Patience(), False
        while True:
            try:
                response = self._http.request(call.method, call.path, **call.arguments(self._settings.timeout))
                self._settings.reached = True
                return call.result(response, again)
            except Unavailable as error:
                time.sleep(self._settings.delay(patience, error))
            except httpx.TransportError as error:
                time.sleep(self._settings.delay(patience, error))
                again = True

    def _follow(self, cursor: Cursor, end: float | None = None) -> Iterator[Document]:
        """The events of a stream over as many connections as it takes, until it ends or the moment `end` comes."""
        patience = Patience()
        while not cursor.ended and not _calls.has_passed(end):
            opened, timeout = False, _calls.stream_timeout(self._settings.timeout, end)
            try:
                with self._http.stream("GET", cursor.path, headers=cursor.headers(), timeout=timeout) as response:
                    self._settings.reached = True
                    if response.status_code == 204:
                        return
                    if response.is_error:
                        response.read()
                        raise problem_from(response)
                    opened = True
                    for data in response.iter_bytes():
                        patience.reset()
                        yield from cursor.feed(data)
                        if _calls.has_passed(end):
                            return
                if not cursor.ended:
                    raise _calls.stream_ended()
            except (httpx.TransportError, Unavailable) as error:
                if opened and isinstance(error, httpx.ReadTimeout):
                    patience.reset()  # it answered and fell silent: quiet, or gone, which the next try shows
                else:
                    time.sleep(self._settings.delay(patience, error))


class Job(JobView):
    """A job on the server. Iterate over it for its progress; `wait()` for its end; read `weights` and `metrics()`.

    `document` and the properties are what the client last heard; `refresh()` asks again.
    """

    def __init__(self, client: Client, document: Document) -> None:
        super().__init__(document)
        self.client = client
        self._weights: Weights | None = None

    def refresh(self) -> Job:
        """Asks the server for the job as it is now."""
        self.document = self.client._call(_calls.job_get(self.id))
        return self

    def __iter__(self) -> Iterator[Progress]:
        """Every evaluation of the job, those of the past first, until it ends; continues across lost connections and
        restarts of the server. Raises JobFailed after the last where the job failed or was cancelled. Where the job
        waits in the queue, the logger "modprop" says behind how many.
        """
        self._say_queue()
        for event in self.events():
            if event.get("type") == "progress":
                yield Progress.from_event(event, self.iterations)
        self.refresh()._check()

    def events(self, *, after: int = 0) -> Iterator[Document]:
        """The job's events with an id over `after`, each once, until it ends: `id`, `seq`, `type`, `time` and what the
        type brings."""
        for event in self.client._follow(job_cursor(self.id, after)):
            self._learn(event)
            yield event

    def wait(self, timeout: float | None = None, *, progress: bool = False, check: bool = True) -> Job:
        """Waits until the job ends; raises TimeoutError after `timeout` seconds (the job keeps running).

        progress: show a bar (needs tqdm). check: raise JobFailed where it failed or was cancelled; else look at
        `status`.
        """
        end = None if timeout is None else time.monotonic() + timeout
        if progress:
            self._show(end)
        self.refresh()
        while not self.finished:
            if end is not None and _calls.has_passed(end):
                raise TimeoutError(f"job {self.id} is still {self.status} after {timeout:g} s")
            left = WAIT_SECONDS if end is None else end - time.monotonic()
            self.document = self.client._call(_calls.job_get(self.id, wait=min(WAIT_SECONDS, left)))
        if check:
            self._check()
        return self

    def _show(self, end: float | None) -> None:
        with Bar(self._label(), self.iterations) as bar:
            for event in self.client._follow(job_cursor(self.id, 0), end):
                self._learn(event)
                if event.get("type") == "progress":
                    bar.show(event["iteration"], event.get("loss"), event.get("accuracy"))

    def update(
        self,
        *,
        name: str | EllipsisType | None = ...,
        notes: str | EllipsisType | None = ...,
        tags: Sequence[str] | EllipsisType | None = ...,
    ) -> Job:
        """Changes the name, notes or tags; what is not given stays, None removes. May be done at any time: they reach
        no result. Raises InvalidRequest."""
        self.document = self.client._call(_calls.job_update(self.id, name, notes, tags))
        return self

    def cancel(self) -> Job:
        """Ends the job; its checkpoints and events stay."""
        return self._control("cancel")

    def pause(self) -> Job:
        """Checkpoints and stops; `resume()` continues to the same weights, bit for bit."""
        return self._control("pause")

    def resume(self) -> Job:
        """Goes on with a paused job."""
        return self._control("resume")

    def extend(
        self,
        iterations: int,
        *,
        stop_when: Mapping[str, Any] | Literal["keep"] | None = "keep",
        idempotency_key: str | None = None,
    ) -> Job:
        """A new job that continues this one, which must have ended, from its newest checkpoint, with optimiser and
        schedule: its weights and curves are those of a job submitted with so many iterations at the start, bit for bit.

        iterations: in all, those already made included. stop_when: another condition, or None; needed where the job
        ended by its own. Raises Conflict for a job that runs or has no checkpoint, InvalidRequest for what does not
        fit.
        """
        return Job(self.client, self.client._call(_calls.extend(self.id, iterations, stop_when, idempotency_key)))

    def retry(self, *, idempotency_key: str | None = None) -> Job:
        """Submits this job, which failed or was cancelled, again as a new one, from its beginning. Raises Conflict."""
        return Job(self.client, self.client._call(_calls.retry(self.id, idempotency_key)))

    def delete(self) -> None:
        """Deletes the job with all that belongs to it. Raises Conflict while it runs."""
        self.client._call(_calls.job_delete(self.id))

    def _control(self, word: str) -> Job:
        self.document = self.client._call(_calls.job_control(self.id, word))
        return self

    def metrics(self, *, points: int | None = None, keys: Sequence[str] | None = None) -> Metrics:
        """The learning curve so far; `points` thins it on the server (spikes stay), `keys` chooses columns."""
        return self.client._call(_calls.metrics(self.id, points, keys))

    @property
    def weights(self) -> Weights:
        """The final weights, or the newest checkpoint's while the job runs (Conflict before the first); checked against
        their SHA-256."""
        if self._weights is None:
            final = self.finished
            weights = self.client._call(_calls.weights(self.id, None))
            if not final:
                return weights
            self._weights = weights
        return self._weights

    def weights_at(self, iteration: int) -> Weights:
        """Those of a checkpoint that the server still holds (see `checkpoints()`)."""
        return self.client._call(_calls.weights(self.id, iteration))

    def spectrum(self, iteration: int | None = None) -> Spectrum:
        """The eigenvalues of W, computed by the server: of the newest checkpoint, or of the one of this iteration."""
        return self.client._call(_calls.spectrum(self.id, iteration))

    def analyse(self, type: str, **parameters: Any) -> Analysis:
        """An analysis of the job's network, computed by the server: `client.analyses()` lists the types, their
        parameters and results. `iteration` chooses a checkpoint; without it the newest is analysed.

        `analyse("dimensionality", trials=64, components=3)["trajectories"]` is (K,B,3): the trials' paths along the
        principal components of activity. Raises InvalidRequest, naming every bad parameter."""
        return self.client._call(_calls.analyse(self.id, type, parameters))

    def checkpoints(self) -> list[Checkpoint]:
        """The checkpoints that the server still holds."""
        return self.client._call(_calls.checkpoints(self.id))

    @spelled(_calls.Simulated)
    def simulate(self, **run: Unpack[_calls.Simulated]) -> Simulation:
        """Runs the trained network and returns what goes in, what its units do and what comes out.

        trials: how many fresh trials of the task, drawn by `seed`; with split="test" the first of its test split
        instead.
        inputs: (T,B,I), your own, in place of trials. units: whose rates are returned (10, of all cell types). every:
        steps between two returned values. iteration: of a checkpoint that is still stored (the newest). split may be
        "training", too; first: number of the first trial in its split.

        For the run alone: weights in the place of the trained ones (`Weights`, a mapping, or another job for its
        newest); dataset: whose trials; lesion: {"units": [...], "synapses": [[from, to], ...]} to silence; noise: the
        standard deviation of noise on every unit's input current.
        """
        return self.client._call(_calls.simulate(self.id, run))

    @spelled(_calls.Evaluated)
    def evaluate(self, **run: Unpack[_calls.Evaluated]) -> Evaluation:
        """Loss and accuracy of the network on the test split of its task, else on the training split, else on fresh
        trials drawn by `seed`: whichever there is first, or the one that split names ("test", "training", "fresh").
        trials: how many of it, from the `first` on (all; of fresh ones a batch). The others as for `simulate`.
        """
        return self.client._call(_calls.evaluate(self.id, run))

    def plot(self, axes: Axes | None = None, *, metric: str = "loss") -> Axes:
        """Draws the curve so far and returns the axes (needs matplotlib)."""
        return self.metrics().plot(axes, metric=metric, label=self._label())

    def plot_weights(self, axes: Axes | None = None, *, iteration: int | None = None) -> Axes:
        """W as a map, of the newest checkpoint or of one that is still stored (needs matplotlib)."""
        call = _calls.weights(self.id, iteration)
        return (self.client._call(call)).plot(axes)

    def plot_spectrum(self, axes: Axes | None = None, *, iteration: int | None = None) -> Axes:
        """The eigenvalues of W in the complex plane (needs matplotlib)."""
        return (self.spectrum(iteration)).plot(axes)

    def plot_activity(self, axes: Axes | None = None, *, seed: int = 0, **simulation: Any) -> Axes:
        """The rates of a fresh trial over time; takes what `simulate` does (needs matplotlib)."""
        return (self.simulate(seed=seed, **simulation)).plot(axes)

    def plot_alignment(self, axes: Axes | None = None) -> Axes:
        """The cosine of the rule's gradient with the true one over training, of a job with the diagnostic `cosine`
        (needs matplotlib). Raises ValueError where there is none."""
        return _figures.alignment(self.metrics(), axes)
