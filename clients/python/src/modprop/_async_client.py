"""The asynchronous client: the same calls as `_client`, awaited. For one event loop."""

from __future__ import annotations

import asyncio
import os
import ssl
import time
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from types import EllipsisType, TracebackType
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import httpx

from . import _arrays, _calls, _figures, _studies
from ._analyses import Analysis
from ._async_experiment import AsyncExperiment
from ._bar import Bar
from ._base import JobView, Settings, all_cursor, job_cursor
from ._calls import WAIT_SECONDS, Call, Cursor, Document, Patience
from ._compare import Comparison
from ._errors import Unavailable, problem_from
from ._results import Checkpoint, Dataset, Evaluation, Gradients, Metrics, Progress, Simulation, Spectrum, View, Weights
from ._spelled import spelled, takes_sections
from .parameters import Network, Optimizer, Rule, Task, Training

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from typing_extensions import Unpack

T = TypeVar("T")


class AsyncClient:
    """As `Client`, with methods to await. Use it as an asynchronous context, or await `close()`."""

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
        self._http = httpx.AsyncClient(**self._settings.http)

    @property
    def server(self) -> str:
        """The server's address."""
        return self._settings.server

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.server}>"

    async def close(self) -> None:
        """See `Client.close`."""
        await self._http.aclose()

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    # ---- jobs

    @takes_sections
    async def train(
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
    ) -> AsyncJob:
        """See `Client.train`."""
        document = _calls.job_document(
            task=task, rule=rule, network=network, optimizer=optimizer, training=training, seed=seed, name=name,
            notes=notes, tags=tags, metadata=metadata, threads=threads, priority=priority, time_limit=time_limit,
        )  # fmt: skip
        return await self.submit(document, idempotency_key=idempotency_key)

    async def submit(self, document: Mapping[str, Any], *, idempotency_key: str | None = None) -> AsyncJob:
        """See `Client.submit`."""
        return AsyncJob(self, await self._call(_calls.submit(document, idempotency_key)))

    async def validate(self, document: Mapping[str, Any]) -> Document:
        """See `Client.validate`."""
        return await self._call(_calls.validate(document))

    async def job(self, id: str) -> AsyncJob:
        """See `Client.job`."""
        search = _calls.IdSearch(id)
        while search.open:
            search.take(await self._call(search.page()))
        return AsyncJob(self, await self._call(_calls.job_get(search.found)))

    async def jobs(
        self,
        q: str | None = None,
        *,
        view: str | None = None,
        status: str | None = None,
        task: str | None = None,
        rule: str | None = None,
        name: str | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> AsyncIterator[AsyncJob]:
        """See `Client.jobs`."""
        after: str | None = None
        if view is not None:
            q = f"{(await self._call(_calls.view_get(view))).q} {q or ''}".strip()
        while True:
            page = await self._call(_calls.jobs_page(q, status, task, rule, name, 100, after))
            for document in page["jobs"]:
                if _calls.matches(document, name, metadata):
                    yield AsyncJob(self, document)
            after = page.get("next")
            if after is None:
                return

    async def views(self) -> list[View]:
        """See `Client.views`."""
        return await self._call(_calls.views())

    async def save_view(
        self,
        name: str,
        q: str = "",
        *,
        of: Literal["jobs", "experiments"] = "jobs",
        sort: str | None = None,
        columns: Sequence[str] | None = None,
    ) -> View:
        """See `Client.save_view`."""
        return await self._call(_calls.view_put(name, q, of, sort, columns))

    async def delete_view(self, name: str) -> None:
        """See `Client.delete_view`."""
        await self._call(_calls.view_delete(name))

    def events(self, *, after: int | None = None) -> AsyncIterator[Document]:
        """See `Client.events`."""
        return self._follow(all_cursor(after))

    # ---- experiments

    @_studies.takes_study
    async def experiment(
        self, base: Mapping[str, Any], *, idempotency_key: str | None = None, **study: Unpack[_studies.Study]
    ) -> AsyncExperiment:
        """See `Client.experiment`."""
        body = _studies.submission(base, study)
        return AsyncExperiment(self, await self._call(_studies.create(body, idempotency_key)))

    @_studies.takes_study
    async def validate_experiment(self, base: Mapping[str, Any], **study: Unpack[_studies.Study]) -> Document:
        """See `Client.validate_experiment`."""
        body = _studies.submission(base, study)
        return await self._call(_studies.validate(body))

    async def get_experiment(self, id: str) -> AsyncExperiment:
        """See `Client.get_experiment`."""
        search = _calls.IdSearch(id, "experiment")
        while search.open:
            search.take(await self._call(search.page()))
        found = search.found
        if found == id and len(id) != _calls.ID_CHARACTERS:
            named = [one.id async for one in self.experiments(_studies.named(id)) if one.name == id]
            if len(named) > 1:
                raise ValueError(f"more than one experiment has the name {id!r}: {', '.join(named)}; give the id")
            found = named[0] if named else id
        return AsyncExperiment(self, await self._call(_studies.get(found)))

    async def experiments(self, q: str | None = None, *, view: str | None = None) -> AsyncIterator[AsyncExperiment]:
        """See `Client.experiments`."""
        after: str | None = None
        if view is not None:
            q = f"{(await self._call(_calls.view_get(view))).q} {q or ''}".strip()
        while True:
            page = await self._call(_studies.page(q, after))
            for document in page["experiments"]:
                yield AsyncExperiment(self, document)
            after = page.get("next")
            if after is None:
                return

    async def compare(
        self,
        jobs: Iterable[AsyncJob | str] | None = None,
        *,
        q: str | None = None,
        by: Sequence[str] | None = None,
        metrics: _studies.Metrics | None = None,
        to: int | None = None,
        curves: Sequence[str] = _studies.CURVES,
        seeds: bool = True,
        mean: bool = False,
    ) -> Comparison:
        """See `Client.compare`."""
        ids = None
        if jobs is not None:
            ids = [(await self.job(job)).id if isinstance(job, str) else job.id for job in jobs]
        call = _studies.compare(ids, q=q, by=by, metrics=metrics, to=to, curves=curves, seeds=seeds, mean=mean)
        return await self._call(call)

    # ---- datasets

    async def dataset(
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
        """See `Client.dataset`."""
        arrays = {
            "inputs": inputs, "targets": targets, "mask": mask,
            "test_inputs": test_inputs, "test_targets": test_targets, "test_mask": test_mask,
        }  # fmt: skip
        return await self._call(_calls.dataset_put(name, arrays))

    async def dataset_file(self, path: str | os.PathLike[str], *, name: str | None = None) -> Dataset:
        """See `Client.dataset_file`."""
        return await self._call(_calls.dataset_put(name, _arrays.dataset_file(path)))

    async def put_weights(self, weights: Any, *, name: str | None = None) -> Dataset:
        """See `Client.put_weights`."""
        return await self._call(_calls.weights_put(name, weights))

    async def dataset_arrays(self, dataset: str | Dataset) -> dict[str, Any]:
        """See `Client.dataset_arrays`."""
        return await self._call(_calls.dataset_get(dataset))

    async def datasets(self) -> list[Dataset]:
        """See `Client.datasets`."""
        found, after = await self._call(_calls.datasets())
        while after:
            more, after = await self._call(_calls.datasets(after))
            found += more
        return found

    async def delete_dataset(self, name: str) -> None:
        """See `Client.delete_dataset`."""
        await self._call(_calls.dataset_delete(name))

    # ---- the rest of the contract

    async def tasks(self) -> list[Document]:
        """See `Client.tasks`."""
        return await self._call(_calls.tasks())

    async def rules(self) -> list[Document]:
        """See `Client.rules`."""
        return await self._call(_calls.rules())

    async def neurons(self) -> list[Document]:
        """See `Client.neurons`."""
        return await self._call(_calls.neurons())

    async def analyses(self) -> list[Document]:
        """The analyses that `job.analyse` takes, each with its parameters and results."""
        return await self._call(_calls.analyses())

    async def version(self) -> Document:
        """See `Client.version`."""
        return await self._call(_calls.version())

    async def gradients(
        self,
        network: Mapping[str, Any],
        inputs: Any,
        targets: Any,
        rules: Sequence[str | Rule],
        *,
        mask: Any = None,
        loss: str = "cross_entropy",
    ) -> Gradients:
        """See `Client.gradients`."""
        request = {"network": network, "inputs": inputs, "targets": targets, "mask": mask, "loss": loss}
        request["rules"] = [_calls.specification(rule) for rule in rules]
        return await self._call(_calls.gradients({name: value for name, value in request.items() if value is not None}))

    # ---- how calls are carried out

    async def _call(self, call: Call[T]) -> T:
        patience, again = Patience(), False
        while True:
            try:
                response = await self._http.request(call.method, call.path, **call.arguments(self._settings.timeout))
                self._settings.reached = True
                return call.result(response, again)
            except Unavailable as error:
                await asyncio.sleep(self._settings.delay(patience, error))
            except httpx.TransportError as error:
                await asyncio.sleep(self._settings.delay(patience, error))
                again = True

    async def _follow(self, cursor: Cursor, end: float | None = None) -> AsyncIterator[Document]:
        """The events of a stream over as many connections as it takes, until it ends or the moment `end` comes."""
        patience = Patience()
        while not cursor.ended and not _calls.has_passed(end):
            opened, timeout = False, _calls.stream_timeout(self._settings.timeout, end)
            try:
                async with self._http.stream("GET", cursor.path, headers=cursor.headers(), timeout=timeout) as response:
                    self._settings.reached = True
                    if response.status_code == 204:
                        return
                    if response.is_error:
                        await response.aread()
                        raise problem_from(response)
                    opened = True
                    async for data in response.aiter_bytes():
                        patience.reset()
                        for event in cursor.feed(data):
                            yield event
                        if _calls.has_passed(end):
                            return
                if not cursor.ended:
                    raise _calls.stream_ended()
            except (httpx.TransportError, Unavailable) as error:
                if opened and isinstance(error, httpx.ReadTimeout):
                    patience.reset()  # it answered and fell silent: quiet, or gone, which the next try shows
                else:
                    await asyncio.sleep(self._settings.delay(patience, error))


class AsyncJob(JobView):
    """As `Job`, with methods to await: `async for progress in job`, `await job.wait()`, `await job.weights()`."""

    def __init__(self, client: AsyncClient, document: Document) -> None:
        super().__init__(document)
        self.client = client

    async def refresh(self) -> AsyncJob:
        """See `Job.refresh`."""
        self.document = await self.client._call(_calls.job_get(self.id))
        return self

    async def __aiter__(self) -> AsyncIterator[Progress]:
        """See `Job.__iter__`."""
        self._say_queue()
        async for event in self.events():
            if event.get("type") == "progress":
                yield Progress.from_event(event, self.iterations)
        (await self.refresh())._check()

    async def events(self, *, after: int = 0) -> AsyncIterator[Document]:
        """See `Job.events`."""
        async for event in self.client._follow(job_cursor(self.id, after)):
            self._learn(event)
            yield event

    async def wait(self, timeout: float | None = None, *, progress: bool = False, check: bool = True) -> AsyncJob:
        """See `Job.wait`."""
        end = None if timeout is None else time.monotonic() + timeout
        if progress:
            await self._show(end)
        await self.refresh()
        while not self.finished:
            if end is not None and _calls.has_passed(end):
                raise TimeoutError(f"job {self.id} is still {self.status} after {timeout:g} s")
            left = WAIT_SECONDS if end is None else end - time.monotonic()
            self.document = await self.client._call(_calls.job_get(self.id, wait=min(WAIT_SECONDS, left)))
        if check:
            self._check()
        return self

    async def _show(self, end: float | None) -> None:
        with Bar(self._label(), self.iterations) as bar:
            async for event in self.client._follow(job_cursor(self.id, 0), end):
                self._learn(event)
                if event.get("type") == "progress":
                    bar.show(event["iteration"], event.get("loss"), event.get("accuracy"))

    async def update(
        self,
        *,
        name: str | EllipsisType | None = ...,
        notes: str | EllipsisType | None = ...,
        tags: Sequence[str] | EllipsisType | None = ...,
    ) -> AsyncJob:
        """See `Job.update`."""
        self.document = await self.client._call(_calls.job_update(self.id, name, notes, tags))
        return self

    async def cancel(self) -> AsyncJob:
        """See `Job.cancel`."""
        return await self._control("cancel")

    async def pause(self) -> AsyncJob:
        """See `Job.pause`."""
        return await self._control("pause")

    async def resume(self) -> AsyncJob:
        """See `Job.resume`."""
        return await self._control("resume")

    async def extend(
        self,
        iterations: int,
        *,
        stop_when: Mapping[str, Any] | Literal["keep"] | None = "keep",
        idempotency_key: str | None = None,
    ) -> AsyncJob:
        """See `Job.extend`."""
        call = _calls.extend(self.id, iterations, stop_when, idempotency_key)
        return AsyncJob(self.client, await self.client._call(call))

    async def retry(self, *, idempotency_key: str | None = None) -> AsyncJob:
        """See `Job.retry`."""
        return AsyncJob(self.client, await self.client._call(_calls.retry(self.id, idempotency_key)))

    async def delete(self) -> None:
        """See `Job.delete`."""
        await self.client._call(_calls.job_delete(self.id))

    async def _control(self, word: str) -> AsyncJob:
        self.document = await self.client._call(_calls.job_control(self.id, word))
        return self

    async def metrics(self, *, points: int | None = None, keys: Sequence[str] | None = None) -> Metrics:
        """See `Job.metrics`."""
        return await self.client._call(_calls.metrics(self.id, points, keys))

    async def weights(self, iteration: int | None = None) -> Weights:
        """See `Job.weights` and `Job.weights_at`."""
        return await self.client._call(_calls.weights(self.id, iteration))

    async def plot(self, axes: Axes | None = None, *, metric: str = "loss") -> Axes:
        """See `Job.plot`."""
        return (await self.metrics()).plot(axes, metric=metric, label=self._label())

    async def plot_weights(self, axes: Axes | None = None, *, iteration: int | None = None) -> Axes:
        """W as a map, of the newest checkpoint or of one that is still stored (needs matplotlib)."""
        call = _calls.weights(self.id, iteration)
        return (await self.client._call(call)).plot(axes)

    async def plot_spectrum(self, axes: Axes | None = None, *, iteration: int | None = None) -> Axes:
        """The eigenvalues of W in the complex plane (needs matplotlib)."""
        return (await self.spectrum(iteration)).plot(axes)

    async def plot_activity(self, axes: Axes | None = None, *, seed: int = 0, **simulation: Any) -> Axes:
        """The rates of a fresh trial over time; takes what `simulate` does (needs matplotlib)."""
        return (await self.simulate(seed=seed, **simulation)).plot(axes)

    async def plot_alignment(self, axes: Axes | None = None) -> Axes:
        """The cosine of the rule's gradient with the true one over training, of a job with the diagnostic `cosine`
        (needs matplotlib). Raises ValueError where there is none."""
        return _figures.alignment(await self.metrics(), axes)

    async def spectrum(self, iteration: int | None = None) -> Spectrum:
        """See `Job.spectrum`."""
        return await self.client._call(_calls.spectrum(self.id, iteration))

    async def analyse(self, type: str, **parameters: Any) -> Analysis:
        """An analysis of the job's network, computed by the server: `client.analyses()` lists the types, their
        parameters and results. `iteration` chooses a checkpoint; without it the newest is analysed.

        `analyse("dimensionality", trials=64, components=3)["trajectories"]` is (K,B,3): the trials' paths along the
        principal components of activity. Raises InvalidRequest, naming every bad parameter."""
        return await self.client._call(_calls.analyse(self.id, type, parameters))

    async def checkpoints(self) -> list[Checkpoint]:
        """See `Job.checkpoints`."""
        return await self.client._call(_calls.checkpoints(self.id))

    @spelled(_calls.Simulated)
    async def simulate(self, **run: Unpack[_calls.Simulated]) -> Simulation:
        """See `Job.simulate`."""
        return await self.client._call(_calls.simulate(self.id, run))

    @spelled(_calls.Evaluated)
    async def evaluate(self, **run: Unpack[_calls.Evaluated]) -> Evaluation:
        """See `Job.evaluate`."""
        return await self.client._call(_calls.evaluate(self.id, run))
