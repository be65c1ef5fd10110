"""The run: every act under open-loop load, a quiet window before and after each."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from loadtest.driving.books import cases, counts
from loadtest.driving.stage import Stage, running_stage
from loadtest.driving.traffic import CALM_MS, Traffic, evenly, hundredths, now_ms
from loadtest.handoff import home
from loadtest.handoff.picture import draw
from loadtest.handoff.report import (
    DEPLOY,
    FALLEN_BACK,
    FROZEN,
    PROMOTE,
    PROMOTE_NEW,
    QUIET,
    ROLLBACK,
    THAWED,
    WARM_UP,
    History,
    Window,
    Written,
    figures,
    targets,
)
from loadtest.handoff.scored import Scored, scored
from loadtest.machine import machine, versions
from loadtest.noise import busy_cores, other_cores, spent
from loadtest.scenario import Say
from rendezvous.demo.report import write
from rendezvous.local.failure import LocalStackError
from rendezvous.log import KafkaReader, read_to_end, starts_at_end
from rendezvous.messages import Scores
from rendezvous.registry.control import ControlLog
from rendezvous.registry.events import Suspension
from rendezvous.registry.fold import KINDS
from rendezvous.registry.naming import written
from rendezvous.registry.state import Pair
from rendezvous.settings import Endpoint, Environment
from rendezvous.wire import decode, decode_any

PROBE_S = 60.0
"""The machine keeps up with a rate when three seconds in a row went well; what a higher rate has left must have passed
by then: a champion is trusted again after 5 or 10 s, and all that is shed is taken back within 40."""
SLOWER = 0.7
"""The next rate to try when it does not."""
LEAST_S = CALM_MS / 1e3 + 1.0
LEAST_RATE = 10.0
COMMAND_S = 60.0
TRIES = 6
"""A promotion that is refused for want of evidence is asked for again, as a person would."""
READY_S = 60.0
FALLBACK_S = 60.0
TRUST_S = 60.0
SETTLE_S = 20.0
LOOK_EVERY_S = 0.1


class Playing:
    """The acts while they last."""

    def __init__(self, stage: Stage, traffic: Traffic, seconds: float, say: Say) -> None:
        self.stage = stage
        self.traffic = traffic
        self.seconds = seconds
        self.say = say
        self.windows: list[Window] = []
        topic = stage.endpoint.topic("control")
        self._control = KafkaReader(stage.broker.address, starts_at_end(stage.broker.address, topic))

    def play(self) -> None:
        """Everything, in order."""
        self._during(WARM_UP)
        self._during(QUIET)
        self._command(PROMOTE, "promote", home.CANDIDATE)
        self._during(QUIET)
        self._command(ROLLBACK, "rollback")
        self._during(QUIET)
        new = self._deploy()
        self._during(QUIET)
        self._command(PROMOTE_NEW, "promote", written(new))
        self._during(QUIET)
        self._freeze(NEW_SCORER, new)
        self._during(QUIET)
        self._control.close()

    def _begin(self, name: str) -> Window:
        self.traffic.check()
        self.windows.append(Window(name, now_ms()))
        return self.windows[-1]

    def _during(self, name: str) -> None:
        """A window in which nothing is done."""
        window, before = self._begin(name), spent()
        time.sleep(self.seconds)
        after = spent()
        window.notes |= {
            "busy_cores": busy_cores(before, after),
            "other_cores": other_cores(before, after),
        }

    def _command(self, name: str, *words: str) -> None:
        """`rendezvous models ...` as a person types it, and so long that a window is left after it.

        Raises:
            LocalStackError: it was refused again and again.
        """
        window, refused = self._begin(name), 0
        while not self._type(window, *words):
            refused += 1
            if refused == TRIES:
                raise LocalStackError(f"{name} was refused {TRIES} times, see above: try a lower --rate")
            time.sleep(self.seconds / 2)
        window.notes["refused"] = refused
        time.sleep(self.seconds)

    def _type(self, window: Window, *words: str) -> bool:
        began_ms = now_ms()
        command = [sys.executable, "-m", "rendezvous", "models", *words, "--endpoint", home.NAME]
        done = subprocess.run(  # noqa: S603 - our own command
            command,
            env={**os.environ, **self.stage.variables},
            capture_output=True,
            text=True,
            check=False,
            timeout=COMMAND_S,
        )
        window.command_ms = began_ms, now_ms()
        window.notes |= {"command": " ".join(command[2:]), "exit_code": done.returncode}
        self.say(f"{window.name}: {(done.stdout + done.stderr).strip()}")
        return done.returncode == 0

    def _deploy(self) -> Pair:
        """The champion's model trained anew, deployed, and its scorer started."""
        new = home.train_champion(self.stage.endpoint)
        self._type(self._begin(DEPLOY), "deploy", home.CHAMPION)
        self.stage.services.add(NEW_SCORER, home.scorer_command(new))
        give_up = time.monotonic() + READY_S
        while not self.stage.services.ready():
            if time.monotonic() > give_up:
                raise LocalStackError(f"{written(new)} is not ready after {READY_S:.0f} s")
            time.sleep(LOOK_EVERY_S)
        return new

    def _freeze(self, scorer: str, pair: Pair) -> None:
        """SIGSTOP until some time after the server passes it by, then SIGCONT until it is trusted again."""
        self._news()
        window = self._begin(FROZEN)
        self.stage.services.freeze(scorer)
        window.notes["passed_by"] = self._await(pair, FALLBACK_S, suspended=True)
        self._during(FALLEN_BACK)
        window = self._begin(THAWED)
        self.stage.services.thaw(scorer)
        window.notes["trusted_again"] = self._await(pair, TRUST_S, suspended=False)
        self.say(f"champion thawed: trusted again: {window.notes['trusted_again']}")

    def _await(self, pair: Pair, patience_s: float, *, suspended: bool) -> bool:
        """Whether control says within `patience_s` that a version is passed by, or trusted again."""
        give_up = time.monotonic() + patience_s
        while time.monotonic() < give_up:
            for event in self._news():
                if not isinstance(event, Suspension) or (event.model, event.version) != pair:
                    continue
                if event.suspended is suspended:
                    return True
        return False

    def _news(self) -> list[object]:
        return [decode_any(record.value, KINDS) for record in self._control.poll(1_000, LOOK_EVERY_S)]


