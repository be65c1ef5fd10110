"""Detectors of a change for the worse: one class and one entry each. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rendezvous.monitoring.detectors.adwin import Adwin
from rendezvous.monitoring.detectors.bounded import BoundedLoss
from rendezvous.monitoring.detectors.conformal import ConformalBlocks
from rendezvous.monitoring.detectors.detector import Detector, Worse

__all__ = ["DETECTORS", "Adwin", "BoundedLoss", "ConformalBlocks", "Detector", "Worse", "restored"]

DETECTORS: Mapping[str, type[Detector]] = {
    ConformalBlocks.name: ConformalBlocks,
    BoundedLoss.name: BoundedLoss,
    Adwin.name: Adwin,
}


def restored(saved: Mapping[str, Any]) -> Detector:
    """The detector whose `snapshot` this is."""
    return DETECTORS[saved["detector"]].restored(saved)
