"""Decoded requests to `FeatureColumns`, and those to records that a broker takes. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from rendezvous.messages import FeatureColumns, Floats, Int32s
from rendezvous.rows import MAX_ROWS
from rendezvous.scoring.columns import Column, Row, to_columns
from rendezvous.settings import Feature
from rendezvous.wire import encode

MAX_RECORD_BYTES = 900_000
"""A broker takes a little more than a million by default."""


class Decoded(NamedTuple):
    """A request that a model can be asked about."""

    offset: int
    asked_us: int
    row: Row


def feature_columns(requests: Sequence[Decoded], features: Sequence[Feature]) -> FeatureColumns:
    """What models saw of some requests of one partition; numbers as models get them, "" of a text counts as missing."""
    columns = to_columns([request.row for request in requests], features)
    numeric = tuple(feature.name for feature in features if not feature.is_text)
    textual = tuple(feature.name for feature in features if feature.is_text)
    numbers: Floats = np.empty((len(requests), len(numeric)), np.float32)
    for place, name in enumerate(numeric):
        numbers[:, place] = columns[name]
    codes: Int32s = np.empty((len(requests), len(textual)), np.int32)
    categories = tuple(_coded(columns[name], codes[:, place]) for place, name in enumerate(textual))
    return FeatureColumns(
        offsets=np.array([request.offset for request in requests], np.int64),
        asked_us=np.array([request.asked_us for request in requests], np.int64),
        numeric=numeric,
        numbers=numbers,
        textual=textual,
        categories=categories,
        codes=codes,
    )


def _coded(texts: Column, codes: Int32s) -> tuple[str, ...]:
    """Fill in the codes of one text column; returns what they name, in the order of first use."""
    known: dict[str, int] = {"": -1}
    codes[:] = [known.setdefault(text, len(known) - 1) for text in texts.tolist()]
    return tuple(known)[1:]


def records_of(requests: Sequence[Decoded], features: Sequence[Feature]) -> Iterator[tuple[int, bytes]]:
    """(rows, value) of each record that together say all; a single row may be larger than a broker takes."""
    if len(requests) <= MAX_ROWS:
        value = encode(feature_columns(requests, features))
        if len(value) <= MAX_RECORD_BYTES or len(requests) == 1:
            yield len(requests), value
            return
    half = len(requests) // 2
    yield from records_of(requests[:half], features)
    yield from records_of(requests[half:], features)
