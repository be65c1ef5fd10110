"""The run: every scenario that belongs to the report, on one broker where that is sound, and the page about all."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from loadtest.everything.page import page
from loadtest.machine import machine, versions
from loadtest.scenario import Measured, Say, Scenario
from rendezvous.demo.report import write
from rendezvous.local.failure import LocalStackError
from rendezvous.local.stack import running_stack
from rendezvous.log import LogError
from rendezvous.settings import Environment, SettingsError

NAME = "all"
FIRST = "saturation"
"""What it finds is what the others are given."""
LAST = "scale"
"""Its model rests on what others have measured."""
MINUTES = 20.0


class Round:
    """The scenarios as they are run, one after the other."""

    def __init__(self, folder: Path, say: Say) -> None:
        self._folder = folder
        self._say = say
        self._saturation: float | None = None
        self.parts: list[dict[str, Any]] = []
        self.targets: list[dict[str, Any]] = []
        self.others: list[float] = []
        self.lost = 0

    def run(self, scenario: Scenario, environment: Environment) -> None:
        """One; what it fails with is told at the end, and the others run all the same."""
        self._say(f"--- {scenario.name}: {scenario.help}")
        begun, failed, lost = time.monotonic(), "", 0
        try:
            report, lost = scenario.run(environment, **self._given(scenario), folder=self._folder, say=self._say)
        except (SettingsError, LogError, LocalStackError) as error:
            failed = str(error)
            self._say(f"{scenario.name} did not run: {failed}")
        else:
            self._take(scenario.name, report)
        seconds = round(time.monotonic() - begun, 1)
        self.lost += lost
        self.parts.append(
            {"name": scenario.name, "help": scenario.help, "seconds": seconds, "lost": lost, "failed": failed}
        )

    def _given(self, scenario: Scenario) -> dict[str, Any]:
        given = {option.name: option.default for option in scenario.options} | dict(scenario.in_all or {})
        return {name: self._saturation if name == "rate" and value is None else value for name, value in given.items()}

    def _take(self, name: str, report: Mapping[str, Any]) -> None:
        if name == FIRST:
            self._saturation = report["saturation"] or None
        others = report["most_other_cores"]
        for target in report["targets"]:
            reason = target.get("reason") or (None if target["met"] else _noise(others))
            self.targets.append({"scenario": name} | target | {"reason": reason})
        if others is not None:
            self.others.append(others)


def _noise(others: float | None) -> str | None:
    """All that is known of a target that is not met where its scenario gives no reason."""
    return None if others is None else f"other work on up to {others:.1f} cores meanwhile"


def run(environment: Environment, *, scenarios: Sequence[Scenario], folder: Path, say: Say) -> Measured:
    """Run them, and write all.json, report.md, and each scenario's own files.

    Raises:
        LocalStackError: the brokers could not be started, or a scenario did not run; the page is there all the same.
    """
    begun, where, started = datetime.now(UTC), machine(), time.monotonic()
    chosen = [one for one in scenarios if one.in_all is not None]
    chosen.sort(key=lambda one: (one.name != FIRST, one.name == LAST))
    done = Round(folder, say)
    with running_stack(environment, report=say, fresh=True) as addresses:
        shared = environment.model_copy(update={"kafka": addresses.kafka, "redis": addresses.redis})
        for scenario in chosen:
            if not scenario.own_brokers:
                done.run(scenario, shared)
    for scenario in chosen:
        if scenario.own_brokers:
            done.run(scenario, environment)
    seconds = time.monotonic() - started
    took = {"name": "minutes", "value": round(seconds / 60, 1), "limit": MINUTES, "met": seconds / 60 <= MINUTES}
    slowest = max(done.parts, key=lambda part: float(part["seconds"]))
    took["reason"] = None if took["met"] else f"{slowest['name']} took {slowest['seconds']:.0f} s"
    report = {
        "scenario": NAME,
        "begun_utc": begun.isoformat(timespec="seconds"),
        "seconds": round(seconds, 1),
        "machine": where,
        "versions": versions(environment.kafka),
        "most_other_cores": max(done.others, default=None),
        "scenarios": done.parts,
        "targets": [*done.targets, {"scenario": NAME} | took],
    }
    write(report, folder / "all.json")
    (folder / "report.md").write_text(page(report))
    if failed := [part["name"] for part in done.parts if part["failed"]]:
        raise LocalStackError(f"{', '.join(failed)} did not run: see {folder / 'report.md'}")
    return report, done.lost
