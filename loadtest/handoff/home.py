"""The endpoint under test: one partition, one server, a scorer for each of four models that cost nothing.

Three are in the schedule, the fourth is the candidate. Times are those of the failover endpoint; limits of a promotion
are the defaults.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from loadtest import plain
from loadtest.driving.home import FEATURES, MODEL
from rendezvous.registry.state import Pair
from rendezvous.scoring.card import load_card
from rendezvous.settings import Endpoint

NAME = "handoff"
SERVER = "server"
FACTORS = {"first": 0.9, "second": 0.8, "third": 0.7, "fourth": 0.6}
CHAMPION, CANDIDATE = "first", "fourth"
NEW_FACTOR = 0.95
"""Of the champion's model, when it is trained anew."""
DOCUMENT = f"""
name = "{NAME}"
description = "the endpoint of the hand-off load test"
request = {{ deadline_ms = 500, max_deadline_ms = 2000, reply_margin_ms = 40 }}
output = {{ kind = "binary", names = ["yes"], default = [0.5] }}
topics = {{ partitions = 1 }}
fallback = {{ recover_s = 5 }}
schedule = [{{ until_ms = 160, models = ["champion"] }}, {{ models = ["champion", "challenger", "baseline"] }}]
aliases = {{ champion = "{CHAMPION}", challenger = "second", baseline = "third" }}

[models]
""" + "".join(f'{model} = {{ kind = "python" }}\n' for model in FACTORS)


def write_home(folder: Path) -> Endpoint:
    """Write models/ and schemas/ of the endpoint under `folder`, which must not have it yet."""
    code = {model: MODEL.format(factor=factor) for model, factor in FACTORS.items()}
    return plain.write_home(folder, NAME, DOCUMENT, code, FEATURES)


def train_champion(endpoint: Endpoint) -> Pair:
    """Write another artefact to the workbench of the champion's model."""
    return CHAMPION, plain.write_model(endpoint, CHAMPION, MODEL.format(factor=NEW_FACTOR))


def pair_of(endpoint: Endpoint, model: str) -> Pair:
    """The version on a model's workbench."""
    return model, load_card(endpoint.folder / model).version


def scorer_command(pair: Pair) -> list[str]:
    """One version by its full name, so that a hand-off changes nothing about who runs."""
    return ["scorer", "--model", "/".join(pair), "--endpoint", NAME]


def commands(endpoint: Endpoint) -> Mapping[str, Sequence[str]]:
    """The server and each model's scorer, by the names that the supervisor knows them by."""
    scorers = {model: scorer_command(pair_of(endpoint, model)) for model in FACTORS}
    return {SERVER: ["server", "--endpoint", endpoint.name], **scorers}
