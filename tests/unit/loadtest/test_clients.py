"""What is changed of the Kafka clients, whom it reaches, and what is made of the turns."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("hdrh", reason="hdrhistogram has no wheel for Linux on arm64")

from confluent_kafka import KafkaException

from loadtest import raw
from loadtest.clients.changes import CHANGES, NOT_MEASURED, NOTHING, Change
from loadtest.clients.picture import draw
from loadtest.clients.report import AS_IS, CHANGED, Load, entry, lost, most_other_cores, rate_figures, table, told
from loadtest.clients.scenario import ORDER
from loadtest.latency import Run
from loadtest.relay import Hop
from rendezvous.log.member import GATHER_BYTES
from rendezvous.log.roles import MEMBER, PRODUCER, TRANSACTOR

LIVE = Hop("scorer", "broker", "flights.floor.x", "in", "out", 1, 10, 0, 60, 13)
CANDIDATE = Hop("scorer", "broker", "flights.floor.y", "in", "out", 1, 10, 20, 60, 13)
NAMED = {change.name: change for change in CHANGES}


def settings_of(hop: Hop) -> dict[str, Any]:
    """All that its clients and its process are given."""
    consumer = raw.member_settings(hop.bootstrap, hop.group, hop.reading)
    producer = raw.producer_settings(hop.bootstrap, hop.producer)
    return {"consumer": consumer, "producer": producer, "gather_ms": hop.gather_ms, "gc_frozen": hop.gc_frozen}


def turns(as_is_ms: float, changed_ms: float) -> Load:
    """A run of ten requests for each turn, each as long as the other."""
    latency = {AS_IS: as_is_ms, CHANGED: changed_ms}

    def run(side: str, number: int) -> Run:
        return Run([latency[side]] * 10, [0.1] * 10, unanswered=0, late=0, duplicates=0, other_cores=number / 10)

    return Load(20.0, [(side, run(side, number), 0.5 + (side == CHANGED)) for number, side in enumerate(ORDER)])


def report(**others: Any) -> dict[str, Any]:  # noqa: ANN401 - whatever a report holds
    """A report of all settings, each twice as slow changed."""
    return {
        "scenario": "clients",
        "rates": [20.0, 400.0],
        "settings": [entry(change, [turns(2.0, 4.0), turns(3.0, 6.0)]) for change in CHANGES],
        "machine": {"cores": 2, "processor": "any"},
        "most_other_cores": None,
    } | others


def test_every_setting_is_measured_or_says_why_not() -> None:
    """A new one in roles.py belongs to either list, and to one."""
    measured = {name for change in CHANGES for name in (*change.consumer, *change.producer)}
    assert not measured & set(NOT_MEASURED)
    assert (MEMBER | PRODUCER | TRANSACTOR).keys() <= measured | NOT_MEASURED.keys()
    assert len(NAMED) == len(CHANGES)


@pytest.mark.parametrize("change", [change for change in CHANGES if change.name != NOTHING], ids=lambda one: one.name)
def test_a_change_differs_from_what_is(change: Change) -> None:
    """In everything that it names, so that no row compares a setting with itself."""
    assert change.changed
    assert all(change.as_is[name] != value for name, value in change.changed.items())


@pytest.mark.parametrize("change", CHANGES, ids=lambda one: one.name)
def test_a_change_reaches_the_client_through_the_command_line(change: Change) -> None:
    """And nothing else is changed by it, in any relay."""
    for hop in (LIVE, CANDIDATE):
        found = settings_of(Hop(**json.loads(change.of(hop).argument())))
        expected = settings_of(hop)
        if change.to(hop):
            expected["consumer"] |= change.consumer
            expected["producer"] |= change.producer
            expected |= change.hop
        if change.name == "gather" and hop is CANDIDATE:
            expected["consumer"] |= {name: MEMBER[name] for name in ("fetch.min.bytes", "fetch.wait.max.ms")}
        assert found == expected


@pytest.mark.parametrize("change", CHANGES, ids=lambda one: one.name)
def test_the_client_takes_what_is_changed(change: Change) -> None:
    """It looks at its settings when it is made, before there is a broker: none is unknown, or at odds with another."""
    hop = change.of(LIVE)
    raw.Consumer(raw.member_settings("127.0.0.1:1", "any", hop.reading)).close()
    raw.Producer(raw.producer_settings("127.0.0.1:1", hop.producer))


def test_the_client_does_not_take_everything() -> None:
    """Why `acks` is not changed alone; and that the test above can fail."""
    with pytest.raises(KafkaException, match="acks"):
        raw.Producer(raw.producer_settings("127.0.0.1:1", {"acks": "1"}))


def test_what_is_changed_has_the_last_word() -> None:
    """Over what roles.py says, and over what a candidate's gathering does."""
    assert raw.member_settings("b", "g")["fetch.min.bytes"] == 1
    assert raw.member_settings("b", "g", {"fetch.min.bytes": 7})["fetch.min.bytes"] == 7
    assert raw.producer_settings("b")["linger.ms"] == 0
    assert raw.producer_settings("b", {"linger.ms": 5, "acks": "1"}).items() >= {"linger.ms": 5, "acks": "1"}.items()
    assert replace(CANDIDATE, consumer={"fetch.min.bytes": 7}).reading["fetch.min.bytes"] == 7
    assert CANDIDATE.reading == {"fetch.min.bytes": GATHER_BYTES, "fetch.wait.max.ms": 20}


