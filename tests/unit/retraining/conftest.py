"""An endpoint with a training command, a year that drifts, and a bench to run jobs at."""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rendezvous.registry.state import Pair
from rendezvous.retraining.events import Retrained, RetrainEvent
from rendezvous.retraining.job import Surroundings, run_job
from rendezvous.scoring.card import Card, Data, Metrics, Span, Window
from rendezvous.settings import Endpoint, load_endpoint

DAY_US = 86_400_000_000
START_US = 1_356_998_400_000_000
"""1 January 2013."""
DAYS = 40
ROWS_A_DAY = 60

ENDPOINT = """
name = "toy"
description = "a toy"
[request]
deadline_ms = 100
max_deadline_ms = 200
reply_margin_ms = 10
[output]
kind = "binary"
names = ["p"]
default = [0.5]
[[schedule]]
models = ["first"]
[models.first]
max_batch = 16
[models.second]
[models.rule]
kind = "python"
[retraining]
model = "first"
[retraining.training]
{training}
[retraining.acceptance]
held_out = "10d"
min_rows = 300
slower = 50
{acceptance}
"""
SCHEMA = """
{"type": "record", "name": "Features", "namespace": "toy", "fields": [
  {"name": "place", "type": "string"},
  {"name": "x", "type": ["null", "float"], "default": null},
  {"name": "z", "type": ["null", "float"], "default": null}
]}
"""
FIT = Path(__file__).with_name("fit.py")


def history(days: int = DAYS, seed: int = 1) -> pa.Table:
    """Labelled requests: the label follows x, and after day 20 z as well; some of x is missing."""
    chance = np.random.default_rng(seed)
    rows = days * ROWS_A_DAY
    day = np.repeat(np.arange(days), ROWS_A_DAY)
    x, z = chance.normal(size=rows), chance.normal(size=rows)
    x[chance.random(rows) < 0.05] = np.nan
    logit = 2 * np.nan_to_num(x) + np.where(day >= 20, 2 * z, 0.0)
    label = (chance.random(rows) < 1 / (1 + np.exp(-logit))).astype(float)
    asked = START_US + day * DAY_US + np.tile(np.arange(ROWS_A_DAY), days) * 1_000_000
    return pa.table(
        {
            "place": chance.choice(["here", "there"], rows),
            "x": pa.array(x.astype(np.float32), mask=np.isnan(x)),
            "z": z.astype(np.float32),
            "label": label,
            "asked_us": asked,
        }
    )


def event(key: str = "e1", *, until_day: int = DAYS, model: str = "first", **changes: Any) -> RetrainEvent:  # noqa: ANN401 - any field
    """An event that asks for everything up to a day."""
    until_us = START_US + until_day * DAY_US
    given = {
        "key": key,
        "model": model,
        "version": "000000000000",
        "causes": ("drift",),
        "evidence": '{"e": 21.5}',
        "reason": "it looks stale",
        "from_us": START_US,
        "until_us": until_us,
        "as_of_us": until_us,
        "positions": (1,),
        "unknown": (),
        "by": "tests",
        "at_us": until_us,
    }
    return RetrainEvent(**{**given, **changes})


@dataclass
class Bench:
    """A home, its endpoint, an archive in one table, and what was told."""

    home: Path
    table: pa.Table = field(default_factory=history)
    deployed: list[Pair] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)

    @property
    def endpoint(self) -> Endpoint:
        """As its document stands."""
        return load_endpoint("toy", self.home)

    def settings(self, training: str = "", acceptance: str = "", *, default: bool = False) -> None:
        """Write the endpoint's document."""
        command = (
            "" if default else f"command = ['{sys.executable}', 'fit.py']\ncode = ['fit.py']\nfolds = 0\nnice = 0\n"
        )
        path = self.home / "models/toy/endpoint.toml"
        path.write_text(ENDPOINT.format(training=command + training, acceptance=acceptance))

    def build(self, span: Span, path: Path) -> str:
        """Stands for the archive."""
        asked = self.table["asked_us"].to_numpy()
        pq.write_table(self.table.filter((asked >= span.from_us) & (asked < span.until_us)), path)
        return "a toy"

    @property
    def around(self) -> Surroundings:
        """What a job needs."""
        return Surroundings(self.build, self.deployed.append, self.home / "work", "tests", self.lines.append)

    def run(self, asked: RetrainEvent | None = None, champion: Pair | None = None) -> Retrained:
        """One job."""
        return run_job(self.endpoint, asked or event(), champion, self.around)

    def versions(self, model: str = "first") -> list[Path]:
        """Everything that lies where versions are kept, hidden or not."""
        folder = self.home / "models/toy" / model / "versions"
        return sorted(folder.iterdir()) if folder.exists() else []


def card_of(artefact: bytes, notes: str = "") -> Card:
    """A card that tells the truth about `artefact` and little else."""
    digest, window = sha256(artefact).hexdigest(), Window(first=date(2013, 1, 1), last=date(2013, 1, 2), rows=2)
    return Card(
        endpoint="toy",
        model="first",
        version=digest[:12],
        kind="onnx",
        artefact="model.onnx",
        sha256=digest,
        data=Data(source="toy", sha256=digest, **dict(window)),
        features=("x",),
        parameters={},
        metrics=Metrics(train=window, held_out=window, figures={}),
        packages={},
        code_sha256=digest,
        created_utc=datetime(2026, 1, 1, tzinfo=UTC),
        notes=notes,
    )


def make_bench(home: Path) -> Bench:
    """A bench whose training command does as it should."""
    for folder in ("models/toy/first", "schemas/toy"):
        (home / folder).mkdir(parents=True)
    (home / "schemas/toy/features.avsc").write_text(SCHEMA)
    shutil.copyfile(FIT, home / "models/toy/first/fit.py")
    made = Bench(home)
    made.settings()
    return made


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """A bench of its own for a test."""
    return make_bench(tmp_path)
