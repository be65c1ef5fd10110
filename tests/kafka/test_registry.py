"""Control on a real log, and the commands of `rendezvous models` from end to end."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest
import redis

from comparing import SPACING_US, comparisons
from homes import Home
from loadtest.plain import write_model
from rendezvous import topics
from rendezvous.cli import MENDABLE, main
from rendezvous.local.stack import Addresses
from rendezvous.log import KafkaSink, LogError
from rendezvous.messages import Status
from rendezvous.registry.cache import Cache
from rendezvous.registry.changes import Author, promotion, rollback
from rendezvous.registry.commands import Desk
from rendezvous.registry.control import ControlLog
from rendezvous.registry.events import ControlEvent, Deployment, HandOff, Shedding, State, Suspension
from rendezvous.registry.naming import RegistryError, named
from rendezvous.registry.state import Control, Pair
from rendezvous.registry.store import folder_of
from rendezvous.scoring.card import load_card
from rendezvous.settings import load_endpoint
from rendezvous.wire import encode

pytestmark = pytest.mark.kafka

ADA, BOB = Author("ada@here", 1), Author("bob@there", 2)
DOUBLED = "def score(columns):\n    return columns['x'] * 2\n"
COMMAND_S = 60.0


@pytest.fixture
def home(stack: Addresses, tmp_path: Path) -> Home:
    """A deployed endpoint of the test's own."""
    return Home.make(tmp_path, stack.kafka)


@pytest.fixture
def desk(stack: Addresses, home: Home) -> Desk:
    """Where an operator of that endpoint works."""
    return Desk.at(stack.kafka, stack.redis, home.endpoint, lambda _: None)


class Operator:
    """Types commands, as a person would; in this process, since a new one imports for longer than it works."""

    def __init__(self, home: Home, redis_url: str) -> None:
        self._home = home
        self.redis_url = redis_url

    def types(self, *arguments: str) -> tuple[int, str, str]:
        """`rendezvous models ...`: exit code, what it said, and what was wrong."""
        said, wrong = StringIO(), StringIO()
        with pytest.MonkeyPatch.context() as patch, redirect_stdout(said), redirect_stderr(wrong):
            for name, value in self._variables().items():
                patch.setenv(name, value)
            code = main(self._words(arguments))
        return code, said.getvalue(), wrong.getvalue()

    def spawns(self, *arguments: str) -> tuple[int, str, str]:
        """The same as a process of its own."""
        done = subprocess.run(  # noqa: S603 - ours
            [sys.executable, "-m", "rendezvous", *self._words(arguments)],
            env={**os.environ, **self._variables()},
            capture_output=True,
            text=True,
            timeout=COMMAND_S,
            check=False,
        )
        return done.returncode, done.stdout, done.stderr

    def _words(self, arguments: Sequence[str]) -> list[str]:
        return ["models", *arguments, "--endpoint", self._home.endpoint.name]

    def _variables(self) -> dict[str, str]:
        return {
            "KAFKA_BOOTSTRAP_SERVERS": self._home.kafka,
            "REDIS_URL": self.redis_url,
            "RENDEZVOUS_HOME": str(self._home.folder),
            "RENDEZVOUS_LOG_LEVEL": "WARNING",
        }

    def does(self, *arguments: str) -> str:
        """A command that must succeed; what it said."""
        code, said, wrong = self.types(*arguments)
        assert code == 0, wrong
        return said

    def fails(self, *arguments: str) -> str:
        """A command that must be refused; the one message."""
        code, said, wrong = self.types(*arguments)
        assert code == MENDABLE, said
        assert wrong.startswith("rendezvous: ")
        return wrong


@pytest.fixture
def operator(stack: Addresses, home: Home) -> Operator:
    """Somebody at the command line."""
    return Operator(home, stack.redis)


def pair_of(home: Home, model: str) -> Pair:
    """What the model's workbench holds."""
    return model, load_card(home.endpoint.folder / model).version


