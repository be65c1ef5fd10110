"""The year's own endpoint, derived from `flights` at run time, so that the ordinary demo stays as it is.

A folder of its own with models/flights-year and schemas/flights-year: the same question and the same features, one
model, the reference of `recipe.py`, and the rules by which the loop runs.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from rendezvous.demo.year import recipe
from rendezvous.settings import Endpoint, Environment, load_endpoint

BASIS = "flights"
NAME = "flights-year"
MODEL = "trees"
CANARY = "canary"
"""The alias that stays with the frozen champion."""

DOCUMENT = """# Written by `make year` from models/flights: 2013 in order, compressed in time, with the loop on.
name = "{name}"
description = {description}

[request]
deadline_ms = 6000       # hundreds of requests are under way at once, on whatever machine this is
max_deadline_ms = 6000
reply_margin_ms = 50
max_bytes = 16384

[mailbox]
close_ms = 6000
silent_ms = 20000        # longer than close_ms: whoever was heard a day ago is still expected today

[output]
kind = "binary"
names = {names}
default = {default}

[[schedule]]             # nobody else may answer: the looped curve is the champion's alone
models = ["champion"]

[aliases]
champion = "{model}"
canary = "{model}"       # stays what it is: the frozen curve

[models.{model}]

[promotion]
fresh_s = 600            # event time stands still at times, and nothing is scored then

[fallback]
requests = 1000000       # nobody is passed by

[monitoring]
time = "ce_time"         # requests say when in 2013 they were asked
block = "1d"
block_offset = "5h"      # New York's midnight, in winter
label_delay = "8h"       # p99 of January and February: 7.6 h
lateness = "1h"
window = 6000            # a week, nearly always: a day is one weekday and one weather, and far from any two weeks
canary = "canary"

[archive]
age = "2s"               # a retraining waits for what was asked before it, and the year stands still for it

[retraining]
model = "{model}"
new_labels = 10000       # a third of a month: less changes little
cool_down = "{cool_down}"
per_day = 1
per_month = 2
promotion = "automatic"

[retraining.refresh]
labels = 3000
blocks = 3

[retraining.training]
code = ["train.py"]
time = "10m"
folds = 0                # the reference is of the trial's held-out days; more trainings would outlast the year
"""
COOL_DOWN = "27d"
"""At most 12 retrainings in 306 days."""


def make(environment: Environment) -> tuple[Path, Endpoint]:
    """Write the endpoint anew, without any version; its home and the document.

    Raises:
        SettingsError: `flights` is not there, or what was written does not hold together.
    """
    basis = load_endpoint(BASIS, environment.home)
    home = environment.data / "year" / "home"
    shutil.rmtree(home, ignore_errors=True)
    folder, schemas = home / "models" / NAME, home / "schemas" / NAME
    (folder / MODEL).mkdir(parents=True)
    schemas.mkdir(parents=True)
    document = DOCUMENT.format(
        name=NAME,
        description=json.dumps(basis.description),
        names=json.dumps(basis.output.names),
        default=json.dumps(basis.output.default),
        model=MODEL,
        cool_down=COOL_DOWN,
    )
    (folder / "endpoint.toml").write_text(document)
    (schemas / "features.avsc").write_text(basis.features_schema)
    shutil.copyfile(recipe.__file__, folder / MODEL / "train.py")
    return home, load_endpoint(NAME, home)
