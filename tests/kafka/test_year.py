"""The year in miniature on a real broker: two days asked, labelled and listened to, while versions come and go."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from homes import Home
from rendezvous.client import Client
from rendezvous.demo.labels import LabelFeed
from rendezvous.demo.year.crew import Crew
from rendezvous.demo.year.feed import Feed
from rendezvous.demo.year.history import write_history
from rendezvous.demo.year.listening import Listening
from rendezvous.demo.year.pace import Pace
from rendezvous.demo.year.stream import midnight_us
from rendezvous.envelope import told_at_us
from rendezvous.local.failure import LocalStackError
from rendezvous.local.stack import Addresses
from rendezvous.log import KafkaSink, read_to_end
from rendezvous.messages import Label
from rendezvous.monitoring.findings import Accuracy, Span, Stage
from rendezvous.registry.changes import change_of_state
from rendezvous.registry.control import ControlLog
from rendezvous.registry.deploy import author
from rendezvous.registry.events import State
from rendezvous.wire import decode, encode

pytestmark = pytest.mark.kafka

FIRST = date(2013, 3, 1)
A_DAY = 80
"""Requests of a day."""


def a_table() -> pd.DataFrame:
    """Three days, the first of them history; labels come three hours later."""
    start = pd.Timestamp(midnight_us(FIRST - timedelta(days=1)), unit="us", tz="UTC")
    asked = pd.Series([start + pd.Timedelta(minutes=18 * number) for number in range(3 * A_DAY)])
    return pd.DataFrame(
        {
            "request_id": [f"f{number}" for number in range(len(asked))],
            "scheduled_utc": asked,
            "x": np.linspace(0.0, 1.0, len(asked)).astype(np.float32),
            "slow_ms": 0.0,
            "who": "a",
            "label": 1.0,
            "observed_utc": asked + pd.Timedelta(hours=3),
        }
    )


def closed(day: date) -> bytes:
    """What a monitor says at the closing of a day's block."""
    start_us, end_us = midnight_us(day), midnight_us(day + timedelta(days=1))
    span = (Span.BLOCK, day.toordinal(), 0, Stage.CLOSED, start_us, end_us)
    return encode(Accuracy("quick", "1", *span, A_DAY, A_DAY, 0, 1, 2, end_us, ("auc",), (0.7,)))


def test_days_are_asked_and_labelled_in_step_with_the_services(stack: Addresses, tmp_path: Path) -> None:
    """Answers and the frozen version's scores are there when a day is over; who was retired is stopped.

    What came before has its own moments, and a dead service is an error.
    """
    home = Home.make(tmp_path, stack.kafka)
    endpoint, table = home.endpoint, a_table()
    surroundings = {"KAFKA_BOOTSTRAP_SERVERS": stack.kafka, "RENDEZVOUS_HOME": str(tmp_path)}
    control = ControlLog(stack.kafka, endpoint)
    now = control.read()
    sink = KafkaSink(stack.kafka)
    labels = LabelFeed(sink, endpoint.topic("labels"), table)
    write_history(sink, endpoint, table[:A_DAY], labels)
    assert sink.flush(10) == 0
    rows = {name: row for row, name in enumerate(table["request_id"])}
    with (
        Crew(endpoint.name, surroundings, tmp_path / "logs", print) as crew,
        Listening(stack.kafka, endpoint, now.aliases["champion"], rows) as listening,
        Client(endpoint, stack.kafka) as client,
    ):
        crew.start(["server"])
        assert crew.follow(now)
        assert not crew.follow(now)
        pace = Pace(listening, crew, 0, midnight_us(FIRST))
        pace.past(np.arange(A_DAY))
        feed = Feed(client.submit, [feature.name for feature in endpoint.features], labels, table, 20)
        for day in (FIRST, FIRST + timedelta(days=1)):
            chosen = feed.day(day, lambda _: None)
            sink.send(endpoint.topic("accuracy"), closed(day - timedelta(days=1)), partition=0)
            pace.settle(day, chosen, feed.now_us)
            np.testing.assert_allclose(feed.answers.late[chosen], table["x"][chosen], rtol=1e-6)
            np.testing.assert_allclose(listening.frozen[chosen], table["x"][chosen], rtol=1e-6)
        retired = now.resolve("slow")
        assert retired is not None
        control.append(change_of_state(now, retired, State.RETIRED, author()), now)
        assert listening.until(lambda: retired not in listening.control.deployed, feed.now_us, 10)
        assert crew.follow(listening.control)
        crew.check()
        listening.hear(feed.now_us)
    with pytest.raises(LocalStackError, match="ended"):
        crew.check()
    assert feed.answers.by == {"quick": 2 * A_DAY}

    asked = [told_at_us(record.headers) for record in read_to_end(stack.kafka, endpoint.topic("requests"), 0, 0)]
    assert asked == [moment.value // 1_000 for moment in table["scheduled_utc"]]
    known = [decode(record.value, Label) for record in read_to_end(stack.kafka, endpoint.topic("labels"), 0, 0)]
    assert [label.observed_us for label in known] == sorted(label.observed_us for label in known)
    assert {label.request_id for label in known} == {
        name
        for name, observed in zip(table["request_id"], table["observed_utc"], strict=True)
        if observed.value // 1_000 <= feed.now_us
    }
