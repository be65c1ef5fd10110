"""Counts what our own code executes: the same on a busy machine as on a quiet one, unlike seconds.

Counted are Python's instructions in frames of `rendezvous`, and calls that leave it: to C functions and to other
people's Python. What happens inside those is not ours, and differs between their releases. NumPy's work is thus one
call, however many rows it does; a loop over rows shows as instructions of every row.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

import rendezvous

OURS = str(Path(rendezvous.__file__).parent)


class Cost(NamedTuple):
    """instructions: executed in our frames. calls: from our frames to elsewhere."""

    instructions: int
    calls: int

    def per_row(self, one: Cost, rows: int) -> Cost:
        """What each row adds, rounded up: this is the cost of so many rows, `one` of a single one."""
        return Cost(*(-(-(many - few) // (rows - 1)) for many, few in zip(self, one, strict=True)))


def cost(action: Callable[[], object]) -> Cost:
    """Run once, and count."""
    instructions = calls = 0

    def tracing(frame: FrameType, event: str, _: object) -> Any:  # noqa: ANN401 - itself, as sys.settrace wants it
        nonlocal instructions
        if event == "call":
            if not _is_ours(frame):
                return None
            frame.f_trace_lines, frame.f_trace_opcodes = False, True
        elif event == "opcode":
            instructions += 1
        return tracing

    def profiling(frame: FrameType, event: str, _: object) -> None:
        nonlocal calls
        if event == "c_call":
            calls += _is_ours(frame)
        elif event == "call":
            calls += frame.f_back is not None and _is_ours(frame.f_back) and not _is_ours(frame)

    # whoever measures coverage, or debugs, traces already
    traced, profiled = sys.gettrace(), sys.getprofile()
    sys.setprofile(profiling)
    sys.settrace(tracing)
    try:
        action()
    finally:
        sys.settrace(traced)
        sys.setprofile(profiled)
    return Cost(instructions, calls)


def _is_ours(frame: FrameType) -> bool:
    return frame.f_code.co_filename.startswith(OURS)
