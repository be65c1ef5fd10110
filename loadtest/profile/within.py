"""`rendezvous ...` with a sampler in it: notes where the loop is, by a timer on that thread's own processor time.

Its timer stands still while the thread waits, for records or for a core. SIGUSR1 begins a recording, and another ends
it: `STEM.1`, `STEM.2` and so on.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
from collections import Counter
from pathlib import Path
from types import CodeType, FrameType

from loadtest.profile.stacks import Frame, Stack, raw
from rendezvous.cli import main

EVERY_NS = 1_000_000
"""Of processor time; the kernel looks at such timers at its own tick, of 1 to 10 ms."""
DEEPEST = 200
CLOCK_THREAD_CPUTIME_ID = 3
SIGEV_THREAD_ID = 4


class Event(ctypes.Structure):
    """`struct sigevent` of Linux, 64 bytes."""

    _fields_ = (
        ("value", ctypes.c_void_p),
        ("number", ctypes.c_int),
        ("notify", ctypes.c_int),
        ("thread", ctypes.c_int),
        ("rest", ctypes.c_byte * 44),
    )


class Sampler:
    """Counts stacks between one SIGUSR1 and the next."""

    def __init__(self, stem: Path) -> None:
        self._stem = stem
        self._number = 0
        self._on = False
        self._seen: list[tuple[CodeType, ...]] = []
        self._timer = ctypes.c_void_p()
        self._libc = ctypes.CDLL(None, use_errno=True)
        event = Event(None, signal.SIGPROF, SIGEV_THREAD_ID, threading.get_native_id())
        signal.signal(signal.SIGPROF, self.look)
        signal.signal(signal.SIGUSR1, self.turn)
        self._check(
            self._libc.timer_create(CLOCK_THREAD_CPUTIME_ID, ctypes.byref(event), ctypes.byref(self._timer)),
        )

    def look(self, _: int, frame: FrameType | None) -> None:
        """One sample; the call that was interrupted is over by now, and stands for itself."""
        stack: list[CodeType] = []
        while frame is not None and len(stack) < DEEPEST:
            stack.append(frame.f_code)
            frame = frame.f_back
        self._seen.append(tuple(stack))  # counted later: code is slow to hash

    def turn(self, *_: object) -> None:
        """On, or off and written."""
        self._on = not self._on
        self._set(EVERY_NS if self._on else 0)
        if self._on:
            self._number += 1
            self._seen.clear()
            return
        whole = self._stem.with_name(f"{self._stem.name}.{self._number}")
        part = whole.with_name(f"{whole.name}.part")
        part.write_text(
            raw(Stack(tuple(map(_frame, reversed(codes))), count) for codes, count in Counter(self._seen).items())
        )
        part.rename(whole)

    def _set(self, every_ns: int) -> None:
        """`struct itimerspec`: the interval, and the first one."""
        spec = (ctypes.c_long * 4)(0, every_ns, 0, every_ns)
        self._check(self._libc.timer_settime(self._timer, 0, ctypes.byref(spec), None))

    def _check(self, result: int) -> None:
        if result:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), "a timer of a thread's processor time")


def _frame(code: CodeType) -> Frame:
    """With its file as it is imported."""
    name = code.co_filename
    roots = (root.rstrip("/") + "/" for root in sys.path if root)
    root = max((root for root in roots if name.startswith(root)), key=len, default="")
    return Frame(code.co_qualname, name.removeprefix(root))


if __name__ == "__main__":
    Sampler(Path(sys.argv[1]))
    sys.exit(main(sys.argv[2:]))
