"""The run: three quarters of saturation; then the same with the champion's process frozen; then it goes on."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from loadtest.derived import Shape
from loadtest.driving import deadlines, timeline
from loadtest.driving.flights import Field, around, begun, running_field, told
from loadtest.driving.phases import Phase, Played, play
from loadtest.scenario import Measured, Say
from rendezvous.demo.report import write
from rendezvous.settings import Environment

NAME = "flights-stall"
SECONDS = 20.0
"""Of each phase: the last of ten thousand requests is what 99.99 % means."""
SHARE = 0.75
CALM, FROZEN, BACK = "champion well", "champion frozen", "champion back"


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
    """Measure, and write stall.json and stall.png; `rate` is what counts as saturation, looked for when None.

    Raises:
        SettingsError: the endpoint is not there.
        LocalStackError: something could not be started.
    """
    shape = Shape(models, partitions, payload)
    report = begun(environment, "stall", shape, rate)
    with running_field(environment, say, shape, NAME, rate) as field:
        say(f"{SHARE * field.saturation:.0f}/s, {seconds:g} s without and {seconds:g} s with a frozen champion")
        played = freeze(field, seconds)
    entries = {name: deadlines.figures(played.of(name), played.deadline_ms) for name in (CALM, FROZEN)}
    report |= {
        "saturation": field.saturation,
        "rate": SHARE * field.saturation,
        "most_other_cores": played.most_other_cores,
        **told(played),
        "after_deadline_ms": entries,
        "targets": [
            target
            for name, entry in entries.items()
            for target in deadlines.targets(name, entry, around(played, played.window(name)))
        ],
    }
    write(report, folder / "stall.json")
    timeline.draw(
        {"": played},
        report,
        f"{models} flight models at 75 % of {field.saturation:.0f} requests/s, the champion's process frozen for "
        f"{seconds:g} s; deadline {played.deadline_ms:g} ms",
        folder / "stall.png",
    )
    return report, played.lost


def freeze(field: Field, seconds: float) -> Played:
    """Load it, stop the champion's process midway, and let it go again whatever happens."""
    rate, pid = SHARE * field.saturation, field.champion.process.pid
    phases = [
        Phase("lead-in", rate, field.bench.warm_up_s),
        Phase(CALM, rate, seconds),
        Phase(FROZEN, rate, seconds),
        Phase(BACK, rate, seconds / 2),
    ]
    acts = {FROZEN: lambda: os.kill(pid, signal.SIGSTOP), BACK: lambda: os.kill(pid, signal.SIGCONT)}
    try:
        return play(field.bench.endpoint, field.bench.kafka, field.values, phases, acts=acts)
    finally:
        os.kill(pid, signal.SIGCONT)
