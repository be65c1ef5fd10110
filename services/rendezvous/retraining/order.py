"""What the process that measures a graph is told."""

from __future__ import annotations

from pathlib import Path

from rendezvous.retraining.acceptance import AcceptanceLimits
from rendezvous.rules import Document


class Order(Document):
    """What is to be measured: the graph in `run`, as one of `model`.

    reference: the reference rows, and `cases` their names and numbers, in order; the first case is rows as they came.
    held_out: rows to judge on; without it nothing is judged, since who has seen all rows has no figures. champion:
    model and version to compare with.
    """

    home: Path
    endpoint: str
    model: str
    run: Path
    reference: Path
    cases: tuple[tuple[str, int], ...]
    held_out: Path | None
    champion: tuple[str, str] | None
    limits: AcceptanceLimits
