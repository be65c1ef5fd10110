"""`profile`: stacks, areas, microseconds; and the sampler within a process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("hdrh", reason="hdrhistogram has no wheel for Linux on arm64")

from loadtest.profile import samplers
from loadtest.profile.areas import COUNTING, READING, REST, SCORER, SERVER, Table, area_of, samples
from loadtest.profile.figures import CLIENTS, OTHERS, figures, shares
from loadtest.profile.picture import draw
from loadtest.profile.samplers import Clock, PySpy, Recording, refused
from loadtest.profile.stacks import Frame, Stack, StackError, is_torn, parse, raw
from loadtest.profile.table import table
from loadtest.profile.threads import Taken, taken
from rendezvous.local.failure import LocalStackError

CLIENT_S = 0.05
ROOT = Path(__file__).parents[3]
LOOP = "<module> (rendezvous/__main__.py:7);main (rendezvous/cli.py:36);loop (rendezvous/running.py:79)"
SERVED = f"thread (4677): MainThread;{LOOP};Service.turn (rendezvous/server/service.py:121)"
SCORED = f"thread (4681): MainThread;{LOOP};Scorer.turn (rendezvous/scoring/service.py:113)"
SENT = "KafkaSink.send (rendezvous/log/sink.py:70);KafkaSink._produce (rendezvous/log/sink.py:80)"
REPORTED = (
    "Publisher.turn (rendezvous/server/publishing.py:193);KafkaSink.serve (rendezvous/log/sink.py:94);"
    "_reporter.<locals>.report (rendezvous/log/sink.py:104);"
    "Publisher._answer.<locals>.delivered (rendezvous/server/publishing.py:117)"
)
DECIDED = "Publisher._decide (rendezvous/server/publishing.py:145);encode (rendezvous/wire.py:160)"
TAKEN_UP = "Scorer._take (rendezvous/scoring/service.py:146);Scorer._score (rendezvous/scoring/service.py:216)"
SCORING = "Scorer._take (rendezvous/scoring/service.py:146);Scorer._score (rendezvous/scoring/service.py:217)"
ANSWERED = (
    "Publisher.answer (rendezvous/server/publishing.py:96);Publisher._send (rendezvous/server/publishing.py:103);"
    "Publisher._answer (rendezvous/server/publishing.py:127)"
)

COUNTED = (
    "count_answers (rendezvous/server/counting.py:27);Distribution.observe_all (rendezvous/telemetry/families.py:140)"
)
WATCHED = "Steering.answered (rendezvous/server/steering.py:80);Load.answered (rendezvous/server/load.py:51)"
MODEL = (
    f"{SCORING};score (rendezvous/scoring/batch.py:94);OnnxModel.score (rendezvous/scoring/models.py:55);"
    "Session.run (onnxruntime/capi/onnxruntime_inference_collection.py:287)"
)
SENDING = (
    "Scorer._take (rendezvous/scoring/service.py:146);Scorer._score (rendezvous/scoring/service.py:235);"
    f"Scorer._send (rendezvous/scoring/service.py:247);{SENT}"
)

OF_SERVER = [
    ("KafkaSource.poll (rendezvous/log/member.py:74);waiting (rendezvous/log/reading.py:102)", READING),
    (f"{ANSWERED};{SENT}", "answers: handed to the client"),
    (
        "Publisher._send (rendezvous/server/publishing.py:103);answers (rendezvous/server/answering.py:45)",
        "answers: encoded",
    ),
    (REPORTED, "delivery reports"),
    (f"{REPORTED};{DECIDED}", "decisions"),
    (
        "Partition.tick (rendezvous/server/partition.py:152);Mailbox.tick (rendezvous/server/mailbox.py:274)",
        "looking and choosing",
    ),
    (
        COUNTED,
        COUNTING,
    ),
    (
        "Steering.answered (rendezvous/server/steering.py:80);Load.answered (rendezvous/server/load.py:51)",
        "watching the load",
    ),
]
OF_SCORER = [
    (f"{TAKEN_UP};take_up (rendezvous/scoring/batch.py:55);Codec.decode (rendezvous/wire.py:103)", "decoding requests"),
    (f"{SCORING};score (rendezvous/scoring/batch.py:91);Layout.columns (rendezvous/scoring/columns.py:50)", "columns"),
    (
        MODEL,
        "model",
    ),
    (
        SENDING,
        "scores: encoded, handed to the client",
    ),
]
"""Recorded by py-spy, and what each is about."""


def of(line: str) -> Stack:
    """The one stack of a line."""
    (stack,) = parse(f"{line} 1").whole
    return stack


@pytest.mark.parametrize(("above", "area"), OF_SERVER)
def test_a_servers_sample_belongs_to_the_innermost_frame_that_is_named(above: str, area: str) -> None:
    """Whatever of NumPy's or of ours stands on it."""
    assert area_of(of(f"{SERVED};{above}").frames, SERVER) == area
    assert area_of(of(f"{SERVED};{above};zeros (numpy/core.py:3)").frames, SERVER) == area


