"""What Faust is given of a fetch."""

from __future__ import annotations

import pytest
from aiokafka.structs import ConsumerRecord

from rendezvous.monitoring.batches import TP, together
from rendezvous.monitoring.merging import Merge

PART = TP("t", 0)


def record(offset: int) -> ConsumerRecord[bytes, bytes]:
    """As the client has it."""
    return ConsumerRecord("t", 0, offset, 1_000, 1, None, b"v", None, 0, 1, ())


@pytest.mark.parametrize(("first", "since"), [(63, 63), (64, 63), (30, None)])
def test_a_fetch_from_before_the_last_one_follows_on_nothing(first: int, since: int | None) -> None:
    """Faust had thrown the last one away, when partitions changed hands: that is no gap."""
    fetched = together(PART, [record(first)], 63, first + 1).value
    assert fetched.since == since


def test_what_was_thrown_away_is_read_again_without_an_alarm() -> None:
    """The order goes on from what it had; a real gap is still found."""
    merge = Merge(["t"], {})
    merge.assign([("t", 0)])
    merge.add(("t", 0), together(PART, [record(0), record(1)], None, 2).value, 0.0)
    merge.add(("t", 0), together(PART, [record(2), record(3)], 9, 4).value, 0.0)
    assert merge.size_bytes(("t", 0)) == 4
    with pytest.raises(ValueError, match=r"nothing came of 4\.\.8"):
        merge.add(("t", 0), together(PART, [record(9)], 9, 10).value, 0.0)
