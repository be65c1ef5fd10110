"""Where an archiver begins to read: what its files say, held against what the log still has."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from rendezvous.archive.files import Archive
from rendezvous.archive.names import ArchiveError, Held
from rendezvous.archive.tables import TABLES
from rendezvous.archive.waiting import DAY_MS, MS_US
from rendezvous.log.records import Source
from rendezvous.settings import Endpoint

Place: TypeAlias = tuple[str, int]
"""Topic and partition."""

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Topics:
    """The topics as they were described at the start. requests_id: a commit of another topic's positions is no use."""

    partitions: int
    label_partitions: int
    requests_id: str


class Beginnings:
    """Finds where to go on; see `Archiver` for accept_loss."""

    def __init__(
        self, endpoint: Endpoint, topics: Topics, source: Source, archive: Archive, *, accept_loss: bool
    ) -> None:
        self._names = {endpoint.topic(name): name for name in TABLES}
        self._endpoint = endpoint
        self._topics = topics
        self._source = source
        self._archive = archive
        self._accept_loss = accept_loss

    def places(self, number: int) -> list[Place]:
        """What belongs to a partition of the requests."""
        labels = range(number, self._topics.label_partitions, self._topics.partitions)
        return [
            (self._endpoint.topic("requests"), number),
            (self._endpoint.topic("comparisons"), number),
            *((self._endpoint.topic("labels"), label) for label in labels),
        ]

    def of(self, places: Sequence[Place], now_us: int) -> dict[Place, int]:
        """The position at which each begins. What a predecessor was writing of them is removed first.

        Raises:
            ArchiveError: the files have a gap or an overlap, or do not fit to the log.
        """
        self._archive.clear(places)
        ends = {
            (topic, number): chain[-1].end
            for topic, name in self._names.items()
            for number, chain in self._archive.files(name).items()
        }
        return {place: self._begin(place, ends.get(place), now_us) for place in places}

    def _begin(self, place: Place, end: int | None, now_us: int) -> int:
        low, high = self._source.bounds(*place)
        named = f"{place[0]}-{place[1]}"
        if end is None:
            _logger.info("%s: archived from its beginning, %d", named, low)
            return low
        if end > high:
            raise ArchiveError(
                f"{named}: the archive ends at {end}, the log at {high}: it has lost records, or is another cluster. "
                "Begin another archive: set RENDEZVOUS_ARCHIVE, or move this one elsewhere"
            )
        if end >= low:
            _logger.info("%s: archived from %d", named, end)
            return end
        if not self._accept_loss:
            raise ArchiveError(
                f"{named}: the archive ends at {end}, the log begins at {low}: what stood between was deleted before "
                "it was archived. `rendezvous run archiver --accept-loss` writes so into the archive and goes on"
            )
        _logger.warning("%s: offsets %d to %d are lost", named, end, low - 1)
        lost = Held(*place, end, low - 1, "", lost=True)
        self._archive.write(lost, now_us // (DAY_MS * MS_US), TABLES[self._names[place[0]]]([]), lambda: True)
        return low
