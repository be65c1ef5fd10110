"""Which checkpoint can be gone on from."""

from __future__ import annotations

import logging
from dataclasses import replace

import pytest

from rendezvous.monitoring.beginning import Inputs, usable
from rendezvous.monitoring.checkpoint import Checkpoint
from rendezvous.monitoring.merging import Part, Place

INPUTS = Inputs({"e.labels": "id-1"}, (("e.labels", 0), ("e.labels", 1)))
KEPT = Checkpoint("g", {"e.labels": "id-1"}, "s", {("e.labels", 0): Place(7, 70)}, {}, {}, "", b"")


def committed(generation: str, part: Part) -> int:
    """Of the first partition as far as the checkpoint; of the second nothing."""
    assert generation == "g"
    return 7 if part == ("e.labels", 0) else 0


def test_one_that_fits_is_gone_on_from() -> None:
    """Kafka's own positions are behind it, or where it is."""
    assert usable(KEPT, INPUTS, "s", committed) is KEPT
    assert usable(KEPT, INPUTS, "s", lambda *_: 0) is KEPT


@pytest.mark.parametrize(
    ("checkpoint", "settings", "done", "why"),
    [
        (None, "s", 7, "no checkpoint"),
        (replace(KEPT, topics={"e.labels": "id-0"}), "s", 7, "e.labels: made anew since"),
        (replace(KEPT, topics={}), "s", 7, "e.labels: made anew since"),
        (KEPT, "t", 7, "has changed since"),
        (KEPT, "s", 8, "e.labels-0 stands at 7, was done to 8"),
    ],
)
def test_others_are_not(
    checkpoint: Checkpoint | None, settings: str, done: int, why: str, caplog: pytest.LogCaptureFixture
) -> None:
    """And it is said why."""
    with caplog.at_level(logging.INFO):
        assert usable(checkpoint, INPUTS, settings, lambda _, part: done * (part[1] == 0)) is None
    assert why in caplog.text


def test_a_checkpoint_is_read_as_it_was_written() -> None:
    """From its document and the core's bytes."""
    full = replace(KEPT, written={("e.drift", 0): 3}, waiting={"shelves": [], "next": 2}, control="{}", core=b"\xff")
    assert Checkpoint.read(full.document().encode(), full.core) == full
