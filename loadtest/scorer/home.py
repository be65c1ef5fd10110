"""The endpoint under test: the demo's champion alone, with a deadline that outlasts the run.

Requests are written before the scorer comes to them; a live scorer leaves alone what is past its deadline.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from loadtest.derived import copy_model
from rendezvous.settings import Endpoint, load_endpoint

NAME = "flights-scorer"
HOUR_MS = 3_600_000
"""The longest deadline that an endpoint may have."""
CHAMPION = "champion"


def write_home(folder: Path, demo: Endpoint, max_batch: int, name: str = NAME) -> Endpoint:
    """Write models/ and schemas/ of `name` under `folder`: the demo's features, output and trained champion.

    Raises:
        CardError: the champion is not trained.
    """
    champion = demo.aliases.get(CHAMPION, CHAMPION)
    model = demo.models[champion]
    output = demo.output
    document = f"""
name = "{name}"
description = "the endpoint of the scorer's load test"
request = {{ deadline_ms = {HOUR_MS}, max_deadline_ms = {HOUR_MS}, reply_margin_ms = 20 }}
output = {{ kind = "{output.kind}", names = {json.dumps(output.names)}, default = {list(output.default)} }}
mailbox = {{ close_ms = {HOUR_MS} }}
schedule = [{{ models = ["{champion}"] }}]

[models]
{champion} = {{ required = {json.dumps(model.required)}, threads = {model.threads}, max_batch = {max_batch} }}
"""
    workbench = folder / "models" / name
    workbench.mkdir(parents=True)
    shutil.copytree(demo.folder.parents[1] / "schemas" / demo.name, folder / "schemas" / name)
    copy_model(demo.folder / champion, workbench / champion, name, champion)
    (workbench / "endpoint.toml").write_text(document)
    return load_endpoint(name, folder)