NEW_SCORER = f"{home.CHAMPION}-new"


def run(environment: Environment, *, rate: float, seconds: float, folder: Path, say: Say) -> tuple[dict[str, Any], int]:
    """Play it and write handoff.json and handoff.png; returns the report and how many requests were lost.

    Raises:
        LocalStackError: something could not be started, or a command was refused.
    """
    begun, where = datetime.now(UTC), machine()
    history, kept, tried = play(environment, rate, seconds, say)
    entries = figures(history)
    totals = counts(history.cases, history.deadline_ms)
    report = {
        "scenario": "handoff",
        "begun_utc": begun.isoformat(timespec="seconds"),
        "rate": kept,
        "rate_asked": rate,
        "rates_tried": tried,
        "deadline_ms": history.deadline_ms,
        "step_ms": history.step_ms,
        "machine": where,
        "versions": versions(""),
        "most_other_cores": max(entry["other_cores"] or 0.0 for entry in entries if "other_cores" in entry),
        "totals": totals,
        "windows": entries,
        "targets": targets(entries, totals),
    }
    write(report, folder / "handoff.json")
    draw(history, report, folder / "handoff.png")
    return report, totals["lost"]


def play(
    environment: Environment, rate: float, seconds: float, say: Say
) -> tuple[History, float, list[dict[str, Any]]]:
    """Start everything, find the rate that the machine keeps up with, and play; what happened, that rate, all tried."""
    folder = environment.data / "loadtest" / "handoff"
    say(f"logs in {folder / 'logs'}")
    with running_stage(folder, environment.data, say, home.write_home, home.commands) as stage:
        kept, tried = _rate_kept(stage, rate, say)
        endpoint, kafka = stage.endpoint, stage.broker.address
        with Traffic(endpoint, kafka, evenly(kept), hundredths(endpoint)) as traffic:
            playing = Playing(stage, traffic, seconds, say)
            playing.play()
            ended_ms = now_ms()
            traffic.settle(SETTLE_S)
            found = cases(traffic.asked(), traffic.answers, set(traffic.buried()))
            say(f"the driver was at most {max(traffic.sent_late_ms):.0f} ms late")
        step_ms = endpoint.schedule[0].until_ms
        return (
            History(
                deadline_ms=endpoint.request.deadline_ms,
                step_ms=float(step_ms or 0),
                windows=playing.windows,
                control=_control(kafka, endpoint),
                cases=found,
                scored=_scores(kafka, endpoint, max(case.asked.offset or 0 for case in found) + 1),
                ended_ms=ended_ms,
            ),
            kept,
            tried,
        )


def _rate_kept(stage: Stage, rate: float, say: Say) -> tuple[float, list[dict[str, Any]]]:
    """The first rate, from the one asked for downwards, at which the last seconds were all in time."""
    tried: list[dict[str, Any]] = []
    while True:
        with Traffic(stage.endpoint, stage.broker.address, evenly(rate), hundredths(stage.endpoint)) as traffic:
            time.sleep(LEAST_S)
            give_up = time.monotonic() + PROBE_S
            while not (kept := _keeps_up(stage, traffic)) and time.monotonic() < give_up:
                time.sleep(LOOK_EVERY_S)
            traffic.settle(SETTLE_S)
        tried.append({"rate": rate, "kept_up": kept})
        if kept:
            return rate, tried
        say(f"the machine does not keep up with {rate:g} requests/s")
        rate *= SLOWER
        if rate < LEAST_RATE:
            raise LocalStackError(f"the machine does not keep up with any rate: {tried}")


def _keeps_up(stage: Stage, traffic: Traffic) -> bool:
    """Whether all was in time of late, mostly by the champion, and nobody is shed: what is left out shows nothing."""
    if not traffic.calm(first_choice=True):
        return False
    control = ControlLog(stage.broker.address, stage.endpoint).read()
    return not any(event.candidates or event.challengers for event in control.shedding.values())


def _control(kafka: str, endpoint: Endpoint) -> list[Written]:
    records = read_to_end(kafka, endpoint.topic("control"), 0, 0)
    return [Written(float(record.timestamp_ms), decode_any(record.value, KINDS)) for record in records]


def _scores(kafka: str, endpoint: Endpoint, requests: int) -> dict[Pair, Scored]:
    records = read_to_end(kafka, endpoint.topic("scores"), 0, 0)
    return scored(((float(record.timestamp_ms), decode(record.value, Scores)) for record in records), requests)
