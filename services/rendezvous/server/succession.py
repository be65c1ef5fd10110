"""Take-overs under way: what a predecessor left is read beside the loop, so that live partitions go on answering.

::

    assigned ---beside the loop: fence, then read decisions back---> held ---both logs read to their ends---> live
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import Executor, Future
from threading import Event
from typing import NamedTuple

from rendezvous.log.records import Source, Transactor
from rendezvous.server.partition import Takeover
from rendezvous.server.plan import Plan
from rendezvous.server.recovery import positions, with_decisions
from rendezvous.settings import Endpoint

_logger = logging.getLogger(__name__)


class Heir(NamedTuple):
    """A partition that can be taken up: the plan that its take-over was read by, and who sends for it (see `fence`)."""

    number: int
    plan: Plan
    takeover: Takeover
    by: Transactor | None


class Successions:
    """Learns what is needed to own partitions, each beside the loop.

    aside: runs it. fence: see `Outbox.fence`.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        source: Source,
        topic_id: str,
        aside: Executor,
        fence: Callable[[int], Transactor | None],
    ) -> None:
        self._endpoint = endpoint
        self._source = source
        self._topic_id = topic_id
        self.aside = aside
        self._fence = fence
        self._under_way: dict[int, tuple[Future[Heir], Event]] = {}
        self._doubtful: set[int] = set()

    @property
    def under_way(self) -> int:
        """How many are not taken up yet."""
        return len(self._under_way)

    def begin(self, number: int, plan: Plan) -> None:
        """A partition was assigned.

        Raises:
            LogError: its requests are another topic's, or the cluster does not answer.
        """
        found, fenced = positions(self._source, self._endpoint, number, self._topic_id), Event()
        self._under_way[number] = self.aside.submit(self._learn, number, plan, found, fenced), fenced

    def _learn(self, number: int, plan: Plan, found: Takeover, fenced: Event) -> Heir:
        try:
            by = self._fence(number)
        finally:
            fenced.set()
        try:
            return Heir(number, plan, with_decisions(found, self._source, self._endpoint, plan, number), by)
        except BaseException:
            if by is not None:
                by.close()
            raise

    def doubt(self) -> None:
        """Whether what is being learnt is still ours to know is not certain."""
        self._doubtful.update(self._under_way)

    def ended(self) -> tuple[list[Heir], list[int]]:
        """Those that can be taken up, and those that must begin again, since they were doubted.

        Raises:
            LogError: a take-over failed.
        """
        heirs, again = [], []
        for number, (future, _) in list(self._under_way.items()):
            if future.done():
                del self._under_way[number]
                heir = future.result()
                if number in self._doubtful:
                    _let_go(heir)
                    again.append(number)
                else:
                    heirs.append(heir)
        self._doubtful.intersection_update(self._under_way)
        return heirs, again

    def end(self, number: int, patience_s: float) -> None:
        """A partition goes away again: a fence under way is waited for, since it would hit the new owner."""
        future, fenced = self._under_way.pop(number, (None, None))
        self._doubtful.discard(number)
        if future is not None and fenced is not None and not future.cancel():
            future.add_done_callback(_forgotten)
            fenced.wait(patience_s)


def _forgotten(future: Future[Heir]) -> None:
    if error := future.exception():
        _logger.warning("a take-over that nobody waits for any more failed: %s", error)
    else:
        _let_go(future.result())


def _let_go(heir: Heir) -> None:
    if heir.by is not None:
        heir.by.close()
