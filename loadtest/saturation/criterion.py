"""When a rate is kept: what a step shows, and what is asked of it. Pure.

A rate is kept when, of the requests that were due in the step,

- every one was answered,
- 99 % had a model's answer in hand by the deadline, counted from due,
- 90 % the first choice's: a champion that falls behind is not made good by the model that stands in for it,
- the backlog (due, and not yet answered) did not grow by more than 5 % of the rate,

and when after it nobody is passed by and nobody is left out to save work: a rate that four models keep while the fifth
rests is not what five models keep.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from loadtest.driving.books import Case
from loadtest.driving.fates import IN_HAND

IN_TIME = 0.99
"""Choices, all of them: what an application would call working."""
FIRST_CHOICE = 0.9
GROWTH = 0.05
"""Of the rate: in a step of four seconds it makes most of a deadline's worth, which shows in the answers."""
SAMPLES = 40
"""Moments of each third of a step at which the backlog is counted."""


@dataclass(frozen=True, slots=True)
class Step:
    """One rate, tried: shares of its requests, and the backlog's growth as a share of the rate."""

    rate: float
    answered: float
    good: float
    preferred: float
    growth: float
    left_out: bool

    def faults(self) -> list[str]:
        """Why the rate is not kept; nothing when it is."""
        told = {
            f"{1 - self.answered:.2%} were not answered": self.answered < 1,
            f"{self.good:.1%} had a model's answer in time": self.good < IN_TIME,
            f"{self.preferred:.1%} had the first choice's": self.preferred < FIRST_CHOICE,
            f"the backlog grew by {self.growth:.1%} of the rate": self.growth > GROWTH,
            "models were passed by, or left out to save work": self.left_out,
        }
        return [fault for fault, found in told.items() if found]


def growth(found: Sequence[Case], begun_ms: float, ended_ms: float) -> float:
    """How fast the backlog grew, in requests a second, as a share of the rate: from the first third to the last."""
    if not found:
        return 0.0
    due = np.sort([case.asked.due_ms for case in found])
    done = np.sort([case.asked.due_ms + case.waited_ms(IN_HAND) for case in found])
    third_ms = (ended_ms - begun_ms) / 3
    moments = np.linspace(0, third_ms, SAMPLES)

    def backlog(from_ms: float) -> float:
        at = from_ms + moments
        return float(np.mean(np.searchsorted(due, at) - np.searchsorted(done, at)))

    grown = backlog(ended_ms - third_ms) - backlog(begun_ms)
    return grown / (2 * third_ms) / (len(found) / (ended_ms - begun_ms))


def step(rate: float, entry: Mapping[str, Any], grown: float, *, left_out: bool) -> Step:
    """A step by its figures (`fates.figures`)."""
    sent = max(entry["sent"], 1)
    return Step(
        rate,
        entry["answered"] / sent,
        entry["good"] / sent,
        entry["preferred"] / sent,
        round(grown, 4),
        left_out,
    )
