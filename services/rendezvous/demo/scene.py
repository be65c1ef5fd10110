"""The main job, played on this machine: real flights, real Kafka, every model scores, the champion freezes midway."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from prometheus_client import CollectorRegistry

from rendezvous import topics
from rendezvous.client import Client
from rendezvous.demo import flights, labels, picture, report
from rendezvous.demo.labels import LABEL_LINGER_MS
from rendezvous.demo.screen import Screen
from rendezvous.demo.traffic import ENDPOINT, WARM_UP_S, Asked, departures, drive, warm_up
from rendezvous.local.services import RunningService, running_services, train
from rendezvous.local.stack import running_stack
from rendezvous.log import KafkaReader, KafkaSink, Start, starts_at_end
from rendezvous.registry.deploy import deploy
from rendezvous.registry.naming import active_names
from rendezvous.settings import Endpoint, Environment, load_endpoint

FROZEN = "champion"
"""The alias whose holder's process stands still for a while."""
FREEZE_AT = 0.4
FREEZE_SHARE = 0.2
FREEZE_MAX_S = 4.0
"""Under the scorers' session timeout (6 s): a frozen process, not one that the group gave up."""
COMPARED_S = 20.0
"""How long after the last answer the last comparison may take: close_ms and a broker's breath."""


def play(environment: Environment, *, requests: int, rate: float, report_to: Path | None) -> int:
    """Run the whole scene; 0 when every request was answered.

    Raises:
        SettingsError: the request count or rate cannot be played.
        LocalStackError: something could not be started.
    """
    screen = Screen()
    begun = time.monotonic()
    endpoint = load_endpoint(ENDPOINT, environment.home)
    table = departures(requests, rate)
    first, last = table["scheduled_utc"].iloc[0], table["scheduled_utc"].iloc[-1]
    screen.line(f"{requests} departures, {first:%d %B} to {last:%d %B %Y}, at {rate:g} a second")
    train(endpoint, environment.home, screen.line)
    with running_stack(environment, report=screen.line, fresh=True) as addresses:
        topics.create(addresses.kafka, endpoint)
        control = deploy(addresses.kafka, endpoint, report=screen.line)
        champion = control.aliases[FROZEN]
        logs = environment.data / "demo" / "logs"
        with running_services(endpoint, environment.home, addresses.kafka, logs, screen.line) as services:
            frozen = services[active_names(control)[champion]]
            outcome = Scene(endpoint, addresses.kafka, frozen, champion[0], screen).run(table, rate, begun)
    figures = report.figures(outcome)
    screen.summary(figures)
    for path in picture.draw(endpoint, outcome.log, outcome.stall, figures, environment.data / "demo" / ENDPOINT):
        screen.line(f"picture: {path}")
    if report_to is not None:
        report.write(figures, report_to)
        screen.line(f"report: {report_to}")
    return 0 if figures["unanswered"] == 0 else 1


@dataclass(slots=True)
class Freeze:
    """Stops one process between two moments of the run and lets it go again."""

    pid: int
    start_s: float
    end_s: float
    began_s: float | None = None
    ended_s: float | None = None

    @property
    def state(self) -> str:
        """In a word."""
        return "FROZEN" if self.began_s is not None and self.ended_s is None else "running"

    def turn(self, seconds: float) -> None:
        """Do what is due."""
        if self.began_s is None and seconds >= self.start_s:
            os.kill(self.pid, signal.SIGSTOP)
            self.began_s = seconds
        elif self.began_s is not None and self.ended_s is None and seconds >= self.end_s:
            self.thaw(seconds)

    def thaw(self, seconds: float) -> None:
        """Let it go, if it stands still."""
        if self.began_s is not None and self.ended_s is None:
            os.kill(self.pid, signal.SIGCONT)
            self.ended_s = seconds


class Scene:
    """One run against running services."""

    def __init__(self, endpoint: Endpoint, kafka: str, frozen: RunningService, model: str, screen: Screen) -> None:
        self._endpoint = endpoint
        self._kafka = kafka
        self._frozen = frozen
        self._model = model
        self._screen = screen

    def run(self, table: pd.DataFrame, rate: float, begun: float) -> report.Outcome:
        """Warm up, drive, join."""
        rows = flights.rows(table)
        label_starts = starts_at_end(self._kafka, self._endpoint.topic("labels"))
        reader = KafkaReader(self._kafka, starts_at_end(self._kafka, self._endpoint.topic("comparisons")))
        registry = CollectorRegistry()
        sink = KafkaSink(self._kafka, linger_ms=LABEL_LINGER_MS)
        feed = labels.LabelFeed(sink, self._endpoint.topic("labels"), table)
        seconds = len(rows) / rate
        start_s = FREEZE_AT * seconds
        freeze = Freeze(self._frozen.process.pid, start_s, start_s + min(FREEZE_SHARE * seconds, FREEZE_MAX_S))
        self._screen.line(f"warming up for {WARM_UP_S:.0f} s")
        with Client(self._endpoint, self._kafka, source="demo") as first:  # whose late answers nobody counts
            warm_up(first, rows, WARM_UP_S)
        with Client(self._endpoint, self._kafka, source="demo", registry=registry) as client:
            log = self._drive(client, table, rows, rate, freeze, feed)
        feed.reach(None)
        sink.flush(10)
        quality = self._quality(reader, label_starts, set(table["request_id"]))
        return report.Outcome(
            broker=self._kafka,
            deadline_ms=self._endpoint.request.deadline_ms,
            log=log,
            stall=report.Stall(self._model, freeze.began_s or 0.0, freeze.ended_s or 0.0),
            duplicates=_count(registry, "rendezvous_client_duplicate_answers_total"),
            too_late=_count(registry, "rendezvous_client_late_answers_total"),
            quality=quality,
            seconds=time.monotonic() - begun,
        )

    def _drive(
        self,
        client: Client,
        table: pd.DataFrame,
        rows: list[dict[str, Any]],
        rate: float,
        freeze: Freeze,
        feed: labels.LabelFeed,
    ) -> list[Asked]:
        moments = list(table["scheduled_utc"])
        request_ids = table["request_id"].tolist()

        def on_turn(log: list[Asked], sent: int, seconds: float) -> None:
            freeze.turn(seconds)
            feed.reach(moments[sent - 1])
            self._screen.traffic(log, sent, seconds, f"{self._model} {freeze.state}", feed.fed)

        try:
            with self._screen:
                return drive(client, rows, request_ids, rate, on_turn)
        finally:
            freeze.thaw(freeze.end_s)  # a process that stands still could not be stopped

    def _quality(
        self, reader: KafkaReader, label_starts: list[Start], request_ids: set[str]
    ) -> dict[str, labels.Quality]:
        self._screen.line("joining labels with comparisons")
        comparisons = labels.read_until(reader, request_ids, COMPARED_S)
        reader.close()
        known = labels.read_labels(self._kafka, label_starts, COMPARED_S)
        return labels.quality_of(comparisons, {name: known[name] for name in request_ids & known.keys()})


def _count(registry: CollectorRegistry, name: str) -> int:
    return int(registry.get_sample_value(name) or 0)
