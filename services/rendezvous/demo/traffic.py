"""Requests in open loop: each is due at its time, whether or not the one before has been answered.

Latency counts from the moment a request was due, so that a driver or a server that stalls cannot hide it
(coordinated omission).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import date
from typing import Any

import pandas as pd

from rendezvous.client import Client
from rendezvous.demo import flights
from rendezvous.messages import Reason, Response
from rendezvous.settings import SettingsError

ENDPOINT = "flights"
FIRST_DAY = date(2013, 3, 1)
"""The models were trained on January and February."""
LAST_DAY = date(2013, 12, 31)
WARM_UP_S = 3.0
STRAGGLERS_S = 1.0
"""After the last deadline: how long answers that came too late are still counted."""


def departures(requests: int, rate: float) -> pd.DataFrame:
    """The first departures from March on.

    Raises:
        SettingsError: there are not so many, or they cannot be asked at that rate.
    """
    if requests < 1 or rate <= 0:
        raise SettingsError(f"--requests ({requests}) and --rate ({rate:g}) must be positive")
    table = flights.between(flights.load(), FIRST_DAY, LAST_DAY)
    if requests > len(table):
        raise SettingsError(f"--requests {requests}: from {FIRST_DAY} to {LAST_DAY} there are {len(table)} departures")
    return table.iloc[:requests]


@dataclass(slots=True)
class Asked:
    """One request: seconds since the start at which it was due and answered, and the answer."""

    due_s: float
    answered_s: float = float("nan")
    response: Response | None = None

    @property
    def latency_ms(self) -> float:
        """From due to answered."""
        return (self.answered_s - self.due_s) * 1e3

    @property
    def answered(self) -> bool:
        """Whether an answer came from the server."""
        return self.response is not None and self.response.reason is not Reason.NO_ANSWER

    @property
    def who(self) -> str:
        """The model that answered, `default`, or `nobody`."""
        if not self.answered or self.response is None:
            return "nobody"
        return self.response.model or "default"


def drive(
    client: Client,
    rows: Sequence[dict[str, Any]],
    request_ids: Sequence[str],
    rate: float,
    on_turn: Callable[[list[Asked], int, float], None],
) -> list[Asked]:
    """Send row i at i / rate seconds; `on_turn(log, sent, seconds)` is called after each.

    Returns when every request has ended.
    """
    log = [Asked(number / rate) for number in range(len(rows))]
    futures: list[Future[Response]] = []
    start = time.perf_counter()
    for number, (row, request_id) in enumerate(zip(rows, request_ids, strict=True)):
        asked = log[number]
        wait_s = asked.due_s - (time.perf_counter() - start)
        if wait_s > 0:
            time.sleep(wait_s)
        future = client.submit(row, request_id=request_id)
        future.add_done_callback(_note(asked, start))
        futures.append(future)
        on_turn(log, number + 1, time.perf_counter() - start)
    for future in futures:
        future.result()
    time.sleep(STRAGGLERS_S)
    return log


def _note(asked: Asked, start: float) -> Callable[[Future[Response]], None]:
    def note(future: Future[Response]) -> None:
        asked.answered_s = time.perf_counter() - start
        asked.response = future.result()

    return note


def warm_up(client: Client, rows: Sequence[dict[str, Any]], seconds: float) -> None:
    """Ask one after the other for a while, uncounted: connections, caches and fetches settle."""
    end = time.monotonic() + seconds
    number = 0
    while time.monotonic() < end:
        client.ask(rows[number % len(rows)], request_id=f"warm-up-{number}")
        number += 1
