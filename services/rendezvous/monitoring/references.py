"""What was true when a version was trained, as it is shipped in the version's folder."""

from __future__ import annotations

import logging

from rendezvous.monitoring.reference import Reference
from rendezvous.monitoring.shipped import load_reference
from rendezvous.registry.state import Pair
from rendezvous.registry.store import folder_of
from rendezvous.scoring.card import CardError
from rendezvous.settings import Endpoint

_logger = logging.getLogger(__name__)


class References:
    """References of an endpoint's versions, each read once: a version never changes."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._known: dict[Pair, Reference | None] = {}

    def __call__(self, pair: Pair) -> Reference | None:
        """The reference of a version; None for one that has none, or none that can be read, which is said once."""
        if pair not in self._known:
            try:
                self._known[pair] = load_reference(folder_of(self._endpoint, pair))
            except CardError as error:
                _logger.warning("%s/%s is watched without its reference: %s", *pair, error)
                self._known[pair] = None
        return self._known[pair]
