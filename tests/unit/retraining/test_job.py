"""A job makes a version that has shown what it must, or leaves nothing; real trainings in real processes."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from rendezvous.log.records import LogError
from rendezvous.monitoring.shipped import load_reference
from rendezvous.registry.state import Pair
from rendezvous.retraining.events import Outcome
from rendezvous.retraining.job import run_job
from rendezvous.retraining.sources import code_of
from rendezvous.scoring.card import Span, load_card
from rendezvous.scoring.models import load_model
from rendezvous.settings import SettingsError, load_endpoint

from .conftest import DAY_US, START_US, Bench, event, history, make_bench

LIMITS = """
worse_by = {auc = 0.02}
limits = [{metric = "auc", at_least = 0.6}, {metric = "auc", at_least = 0.6, slice = {place = "here"}}]
invariances = [{feature = "place", values = ["here", "nowhere"]}]
"""


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """A bench on which a first version was made of the first 25 days."""
    bench = make_bench(tmp_path_factory.mktemp("first"))
    bench.settings(acceptance=LIMITS)
    assert bench.run(event("first", until_day=25)).outcome is Outcome.REGISTERED
    return bench


@pytest.fixture
def later(first: Bench, tmp_path: Path) -> Bench:
    """A copy of it, for a successor."""
    shutil.copytree(first.home, tmp_path / "home")
    return Bench(tmp_path / "home", first.table)


def champion_of(bench: Bench) -> Pair:
    """The version that the first job made."""
    (folder,) = bench.versions()
    return "first", folder.name


def test_a_version_is_whole_and_can_be_served(first: Bench) -> None:
    """Graph, card, reference and code; deployed once; nothing else lies beside it, and no table is left."""
    (folder,) = first.versions()
    assert {path.relative_to(folder).as_posix() for path in folder.rglob("*")} == {
        *("model.onnx", "card.json", "reference.json", "code", "code/fit.py")
    }
    assert first.deployed == [("first", folder.name)]
    assert load_model(first.endpoint, "first", folder).card.version == folder.name
    reference = load_reference(folder)
    assert reference is not None
    assert reference.rows == 10 * 60
    assert {path.suffix for path in (first.home / "work").rglob("*") if path.is_file()} <= {".log", ".lock"}
    assert "trial: reading" in first.lines


def test_a_card_answers_what_code_data_result_who_and_why(first: Bench) -> None:
    """Every question of whoever looks at a version later."""
    (folder,) = first.versions()
    card, asked = load_card(folder), event("first", until_day=25)
    made = card.history
    assert made is not None
    assert (made.span.from_us, made.span.until_us, made.span.as_of_us) == (START_US, asked.until_us, asked.as_of_us)
    assert made.split_us == START_US + 15 * DAY_US
    assert (card.data.rows, card.metrics.train.rows, card.metrics.held_out.rows) == (1500, 900, 600)
    assert card.metrics.train.last < card.metrics.held_out.first
    assert card.data.source == "a toy"
    assert (folder / "code/fit.py").read_bytes() == (first.home / "models/toy/first/fit.py").read_bytes()
    training = first.endpoint.retraining
    assert training is not None
    assert card.code_sha256 == code_of(first.endpoint, "first", training.training).sha256
    assert card.packages == {"numpy": np.__version__}
    assert made.environment.python == sys.version.split()[0]
    assert made.transformations == ("missing is 0",)
    assert made.limits["invariances"] == [{"feature": "place", "values": ["here", "nowhere"], "within": 1e-6}]
    assert {result.name for result in made.results} >= {
        *("graph is the model", "auc on all rows", "auc on place=here", "place changes nothing", "size"),
        *("graph is the model, trained on all rows", "place changes nothing, trained on all rows"),
    }
    assert all(result.met for result in made.results)
    assert (made.asked.key, made.asked.causes, made.asked.by) == ("first", ("drift",), "tests")
    assert (made.asked.reason, made.asked.evidence) == ("it looks stale", '{"e": 21.5}')
    assert 0.6 < card.metrics.figures["auc"] < 1


def test_a_successor_is_judged_beside_the_champion(later: Bench) -> None:
    """On the days that neither has seen, all of them later than what the trial was trained on."""
    champion = champion_of(later)
    outcome = later.run(event("second"), champion)
    assert outcome.outcome is Outcome.REGISTERED, outcome.reasons
    card = load_card(later.home / "models/toy/first/versions" / outcome.version)
    made = card.history
    assert made is not None
    assert made.champion == "/".join(champion)
    assert made.split_us == START_US + 30 * DAY_US
    (judged, *_) = made.judged
    figures: dict[str, dict[str, float]] = json.loads(json.dumps(judged))
    assert figures["candidate"]["auc"] > figures["champion"]["auc"] + 0.02  # z counts since day 20
    assert any(result.name.startswith("time for 16 rows") for result in made.results)
    assert len(later.versions()) == 2


def test_the_champions_days_are_not_judged_on(later: Bench) -> None:
    """Its training went to day 25: of the last ten days, five are left, and they are too few."""
    outcome = later.run(event("early", until_day=29), champion_of(later))
    assert outcome.outcome is Outcome.REFUSED
    (reason,) = outcome.reasons
    assert reason.startswith(
        "240 rows in 4 blocks are later than all training and unseen by the champion, at least 300"
    )
    assert later.deployed == []


def test_the_same_event_makes_no_second_version(later: Bench) -> None:
    """Its job was killed before it could say so: control is told, nothing is trained."""
    version = champion_of(later)
    outcome = later.run(event("first", until_day=25))
    assert (outcome.outcome, outcome.version) == (Outcome.REGISTERED, version[1])
    assert later.deployed == [version]
    assert not [line for line in later.lines if line.startswith("trial: ")]


def test_a_worse_version_is_refused(later: Bench) -> None:
    """It misses the owner's floor, and is worse than the champion; every reason is told, and nothing is kept."""
    later.settings("[retraining.training.parameters]\nmode = 'noise'", LIMITS)
    outcome = later.run(event("noise"), champion_of(later))
    assert outcome.outcome is Outcome.REFUSED
    assert [reason.partition(":")[0] for reason in outcome.reasons] == [
        "auc on all rows against the champion",
        "auc on all rows",
        "auc on place=here",
    ]
    assert len(later.versions()) == 1
    assert later.deployed == []


