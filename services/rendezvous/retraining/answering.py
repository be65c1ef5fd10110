"""What a graph answers to rows, in a process of its own; `measuring` says why.

python -m rendezvous.retraining.answering PARAMETERS GRAPH ROWS ANSWERS
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from rendezvous.messages import Floats
from rendezvous.retraining.contract import Params
from rendezvous.retraining.tables import read_columns, write_predictions
from rendezvous.scoring.columns import Columns, Model
from rendezvous.scoring.models import OnnxModel

CHUNK = 16_384
"""Rows scored at once."""


def in_chunks(model: Model, columns: Columns) -> Floats:
    """Outputs float32 [rows, width] of any number of rows."""
    rows = len(next(iter(columns.values())))
    parts = (slice(begin, begin + CHUNK) for begin in range(0, max(rows, 1), CHUNK))
    return np.concatenate([model.score({name: column[part] for name, column in columns.items()}) for part in parts])


def main(arguments: list[str]) -> int:
    """Read the rows, write the answers: Parquet both."""
    parameters, graph, rows, answers = map(Path, arguments)
    params = Params.model_validate_json(parameters.read_bytes())
    write_predictions(answers, params.outputs, in_chunks(OnnxModel(graph), read_columns(rows, params.features)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
