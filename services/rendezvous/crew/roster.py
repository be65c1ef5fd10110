"""Which versions need a process now: pure, for `crew.service`, which starts and stops them.

| wanted | process | deed                                                          |
|--------|---------|---------------------------------------------------------------|
| yes    | none    | start, once it is due                                         |
| yes    | runs    | none                                                          |
| yes    | ended   | none: it is due again after a pause, longer with each failure |
| no     | runs    | stop                                                          |
| no     | ended   | forget                                                        |
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from rendezvous.registry.state import Pair

FIRST_PAUSE_S = 0.5
"""A scorer that was killed is back within a second; it loads and joins for two more."""
LONGEST_PAUSE_S = 60.0
"""One that cannot be started, because its artefact is not there yet, costs half a second of processor a minute."""
WELL_S = 60.0
"""Who ran for so long failed for another reason than the time before: pauses begin anew."""


@dataclass(frozen=True, slots=True)
class Deeds:
    """What is to be done now."""

    start: tuple[Pair, ...]
    stop: tuple[Pair, ...]


@dataclass(slots=True)
class _Post:
    """One version's: since when its process runs, else None; failures in a row; when it is due."""

    since_s: float | None
    failures: int
    due_s: float


class Roster:
    """Keeps who runs, who failed how often, and who is due when. Times are seconds of one clock."""

    def __init__(self) -> None:
        self._posts: dict[Pair, _Post] = {}

    def deeds(self, wanted: Iterable[Pair], now_s: float) -> Deeds:
        """What makes processes agree with what is wanted; forgets who is neither wanted nor runs."""
        names = dict.fromkeys(wanted)
        stop = tuple(pair for pair, post in self._posts.items() if pair not in names and post.since_s is not None)
        self._posts = {pair: post for pair, post in self._posts.items() if pair in names or post.since_s is not None}
        return Deeds(tuple(pair for pair in names if self._due(pair, now_s)), stop)

    def started(self, pair: Pair, now_s: float) -> None:
        """Its process runs."""
        failures = self._posts[pair].failures if pair in self._posts else 0
        self._posts[pair] = _Post(now_s, failures, now_s)

    def ended(self, pair: Pair, now_s: float) -> float:
        """Its process is gone, whatever the reason; the pause after which it is due again, if it is still wanted."""
        post = self._posts[pair]
        well = post.since_s is not None and now_s - post.since_s >= WELL_S
        post.failures = 1 if well else post.failures + 1
        pause_s = min(FIRST_PAUSE_S * 2.0 ** (post.failures - 1), LONGEST_PAUSE_S)
        post.since_s, post.due_s = None, now_s + pause_s
        return pause_s

    def _due(self, pair: Pair, now_s: float) -> bool:
        post = self._posts.get(pair)
        return post is None or (post.since_s is None and now_s >= post.due_s)
