"""The fold of control: what each event changes, what is refused and why, and that nothing else can happen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import FrozenInstanceError, fields, replace
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from laws.test_messages import ARBITRARY
from record import RULES
from rendezvous.registry.events import (
    Cause,
    ControlEvent,
    Deployment,
    HandOff,
    Move,
    Quality,
    Rule,
    RulesChange,
    Ruling,
    Shedding,
    State,
    Suspension,
    Verdict,
    Weights,
)
from rendezvous.registry.state import (
    KEPT_HAND_OFFS,
    MAX_ALIASES,
    MAX_BY,
    MAX_DEPLOYED,
    MAX_EVIDENCE,
    PARTITIONS,
    TOLD,
    Control,
    Deployed,
    Pair,
    after,
    passed,
)

SHA, OTHER_SHA = "a" * 64, "b" * 64


def deploy(model: str = "m", version: str = "1", state: State = State.ACTIVE, sha256: str = SHA) -> Deployment:
    """A deployment, or a change of one."""
    return Deployment(model, version, sha256, state, "ada", 0)


def hand_off(*moves: tuple[str, str, str], seen: int = 1_000) -> HandOff:
    """A promotion that has seen everything."""
    return HandOff(tuple(Move(*move) for move in moves), Cause.PROMOTE, (), seen, "ada", 0)


def weigh(values: Sequence[float], quality: Quality = Quality.HEDGE, pairs: Sequence[Pair] | None = None) -> Weights:
    """Weights of m/1, n/1, ... or of other versions."""
    named = [(model, "1") for model in "mnopq"[: len(values)]] if pairs is None else pairs
    return Weights(quality, tuple(m for m, _ in named), tuple(v for _, v in named), tuple(values), "monitor", 0)


def suspend(model: str = "m", version: str = "1", *, suspended: bool = True, partition: int = 0) -> Suspension:
    """A version passed by on a partition, or trusted again."""
    return Suspension(partition, model, version, suspended, 0.9, 0.0, 50, "server", 0)


def shed(candidates: float, challengers: float, partition: int = 0) -> Shedding:
    """Shares to leave out."""
    return Shedding(partition, candidates, challengers, "server", 0)


def judge(evidence: str = "{}") -> Verdict:
    """A verdict on m/1."""
    return Verdict("m", "1", Rule.REFRESH, Ruling.REJECTED, evidence, "retrainer", 0)


def folded(*events: ControlEvent, control: Control | None = None) -> Control:
    """Control after events that stand one after the other."""
    control = control or Control()
    for event in events:
        control = after(control, event, control.position)
    return control


def taken(*events: ControlEvent) -> Control:
    """Control after events of which none may be refused."""
    control = Control()
    for event in events:
        control = after(control, event, control.position)
        assert control.refusal is None
    return control


def facts(control: Control) -> dict[str, object]:
    """All that control says, but for its position and the last refusal."""
    return {
        field.name: getattr(control, field.name)
        for field in fields(control)
        if field.name not in {"position", "refusal"}
    }


# ------------------------------------------------------------------------------------------------------- what is taken


def test_a_version_is_deployed_paused_resumed_and_retired() -> None:
    """It keeps the place of its first deployment; a retired one is off the axis and stays known."""
    control = taken(deploy("n"), deploy("m"))
    assert control.versions["m", "1"] == Deployed(SHA, State.ACTIVE, 1, "ada", 0)
    control = folded(deploy("m", state=State.PAUSED), control=control)
    assert control.versions["m", "1"] == Deployed(SHA, State.PAUSED, 1, "ada", 0)
    assert control.deployed == (("n", "1"), ("m", "1"))
    control = folded(deploy("m"), control=control)
    assert control.versions["m", "1"] == Deployed(SHA, State.ACTIVE, 1, "ada", 0)
    control = folded(deploy("m", state=State.PAUSED), deploy("m", state=State.RETIRED), control=control)
    assert (control.refusal, control.deployed) == (None, (("n", "1"),))
    assert control.versions["m", "1"].state is State.RETIRED


@pytest.mark.parametrize("state", [State.ACTIVE, State.PAUSED])
def test_the_same_twice_is_the_same(state: State) -> None:
    """Delivery is at least once: a repeated event changes nothing and is not refused."""
    control = taken(deploy(), deploy(state=state))
    assert facts(taken(deploy(), deploy(state=state), deploy(state=state))) == facts(control)


def test_the_last_verdict_on_a_version_is_known_until_it_is_retired() -> None:
    """It changes nothing else; long evidence is refused, so that what control says stays small."""
    control = taken(deploy("m"), judge("1"), judge("2"))
    assert control.verdicts == {("m", "1"): judge("2")}
    assert replace(control, verdicts={}, position=1) == taken(deploy("m"))
    assert folded(deploy("m", state=State.RETIRED), control=control).verdicts == {}
    for event, words in ((judge("x" * (MAX_EVIDENCE + 1)), "evidence has"), (judge(), "not deployed")):
        refused = folded(event, control=Control() if words == "not deployed" else control)
        assert words in str(refused.refusal)


def test_aliases_move_together() -> None:
    """All moves of a hand-off at once, and it is remembered with its place."""
    first = hand_off(("lead", "m", "1"), ("spare", "n", "1"))
    control = taken(deploy("m"), deploy("n"), first)
    assert control.aliases == {"lead": ("m", "1"), "spare": ("n", "1")}
    assert (control.handed_off, control.position) == (3, 3)
    second = hand_off(("lead", "n", "1"), seen=3)
    control = folded(second, control=control)
    assert control.aliases == {"lead": ("n", "1"), "spare": ("n", "1")}
    assert [(found.position, found.hand_off) for found in control.hand_offs] == [(2, first), (3, second)]
    assert control.aliases_of(("n", "1")) == ("lead", "spare")
    assert control.aliases_of(("m", "1")) == ()


def test_the_last_hand_offs_are_kept() -> None:
    """So many that a person reads them, and no more."""
    control = taken(deploy(), *(hand_off(("lead", "m", "1")) for _ in range(KEPT_HAND_OFFS + 5)))
    assert [found.position for found in control.hand_offs] == list(range(6, KEPT_HAND_OFFS + 6))


def test_names_are_resolved() -> None:
    """An alias to what it names; a model to what was deployed last and is not retired; others to nobody."""
    control = taken(deploy("m", "1"), deploy("m", "2"), deploy("m", "1", State.PAUSED), hand_off(("lead", "m", "2")))
    assert control.resolve("lead") == ("m", "2")
    assert control.resolve("m") == ("m", "2")
    assert control.resolve("n") is None
    control = folded(deploy("n"), hand_off(("lead", "n", "1")), deploy("m", "2", State.RETIRED), control=control)
    assert control.resolve("m") == ("m", "1")
    assert folded(deploy("m", "1", State.RETIRED), control=control).resolve("m") is None


def test_rules_replace_rules() -> None:
    """As a whole, and as they were before they were JSON."""
    other = RULES.model_copy(update={"default": (0.75,)})
    control = taken(RulesChange(RULES.model_dump_json(), "ada", 0))
    assert control.rules == RULES
    assert folded(RulesChange(other.model_dump_json(), "ada", 0), control=control).rules == other


def test_weights_replace_those_of_their_quality() -> None:
    """Not the others; none at all are legal, and mean that nothing is known any more."""
    control = taken(weigh([0.25, 0.75]), weigh([-3.5, 1e300], Quality.BEST), weigh([0.0, 1.0]))
    assert control.weights == {
        Quality.HEDGE: {("m", "1"): 0.0, ("n", "1"): 1.0},
        Quality.BEST: {("m", "1"): -3.5, ("n", "1"): 1e300},
    }
    assert folded(weigh([]), control=control).weights[Quality.HEDGE] == {}


def test_suspensions_are_per_partition_and_version() -> None:
    """Trusted again on one, still passed by on another; trusting who was never suspended is no fault."""
    control = taken(deploy("m"), deploy("n"), suspend("m"), suspend("n"), suspend("m", partition=1))
    control = folded(suspend("m", suspended=False), suspend("m", suspended=False), control=control)
    assert control.refusal is None
    assert control.suspended == {0: {("n", "1")}, 1: {("m", "1")}}


def test_shedding_is_the_last_word_of_its_partition() -> None:
    """From none to all and back."""
    control = taken(shed(0, 0), shed(1, 0.5), shed(0.5, 0, partition=1))
    assert control.shedding == {0: shed(1, 0.5), 1: shed(0.5, 0, partition=1)}


def test_a_record_that_is_no_event_is_passed() -> None:
    """With its fault; the next event goes on from there."""
    control = passed(taken(deploy()), 7, "no event")
    assert (control.position, control.refusal) == (8, "no event")
    assert facts(control) == facts(taken(deploy()))
    assert after(control, deploy("n"), 8).refusal is None


# --------------------------------------------------------------------------------------------------- what is refused

FULL = tuple(deploy(f"m{number}") for number in range(MAX_DEPLOYED))
BAD_RULES = {
    "not JSON": ("{", "Invalid JSON"),
    "nothing": ("", "Invalid JSON"),
    "deep": ("[" * 100_000, "recursion limit"),
    "another shape": ("[]", "should be an object"),
    "an unknown field": (RULES.model_dump_json().replace("{", '{"colour":1,', 1), "colour"),
    "NaN": (RULES.model_dump_json().replace("[0.25]", "[NaN]"), "finite"),
    "infinity": (RULES.model_dump_json().replace("[0.25]", "[-Infinity]"), "finite"),
    "beyond float32": (RULES.model_dump_json().replace("[0.25]", "[1e39]"), "less than"),
    "a NaN weight": (RULES.model_dump_json().replace("3.0", "NaN"), "finite"),
    "a negative weight": (RULES.model_dump_json().replace("3.0", "-3.0"), "greater than"),
    "a time beyond int64": (RULES.model_dump_json().replace('"until_ms":80', f'"until_ms":{10**30}'), "until_ms"),
    "a deadline beyond int64": (RULES.model_dump_json().replace(":2000", f":{10**30}"), "max_deadline_ms"),
    "a deadline beyond its bound": (RULES.model_dump_json().replace(":2000", ":200"), "exceeds max_deadline_ms"),
    "no time left": (RULES.model_dump_json().replace('ms":20}', 'ms":250}'), "leaves nothing of deadline_ms"),
    "steps in disorder": (RULES.model_dump_json().replace('"until_ms":80', '"until_ms":120'), "grow from step"),
    "an unknown policy": (RULES.model_dump_json().replace("median", "most"), "schedule step 3: policy 'most' is"),
    "weights for none": (RULES.model_dump_json().replace("split", "prefer"), "schedule step 2: policy 'prefer' takes"),
    "a lone surrogate": ('{"\ud800": 1}', "unicode"),
}


@pytest.mark.parametrize(
    ("before", "event", "refusal"),
    [
        ((), deploy(state=State.PAUSED), "m/1 is not deployed: it cannot be paused"),
        ((), deploy(state=State.RETIRED), "m/1 is not deployed: it cannot be retired"),
        ((deploy(),), deploy(sha256=OTHER_SHA), f"m/1 is immutable: its artefact is {SHA[:12]}, not {OTHER_SHA[:12]}"),
        ((deploy(),), deploy(sha256=OTHER_SHA, state=State.PAUSED), "m/1 is immutable"),
        ((deploy(), deploy(state=State.RETIRED)), deploy(), "m/1 is retired: deploy a new version"),
        ((deploy(), deploy(state=State.RETIRED)), deploy(state=State.PAUSED), "m/1 is retired: deploy a new version"),
        (
            (deploy(), hand_off(("spare", "m", "1"), ("lead", "m", "1"))),
            deploy(state=State.RETIRED),
            "m/1 is lead, spare: move these aliases first",
        ),
        (
            (deploy(), hand_off(("lead", "m", "1")), deploy(state=State.PAUSED)),
            deploy(state=State.RETIRED),
            "m/1 is lead: move these aliases first",
        ),
        ((deploy(), hand_off(("lead", "m", "1"))), deploy("lead"), "lead is an alias: give the model another name"),
        (FULL, deploy("one-more"), f"{MAX_DEPLOYED} versions are deployed: retire one first"),
        (
            (*FULL, deploy("m0", state=State.PAUSED)),
            deploy("one-more"),
            f"{MAX_DEPLOYED} versions are deployed: retire one first",
        ),
        ((), hand_off(("lead", "m", "1")), "lead cannot name m/1: it is not deployed"),
        ((deploy(),), hand_off(("lead", "m", "2")), "lead cannot name m/2: it is not deployed"),
        ((deploy(), deploy(state=State.PAUSED)), hand_off(("lead", "m", "1")), "lead cannot name m/1: it is paused"),
        ((deploy(), deploy(state=State.RETIRED)), hand_off(("lead", "m", "1")), "lead cannot name m/1: it is retired"),
        ((deploy(),), hand_off(("lead", "m", "1"), ("spare", "n", "1")), "spare cannot name n/1: it is not deployed"),
        (
            (deploy(), hand_off(("lead", "m", "1"))),
            hand_off(("lead", "m", "1"), seen=1),
            "aliases moved at 1, which its writer had not seen: look again, then decide",
        ),
        ((deploy(), hand_off(("lead", "m", "1"))), hand_off(("spare", "m", "1"), seen=-1), "aliases moved at 1"),
        ((deploy(),), hand_off(), "a hand-off moves at least one alias, and none twice"),
        (
            (deploy(), deploy("n")),
            hand_off(("lead", "m", "1"), ("lead", "n", "1")),
            "a hand-off moves at least one alias, and none twice",
        ),
        (
            (deploy(), deploy("n"), deploy("n", state=State.RETIRED)),
            hand_off(("n", "m", "1")),
            "n is the name of a model: an alias needs another",
        ),
        ((), suspend(), "m/1 is not deployed"),
        ((deploy(),), suspend(version="2", suspended=False), "m/2 is not deployed"),
        *(
            ((), shed(*shares), "shares must lie in [0, 1]: candidates ")
            for shares in ((1.5, 0), (0, -0.1), (float("nan"), 0), (0, float("inf")))
        ),
        *(
            ((), weigh(values, quality), "values must be finite: ")
            for values in ((float("nan"), 1), (1, float("inf")), (float("-inf"),))
            for quality in Quality
        ),
        *(
            ((), weigh(values), "shares must lie in [0, 1], and not all be 0: ")
            for values in ((-0.1, 1.1), (0.5, 2), (0.0, 0.0), (0.0,))
        ),
        *(
            ((), weights, "models, versions and values run side by side, and name each version once")
            for weights in (
                weigh([0.5, 0.5], pairs=[("m", "1"), ("m", "1")]),
                replace(weigh([0.5, 0.5]), models=("m",)),
                replace(weigh([0.5, 0.5]), versions=("1", "1", "1")),
                replace(weigh([0.5, 0.5]), values=(0.5,)),
            )
        ),
        *(((), RulesChange(text, "ada", 0), "rules do not hold: ") for text, _ in BAD_RULES.values()),
    ],
)
def test_what_cannot_hold_changes_nothing(before: Sequence[ControlEvent], event: ControlEvent, refusal: str) -> None:
    """But the position and the refusal, which says what to do; the next event that can hold takes it away."""
    control = taken(*before)
    refused = after(control, event, control.position)
    assert facts(refused) == facts(control)
    assert refused.position == control.position + 1
    assert refused.refusal is not None
    assert refused.refusal.startswith(refusal)
    assert len(refused.refusal) < TOLD + 100
    assert after(refused, shed(0, 0), refused.position).refusal is None


@pytest.mark.parametrize("name", BAD_RULES)
def test_rules_that_do_not_hold_say_why(name: str) -> None:
    """What no server could follow is refused where it stands, not found when a plan is made of it."""
    text, words = BAD_RULES[name]
    assert words in (after(Control(), RulesChange(text, "ada", 0), 0).refusal or "")


def test_a_refusal_of_much_is_short() -> None:
    """A record may have a megabyte; what is kept of it is a line."""
    much = weigh([0.0] * 10_000, pairs=[("m", str(number)) for number in range(10_000)])
    assert len(after(Control(), much, 0).refusal or "") < TOLD + 100


def test_who_had_seen_the_last_hand_off_may_move_on() -> None:
    """`seen` is a position: the hand-off itself stands just below it."""
    control = taken(deploy(), hand_off(("lead", "m", "1")), deploy("n"))
    assert after(control, hand_off(("lead", "n", "1"), seen=2), 3).refusal is None
    assert after(control, hand_off(("lead", "n", "1"), seen=3), 3).refusal is None


def test_a_refused_hand_off_stands_in_nobodys_way() -> None:
    """Only one that took effect must have been seen."""
    control = folded(deploy(), hand_off(("lead", "n", "1")), hand_off(("lead", "m", "1"), seen=1))
    assert (control.refusal, control.handed_off) == (None, 3)


def test_retiring_makes_room() -> None:
    """Retired ones do not count."""
    control = taken(*FULL, deploy("m0", state=State.RETIRED), deploy("one-more"))
    assert len(control.deployed) == MAX_DEPLOYED


# ---------------------------------------------------------------------------------------------------------- any events

NUMBERS = st.sampled_from([0.0, 0.25, 1.0, -1.0, 2.0, float("nan"), float("inf")])
SOME_MODEL, SOME_VERSION = st.sampled_from(["m", "m", "m", "n", "lead"]), st.sampled_from(["1", "1", "2"])
"""Few and uneven, so that events meet."""
DEPLOYMENTS = st.builds(
    deploy, SOME_MODEL, SOME_VERSION, st.sampled_from(State), st.sampled_from([SHA, SHA, SHA, OTHER_SHA])
)
HAND_OFFS = st.builds(
    lambda moves, seen: hand_off(*moves, seen=seen),
    st.lists(st.tuples(st.sampled_from(["lead", "lead", "spare", "n"]), SOME_MODEL, SOME_VERSION), max_size=2),
    st.just(1_000) | st.integers(-1, 30),
)
SUSPENSIONS = st.builds(
    suspend, SOME_MODEL, SOME_VERSION, suspended=st.booleans(), partition=st.sampled_from([0, 0, 0, 1])
)
SHEDDINGS = st.builds(shed, NUMBERS, NUMBERS, st.sampled_from([0, 1]))
WEIGHTS = st.builds(
    lambda known, quality: weigh([value for _, value in known], quality, [pair for pair, _ in known]),
    st.lists(st.tuples(st.tuples(SOME_MODEL, SOME_VERSION), NUMBERS), max_size=3),
    st.sampled_from(Quality),
)
RULES_CHANGES = st.builds(
    RulesChange,
    st.sampled_from([RULES.model_dump_json(), *(text for text, _ in BAD_RULES.values() if len(text) < 1_000)]),
    st.just("ada"),
    st.just(0),
)
LIKELY = DEPLOYMENTS | HAND_OFFS | SUSPENSIONS | SHEDDINGS | WEIGHTS | RULES_CHANGES
ANY: st.SearchStrategy[Any] = LIKELY | st.one_of([ARBITRARY[kind] for kind in get_args(ControlEvent)])


@settings(max_examples=150)
@given(st.lists(ANY, max_size=12))
def test_the_fold_is_total_and_the_same_for_every_reader(events: list[ControlEvent]) -> None:
    """No event raises; two readers agree at each position; what one holds never changes."""
    one = other = Control()
    for event in events:
        held, kept = one, (repr(one), facts(one))
        one = after(one, event, one.position)
        other = after(other, event, other.position)
        assert repr(one) == repr(other)
        assert (repr(held), facts(held)) == kept
        assert one.position == held.position + 1
        if one.refusal is not None:
            assert facts(one) == facts(held)


@settings(max_examples=60)
@given(st.lists(LIKELY, max_size=12))
def test_what_control_says_holds_together(events: list[ControlEvent]) -> None:
    """Whatever happened: aliases name versions that are not retired, and no model; the axis has its bound."""
    control = folded(*events)
    for alias, pair in control.aliases.items():
        assert control.versions[pair].state is not State.RETIRED
        assert alias not in {model for model, _ in control.versions}
        assert control.resolve(alias) == pair
    assert len(control.deployed) <= MAX_DEPLOYED
    assert control.handed_off <= control.position
    for pairs in control.suspended.values():
        assert pairs <= control.versions.keys()


def test_control_cannot_be_changed() -> None:
    """Neither it, nor what it holds: many threads read it while one folds."""
    control = taken(deploy(), hand_off(("lead", "m", "1")), weigh([0.5]), suspend(), shed(0, 0))
    with pytest.raises(FrozenInstanceError):
        setattr(control, "position", 0)  # noqa: B010 - mypy would not let it through
    held: list[Any] = [
        control.versions,
        control.aliases,
        control.weights,
        control.weights[Quality.HEDGE],
        control.suspended,
        control.shedding,
        Control().versions,
    ]
    for mapping in held:
        with pytest.raises(TypeError):
            mapping["x"] = 1


# ------------------------------------------------------------------------------------------------------- a naive model


class Naive(RuleBasedStateMachine):
    """Control beside plain dictionaries, which are changed in place by what is plainly legal."""

    def __init__(self) -> None:
        super().__init__()
        self.control = Control()
        self.states: dict[Pair, State] = {}
        self.digests: dict[Pair, str] = {}
        self.aliases: dict[str, Pair] = {}
        self.suspended: set[tuple[int, Pair]] = set()
        self.last_move = 0
        self.accepted = True

    def take(self, event: ControlEvent, *, legal: bool) -> None:
        """Fold an event, and remember whether it should have been taken."""
        self.accepted = legal
        self.control = after(self.control, event, self.control.position)

    @initialize()
    def begun(self) -> None:
        """With some versions, so that most of what follows can hold."""
        for model, version in (("m", "1"), ("m", "2"), ("n", "1")):
            self.deployed(deploy(model, version))

    @rule(event=DEPLOYMENTS)
    def deployed(self, event: Deployment) -> None:
        """New ones start active; known ones change state until they are retired, which no holder of an alias is."""
        pair = (event.model, event.version)
        if pair in self.states:
            legal = (
                self.digests[pair] == event.sha256
                and self.states[pair] is not State.RETIRED
                and not (event.state is State.RETIRED and pair in self.aliases.values())
            )
        else:
            legal = event.state is State.ACTIVE and event.model not in self.aliases
        if legal:
            self.states[pair], self.digests[pair] = event.state, event.sha256
        self.take(event, legal=legal)

    @rule(event=HAND_OFFS, aims=st.booleans(), place=st.integers(0, 7))
    def handed_off(self, event: HandOff, aims: bool, place: int) -> None:  # noqa: FBT001 - a drawn value
        """All moves are legal or none is made; every other one of them goes to an active version."""
        active = [pair for pair, state in self.states.items() if state is State.ACTIVE]
        if aims and active:
            event = replace(event, moves=(Move("lead", *active[place % len(active)]),), seen=1_000)
        moves = [(move.alias, (move.model, move.version)) for move in event.moves]
        legal = (
            bool(moves)
            and len(dict(moves)) == len(moves)
            and event.seen >= self.last_move
            and all(self.states.get(pair) is State.ACTIVE for _, pair in moves)
            and not {alias for alias, _ in moves} & {model for model, _ in self.states}
        )
        if legal:
            self.aliases.update(moves)
            self.last_move = self.control.position + 1
        self.take(event, legal=legal)

    @rule(event=SUSPENSIONS)
    def suspended_or_not(self, event: Suspension) -> None:
        """Whoever was ever deployed."""
        pair = (event.model, event.version)
        if pair in self.states:
            self.suspended.discard((event.partition, pair))
            if event.suspended:
                self.suspended.add((event.partition, pair))
        self.take(event, legal=pair in self.states)

    @invariant()
    def they_agree(self) -> None:
        """On everything."""
        assert (self.control.refusal is None) == self.accepted
        assert {pair: found.state for pair, found in self.control.versions.items()} == self.states
        assert self.control.aliases == self.aliases
        found = {(partition, pair) for partition, pairs in self.control.suspended.items() for pair in pairs}
        assert found == self.suspended
        assert self.control.handed_off == self.last_move


def test_control_is_what_a_naive_model_says() -> None:
    """Over thousands of sequences of deployments, hand-offs and suspensions."""
    run_state_machine_as_test(Naive, settings=settings(max_examples=150, stateful_step_count=25))


LONG = "m" * 900_000
ALL_ALIASES = [hand_off((f"alias-{number}", "m", "1"), seen=10**6) for number in range(MAX_ALIASES)]


@pytest.mark.parametrize(
    ("before", "event"),
    [
        ([], deploy(LONG)),
        ([], deploy("")),
        ([], deploy(version=LONG)),
        ([], deploy(version="")),
        ([], deploy(version="1/2")),
        ([], replace(deploy(), by=LONG)),
        ([deploy()], hand_off((LONG, "m", "1"))),
        ([deploy()], hand_off(*((f"alias-{number}", "m", "1") for number in range(MAX_ALIASES + 1)))),
        ([deploy(), *ALL_ALIASES], hand_off(("one-more", "m", "1"), seen=10**6)),
        ([deploy()], suspend(partition=-1)),
        ([deploy()], suspend(partition=len(PARTITIONS))),
        ([], suspend(LONG)),
        ([], shed(0.5, 0.5, partition=2**31 - 1)),
    ],
)
def test_control_stays_small_whatever_is_written_there(before: list[ControlEvent], event: ControlEvent) -> None:
    """Names go into every decision, partitions and aliases into every reader's memory; the refusal is short too."""
    control = taken(*before)
    refused = folded(event, control=control)
    assert refused.refusal is not None
    assert len(refused.refusal) <= TOLD
    assert replace(refused, position=control.position, refusal=None) == control


def test_an_alias_moves_when_there_can_be_no_more() -> None:
    """And a name may be as long as it may be."""
    moved = hand_off(("alias-0", "m", "1"), seen=10**6)
    assert folded(deploy(), *ALL_ALIASES, replace(moved, by="a" * MAX_BY)).refusal is None
