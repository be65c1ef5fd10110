"""What both sides of a comparison are given: the endpoint, the broker, the same requests at the same times."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loadtest import derived
from loadtest.derived import Shape
from loadtest.driving.stage import create_timed_topics
from loadtest.scenario import Say
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

    rows and request_ids are a sample of real requests, repeated for as long as a run lasts. make: writes the home of an
    endpoint like it, of another name, into a folder.
    """

    endpoint: Endpoint
    control: Control
    home: Path
    kafka: str
    logs: Path
    rows: Sequence[dict[str, Any]]
    request_ids: Sequence[str]
    warm_up_s: float
    make: Callable[[Path, str], Endpoint]

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
def running_bench(environment: Environment, say: Say, shape: Shape, name: str) -> Iterator[Bench]:
    """An endpoint `name` like the demo's, of this shape, deployed on a broker.

    Raises:
        SettingsError: the demo's endpoint is not there, or cannot have this shape.
        LocalStackError: something could not be started.
    """
    basis = load_endpoint(ENDPOINT, environment.home)
    train(basis, environment.home, say)
    table = flights.between(flights.load(), FIRST_DAY, LAST_DAY).iloc[:SAMPLE_ROWS]
    rows = flights.rows(table)
    if shape.payload:
        rows = [row | {derived.PADDING: "x" * shape.payload} for row in rows]

    def make(home: Path, name: str) -> Endpoint:
        return derived.write_home(home, basis, name, shape)

    with running_stack(environment, report=say, fresh=True) as addresses:
        kafka, home = addresses.kafka, environment.data / "loadtest" / name
        yield deployed(kafka, home, make, rows, table["request_id"].tolist())


def deployed(
    kafka: str,
    home: Path,
    make: Callable[[Path, str], Endpoint],
    rows: Sequence[dict[str, Any]],
    request_ids: Sequence[str],
) -> Bench:
    """An endpoint that has the name of its home's folder, its topics, and its models deployed."""
    endpoint = make(home, home.name)
    create_timed_topics(kafka, endpoint)
    control = deploy(kafka, endpoint, report=lambda _: None)  # what is deployed is in the report
    return Bench(endpoint, control, home, kafka, home / "logs", rows, request_ids, WARM_UP_S, make)


def afresh(bench: Bench, name: str) -> Bench:
    """The same on the same broker under another name, with nothing of what happened to this one."""
    return deployed(bench.kafka, bench.home.parent / name, bench.make, bench.rows, bench.request_ids)