@pytest.mark.parametrize(("above", "area"), OF_SCORER)
def test_a_scorers_sample_belongs_to_the_innermost_frame_that_is_named(above: str, area: str) -> None:
    """So that decoding is not taking up."""
    assert area_of(of(f"{SCORED};{above}").frames, SCORER) == area


@pytest.mark.parametrize("table", [SERVER, SCORER], ids=["server", "scorer"])
def test_every_frame_that_is_named_is_there(table: Table) -> None:
    """A function that was renamed would take its samples to the rest unseen."""
    for file, function in table:
        path = ROOT / "services" / file
        assert path.exists() or find_spec(file.strip("/")), f"{file} is not there"
        if function:
            assert f"def {function.rpartition('.')[2]}(" in path.read_text(), f"{function} is not in {file}"


def test_unknown_frames_are_of_the_rest() -> None:
    """And a turn with nothing on it."""
    assert area_of((Frame("anything", "elsewhere.py"),), SERVER) == REST
    assert area_of(of(SERVED).frames, SERVER) == REST
    assert area_of((), SERVER) == REST


frames = st.builds(
    Frame, st.sampled_from(["turn", "a.b", "f.<locals>.<lambda>", "__init__"]), st.sampled_from(["a.py", "b/c.py"])
)
bottom = (Frame("main", "rendezvous/cli.py"), Frame("loop", "rendezvous/running.py"))
stacks = st.builds(
    lambda above, count: Stack((*bottom, *above), count), st.lists(frames, max_size=4), st.integers(1, 99)
)


@given(st.lists(stacks, max_size=6))
def test_what_is_written_is_what_is_read(written: list[Stack]) -> None:
    """Frames have no ';' and a count at the end; what is torn is left out and counted."""
    read = parse(raw(written))
    assert list(read.whole) == [stack for stack in written if not is_torn(stack.frames)]
    assert sum(stack.count for stack in read.whole) + read.torn == sum(stack.count for stack in written)
    assert read.others == 0


@given(st.lists(stacks, min_size=1, max_size=6))
def test_shares_sum_to_one(found: list[Stack]) -> None:
    """Every sample has an area."""
    assert sum(shares(samples(found, SERVER)).values()) == pytest.approx(1.0)


def test_torn_stacks_are_dropped_and_counted() -> None:
    """Without the loop, or with a turn's method on what that calls: no program has them. Callbacks are none of that."""
    torn = (
        f"{SERVED};Partition.tick (rendezvous/server/partition.py:152);Service._hear (rendezvous/server/service.py:211)"
    )
    headless = "thread (1): MainThread;Mailbox.tick (rendezvous/server/mailbox.py:274)"
    delivered = (
        "Scorer._send.<locals>.delivered (rendezvous/scoring/service.py:240);"
        "Scorer._done (rendezvous/scoring/service.py:205)"
    )
    callback = f"{SCORED};KafkaSink.serve (rendezvous/log/sink.py:94);{delivered}"
    found = parse(f"{torn} 2\n{headless} 3\n{callback} 4\n")
    assert (found.torn, [stack.count for stack in found.whole]) == (5, [4])


def test_other_threads_are_counted_apart() -> None:
    """Those of Python's that show pages."""
    found = parse("thread (4714): telemetry;select (selectors.py:415) 7\nthread (4715);f (a.py:1) 2\n")
    assert (found.others, found.whole) == (9, ())


@pytest.mark.parametrize(
    "line", ["", "thread (1): MainThread;f (a.py:1)", "f (a.py:1) 3", "thread (1): MainThread few"]
)
def test_what_is_no_stack_is_said(line: str) -> None:
    """With its line."""
    with pytest.raises(StackError, match="line 2"):
        parse(f"thread (1): MainThread;f (a.py:1) 3\n{line}\n")


def profile(rate: float) -> dict[str, Any]:
    """300 requests: 30 ms of the loop, a quarter of it seen reading; 6 ms of the clients'."""
    lines = f"{SERVED};{OF_SERVER[0][0]} 1\n{SERVED};{OF_SERVER[1][0]} 3\n"
    took = Taken(0.030, 0.006, 0.0, 0.015)
    return {"process": "server", "rate": rate, **figures(Recording(parse(lines), 2), SERVER, took, 300)}


