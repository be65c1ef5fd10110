"""What the crew says to Prometheus."""

from __future__ import annotations

import json
import socket
from pathlib import Path

from rendezvous.crew.processes import write_targets


def test_each_scorer_is_a_target_with_its_version(tmp_path: Path) -> None:
    """Address and labels; replaced whole when scorers change."""
    path = tmp_path / "targets" / "flights.json"
    write_targets(path, "flights", "127.0.0.1", {("trees", "v1"): 20001, ("rule", "v9"): 20002})
    first, second = json.loads(path.read_text())
    assert first["targets"] == ["127.0.0.1:20001"]
    assert first["labels"] == {"endpoint": "flights", "service": "scorer", "model": "trees", "version": "v1"}
    assert second["labels"]["model"] == "rule"
    write_targets(path, "flights", "127.0.0.1", {})
    assert json.loads(path.read_text()) == []
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_pages_on_every_address_are_named_by_the_host(tmp_path: Path) -> None:
    """0.0.0.0 is no address that another container could ask."""
    path = tmp_path / "targets.json"
    write_targets(path, "flights", "0.0.0.0", {("trees", "v1"): 20001})  # noqa: S104 - as in a container
    assert json.loads(path.read_text())[0]["targets"] == [f"{socket.gethostname()}:20001"]