def read(home: Home) -> Control:
    """Control as it stands in the log."""
    return ControlLog(home.kafka, home.endpoint).read()


def write(home: Home, topic: str, *values: bytes) -> None:
    """Put records on the first partition of one of the endpoint's topics."""
    sink = KafkaSink(home.kafka)
    for value in values:
        sink.send(home.endpoint.topic(topic), value, partition=0)
    assert sink.flush(10.0) == 0


def has_scored(home: Home, pairs: Sequence[Pair], count: int, status: Status = Status.OK, ms: int = 20) -> None:
    """Write what a server would: `count` requests of this moment, and the same said of each by all of `pairs`."""
    start_us = time.time_ns() // 1_000 - count * SPACING_US
    record = comparisons({pair: [(status, ms)] * count for pair in pairs}, start_us=start_us, first=start_us // 1_000)
    write(home, "comparisons", encode(record))


# ------------------------------------------------------------------------------------------------- control on the log


def test_control_is_what_was_written(home: Home) -> None:
    """Versions, aliases and rules, by whoever reads from the start, or on from what was known."""
    control = read(home)
    assert set(control.versions) == {pair_of(home, model) for model in home.endpoint.models}
    assert control.aliases == {"champion": pair_of(home, "quick")}
    assert control.rules == home.endpoint.rules
    log = ControlLog(home.kafka, home.endpoint)
    assert log.read(control) == control
    written, _ = log.append([Shedding(0, 0.5, 0.0, "tests", 1)], control)
    assert written == read(home) == log.read(control)


def test_rubbish_on_control_is_passed(home: Home) -> None:
    """Anybody may have written it; every reader says the same, and what follows counts."""
    before = read(home)
    write(home, "control", b"", b"\xff" * 30, encode(comparisons({("a", "b"): [(Status.OK, 1)]})))
    after = read(home)
    assert after.position == before.position + 3
    assert after.refusal is not None
    assert (after.versions, after.aliases, after.rules) == (before.versions, before.aliases, before.rules)
    _, (appended,) = ControlLog(home.kafka, home.endpoint).append([Shedding(0, 0.5, 0.0, "tests", 1)], before)
    assert (appended.position, appended.refusal) == (after.position, None)


def test_each_event_is_told_its_own_fate(home: Home) -> None:
    """One of three is refused, and the others hold."""
    control, (quick, slow) = read(home), (pair_of(home, model) for model in ("quick", "slow"))
    events: list[ControlEvent] = [
        Deployment(*slow, control.versions[slow].sha256, State.PAUSED, "ada", 1),
        Deployment(*quick, control.versions[quick].sha256, State.RETIRED, "ada", 1),
        Shedding(0, 0.5, 0.0, "ada", 1),
    ]
    after, appended = ControlLog(home.kafka, home.endpoint).append(events, control)
    assert [done.event for done in appended] == events
    assert [done.refusal is None for done in appended] == [True, False, True]
    assert "champion: move these aliases first" in (appended[1].refusal or "")
    assert [done.position for done in appended] == [control.position + number for number in range(3)]
    assert after.versions[slow].state is State.PAUSED
    assert after.versions[quick].state is State.ACTIVE


def test_what_others_write_meanwhile_is_not_mistaken_for_ones_own(home: Home) -> None:
    """An event that control refuses stands between; ours is told that it holds."""
    control = read(home)
    write(home, "control", encode(Deployment("ghost", "v1", "0", State.PAUSED, "mallory", 1)))
    after, (appended,) = ControlLog(home.kafka, home.endpoint).append([Shedding(0, 0.5, 0.0, "ada", 1)], control)
    assert (appended.position, appended.refusal) == (control.position + 1, None)
    assert after.position == control.position + 2


def test_control_that_is_not_there(stack: Addresses, tmp_path: Path) -> None:
    """A reader says which topic; it does not wait for one to be made."""
    home = Home.make(tmp_path, stack.kafka)
    ghost = home.endpoint.model_copy(update={"name": "ghost"})
    with pytest.raises(LogError, match=r"ghost\.control"):
        ControlLog(stack.kafka, ghost).read()


# ----------------------------------------------------------------------------------------------------------- deploy


def test_a_second_deploy_writes_nothing_and_says_so(home: Home, operator: Operator) -> None:
    """Idempotent: the fixture has deployed everything."""
    before = read(home)
    said = operator.does("deploy")
    assert said == f"{home.endpoint.name}.control agrees with endpoint.toml and the cards: nothing to deploy\n"
    assert read(home) == before


def test_a_new_artefact_is_deployed_beside_the_old_one(home: Home, operator: Operator) -> None:
    """One event: no alias moves, nobody else is touched, and who did it stands there."""
    before, old = read(home), pair_of(home, "quick")
    write_model(home.endpoint, "quick", DOUBLED)
    new = pair_of(home, "quick")
    assert (
        operator.does("deploy", "quick")
        == f"{home.endpoint.name}.control {before.position}: quick/{new[1]} is active\n"
    )
    after = read(home)
    assert set(after.versions) == {*before.versions, new}
    assert after.aliases == before.aliases == {"champion": old}
    assert re.fullmatch(r"\S+@\S+", after.versions[new].by)
    assert load_card(folder_of(home.endpoint, new)).version == new[1]


def test_an_edited_schedule_is_deployed(home: Home, operator: Operator) -> None:
    """As rules on control: that is where servers look."""
    document = home.endpoint.folder / "endpoint.toml"
    document.write_text(document.read_text().replace("until_ms = 200", "until_ms = 150"))
    assert "the schedule is prefer champion until 150 ms, then " in operator.does("deploy")
    assert read(home).rules == load_endpoint(home.endpoint.name, home.folder).rules


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda folder: (folder / "card.json").unlink(), "no readable card"),
        (lambda folder: (folder / "model.py").write_text("other"), "changed since its card was written"),
    ],
    ids=["no card", "another artefact"],
)
def test_what_cannot_be_deployed_changes_nothing(
    home: Home, operator: Operator, damage: Callable[[Path], None], said: str
) -> None:
    """Not the other models either."""
    before = read(home)
    write_model(home.endpoint, "failing", DOUBLED)
    damage(home.endpoint.folder / "slow")
    assert said in operator.fails("deploy")
    assert "has no models ['ghost']" in operator.fails("deploy", "ghost")
    assert read(home) == before