@pytest.mark.parametrize(
    ("mode", "outcome", "said"),
    [
        ("differ", Outcome.REFUSED, "graph is the model: differs from the original by"),
        ("silent", Outcome.REFUSED, "graph is the model: cannot be compared"),
        ("not a graph", Outcome.FAILED, "cannot be opened as onnx"),
        ("nothing", Outcome.FAILED, "left no model.onnx"),
        ("crash", Outcome.FAILED, "no convergence"),
        ("hang", Outcome.FAILED, "still ran after time = 5 s"),
    ],
)
def test_a_training_that_goes_wrong_leaves_nothing(bench: Bench, mode: str, outcome: Outcome, said: str) -> None:
    """Neither version nor table; the reason says what, and the log is kept."""
    time = "5s" if mode == "hang" else "5m"
    bench.settings(f"time = '{time}'\n[retraining.training.parameters]\nmode = '{mode}'")
    found = bench.run()
    assert (found.outcome, found.version) == (outcome, "")
    assert any(said in reason for reason in found.reasons), found.reasons
    assert bench.versions() == []
    assert bench.deployed == []
    assert {path.suffix for path in (bench.home / "work").rglob("*") if path.is_file()} == {".log", ".lock"}


def rows(table: pa.Table, keep: Callable[[np.ndarray], np.ndarray]) -> pa.Table:
    """The rows whose time is as wanted."""
    return table.filter(pa.array(keep(table["asked_us"].to_numpy())))


@pytest.mark.parametrize(
    ("damage", "outcome", "said"),
    [
        (lambda table: table.slice(0, 0), Outcome.REFUSED, "no labelled request"),
        (lambda table: rows(table, lambda us: us > START_US + 32 * DAY_US), Outcome.REFUSED, "no row is left to train"),
        (lambda table: rows(table, lambda us: us < START_US + DAY_US), Outcome.REFUSED, "in 1 blocks"),
        (lambda table: table.drop_columns(["z"]), Outcome.FAILED, "lacks the columns ['z']"),
    ],
)
def test_data_that_cannot_be_judged_on_is_refused_before_training(
    bench: Bench, damage: Callable[[pa.Table], pa.Table], outcome: Outcome, said: str
) -> None:
    """Nothing is there, nothing for the trial, one day alone, a column is missing."""
    bench.table = damage(bench.table)
    found = bench.run()
    assert found.outcome is outcome
    assert said in found.reasons[0]
    assert not [line for line in bench.lines if line.startswith("trial: ")]


