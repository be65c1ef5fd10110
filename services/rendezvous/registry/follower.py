"""Keeps the cache of control up to date beside a service that follows control anyway: a thread may wait for Redis.

Commands do not need it: they read the log when the cache is behind. With it, whoever listens on the cache's channel
hears of what servers write too, and a Redis that was wiped has its snapshot back within `LOOK_EVERY_S`.
"""

from __future__ import annotations

import threading

from rendezvous.registry.cache import Cache
from rendezvous.registry.state import Control

LOOK_EVERY_S = 5.0
"""Between two looks whether the cache still holds what it was told."""
STOP_S = 2.0
"""A put under way ends within two time-outs of the cache; a thread that does not is left behind, it is a daemon."""


class Follower:
    """Tells the cache the newest control that it was offered; never makes its owner wait."""

    def __init__(self, cache: Cache, look_every_s: float = LOOK_EVERY_S) -> None:
        self._cache = cache
        self._look_every_s = look_every_s
        self._newest: Control | None = None
        self._news = threading.Event()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="cache of control", daemon=True)
        self._thread.start()

    def offer(self, control: Control) -> None:
        """What control says now; what was offered before and not yet kept is forgotten."""
        self._newest = control
        self._news.set()

    def stop(self) -> None:
        """End the thread."""
        self._stopping = True
        self._news.set()
        self._thread.join(STOP_S)
        self._cache.close()

    def _run(self) -> None:
        while not self._stopping:
            self._news.wait(self._look_every_s)
            self._news.clear()
            newest = self._newest
            if newest is not None and not self._stopping:
                found = self._cache.get()
                if found is None or found.position < newest.position:  # else another server's follower was here
                    self._cache.put(newest)
