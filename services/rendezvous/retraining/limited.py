r"""Runs one command under limits that the kernel keeps.

    python -I -S limited.py NICE DATA_BYTES FILE_BYTES COMMAND...

`confined.py` starts it, by path: it must be gone in milliseconds, so it imports the standard library only.

The limit on memory is RLIMIT_DATA: what a process may write to. It is a net below `confined.py`, which watches what
all processes of a run use together, twenty times a second. It cannot be the limit itself: allocators reserve writable
memory that they never touch (pyarrow's: 1.2 GB for a table of 1,000 rows), and hang instead of failing when they get
a part of it.
"""

from __future__ import annotations

import os
import resource
import sys

NOT_FOUND = 127


def main(arguments: list[str]) -> int:
    """Become the command; returns only if that cannot be."""
    nice, data_bytes, file_bytes, *command = arguments
    for kind, limit in (
        (resource.RLIMIT_DATA, int(data_bytes)),
        (resource.RLIMIT_FSIZE, int(file_bytes)),
        (resource.RLIMIT_CORE, 0),
    ):
        _, hard = resource.getrlimit(kind)
        least = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
        resource.setrlimit(kind, (least, least))
    os.setpriority(os.PRIO_PROCESS, 0, max(int(nice), os.getpriority(os.PRIO_PROCESS, 0)))
    try:
        os.execvp(command[0], command)  # noqa: S606 - the owner's own command
    except OSError as error:
        print(f"{command[0]}: {error.strerror}", file=sys.stderr)  # noqa: T201 - the command's log
        return NOT_FOUND


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
