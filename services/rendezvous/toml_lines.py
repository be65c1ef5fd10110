"""Where in a TOML text a field stands: tomllib tells values, not places."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TypeAlias

Where: TypeAlias = tuple[int | str, ...]
"""A field's path, as pydantic gives it: names, and places in arrays counted from 0."""

_HEADER = re.compile(r"^\s*(\[\[|\[)\s*([^\[\]]+?)\s*\]")
_KEY = re.compile(r"^\s*([A-Za-z0-9_.\"'-]+)\s*=")


def line_of(text: str, where: Where) -> int | None:
    """The line, counted from 1, of a field or of the nearest part of the document that holds it; None when neither is.

    Keys inside strings of several lines could be taken for keys: the line may then be wrong, the field never is.
    """
    best: tuple[int, int] | None = None
    for number, path in _paths(text):
        depth = _agreement(path, where)
        if depth and (best is None or depth > best[0]):
            best = depth, number
    return None if best is None else best[1]


def _paths(text: str) -> Iterator[tuple[int, Where]]:
    """Each header and key with its line."""
    table: Where = ()
    counts: dict[str, int] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if header := _HEADER.match(line):
            name = header[2]
            table = _names(name)
            if header[1] == "[[":
                counts[name] = counts.get(name, -1) + 1
                table = (*table, counts[name])
            yield number, table
        elif key := _KEY.match(line):
            yield number, (*table, *_names(key[1]))


def _names(dotted: str) -> Where:
    return tuple(part.strip().strip("\"'") for part in dotted.split("."))


def _agreement(path: Where, where: Where) -> int:
    """How many parts of the path lead to the field; 0 when it leads elsewhere."""
    return len(path) if path == where[: len(path)] else 0
