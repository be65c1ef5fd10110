"""The command line and its make target."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

pytest.importorskip("hdrh", reason="hdrhistogram has no wheel for Linux on arm64")

from loadtest import __main__ as command
from loadtest.driving.home import MODES

ROOT = Path(__file__).parents[3]
OUTER = (
    "MAKEFLAGS",
    "MFLAGS",
    "MAKELEVEL",
    "MAKEOVERRIDES",
    "SCENARIO",
    "RATE",
    "MODELS",
    "PARTITIONS",
    "SECONDS",
    "PAYLOAD",
    "MODE",
    "RECORDS",
    "REPORT",
)
"""What an outer make may hand down."""


def test_saturation_is_given_or_looked_for() -> None:
    """And the rest has its defaults."""
    options = command.parse(["steady", "--rate", "800"])
    assert (options.rate, options.models, options.partitions, options.payload) == (800.0, 5, 1, 0)
    assert (options.seconds, options.report) == (10.0, command.FOLDER)
    assert command.parse(["steady"]).rate is None


def test_modes_are_one_or_several() -> None:
    """And all of them without it."""
    assert command.parse(["failover", "--mode", "exactly_once", "default"]).mode == ["exactly_once", "default"]
    assert command.parse(["failover"]).mode == MODES
    assert command.parse(["failover"]).rate == 200.0


def test_a_handoff_is_measured_at_the_rate_that_is_promised() -> None:
    """Unless another one is asked for."""
    assert command.parse(["handoff"]).rate == 1_000.0
    assert command.parse(["handoff", "--rate", "50", "--seconds", "3"]).seconds == 3.0


def test_a_profile_is_of_single_rows_and_of_batches() -> None:
    """By the clock within, unless py-spy is asked for."""
    options = command.parse(["profile"])
    assert (options.rate, options.by, options.seconds) == ((100.0, 1_600.0), "clock", 30.0)
    assert command.parse(["profile", "--rate", "50", "--by", "py-spy"]).by == "py-spy"


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["unheard"],
        ["steady", "--rate", "0"],
        ["steady", "--rate", "1", "2"],
        ["all", "--rate", "1"],
        ["steady", "--seconds", "nan"],
        ["failover", "--mode", "unheard"],
        ["profile", "--by", "guess"],
        ["failover", "--rate", "1", "2"],
        ["hostile", "--records", "some"],
    ],
)
def test_what_cannot_be_measured_is_refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """With the usage and a word."""
    with pytest.raises(SystemExit):
        command.parse(arguments)
    assert "error:" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "steady"),
        (["RATE=250", "SECONDS=3", "REPORT=x"], "steady --rate 250 --seconds 3 --report x"),
        (["SCENARIO=steady"], "steady"),
        (["SCENARIO=failover", "RATE=50", "MODE=default"], "failover --rate 50 --mode default"),
        (["SCENARIO=handoff", "SECONDS=5"], "handoff --seconds 5"),
        (["SCENARIO=profile", "RATE=50 100"], "profile --rate 50 100"),
        (["SCENARIO=hostile", "RATE=50", "RECORDS=9"], "hostile --rate 50 --records 9"),
        (["SCENARIO=burst", "PAYLOAD=9", "PARTITIONS=2", "MODELS=3"], "burst --models 3 --partitions 2 --payload 9"),
    ],
    ids=["none", "all", "scenario", "failover", "handoff", "profile", "hostile", "shape"],
)
def test_make_passes_its_arguments_through(arguments: list[str], words: str) -> None:
    """Each is handed on when it was given, and only then."""
    environment = {name: value for name, value in os.environ.items() if name not in OUTER}
    made = subprocess.run(  # noqa: S603 - the repository's own
        [shutil.which("make") or "make", "-n", "loadtest", *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert made.stdout.splitlines()[-1] == f".venv/bin/python -m loadtest {words}"