def test_what_was_retired_is_deployed_no_more(operator: Operator) -> None:
    """Named, it is refused; among all, it is mentioned."""
    operator.does("retire", "slow")
    assert "slow/" in operator.fails("deploy", "slow")
    assert re.search(r"slow/\w+ is retired and stays so", operator.does("deploy"))


# -------------------------------------------------------------------------------------------------- promote, roll back


def test_a_version_that_has_shown_it_all_is_promoted(home: Home, operator: Operator) -> None:
    """Where it stands in control is told; a rollback gives the alias back at once."""
    quick, slow = pair_of(home, "quick"), pair_of(home, "slow")
    has_scored(home, [quick, slow], 250)
    position = read(home).position
    said = operator.does("promote", "slow")
    assert (
        said
        == f"{home.endpoint.name}.control {position}: champion is {'/'.join(slow)}, previous is {'/'.join(quick)}\n"
    )
    control = read(home)
    assert control.aliases == {"champion": slow, "previous": quick}
    assert control.hand_offs[-1].hand_off.skipped == ()
    assert operator.does("promote", "slow") == f"champion is {'/'.join(slow)} already: nothing to do\n"
    operator.does("rollback")
    assert read(home).aliases == {"champion": quick, "previous": slow}


def test_a_version_that_has_not_is_refused_with_every_figure(home: Home, operator: Operator) -> None:
    """Exit code 2, and control as it was; forced, it is moved, and what was skipped is on record."""
    quick, slow = pair_of(home, "quick"), pair_of(home, "slow")
    has_scored(home, [quick], 190)
    has_scored(home, [quick, slow], 10, ms=400)
    before = read(home)
    wrong = operator.fails("promote", "/".join(slow), "--alias", "champion")
    assert (
        "coverage: it has scored 10 of the last 200 requests (5.0%), 99.0% are needed; it was deployed for 10" in wrong
    )
    assert "in_time: it has scored 0 of the last 200 requests within 200 ms (0.0%), 95.0% are needed" in wrong
    assert "requests:" not in wrong
    assert read(home) == before
    assert "skipped coverage: it has scored 10 of" in operator.does("promote", "slow", "--force")
    (skipped, late) = read(home).hand_offs[-1].hand_off.skipped
    assert skipped.startswith("coverage: it has scored 10 of the last 200 requests")
    assert late.startswith("in_time: ")


