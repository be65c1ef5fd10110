"""The monitor over tables: what it finds, where it says so, and how it refuses."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import homes
from loadtest.plain import write_model
from rendezvous.cli import MENDABLE, main
from rendezvous.monitoring.backtest import Past, Texts, Told, backtest, invented_clock, of_rows
from rendezvous.monitoring.findings import AlarmKind
from rendezvous.monitoring.limits import MonitoringLimits

A_DAY = 600
DAY_US = 86_400_000_000
BY_DAY = MonitoringLimits.model_validate({"block": "1d", "label_delay": 0, "lateness": 0, "window": 500})
BY_ROW = of_rows(BY_DAY)


def past(seed: int, days: int, *, drift_from: int | None = None, warm_from: int | None = None) -> Past:
    """Rows of whole days; from a day on labels no longer follow scores, or temperatures are higher, nothing else."""
    chance = np.random.default_rng(seed)
    day = np.repeat(np.arange(days), A_DAY)
    scores = chance.random(len(day))
    truth = scores if drift_from is None else np.where(day >= drift_from, 1 - scores, scores)
    asked_us = day * DAY_US + np.sort(chance.integers(0, DAY_US, (days, A_DAY)), axis=1).ravel()
    temperature = (chance.normal(0, 1, days)[day] + chance.normal(0, 0.5, len(day))) + (
        0 if warm_from is None else 8 * (day >= warm_from)
    )
    return Past(
        asked_us=asked_us,
        observed_us=asked_us,
        outputs=scores.astype(np.float32)[:, None],
        names=("p",),
        labels=(chance.random(len(day)) < truth).astype(np.float64),
        numbers={"temperature": temperature.astype(np.float32)},
        texts={"colour": Texts(("red", "blue"), chance.integers(-1, 2, len(day)).astype(np.int32))},
    )


def of(before: Past, after: Past, limits: MonitoringLimits = BY_DAY) -> Told:
    """A backtest of binary outputs; of independent rows without the temperature, which hangs together by day."""
    if limits.independent:
        before, after = (
            replace(one, numbers={}, asked_us=(c := invented_clock(one.rows)), observed_us=c) for one in (before, after)
        )
    return backtest(after, before.reference(limits, "binary"), limits, "binary")


def test_concept_drift_is_found_at_a_row_after_it() -> None:
    """By blocks: nothing is said before, and little later than a block's end."""
    alarms = of(past(1, 20), past(2, 20, drift_from=10)).alarms
    assert {spoken.alarm.kind for spoken in alarms} == {AlarmKind.CONCEPT}
    assert {spoken.alarm.subject for spoken in alarms} >= {"error_rate", "brier", "auc"}
    first = min(spoken.position for spoken in alarms)
    assert first % A_DAY == 0
    assert 11 * A_DAY <= first <= 14 * A_DAY


def test_independent_rows_are_looked_at_one_by_one() -> None:
    """Found within a hundred rows, said once for an episode, and marked."""
    alarms = of(past(1, 20), past(2, 20, drift_from=10), BY_ROW).alarms
    assert {spoken.alarm.detector for spoken in alarms} == {"row", "adwin"}
    assert 6_000 < min(spoken.position for spoken in alarms) < 6_100
    assert len(alarms) <= 4


@pytest.mark.parametrize("limits", [BY_DAY, BY_ROW], ids=["days", "rows"])
def test_where_nothing_changes_nothing_is_said(limits: MonitoringLimits) -> None:
    """Twenty days like those before."""
    assert not of(past(1, 20), past(2, 20), limits).alarms


def test_a_warmer_time_is_no_concept_drift() -> None:
    """Input drift is loud and may be harmless: scores and labels are as they were.

    A single day's temperature was always far from that of all days; that all days are warm is new.
    """
    alarms = of(past(1, 20), past(2, 20, warm_from=8)).alarms
    assert {(spoken.alarm.kind, spoken.alarm.subject) for spoken in alarms} <= {
        (AlarmKind.INPUT, "temperature"),
        (AlarmKind.QUALITY, "temperature"),
    }
    assert any(spoken.alarm.kind is AlarmKind.INPUT for spoken in alarms)
    assert min(spoken.position for spoken in alarms) >= 9 * A_DAY


