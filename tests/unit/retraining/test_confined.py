"""A command is ended at its limits, with everything that it has started, and when we end ourselves."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rendezvous.retraining import confined
from rendezvous.retraining.confined import ConfinedError, Spent
from rendezvous.retraining.training import TrainingLimits

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="memory of a group is counted in /proc")
LIMITS = {"memory_mb": 200, "file_mb": 1, "time": "60s"}
EAT = "held = []\nwhile True: held.append(b'x' * 10_000_000)"
TOGETHER = """
import subprocess, sys
code = "import time; held = b'x' * 60_000_000; time.sleep(60)"
for child in [subprocess.Popen([sys.executable, "-S", "-c", code]) for _ in range(6)]: child.wait()
"""
CHILDREN = """
import subprocess, sys, time
print(subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(600)"]).pid, flush=True)
time.sleep(600)
"""


def python(code: str) -> list[str]:
    """A Python without its site packages, which starts in no time."""
    return [sys.executable, "-I", "-S", "-c", code]


def run(folder: Path, code: str, lines: list[str] | None = None, **limits: object) -> Spent:
    """Run Python code under limits."""
    return confined.run(
        python(code),
        folder=folder,
        environment={"NAMED": "here"},
        log=folder / "run.log",
        limits=TrainingLimits.model_validate({**LIMITS, **limits}),
        report=(lines if lines is not None else []).append,
    )


def is_alive(pid: int) -> bool:
    """Whether a process is there and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_lines_are_passed_on_and_kept(tmp_path: Path) -> None:
    """Both outputs, in the folder and with the variables that were given; what it took is told."""
    lines: list[str] = []
    where = "print(os.environ['NAMED'], flush=True); print(os.getcwd(), file=sys.stderr)"
    code = f"import os, sys, time; {where}; time.sleep(.3)"
    spent = run(tmp_path, code, lines)
    assert lines == ["here", str(tmp_path)]
    assert (tmp_path / "run.log").read_text().split() == lines
    assert 0.3 <= spent.seconds < 60
    assert sys.platform != "linux" or spent.peak_mb > 1


def test_a_command_that_hangs_is_ended(tmp_path: Path) -> None:
    """With what it has started; the message says which limit it was."""
    lines: list[str] = []
    with pytest.raises(ConfinedError, match=r"still ran after time = 1.5 s: ended"):
        run(tmp_path, CHILDREN, lines, time="1.5s")
    (child,) = map(int, lines)
    assert not is_alive(child)


def test_a_command_that_takes_no_notice_of_sigterm_is_ended(tmp_path: Path) -> None:
    """By SIGKILL, a moment later."""
    code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
    with pytest.raises(ConfinedError, match="still ran after time = 1 s"):
        run(tmp_path, code, time="1s")


@LINUX
@pytest.mark.parametrize("code", [EAT, TOGETHER], ids=["alone", "together"])
def test_a_command_that_eats_memory_is_ended(tmp_path: Path, code: str) -> None:
    """Also when none of its processes alone has too much; how much more depends on when it was looked at."""
    with pytest.raises(ConfinedError, match=r"its processes used \d+ MB, more than memory_mb = 200") as ended:
        run(tmp_path, code)
    assert int(re.findall(r"used (\d+) MB", str(ended.value))[0]) >= 200


def test_a_command_that_fails_says_why(tmp_path: Path) -> None:
    """Its code and the end of its log."""
    with pytest.raises(ConfinedError, match=r"(?s)ended with 1, .* no convergence"):
        run(tmp_path, "raise SystemExit('no convergence')")
    with pytest.raises(ConfinedError, match="ended by signal 11"):
        run(tmp_path, f"import os; os.kill(os.getpid(), {int(signal.SIGSEGV)})")


def test_a_command_that_is_not_there_says_so(tmp_path: Path) -> None:
    """By its name."""
    with pytest.raises(ConfinedError, match=r"(?s)ended with 127.*no-such-program: No such file"):
        confined.run(
            ["no-such-program"],
            folder=tmp_path,
            environment={},
            log=tmp_path / "run.log",
            limits=TrainingLimits.model_validate(LIMITS),
            report=print,
        )


def test_no_file_grows_beyond_its_limit(tmp_path: Path) -> None:
    """The log neither: a command that never stops talking fills no disk."""
    with pytest.raises(ConfinedError, match="File too large"):
        run(tmp_path, "open('large', 'wb').write(b'x' * 2_000_000)")
    with pytest.raises(ConfinedError, match="ended "):
        run(tmp_path, "while True: print('x' * 1000, flush=True)")
    assert (tmp_path / "run.log").stat().st_size <= 1_000_000


def test_training_takes_what_serving_leaves(tmp_path: Path) -> None:
    """Its priority is low, and no lower when ours is already."""
    lines: list[str] = []
    run(tmp_path, "import os; print(os.getpriority(os.PRIO_PROCESS, 0))", lines)
    assert lines == [str(max(10, os.getpriority(os.PRIO_PROCESS, 0)))]


@LINUX
def test_a_command_ends_with_us(tmp_path: Path) -> None:
    """Whoever runs it is killed outright: neither the command nor what it started lives on."""
    code = f"""
from pathlib import Path
from rendezvous.retraining import confined
from rendezvous.retraining.training import TrainingLimits
confined.run({python(CHILDREN)!r}, folder=Path({str(tmp_path)!r}), environment={{}},
             log=Path({str(tmp_path / "run.log")!r}), limits=TrainingLimits(),
             report=lambda line: print(line, flush=True))
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as runner:  # noqa: S603 - ours
        assert runner.stdout is not None
        child = int(runner.stdout.readline())
        runner.kill()
    until = time.monotonic() + 30
    while is_alive(child) and time.monotonic() < until:
        time.sleep(0.05)
    assert not is_alive(child)
