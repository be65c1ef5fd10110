"""A snapshot is control, exactly."""

from __future__ import annotations

import json
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from endpoints import endpoint
from rendezvous.registry.events import Cause, HandOff, Move, Quality, Rule, Ruling, Shedding, State, Verdict
from rendezvous.registry.snapshot import from_json, to_json
from rendezvous.registry.state import Control, Deployed, Pair, Taken
from rendezvous.rules import Rules, Step

WORDS = st.text(max_size=8)
NUMBERS = st.integers(0, 1 << 62)
SHARES = st.floats(allow_nan=False)
PAIRS: st.SearchStrategy[Pair] = st.tuples(WORDS, WORDS)
HAND_OFFS = st.builds(
    HandOff,
    moves=st.lists(st.builds(Move, WORDS, WORDS, WORDS), max_size=3).map(tuple),
    cause=st.sampled_from(Cause),
    skipped=st.lists(WORDS, max_size=3).map(tuple),
    seen=NUMBERS,
    by=WORDS,
    at_us=NUMBERS,
)
RULES = [
    endpoint().rules,
    Rules(
        schedule=(Step(models=("a", "b"), policy="split", weights={"a": 0.1, "b": 1 / 3}),),
        default=(0.1, -3e38),
        deadline_ms=1,
        max_deadline_ms=2,
        reply_margin_ms=0,
    ),
]
SHEDDING = st.builds(Shedding, NUMBERS, SHARES, SHARES, WORDS, NUMBERS)
VERDICTS = st.builds(Verdict, WORDS, WORDS, st.sampled_from(Rule), st.sampled_from(Ruling), WORDS, WORDS, NUMBERS)
CONTROLS = st.builds(
    Control,
    position=NUMBERS,
    versions=st.dictionaries(
        PAIRS, st.builds(Deployed, WORDS, st.sampled_from(State), NUMBERS, WORDS, NUMBERS), max_size=4
    ).map(MappingProxyType),
    aliases=st.dictionaries(WORDS, PAIRS, max_size=4).map(MappingProxyType),
    rules=st.sampled_from([None, *RULES]),
    weights=st.dictionaries(
        st.sampled_from(Quality), st.dictionaries(PAIRS, SHARES, max_size=4).map(MappingProxyType)
    ).map(MappingProxyType),
    suspended=st.dictionaries(NUMBERS, st.frozensets(PAIRS, max_size=3), max_size=3).map(MappingProxyType),
    shedding=st.lists(SHEDDING, max_size=3).map(lambda told: MappingProxyType({one.partition: one for one in told})),
    verdicts=st.lists(VERDICTS, max_size=3).map(
        lambda told: MappingProxyType({(one.model, one.version): one for one in told})
    ),
    hand_offs=st.lists(st.builds(Taken, NUMBERS, HAND_OFFS), max_size=3).map(tuple),
    handed_off=NUMBERS,
    refusal=st.none() | WORDS,
)


@given(CONTROLS)
def test_control_comes_back_as_it_was(control: Control) -> None:
    """Every field and type, and the order of versions, which is the model axis."""
    back = from_json(to_json(control))
    assert back == control
    assert list(back.versions) == list(control.versions)
    assert all(isinstance(version.state, State) for version in back.versions.values())
    assert all(isinstance(quality, Quality) for quality in back.weights)
    assert all(isinstance(taken.hand_off.cause, Cause) for taken in back.hand_offs)
    assert all(isinstance(verdict.ruling, Ruling) for verdict in back.verdicts.values())


@pytest.mark.parametrize(
    "damage",
    [
        {"format": 0},
        {"position": "many"},
        {"versions": [["a", "b", {}]]},
        {"versions": 5},
        {"aliases": [["a"]]},
        {"rules": "{}"},
        {"weights": [["good", []]]},
        {"hand_offs": [[0, {"moves": None}]]},
        {"verdicts": [{"rule": "whim"}]},
    ],
)
def test_what_is_no_snapshot_is_refused(damage: dict[str, object]) -> None:
    """As one kind of error, whatever is wrong with it."""
    whole = json.loads(to_json(Control()))
    with pytest.raises(ValueError, match=r"."):
        from_json(json.dumps(whole | damage))


@pytest.mark.parametrize("text", ["", "null", "[]", "{}", "5", b"\xff"])
def test_what_is_not_even_a_document_is_refused(text: str | bytes) -> None:
    """What somebody else may have put there."""
    with pytest.raises(ValueError, match=r"."):
        from_json(text)
