"""The year as requests and labels: one local day after the other, as fast as it is answered.

A request carries its own moment of 2013 in `ce_time`, and what was known at that moment; a label is produced when the
replayed clock passes the moment at which it became known. So many requests are under way at once that every service has
full batches, and so few that none is late.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import date, timedelta

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from rendezvous.demo import flights
from rendezvous.demo.labels import LabelFeed
from rendezvous.demo.year.stream import midnight_us
from rendezvous.messages import Response

IN_FLIGHT = 600
"""Requests under way at once: two batches of each scorer, answered in a fraction of the deadline."""
LABELS_EVERY = 100
"""Requests between two looks at the labels that have become known: an hour or two of 2013."""
GIVEN_UP = timedelta(days=1)
"""After its schedule a flight that never arrives is said never to get a label."""


def days(first: date, end: date) -> list[date]:
    """The local days of [first, end)."""
    return [first + timedelta(days=number) for number in range((end - first).days)]


def closed_in_time(table: pd.DataFrame) -> pd.DataFrame:
    """The table with a moment for the labels that never come, too."""
    return table.assign(observed_utc=table["observed_utc"].fillna(table["scheduled_utc"] + GIVEN_UP))


@dataclass(slots=True)
class Answers:
    """What users were told: P(late) for each row of the table, NaN until then, and by whom."""

    late: NDArray[np.float64]
    by: Counter[str] = field(default_factory=Counter)


class Feed:
    """Asks and labels what falls on one day after the other.

    Args:
        submit: `Client.submit` of the year's endpoint.
        features: what a request carries, by name.
        labels: of the whole table.
        table: from `flights.requests`, in time order.
        in_flight: requests under way at once.
    """

    def __init__(
        self,
        submit: Callable[..., Future[Response]],
        features: Sequence[str],
        labels: LabelFeed,
        table: pd.DataFrame,
        in_flight: int = IN_FLIGHT,
    ) -> None:
        self._submit = submit
        self._features = features
        self._labels = labels
        self._table = table
        self._room = threading.Semaphore(in_flight)
        self.answers = Answers(np.full(len(table), np.nan))
        self.now_us = -1

    @property
    def labels_fed(self) -> int:
        """Labels produced so far."""
        return self._labels.fed

    def day(self, day: date, on_turn: Callable[[int], None]) -> NDArray[np.int64]:
        """Ask everything of a day and wait for the answers; `on_turn(asked)` now and then.

        Returns:
            The table's rows that were asked.
        """
        chosen = flights.between(self._table, day, day)
        futures: list[Future[Response]] = []
        asked = zip(chosen.index, flights.rows(chosen, self._features), *_moments(chosen), strict=True)
        for number, (row, features, moment, request_id) in enumerate(asked):
            if number % LABELS_EVERY == 0:
                self._labels.reach(moment)
                on_turn(number)
            self._room.acquire()
            future = self._submit(features, request_id=request_id, asked=moment.to_pydatetime())
            future.add_done_callback(self._note(int(row)))
            futures.append(future)
        for future in futures:
            future.result()
        self.now_us = midnight_us(day + timedelta(days=1))
        self._labels.reach(pd.Timestamp(self.now_us, unit="us", tz="UTC"))
        return chosen.index.to_numpy(dtype=np.int64)

    def _note(self, row: int) -> Callable[[Future[Response]], None]:
        def note(future: Future[Response]) -> None:
            self._room.release()
            response = future.result()
            self.answers.late[row] = response.output[0]
            self.answers.by[response.model or response.reason.name.lower()] += 1

        return note


def _moments(chosen: pd.DataFrame) -> tuple[Sequence[pd.Timestamp], Sequence[str]]:
    return list(chosen["scheduled_utc"]), list(chosen["request_id"])
