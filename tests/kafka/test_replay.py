"""`rendezvous replay` on a real broker: real processes, a hand-off and a kill between, and every decision again."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path

import numpy as np
import pytest

from homes import CLOSE_MS, Home, services_of, until
from rendezvous.cli import main
from rendezvous.envelope import write_envelope
from rendezvous.local.stack import Addresses
from rendezvous.log import KafkaSink, read_to_end
from rendezvous.messages import Comparisons, Decisions, Envelope, Label, Reason
from rendezvous.registry.control import ControlLog
from rendezvous.registry.events import Cause, HandOff, Move, RulesChange
from rendezvous.rules import Step
from rendezvous.wire import Codec, decode, encode

pytestmark = pytest.mark.kafka

REQUESTS, RATE = 300, 150.0
SERVED = ("server", "quick", "failing", "slow")


class Story:
    """Requests at a rate, with events in between."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self.control = ControlLog(home.kafka, home.endpoint)
        self.sink = KafkaSink(home.kafka)
        self.codec = Codec(home.endpoint.features_schema)
        self.sent = 0

    def name(self, model: str) -> None:
        """The alias `first` is handed to a model."""
        control = self.control.read()
        pair = control.resolve(model)
        assert pair is not None
        move = HandOff((Move("first", *pair),), Cause.PROMOTE, (), control.position, by="tests", at_us=0)
        assert self.control.append([move], control)[1][0].refusal is None

    def schedule(self) -> None:
        """Who `first` is answers until 100 ms, whoever has in this order afterwards."""
        control = self.control.read()
        assert control.rules is not None
        steps = (Step(models=("first",), until_ms=100), Step(models=("first", "failing", "slow")))
        rules = control.rules.model_copy(update={"schedule": steps})
        event = RulesChange(rules.model_dump_json(), by="tests", at_us=0)
        assert self.control.append([event], control)[1][0].refusal is None

    def ask(self, count: int) -> None:
        """Every tenth waits for a slow model, every seventh makes one fail, every thirtieth is not to be read."""
        start = time.monotonic()
        for number in range(count):
            time.sleep(max(0.0, start + number / RATE - time.monotonic()))
            value = self.codec.encode(
                {"x": -1.0 if number % 7 == 0 else 0.5, "slow_ms": 120.0 if number % 10 == 0 else 0.0, "who": "a"}
            )
            self.sink.send(
                self.home.endpoint.topic("requests"),
                b"nonsense" if number % 30 == 29 else value,
                partition=0,
                headers=write_envelope(Envelope(f"r{self.sent}", "tests", None, None)),
            )
            self.sink.serve()
            self.sent += 1
        assert self.sink.flush(10) == 0

    def count(self, topic: str, kind: type[Decisions | Comparisons]) -> int:
        """Rows on one of the endpoint's topics."""
        records = read_to_end(self.home.kafka, self.home.endpoint.topic(topic), 0, 0)
        return sum(len(decode(record.value, kind).offsets) for record in records)

    def put(self, topic: str, value: bytes, request_id: str | None = None) -> int:
        """One record; returns its offset."""
        offsets: list[int] = []
        headers = [] if request_id is None else write_envelope(Envelope(request_id, "tests", None, None))
        self.sink.send(
            self.home.endpoint.topic(topic),
            value,
            partition=0,
            headers=headers,
            delivered=lambda _, at: offsets.append(at),
        )
        self.sink.flush(10)
        return offsets[0]


