"""A progress bar for a job or an experiment, by tqdm, where it is installed."""

from __future__ import annotations

from types import TracebackType
from typing import Any


class Bar:
    """Shows iterations (or trials), loss and accuracy; use as a context. It is left on the screen at the end."""

    def __init__(self, label: str, total: int | None, unit: str = "it") -> None:
        try:
            from tqdm.auto import tqdm
        except ImportError as error:
            raise ImportError("a progress bar needs tqdm: pip install tqdm") from error
        self._bar: Any = tqdm(total=total, desc=label, unit=unit, dynamic_ncols=True)

    def show(self, done: int, loss: float | None, accuracy: float | None) -> None:
        """Moves the bar to `done`."""
        numbers = {"loss": loss, "accuracy": accuracy}
        self._bar.set_postfix(
            {name: f"{value:.4g}" for name, value in numbers.items() if value is not None}, refresh=False
        )
        self._bar.update(done - self._bar.n)

    def __enter__(self) -> Bar:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.close()
