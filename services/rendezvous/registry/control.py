"""`<endpoint>.control` on the log: read to its end, appended to, and what became of what was appended."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from rendezvous.log import KafkaSink, LogError, Record, read_to_end
from rendezvous.registry.events import ControlEvent
from rendezvous.registry.fold import folded
from rendezvous.registry.state import Control
from rendezvous.settings import Endpoint
from rendezvous.wire import encode, name_of

PARTITION = 0
DELIVERED_S = 35.0
"""Longer than the producer tries: past it, something is wrong that it does not know."""


@dataclass(frozen=True, slots=True)
class Appended:
    """An event that stands on control at `position`; refusal says why it changes nothing, None that it took effect."""

    event: ControlEvent
    position: int
    refusal: str | None


@dataclass(slots=True)
class _Fate:
    """What the broker said of each event, in their order."""

    positions: list[int] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def note(self, error: str | None, offset: int) -> None:
        if error is None:
            self.positions.append(offset)
        else:
            self.errors.append(error)


class ControlLog:
    """Control of one endpoint, on the cluster at `bootstrap`."""

    def __init__(self, bootstrap: str, endpoint: Endpoint) -> None:
        self._bootstrap = bootstrap
        self.topic = endpoint.topic("control")

    def read(self, since: Control | None = None) -> Control:
        """What control says at its end, as met; on from `since`, what it said before.

        Raises:
            LogError: the topic is not there, or ends before `since`.
        """
        control = since or Control()
        return folded(control, self._records(control.position))

    def _records(self, start: int) -> Iterator[Record]:
        """As servers and scorers follow them: uncommitted, or who reads later would know of other events."""
        return read_to_end(self._bootstrap, self.topic, PARTITION, start, uncommitted=True)

    def append(self, events: Sequence[ControlEvent], since: Control) -> tuple[Control, list[Appended]]:
        """Write events in their order, and read them back.

        Args:
            events: what happened.
            since: control as it was read before.

        Returns:
            Control as it is now, and what became of each event.

        Raises:
            LogError: they could not be delivered, all or some; the message says how many were.
        """
        positions = self._send(events)
        refusals: dict[int, str | None] = {}
        control = since
        for record in self._records(since.position):
            control = folded(control, [record])
            if record.offset in positions:
                refusals[record.offset] = control.refusal
        if missing := set(positions) - refusals.keys():
            raise LogError(f"{self.topic}: written at {sorted(missing)}, and not there when read: look at it again")
        return control, [
            Appended(event, position, refusals[position]) for event, position in zip(events, positions, strict=True)
        ]

    def _send(self, events: Sequence[ControlEvent]) -> list[int]:
        sink, fate = KafkaSink(self._bootstrap), _Fate()
        for event in events:
            key = name_of(type(event)).encode()  # for people who look at the topic
            sink.send(self.topic, encode(event), partition=PARTITION, key=key, delivered=fate.note)
        sink.flush(DELIVERED_S)
        if len(fate.positions) < len(events):
            why = fate.errors[0] if fate.errors else f"no word from the broker in {DELIVERED_S:.0f} s"
            raise LogError(
                f"{self.topic}: {len(fate.positions)} of {len(events)} events are delivered ({why}): "
                "`rendezvous models list` shows what took effect"
            )
        return fate.positions
