"""The endpoint under test: the demo's champion alone, with a deadline that outlasts the run.

Requests are written before the scorer comes to them; a live scorer leaves alone what is past its deadline.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from rendezvous.settings import Endpoint, load_endpoint

HOUR_MS = 3_600_000
"""The longest deadline that an endpoint may have."""
CHAMPION = "champion"


def write_home(folder: Path, demo: Endpoint, max_batch: int) -> Endpoint:
    """Write models/ and schemas/ under `folder`: the demo's name, features, output and trained champion."""
    name = demo.aliases.get(CHAMPION, CHAMPION)
    model = demo.models[name]
    output = demo.output
    document = f"""
name = "{demo.name}"
description = "the endpoint of the scorer's load test"
request = {{ deadline_ms = {HOUR_MS}, max_deadline_ms = {HOUR_MS}, reply_margin_ms = 20 }}
output = {{ kind = "{output.kind}", names = {json.dumps(output.names)}, default = {list(output.default)} }}
mailbox = {{ close_ms = {HOUR_MS} }}
schedule = [{{ models = ["{name}"] }}]

[models]
{name} = {{ required = {json.dumps(model.required)}, threads = {model.threads}, max_batch = {max_batch} }}
"""
    workbench = folder / "models" / demo.name
    schemas = demo.folder.parents[1] / "schemas" / demo.name
    shutil.copytree(schemas, folder / "schemas" / demo.name)
    shutil.copytree(demo.folder / name, workbench / name)
    (workbench / "endpoint.toml").write_text(document)
    return load_endpoint(demo.name, folder)
