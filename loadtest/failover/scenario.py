"""The run: each mode on a stage of its own, one fault after the other under open-loop load."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from loadtest.driving.books import cases
from loadtest.driving.home import write_home
from loadtest.driving.stage import SERVERS, Stage, running_stage, scheduled_commands
from loadtest.driving.traffic import CALM_MS, Traffic, evenly, hundredths, now_ms
from loadtest.failover.faults import FAULTS
from loadtest.failover.picture import draw
from loadtest.failover.report import QUIET, WARM_UP, Fault, History, clock_of, mode_figures, most_other_cores, targets
from loadtest.machine import machine, versions
from loadtest.noise import busy_cores, other_cores, spent
from loadtest.scenario import Say
from rendezvous.demo.report import write
from rendezvous.settings import Environment

WARM_UP_S = 2.0
QUIET_S = 6.0
"""As long as the control lasts."""
LEAST_S = CALM_MS / 1e3 + 1.0
"""Between the end of a fault and the first look whether service is calm: all that is looked at has come after it."""
CALM_S = 40.0
"""As long as calm is waited for; then the next fault comes anyway, and the figures tell."""
SETTLE_S = 20.0
"""After the last request: as long as an answer is waited for before the request is lost."""
LOOK_EVERY_S = 0.1


class Running:
    """One mode's run while it lasts."""

    def __init__(self, stage: Stage, traffic: Traffic, say: Say) -> None:
        self.stage = stage
        self.traffic = traffic
        self.say = say
        self.fault = Fault(WARM_UP, now_ms())
        self.faults = [self.fault]

    def play(self) -> None:
        """Every fault, and calm after each."""
        time.sleep(WARM_UP_S)
        self.calm(first_choice=True)
        self._begin(QUIET)
        before = spent()
        time.sleep(QUIET_S)
        # only here: what a process took that has died is not in its parents' account
        self.fault.notes["other_cores"] = other_cores(before, spent())
        for name, act in FAULTS.items():
            self._begin(name)
            died, before = len(self.stage.services.deaths), spent()
            act(self)
            self.calm()
            self.fault.notes["busy_cores"] = busy_cores(before, spent())
            deaths = self.stage.services.deaths[died:]
            self.fault.notes["deaths"] = [{"name": death.name, "code": death.code} for death in deaths]
            self.say(f"{name}: {(now_ms() - self.fault.begun_ms) / 1e3:.1f} s until calm{_died(self.fault)}")

    def _begin(self, name: str) -> None:
        self.fault = Fault(name, now_ms())
        self.faults.append(self.fault)

    def calm(self, *, first_choice: bool = False) -> None:
        """Wait until all services are ready and all was answered in time for some seconds."""
        time.sleep(LEAST_S)
        give_up = time.monotonic() + CALM_S
        while not (self.traffic.calm(first_choice=first_choice) and self.stage.services.ready()):
            if time.monotonic() > give_up:
                self.say(f"{self.fault.name}: not calm after {CALM_S:.0f} s, going on")
                return
            time.sleep(LOOK_EVERY_S)


def _died(fault: Fault) -> str:
    deaths = ", ".join(f"{death['name']} ({death['code']})" for death in fault.notes["deaths"])
    return f"; died: {deaths}" if deaths else ""


def run(
    environment: Environment, *, rate: float, mode: Sequence[str], folder: Path, say: Say
) -> tuple[dict[str, Any], int]:
    """Play each mode and write failover.json and failover.png; returns the report and how many requests were lost.

    Raises:
        LocalStackError: something could not be started.
    """
    begun, where = datetime.now(UTC), machine()
    if environment.kafka:
        say("failover kills its broker: it starts one of its own and leaves KAFKA_BOOTSTRAP_SERVERS alone")
    histories = [play(environment, one, rate, say) for one in mode]
    clocks = [clock_of(one) for one in mode]
    entries = [mode_figures(history) for history in histories]
    report = {
        "scenario": "failover",
        "begun_utc": begun.isoformat(timespec="seconds"),
        "rate": rate,
        "partitions": histories[0].partitions,
        "servers": len(SERVERS),
        "deadline_ms": histories[0].deadline_ms,
        "machine": where,
        "versions": versions(""),
        "most_other_cores": most_other_cores(entries),
        "modes": entries,
        "targets": [target for entry, clock in zip(entries, clocks, strict=True) for target in targets(entry, clock)],
    }
    write(report, folder / "failover.json")
    draw(list(zip(histories, clocks, strict=True)), report, folder / "failover.png")
    return report, sum(entry["totals"]["lost"] for entry in entries)


def play(environment: Environment, mode: str, rate: float, say: Say) -> History:
    """One mode: start everything, load it, and let every fault happen."""
    folder = environment.data / "loadtest" / "failover" / mode
    say(f"{mode}: {len(FAULTS)} faults at {rate:g} requests/s, logs in {folder / 'logs'}")
    with running_stage(folder, environment.data, say, partial(write_home, mode=mode), scheduled_commands) as stage:
        logging.getLogger("rendezvous.log").setLevel(logging.ERROR)  # that a killed broker is away is no news
        with Traffic(stage.endpoint, stage.broker.address, evenly(rate), hundredths(stage.endpoint)) as traffic:
            running = Running(stage, traffic, say)
            running.play()
            traffic.settle(SETTLE_S)
            ended_ms = now_ms()
            buried = traffic.buried()
            found = cases(traffic.asked(), traffic.answers, set(buried))
            say(f"{mode}: the driver was at most {max(traffic.sent_late_ms):.0f} ms late")
    return History(
        mode=mode,
        deadline_ms=stage.endpoint.request.deadline_ms,
        partitions=stage.endpoint.topics.partitions,
        faults=running.faults,
        cases=found,
        started_ms=running.faults[0].begun_ms,
        ended_ms=ended_ms,
    )
