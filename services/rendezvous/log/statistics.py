"""What the Kafka clients of a process say of themselves, every INTERVAL_MS: kept as it came, read when somebody asks.

A client hands its statistics, some kilobytes of JSON, to the thread that polls it, which is the one with deadlines: it
keeps the text (3 us) and does no more. They are read in the thread of whoever looks at the pages, once each.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeAlias

INTERVAL_MS = 15_000
"""As often as Prometheus looks: quantiles are of the time between. Making them costs a client 0.2 ms of CPU."""
SILENT_S = 60.0
"""A client that has said nothing for so long was closed."""
WELL = ("UP", "INIT", "UPDATE")
"""States of a connection that is there, or that nobody needs."""
QUANTILES = {"p50": "0.5", "p99": "0.99", "max": "1"}
TIMES = {"rtt": "round_trip", "int_latency": "queue_wait", "outbuf_latency": "send_wait", "throttle": "throttle"}
"""librdkafka's names and ours, of what is measured in microseconds (throttle: milliseconds)."""

Rows: TypeAlias = dict[str, dict[tuple[str, ...], float]]
"""By metric, what is shown: values by the labels' values."""


class Told:
    """The last statistics of one client."""

    def __init__(self, client: str, clock_s: Callable[[], float]) -> None:
        self.client = client
        self._clock_s = clock_s
        self._text = ""
        self._read: tuple[str, Mapping[str, Any]] = ("", {})
        self.at_s = clock_s()

    def hear(self, text: str) -> None:
        """Keep it: for the client's callback."""
        self._text, self.at_s = text, self._clock_s()

    def read(self) -> Mapping[str, Any]:
        """What it said last; empty before the first."""
        text = self._text
        if text != self._read[0]:
            self._read = text, json.loads(text)
        return self._read[1]


class Statistics:
    """The clients of one process, by what each is for; several may be for the same."""

    def __init__(self, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._clock_s = clock_s
        self._told: list[Told] = []

    def settings(self, client: str) -> dict[str, Any]:
        """Of a client that is about to be made, for `client`: one of few names, which the code gives."""
        told = Told(client, self._clock_s)
        self._told = [*self._alive(), told]
        return {"statistics.interval.ms": INTERVAL_MS, "stats_cb": told.hear}

    def _alive(self) -> list[Told]:
        now_s = self._clock_s()
        return [told for told in self._told if now_s - told.at_s < SILENT_S]

    def rows(self) -> Rows:
        """All that is shown; of several clients for the same the worst, of what is counted the sum."""
        now_s = self._clock_s()
        said = [(told, read) for told in self._alive() if (read := told.read())]
        rows: Rows = {"age": {}}
        for told, _ in said:
            rows["age"][(told.client,)] = max(now_s - told.at_s, rows["age"].get((told.client,), 0.0))
        _largest(rows, (one for told, read in said for one in _times(told.client, read)))
        _sum(rows, (one for told, read in said for one in _counts(told.client, read)))
        rows["lag"] = {(topic,): float(lag) for topic, lag in _lag(read for _, read in said).items()}
        return rows


_One: TypeAlias = tuple[str, tuple[str, ...], float]


def _largest(rows: Rows, found: Iterable[_One]) -> None:
    for name, labels, value in found:
        there = rows.setdefault(name, {})
        there[labels] = max(value, there.get(labels, value))


def _sum(rows: Rows, found: Iterable[_One]) -> None:
    for name, labels, value in found:
        there = rows.setdefault(name, {})
        there[labels] = there.get(labels, 0.0) + value


def _brokers(read: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Those that the cluster named: not the first address, nor the group's coordinator, which is one of them."""
    return [broker for broker in read["brokers"].values() if broker["nodeid"] >= 0 and broker["source"] != "logical"]


def _times(client: str, read: Mapping[str, Any]) -> Iterator[_One]:
    for broker in _brokers(read):
        for theirs, ours in TIMES.items():
            if broker[theirs]["cnt"] or theirs == "throttle":
                unit = 1e3 if theirs == "throttle" else 1e6
                for name, quantile in QUANTILES.items():
                    yield ours, (client, quantile), broker[theirs][name] / unit


def _counts(client: str, read: Mapping[str, Any]) -> Iterator[_One]:
    brokers = _brokers(read)
    states = [broker["state"] for broker in brokers]
    yield "brokers", (client, "up"), states.count("UP")
    yield "brokers", (client, "away"), sum(state not in WELL for state in states)
    yield "errors", (client,), sum(broker["txerrs"] + broker["rxerrs"] + broker["req_timeouts"] for broker in brokers)
    yield "connects", (client,), sum(broker["connects"] for broker in brokers)
    parts = [part for topic in read["topics"].values() for part in topic["partitions"].values()]
    yield "queued_records", (client,), read["msg_cnt"] + sum(part["fetchq_cnt"] for part in parts)
    yield "queued_bytes", (client,), read["msg_size"] + sum(part["fetchq_size"] for part in parts)


def _lag(said: Iterable[Mapping[str, Any]]) -> Counter[str]:
    """Records that are on a partition and were not handed over yet, by topic, of partitions that are read."""
    lag: Counter[str] = Counter()
    for read in said:
        for name, topic in read["topics"].items():
            for part in topic["partitions"].values():
                if part["fetch_state"] == "active":
                    # what ends a transaction is no record: the end that was met counts as well as the last record
                    reached = max(part["app_offset"], part["eof_offset"])
                    lag[name] += max(0, part["hi_offset"] - reached) if reached >= 0 else 0
    return lag
