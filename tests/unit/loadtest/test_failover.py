"""The books of `failover`: lost, answered twice, late, recovered; its report, picture and home."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from loadtest.driving import home, timeline
from loadtest.driving.books import CLOCKS, Answer, Asked, Case, Recovery, cases, counts, longest_gap_ms, within
from loadtest.driving.stage import live_partitions
from loadtest.failover import picture
from loadtest.failover.report import (
    EXACTLY_ONCE,
    QUIET,
    WARM_UP,
    Fault,
    History,
    Moment,
    mode_figures,
    most_other_cores,
    targets,
)
from rendezvous.messages import Reason
from rendezvous.scoring.card import load_card
from rendezvous.telemetry import ServerMetrics, Telemetry

DEADLINE_MS = 500.0
STRICT = Recovery(DEADLINE_MS, CLOCKS["appended"])


def asked(number: int, due_ms: float = 0.0, *, appended_ms: float | None = None, acknowledged: bool = True) -> Asked:
    """Request `number`, of partition 0, appended when it was due."""
    return Asked(number, 0, due_ms, acknowledged, number, due_ms if appended_ms is None else appended_ms)


def answer(
    number: int, at_ms: float, *, place: tuple[int, int] | None = None, in_hand_ms: float | None = None
) -> Answer:
    """The answer to request `number`."""
    return Answer(number, place or (0, number), Reason.PREFERRED, at_ms, at_ms if in_hand_ms is None else in_hand_ms)


def case(due_ms: float, *answered_ms: float, appended_ms: float | None = None) -> Case:
    """A request with answers at these times."""
    number = int(due_ms)
    return Case(
        asked(number, due_ms, appended_ms=appended_ms), [answer(number, at) for at in answered_ms], buried=False
    )


def stream(*waited_ms: float) -> list[Case]:
    """A partition's requests, due every 100 ms, each answered after so long; infinite: never."""
    return [
        case(number * 100.0, *([number * 100.0 + waited] if waited < float("inf") else []))
        for number, waited in enumerate(waited_ms)
    ]


# ----------------------------------------------------------------------------------------------------------- counting


def test_an_acknowledged_request_without_a_word_is_lost() -> None:
    """An answer or a dead letter is a word; what the broker never acknowledged is owed none."""
    requests = [asked(0), asked(1), asked(2), asked(3, acknowledged=False)]
    found = cases(requests, [answer(0, 10)], {(0, 1)})
    assert [each.lost for each in found] == [False, False, True, False]
    figures = counts(found, DEADLINE_MS)
    assert {name: figures[name] for name in ("sent", "acknowledged", "answered", "lost", "dead_letters")} == {
        "sent": 4,
        "acknowledged": 3,
        "answered": 1,
        "lost": 1,
        "dead_letters": 1,
    }


def test_a_dead_letter_of_another_place_saves_nobody() -> None:
    """Partition and offset name a request together."""
    (found,) = cases([asked(1)], [], {(1, 1), (0, 2)})
    assert found.lost


def test_second_answers_are_duplicates_recognisable_by_their_place() -> None:
    """Three answers are two too many, of which one names another place."""
    answers = [answer(7, 10), answer(7, 20), answer(7, 30, place=(0, 8)), answer(9, 10)]
    figures = counts(cases([asked(7), asked(9)], answers, set()), DEADLINE_MS)
    assert (figures["answered"], figures["duplicates"], figures["recognisable"]) == (2, 2, 1)


@pytest.mark.parametrize(("at_ms", "late"), [(500.0, 0), (501.0, 1)])
def test_late_is_past_the_deadline_from_the_append(at_ms: float, late: int) -> None:
    """By the broker's clock; the deadline itself is in time."""
    assert counts([case(0, at_ms)], DEADLINE_MS)["late"] == late


def test_the_first_answer_tells_whether_it_is_late() -> None:
    """A second one that comes late makes no late request of it."""
    assert counts([case(0, 10, 900)], DEADLINE_MS)["late"] == 0


def test_each_clock_has_its_own_late_ones() -> None:
    """Appended in time and read late; taken late by the broker, and answered in time from then on."""
    held = Case(asked(0), [answer(0, 100, in_hand_ms=600)], buried=False)
    taken_late = case(1, 1_100, appended_ms=1_000)
    figures = counts([held, taken_late], DEADLINE_MS)
    assert (figures["late"], figures["late_in_hand"], figures["late_from_due"]) == (0, 1, 1)


def test_a_window_has_what_was_due_in_it() -> None:
    """Its start belongs to it, its end to the next."""
    assert [each.asked.due_ms for each in within(stream(1, 1, 1, 1), 100, 300)] == [100, 200]


# ----------------------------------------------------------------------------------------------------------- recovery


