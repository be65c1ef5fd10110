"""The tally of class probabilities held against the number of the true class. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np

from rendezvous.messages import Floats
from rendezvous.monitoring.figures.sums import ONE, fixed
from rendezvous.replay.bootstrapping import Float64s
from rendezvous.replay.quality import nats, usable


@dataclass(slots=True)
class MulticlassTally:
    """hits: rows whose likeliest class (the first of equals) is the true one. log_loss: units of 2**-32."""

    rows: int = 0
    unusable: int = 0
    hits: int = 0
    log_loss: int = 0

    def add(self, outputs: Floats, labels: Float64s) -> None:
        """Count rows: outputs float32 [rows, classes], labels float64 [rows], NaN for none."""
        fit = usable("multiclass", labels, outputs.shape[1]) & np.isfinite(outputs).all(axis=1)
        classes = labels[fit].astype(np.int64)
        outputs = outputs[fit]
        self.rows += len(classes)
        self.unusable += len(labels) - len(classes)
        self.hits += int(np.count_nonzero(np.argmax(outputs, axis=1) == classes))
        self.log_loss += fixed(nats(outputs[np.arange(len(classes)), classes].astype(np.float64)))

    def merge(self, other: Self) -> None:
        """Count another tally's rows too."""
        self.rows += other.rows
        self.unusable += other.unusable
        self.hits += other.hits
        self.log_loss += other.log_loss

    def subtract(self, other: Self) -> None:
        """Take back rows that were counted."""
        self.rows -= other.rows
        self.unusable -= other.unusable
        self.hits -= other.hits
        self.log_loss -= other.log_loss

    def figures(self) -> dict[str, float]:
        """Accuracy and log loss; NaN without rows."""
        if not self.rows:
            return {"accuracy": float("nan"), "log_loss": float("nan")}
        return {"accuracy": self.hits / self.rows, "log_loss": self.log_loss / (self.rows * ONE)}

    def to_json(self) -> dict[str, Any]:
        """All of it."""
        return asdict(self)

    @classmethod
    def from_json(cls, saved: Mapping[str, Any]) -> Self:
        """What `to_json` gave."""
        return cls(**saved)
