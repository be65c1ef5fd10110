"""Processes that end with whoever started them: real ones, small and quick."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from rendezvous.local.failure import LocalStackError
from rendezvous.local.process import GuardedProcess

PATIENCE_S = 10.0

STARTS_AND_WAITS = """
import sys, time
from pathlib import Path
from rendezvous.local.process import GuardedProcess
process = GuardedProcess.start(["sleep", "100"], log=Path(sys.argv[1]), grace_s=1.0)
print(process.pid, flush=True)
time.sleep(100)
"""

FORKS_AND_DIES = """
import os, sys, time
from pathlib import Path
from rendezvous.local.process import GuardedProcess
process = GuardedProcess.start(["sleep", "100"], log=Path(sys.argv[1]), grace_s=1.0)
if os.fork():
    print(process.pid, flush=True)
    os._exit(0)
os.close(1)
time.sleep(4)  # holds a copy of the guard's standard input
os._exit(0)
"""


def until(condition: Callable[[], bool]) -> None:
    """Wait for something that another process does."""
    give_up = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < give_up, "it did not happen"
        time.sleep(0.01)


def look(pid: int) -> tuple[str, int]:
    """State (T for stopped, Z for ended and not yet asked for, empty for none) and parent of a process."""
    command = ["ps", "-o", "stat=,ppid=", "-p", str(pid)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - portable
    words = done.stdout.split()
    return (words[0][0], int(words[1])) if words else ("", 0)


def runs(pid: int) -> bool:
    """Whether a process is there and has not ended."""
    return look(pid)[0] not in ("", "Z")


def state(pid: int) -> str:
    """One letter, as ps has it."""
    return look(pid)[0]


def python(script: str) -> list[str]:
    """A small Python program, begun quickly."""
    return [sys.executable, "-I", "-S", "-c", script]


def test_output_and_exit_code(tmp_path: Path) -> None:
    """What the command writes is in its log, its exit code in `returncode`."""
    log = tmp_path / "log"
    log.write_text("from an earlier start")
    script = "import os, sys; print(os.environ['WORD'], os.getcwd(), flush=True); sys.exit(7)"
    with GuardedProcess.start(python(script), log=log, environment={"WORD": "hello"}, folder=tmp_path) as process:
        process.wait(PATIENCE_S)
    assert process.returncode == process.poll() == 7
    assert log.read_text() == f"hello {tmp_path}\n"


def test_stop_is_gentle_first(tmp_path: Path) -> None:
    """A command that handles SIGTERM ends in its own way; a second stop does nothing."""
    script = "import signal, sys, time; signal.signal(15, lambda *_: sys.exit(3)); print(1, flush=True); time.sleep(99)"
    log = tmp_path / "log"
    process = GuardedProcess.start(python(script), log=log)
    until(lambda: bool(log.read_text()))
    assert process.poll() is None
    process.stop()
    process.stop()
    assert process.returncode == 3


def test_stop_is_not_gentle_for_ever(tmp_path: Path) -> None:
    """A command that ignores SIGTERM is killed after the grace, its children with it."""
    script = (
        "import signal, subprocess, time; signal.signal(15, signal.SIG_IGN);"
        "print(subprocess.Popen(['sleep', '99']).pid, flush=True); time.sleep(99)"
    )
    log = tmp_path / "log"
    process = GuardedProcess.start(python(script), log=log)
    until(lambda: bool(log.read_text()))
    process.stop(grace_s=0.1)
    assert process.returncode == -signal.SIGKILL
    until(lambda: not runs(int(log.read_text())))


def test_a_frozen_command_can_go_on_and_can_be_stopped(tmp_path: Path) -> None:
    """SIGSTOP and SIGCONT reach the command itself; a frozen one still ends by SIGTERM, at once."""
    with GuardedProcess.start(["sleep", "100"], log=tmp_path / "log", grace_s=PATIENCE_S) as process:
        os.kill(process.pid, signal.SIGSTOP)
        until(lambda: state(process.pid) == "T")
        os.kill(process.pid, signal.SIGCONT)
        until(lambda: state(process.pid) != "T")
        os.kill(process.pid, signal.SIGSTOP)
        until(lambda: state(process.pid) == "T")
        assert process.poll() is None
    assert process.returncode == -signal.SIGTERM


def test_a_killed_parent_leaves_nothing(tmp_path: Path) -> None:
    """SIGKILL of the process that started it ends the command."""
    command = [sys.executable, "-c", STARTS_AND_WAITS, str(tmp_path / "log")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:  # noqa: S603 - ours
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert runs(pid)
        parent.kill()
        until(lambda: not runs(pid))


def test_a_forked_copy_of_the_parent_does_not_keep_it(tmp_path: Path) -> None:
    """The command ends with its parent although a fork of the parent lives on."""
    command = [sys.executable, "-W", "ignore", "-c", FORKS_AND_DIES, str(tmp_path / "log")]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)  # noqa: S603 - ours
    until(lambda: not runs(int(done.stdout)))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux's kernel can promise it")
def test_a_killed_guard_leaves_nothing(tmp_path: Path) -> None:
    """SIGKILL of the guard itself ends the command too."""
    process = GuardedProcess.start(["sleep", "100"], log=tmp_path / "log")
    os.kill(look(process.pid)[1], signal.SIGKILL)
    until(lambda: not runs(process.pid))
    process.stop()
    assert process.returncode == -signal.SIGKILL


def test_ctrl_c_does_not_reach_it(tmp_path: Path) -> None:
    """SIGINT means nothing to the guard, and the command is in a session of its own."""
    with GuardedProcess.start(["sleep", "100"], log=tmp_path / "log") as process:
        _, guard = look(process.pid)
        os.kill(guard, signal.SIGINT)
        assert len({os.getpgid(0), os.getpgid(guard), os.getpgid(process.pid)}) == 3
        with pytest.raises(TimeoutError, match="still runs"):
            process.wait(0.2)


def test_the_command_gets_its_signals_back(tmp_path: Path) -> None:
    """What the guard does about signals is not inherited: SIGINT ends a command that does not handle it."""
    with GuardedProcess.start(["sleep", "100"], log=tmp_path / "log") as process:
        os.kill(process.pid, signal.SIGINT)
        process.wait(PATIENCE_S)
    assert process.returncode == -signal.SIGINT


def test_a_command_that_is_not_there(tmp_path: Path) -> None:
    """The message names the command and the reason."""
    with pytest.raises(LocalStackError, match="/no/such cannot be run: No such file"):
        GuardedProcess.start(["/no/such"], log=tmp_path / "log")


def test_the_guard_is_light() -> None:
    """It imports nothing but the standard library, so that it is up at once."""
    guard = Path(sys.modules["rendezvous.local.guard"].__file__ or "")
    script = f"import runpy, sys; runpy.run_path({str(guard)!r}); print(len(sys.modules))"
    done = subprocess.run(python(script), capture_output=True, text=True, check=True)  # noqa: S603 - ours
    assert int(done.stdout) < 120
