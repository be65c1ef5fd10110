"""What the monitor keeps of requests: rows, digests, places, labels without a request."""

from __future__ import annotations

import json

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from rendezvous.monitoring.pending import PendingInMemory, digests_of
from rendezvous.monitoring.seen import SPAN, Seen
from rendezvous.monitoring.unseen import CAPACITY, Unseen
from rendezvous.monitoring.waiting import AFTER, IN_TIME, LABEL, LABELS, Waiting, unpacked


def waiting(flags: list[int]) -> Waiting:
    """Requests with labels as the flags say."""
    rows = len(flags)
    outputs = np.arange(rows * 6, dtype=np.float32).reshape(rows, 3, 2)
    made = Waiting.of(digests_of([f"r{i}" for i in range(rows)]), 4, np.arange(rows, dtype=np.int64) + 7, outputs)
    made.flags[:] = flags
    made.labels["first_us"] = [11 if flag & (IN_TIME | AFTER) else 0 for flag in flags]
    made.labels["in_time"] = [(12, 0.5, 3) if flag & (IN_TIME | AFTER) else (0, 0, 0) for flag in flags]
    made.labels["after"] = [(13, np.nan, 4) if flag & AFTER else (0, 0, 0) for flag in flags]
    return made


def test_rows_come_back_as_they_were_put() -> None:
    """Without a label, with one, with one after the closing: each in its own width."""
    put = waiting([0, IN_TIME, 0, IN_TIME | AFTER, AFTER])
    pending = PendingInMemory(stretch_us=1_000)
    put.keep(pending)
    shapes = [(0, 0)] * 4 + [(3, 2)]
    asked = [*put.digests, b"nobody00"]
    found = {
        digest: (rows.flags[i], rows.asked_us[i], rows.labels[i].tobytes(), rows.outputs[i].tobytes())
        for rows in unpacked(asked, pending.find(asked), shapes)
        for i, digest in enumerate(rows.digests)
    }
    assert found == {
        digest: (put.flags[i], put.asked_us[i], put.labels[i].tobytes(), put.outputs[i].tobytes())
        for i, digest in enumerate(put.digests)
    }


def test_a_waiting_request_is_small() -> None:
    """Of five models with one output: 31 bytes without a label, 56 with one: up to 64 Redis keeps tight."""
    outputs = np.zeros((1, 5, 1), np.float32)
    row = Waiting.of([b"12345678"], 0, np.zeros(1, np.int64), outputs)
    assert [row.packed(fields).shape[1] for fields in (0, 2, 3)] == [31, 56, 73]
    assert LABELS.itemsize == 42


def test_the_store_forgets_the_oldest_first() -> None:
    """By time when it is told to, early when it is full."""
    pending = PendingInMemory(stretch_us=10, capacity=3)
    row = np.zeros((1, 4), np.uint8)
    for number in range(5):
        pending.put([bytes([number])], np.array([number * 10]), row)
    assert [bool(found) for found in pending.find([bytes([number]) for number in range(5)])] == [False] * 2 + [True] * 3
    assert (len(pending), pending.lost) == (3, 2)
    pending.expire(before_us=39)
    assert len(pending) == 2


@given(st.lists(st.lists(st.integers(0, 200), min_size=1, unique=True), max_size=20))
def test_each_request_is_taken_once(records: list[list[int]]) -> None:
    """Whatever overlaps; also through a snapshot."""
    seen, taken, known = Seen(), [], set()
    for record in records:
        offsets = np.array(sorted(record), np.int64)
        taken += offsets[seen.fresh(3, offsets)].tolist()
        known |= set(record)
        seen = Seen.from_json(json.loads(json.dumps(seen.to_json())))
    assert sorted(taken) == sorted(known)


def test_what_is_older_than_the_span_counts_as_a_repeat() -> None:
    """A ring cannot know; a partition of its own does not matter."""
    seen = Seen()
    assert seen.fresh(0, np.array([SPAN * 3])).all()
    assert not seen.fresh(0, np.array([SPAN * 2])).any()
    assert seen.fresh(0, np.array([SPAN * 2 + 1])).all()
    assert seen.fresh(1, np.array([SPAN * 2])).all()


def test_labels_of_unknown_requests_are_bounded() -> None:
    """The oldest go first, and are counted; those of requests that come are handed over once."""
    unseen = Unseen()
    count = CAPACITY + 10
    digests = [number.to_bytes(8, "little") for number in range(count)]
    labels = np.zeros(count, LABEL)
    labels["observed_us"] = np.arange(count)
    unseen.keep(digests, labels)
    unseen.expire(before_us=-1)
    assert (unseen.size, unseen.lost) == (CAPACITY, 10)
    here, found = unseen.take([digests[-1], digests[0]])
    assert (here, found["observed_us"].tolist()) == ([digests[-1]], [count - 1])
    unseen = Unseen.from_json(json.loads(json.dumps(unseen.to_json())))
    unseen.expire(before_us=count)
    assert (unseen.size, unseen.lost) == (0, count - 1)
