"""What both sides of a comparison are given: the endpoint, the broker, the same requests at the same times."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from loadtest import derived
from loadtest.derived import Shape
from loadtest.driving.stage import create_timed_topics
from loadtest.scenario import Say
from rendezvous.demo import flights
from rendezvous.demo.scene import ENDPOINT, FIRST_DAY, LAST_DAY
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

    rows and request_ids are a sample of real requests, repeated for as long as a run lasts. basis: what the endpoint is
    derived from.
    """

    endpoint: Endpoint
    control: Control
    home: Path
    kafka: str
    logs: Path
    rows: Sequence[dict[str, Any]]
    request_ids: Sequence[str]
    warm_up_s: float
    basis: Endpoint
    shape: Shape

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
    home = environment.data / "loadtest" / name
    endpoint = derived.write_home(home, basis, name, shape)
    with running_stack(environment, report=say, fresh=True) as addresses:
        create_timed_topics(addresses.kafka, endpoint)
        yield Bench(
            endpoint=endpoint,
            control=deploy(addresses.kafka, endpoint, report=_silent),
            home=home,
            kafka=addresses.kafka,
            logs=home / "logs",
            rows=rows,
            request_ids=table["request_id"].tolist(),
            warm_up_s=WARM_UP_S,
            basis=basis,
            shape=shape,
        )


def afresh(bench: Bench, name: str) -> Bench:
    """The same on the same broker under another name, with nothing of what happened to this one."""
    home = bench.home.parent / name
    endpoint = derived.write_home(home, bench.basis, name, bench.shape)
    create_timed_topics(bench.kafka, endpoint)
    control = deploy(bench.kafka, endpoint, report=_silent)
    return replace(bench, endpoint=endpoint, control=control, home=home, logs=home / "logs")


def _silent(_: str) -> None:
    """What is deployed is in the report."""
