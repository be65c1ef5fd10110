"""The answers of one tick as bytes: what they share is written once, and only what differs for each.

The bytes are those of `wire.encode` for the same `Response`, which tests hold them to. fastavro takes 15 to 30 us for
one, nearly all of it for what is the same for a whole tick; this takes 2.
"""

from __future__ import annotations

import numpy as np

from rendezvous.messages import Floats, Response
from rendezvous.server.outcomes import Verdicts
from rendezvous.server.plan import MS_US, set_bits
from rendezvous.wire import codec, name_of

END = b"\0"
"""Of an array."""


def answers(verdicts: Verdicts, partition: int) -> list[bytes]:
    """`Response`s in the order of the tick's requests."""
    decisions = verdicts.decisions
    head, place = codec(name_of(Response)).head, long_bytes(partition)
    decided = long_bytes(decisions.decided_us)
    outputs, width = _rows(decisions.outputs)
    slacks, _ = _rows((decisions.slacks_us / MS_US)[:, None])
    by_whom: dict[tuple[int, int], bytes] = {}
    without: dict[int, bytes] = {}
    made = []
    rows = zip(
        verdicts.requests,
        decisions.winners.tolist(),
        decisions.reasons.tolist(),
        decisions.arrived.tolist(),
        outputs,
        slacks,
        strict=True,
    )
    for request, winner, reason, arrived, output, slack in rows:
        who = by_whom.get((winner, reason))
        if who is None:
            who = by_whom[winner, reason] = _who(verdicts, winner, reason)
        missing = without.get(arrived)
        if missing is None:
            missing = without[arrived] = _missing(verdicts, arrived)
        request_id, offset = text_bytes(request.request_id), long_bytes(request.offset)
        made.append(b"".join((head, request_id, place, offset, who, width, output, END, missing, slack, decided)))
    return made


def _rows(values: Floats | np.ndarray) -> tuple[list[bytes], bytes]:
    """Each row's bytes, and how many values it has as the length of an Avro array; values: [rows, width]."""
    rows, width = values.shape
    packed, size = values.astype("<f4").tobytes(), 4 * width
    return [packed[start : start + size] for start in range(0, rows * size, size)], long_bytes(width)


def _who(verdicts: Verdicts, winner: int, reason: int) -> bytes:
    decisions = verdicts.decisions
    model, version = (decisions.models[winner], decisions.versions[winner]) if winner >= 0 else ("", "")
    return text_bytes(model) + text_bytes(version) + long_bytes(reason)


def _missing(verdicts: Verdicts, arrived: int) -> bytes:
    names = [verdicts.decisions.models[column] for column in set_bits(verdicts.scheduled & ~arrived)]
    return b"".join((long_bytes(len(names)), *map(text_bytes, names), END)) if names else END


def long_bytes(number: int) -> bytes:
    """Avro's int and long, and an enum's symbol by its place: zigzag, seven bits a byte."""
    left = (number << 1) ^ (number >> 63)
    if left < 0x80:  # noqa: PLR2004 - one byte: the eighth bit says that more follow
        return _SMALL[left]
    made = bytearray()
    while left >= 0x80:  # noqa: PLR2004 - ditto
        made.append(left & 0x7F | 0x80)
        left >>= 7
    made.append(left)
    return bytes(made)


_SMALL = [bytes([number]) for number in range(0x80)]


def text_bytes(text: str) -> bytes:
    """Avro's string: its length in bytes, then UTF-8."""
    data = text.encode()
    return long_bytes(len(data)) + data