@pytest.mark.parametrize(
    ("model", "code", "said"),
    [
        ("rule", "fit.py", "'rule' cannot be retrained"),
        ("third", "fit.py", "'third' cannot be retrained"),
        ("first", "other.py", "no file 'other.py' in"),
    ],
)
def test_what_cannot_be_trained_says_why(bench: Bench, model: str, code: str, said: str) -> None:
    """Plain Python, a model that is not the endpoint's, code that is not there."""
    document = bench.home / "models/toy/endpoint.toml"
    document.write_text(document.read_text().replace("code = ['fit.py']", f"code = ['{code}']"))
    found = bench.run(event(model=model))
    assert found.outcome is Outcome.FAILED
    assert said in found.reasons[0]


def test_control_that_cannot_be_told_is_told_later(later: Bench) -> None:
    """The version is kept; doing the job again trains nothing."""

    def away(pair: Pair) -> None:
        raise LogError(f"{pair}: nobody there")

    with pytest.raises(LogError, match="nobody there"):
        run_job(later.endpoint, event("first", until_day=25), None, replace(later.around, deploy=away))
    assert len(later.versions()) == 1


def test_two_processes_do_not_do_one_job(bench: Bench) -> None:
    """The second one is turned away while the first one is at it."""
    found: list[str] = []

    def build(span: Span, path: Path) -> str:
        with pytest.raises(BlockingIOError):
            bench.run()
        found.append("turned away")
        raise SettingsError(f"that was all: {span} {path}")

    assert run_job(bench.endpoint, event(), None, replace(bench.around, build=build)).outcome is Outcome.FAILED
    assert found == ["turned away"]


TRAIN = """
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

def train(table, params):
    numbers = ColumnTransformer([("numbers", SimpleImputer(), ["x", "z"])])
    return make_pipeline(numbers, LogisticRegression(C=params.parameters["C"])).fit(table[params.names], table["label"])
"""


def test_python_is_trained_by_its_train_function(bench: Bench) -> None:
    """Without a command; folds are further runs, so that every day of the reference is unseen by who scores it."""
    (bench.home / "models/toy/train.py").write_text(TRAIN)  # the endpoint's: the model's folder has none
    bench.settings("folds = 2\nnice = 0\nparameters = {C = 0.5}", default=True)
    outcome = bench.run()
    assert outcome.outcome is Outcome.REGISTERED, outcome.reasons
    (folder,) = bench.versions()
    card, reference = load_card(folder), load_reference(folder)
    assert card.history is not None
    assert card.history.given == {"C": 0.5}
    assert card.parameters["C"] == 0.5
    assert {"scikit-learn", "skl2onnx"} <= set(card.packages)
    assert card.history.transformations[0].startswith("ColumnTransformer(")
    assert (folder / "code/train.py").read_text() == TRAIN
    assert reference is not None
    assert reference.rows == reference.labelled == 40 * 60


KILLED = """
import sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from retraining.conftest import Bench, event
bench = Bench(Path({home!r}))
class Lines(list):
    def append(self, line):
        print(line, flush=True)
bench.lines = Lines()
bench.run(event("killed", until_day=25))
"""


@pytest.mark.parametrize("moment", ["trial: reading", "trial: fitted", "final: training", "final: fitted"])
def test_a_job_that_is_killed_leaves_no_half_version(bench: Bench, moment: str) -> None:
    """Killed outright while a run trains or is measured; the run ends too, and the lock is free again."""
    code = KILLED.format(tests=str(Path(__file__).parents[1]), home=str(bench.home))
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as job:  # noqa: S603 - ours
        assert job.stdout is not None
        said = next((line for line in job.stdout if line.startswith(moment)), None)
        assert said is not None
        job.send_signal(signal.SIGKILL)
    assert bench.versions() == []
    bench.table = history().slice(0, 0)
    assert bench.run(event("killed", until_day=25)).outcome is Outcome.REFUSED  # not turned away


def test_limits_that_name_nothing_are_told_with_their_line(bench: Bench) -> None:
    """The endpoint's document is refused as a whole, before anything is trained."""
    bench.settings(acceptance="[[retraining.acceptance.limits]]\nmetric = 'rmse'\nat_most = 1")
    with pytest.raises(SettingsError, match=r"endpoint.toml:\d+: retraining.acceptance.limits.0.metric: 'rmse' is no"):
        load_endpoint("toy", bench.home)
