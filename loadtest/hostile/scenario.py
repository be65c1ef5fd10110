"""The run: one kind of hostile record after the other, as fast as it can be written, between good requests."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from loadtest.driving.books import Case, cases, within
from loadtest.driving.home import write_home
from loadtest.driving.stage import SERVERS, Stage, running_stage, scheduled_commands
from loadtest.driving.traffic import Traffic, evenly, hundredths, now_ms
from loadtest.hostile.books import Phase, Said, figures, good_figures
from loadtest.hostile.control import control_kinds, restored
from loadtest.hostile.kind import ANSWERED, FOLDED, Kind, counts
from loadtest.hostile.pour import Place, Pourer, counted
from loadtest.hostile.requests import request_kinds
from loadtest.hostile.scores import GHOST, RETIRED, scores, scores_kinds
from loadtest.machine import machine, versions
from loadtest.noise import other_cores, spent
from loadtest.scenario import Say
from rendezvous.demo.report import write
from rendezvous.local.failure import LocalStackError
from rendezvous.log import read_to_end
from rendezvous.messages import DeadLetter, Response
from rendezvous.registry.control import ControlLog
from rendezvous.registry.events import ControlEvent, Deployment, Shedding, State
from rendezvous.registry.state import Control
from rendezvous.server.following import followed
from rendezvous.settings import Environment
from rendezvous.wire import decode, encode

SEED = 20130301
SERVER = SERVERS[0]
WARM_UP_S = 3.0
QUIET_S = {"scores": 2.2, "requests": 0.3, "control": 0.3}
"""After a kind: a writer of scores that was shut out is heard again after two windows."""
STALLED_S = 8.0
"""So long without any progress, the rest of a kind is not waited for."""
LOOK_EVERY_S = 0.1
SETTLE_S = 20.0
LETTERS_S = 3.0
"""Requests that nobody can read are dead letters when their mailboxes close."""
MB = 1e6


class Running:
    """The run while it lasts."""

    def __init__(self, stage: Stage, traffic: Traffic, say: Say) -> None:
        self._stage = stage
        self._traffic = traffic
        self._say = say
        self._control = ControlLog(stage.broker.address, stage.endpoint)
        self._pourer = Pourer(stage.endpoint, stage.broker.address, SEED)
        self._known = self._control.read()
        self.phases: list[Phase] = []

    def counted(self) -> Counter[str]:
        """The server's page, also when it has been started anew."""
        service = self._stage.services[SERVER]
        if service is None:
            raise LocalStackError(f"the server died: {self._stage.services.deaths[-1].log}")
        return counted(service.port)

    def play(self, records: int) -> None:
        """Every kind, of each topic."""
        wrong = {"Deployment": encode(_ghost(GHOST, State.ACTIVE)), "Shedding": encode(Shedding(0, 0.5, 0.5, "x", 0))}
        one = scores([0])
        kinds = [
            *request_kinds(self._stage.endpoint, one),
            *scores_kinds(wrong),
            *control_kinds(self._stage.endpoint),
        ]
        for kind, count in zip(kinds, counts(kinds, records), strict=True):
            self._play(kind, count)

    def _play(self, kind: Kind, count: int) -> None:
        before, begun_ms, there, used = self.counted(), now_ms(), set(self._pourer.places), spent()
        self._pourer.pour(kind, count)
        refusals = self._refusals() if kind.right == FOLDED else 0
        after = self._wait(kind, count, before)
        time.sleep(QUIET_S[kind.topic])
        self._traffic.check()
        after = self.counted()
        phase = Phase(
            kind=kind,
            sent=count,
            begun_ms=begun_ms,
            ended_ms=now_ms(),
            grown=after - before,
            memory_mb=after["process_resident_memory_bytes"] / MB,
            other_cores=other_cores(used, spent()),
            refusals=refusals,
            places=[place for place in self._pourer.places if place not in there],
        )
        self.phases.append(phase)
        self._say(f"{kind.topic}, {kind.name}: {count} in {(phase.ended_ms - begun_ms) / 1e3:.1f} s")
        if kind.right == FOLDED:
            self._control.append(restored(self._stage.endpoint, self._champion()), self._known)
            self._known = self._control.read(self._known)

    def _champion(self) -> tuple[str, str]:
        pair = self._known.resolve("first")
        if pair is None:
            raise LocalStackError("the model `first` is not deployed any more")
        return pair

    def _refusals(self) -> int:
        """Read control on, as a server does."""
        endpoint, topic = self._stage.endpoint, self._control.topic
        news = read_to_end(self._stage.broker.address, topic, 0, self._known.position)
        self._known, refusals = followed(endpoint, self._known, news)
        return len(refusals)

    def _wait(self, kind: Kind, count: int, before: Counter[str]) -> Counter[str]:
        """Until the server has dealt with a kind, or makes no progress any more."""
        progress, moved_s = -1.0, time.monotonic()
        while True:
            after = self.counted()
            done = self._done(kind, after, before)
            if done >= count or time.monotonic() - moved_s > STALLED_S:
                return after
            if done > progress:
                progress, moved_s = done, time.monotonic()
            time.sleep(LOOK_EVERY_S)

    def _done(self, kind: Kind, after: Counter[str], before: Counter[str]) -> float:
        if kind.right == FOLDED:
            behind = after["control_position"] < self._known.position
            return after["control_position"] - self._known.position if behind else float("inf")
        names = ["requests_total"] if kind.right == ANSWERED else ["dead_letters_total", "shut_out_records_total"]
        rows = sum(after[name] - before[name] for name in after if name.startswith("scores_total/ghost/"))
        return sum(after[name] - before[name] for name in names) + rows / kind.rows


