"""`[retraining]`: what it may say, and that a fault is told with file, line and field."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from found import start_of
from rendezvous.monitoring.limits import DAY_US, HOUR_US
from rendezvous.retraining.limits import FIGURES, DataLimits, Floor
from rendezvous.settings import Endpoint, SettingsError, load_endpoint

HEAD = """name = "toy"
description = "a toy"
request = { deadline_ms = 100, max_deadline_ms = 200, reply_margin_ms = 10 }
output = { kind = "binary", names = ["p"], default = [0.5] }
models = { first = {} }
[[schedule]]
models = ["first"]
"""
SCHEMA = '{"type": "record", "name": "Features", "fields": [{"name": "x", "type": "float"}]}'


def loaded(folder: Path, retraining: str) -> Endpoint:
    """An endpoint whose document ends with this; it begins at line 8."""
    for path, text in (("models/toy/endpoint.toml", HEAD + retraining), ("schemas/toy/features.avsc", SCHEMA)):
        (folder / path).parent.mkdir(parents=True)
        (folder / path).write_text(text)
    return load_endpoint("toy", folder)


def test_the_least_that_can_be_said(tmp_path: Path) -> None:
    """The model; the rest has its stated default: drift of inputs is off, promotions are proposals."""
    said = loaded(tmp_path, '[retraining]\nmodel = "first"\n').retraining
    assert said is not None
    assert (said.triggers.concept, said.triggers.code, said.triggers.hand) == (True, True, True)
    assert (said.triggers.input, said.triggers.score, said.triggers.cron, said.triggers.floors) == (
        None,
        None,
        None,
        (),
    )
    assert (said.promotion, said.rollback.mode, said.weights) == ("proposal", "automatic", None)
    assert (said.refresh.labels, said.refresh.blocks, said.replace.e_value) == (3_000, 3, 20.0)
    assert said.cool_down == 7 * DAY_US


@pytest.mark.parametrize(
    ("document", "line", "field", "words"),
    [
        ("[retraining]\n", 8, "retraining.model", "required"),
        ('[retraining]\nmodel = "second"\n', 9, "retraining.model", "names 'second'; models are ['first']"),
        ('[retraining]\nmodel = "first"\ncool_down = "7h"\n', 10, "retraining.cool_down", "shorter than monitoring"),
        ('[retraining]\nmodel = "first"\ncool_down = "a week"\n', 10, "retraining.cool_down", "no duration"),
        ('[retraining]\nmodel = "first"\nper_day = 0\n', 10, "retraining.per_day", "greater than or equal to 1"),
        ('[retraining]\nmodel = "first"\npromotion = "maybe"\n', 10, "retraining.promotion", "'automatic'"),
        (
            '[retraining]\nmodel = "first"\ntriggers = { cron = "monthly?" }\n',
            10,
            "triggers.cron",
            "no cron expression",
        ),
        ('[retraining]\nmodel = "first"\n[retraining.triggers]\ninput = true\n', 11, "triggers.input", "Windows"),
        (
            '[retraining]\nmodel = "first"\n[[retraining.triggers.floors]]\nmetric = "auk"\nvalue = 0\nmargin = 0.1\n',
            11,
            "retraining.triggers.floors.0.metric",
            "'auk' is no figure of a binary output; these are: auc, average_precision",
        ),
        (
            '[retraining]\nmodel = "first"\n[[retraining.triggers.floors]]\nmetric = "auc"\nvalue = 0.6\nmargin = 0\n',
            13,
            "floors.0.margin",
            "greater than 0",
        ),
        (
            '[retraining]\nmodel = "first"\n[retraining.triggers.score]\nflagged = 6\nof = 5\n',
            10,
            "triggers.score",
            "flagged (6) of 5 windows can never be",
        ),
        (
            '[retraining]\nmodel = "first"\n[retraining.data]\nsince = 2013-01-01\nlast = "90d"\n',
            10,
            "retraining.data",
            "since and last exclude one another",
        ),
        (
            '[retraining]\nmodel = "first"\n[retraining.refresh]\nlabels = 10\nreject_after = 9\n',
            10,
            "retraining.refresh",
            "reject_after (9) is less than labels (10)",
        ),
        ('[retraining]\nmodel = "first"\nretrain = true\n', 10, "retraining.retrain", "not permitted"),
    ],
)
def test_what_does_not_hold(tmp_path: Path, document: str, line: int, field: str, words: str) -> None:
    """One message with the place, the field and what to do."""
    with pytest.raises(SettingsError) as caught:
        loaded(tmp_path, document)
    assert f"endpoint.toml:{line}: " in str(caught.value)
    assert field in str(caught.value)
    assert words in str(caught.value)


def test_days_of_data() -> None:
    """As TOML has them, as text, or as they were read before."""
    for value in (date(2013, 1, 1), "2013-01-01", start_of(0)):
        assert DataLimits.model_validate({"since": value}).since == start_of(0)
    with pytest.raises(ValueError, match="yesterday"):
        DataLimits.model_validate({"since": "yesterday"})


def test_a_floor_and_its_margin() -> None:
    """Broken on the wrong side, left when better by the margin; in between neither."""
    below = Floor(metric="auc", value=0.6, margin=0.1)
    assert [below.broken(value) for value in (0.59, 0.6, 0.8)] == [True, False, False]
    assert [below.left(value) for value in (0.6, 0.69, 0.7)] == [False, False, True]
    above = Floor(metric="brier", value=0.2, margin=0.05, worse="above")
    assert [above.broken(value) for value in (0.21, 0.2, 0.1)] == [True, False, False]
    assert [above.left(value) for value in (0.2, 0.16, 0.15)] == [False, False, True]
    assert (below.name, above.name) == ("auc below 0.6", "brier above 0.2")


def test_what_survives_json() -> None:
    """Limits are copied into cards: what was read is read again the same."""
    data = DataLimits.model_validate({"last": "90d"})
    assert DataLimits.model_validate_json(data.model_dump_json()) == data
    assert data.last == 90 * 24 * HOUR_US


def test_figures_are_those_of_the_monitor() -> None:
    """Whatever a closed block says can be a floor, and nothing else."""
    from rendezvous.monitoring.figures import TALLIES  # noqa: PLC0415 - the monitor's, held against ours

    assert {kind: set(names) for kind, names in FIGURES.items()} == {
        kind: set(made().figures()) for kind, made in TALLIES.items()
    }
