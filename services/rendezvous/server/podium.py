"""What a server says on control, and to whom it shows what it read there."""

from __future__ import annotations

import logging
from collections.abc import Callable

from rendezvous.log.records import Sink
from rendezvous.registry.events import ControlEvent
from rendezvous.registry.state import Control
from rendezvous.wire import encode

_logger = logging.getLogger(__name__)


class Podium:
    """Appends to control, outside any transaction: everybody reads it as it is written, in one order.

    show: given control whenever it was read on, e.g. `Follower.offer`; must not wait.
    """

    def __init__(self, sink: Sink, topic: str, show: Callable[[Control], None]) -> None:
        self._sink = sink
        self._topic = topic
        self.show = show

    def tell(self, event: ControlEvent) -> None:
        """Append an event; it is in force once it is read back."""
        _logger.warning("%s: %s", self._topic, event)
        self._sink.send(self._topic, encode(event), partition=0, delivered=self._told)

    def turn(self) -> None:
        """Hear what became of what was told."""
        self._sink.serve()

    def _told(self, error: str | None, _: int) -> None:
        if error is not None:
            _logger.error("%s: what was said there is lost: %s", self._topic, error)
