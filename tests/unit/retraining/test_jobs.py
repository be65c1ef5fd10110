"""A job as a process: its outcome, its death, and what it leaves."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from found import OLD
from rendezvous.log.records import LogError
from rendezvous.retraining.events import Outcome, Retrained, RetrainEvent
from rendezvous.retraining.jobs import EVENT_FILE, LOG_FILE, OUTCOME_FILE, ChildJobs, Running

EVENT = RetrainEvent("trees-c1-20130101", *OLD, ("age",), "{}", "", 0, 1, 1, (), (), "tests", 1)
HEAD = """
import sys, time
from pathlib import Path
from rendezvous.retraining.events import Outcome, Retrained
from rendezvous.retraining.jobs import leave, told
folder = Path(sys.argv[1])
event = told(folder)
"""
GOOD = HEAD + 'leave(folder, Retrained(event.key, Outcome.REGISTERED, event.model, "c2", (), 1, 2, "child"))'
PATIENCE_S = 30.0


def jobs(tmp_path: Path, code: str) -> ChildJobs:
    """Jobs that run this code."""
    return ChildJobs([sys.executable, "-c", code], tmp_path, lambda: None, "tests")


def ended(running: Running) -> Retrained:
    """What became of it."""
    give_up_s = time.monotonic() + PATIENCE_S
    while (found := running.poll()) is None:
        assert time.monotonic() < give_up_s
        time.sleep(0.02)
    return found


def test_its_outcome_is_what_it_left(tmp_path: Path) -> None:
    """Again whenever it is asked."""
    running = jobs(tmp_path, GOOD).start(EVENT)
    assert ended(running) == Retrained(EVENT.key, Outcome.REGISTERED, EVENT.model, "c2", (), 1, 2, "child")
    assert running.poll() == ended(running)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("raise SystemExit('no memory')", "ended with 1 and left no outcome"),
        ("pass", "ended with 0 and left no outcome"),
        ("import os; os.kill(os.getpid(), 9)", "ended with -9"),
        ("import sys; open(sys.argv[1] + '/outcome.bin', 'wb').write(b'rubbish')", "left no outcome"),
    ],
)
def test_without_an_outcome_it_failed(tmp_path: Path, code: str, words: str) -> None:
    """The reason ends with the last lines of its log."""
    outcome = ended(jobs(tmp_path, code).start(EVENT))
    assert (outcome.key, outcome.outcome, outcome.version) == (EVENT.key, Outcome.FAILED, "")
    assert words in outcome.reasons[0]
    assert outcome.ended_us >= outcome.started_us > 0


def test_a_job_that_cannot_begin_failed(tmp_path: Path) -> None:
    """There is no such program."""
    outcome = ChildJobs(["/nonexistent/train"], tmp_path, lambda: None, "tests").start(EVENT).poll()
    assert outcome is not None
    assert outcome.outcome is Outcome.FAILED
    assert "/nonexistent/train" in outcome.reasons[0]


def test_control_could_not_be_told(tmp_path: Path) -> None:
    """Then the job is done again, by a retrainer that is started anew."""
    with pytest.raises(LogError, match="done again"):
        ended(jobs(tmp_path, "raise SystemExit(75)").start(EVENT))


def test_an_older_outcome_is_not_taken_for_its_own(tmp_path: Path) -> None:
    """A job that is done again leaves a new one, or none."""
    ended(jobs(tmp_path, GOOD).start(EVENT))
    assert ended(jobs(tmp_path, "pass").start(EVENT)).outcome is Outcome.FAILED


def test_killed(tmp_path: Path) -> None:
    """It is gone when `kill` returns; its log stays."""
    running = jobs(tmp_path, HEAD + "print('begun', flush=True); time.sleep(600)").start(EVENT)
    log = tmp_path / EVENT.key / LOG_FILE
    until(lambda: "begun" in log.read_text())
    running.kill()
    assert ended(running).outcome is Outcome.FAILED
    assert {path.name for path in (tmp_path / EVENT.key).iterdir()} == {EVENT_FILE, LOG_FILE}


def until(condition: Callable[[], bool]) -> None:
    """Wait for it."""
    give_up_s = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < give_up_s
        time.sleep(0.02)


def test_a_key_leads_nowhere_else(tmp_path: Path) -> None:
    """Whoever may write to the topic may not choose a folder."""
    event = RetrainEvent("../../elsewhere", *OLD, (), "{}", "", 0, 1, 1, (), (), "x", 1)
    ended(jobs(tmp_path / "a" / "b", GOOD).start(event))
    assert not (tmp_path / "elsewhere").exists()
    assert len(list((tmp_path / "a" / "b").glob(f"*/{OUTCOME_FILE}"))) == 1