def test_processor_time_is_shared_out_by_samples() -> None:
    """The loop's own; other threads' stands beside it, and waiting for a core is nobody's."""
    found = profile(100.0)
    areas = found["us_per_request"]
    assert (areas[READING], areas["answers: handed to the client"]) == (25.0, 75.0)
    assert (areas[CLIENTS], areas[OTHERS]) == (20.0, 0.0)
    assert sum(areas.values()) == found["total_us"] == 120.0
    assert (found["queued_us"], found["samples"], found["unread"]) == (50.0, 4, 2)


def test_no_sample_is_no_share() -> None:
    """Nothing is divided by."""
    assert set(shares(samples((), SCORER)).values()) == {0.0}


def test_profiles_are_drawn_and_told(tmp_path: Path) -> None:
    """A bar and a column for each rate."""
    report = {
        "scenario": "profile",
        "by": "clock",
        "models": 5,
        "machine": {"cores": 2, "processor": "any"},
        "most_other_cores": 0.2,
        "profiles": [profile(100.0), profile(1600.0)],
    }
    draw(report, tmp_path / "profile.png")
    assert (tmp_path / "profile.png").read_bytes().startswith(b"\x89PNG")
    (shown,) = table(report)
    assert [column.header for column in shown.columns] == ["", "100/s", "1600/s"]


@pytest.mark.skipif(not Path("/proc/self/schedstat").exists(), reason="needs Linux's /proc with schedstat")
def test_threads_are_told_apart() -> None:
    """This one has run, and so has one that is called as librdkafka's are; a process that is not there says so."""
    before = taken(os.getpid())
    over = threading.Event()

    def run() -> None:
        Path(f"/proc/self/task/{threading.get_native_id()}/comm").write_text("rdk:broker1")
        while time.thread_time() < CLIENT_S:
            abs(1)
        ran.set()
        over.wait()

    ran = threading.Event()
    thread = threading.Thread(target=run)
    thread.start()
    ran.wait()
    took = taken(os.getpid()).since(before)
    over.set()
    thread.join()
    assert took.clients_s >= CLIENT_S
    assert 0 < took.loop_s < CLIENT_S
    with pytest.raises(LocalStackError, match="process 0"):
        taken(0)


def test_py_spy_that_may_not_look_is_one_sentence_with_the_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before anything is started, and while it records."""
    spy = tmp_path / "py-spy"
    spy.write_text("#!/bin/sh\necho 'Permission Denied: Try running again with elevated permissions' >&2\nexit 1\n")
    spy.chmod(0o755)
    monkeypatch.setattr(samplers, "program", lambda: str(spy))
    for attempt in (samplers.check_attaching, lambda: _recorded(tmp_path)):
        with pytest.raises(LocalStackError, match=r"run as root.*ptrace_scope=0.*SYS_PTRACE"):
            attempt()
    assert "\n" not in refused(1, "Error: Operation not permitted (os error 1)\nReason: ptrace")
    assert refused(1, "Error: No such process") == "py-spy could not look into process 1: Error: No such process"


def _recorded(folder: Path) -> Recording:
    spy = PySpy(os.getpid(), folder / "stacks")
    spy.begin(1.0)
    return spy.end()


BUSY = """
import time
from loadtest.profile.within import Sampler
from pathlib import Path

def spinning(end):
    while time.thread_time() < end:
        abs(1)

def loop():
    print("ready", flush=True)
    while True:
        spinning(time.thread_time() + .03)
        time.sleep(.03)

Sampler(Path("stacks"))
loop()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="timers of a thread's processor time are Linux's")
def test_the_clock_sees_who_runs_and_not_who_sleeps(tmp_path: Path) -> None:
    """A second recording is another file."""
    script = tmp_path / "busy.py"
    script.write_text(BUSY)
    surroundings = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'services'}"}
    with subprocess.Popen(  # noqa: S603 - our own Python
        [sys.executable, str(script)], cwd=tmp_path, env=surroundings, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        try:
            (tmp_path / "stacks.1").write_text("of another process")
            clock = Clock(process.pid, tmp_path / "stacks")
            for number in (1, 2):
                clock.begin(0.0)
                before = taken(process.pid).loop_s
                while taken(process.pid).loop_s < before + 0.2:
                    time.sleep(0.01)
                torn = clock.end().stacks.torn  # its loop is none of ours
                lines = (tmp_path / f"stacks.{number}").read_text().splitlines()
                counts = {line.rpartition(" ")[0]: int(line.rpartition(" ")[2]) for line in lines}
                assert torn == sum(counts.values()) >= 10
                spinning = sum(count for stack, count in counts.items() if stack.endswith("spinning (busy.py)"))
                assert spinning >= 0.8 * torn
        finally:
            process.send_signal(signal.SIGKILL)
