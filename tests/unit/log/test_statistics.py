"""What Kafka's clients say of themselves, as it is shown."""

from __future__ import annotations

import json
from typing import Any

from rendezvous.log.statistics import SILENT_S, Statistics


class Clock:
    """Seconds that the test moves."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        """Now."""
        return self.now_s


def broker(state: str = "UP", p99_us: int = 40_000, number: int = 1, **changes: object) -> dict[str, Any]:
    """A broker as librdkafka 2 describes it."""
    window = {"cnt": 5, "p50": 3_000, "p99": p99_us, "max": 2 * p99_us}
    told = {"nodeid": number, "source": "learned", "state": state, "rtt": window, "int_latency": window}
    told |= {"outbuf_latency": window, "throttle": {"cnt": 1, "p50": 0, "p99": 20, "max": 30}}
    return told | {"txerrs": 1, "rxerrs": 0, "req_timeouts": 2, "connects": 3} | changes


def partition(app: int, eof: int, high: int, state: str = "active") -> dict[str, Any]:
    """A partition of a consumer."""
    return {"fetchq_cnt": 4, "fetchq_size": 400, "fetch_state": state, "app_offset": app, "eof_offset": eof} | {
        "hi_offset": high
    }


def told(*brokers: dict[str, Any], **partitions: list[dict[str, Any]]) -> str:
    """What a client says."""
    topics = {
        name: {"partitions": {str(n): part for n, part in enumerate(parts)}} for name, parts in partitions.items()
    }
    named = {f"b{number}": one for number, one in enumerate(brokers)}
    return json.dumps({"brokers": named, "topics": topics, "msg_cnt": 7, "msg_size": 70})


def test_the_worst_of_several_clients_counts_and_what_is_counted_adds_up() -> None:
    """Times are the largest in seconds; numbers are summed by what the clients are for."""
    statistics = Statistics(Clock())
    for p99_us in (40_000, 90_000):
        statistics.settings("transactions")["stats_cb"](told(broker(p99_us=p99_us)))
    rows = statistics.rows()
    assert rows["round_trip"]["transactions", "0.99"] == 0.09
    assert rows["throttle"]["transactions", "1"] == 0.03
    assert rows["queued_records"][("transactions",)] == 14
    assert rows["errors"][("transactions",)] == 6
    assert rows["brokers"] == {("transactions", "up"): 2, ("transactions", "away"): 0}


def test_a_broker_that_nobody_needs_is_not_away() -> None:
    """A connection that was not asked for is none that failed; the group's coordinator is one of the brokers."""
    statistics = Statistics(Clock())
    idle, gone = broker("INIT", number=2), broker("TRY_CONNECT", number=3)
    coordinator = broker("DOWN", number=1, source="logical")
    statistics.settings("member")["stats_cb"](told(broker(), idle, gone, coordinator))
    assert statistics.rows()["brokers"] == {("member", "up"): 1, ("member", "away"): 1}


def test_lag_is_what_was_not_handed_over() -> None:
    """Of partitions that are read; what only ends a transaction is no record, so an end that was met counts."""
    statistics = Statistics(Clock())
    parts = [
        partition(90, 80, 100),
        partition(97, 100, 100),
        partition(-1001, -1001, 50),
        partition(1, 1, 9, "stopped"),
    ]
    statistics.settings("member")["stats_cb"](told(broker(), requests=parts, control=[partition(5, 5, 5)]))
    assert statistics.rows()["lag"] == {("requests",): 10, ("control",): 0}


def test_a_client_that_was_closed_is_forgotten() -> None:
    """It says nothing any more; one that is not polled for a while is shown with its age."""
    clock = Clock()
    statistics = Statistics(clock)
    statistics.settings("reader")["stats_cb"](told(broker()))
    clock.now_s += SILENT_S - 1
    assert statistics.rows()["age"] == {("reader",): SILENT_S - 1}
    clock.now_s += 2
    assert statistics.rows()["lag"] == {}
    assert statistics.rows()["age"] == {}


def test_one_that_has_said_nothing_yet_shows_nothing() -> None:
    """Its first word comes after the first interval."""
    statistics = Statistics(Clock())
    statistics.settings("member")
    assert statistics.rows() == {"age": {}, "lag": {}}
