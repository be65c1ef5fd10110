"""What commands write, given what control says: and that control then takes it."""

from __future__ import annotations

import pytest

from endpoints import endpoint
from registers import AUTHOR, control_after, digest_of, first_deployment
from rendezvous.registry.changes import (
    change_of_state,
    deployment,
    previous_of,
    promotion,
    rollback,
    told,
)
from rendezvous.registry.events import Cause, Deployment, HandOff, Move, RulesChange, State
from rendezvous.registry.naming import RegistryError
from rendezvous.registry.state import Control, after
from rendezvous.settings import Endpoint

MODELS: dict[str, dict[str, object]] = {"trees": {}, "forest": {}, "rule": {}}
ALIASES = {"champion": "trees", "challenger": "forest"}
SCHEDULE = [{"until_ms": 300, "models": ["champion"]}, {"models": ["champion", "challenger"]}]
OLD, NEW, FOREST = ("trees", "v1"), ("trees", "v2"), ("forest", "v1")


@pytest.fixture
def of() -> Endpoint:
    """An endpoint with aliases."""
    return endpoint(models=MODELS, aliases=ALIASES, schedule=SCHEDULE)


@pytest.fixture
def control(of: Endpoint) -> Control:
    """Control after everything was deployed in v1, and trees in v2."""
    first = first_deployment(of)
    return control_after(deployment(first, of, {NEW: digest_of(NEW)}, AUTHOR).events, first)


# ---------------------------------------------------------------------------------------------------------- deploy


def test_a_first_deployment_brings_versions_aliases_and_rules(of: Endpoint) -> None:
    """In an order in which each finds what it needs; by whom and when stands on each."""
    cards = {OLD: "d1", FOREST: "d2", ("rule", "v1"): "d3"}
    events = deployment(Control(), of, cards, AUTHOR).events
    assert [type(event) for event in events] == [Deployment, Deployment, Deployment, HandOff, RulesChange]
    assert events[3] == HandOff(
        (Move("champion", *OLD), Move("challenger", *FOREST)), Cause.DEPLOY, (), 0, AUTHOR.by, AUTHOR.at_us
    )
    after_it = control_after(events)
    assert after_it.aliases == {"champion": OLD, "challenger": FOREST}
    assert after_it.rules == of.rules
    assert {version.by for version in after_it.versions.values()} == {AUTHOR.by}


def test_what_control_says_already_is_not_said_again(of: Endpoint, control: Control) -> None:
    """A second run of the same has nothing to write."""
    cards = {pair: digest_of(pair) for pair in control.versions}
    assert deployment(control, of, cards, AUTHOR).events == ()


def test_a_new_version_moves_no_alias(control: Control) -> None:
    """That is for promote."""
    assert NEW in control.versions
    assert control.aliases["champion"] == OLD


def test_changed_rules_are_told_alone(of: Endpoint, control: Control) -> None:
    """A document whose schedule was edited writes one event, and the next run none."""
    edited = of.model_copy(update={"schedule": of.schedule[1:]})
    (event,) = deployment(control, edited, {}, AUTHOR).events
    assert isinstance(event, RulesChange)
    assert deployment(control_after([event], control), edited, {}, AUTHOR).events == ()


def test_a_new_alias_gets_the_newest_active_version(of: Endpoint, control: Control) -> None:
    """What is paused or retired cannot hold one; and a model without any version is said to have none."""
    edited = of.model_copy(update={"aliases": {**ALIASES, "canary": "trees", "ghostly": "ghost"}})
    plan = deployment(control, edited, {}, AUTHOR)
    (event,) = plan.events
    assert isinstance(event, HandOff)
    assert event.moves == (Move("canary", *NEW),)
    assert plan.notes == ("ghostly names nobody yet: ghost has no active version, deploy one",)
    paused = control_after(change_of_state(control, NEW, State.PAUSED, AUTHOR), control)
    (event,) = deployment(paused, edited, {}, AUTHOR).events
    assert isinstance(event, HandOff)
    assert event.moves == (Move("canary", *OLD),)


