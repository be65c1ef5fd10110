"""Take-overs under way: what a predecessor left is read beside the loop, so that live partitions go on answering.

::

    assigned ---beside the loop: fence, read decisions back---> held ---both logs read to their ends---> live
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import Executor, Future, wait
from typing import NamedTuple

from rendezvous.log.records import Source, Transactor
from rendezvous.server.partition import Takeover
from rendezvous.server.plan import Plan
from rendezvous.server.recovery import take_over
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
        self._aside = aside
        self._fence = fence
        self._under_way: dict[int, Future[Heir]] = {}
        self._doubtful: set[int] = set()

    @property
    def under_way(self) -> int:
        """How many are not taken up yet."""
        return len(self._under_way)

    def begin(self, number: int, plan: Plan) -> None:
        """A partition was assigned."""
        self._under_way[number] = self._aside.submit(self._learn, number, plan)

    def _learn(self, number: int, plan: Plan) -> Heir:
        by = self._fence(number)
        return Heir(number, plan, take_over(self._source, self._endpoint, plan, number, self._topic_id), by)

    def doubt(self) -> None:
        """Whether what is being learnt is still ours to know is not certain."""
        self._doubtful.update(self._under_way)

    def ended(self) -> tuple[list[Heir], list[int]]:
        """Those that can be taken up, and those that must begin again, since they were doubted.

        Raises:
            LogError: a take-over failed.
        """
        heirs, again = [], []
        for number, future in list(self._under_way.items()):
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
        """A partition goes away again: what is under way is waited for, since a later fence would hit its new owner."""
        future = self._under_way.pop(number, None)
        self._doubtful.discard(number)
        if future is not None and not future.cancel():
            future.add_done_callback(_forgotten)
            wait([future], patience_s)


def _forgotten(future: Future[Heir]) -> None:
    if error := future.exception():
        _logger.warning("a take-over that nobody waits for any more failed: %s", error)
    else:
        _let_go(future.result())


def _let_go(heir: Heir) -> None:
    if heir.by is not None:
        heir.by.close()
