"""Versions as people write them."""

from __future__ import annotations

import pytest

from endpoints import endpoint
from registers import AUTHOR, control_after, digest_of, first_deployment
from rendezvous.registry.changes import change_of_state, deployment, promotion
from rendezvous.registry.events import State
from rendezvous.registry.naming import RegistryError, active_names, is_live, named
from rendezvous.registry.state import Control

OF = endpoint(
    models={"trees": {}, "forest": {}},
    aliases={"champion": "trees"},
    schedule=[{"models": ["champion"]}],
)
OLD, NEW, FOREST = ("trees", "v1"), ("trees", "v2"), ("forest", "v1")
FIRST = first_deployment(OF)
CONTROL = control_after(deployment(FIRST, OF, {NEW: digest_of(NEW)}, AUTHOR).events, FIRST)


def test_a_name_is_a_version_a_model_or_an_alias() -> None:
    """As it stands, the one deployed last, or whom it names."""
    assert named(CONTROL, "trees/v1") == OLD
    assert named(CONTROL, "trees") == NEW
    assert named(CONTROL, "champion") == OLD


@pytest.mark.parametrize("text", ["ghost", "trees/v3", "trees/", "", "/v1", "v1"])
def test_a_name_of_nobody(text: str) -> None:
    """The message has what there is."""
    with pytest.raises(RegistryError) as caught:
        named(CONTROL, text)
    assert "versions are trees/v1, forest/v1, trees/v2; aliases are champion" in str(caught.value)


def test_processes_are_named_by_model() -> None:
    """And by version too where two of one model are active."""
    assert active_names(FIRST) == {OLD: "trees", FOREST: "forest"}
    assert active_names(CONTROL) == {OLD: "trees.v1", FOREST: "forest", NEW: "trees.v2"}
    paused = control_after(change_of_state(CONTROL, OLD, State.PAUSED, AUTHOR), CONTROL)
    assert active_names(paused) == {FOREST: "forest", NEW: "trees"}


def test_live_is_what_a_step_names_now() -> None:
    """By an alias, wherever that has moved; and nobody is before there are rules."""
    assert [is_live(CONTROL, pair) for pair in (OLD, NEW, FOREST)] == [True, False, False]
    moved = control_after([promotion(CONTROL, OF, "champion", NEW, (), AUTHOR)], CONTROL)
    assert [is_live(moved, pair) for pair in (OLD, NEW, FOREST)] == [False, True, False]
    assert not is_live(Control(), OLD)