def test_candidates_keep_what_they_gather_by_when_fetching_is_changed() -> None:
    """Or a change of the others' waits would measure theirs."""
    for name in ("fetch.min.bytes", "fetch.wait.max.ms"):
        assert NAMED[name].of(CANDIDATE) == CANDIDATE
        assert NAMED[name].of(LIVE) != LIVE


def test_neither_side_has_the_earlier_turns() -> None:
    """What grows evenly, or ever faster, weighs on both alike."""
    places = {side: [at for at, turn in enumerate(ORDER) if turn == side] for side in (AS_IS, CHANGED)}
    for power in (0, 1, 2, 3):
        sums = [sum(at**power for at in found) for found in places.values()]
        assert sums[0] == sums[1]


def test_a_ratio_is_of_what_is_changed_to_what_is() -> None:
    """Of percentiles, of cores, and of each two turns."""
    found = rate_figures(turns(2.0, 3.0))
    assert found["ratio"] == {
        "p50": pytest.approx(1.5, abs=0.01),
        "p99": pytest.approx(1.5, abs=0.01),
        "busy_cores": 3.0,
        "p50_of_best_turns": pytest.approx(1.5, abs=0.01),
        "p50_of_turns": pytest.approx([1.5] * 8, abs=0.01),
    }
    assert (found[AS_IS]["requests"], found[CHANGED]["requests"]) == (80, 80)
    assert (found[AS_IS]["busy_cores"], found[CHANGED]["busy_cores"]) == (0.5, 1.5)
    assert found["order"] == list(ORDER)


def test_where_nobody_can_tell_the_cores_there_is_no_ratio() -> None:
    """Off Linux; latencies are there all the same."""
    known = turns(2.0, 3.0)
    load = Load(known.rate, [(side, run, None) for side, run, _ in known.turns])
    found = rate_figures(load)
    assert found["ratio"]["busy_cores"] is None
    assert found["ratio"]["p50"] == pytest.approx(1.5, abs=0.01)


def test_lost_requests_and_other_work_are_counted_over_all_settings() -> None:
    """The worst turn tells how quiet the machine was."""
    known = turns(2.0, 3.0)
    side, run, cores = known.turns[0]
    short = Run(run.latencies_ms, run.sent_late_ms, unanswered=2, late=0, duplicates=0, other_cores=1.9)
    entries = [
        entry(CHANGES[0], [known]),
        entry(CHANGES[1], [known, Load(known.rate, [(side, short, cores), *known.turns[1:]])]),
    ]
    assert lost(entries) == 2
    assert most_other_cores(entries) == 1.9


def test_a_change_is_told_from_what_to_what() -> None:
    """In librdkafka's spelling."""
    assert told(entry(NAMED["socket.nagle.disable"], [])) == ["socket.nagle.disable true → false"]
    assert told(entry(NAMED["gather"], [])) == ["gather_ms 20 → 0"]
    assert told(entry(NAMED["acks"], [])) == ["acks all → 1", "enable.idempotence true → false"]
    assert told(entry(NAMED[NOTHING], [])) == [NOTHING]


def test_the_table_has_a_row_for_each_setting_and_rate() -> None:
    """Also where cores are not known."""
    (found,) = table(report())
    assert found.row_count == 2 * len(CHANGES)
    assert len(found.columns) == 9


def test_it_is_drawn(tmp_path: Path) -> None:
    """Whatever the figures, and with one rate."""
    draw(report(), tmp_path / "clients.png")
    alone = report(rates=[20.0], settings=[entry(change, [turns(2.0, 1.0)]) for change in CHANGES])
    draw(alone, tmp_path / "alone.png")
    for name in ("clients", "alone"):
        assert (tmp_path / f"{name}.png").read_bytes().startswith(b"\x89PNG")
