"""Stacks as samplers write them, one a line: "thread (1): MainThread;main (a.py:3);turn (b.py:8) 12". Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

MAIN = "MainThread"
"""Runs the loop; of any other thread of Python's there is a page to show, and little else."""
LOOP = "loop", "rendezvous/running.py"
"""Every turn of a service stands on it."""
_THREAD = re.compile(r"thread \([^)]*\)(?:: (?P<name>.*))?")
_FRAME = re.compile(r"(?P<name>.+) \((?P<file>.+?)(?::\d+)?\)")


@dataclass(frozen=True, slots=True)
class Frame:
    """A function, qualified, and its file."""

    name: str
    file: str


@dataclass(frozen=True, slots=True)
class Stack:
    """One stack of the main thread, outermost frame first, and how often it was seen."""

    frames: tuple[Frame, ...]
    count: int


@dataclass(frozen=True, slots=True)
class Stacks:
    """Whole ones; `torn` and `others` count samples: of stacks that no program can have, and of other threads."""

    whole: tuple[Stack, ...]
    torn: int
    others: int


class StackError(ValueError):
    """A line that is no stack."""


def parse(text: str) -> Stacks:
    """All stacks of a recording.

    Raises:
        StackError: a line is not "frame;frame count".
    """
    whole, torn, others = [], 0, 0
    for number, line in enumerate(text.splitlines(), 1):
        thread, frames, count = _line(line, number)
        if thread != MAIN:
            others += count
        elif is_torn(frames):
            torn += count
        else:
            whole.append(Stack(frames, count))
    return Stacks(tuple(whole), torn, others)


def _line(line: str, number: int) -> tuple[str, tuple[Frame, ...], int]:
    stack, _, count = line.rpartition(" ")
    first, *rest = stack.split(";")
    thread = _THREAD.fullmatch(first)
    if thread is None or not count.isdigit():
        raise StackError(f"line {number} of the recorded stacks is none: {line[:80]!r}; expected 'thread;frame count'")
    return thread["name"] or "", tuple(map(_frame, rest)), int(count)


def _frame(text: str) -> Frame:
    """One without a file is of the interpreter."""
    found = _FRAME.fullmatch(text)
    return Frame(text, "") if found is None else Frame(found["name"], found["file"])


def is_torn(frames: Iterable[Frame]) -> bool:
    """Read while it changed: no loop at its bottom, or the turn's own methods on top of what they call.

    A process that is not held up while its stack is read shows pieces of several. Pieces that fit go unseen. What is
    called back (a function within a method) may call the turn's methods again.
    """
    frames = tuple(frames)
    at = next((place for place, frame in enumerate(frames) if (frame.name, frame.file) == LOOP), None)
    if at is None:
        return True
    above = frames[at + 1 :]
    if not above:
        return False
    shell = above[0].file
    kind = above[0].name.partition(".")[0]
    left = False
    for frame in above:
        own = frame.file == shell and frame.name.startswith(f"{kind}.")
        if own and left and "<locals>" not in frame.name:
            return True
        left = not own and (left or frame.file != shell)
    return False


def raw(stacks: Iterable[Stack]) -> str:
    """As `parse` reads them: of the main thread."""
    return "".join(
        ";".join([f"thread (0): {MAIN}", *(f"{frame.name} ({frame.file})" for frame in stack.frames)])
        + f" {stack.count}\n"
        for stack in stacks
    )
