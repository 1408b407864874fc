"""A progress bar for a job, by tqdm, where it is installed."""

from __future__ import annotations

from types import TracebackType
from typing import Any

from ._results import Progress


class Bar:
    """Shows iterations, loss and accuracy; use as a context. It is left on the screen when the job has ended."""

    def __init__(self, label: str, iterations: int | None) -> None:
        try:
            from tqdm.auto import tqdm
        except ImportError as error:
            raise ImportError("a progress bar needs tqdm: pip install tqdm") from error
        self._bar: Any = tqdm(total=iterations, desc=label, unit="it", dynamic_ncols=True)

    def show(self, progress: Progress) -> None:
        numbers = {"loss": progress.loss, "accuracy": progress.accuracy}
        self._bar.set_postfix(
            {name: f"{value:.4g}" for name, value in numbers.items() if value is not None}, refresh=False
        )
        self._bar.update(progress.iteration - self._bar.n)

    def __enter__(self) -> Bar:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.close()