@pytest.mark.parametrize("state", [State.PAUSED, State.RETIRED])
def test_what_was_paused_or_retired_stays_so(of: Endpoint, control: Control, state: State) -> None:
    """Deploying the same artefact again undoes nobody's decision, and says what would."""
    left = control_after(change_of_state(control, NEW, state, AUTHOR), control)
    plan = deployment(left, of, {NEW: digest_of(NEW)}, AUTHOR)
    assert plan.events == ()
    assert plan.notes[0].startswith(f"trees/v2 is {state} and stays so: ")


# ---------------------------------------------------------------------------------------------- promote, roll back


def test_a_promotion_makes_the_former_holder_previous(of: Endpoint, control: Control) -> None:
    """In one event, which bears what was skipped and up to where its writer had read."""
    event = promotion(control, of, "champion", NEW, ["coverage: none"], AUTHOR)
    assert event.moves == (Move("champion", *NEW), Move("previous", *OLD))
    assert (event.cause, event.skipped, event.seen) == (Cause.PROMOTE, ("coverage: none",), control.position)
    assert control_after([event], control).aliases["previous"] == OLD


def test_each_alias_has_a_previous_of_its_own(of: Endpoint, control: Control) -> None:
    """A challenger that moves does not touch the champion's way back."""
    moved = control_after([promotion(control, of, "challenger", NEW, (), AUTHOR)], control)
    assert moved.aliases == {**control.aliases, "challenger": NEW, "challenger-previous": FOREST}
    assert control_after([rollback(moved, "challenger", AUTHOR)], moved).aliases["challenger"] == FOREST


def test_a_rollback_swaps(of: Endpoint, control: Control) -> None:
    """And another one swaps back."""
    promoted = control_after([promotion(control, of, "champion", NEW, (), AUTHOR)], control)
    back = control_after([rollback(promoted, "champion", AUTHOR)], promoted)
    assert (back.aliases["champion"], back.aliases["previous"]) == (OLD, NEW)
    again = control_after([rollback(back, "champion", AUTHOR)], back)
    assert again.aliases == promoted.aliases


def test_there_may_be_nothing_to_go_back_to(of: Endpoint, control: Control) -> None:
    """Before any promotion, and once the way back was retired."""
    with pytest.raises(RegistryError, match="champion has never been moved"):
        rollback(control, "champion", AUTHOR)
    promoted = control_after([promotion(control, of, "champion", NEW, (), AUTHOR)], control)
    gone = control_after(change_of_state(promoted, OLD, State.RETIRED, AUTHOR), promoted)
    with pytest.raises(RegistryError, match="previous is trees/v2, which is champion already"):
        rollback(gone, "champion", AUTHOR)


def test_what_rests_is_no_way_back(of: Endpoint, control: Control) -> None:
    """A champion that was paused is relieved, and does not become previous."""
    paused = control_after(change_of_state(control, OLD, State.PAUSED, AUTHOR), control)
    event = promotion(paused, of, "champion", NEW, (), AUTHOR)
    assert event.moves == (Move("champion", *NEW),)
    control_after([event], paused)


@pytest.mark.parametrize("alias", ["chmpion", "previous", "trees"])
def test_only_aliases_that_exist_are_moved(of: Endpoint, control: Control, alias: str) -> None:
    """Not a misspelt one, not the way back, not a model's name."""
    promoted = control_after([promotion(control, of, "champion", NEW, (), AUTHOR)], control)
    with pytest.raises(RegistryError, match=rf"no alias '{alias}' to move, only \['challenger', 'champion'\]"):
        promotion(promoted, of, alias, FOREST, (), AUTHOR)


def test_only_what_is_active_is_promoted(of: Endpoint, control: Control) -> None:
    """A version that rests answers nobody."""
    paused = control_after(change_of_state(control, NEW, State.PAUSED, AUTHOR), control)
    with pytest.raises(RegistryError, match="trees/v2 is paused: champion can only name what is active"):
        promotion(paused, of, "champion", NEW, (), AUTHOR)


