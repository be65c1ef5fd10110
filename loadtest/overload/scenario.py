"""The run: saturation, then twice as many, then half; where models are slow, and where the processor is full."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from loadtest import floor, shape
from loadtest.bench import Bench, afresh, deployed, running_bench
from loadtest.derived import Shape
from loadtest.driving import timeline
from loadtest.driving.flights import Field, begun, serving
from loadtest.driving.phases import Phase, Played, play
from loadtest.driving.stage import timed
from loadtest.latency import Run
from loadtest.overload import home
from loadtest.overload.report import AFTER, FULL, LEAD, PROCESSOR, SIMULATED, TWICE, figures, floor_figures, targets
from loadtest.saturation.scenario import STEP_S, Prober, known
from loadtest.scenario import Measured, Say
from rendezvous.demo.report import write
from rendezvous.log import create_topics
from rendezvous.settings import Environment

NAME = "flights-overload"
SECONDS = 8.0
"""At saturation, and at twice as much; as long again and half as long at half as much."""
AFTER_SHARE = 1.5
SHARES = (0.95, 0.85, 0.75, 0.6)
"""Of what simulated models could do without anything around them: the first that is kept is their saturation."""


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
    """Measure, and write overload.json and overload.png; `rate` is what counts as saturation, looked for when None.

    Raises:
        SettingsError: the endpoint is not there.
        LocalStackError: something could not be started.
    """
    asked = Shape(models, partitions, payload)
    report = begun(environment, "overload", asked, rate)
    with running_bench(environment, say, asked, NAME) as bench:
        full = known(bench, rate, say)
        places = {PROCESSOR: (bench, full, True)}
        simulated = deployed(bench.kafka, bench.home.parent / home.NAME, home.write_home, home.ROWS, ())
        places[SIMULATED] = simulated, *_saturation(simulated, say)
        played = {}
        for bottleneck, (place, saturation, _) in places.items():
            say(f"{saturation:.0f}/s, then twice as many: {bottleneck} the bottleneck")
            with serving(afresh(place, f"{place.home.name}-pressed"), saturation) as field:
                played[bottleneck] = press(field, seconds)
        say(f"{2 * full:.0f}/s through the floor: what raw relays of this shape do beside their driver")
        relayed = _floor(bench, 2 * full, seconds)
    parts = {
        name: {"saturation": round(saturation, 1), "saturation_kept": kept, **figures(name, played[name])}
        for name, (_, saturation, kept) in places.items()
    }
    parts[PROCESSOR] |= floor_figures(relayed, seconds, played[PROCESSOR])
    report |= {
        "saturation": full,
        "row_ms": home.ROW_MS,
        "most_other_cores": max((part.most_other_cores or 0.0 for part in played.values()), default=None),
        "parts": list(parts.values()),
        "targets": targets(parts, played),
    }
    write(report, folder / "overload.json")
    timeline.draw(
        {f"{name} the bottleneck: {_share(parts[name])} of goodput kept": part for name, part in played.items()},
        report,
        "saturation, then twice as many, then half as many",
        folder / "overload.png",
    )
    return report, sum(part.lost for part in played.values())


def _share(part: Mapping[str, Any]) -> str:
    return "nothing" if part["goodput_kept"] is None else f"{part['goodput_kept']:.0%}"


def _floor(bench: Bench, rate: float, seconds: float) -> Run:
    create_topics(bench.kafka, timed(shape.topics(bench.endpoint)))
    return floor.measure(bench, rate, seconds)


def _saturation(simulated: Bench, say: Say) -> tuple[float, bool]:
    """That of the simulated models, and whether they kept it: on a busy machine they may keep none of the rates."""
    with Prober(simulated, STEP_S, say) as prober:
        for share in SHARES:
            if prober.kept(share * home.RATE):
                return share * home.RATE, True
    return SHARES[-1] * home.RATE, False


def press(field: Field, seconds: float) -> Played:
    """Saturation, twice as many, half as many."""
    full = field.saturation
    phases = [
        Phase(LEAD, full / 2, field.bench.warm_up_s),
        Phase(FULL, full, seconds),
        Phase(TWICE, 2 * full, seconds),
        Phase(AFTER, full / 2, AFTER_SHARE * seconds),
    ]
    return play(field.bench.endpoint, field.bench.kafka, field.values, phases)
