"""`make year`: 2013 through the real services, compressed in time, with the retraining loop on. See `pace`."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from rendezvous import topics
from rendezvous.client import Client
from rendezvous.demo import flights, report
from rendezvous.demo.labels import LabelFeed
from rendezvous.demo.year import curves, home, picture, recipe, stream
from rendezvous.demo.year.beginning import first_version
from rendezvous.demo.year.chronicle import heat
from rendezvous.demo.year.control import control
from rendezvous.demo.year.crew import Crew
from rendezvous.demo.year.feed import Feed, closed_in_time, days
from rendezvous.demo.year.history import write_history
from rendezvous.demo.year.listening import Listening
from rendezvous.demo.year.pace import Pace
from rendezvous.demo.year.permuting import permuted
from rendezvous.demo.year.report import Year, figures
from rendezvous.demo.year.screen import Screen
from rendezvous.local.services import PATIENT
from rendezvous.local.stack import Addresses, running_stack
from rendezvous.log import KafkaSink
from rendezvous.registry.control import ControlLog
from rendezvous.registry.deploy import deploy
from rendezvous.registry.state import Pair
from rendezvous.settings import Endpoint, Environment, SettingsError

SERVICES = ("server", "archiver", "monitor", "retrainer")
"""What runs all year, besides scorers."""
LABEL_LINGER_MS = 20
SEED = 2013
HISTORY_S = 120.0
"""For the broker to take two months of requests, and for the services to have them behind them."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What the year left behind: what was heard, and figures of the run."""

    listening: Listening
    late: NDArray[np.float64]
    extra: dict[str, Any]


def play_year(environment: Environment, *, report_to: Path | None) -> int:
    """Run the whole year, draw and report it; 0 when every request was answered.

    Raises:
        SettingsError, LocalStackError: something could not be started, or ended too early.
    """
    begun = time.monotonic()
    os.environ.update(PATIENT)  # for the trainings that this process starts itself
    every_day = days(stream.FIRST, stream.END)
    screen = Screen(len(every_day))
    where, endpoint = home.make(environment)
    table = closed_in_time(flights.load())
    year = stream.stream(table, endpoint.features)
    start_us = stream.midnight_us(stream.FIRST)
    folder = environment.data / "year"
    screen.line(f"{len(table)} departures of 2013; the first version is trained on January and February")
    frozen = first_version(endpoint, home.MODEL, year, start_us, folder / "work", screen.line)
    with running_stack(environment, report=screen.line, fresh=True) as addresses:
        seen = _pass(Stage(endpoint, where, folder, addresses, frozen, screen), table)
    told = figures(_compared(endpoint, year, table, seen, folder, screen, begun))
    names = [feature.name for feature in endpoint.features]
    chronicle = seen.listening.chronicle
    grid = heat(chronicle.drift, names, start_us, len(told["weeks"]))
    for path in picture.draw(told, chronicle, grid, names, folder / "year"):
        screen.line(f"picture: {path}")
    report.write(told, report_to or folder / "report.json")
    screen.summary(told)
    screen.line(f"report: {report_to or folder / 'report.json'}")
    return 0 if not told["unanswered"] else 1


def _compared(
    endpoint: Endpoint,
    year: stream.Stream,
    table: pd.DataFrame,
    seen: Seen,
    folder: Path,
    screen: Screen,
    begun: float,
) -> Year:
    """Beside the year as it was: the cron's, and the one in which nothing changes."""
    start_us, end_us = stream.midnight_us(stream.FIRST), stream.midnight_us(stream.END)
    chronicle = seen.listening.chronicle

    def fit(frame: pd.DataFrame, label: NDArray[np.float64]) -> curves.Model:
        fitted: curves.Model = recipe.fit(endpoint.features, frame, label)
        return fitted

    screen.line(f"a cron that retrains {len(chronicle.retrained)} times, offline")
    moments = curves.evenly(len(chronicle.retrained), start_us, end_us)
    cron = curves.cron(year, fit, moments, start_us, end_us)
    screen.line("the control: days in another order, through `rendezvous backtest`")
    shuffled = stream.stream(permuted(table, SEED), endpoint.features)
    calm = control(shuffled, fit, cool_down_of(endpoint), folder / "control")
    return Year(
        year,
        start_us,
        end_us,
        {"frozen": seen.listening.frozen, "looped": seen.late, "cron": cron},
        chronicle,
        calm["control"],
        calm["temperature"],
        seen.extra | {"seconds": round(time.monotonic() - begun, 1)},
    )


