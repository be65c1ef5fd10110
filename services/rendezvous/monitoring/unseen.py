"""Labels of requests that nobody has heard of yet: kept for a bounded while. Pure.

A label may overtake the comparison of its request. One whose request time has surely passed the watermark, or that does
not fit in any more, is of a request that was never seen here, or is not kept any more: it is counted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import isnan
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from rendezvous.monitoring.waiting import LABEL

CAPACITY = 50_000
"""Labels, 150 bytes each: ten seconds' worth at 5,000 a second."""


@dataclass(slots=True)
class Unseen:
    """By digest, each (observed_us, value, source). lost: those that were given up."""

    labels: dict[bytes, list[tuple[int, float, int]]] = field(default_factory=dict)
    size: int = 0
    lost: int = 0

    def keep(self, digests: Sequence[bytes], labels: NDArray[np.void]) -> None:
        """Labels that found no request."""
        for digest, label in zip(digests, labels.tolist(), strict=True):
            self.labels.setdefault(digest, []).append(label)
            self.size += 1

    def take(self, digests: Sequence[bytes]) -> tuple[list[bytes], NDArray[np.void]]:
        """The labels of requests that have come now."""
        if not self.labels:
            return [], np.zeros(0, LABEL)
        here = [digest for digest in digests if digest in self.labels]
        found = [(digest, label) for digest in here for label in self.labels.pop(digest)]
        self.size -= len(found)
        return [digest for digest, _ in found], np.array([label for _, label in found], LABEL)

    def expire(self, before_us: int) -> None:
        """Give up labels that were observed before then, and the oldest ones beyond CAPACITY."""
        times = [observed for labels in self.labels.values() for observed, _, _ in labels]
        if len(times) > CAPACITY:
            before_us = max(before_us, sorted(times)[-CAPACITY])
        elif not times or min(times) >= before_us:
            return
        kept = {digest: [label for label in labels if label[0] >= before_us] for digest, labels in self.labels.items()}
        self.labels = {digest: labels for digest, labels in kept.items() if labels}
        size = sum(len(labels) for labels in self.labels.values())
        self.lost += self.size - size
        self.size = size

    def to_json(self) -> dict[str, Any]:
        """All of it."""
        labels = [
            [digest.hex(), [[at, None if isnan(value) else value, source] for at, value, source in labels]]
            for digest, labels in self.labels.items()
        ]
        return {"labels": labels, "lost": self.lost}

    @classmethod
    def from_json(cls, saved: Mapping[str, Any]) -> Self:
        """What `to_json` gave."""
        labels = {
            bytes.fromhex(digest): [
                (at, float("nan") if value is None else value, source) for at, value, source in told
            ]
            for digest, told in saved["labels"]
        }
        return cls(labels, sum(len(told) for told in labels.values()), saved["lost"])
