"""What every detector is. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal, Protocol, Self, TypeAlias

Worse: TypeAlias = Literal["higher", "lower"]
"""Which way is harm: an error rate gets worse when it is higher, an AUC when it is lower."""


class Detector(Protocol):
    """Takes values one after the other, and says after each whether they have changed for the worse.

    It never looks at a value twice and never changes its mind: after an alarm the next update begins anew.
    """

    name: ClassVar[str]
    """Its entry in DETECTORS."""
    per: ClassVar[Literal["block", "row"]]
    """What a value is of, and what `run_length` counts."""
    assumes_independence: ClassVar[bool]
    """Whether its rate of false alarms holds only for values that are independent of one another.

    Of a real stream's rows that is not so: use such a detector only where the owner says that it is."""

    @property
    def alarm(self) -> bool:
        """Whether the last update raised an alarm."""

    @property
    def value(self) -> float:
        """The evidence after the last update."""

    @property
    def threshold(self) -> float:
        """The evidence from which on there is an alarm."""

    @classmethod
    def calibrated(cls, reference: Sequence[float], worse: Worse, run_length: float) -> Self:
        """One that knows how it was before, and raises at most one false alarm in `run_length` values on average."""

    def update(self, value: float) -> None:
        """Take the next value; NaN (there is nothing to say) changes nothing and is no alarm."""

    def snapshot(self) -> dict[str, Any]:
        """All of it, for JSON."""

    @classmethod
    def restored(cls, saved: Mapping[str, Any]) -> Self:
        """What `snapshot` gave."""
