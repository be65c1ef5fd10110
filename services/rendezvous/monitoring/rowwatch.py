"""Labelled rows one by one, where the owner says that they are independent of one another. Pure.

Rows pass in the order of their request time, each `label_delay` after it was asked, with the label that was observed by
then: so another order of arrival passes the same rows in the same order.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from rendezvous.messages import Int64s
from rendezvous.monitoring.concept import Crossed
from rendezvous.monitoring.detectors import Adwin, BoundedLoss, Detector, restored

CAPACITY = 200_000
"""Rows that wait for their moment, 120 bytes each; those that come beyond are left out, and counted."""
SUBJECT = "error_rate"
EPISODE_ROWS = 1_000
"""Rows without a crossing that end an episode; a choice: some ten times what a clear change takes to be found."""


@dataclass(frozen=True, slots=True)
class Spoken:
    """A detector's alarm, and the moment at which it was given."""

    at_us: int
    crossed: Crossed


@dataclass(slots=True)
class RowWatch:
    """One version's row detectors. waiting: digest to (asked, observed, wrong). quiet: rows since each one's crossing.

    A detector that crosses its threshold begins anew, and on rows that stay bad crosses it again at once: what follows
    within EPISODE_ROWS of a crossing is the same episode, and no alarm of its own.
    """

    detectors: list[Detector]
    waiting: dict[bytes, tuple[int, int, bool]] = field(default_factory=dict)
    quiet: list[int] = field(default_factory=list)
    left_out: int = 0

    def __post_init__(self) -> None:
        self.quiet = self.quiet or [EPISODE_ROWS for _ in self.detectors]

    @classmethod
    def calibrated(cls, rows: int, errors: int, run_length_rows: int) -> Self:
        """Of a reference of so many labelled rows, so many of them wrong; without any there is only ADWIN."""
        made: list[Detector] = [Adwin.calibrated((), "higher", run_length_rows)]
        if rows:
            losses = np.repeat((1.0, 0.0), (errors, rows - errors)).tolist()
            made.insert(0, BoundedLoss.calibrated(losses, "higher", run_length_rows))
        return cls(made)

    def add(
        self, digests: list[bytes], asked_us: Int64s, observed_us: Int64s, wrong: NDArray[np.bool_], delay_us: int
    ) -> None:
        """Take labelled rows; those whose label was observed too late say nothing here."""
        for digest, asked, observed, missed in zip(
            digests, asked_us.tolist(), observed_us.tolist(), wrong.tolist(), strict=True
        ):
            if observed > asked + delay_us:
                continue
            known = self.waiting.get(digest)
            if known is None and len(self.waiting) >= CAPACITY:
                self.left_out += 1
            elif known is None or observed > known[1]:
                self.waiting[digest] = asked, observed, missed

    def conclude(self, before_us: int, delay_us: int) -> list[Spoken]:
        """Pass the rows whose moment lies before then; the alarms that follow."""
        due = sorted((row[0], digest) for digest, row in self.waiting.items() if row[0] + delay_us < before_us)
        spoken = []
        for asked, digest in due:
            wrong = float(self.waiting.pop(digest)[2])
            for number, detector in enumerate(self.detectors):
                detector.update(wrong)
                self.quiet[number] += 1
                if not detector.alarm:
                    continue
                follows, self.quiet[number] = self.quiet[number] <= EPISODE_ROWS, 0
                if not follows:
                    crossed = Crossed(SUBJECT, detector.name, detector.value, detector.threshold)
                    spoken.append(Spoken(asked + delay_us, crossed))
        return spoken

    def to_json(self) -> dict[str, Any]:
        """All of it."""
        return {
            "detectors": [detector.snapshot() for detector in self.detectors],
            "waiting": [[digest.hex(), *row] for digest, row in self.waiting.items()],
            "quiet": self.quiet,
            "left_out": self.left_out,
        }

    @classmethod
    def from_json(cls, saved: Mapping[str, Any]) -> Self:
        """What `to_json` gave."""
        waiting = {bytes.fromhex(digest): (asked, at, wrong) for digest, asked, at, wrong in saved["waiting"]}
        return cls([restored(one) for one in saved["detectors"]], waiting, saved["quiet"], saved["left_out"])
