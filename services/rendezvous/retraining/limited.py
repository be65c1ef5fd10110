r"""Runs one command under limits that the kernel keeps.

    python -I -S limited.py DATA_BYTES FILE_BYTES COMMAND...

`confined.py` starts it, by path: it must be gone in milliseconds, so it imports the standard library only.

DATA_BYTES bounds what each process may write to in memory (RLIMIT_DATA), not what it maps: a Java heap is reserved
whole, a thread's arena too, and neither costs anything before it is used. All processes together are watched by
`confined.py`, since the kernel counts each alone.
"""

from __future__ import annotations

import os
import resource
import sys

NICENESS = 10
"""Training takes what serving leaves."""
NOT_FOUND = 127


def main(arguments: list[str]) -> int:
    """Become the command; returns only if that cannot be."""
    data_bytes, file_bytes, *command = arguments
    for kind, limit in (
        (resource.RLIMIT_DATA, int(data_bytes)),
        (resource.RLIMIT_FSIZE, int(file_bytes)),
        (resource.RLIMIT_CORE, 0),
    ):
        _, hard = resource.getrlimit(kind)
        least = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
        resource.setrlimit(kind, (least, least))
    os.nice(NICENESS)
    try:
        os.execvp(command[0], command)  # noqa: S606 - the owner's own command
    except OSError as error:
        print(f"{command[0]}: {error.strerror}", file=sys.stderr)  # noqa: T201 - the command's log
        return NOT_FOUND


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