def test_nothing_to_go_back_to(operator: Operator) -> None:
    """Before any promotion."""
    assert "champion has never been moved" in operator.fails("rollback")


def test_of_two_operators_the_second_is_refused(home: Home, desk: Desk) -> None:
    """Both have looked at the same control; the log's order decides, and the second hears why."""
    control, slow, failing = read(home), pair_of(home, "slow"), pair_of(home, "failing")
    desk.write(control, promotion(control, home.endpoint, "champion", slow, (), ADA))
    with pytest.raises(RegistryError) as caught:
        desk.write(control, promotion(control, home.endpoint, "champion", failing, (), BOB))
    assert str(caught.value) == (
        f"{home.endpoint.name}.control {control.position + 1}: refused: champion is {'/'.join(failing)}, previous is "
        f"{'/'.join(pair_of(home, 'quick'))}: aliases moved at {control.position}, which its writer had not seen: "
        "look again, then decide"
    )
    assert read(home).aliases["champion"] == slow
    again = read(home)
    desk.write(again, rollback(again, "champion", BOB))
    assert read(home).aliases["champion"] == pair_of(home, "quick")


def test_a_deployment_beside_an_operator_looks_again(home: Home, desk: Desk) -> None:
    """Whoever deploys a new alias while another one is promoted is not refused for good."""
    document = home.endpoint.folder / "endpoint.toml"
    document.write_text(document.read_text().replace('champion = "quick"', 'champion = "quick"\ncanary = "quick"'))
    edited = load_endpoint(home.endpoint.name, home.folder)
    seen = read(home)
    desk.write(seen, promotion(seen, home.endpoint, "champion", pair_of(home, "slow"), (), ADA))
    late = HandOff((), seen.hand_offs[0].hand_off.cause, (), seen.position, "bob", 1)
    _, (refused,) = desk.log.append([late], seen)
    assert refused.refusal is not None
    said: list[str] = []
    Desk.at(home.kafka, "", edited, said.append).deploy_models(())
    assert any("canary is quick/" in line for line in said)
    assert read(home).aliases["canary"] == pair_of(home, "quick")


# --------------------------------------------------------------------------------------- list, show, and the states


def test_the_list_and_the_page_of_a_version(home: Home, operator: Operator) -> None:
    """With what comparisons show."""
    quick, slow = pair_of(home, "quick"), pair_of(home, "slow")
    has_scored(home, [quick, slow], 300)
    lines = operator.does("list").splitlines()
    assert len(lines) == 1 + len(home.endpoint.models)
    (line,) = (line for line in lines if line.startswith("quick"))
    assert re.split(r"\s{2,}", line)[2:4] == ["active", "champion"]
    assert re.split(r"\s{2,}", line)[-3:] == ["100.0%", "100.0%", "-"]
    (line,) = (line for line in lines if line.startswith("failing"))
    assert re.split(r"\s{2,}", line)[-3:] == ["0.0%", "0.0%", "-"]
    said = operator.does("show", "champion")
    assert f"version   {'/'.join(quick)}" in said
    assert "met       coverage: it has scored 200 of the last 200 requests" in said
    assert re.search(r"hand-off  .* deploy by .*: champion to quick/", said)
    assert "ghost is not deployed; versions are" in operator.fails("show", "ghost")