def cool_down_of(endpoint: Endpoint) -> int:
    """Between two events, microseconds.

    Raises:
        SettingsError: the endpoint says nothing of retraining.
    """
    if endpoint.retraining is None:
        raise SettingsError(f"{endpoint.folder / 'endpoint.toml'}: has no [retraining]")
    return endpoint.retraining.cool_down


@dataclass(frozen=True, slots=True)
class Stage:
    """Where the year is played."""

    endpoint: Endpoint
    home: Path
    folder: Path
    addresses: Addresses
    frozen: Pair
    screen: Screen

    @property
    def surroundings(self) -> dict[str, str]:
        """What every service is told by its environment."""
        return {
            "KAFKA_BOOTSTRAP_SERVERS": self.addresses.kafka,
            "REDIS_URL": self.addresses.redis,
            "RENDEZVOUS_HOME": str(self.home),
            "RENDEZVOUS_DATA": str(self.folder / "data"),
        }


def _pass(stage: Stage, table: pd.DataFrame) -> Seen:
    """Let the year pass."""
    endpoint, kafka, screen = stage.endpoint, stage.addresses.kafka, stage.screen
    topics.create(kafka, endpoint)
    deploy(kafka, endpoint, report=screen.line)
    sink = KafkaSink(kafka, linger_ms=LABEL_LINGER_MS)
    labels = LabelFeed(sink, endpoint.topic("labels"), table)
    start = pd.Timestamp(stream.midnight_us(stream.FIRST), unit="us", tz="UTC")
    before = table[table["scheduled_utc"] < start]
    write_history(sink, endpoint, before, labels)
    sink.flush(HISTORY_S)
    screen.line(f"{len(before)} departures of January and February are on the topics")
    rows = {request_id: row for row, request_id in enumerate(table["request_id"])}
    with (
        Crew(endpoint.name, stage.surroundings, stage.folder / "logs", screen.line) as crew,
        Listening(kafka, endpoint, stage.frozen, rows) as listening,
    ):
        crew.start(SERVICES)
        crew.follow(ControlLog(kafka, endpoint).read())
        return _days(stage, table, labels, listening, crew)


def _days(stage: Stage, table: pd.DataFrame, labels: LabelFeed, listening: Listening, crew: Crew) -> Seen:
    endpoint, start_us = stage.endpoint, stream.midnight_us(stream.FIRST)
    pace = Pace(listening, crew, cool_down_of(endpoint), start_us)
    with Client(endpoint, stage.addresses.kafka, source="year") as client, stage.screen:
        feed = Feed(client.submit, [feature.name for feature in endpoint.features], labels, table)
        pace.past(np.flatnonzero(stream.microseconds(table["scheduled_utc"]) < start_us))
        asked = 0
        for day in days(stream.FIRST, stream.END):
            chosen = feed.day(day, lambda _: listening.hear(feed.now_us))
            asked += len(chosen)
            pace.settle(day, chosen, feed.now_us)
            stage.screen.day(day, asked, feed.labels_fed, listening.chronicle)
    by = dict(feed.answers.by.most_common())
    extra = {
        "requests": asked,
        "unanswered": by.get("no_answer", 0),
        "answered_by": by,
        "stood_still_s": round(pace.stood_still_s, 1),
    }
    return Seen(listening, feed.answers.late, extra)
