"""Hostile scores: of nobody, and of a version that is deployed, may not answer, and has no scorer of its own."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from loadtest.hostile.kind import IGNORED, Kind, Raw
from loadtest.hostile.requests import FEW, LARGEST, noise
from rendezvous.messages import DeadLetterReason as Dead
from rendezvous.messages import Status
from rendezvous.registry.state import Pair
from rendezvous.rows import MAX_ROWS
from rendezvous.wire import HEAD_BYTES, codec

GHOST: Pair = ("ghost", "g1")
"""Deployed and active, in no step: who pretends to be it may speak, and nobody hears."""
RETIRED: Pair = ("ghost", "g0")
FAR = 10**9
"""Beyond any request."""
NEAR = 50
"""Offsets that some partition has, and another one perhaps not."""


def scores(
    offsets: list[int], *, pair: Pair = GHOST, width: int = 1, outputs: bytes | None = None, **changes: object
) -> bytes:
    """The bytes of a Scores; changes replace fields of the row, lengths that disagree included."""
    rows = len(offsets)
    row: dict[str, Any] = {
        "model": pair[0],
        "version": pair[1],
        "taken_us": 1,
        "scored_us": 2,
        "width": width,
        "offsets": np.array(offsets, "<i8").tobytes(),
        "statuses": bytes([Status.OK]) * rows,
        "outputs": np.full((rows, width), 0.99, "<f4").tobytes() if outputs is None else outputs,
    }
    return codec("scores").write(row | changes)


def scores_kinds(wrong: Mapping[str, bytes]) -> list[Kind]:
    """Everything that can be wrong with scores; `wrong` are messages that belong elsewhere, by what they are."""
    good = scores([FAR])
    wide = np.full((1, LARGEST // 4 - 100), 0.5, "<f4").tobytes()

    def kind(name: str, right: str, make: Callable[[random.Random, int], bytes | None], **more: Any) -> Kind:  # noqa: ANN401 - of Kind
        return Kind(name, "scores", right, lambda chance, number: Raw(make(chance, number)), **more)

    def foreign(name: str, value: bytes) -> Kind:
        return kind(name, Dead.UNKNOWN_SCHEMA, lambda _, __: value)

    def broken(name: str, **changes: Any) -> Kind:  # noqa: ANN401 - of `scores`
        return kind(name, Dead.UNREADABLE, lambda _, number: scores([number, number + 1], **changes))

    def ghost(name: str, offsets: Callable[[random.Random, int], list[int]], **more: Any) -> Kind:  # noqa: ANN401 - of Kind
        key = "/".join(GHOST).encode()
        return Kind(
            name, "scores", IGNORED, lambda chance, number: Raw(scores(offsets(chance, number)), (), key), **more
        )

    return [
        kind("random bytes", Dead.UNKNOWN_SCHEMA, lambda chance, _: noise(chance)),
        kind("null", Dead.UNKNOWN_SCHEMA, lambda _, __: None),
        *(foreign(f"a {name}", value) for name, value in wrong.items()),
        kind(
            "a future schema",
            Dead.UNKNOWN_SCHEMA,
            lambda chance, _: good[:2] + chance.randbytes(8) + good[HEAD_BYTES:],
        ),
        kind("right head, random rest", Dead.UNREADABLE, lambda chance, _: good[:HEAD_BYTES] + noise(chance)),
        kind("bytes left over", Dead.UNREADABLE, lambda chance, _: good + noise(chance)),
        broken("width 0", width=0, outputs=b""),
        broken("width negative", width=-1, outputs=bytes(8)),
        broken("width 2 of 1", width=2, outputs=bytes(8)),
        broken("width said to be a million", width=1_000_000, outputs=bytes(8)),
        broken("unknown status", statuses=b"\xc8\x01"),
        broken("status none", statuses=b"\x01\x00"),
        kind("negative offsets", Dead.UNREADABLE, lambda _, number: scores([-number - 2, -number - 1])),
        kind("offsets that do not increase", Dead.UNREADABLE, lambda _, number: scores([number, number])),
        kind("no rows", Dead.UNREADABLE, lambda _, __: scores([])),
        kind("65,537 rows", Dead.UNREADABLE, lambda _, __: scores(list(range(FAR, FAR + MAX_ROWS + 1))), most=FEW),
        kind("width 2", Dead.WRONG_SHAPE, lambda _, number: scores([number], width=2)),
        kind(
            "width 247,400",
            Dead.WRONG_SHAPE,
            lambda _, number: scores([number], width=len(wide) // 4, outputs=wide),
            most=FEW,
        ),
        kind("a forged name", Dead.UNREGISTERED_MODEL, lambda _, number: scores([number], pair=("first", "forged"))),
        kind(
            "a name of a megabyte",
            Dead.UNREGISTERED_MODEL,
            lambda _, number: scores([number], pair=("m" * LARGEST, "1")),
            most=FEW,
        ),
        kind("a retired version", IGNORED, lambda _, number: scores([number], pair=RETIRED)),
        kind(
            "outputs of 1e38, NaN, infinity",
            IGNORED,
            lambda chance, number: scores(
                [FAR + number], outputs=np.array(chance.choice([3e38, np.nan, np.inf]), "<f4").tobytes()
            ),
        ),
        ghost("offsets beyond any request", lambda _, number: [FAR + number]),
        ghost("offsets of 2^62", lambda _, number: [2**62 + number, 2**63 - 1], rows=2),
        ghost("offsets of another partition", lambda chance, _: [chance.randrange(NEAR)]),
        ghost("the same record again and again", lambda _, __: [0], most=10_000),
        ghost("65,536 rows", lambda _, __: list(range(FAR, FAR + MAX_ROWS)), rows=MAX_ROWS, most=FEW),
        kind("compressed random bytes", Dead.UNKNOWN_SCHEMA, lambda chance, _: noise(chance), compression="gzip"),
        kind("of an aborted transaction", IGNORED, lambda _, number: scores([FAR + number]), aborted=True),
    ]
