"""The feed: each request with its own moment, labels when they are known, never too many at once."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd

from memory_log import FakeClock, MemoryLog, MemorySink
from rendezvous.demo.labels import LabelFeed
from rendezvous.demo.year.feed import Feed, closed_in_time, days
from rendezvous.demo.year.stream import midnight_us
from rendezvous.messages import Label, Reason, Response
from rendezvous.wire import decode

DAY = date(2013, 3, 1)
ROWS = 1_500


def a_table() -> pd.DataFrame:
    """Flights every two minutes for two days, known an hour later; every seventh is cancelled."""
    start = pd.Timestamp(midnight_us(DAY), unit="us", tz="UTC")
    asked = pd.Series([start + pd.Timedelta(seconds=114 * number) for number in range(ROWS)])
    gone = np.arange(ROWS) % 7 == 0
    return pd.DataFrame(
        {
            "request_id": [f"f{number}" for number in range(ROWS)],
            "scheduled_utc": asked,
            "x": np.arange(ROWS, dtype=float),
            "label": np.where(gone, np.nan, 1.0),
            "observed_utc": (asked + pd.Timedelta(hours=1)).mask(gone),
        }
    )


class Answering:
    """Answers every request after a moment, on another thread, and remembers how many were under way."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, datetime, float]] = []
        self.under_way = 0
        self.most = 0
        self._lock = threading.Lock()

    def submit(self, features: dict[str, Any], *, request_id: str, asked: datetime) -> Future[Response]:
        """As `Client.submit`."""
        self.asked.append((request_id, asked, features["x"]))
        future: Future[Response] = Future()
        with self._lock:
            self.under_way += 1
            self.most = max(self.most, self.under_way)
        threading.Timer(0.01, self._answer, (future, features["x"])).start()
        return future

    def _answer(self, future: Future[Response], x: float) -> None:
        with self._lock:
            self.under_way -= 1
        future.set_result(Response("r", 0, 0, "trees", "1", Reason.PREFERRED, (x / 10,), (), 1.0, 1))


def test_a_day_is_asked_in_order_and_labelled_as_it_becomes_known() -> None:
    """Each at its own moment; when the day is over all its answers and all labels of it are there, and no later one."""
    log, answering, table = MemoryLog(FakeClock(), {"labels": 1}), Answering(), closed_in_time(a_table())
    feed = Feed(answering.submit, ["x"], LabelFeed(MemorySink(log), "labels", table), table)

    feed.day(DAY, lambda _: None)

    end_us = midnight_us(DAY + timedelta(days=1))
    today = table[table["scheduled_utc"] < pd.Timestamp(end_us, unit="us", tz="UTC")]
    assert feed.now_us == end_us
    assert [request_id for request_id, _, _ in answering.asked] == today["request_id"].tolist()
    assert [asked for _, asked, _ in answering.asked] == [moment.to_pydatetime() for moment in today["scheduled_utc"]]
    np.testing.assert_allclose(feed.answers.late[: len(today)], today["x"] / 10)
    assert np.isnan(feed.answers.late[len(today) :]).all()
    assert feed.answers.by == {"trees": len(today)}
    labels = [decode(record.value, Label) for record in log.records["labels", 0]]
    assert all(label.observed_us <= end_us for label in labels)
    assert len(labels) == (table["observed_utc"] <= pd.Timestamp(end_us, unit="us", tz="UTC")).sum()


def test_a_flight_that_never_arrives_is_given_up_a_day_later() -> None:
    """So that it does not wait for ever, and at a moment of the year: a watermark would follow any other."""
    table = closed_in_time(a_table())

    waited = table["observed_utc"] - table["scheduled_utc"]
    assert waited[table["label"].isna()].eq(pd.Timedelta(days=1)).all()
    assert waited[table["label"].notna()].eq(pd.Timedelta(hours=1)).all()


def test_no_more_requests_are_under_way_than_the_services_hold() -> None:
    """It waits for answers instead."""
    log, answering, table = MemoryLog(FakeClock(), {"labels": 1}), Answering(), closed_in_time(a_table())

    Feed(answering.submit, ["x"], LabelFeed(MemorySink(log), "labels", table), table, 50).day(DAY, lambda _: None)

    assert 25 <= answering.most <= 50


def test_the_year_has_all_its_days() -> None:
    """The end is not one of them."""
    assert days(date(2013, 12, 30), date(2014, 1, 1)) == [date(2013, 12, 30), date(2013, 12, 31)]
    assert datetime(2013, 3, 1, 5, tzinfo=UTC).timestamp() * 1e6 == midnight_us(DAY)
