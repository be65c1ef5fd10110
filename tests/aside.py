"""Work beside the loop, where there are no threads: done at the moment when somebody looks for it."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any, TypeVar

T = TypeVar("T")


class Aside(Executor):
    """Takes work; `soon` says at each look whether it has been done by then."""

    def __init__(self, soon: Callable[[], bool]) -> None:
        self._soon = soon

    def submit(self, work: Callable[..., T], /, *given: Any, **named: Any) -> Future[T]:  # noqa: ANN401 - handed on
        """See `Executor.submit`."""
        return Later(lambda: work(*given, **named), self._soon)


class Later(Future[T]):
    """Work that somebody may wait for."""

    def __init__(self, work: Callable[[], T], soon: Callable[[], bool]) -> None:
        super().__init__()
        self._work = work
        self._soon = soon

    def done(self) -> bool:
        """Whether it is done; it may be done now."""
        if not super().done() and self._soon():
            try:
                self.set_result(self._work())
            except Exception as error:  # noqa: BLE001 - raised in whoever asks for the result
                self.set_exception(error)
        return super().done()
