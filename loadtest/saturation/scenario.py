"""The run: one rate after the other, each for some seconds, until the highest that is kept is known."""

from __future__ import annotations

from contextlib import ExitStack
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from loadtest.bench import Bench, afresh, running_bench
from loadtest.derived import Shape
from loadtest.driving.costs import Costs
from loadtest.driving.fates import figures, sent_late_ms
from loadtest.driving.phases import Phase, play
from loadtest.driving.settling import settle
from loadtest.machine import machine, versions
from loadtest.saturation.criterion import growth, step
from loadtest.saturation.picture import draw
from loadtest.saturation.search import LEAST_RATE, Search
from loadtest.scenario import Measured, Say
from loadtest.system import left_out
from rendezvous.demo.report import write
from rendezvous.local.failure import LocalStackError
from rendezvous.local.services import running_services
from rendezvous.registry.control import ControlLog
from rendezvous.settings import Environment
from rendezvous.wire import Codec

NAME = "flights-saturation"
FIRST_RATE = 200.0
"""What a small machine keeps: the staircase begins there."""
STEP_S = 4.0
LEAD_S = 1.0
"""At the start of each step, not counted: queues find their level."""
OVER_S = 0.2
"""After a step, not counted: until processor times have been read."""
SETTLE_S = 3.0


class Prober:
    """Tries rates on an endpoint's services; after one that was not kept it starts them anew, on an endpoint anew.

    What too high a rate leaves behind (models passed by, or left out) would weigh on the next step for half a minute.
    """

    def __init__(self, bench: Bench, seconds: float, say: Say) -> None:
        self._bench = bench
        self._seconds = seconds
        self._say = say
        codec = Codec(bench.endpoint.features_schema)
        self._values = [codec.encode(row) for row in bench.rows]
        self._names = (f"{bench.endpoint.name}-{number}" for number in count(2))
        self._stack = ExitStack()
        self._costs: Costs | None = None
        self.steps: list[dict[str, Any]] = []
        self.lost = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def kept(self, rate: float) -> bool:
        """Try a rate."""
        bench = self._bench
        if self._costs is None:
            services = running_services(bench.endpoint, bench.home, bench.kafka, bench.logs, lambda _: None)
            self._costs = Costs(self._stack.enter_context(services))
            settle(bench, self._values)
        played = play(
            bench.endpoint,
            bench.kafka,
            self._values,
            [Phase("lead-in", rate, LEAD_S), Phase("step", rate, self._seconds), Phase("over", rate, OVER_S)],
            acts={"step": self._costs.note, "over": self._costs.note},
            settle_s=SETTLE_S,
        )
        window = played.window("step")
        entry, control = figures(played, window), ControlLog(bench.kafka, bench.endpoint).read()
        grown = growth(played.in_window(window), window.begun_ms, window.ended_ms)
        tried = step(rate, entry, grown, left_out=left_out(control))
        faults = tried.faults()
        self.steps.append(
            entry
            | {
                "rate": rate,
                "growth": grown,
                "faults": faults,
                "cores": self._costs.cores(),
                "sent_late_ms": sent_late_ms(played),
            }
        )
        self.lost += played.lost
        self._say(f"{rate:.0f}/s: {'; '.join(faults) or 'kept'}")
        if faults:
            self._stack.close()
            self._costs = None
            self._bench = afresh(bench, next(self._names))
        return not faults


def find(bench: Bench, seconds: float, say: Say, first: float = FIRST_RATE) -> tuple[float, Prober]:
    """The highest rate that is kept, 0 when none is, and the prober with all that was tried."""
    say(f"looking for saturation in steps of {seconds:g} s")
    search = Search(first)
    with Prober(bench, seconds, say) as prober:
        while not search.done:
            search.tell(kept=prober.kept(search.rate))
    return search.kept or 0.0, prober


def known(bench: Bench, rate: float | None, say: Say) -> float:
    """`rate`, or the saturation that is found now.

    Raises:
        LocalStackError: no rate is kept.
    """
    found = rate or find(bench, STEP_S, say)[0]
    if not found:
        raise LocalStackError(
            f"the system keeps not even {LEAST_RATE:g} requests/s: is the machine busy? RATE= says what to take instead"
        )
    return found


def run(
    environment: Environment, *, models: int, partitions: int, payload: int, seconds: float, folder: Path, say: Say
) -> Measured:
    """Find it, and write saturation.json and saturation.png.

    Raises:
        SettingsError: the endpoint is not there.
        LocalStackError: something could not be started.
    """
    begun, where = datetime.now(UTC), machine()
    with running_bench(environment, say, Shape(models, partitions, payload), NAME) as bench:
        rate, prober = find(bench, seconds, say)
    others = [step["other_cores"] for step in prober.steps if step["other_cores"] is not None]
    report = {
        "scenario": "saturation",
        "begun_utc": begun.isoformat(timespec="seconds"),
        "models": models,
        "partitions": partitions,
        "payload": payload,
        "seconds": seconds,
        "machine": where,
        "versions": versions(environment.kafka),
        "most_other_cores": max(others, default=None),
        "saturation": rate,
        "steps": prober.steps,
        "targets": [],
    }
    write(report, folder / "saturation.json")
    draw(report, folder / "saturation.png")
    return report, prober.lost
