"""Control as it stood at every position, and the plans that followed from it."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import replace

from rendezvous.log.records import Record
from rendezvous.registry.state import Control, Pair
from rendezvous.rules import Rules
from rendezvous.server.following import followed
from rendezvous.server.plan import Axis, Plan, plan_for
from rendezvous.settings import Endpoint, SettingsError


class HistoryError(Exception):
    """There is no plan at a position; the message says why."""


class History:
    """What `<endpoint>.control` said, from its beginning on.

    `rules`: instead of those that were in force; versions, aliases, weights and suspensions stay as they were.
    """

    def __init__(self, endpoint: Endpoint, records: Iterable[Record], rules: Rules | None = None) -> None:
        self.endpoint = endpoint
        self._rules = rules
        self._states = [Control()]
        for record in records:
            control, _ = followed(endpoint, self._states[-1], [record])
            self._states.append(control)
        self._positions = [control.position for control in self._states]
        self._plans: dict[tuple[int, int, Axis | None], Plan] = {}

    def under(self, rules: Rules) -> History:
        """The same history under other rules."""
        other = History(self.endpoint, (), rules)
        other._states, other._positions = self._states, self._positions
        return other

    @property
    def versions(self) -> frozenset[Pair]:
        """All that were ever deployed."""
        return frozenset(self._states[-1].versions)

    @property
    def last(self) -> int:
        """The position after the last record."""
        return self._positions[-1]

    def at(self, position: int) -> Control:
        """What had been said before `position`.

        Raises:
            HistoryError: control has not been written so far, or the decision did not know it.
        """
        if position < 0:
            raise HistoryError("it does not say how far control had been read (a decision of version 1)")
        if position > self.last:
            raise HistoryError(f"it had read control up to {position}, which ends at {self.last}")
        return self._states[bisect_right(self._positions, position) - 1]

    def plan(self, position: int, partition: int, axis: Axis | None = None) -> Plan:
        """The plan of a partition, in the columns of `axis` (without it: of all that was deployed then).

        Raises:
            HistoryError: there is none.
        """
        key = (position, partition, axis)
        if key not in self._plans:
            control = self.at(position)
            if self._rules is not None:
                control = replace(control, rules=self._rules)
            try:
                plan = plan_for(self.endpoint, control, partition)
            except SettingsError as error:
                raise HistoryError(str(error)) from error
            self._plans[key] = plan if axis is None else plan.on(axis)
        return self._plans[key]
