"""Rows: ADWIN (Bifet and Gavalda, 2007) as river has it, one-sided, if rows are independent. Pure."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from math import isnan
from typing import Any, ClassVar, Literal, Self

from rendezvous.monitoring.detectors.detector import Worse

CLOCK_ROWS = 32
"""It looks every so many rows: river's own default."""
DELTA = 0.002
"""River's own default; smaller where the run length asks for it."""


class Adwin:
    """Alarm when the mean has moved in the harmful direction: ADWIN forgets older rows, and the newer ones are worse.

    It knows no reference: it compares the stream with itself, so what was wrong from the first row on stays unseen.
    ADWIN finds changes either way; one for the better only makes it forget. value and threshold are the mean of what is
    left and the one before, both with their sign changed where lower is worse.

    >>> detector = Adwin.calibrated([], "higher", run_length=1_000)
    >>> for row in range(1_000):
    ...     detector.update(float(row % 2 if row > 500 else row % 4 == 0))
    ...     if detector.alarm:
    ...         print(row, f"{detector.threshold:.2f} -> {detector.value:.2f}")
    ...         break
    671 0.31 -> 0.34
    """

    name: ClassVar[str] = "adwin"
    per: ClassVar[Literal["block", "row"]] = "row"
    assumes_independence: ClassVar[bool] = True

    def __init__(self, worse: Worse, delta: float) -> None:
        # river imports all that it has, which takes a second or two: only those who ask for ADWIN pay for it
        from river.drift import ADWIN  # noqa: PLC0415

        self.worse = worse
        self.delta = delta
        self.alarm = False
        self.value = 0.0
        self.threshold = 0.0
        self._adwin: Any = ADWIN(delta=delta, clock=CLOCK_ROWS)  # type: ignore[no-untyped-call]

    @classmethod
    def calibrated(cls, reference: Sequence[float], worse: Worse, run_length: float) -> Self:
        """`run_length` counts rows: at a chance of at most delta at each look, one false alarm is made of 32 / delta.

        The reference goes unused: ADWIN compares the stream with itself.
        """
        del reference
        return cls(worse, min(DELTA, CLOCK_ROWS / run_length))

    def update(self, value: float) -> None:
        """Take the next row's value."""
        self.alarm = False
        if isnan(value):
            return
        before = self._adwin.estimation
        self._adwin.update(value if self.worse == "higher" else -value)
        if self._adwin.drift_detected:
            self.value, self.threshold = self._adwin.estimation, before
            self.alarm = self.value > self.threshold

    def snapshot(self) -> dict[str, Any]:
        """All of it, for JSON; river's window as its own bytes, in base 64."""
        return {
            "detector": self.name,
            "worse": self.worse,
            "delta": self.delta,
            "value": self.value,
            "threshold": self.threshold,
            "alarm": self.alarm,
            "detected": self._adwin.drift_detected,
            "window": b64encode(self._adwin._helper.__getstate__()).decode(),  # noqa: SLF001 - there is no other way
        }

    @classmethod
    def restored(cls, saved: Mapping[str, Any]) -> Self:
        """What `snapshot` gave."""
        made = cls(saved["worse"], saved["delta"])
        made.value, made.threshold, made.alarm = saved["value"], saved["threshold"], saved["alarm"]
        made._adwin._drift_detected = saved["detected"]  # noqa: SLF001 - ditto
        made._adwin._helper.__setstate__(b64decode(saved["window"]))  # noqa: SLF001 - ditto
        return made
