"""What both sides of a comparison are given: the endpoint, the broker, the same requests at the same times."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rendezvous import topics
from rendezvous.demo import flights
from rendezvous.demo.traffic import ENDPOINT, FIRST_DAY, LAST_DAY
from rendezvous.local.services import train
from rendezvous.local.stack import running_stack
from rendezvous.registry.deploy import deploy
from rendezvous.registry.naming import named
from rendezvous.registry.state import Control, Pair
from rendezvous.settings import Endpoint, Environment, load_endpoint

SOURCE = "loadtest"
"""Who asks: the requests' ce_source."""
SAMPLE_ROWS = 5_000
"""Real requests, repeated when a run needs more."""
WARM_UP_S = 3.0
"""At the measured rate, before each run; as long as the demo's."""


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


@contextmanager
def running_bench(environment: Environment, say: Callable[[str], None]) -> Iterator[Bench]:
    """The demo's endpoint, trained and deployed on a broker with nothing else on it.

    Raises:
        SettingsError: the endpoint is not there.
        LocalStackError: something could not be started.
    """
    endpoint = load_endpoint(ENDPOINT, environment.home)
    train(endpoint, environment.home, say)
    table = flights.between(flights.load(), FIRST_DAY, LAST_DAY).iloc[:SAMPLE_ROWS]
    with running_stack(environment, report=say, fresh=True) as addresses:
        topics.create(addresses.kafka, endpoint)
        yield Bench(
            endpoint=endpoint,
            control=deploy(addresses.kafka, endpoint, report=say),
            home=environment.home,
            kafka=addresses.kafka,
            logs=environment.data / "loadtest" / "logs",
            rows=flights.rows(table),
            request_ids=table["request_id"].tolist(),
            warm_up_s=WARM_UP_S,
        )
