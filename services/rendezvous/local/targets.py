"""Files that say to Prometheus (file_sd) where pages are."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path


def write_groups(path: Path, groups: Mapping[str, Mapping[str, str]]) -> None:
    """Addresses with the labels of each; the file is there whole or not at all."""
    said = [{"targets": [address], "labels": dict(labels)} for address, labels in groups.items()]
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.write_text(json.dumps(said, indent=2) + "\n")
    part.replace(path)