def test_a_version_rests_comes_back_and_goes(home: Home, operator: Operator) -> None:
    """Each state is told once; what holds an alias stays."""
    slow = "/".join(pair_of(home, "slow"))
    for action, state in (("pause", "paused"), ("resume", "active"), ("retire", "retired")):
        assert operator.does(action, slow).endswith(f": {slow} is {state}\n")
        assert operator.does(action, slow) == f"{slow} is {state} already: nothing to do\n"
    assert "is retired, for good" in operator.fails("resume", slow)
    wrong = operator.fails("retire", "champion")
    assert "is champion: " in wrong
    assert operator.spawns("retire", "champion") == (MENDABLE, "", wrong)


def test_comparisons_that_cannot_be_read_are_left_out(home: Home, operator: Operator) -> None:
    """A warning, and the figures of the others."""
    has_scored(home, [pair_of(home, "quick")], 30)
    write(home, "comparisons", b"rubbish")
    code, said, wrong = operator.spawns("list")
    assert (code, said) == (0, operator.does("list"))
    assert "100.0%" in said
    assert "1 records are no comparisons" in wrong


# -------------------------------------------------------------------------------------------------------- the cache


def test_wiping_redis_between_commands_loses_nothing(home: Home, operator: Operator, stack: Addresses) -> None:
    """Every command works on, says the same, and leaves the snapshot where readers look for it."""
    has_scored(home, [pair_of(home, "quick"), pair_of(home, "slow")], 250)
    topic_id = topics.check(stack.kafka, home.endpoint)[home.endpoint.topic("control")].id
    cache = Cache(stack.redis, home.endpoint.name, topic_id)
    with redis.Redis.from_url(stack.redis) as wiper:
        listed = operator.does("list")
        assert cache.get() == read(home)
        wiper.delete(cache.key)
        assert operator.does("list") == listed
        for command in (["promote", "slow"], ["rollback"], ["pause", "slow"], ["resume", "slow"], ["deploy"]):
            wiper.delete(cache.key)
            operator.does(*command)
            assert cache.get() == read(home), command
    assert named(read(home), "champion") == pair_of(home, "quick")


def test_the_cache_is_used_while_it_is_current_and_only_then(home: Home, operator: Operator, desk: Desk) -> None:
    """What stands at control's end is believed; once control has moved on, the log is."""
    control, quick = read(home), pair_of(home, "quick")
    told = replace(control, versions={pair: replace(known, by="cache") for pair, known in control.versions.items()})
    desk.cache.put(told)
    assert operator.does("list").count("cache") == len(home.endpoint.models)
    desk.cache.put(replace(told, position=control.position + 1))
    assert "cache" not in operator.does("list")
    desk.cache.put(told)
    away = Suspension(0, *quick, suspended=True, missed=1.0, failed=0.0, requests=9, by="server", at_us=1)
    desk.log.append([away], control)
    listed = operator.does("list")
    assert "cache" not in listed
    assert desk.cache.get() == read(home)
    assert quick in read(home).suspended[0]


def test_without_redis_the_log_is_read(operator: Operator) -> None:
    """Nobody there, or nothing set: the same words, as quickly as anybody can tell."""
    listed = operator.does("list")
    for url in ("redis://127.0.0.1:1/0", ""):
        operator.redis_url = url
        assert operator.does("list") == listed
        operator.does("promote", "slow", "--force")
        operator.does("rollback")
        listed = operator.does("list")
    operator.redis_url = "http://nonsense"
    assert "REDIS_URL is no address of a Redis" in operator.fails("list")