def _ghost(pair: tuple[str, str], state: State) -> ControlEvent:
    return Deployment(*pair, "0" * 64, state, "loadtest", 0)


def run(environment: Environment, *, records: int, rate: float, folder: Path, say: Say) -> tuple[dict[str, Any], int]:
    """Play all kinds and write hostile.json; returns the report, and how many good requests were lost."""
    begun, where = datetime.now(UTC), machine()
    place = environment.data / "loadtest" / "hostile"
    say(f"{records} hostile records, {rate:g} good requests/s; logs in {place / 'logs'}")
    commands = partial(scheduled_commands, servers=(SERVER,))
    with running_stage(place, environment.data, say, partial(write_home, mode="default"), commands) as stage:
        control = ControlLog(stage.broker.address, stage.endpoint)
        control.append(
            [_ghost(RETIRED, State.ACTIVE), _ghost(RETIRED, State.RETIRED), _ghost(GHOST, State.ACTIVE)], Control()
        )
        with Traffic(stage.endpoint, stage.broker.address, evenly(rate), hundredths(stage.endpoint)) as traffic:
            running = Running(stage, traffic, say)
            time.sleep(WARM_UP_S)
            begun_s, before = time.monotonic(), running.counted()
            time.sleep(WARM_UP_S)
            first = running.counted()
            spent_s = first["process_cpu_seconds_total"] - before["process_cpu_seconds_total"]
            idle_cores = spent_s / (time.monotonic() - begun_s)
            running.play(records)
            traffic.settle(SETTLE_S)
            time.sleep(LETTERS_S)
            last = running.counted()
            letters, answers = said(stage, "dead-letters", DeadLetter), said(stage, "responses", Response)
            good = cases(traffic.asked(), traffic.answers, {(p, o) for topic, p, o in letters if topic == "requests"})
        deaths = [{"name": death.name, "code": death.code} for death in stage.services.deaths]
    deadline_ms = stage.endpoint.request.deadline_ms
    entries = [
        figures(phase, letters, answers, within(good, phase.begun_ms, phase.ended_ms), deadline_ms, idle_cores)
        for phase in running.phases
    ]
    totals = _totals(entries, good, deadline_ms)
    report = {
        "scenario": "hostile",
        "begun_utc": begun.isoformat(timespec="seconds"),
        "seed": SEED,
        "rate": rate,
        "server_cores_before": round(idle_cores, 3),
        "deadline_ms": deadline_ms,
        "machine": where,
        "versions": versions(""),
        "most_other_cores": max((entry["other_cores"] for entry in entries if entry["other_cores"]), default=None),
        "kinds": entries,
        "totals": totals
        | {
            "server_memory_mb": {
                "before": round(first["process_resident_memory_bytes"] / MB, 1),
                "after": round(last["process_resident_memory_bytes"] / MB, 1),
                "most": max(entry["server_memory_mb"] for entry in entries),
            },
            "restarts": deaths,
        },
    }
    report["targets"] = [
        {"name": name, "value": value, "limit": 0, "met": value == 0}
        for name, value in {
            "unaccounted": totals["unaccounted"],
            "dead letters with a wrong reason": totals["wrong"],
            "services that died": len(deaths),
            "good requests lost": totals["good"]["lost"],
            "good requests late": totals["good"]["late"],
        }.items()
    ]
    write(report, folder / "hostile.json")
    return report, totals["good"]["lost"]


def _totals(entries: Sequence[dict[str, Any]], good: Sequence[Case], deadline_ms: float) -> dict[str, Any]:
    sums = {
        name: sum(entry[name] for entry in entries)
        for name in ("sent", "wrong", "twice", "shut_out", "refused", "unaccounted")
    }
    letters: Counter[str] = Counter()
    for entry in entries:
        letters.update(entry["dead_letters"])
    return sums | {"dead_letters": dict(letters.most_common()), "good": good_figures(good, deadline_ms)}


def said(stage: Stage, topic: str, kind: type[DeadLetter | Response]) -> Said:
    """For each place, what one of the endpoint's topics says of it."""
    found: defaultdict[Place, list[str]] = defaultdict(list)
    prefix = stage.endpoint.topic("")
    for number in range(stage.endpoint.topics.partitions):
        for record in read_to_end(stage.broker.address, stage.endpoint.topic(topic), number, 0):
            message = decode(record.value, kind)
            if isinstance(message, DeadLetter):
                place = (message.topic.removeprefix(prefix), message.partition, message.offset)
                found[place].append(message.reason)
            else:
                found["requests", message.partition, message.offset].append(message.reason.name.lower())
    return found