@pytest.fixture(scope="module")
def played(stack: Addresses, tmp_path_factory: pytest.TempPathFactory) -> Story:
    """A hand-off in the middle of traffic, and a server that is killed and followed by another."""
    story = Story(Home.make(tmp_path_factory.mktemp("home"), stack.kafka))
    with services_of(story.home) as services:
        services.ready(*SERVED)
        story.name("quick")
        story.schedule()
        story.ask(REQUESTS // 3)
        story.name("slow")
        story.ask(REQUESTS // 3)
        services.signal("server", signal.SIGKILL)
        services.start("server")
        story.ask(REQUESTS // 3)
        until(lambda: story.count("decisions", Decisions) >= REQUESTS, "everything is decided")
        until(lambda: story.count("comparisons", Comparisons) >= REQUESTS, "and compared", CLOSE_MS / 1e3 + 20)
    return story


@pytest.fixture
def replay(played: Story, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Replay:
    """The command, on that log."""
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", played.home.kafka)
    monkeypatch.setenv("RENDEZVOUS_HOME", str(played.home.folder))
    return Replay(played, tmp_path)


class Replay:
    """Runs `rendezvous replay` and reads its figures."""

    def __init__(self, story: Story, folder: Path) -> None:
        self.story = story
        self.folder = folder
        self.report = folder / "report.json"

    def __call__(self, *options: str) -> int:
        """The exit code."""
        return main(["replay", "--endpoint", self.story.home.endpoint.name, "--json", str(self.report), *options])

    def figures(self) -> dict[str, object]:
        """What the last run wrote."""
        found: dict[str, object] = json.loads(self.report.read_text())
        return found


def test_a_hand_off_and_a_kill_agree(replay: Replay, capsys: pytest.CaptureFixture[str]) -> None:
    """Every decision of both servers under both champions, rejected and failed requests included."""
    assert replay() == 0, capsys.readouterr().out
    figures = replay.figures()
    assert figures["checked"] == figures["agreeing"] == REQUESTS
    topic = replay.story.home.endpoint.topic("decisions")
    decided = [decode(record.value, Decisions) for record in read_to_end(replay.story.home.kafka, topic, 0, 0)]
    reasons = {Reason(int(code)) for found in decided for code in found.reasons}
    assert {Reason.PREFERRED, Reason.FALLBACK, Reason.REJECTED} <= reasons
    assert len({found.policy for found in decided}) >= 2


def test_other_rules_are_answered_and_judged(replay: Replay, capsys: pytest.CaptureFixture[str]) -> None:
    """With labels, JSON and a picture."""
    for number in range(REQUESTS):
        value = encode(Label(f"r{number}", float(number % 2), time.time_ns() // 1_000, "tests"))
        replay.story.sink.send(replay.story.home.endpoint.topic("labels"), value)
    replay.story.sink.flush(10)
    policy, picture = replay.folder / "policy.toml", replay.folder / "replay.png"
    policy.write_text('[[schedule]]\nmodels = ["failing"]\n')
    assert replay("--policy", str(policy), "--picture", str(picture), "--labels-older", "0s") == 0
    figures = replay.figures()
    assert figures["requests"] == REQUESTS
    assert picture.exists()
    assert isinstance(figures["answered_by"], dict)
    (failing,) = [shares for name, shares in figures["answered_by"].items() if name.startswith("failing/")]
    assert failing["then"] > failing["now"]  # the rest had expired while nobody owned the partition
    assert isinstance(figures["quality"], dict)
    assert figures["quality"]["metrics"]["auc"]["difference"]["low"] is not None
    assert "resolution: a server answers at its ticks" in capsys.readouterr().out


def test_a_schedule_is_proposed(replay: Replay, capsys: pytest.CaptureFixture[str]) -> None:
    """From the labels that the test above wrote; or what is wrong is told."""
    command = ["tune", "schedule", "--endpoint", replay.story.home.endpoint.name]
    assert main([*command, "--quality", "rmse"]) == 2
    assert "--quality rmse: outputs of kind binary have auc, brier, log_loss" in capsys.readouterr().err
    assert main([*command, "--from", "2100-01-01"]) == 2
    assert "0 labelled and compared requests in this span: 100 are needed" in capsys.readouterr().err
    written = ["--json", str(replay.report), "--picture", str(replay.folder / "t.png")]
    assert main([*command, "--miss-rate", "1", *written]) == 0
    assert "# proposed\n[[schedule]]" in capsys.readouterr().out
    assert replay.figures()["metric"] == "brier"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--from", "yesterday"], "--from 'yesterday' is neither a time"),
        (["--partition", "5"], "--partition 5"),
        (["--picture", "x.png"], "they need --policy"),
        (["--policy", "nowhere.toml"], "nowhere.toml"),
    ],
)
def test_wrong_options_are_told(
    options: list[str], words: str, replay: Replay, capsys: pytest.CaptureFixture[str]
) -> None:
    """One message, exit code 2."""
    assert replay(*options) == 2
    assert words in capsys.readouterr().err


def test_exit_codes_tell_missing_from_different(replay: Replay, capsys: pytest.CaptureFixture[str]) -> None:
    """2 when something could not be checked, 1 when a decision is not reproduced, whatever else is missing."""
    story = replay.story
    story.put("decisions", b"no decision at all")
    assert replay() == 2
    assert "not checked: 1: their record is unreadable" in capsys.readouterr().out
    offset = story.put("requests", story.codec.encode({"x": 0.5, "slow_ms": 0.0, "who": "a"}), "forged")
    topic = story.home.endpoint.topic("decisions")
    records = [record for record in read_to_end(story.home.kafka, topic, 0, 0) if len(record.value) > 50]
    last = decode(records[-1].value, Decisions)
    one = {
        name: getattr(last, name)[-1:] for name in ("winners", "reasons", "arrived", "slacks_us", "outputs", "steps")
    }
    more = {"draws": last.draws[-1:], "propensities": last.propensities[-1:], "offsets": np.array([offset])}
    forged = Decisions(
        decided_us=time.time_ns() // 1_000,
        policy=last.policy,
        models=last.models,
        versions=last.versions,
        control=last.control,
        **one,
        **more,
    )
    story.put("decisions", encode(forged))
    assert replay() == 1
    out = capsys.readouterr().out
    assert f"requests-0@{offset}, request 'forged'" in out
    assert replay.figures()["agreeing"] == REQUESTS
