"""The flights, asked of services that run already: started by `rendezvous up`, by docker compose, or by hand."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from prometheus_client import CollectorRegistry

from rendezvous.client import Client
from rendezvous.demo import flights, report
from rendezvous.demo.labels import LABEL_LINGER_MS, LabelFeed
from rendezvous.demo.traffic import ENDPOINT, WARM_UP_S, Asked, departures, drive, warm_up
from rendezvous.log import KafkaSink
from rendezvous.running import bootstrap_of, clock_us
from rendezvous.settings import Endpoint, Environment, load_endpoint

SAY_EVERY_S = 10.0
LABELS_S = 10.0
"""For the broker to take the last labels."""


def ask(
    environment: Environment, say: Callable[[str], None], *, requests: int, rate: float, report_to: Path | None
) -> int:
    """Ask, and feed labels as the flights' own clock passes them; 0 when every request was answered.

    Requests and labels have today's times, and ids of this run alone: what was asked before is not labelled again.

    Raises:
        SettingsError: no broker is named; requests or rate cannot be played.
    """
    endpoint = load_endpoint(ENDPOINT, environment.home)
    bootstrap = bootstrap_of(environment)
    table = departures(requests, rate)
    table = table.assign(request_id=table["request_id"] + f"-{uuid.uuid4().hex[:8]}")
    say(f"{requests} departures at {rate:g} a second, to {endpoint.topic('requests')} on {bootstrap}")
    registry = CollectorRegistry()
    log = _driven(endpoint, bootstrap, table, rate, registry, say)
    too_late = int(registry.get_sample_value("rendezvous_client_late_answers_total") or 0)
    told = _figures(log, too_late, endpoint.request.deadline_ms)
    for name, value in told.items():
        say(f"{name}: {value}")
    if report_to is not None:
        report.write(told, report_to)
    return 0 if not told["unanswered"] else 1


def _driven(
    endpoint: Endpoint,
    bootstrap: str,
    table: pd.DataFrame,
    rate: float,
    registry: CollectorRegistry,
    say: Callable[[str], None],
) -> list[Asked]:
    sink = KafkaSink(bootstrap, linger_ms=LABEL_LINGER_MS)
    feed = LabelFeed(sink, endpoint.topic("labels"), table, clock_us)
    moments = list(table["scheduled_utc"])
    rows, names = flights.rows(table), table["request_id"].tolist()
    next_s = SAY_EVERY_S

    def on_turn(log: list[Asked], sent: int, seconds: float) -> None:
        nonlocal next_s
        feed.reach(moments[sent - 1])
        if seconds >= next_s:
            next_s += SAY_EVERY_S
            say(f"{sent} asked, {feed.fed} labels; by now {_in_words(log[:sent])}")

    with Client(endpoint, bootstrap, source="demo") as first:  # whose late answers nobody counts
        warm_up(first, rows, WARM_UP_S)
    with Client(endpoint, bootstrap, source="demo", registry=registry) as client:
        log = drive(client, rows, names, rate, on_turn)
    feed.reach(None)
    sink.flush(LABELS_S)
    return log


def _in_words(log: Sequence[Asked]) -> str:
    return ", ".join(f"{who} {count}" for who, count in Counter(asked.who for asked in log).most_common())


def _figures(log: Sequence[Asked], too_late: int, deadline_ms: int) -> dict[str, Any]:
    """`late` and latency as the application sees them, from the moment at which a request was due.

    too_late: answers that came after the client had given up; what is unanswered never came.
    """
    answered = [asked for asked in log if asked.answered]
    return {
        "requests": len(log),
        "unanswered": len(log) - len(answered) - too_late,
        "late": sum(asked.latency_ms > deadline_ms for asked in answered) + too_late,
        "latency_ms": report.latencies(answered),
        "answered_by": dict(Counter(asked.who for asked in log).most_common()),
    }