def test_the_order_of_rows_in_the_file_does_not_matter() -> None:
    """Positions are numbers of rows in the file as it is."""
    plain = past(2, 20, drift_from=10)
    order = np.random.default_rng(3).permutation(plain.rows)
    mixed = Past(
        plain.asked_us[order],
        plain.observed_us[order],
        plain.outputs[order],
        plain.names,
        plain.labels[order],
        {name: column[order] for name, column in plain.numbers.items()},
        {name: Texts(texts.categories, texts.codes[order]) for name, texts in plain.texts.items()},
    )
    one, other = of(past(1, 20), plain), of(past(1, 20), mixed)
    assert [spoken.alarm for spoken in one.alarms] == [spoken.alarm for spoken in other.alarms]
    assert [spoken.position for spoken in one.alarms] == [int(order[spoken.position]) for spoken in other.alarms]


def write(path: Path, rows: Past, **changed: object) -> Path:
    """A table as CSV."""
    iso = np.array(rows.asked_us, "datetime64[us]").astype(str)
    columns: dict[str, Any] = {
        "t": iso,
        "p": rows.outputs[:, 0],
        "y": rows.labels.astype(int),
        "temperature": rows.numbers["temperature"],
        "colour": np.array(["red", "blue", ""])[rows.texts["colour"].codes],
    } | changed
    lines = [",".join(columns), *(",".join(map(str, row)) for row in zip(*columns.values(), strict=True))]
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, ...]:
    """Arguments of the command: a reference, and data with a drift in the middle."""
    folder = tmp_path_factory.mktemp("tables")
    before = write(folder / "before.csv", past(1, 20))
    after = write(folder / "after.csv", past(2, 20, drift_from=10))
    return ("backtest", "--reference", str(before), "--data", str(after), "--prediction", "p", "--label", "y")