def test_of_two_promotions_decided_on_the_same_view_the_second_is_refused(of: Endpoint, control: Control) -> None:
    """Whoever wrote it hears where aliases moved."""
    first = promotion(control, of, "champion", NEW, (), AUTHOR)
    second = promotion(control, of, "champion", FOREST, (), AUTHOR)
    moved = control_after([first], control)
    refused = after(moved, second, moved.position)
    assert refused.aliases == moved.aliases
    assert refused.refusal is not None
    assert f"aliases moved at {control.position}, which its writer had not seen" in refused.refusal


# ------------------------------------------------------------------------------------------ retire, pause, resume


def test_a_version_is_paused_resumed_and_retired(control: Control) -> None:
    """Each once: what is so already needs no event; and retired is for good."""
    for state in (State.PAUSED, State.ACTIVE, State.RETIRED):
        control = control_after(change_of_state(control, NEW, state, AUTHOR), control)
        assert control.versions[NEW].state is state
        assert change_of_state(control, NEW, state, AUTHOR) == ()
    with pytest.raises(RegistryError, match="trees/v2 is retired, for good"):
        change_of_state(control, NEW, State.ACTIVE, AUTHOR)


def test_who_holds_an_alias_is_not_retired(of: Endpoint, control: Control) -> None:
    """Nor when it is the way back as well."""
    with pytest.raises(RegistryError, match=r"trees/v1 is champion: .* another version first"):
        change_of_state(control, OLD, State.RETIRED, AUTHOR)
    promoted = control_after([promotion(control, of, "champion", NEW, (), AUTHOR)], control)
    both = control_after([promotion(promoted, of, "challenger", OLD, (), AUTHOR)], promoted)
    with pytest.raises(RegistryError, match="trees/v1 is challenger: "):
        change_of_state(both, OLD, State.RETIRED, AUTHOR)


def test_a_bad_version_is_retired_after_a_rollback(of: Endpoint, control: Control) -> None:
    """The way back to it goes with it, in an event of its own before."""
    promoted = control_after([promotion(control, of, "champion", NEW, (), AUTHOR)], control)
    back = control_after([rollback(promoted, "champion", AUTHOR)], promoted)
    events = change_of_state(back, NEW, State.RETIRED, AUTHOR)
    assert [type(event) for event in events] == [HandOff, Deployment]
    gone = control_after(events, back)
    assert gone.versions[NEW].state is State.RETIRED
    assert gone.aliases["previous"] == OLD


# ----------------------------------------------------------------------------------------------------------- words


def test_events_in_words(of: Endpoint, control: Control) -> None:
    """A line each, with everything that moves."""
    assert told(promotion(control, of, "champion", NEW, (), AUTHOR)) == "champion is trees/v2, previous is trees/v1"
    assert told(RulesChange(of.rules.model_dump_json(), "ada", 0)) == (
        "the schedule is prefer champion until 300 ms, then prefer champion challenger"
    )
    (event,) = change_of_state(control, NEW, State.PAUSED, AUTHOR)
    assert told(event) == "trees/v2 is paused"


def test_names_of_previous_aliases() -> None:
    """The champion's is short."""
    assert (previous_of("champion"), previous_of("challenger")) == ("previous", "challenger-previous")


def test_a_challenger_that_becomes_champion_leaves_its_place_to_the_former_one(of: Endpoint, control: Control) -> None:
    """Else it would be its own fallback, and who was proven would rest; a rollback swaps them back."""
    promoted = control_after([promotion(control, of, "champion", FOREST, (), AUTHOR)], control)
    assert {alias: promoted.aliases[alias] for alias in ("champion", "challenger", "previous")} == {
        "champion": FOREST,
        "challenger": OLD,
        "previous": OLD,
    }
    back = control_after([rollback(promoted, "champion", AUTHOR)], promoted)
    assert (back.aliases["champion"], back.aliases["challenger"], back.aliases["previous"]) == (OLD, FOREST, FOREST)
