"""What both sides of a comparison are given: the endpoint, the broker, the same requests at the same times."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rendezvous.registry.naming import named
from rendezvous.registry.state import Control, Pair
from rendezvous.settings import Endpoint

SOURCE = "loadtest"
"""Who asks: the requests' ce_source."""


@dataclass(frozen=True, slots=True)
class Bench:
    """One endpoint on one broker, and what is deployed there.

    rows and request_ids are a sample of real requests, repeated for as long as a run lasts.
    """

    endpoint: Endpoint
    control: Control
    home: Path
    kafka: str
    logs: Path
    rows: Sequence[dict[str, Any]]
    request_ids: Sequence[str]
    warm_up_s: float

    @property
    def champion(self) -> Pair:
        """The version that the schedule waits for first.

        Raises:
            RegistryError: nobody is deployed under that name.
        """
        return named(self.control, self.endpoint.schedule[0].models[0])

    def requests(self, rate: float, seconds: float) -> tuple[list[dict[str, Any]], list[str]]:
        """Rows and ids for `seconds` at `rate`, one at least."""
        count = max(round(rate * seconds), 1)
        return (
            list(itertools.islice(itertools.cycle(self.rows), count)),
            list(itertools.islice(itertools.cycle(self.request_ids), count)),
        )