def test_the_report_has_what_was_said(files: tuple[str, ...], tmp_path: Path) -> None:
    """The command, from files to JSON, with a picture beside it."""
    report, picture = tmp_path / "report.json", tmp_path / "picture.png"
    more = ("--features", "temperature,colour", "--time", "t", "--report", str(report), "--picture", str(picture))
    assert main([*files, *more]) == 0
    told = json.loads(report.read_text())
    first = told["alarms"][0]
    assert (first["kind"], first["time"][:10], first["assumes_independence"]) == ("concept", "1970-01-13", False)
    assert first["position"] % A_DAY == 0
    assert first["value"] >= first["threshold"] == 200
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_without_a_time_rows_are_independent_and_it_says_so(
    files: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The rule for a table that has no time."""
    assert main([*files, "--report", str(tmp_path / "report.json")]) == 0
    assert "independent" in capsys.readouterr().out
    told = json.loads((tmp_path / "report.json").read_text())
    assert all(alarm["assumes_independence"] and alarm["time"] is None for alarm in told["alarms"])
    assert 6_000 < told["alarms"][0]["position"] < 6_100


@pytest.mark.parametrize("how", [("--time", "t"), ("--independent",)], ids=["days", "rows"])
@pytest.mark.parametrize("kind", ["regression", "multiclass"])
def test_numbers_and_classes_are_watched_too(kind: str, how: tuple[str, ...], tmp_path: Path) -> None:
    """Found by what the cells are; half way every answer is worse."""
    chance = np.random.default_rng(5)
    files = []
    for name, days, worse_from in (("before.csv", 12, 99), ("after.csv", 12, 6)):
        rows = past(6, days)
        worse = np.arange(rows.rows) >= worse_from * A_DAY
        if kind == "regression":
            truth = chance.normal(100, 20, rows.rows)
            said = truth + chance.normal(0, np.where(worse, 15, 5))
        else:
            truth = np.array(["cat", "dog", "fish"])[chance.integers(0, 3, rows.rows)]
            said = np.where(chance.random(rows.rows) < np.where(worse, 0.5, 0.9), truth, "dog")
        files.append(str(write(tmp_path / name, rows, p=said, y=truth)))
    report = tmp_path / "report.json"
    arguments = ["backtest", "--reference", files[0], "--data", files[1], "--prediction", "p", "--label", "y", *how]
    assert main([*arguments, "--report", str(report)]) == 0
    told = json.loads(report.read_text())
    positions = [alarm["position"] for alarm in told["alarms"] if alarm["kind"] == "concept"]
    assert told["kind"] == kind
    assert positions
    assert 6 * A_DAY < min(positions) <= (11 if "--time" in how else 6.5) * A_DAY


def test_an_endpoint_brings_its_model_and_its_reference(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Rows as the archive gives them; where there is no prediction, the champion's model says one."""
    endpoint = homes.write_home(tmp_path)
    monkeypatch.setenv("RENDEZVOUS_HOME", str(tmp_path))
    data = tmp_path / "data.csv"
    arguments = ["backtest", "--endpoint", endpoint.name, "--data", str(data)]

    def asked(rows: Past) -> Past:
        words = Texts(("red", "blue"), rows.texts["colour"].codes)
        seen = {"x": rows.outputs[:, 0], "slow_ms": np.zeros(rows.rows, np.float32)}
        return replace(rows, observed_us=rows.asked_us + 3_600_000_000, numbers=seen, texts={"who": words})

    def write(rows: Past) -> None:
        who = np.array(["red", "blue", ""], object)[rows.texts["who"].codes]
        columns = {"x": rows.numbers["x"], "slow_ms": rows.numbers["slow_ms"], "who": who, "label": rows.labels}
        columns |= {"asked_us": rows.asked_us, "observed_us": rows.observed_us}
        lines = [",".join(columns), *(",".join(map(str, row)) for row in zip(*columns.values(), strict=True))]
        data.write_text("\n".join(lines) + "\n")

    write(asked(past(2, 20, drift_from=10)))
    assert "has no reference" in refused(arguments, capsys)
    limits = endpoint.monitoring
    shipped = asked(past(1, 20)).reference(limits, "binary")
    write_model(endpoint, "quick", homes.MODELS["quick"], shipped)
    assert main([*arguments, "--report", str(tmp_path / "report.json")]) == 0
    first = json.loads((tmp_path / "report.json").read_text())["alarms"][0]
    assert (first["kind"], first["position"] > 11 * A_DAY) == ("concept", True)
    write_model(endpoint, "quick", homes.MODELS["quick"], shipped.model_copy(update={"window": 700}))
    assert "until it is trained again" in refused(arguments, capsys)


def refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """What a command says that cannot be done."""
    assert main(arguments) == MENDABLE
    return capsys.readouterr().err


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("--prediction", "q", "no column q; it has t, p, y"),
        ("--features", "temperature,height", "no column height"),
        ("--time", "colour", "is empty in row"),
        ("--block", "30d", "1 blocks with 30 labelled rows or more, 5 are needed"),
        ("--block", "soon", "no duration"),
        ("--label", "t", "holds no numbers"),
    ],
)
def test_faults_are_named(
    files: tuple[str, ...], option: str, value: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Which file, which column, what to do."""
    arguments = [*files, "--time", "t", option, value]
    assert said in refused(arguments, capsys)


def test_cells_that_are_no_numbers_are_shown(
    files: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With their rows."""
    rows = past(2, 2)
    odd = rows.outputs[:, 0].astype(object)
    odd[7] = "n/k"
    data = write(tmp_path / "odd.csv", rows, p=odd)
    assert "row 7: 'n/k'" in refused([*files, "--data", str(data), "--kind", "binary"], capsys)


def test_too_few_rows_are_refused(files: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """From a handful nobody could tell what is usual."""
    few = past(1, 1)
    before = write(tmp_path / "few.csv", replace(few, labels=np.where(np.arange(few.rows) < 100, few.labels, 0)))
    arguments = [*files, "--reference", str(before), "--time", "t"]
    assert "1 blocks with 30 labelled rows or more, 5 are needed" in refused(arguments, capsys)
    assert "there is no such file" in refused([*files, "--data", str(tmp_path / "none.csv")], capsys)
