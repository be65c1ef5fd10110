"""Where in a TOML text a field stands: tomllib tells values, not places.

For texts that tomllib has read: what is no TOML is not noticed here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TypeAlias

Where: TypeAlias = tuple[int | str, ...]
"""A field's path, as pydantic gives it: names, and places in arrays counted from 0."""

_NAME = r"""(?:[A-Za-z0-9_-]+|"(?:[^"\\\n]|\\.)*"|'[^'\n]*')"""
_DOTTED = rf"{_NAME}(?:[ \t]*\.[ \t]*{_NAME})*"
_HEADER = re.compile(rf"[ \t]*(\[\[?)[ \t]*({_DOTTED})[ \t]*\]")
_KEY = re.compile(rf"[ \t]*({_DOTTED})[ \t]*=")
_TOKEN = re.compile(
    r'''"""(?:[^\\]|\\.)*?"{3,5}|\'\'\'.*?'{3,5}|"(?:[^"\\\n]|\\.)*"|'[^'\n]*'|\#[^\n]*|[\[\]{}\n]''', re.DOTALL
)
"""Strings and comments, whatever stands in them; brackets; ends of lines."""


def line_of(text: str, where: Where) -> int | None:
    """The line, counted from 1, of a field or of the nearest part of the document that holds it; None when none does.

    Elements of an array that is one value (`a = [{...}, {...}]`) have the array's line.
    """
    nearest, line = 0, None
    for number, path in _paths(text):
        depth = _agreement(path, where)
        if depth > nearest:
            nearest, line = depth, number
    return line


def _paths(text: str) -> Iterator[tuple[int, Where]]:
    """Each header and key with its line."""
    table: Where = ()
    elements: dict[Where, int] = {}
    for start in _statements(text):
        number = text.count("\n", 0, start) + 1
        if header := _HEADER.match(text, start):
            table = _table(_names(header[2]), elements, appends=header[1] == "[[")
            yield number, table
        elif key := _KEY.match(text, start):
            yield number, (*table, *_names(key[1]))


def _statements(text: str) -> Iterator[int]:
    """Where lines begin that neither a string nor an array goes on in."""
    depth = 0
    yield 0
    for token in _TOKEN.finditer(text):
        depth += (token[0] in "[{") - (token[0] in "]}")
        if token[0] == "\n" and not depth:
            yield token.end()


def _table(names: list[str], elements: dict[Where, int], *, appends: bool) -> Where:
    """The path that a header opens; a name that is an array of tables stands for its last element."""
    path: Where = ()
    for place, name in enumerate(names):
        path = (*path, name)
        if appends and place == len(names) - 1:
            elements[path] = elements.get(path, -1) + 1
        if path in elements:
            path = (*path, elements[path])
    return path


def _names(dotted: str) -> list[str]:
    return [name.strip("\"'") for name in re.findall(_NAME, dotted)]


def _agreement(path: Where, where: Where) -> int:
    """How many parts both begin with."""
    both = 0
    for part, wanted in zip(path, where, strict=False):
        if part != wanted:
            break
        both += 1
    return both