@pytest.mark.parametrize(
    ("waited_ms", "recovered_ms"),
    [
        ((1, 1, 1), 0.0),
        ((1, 900, 800, 450, 1), 600.0),  # struck at 150: the fourth, due at 300, is answered at 750
        ((1, 900, 1, 1, 900, 2), 352.0),  # the second miss counts: due at 400; the last is answered at 502
        ((1, 900, 900), None),
        ((1, float("inf"), 1), 51.0),
    ],
    ids=["undisturbed", "once", "twice", "not yet", "lost one"],
)
def test_recovery_ends_with_the_answer_from_which_on_all_are_in_time(
    waited_ms: Sequence[float], recovered_ms: float | None
) -> None:
    """Counted from the moment of the fault, 150 ms after the first request."""
    assert STRICT.after(150, stream(*waited_ms)) == recovered_ms


def test_recovery_may_count_from_the_first_miss() -> None:
    """Struck at 0, first missed by the request due at 200, over with the answer at 403."""
    found = stream(1, 1, 900, 900, 3)
    assert STRICT.after(0, found) == 403
    assert replace(STRICT, since_first_miss=True).after(0, found) == 203


def test_recovery_may_ask_for_some_time_only() -> None:
    """After the miss at 100 the next one is 200 ms away from the first in time, after that one nothing is missed."""
    found = stream(1, 900, 2, 2, 900, 3, 3)
    assert STRICT.after(0, found) == 503
    assert replace(STRICT, steady_ms=200.0).after(0, found) == 202
    assert replace(STRICT, steady_ms=201.0).after(0, found) == 503


def test_a_second_answer_disturbs_nobody() -> None:
    """The first one was in time."""
    assert STRICT.after(0, [case(0, 10, 900), case(100, 110)]) == 0.0


def test_a_request_under_way_does_not_make_recovery_negative() -> None:
    """Due before the fault and late by chance, with a successor that was answered before it."""
    assert STRICT.after(150, stream(900, 1)) == 0.0


def test_the_longest_gap_is_between_answers() -> None:
    """Of appends in their own order, whichever requests they belong to, from the start on."""
    found = [case(0, 10), case(100, 700), case(200, 250)]
    assert longest_gap_ms(found, 5) == 450
    assert longest_gap_ms(found, 5, frozenset({Reason.DEFAULT})) == 0


# ------------------------------------------------------------------------------------------------- report and picture


def history(mode: str = "default") -> History:
    """Two partitions, a request each every 100 ms; at 2 s partition 1 stands still for a second."""
    found = []
    for number in range(80):
        due_ms, partition = 10_000 + number // 2 * 100.0, number % 2
        frozen = partition == 1 and 12_000 <= due_ms < 13_000
        request = Asked(number, partition, due_ms, acknowledged=True, offset=number, appended_ms=due_ms)
        at_ms = 13_000 if frozen else due_ms + 5
        found.append(Case(request, [answer(number, at_ms, place=(partition, number))], buried=False))
    faults = [
        Fault(WARM_UP, 10_000),
        Fault(QUIET, 11_000),
        Fault("freeze", 12_000, [Moment("SIGSTOP", 12_000, 1_100)], {"victim": "server-1"}),
    ]
    return History(mode, DEADLINE_MS, 2, faults, found, 10_000, 14_000)


def test_each_request_belongs_to_one_fault() -> None:
    """A window begins a deadline before its fault: with what was under way."""
    figures = mode_figures(history())
    assert [fault["sent"] for fault in figures["faults"]] == [10, 20, 50]
    assert sum(fault["sent"] for fault in figures["faults"]) == figures["totals"]["sent"] == 80


def test_what_went_wrong_is_shown_by_example() -> None:
    """Where a request stands, and its answers; those that went well are not."""
    found = history()
    twice = found.cases[3]
    again = Case(twice.asked, [*twice.answers, answer(3, 10_900, place=(1, 3))], buried=False)
    found = replace(found, cases=[*found.cases[:3], again, *found.cases[4:]])
    assert mode_figures(found)["faults"][0]["examples"] == [
        {
            "partition": 1,
            "offset": 3,
            "answers": [{"reason": "preferred", "after_ms": 5.0}, {"reason": "preferred", "after_ms": 800.0}],
        }
    ]


def test_recovery_is_told_for_each_partition_and_the_worst() -> None:
    """Partition 0 never noticed; the first in time on 1 was due at 12.5 s and is answered at 13 s."""
    entry = mode_figures(history())["faults"][2]
    (recovered,) = entry["recovery_ms"]["appended"]
    assert recovered["partitions"] == [0.0, 1_000.0]
    assert (recovered["worst"], recovered["bound"]) == (1_000.0, 1_100)
    assert entry["longest_gap_ms"] == [100, 1_000]
    assert (entry["late"], entry["victim"]) == (5, "server-1")


