r"""Runs one command and ends it as soon as the process that wanted it is gone.

    python -I -S guard.py PARENT_PID GRACE_S KEEP_FDS COMMAND...

`process.py` starts it, by path: it must be up in milliseconds, so it imports the standard library only.

State      event                                   deed                                    next
running    `stop GRACE_S` on standard input        SIGTERM and SIGCONT to the group        stopping
running    end of standard input, another parent,  the same, with GRACE_S of the command   stopping
           SIGTERM or SIGHUP                       line
stopping   any of these again                      the earlier end of the grace counts     stopping
stopping   the grace is over                       SIGKILL to the group                    stopping
any        the command has ended                   SIGKILL to what is left of its group    exit code

It says the command's pid (or `error: ...`) on standard output, and exits as a shell would: 128 + n for signal n.
SIGINT means nothing to it: at a terminal Ctrl-C goes to the parent, who decides in which order things end.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import subprocess
import sys
import time

PARENT_CHECK_S = 1.0
"""A copy of the parent (a fork) may hold our standard input open after the parent's death: so look at its pid too."""

KILL_AGAIN_S = 0.05
"""SIGKILL acts at once; this only keeps the loop from spinning until the kernel has reported it."""

STOPS = {signal.SIGTERM, signal.SIGHUP}
NOT_FOUND = 127
"""What a shell answers for a command that cannot be run."""


class Guard:
    """The loop around one command, in a process group of its own.

    Not in a session of its own: Linux shares the CPU out evenly between sessions (autogroups) before it looks at
    processes, and a broker that does most of the work would get no more than one idle scorer (measured on two cores
    at 500 requests/s: median latency 130 ms in sessions, 60 ms in groups).
    """

    def __init__(self, parent: int, grace_s: float, keep_fds: tuple[int, ...], command: list[str]) -> None:
        self._parent = parent
        self._grace_s = grace_s
        self._kill_at = float("inf")
        self._control = [sys.stdin.fileno()]
        self._woken = _signals_as_bytes()
        self._child = subprocess.Popen(  # noqa: S603 - the parent's own command
            command,
            stdin=subprocess.DEVNULL,
            stdout=sys.stderr.fileno(),
            process_group=0,
            pass_fds=keep_fds,
            preexec_fn=_die_with_guard,  # noqa: PLW1509 - this process has one thread
        )

    @property
    def pid(self) -> int:
        """The command's own process."""
        return self._child.pid

    def watch(self) -> int:
        """Wait for the command's end, and bring it about when asked; its exit code as a shell would say it."""
        while (code := self._child.poll()) is None:
            grace_s = self._wait()
            if grace_s is None and os.getppid() != self._parent:
                grace_s = self._grace_s
            if grace_s is not None:
                self._stop(grace_s)
            if time.monotonic() >= self._kill_at:
                _signal_group(self.pid, signal.SIGKILL)
        _signal_group(self.pid, signal.SIGKILL)
        return code if code >= 0 else 128 - code

    def _wait(self) -> float | None:
        """Until something happens; the grace in seconds when the command has to end."""
        left_s = max(self._kill_at - time.monotonic(), KILL_AGAIN_S)
        ready, _, _ = select.select([self._woken, *self._control], [], [], min(left_s, PARENT_CHECK_S))
        if self._woken in ready and STOPS.intersection(os.read(self._woken, 64)):
            return self._grace_s
        if ready and ready[-1] in self._control:
            words = os.read(ready[-1], 64).split()
            if words:
                return float(words[-1])
            self._control = []
            return self._grace_s
        return None

    def _stop(self, grace_s: float) -> None:
        if self._kill_at == float("inf"):
            _signal_group(self.pid, signal.SIGTERM)
            # a stopped process takes its SIGTERM only after it goes on
            _signal_group(self.pid, signal.SIGCONT)
        self._kill_at = min(self._kill_at, time.monotonic() + grace_s)


def _signals_as_bytes() -> int:
    """A file descriptor that yields one byte per signal. Handlers, unlike SIG_IGN, end with the command's exec."""
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    for number in (*STOPS, signal.SIGINT, signal.SIGCHLD):
        signal.signal(number, lambda *_: None)
    return woken


def _die_with_guard() -> None:
    """Linux can promise it even for a guard that is killed itself (prctl 1 is PR_SET_PDEATHSIG)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def _signal_group(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)


def main(arguments: list[str]) -> int:
    """Run `arguments` (see the head of this file)."""
    parent, grace_s, keep_fds, *command = arguments
    try:
        guard = Guard(int(parent), float(grace_s), tuple(int(fd) for fd in keep_fds.split(",") if fd), command)
    except OSError as error:
        os.write(1, f"error: {error.strerror}\n".encode())
        return NOT_FOUND
    os.write(1, b"%d\n" % guard.pid)
    os.close(1)
    return guard.watch()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
