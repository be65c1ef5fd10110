"""What people write: times, durations, rules in a file."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from endpoints import endpoint
from rendezvous import replay
from rendezvous.replay.command import drawing
from rendezvous.replay.rules_file import read_rules
from rendezvous.replay.span import duration_us, span_of, written
from rendezvous.replay.tape import Span
from rendezvous.rules import Rules
from rendezvous.settings import SettingsError

NOW_US = 1_767_225_600_000_000
"""2026-01-01T00:00Z."""
KNOWN = {"champion", "challenger", "baseline", "candidate", "first"}


@pytest.mark.parametrize(
    ("text", "time_us"),
    [
        ("2h", NOW_US - 7_200_000_000),
        ("1.5 d", NOW_US - 129_600_000_000),
        ("2025-12-31", NOW_US - 86_400_000_000),
        ("2026-01-01T01:00+02:00", NOW_US - 3_600_000_000),
        ("2025-12-31T23:59:59.5Z", NOW_US - 500_000),
    ],
)
def test_a_time_is_a_duration_ago_or_iso(text: str, time_us: int) -> None:
    """UTC when it names no zone."""
    assert span_of(text, None, NOW_US) == Span(time_us)
    assert span_of(None, text, NOW_US) == Span(None, time_us)


@pytest.mark.parametrize(
    ("first", "last", "words"),
    [
        ("yesterday", None, "--from 'yesterday' is neither a time"),
        (None, "2 fortnights", "--to '2 fortnights'"),
        ("1h", "2h", "--from 1h is not before --to 2h"),
    ],
)
def test_what_is_no_span_is_refused(first: str | None, last: str | None, words: str) -> None:
    """By the option."""
    with pytest.raises(SettingsError) as caught:
        span_of(first, last, NOW_US)
    assert words in str(caught.value)


def test_durations() -> None:
    """For how old labels must be."""
    assert duration_us("90m", "--labels-older") == 5_400_000_000
    with pytest.raises(SettingsError, match="--labels-older"):
        duration_us("2026-01-01", "--labels-older")
    assert written(NOW_US) == "2026-01-01 00:00:00Z"


def rules_of(path: Path, text: str) -> Rules:
    """The rules of a file with this text."""
    path.write_text(text)
    return read_rules(path, endpoint(), endpoint().rules, KNOWN)


def test_what_a_file_leaves_out_stays_in_force(tmp_path: Path) -> None:
    """Only the schedule must be there."""
    rules = rules_of(tmp_path / "p.toml", "reply_margin_ms = 5\n[[schedule]]\nmodels = ['first']\n")
    assert [step.models for step in rules.schedule] == [("first",)]
    assert rules.reply_margin_ms == 5
    assert rules.deadline_ms == endpoint().rules.deadline_ms
    assert rules.default == endpoint().rules.default


WRONG = {
    "no schedule": ("default = [0.5]\n", "schedule: Field required"),
    "no TOML": ("[[schedule\n", "p.toml:"),
    "an unknown field": ("[[schedule]]\nmodels = ['first']\nuntil = 5\n", "p.toml:3: schedule.0.until: Extra inputs"),
    "a wrong order": (
        "[[schedule]]\nmodels = ['first']\n\n[[schedule]]\nmodels = ['first']\n",
        "p.toml:1: schedule.0.until_ms: until_ms must be given",
    ),
    "an unknown model": ("[[schedule]]\nmodels = ['nobody']\n", "p.toml:2: schedule.0.models: names ['nobody']"),
    "an unknown policy": (
        "[[schedule]]\nmodels = ['first']\npolicy = 'guess'\n",
        "p.toml:3: schedule.0.policy: policy 'guess' is unknown",
    ),
    "weights of strangers": (
        "[[schedule]]\nmodels = ['first']\nweights = {other = 1.0}\n",
        "p.toml:1: schedule.0: ",
    ),
    "another width": (
        "default = [0.5, 0.5]\n[[schedule]]\nmodels = ['first']\n",
        "p.toml:1: default: has 2 numbers, the endpoint's output 1",
    ),
    "no time left": (
        "reply_margin_ms = 900\n[[schedule]]\nmodels = ['first']\n",
        "reply_margin_ms (900), deadline_ms (900)",
    ),
}


@pytest.mark.parametrize(("text", "words"), WRONG.values(), ids=WRONG)
def test_a_wrong_file_is_told_by_line_and_field(text: str, words: str, tmp_path: Path) -> None:
    """As an endpoint's document is."""
    with pytest.raises(SettingsError) as caught:
        rules_of(tmp_path / "p.toml", text)
    assert words in str(caught.value)


def test_without_matplotlib_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything is read."""
    monkeypatch.setitem(sys.modules, "rendezvous.replay.picture", None)
    monkeypatch.delattr(replay, "picture", raising=False)
    with pytest.raises(SettingsError, match=r"--picture needs matplotlib: pip install 'rendezvous\[demo\]'"):
        drawing()


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    """By its name."""
    with pytest.raises(SettingsError, match=r"none\.toml"):
        read_rules(tmp_path / "none.toml", endpoint(), endpoint().rules, KNOWN)