def test_what_is_under_way_belongs_to_the_next_moment() -> None:
    """A second moment at 12.6 s takes the misses due from 12.1 s on; the one before has no more to recover from."""
    found = history()
    found.faults[2].moments.append(Moment("SIGCONT", 12_600, None))
    stopped, woken = mode_figures(found)["faults"][2]["recovery_ms"]["appended"]
    assert (stopped["worst"], woken["worst"]) == (None, 400.0)


def test_targets_are_met_or_not_and_never_asserted() -> None:
    """A recovery within its bound is met, one that never came is not."""
    figures = mode_figures(history())
    assert {target["name"]: target["met"] for target in targets(figures, "appended")} == {
        "default: lost": True,
        "default: duplicates that are not recognisable": True,
        "default: SIGSTOP, ms": True,
    }
    figures["faults"][2]["recovery_ms"]["appended"][0]["worst"] = None
    assert targets(figures, "appended")[-1]["met"] is False


@pytest.mark.parametrize(("mode", "met"), [("default", True), (EXACTLY_ONCE, False)])
def test_a_recognisable_duplicate_is_one_too_many_with_exactly_once(mode: str, met: bool) -> None:  # noqa: FBT001 - a case
    """The default mode admits it around a death."""
    figures = mode_figures(history(mode))
    figures["totals"] |= {"duplicates": 1, "recognisable": 1}
    assert targets(figures, "appended")[1]["met"] is met


@pytest.mark.parametrize(
    ("found", "name"),
    [
        (case(0, 10), "first choice, in time"),
        (case(0, 600), "late"),
        (case(0, 1_010, appended_ms=1_000), "taken late by the broker"),
        (case(0), "never answered"),
    ],
    ids=["in time", "late", "taken late", "never"],
)
def test_a_request_has_one_fate(found: Case, name: str) -> None:
    """By the broker's clock and by when it was due."""
    assert timeline.fate(found, DEADLINE_MS, "appended") == name


def test_what_others_did_is_told_of_the_quiet_time() -> None:
    """Nobody says it where /proc does not."""
    figures = mode_figures(history())
    assert most_other_cores([figures]) is None
    figures["faults"][1]["other_cores"] = 0.7
    assert most_other_cores([figures]) == 0.7


def test_every_request_is_drawn_once() -> None:
    """The stacked rates add up to what was sent."""
    found = history()
    starts, rates = timeline.rates(timeline.Line(found.cases, found.started_ms, found.deadline_ms, "appended"))
    assert len(starts) == len(rates["late"])
    assert sum(map(sum, rates.values())) * timeline.BIN_S == pytest.approx(80)
    assert sum(rates["late"]) * timeline.BIN_S == pytest.approx(5)


def test_the_picture_is_drawn(tmp_path: Path) -> None:
    """Two panels a mode; requests without an answer are in it."""
    silent = history()
    lost = [Case(each.asked, [], buried=False) for each in silent.cases[-3:]]
    drawn = [history(), History("x", DEADLINE_MS, 2, silent.faults, [*silent.cases[:-3], *lost], 10_000, 14_000)]
    report = {
        "rate": 20.0,
        "partitions": 2,
        "servers": 3,
        "deadline_ms": DEADLINE_MS,
        "machine": {"cores": 2, "processor": "any", "load_average_at_start": [0.5]},
        "modes": [mode_figures(each) for each in drawn],
    }
    picture.draw([(each, "appended") for each in drawn], report, tmp_path / "failover.png")
    assert (tmp_path / "failover.png").read_bytes().startswith(b"\x89PNG")


# ------------------------------------------------------------------------------------------------------ what it runs


@pytest.mark.parametrize("mode", home.MODES)
def test_the_endpoint_is_one_that_services_accept(mode: str, tmp_path: Path) -> None:
    """Of each mode: four partitions, a champion before all others, every model with its card."""
    endpoint = home.write_home(tmp_path, mode)
    assert endpoint.exactly_once is (mode == EXACTLY_ONCE)
    assert endpoint.topics.partitions == home.PARTITIONS
    assert endpoint.schedule[0].models == ("champion",)
    assert len({load_card(endpoint.folder / model).version for model in endpoint.models}) == len(endpoint.models)


def test_live_partitions_are_read_from_a_servers_page() -> None:
    """Held ones are not answered for yet."""
    telemetry = Telemetry()
    metrics = ServerMetrics(telemetry.registry)
    metrics.partitions.labels("live").set(2)
    metrics.partitions.labels("held").set(1)
    assert live_partitions(telemetry.page("/metrics")[2].decode()) == 2
