"""Answers that are put together by hand are, byte for byte, those that fastavro makes."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from rendezvous.messages import Decisions, Reason, Request, Response
from rendezvous.server.answering import answers, long_bytes, text_bytes
from rendezvous.server.outcomes import Verdicts
from rendezvous.wire import encode

MODELS = ("trees", "", "wald-\u00fc\U0001f333", "x" * 200)
VERSIONS = ("1", "v\u00e9", "", "0123456789ab")
LONGS = st.integers(-(1 << 63), (1 << 63) - 1)
FLOATS = st.floats(width=32)
ROW = st.tuples(
    st.text(max_size=300).filter(lambda text: "\ud800" not in text),
    st.integers(0, (1 << 63) - 1),
    st.integers(-1, len(MODELS) - 1),
    st.sampled_from([reason for reason in Reason if reason is not Reason.NO_ANSWER]),
    st.integers(0, (1 << len(MODELS)) - 1),
    st.integers(-(1 << 40), 1 << 40),
)


@given(
    rows=st.lists(ROW, max_size=8),
    width=st.integers(1, 4),
    partition=st.integers(0, (1 << 31) - 1),
    decided_us=LONGS,
    scheduled=st.integers(0, (1 << len(MODELS)) - 1),
    data=st.data(),
)
def test_they_are_the_codecs_bytes(
    rows: list[tuple[str, int, int, Reason, int, int]],
    width: int,
    partition: int,
    decided_us: int,
    scheduled: int,
    data: st.DataObject,
) -> None:
    """Whatever was decided."""
    outputs = np.array([data.draw(st.lists(FLOATS, min_size=width, max_size=width)) for _ in rows], np.float32).reshape(
        len(rows), width
    )
    ids, offsets, winners, reasons, arrived, slacks_us = zip(*rows, strict=True) if rows else ((),) * 6
    decisions = Decisions(
        decided_us=decided_us,
        policy="",
        models=MODELS,
        versions=VERSIONS,
        offsets=np.array(offsets, np.int64),
        winners=np.array(winners, np.int16),
        reasons=np.array(reasons, np.uint8),
        arrived=np.array(arrived, np.uint64),
        slacks_us=np.array(slacks_us, np.int64),
        outputs=outputs,
        control=0,
        steps=np.zeros(len(rows), np.uint8),
        draws=np.zeros(len(rows), np.float32),
        propensities=np.ones(len(rows), np.float32),
    )
    requests = tuple(Request(offset, 0, 0, name, None) for name, offset in zip(ids, offsets, strict=True))
    wanted = [
        Response(
            request_id=request.request_id,
            partition=partition,
            offset=request.offset,
            model=MODELS[winner] if winner >= 0 else "",
            version=VERSIONS[winner] if winner >= 0 else "",
            reason=reason,
            output=tuple(outputs[row].tolist()),
            missing=tuple(MODELS[i] for i in range(len(MODELS)) if scheduled >> i & 1 and not came >> i & 1),
            slack_ms=slack_us / 1_000,
            decided_us=decided_us,
        )
        for row, (request, winner, reason, came, slack_us) in enumerate(
            zip(requests, winners, reasons, arrived, slacks_us, strict=True)
        )
    ]
    assert answers(Verdicts(decisions, requests, scheduled), partition) == [encode(answer) for answer in wanted]


def test_numbers_and_texts_by_the_specification() -> None:
    """Avro's own examples."""
    assert [long_bytes(number).hex() for number in (0, -1, 1, -2, 2, -64, 64)] == [
        "00", "01", "02", "03", "04", "7f", "8001",
    ]  # fmt: skip
    assert text_bytes("foo").hex() == "06666f6f"
