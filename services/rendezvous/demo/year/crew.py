"""The year's processes: those that run all year, and a scorer for each version that control calls active.

Somebody has to start the process of a version that the retrainer has deployed, and to end that of one that was retired:
an orchestrator does, which here is this module.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from rendezvous.local.services import RunningService, await_ready, started
from rendezvous.registry.events import State
from rendezvous.registry.naming import written
from rendezvous.registry.state import Control, Pair


class Crew:
    """Processes of one endpoint; all of them are stopped at the end.

    Args:
        endpoint: its name.
        surroundings: environment variables that every process gets.
        logs: folder for what they say.
        report: gets one line per stage.
    """

    def __init__(
        self, endpoint: str, surroundings: Mapping[str, str], logs: Path, report: Callable[[str], None]
    ) -> None:
        self._endpoint = endpoint
        self._surroundings = surroundings
        self._logs = logs
        self._report = report
        self._scorers: dict[Pair, RunningService] = {}
        self._others: dict[str, RunningService] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with ExitStack() as stack:  # each is stopped, whatever becomes of the others
            for service in (*self._others.values(), *self._scorers.values()):
                stack.callback(service.process.stop)

    def start(self, services: Sequence[str]) -> None:
        """Start what is named, e.g. `server`, and wait until it is ready."""
        new = {name: self._started(name, [name]) for name in services}
        self._others |= new
        await_ready(new, self._report)

    def follow(self, control: Control) -> bool:
        """A scorer for each active version: new ones are started and awaited, those of others stopped.

        Returns:
            Whether any was started or stopped.
        """
        active = [pair for pair in control.deployed if control.versions[pair].state is State.ACTIVE]
        surplus = set(self._scorers).difference(active)
        for pair in surplus:
            self._scorers.pop(pair).process.stop()
        new = {
            pair: self._started(".".join(pair), ["scorer", "--model", written(pair)])
            for pair in active
            if pair not in self._scorers
        }
        self._scorers |= new
        await_ready({service.name: service for service in new.values()}, self._report)
        return bool(new or surplus)

    def check(self) -> None:
        """Do they all run?

        Raises:
            LocalStackError: one has ended; the message ends with its log.
        """
        for service in self._others.values():
            service.alive()
        for scorer in self._scorers.values():
            if scorer.process.poll() != 0:  # with 0 ends one whose version was retired a moment ago
                scorer.alive()

    def _started(self, name: str, arguments: Sequence[str]) -> RunningService:
        return started(name, [*arguments, "--endpoint", self._endpoint], self._surroundings, self._logs)
