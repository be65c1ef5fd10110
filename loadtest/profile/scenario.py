"""The run: the services of an endpoint like `flights` under open-loop load, at one rate after the other."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from loadtest.bench import Bench, running_bench
from loadtest.derived import Shape
from loadtest.driving.fates import figures as fates
from loadtest.driving.flights import Field, begun, encoded
from loadtest.driving.phases import Phase, Played, play
from loadtest.driving.settling import settle
from loadtest.profile.areas import SCORER, SERVER, Table
from loadtest.profile.figures import figures
from loadtest.profile.picture import draw
from loadtest.profile.samplers import Clock, PySpy, Recording, Sampler, check_attaching
from loadtest.profile.threads import Taken, taken
from loadtest.scenario import Measured, Say
from rendezvous.demo.report import write
from rendezvous.local.ports import free_port
from rendezvous.local.process import GuardedProcess
from rendezvous.local.services import RunningService, await_ready, started, surroundings_of
from rendezvous.registry.naming import active_names, written
from rendezvous.settings import Environment

NAME = "flights-profile"
RATES = (100.0, 1_600.0)
"""Turns of single rows, and batches."""
SECONDS = 30.0
"""At 100/s the scorer's loop is busy for a tenth of it: some hundred samples."""
AFTER_S = 3.0
"""At the same rate: a sampler that begins late looks on no quieter system."""
SAMPLERS: Mapping[str, Callable[[int, Path], Sampler]] = {"clock": Clock, "py-spy": PySpy}
TABLES: Mapping[str, Table] = {"server": SERVER, "champion": SCORER}


def run(
    environment: Environment,
    *,
    rate: Sequence[float],
    by: str,
    seconds: float,
    folder: Path,
    say: Say,
    **shape: int,
) -> Measured:
    """Measure, and write profile.json and profile.png.

    Args:
        environment: where everything is.
        rate: requests a second, one run each.
        by: one of SAMPLERS.
        seconds: of sampling, for each rate.
        folder: for the report.
        say: told what goes on.
        shape: models, partitions and payload.

    Raises:
        SettingsError: the endpoint is not there.
        LocalStackError: something could not be started, or be looked into.
    """
    taken(os.getpid())  # where that is not told, say so before anything is started
    if by == "py-spy":
        check_attaching()
    form = Shape(shape["models"], shape["partitions"], shape["payload"])
    report = begun(environment, "profile", form, max(rate))
    profiles: list[dict[str, Any]] = []
    played: list[Played] = []
    with running_bench(environment, say, form, NAME) as bench, _serving(bench, max(rate)) as field:
        looks = {name: SAMPLERS[by](one.process.pid, bench.logs / one.name) for name, one in _both(field).items()}
        for each in rate:
            say(f"{each:g} requests/s for {seconds:g} s, sampled by {by}")
            found, done = _measure(field, each, seconds, looks)
            profiles += found
            played.append(done)
    others = [done.most_other_cores for done in played if done.most_other_cores is not None]
    report |= {
        "by": by,
        "seconds": seconds,
        "most_other_cores": max(others, default=None),
        "phases": [fates(done, done.window("sampled")) for done in played],
        "profiles": profiles,
        "targets": [],
    }
    write(report, folder / "profile.json")
    draw(report, folder / "profile.png")
    return report, sum(done.lost for done in played)


@contextmanager
def _serving(bench: Bench, rate: float) -> Iterator[Field]:
    """All services at ease; the server and the champion's scorer with a sampler in them."""
    surroundings = surroundings_of(bench.home, bench.kafka, "")
    active = active_names(bench.control)
    commands = {"server": ["server"]} | {name: ["scorer", "--model", written(pair)] for pair, name in active.items()}
    with ExitStack() as stack:
        services = {}
        for name, arguments in commands.items():
            start = _within if name in ("server", active[bench.champion]) else started
            services[name] = start(name, [*arguments, "--endpoint", bench.endpoint.name], surroundings, bench.logs)
            stack.callback(services[name].process.stop)
        await_ready(services, lambda _: None)
        values = encoded(bench)
        settle(bench, values)
        yield Field(bench, services, values, rate)


def _within(name: str, arguments: Sequence[str], surroundings: Mapping[str, str], logs: Path) -> RunningService:
    """As `started`, with a sampler in it that waits to be woken."""
    logs.mkdir(parents=True, exist_ok=True)
    port, log = free_port(), logs / f"{name}.log"
    command = [sys.executable, "-m", "loadtest.profile.within", str(logs / name), "run", *arguments]
    process = GuardedProcess.start(
        [*command, "--http-port", str(port)], log=log, environment={"OMP_NUM_THREADS": "1", **surroundings}
    )
    return RunningService(name, process, port, log)


def _both(field: Field) -> dict[str, RunningService]:
    """The two that are looked into."""
    return {"server": field.services["server"], "champion": field.champion}


def _measure(
    field: Field, rate: float, seconds: float, samplers: Mapping[str, Sampler]
) -> tuple[list[dict[str, Any]], Played]:
    """Both processes at one rate."""
    services = _both(field)
    marks: list[dict[str, Taken]] = []
    recordings: dict[str, Recording] = {}

    def mark() -> None:
        marks.append({name: taken(one.process.pid) for name, one in services.items()})

    def begin() -> None:
        for sampler in samplers.values():
            sampler.begin(seconds)
        mark()

    def end() -> None:
        mark()
        recordings.update({name: sampler.end() for name, sampler in samplers.items()})

    phases = [Phase("lead-in", rate, field.bench.warm_up_s), Phase("sampled", rate, seconds)]
    played = play(
        field.bench.endpoint,
        field.bench.kafka,
        field.values,
        [*phases, Phase("after", rate, AFTER_S)],
        acts={"sampled": begin, "after": end},
    )
    requests = len(played.of("sampled"))
    found = [
        {
            "process": name,
            "rate": rate,
            **figures(recordings[name], TABLES[name], marks[1][name].since(marks[0][name]), requests),
        }
        for name in services
    ]
    return found, played
