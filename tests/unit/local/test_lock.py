"""One stack per data folder."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from rendezvous.local.failure import LocalStackError
from rendezvous.local.lock import Holder, StackLock, stack_lock


def gone() -> int:
    """The pid of a process that has ended."""
    done = subprocess.Popen([sys.executable, "-S", "-c", ""])
    done.wait()
    return done.pid


def test_the_second_hears_about_the_first(tmp_path: Path) -> None:
    """The message names the first stack's pid and addresses, and the ways out."""
    with stack_lock(tmp_path) as lock:
        lock.write(Holder(os.getpid(), "127.0.0.1:21000", "redis://127.0.0.1:22000/0"))
        with pytest.raises(LocalStackError) as caught, stack_lock(tmp_path):
            pass
        assert lock.read() is not None  # the refused one has not erased it
    message = str(caught.value)
    for words in (f"process {os.getpid()}", "127.0.0.1:21000", "redis://127.0.0.1:22000/0", "RENDEZVOUS_DATA"):
        assert words in message


def test_a_first_that_still_starts_is_named_too(tmp_path: Path) -> None:
    """Before there are addresses there is a pid."""
    with (
        stack_lock(tmp_path),
        pytest.raises(LocalStackError, match=rf"process {os.getpid()}: still starting"),
        stack_lock(tmp_path),
    ):
        pass


def test_it_is_free_again_afterwards(tmp_path: Path) -> None:
    """Neither an end nor an error of the first keeps the second out."""
    with pytest.raises(RuntimeError), stack_lock(tmp_path / "new" / "folder"):
        raise RuntimeError
    with stack_lock(tmp_path / "new" / "folder") as lock:
        assert lock.read() == Holder(os.getpid())


def test_brokers_that_outlive_their_stack_are_waited_for(tmp_path: Path) -> None:
    """A lock whose process has died is waited for as long as its brokers may take, then refused in other words."""
    first, second = StackLock(tmp_path / "stack.lock"), StackLock(tmp_path / "stack.lock")
    try:
        first.take()
        first.write(Holder(gone()))
        with pytest.raises(LocalStackError, match="which has died, still has a broker"):
            second.take(wait_s=0.2)
    finally:
        os.close(first.fd)
    second.take(wait_s=0.0)
    os.close(second.fd)


@pytest.mark.parametrize("content", ["", "{", '{"pid": 1, "surprise": 2}'])
def test_a_stale_note_does_not_matter(tmp_path: Path, content: str) -> None:
    """What an earlier or other version wrote into the file is no lock."""
    (tmp_path / "stack.lock").write_text(content)
    with stack_lock(tmp_path) as lock:
        assert lock.read() == Holder(os.getpid())


def test_a_data_folder_that_cannot_be_made(tmp_path: Path) -> None:
    """The message names the folder and the variable that moves it."""
    (tmp_path / "file").write_text("")
    with pytest.raises(LocalStackError, match="Set RENDEZVOUS_DATA"), stack_lock(tmp_path / "file"):
        pass
