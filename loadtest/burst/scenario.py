"""The run: a quiet stream, and on top of it bursts of growing size, each at one moment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from loadtest.derived import Shape
from loadtest.driving import timeline
from loadtest.driving.books import Case
from loadtest.driving.fates import counts, good, latency_ms
from loadtest.driving.flights import around, begun, running_field, told
from loadtest.driving.phases import Phase, Played, Window, bursts_s, play
from loadtest.scenario import Measured, Say
from rendezvous.demo.report import write
from rendezvous.settings import Environment

NAME = "flights-burst"
SECONDS = 6.0
SHARE = 0.25
"""Of saturation: the stream that the bursts come on top of."""
SIZES = (100, 200, 400)
EVERY_S = 2.0
IN_TIME = 0.99
"""Of a burst's answers by the deadline: as of saturation."""
SAME_MS = 0.001


def run(
    environment: Environment,
    *,
    rate: float | None,
    models: int,
    partitions: int,
    payload: int,
    seconds: float,
    folder: Path,
    say: Say,
) -> Measured:
    """Measure, and write burst.json and burst.png; `rate` is what counts as saturation, looked for when None.

    Raises:
        SettingsError: the endpoint is not there.
        LocalStackError: something could not be started.
    """
    shape = Shape(models, partitions, payload)
    report = begun(environment, "burst", shape, rate)
    with running_field(environment, say, shape, NAME, rate) as field:
        quiet = SHARE * field.saturation
        say(f"bursts of {', '.join(map(str, SIZES))} on top of {quiet:.0f}/s")
        phases = [
            Phase("lead-in", quiet, field.bench.warm_up_s),
            *(Phase(name_of(size), quiet, seconds, size, min(EVERY_S, seconds)) for size in SIZES),
        ]
        played = play(field.bench.endpoint, field.bench.kafka, field.values, phases)
    bursts = [figures(played, window) for window in played.windows if window.phase.burst]
    report |= {
        "saturation": field.saturation,
        "most_other_cores": played.most_other_cores,
        **told(played),
        "bursts": bursts,
        "targets": targets(played, bursts),
    }
    write(report, folder / "burst.json")
    timeline.draw(
        {"": played}, report, f"bursts on top of {quiet:.0f} requests/s, one in {EVERY_S:g} s", folder / "burst.png"
    )
    return report, played.lost


def name_of(size: int) -> str:
    """The phase of bursts of this size."""
    return f"bursts of {size}"


def burst_cases(played: Played, window: Window) -> list[Case]:
    """The requests of a window that were due at the moment of a burst."""
    moments = [window.begun_ms + at_s * 1e3 for at_s in bursts_s(window.phase)]
    return [
        case
        for case in played.in_window(window)
        if any(abs(case.asked.due_ms - moment_ms) < SAME_MS for moment_ms in moments)
    ]


def figures(played: Played, window: Window) -> dict[str, Any]:
    """One size's entry: what became of its bursts' requests; max is how long the last of one waited."""
    found = burst_cases(played, window)
    return {
        "size": window.phase.burst,
        "bursts": len(bursts_s(window.phase)),
        **counts(found, played.deadline_ms),
        "good_share": round(sum(good(case, played.deadline_ms) for case in found) / max(len(found), 1), 4),
        "latency_ms": latency_ms(found, played),
    }


def targets(played: Played, bursts: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """What is promised of any request: an answer by its deadline."""
    found = []
    for entry in bursts:
        name = name_of(entry["size"])
        value = round(entry["in_time"] / max(entry["sent"], 1), 4)
        met = value >= IN_TIME
        reasons = ", ".join(f"{count} {reason}" for reason, count in entry["reasons"].items())
        found.append(
            {
                "name": f"{name}: answered by the deadline, at least",
                "value": value,
                "limit": IN_TIME,
                "met": met,
                "reason": None if met else f"{reasons}; {around(played, played.window(name))}",
            }
        )
    return found
