"""What list and show print."""

from __future__ import annotations

from pathlib import Path

import pytest

from endpoints import endpoint
from homes import write_home
from registers import AUTHOR, control_after, digest_of, first_deployment
from rendezvous.registry.changes import deployment, promotion
from rendezvous.registry.events import Quality, Shedding, Suspension, Weights
from rendezvous.registry.evidence import Check, Evidence
from rendezvous.registry.shown import listing, page, shed
from rendezvous.scoring.card import load_card

OF = endpoint(
    models={"trees": {}, "forest": {}},
    aliases={"champion": "trees", "challenger": "forest"},
    schedule=[{"until_ms": 100, "models": ["champion"]}, {"models": ["challenger", "champion"]}],
)
OLD, NEW, FOREST = ("trees", "v1"), ("trees", "v2"), ("forest", "v1")
FIRST = first_deployment(OF)
WHEN = "2023-11-14 22:13:20Z"
CONTROL = control_after(
    [
        *deployment(FIRST, OF, {NEW: digest_of(NEW)}, AUTHOR).events,
        Suspension(1, *OLD, suspended=True, missed=1.0, failed=0.0, requests=9, by="server", at_us=0),
        Suspension(0, *OLD, suspended=True, missed=1.0, failed=0.0, requests=9, by="server", at_us=0),
        Shedding(0, candidates=0.25, challengers=0.1, by="server", at_us=0),
        Shedding(1, candidates=0.5, challengers=0.0, by="server", at_us=0),
        Weights(Quality.BEST, ("trees",), ("v2",), (0.75,), "monitor", 0),
    ],
    FIRST,
)


def test_the_list_has_a_line_for_each_version() -> None:
    """What stands on control, and evidence where there is some."""
    found = {OLD: Evidence(200, 200, 199, 150, 80, 1), FOREST: Evidence(0, 0, 0, 0, 80, None)}
    cells = [[cell.strip() for cell in line.split("  ") if cell] for line in listing(CONTROL, found)]
    assert cells == [
        [
            "MODEL",
            "VERSION",
            "STATE",
            "ALIASES",
            "DEPLOYED",
            "BY",
            "SUSPENDED",
            "SHED",
            "COVERAGE",
            "IN TIME",
            "QUALITY",
        ],
        ["trees", "v1", "active", "champion", WHEN, "ada@tests", "0,1", "0%", "99.5%", "75.0%", "-"],
        ["forest", "v1", "active", "challenger", WHEN, "ada@tests", "-", "10%", "-", "-", "-"],
        ["trees", "v2", "active", "-", WHEN, "ada@tests", "-", "50%", "-", "-", "0.75"],
    ]


def test_columns_stand_below_one_another() -> None:
    """Every cell of a column begins at the same place, and no line ends in blanks."""
    lines = listing(CONTROL, {})
    assert {line.index(word) for line, word in zip(lines, ["STATE", *["active"] * 3], strict=True)} == {17}
    assert all(line == line.rstrip() for line in lines)


def test_shedding_never_names_who_answers_first() -> None:
    """A candidate sheds the most; a promoted one nothing."""
    promoted = control_after([promotion(CONTROL, OF, "champion", NEW, (), AUTHOR)], CONTROL)
    assert [shed(CONTROL, pair) for pair in (OLD, FOREST, NEW)] == [0.0, 0.1, 0.5]
    assert shed(promoted, NEW) == 0.0


def test_a_page_has_the_card_the_limits_and_the_hand_offs(tmp_path: Path) -> None:
    """Those that concern the version, with what was skipped."""
    card = load_card(write_home(tmp_path).folder / "quick")
    event = promotion(CONTROL, OF, "champion", NEW, ["coverage: little"], AUTHOR)
    control = control_after([event], CONTROL)
    results = [Check("coverage", met=False, finding="little"), Check("in_time", met=True, finding="enough")]
    text = "\n".join(page(control, NEW, card, results, {"best": 0.75}))
    assert f"sha256    {digest_of(NEW)}" in text
    assert f"deployed  {WHEN} by ada@tests, control 4" in text
    assert "python, model.py" in text
    assert "now       best 0.75" in text
    assert "NOT MET   coverage: little" in text
    assert "met       in_time: enough" in text
    (hand_off,) = (line for line in text.splitlines() if line.startswith("hand-off"))
    assert hand_off == (
        f"hand-off  {WHEN} promote by ada@tests, control 10: champion to trees/v2, previous to trees/v1; "
        "skipped coverage: little"
    )


@pytest.mark.parametrize("pair", [FOREST])
def test_a_page_without_a_card_says_why(pair: tuple[str, str]) -> None:
    """What control says is worth showing wherever one is."""
    text = "\n".join(page(CONTROL, pair, "forest/v1 is kept elsewhere", [], {}))
    assert "card      forest/v1 is kept elsewhere" in text
    assert "now       no quality is published yet" in text
