"""The default training run, in a process of its own: Python's `train(table, params)`. See `contract`.

`train` gets a pandas.DataFrame with a column per feature as models take them (float32 with NaN, text with "" for
missing), `label` and `asked_us`, and `Params`. It returns a fitted scikit-learn estimator, which is exported, or a
`Trained`, when it makes its graph itself.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from importlib.metadata import packages_distributions, version
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from rendezvous.retraining.contract import (
    ABOUT_FILE,
    ASKED_US,
    GRAPH_FILE,
    LABEL,
    OUTPUT,
    PARAMETERS,
    PREDICTIONS_FILE,
    REFERENCE,
    TABLE,
    Params,
)
from rendezvous.retraining.sources import DEFAULT_FILE
from rendezvous.retraining.tables import read_columns, read_table, write_predictions
from rendezvous.retraining.trained import Trained, exported

CODE_MODULE = "rendezvous_training"
"""Under which train.py is imported."""


def main() -> int:
    """Train as the environment says."""
    params = Params.model_validate_json(Path(os.environ[PARAMETERS]).read_bytes())
    output = Path(os.environ[OUTPUT])
    table = read_table(Path(os.environ[TABLE]), params.features)
    frame = pd.DataFrame({**table.columns, LABEL: table.label, ASKED_US: table.asked_us})
    made = _train_function(Path.cwd() / DEFAULT_FILE)(frame, params)
    trained = made if isinstance(made, Trained) else exported(made, params)
    predictions = trained.predict(read_columns(Path(os.environ[REFERENCE]), params.features))
    about = trained.about
    about = about.model_copy(
        update={"parameters": params.parameters | about.parameters, "packages": _packages() | about.packages}
    )
    (output / GRAPH_FILE).write_bytes(trained.graph)
    write_predictions(
        output / PREDICTIONS_FILE, params.outputs, np.asarray(predictions).reshape(-1, len(params.outputs))
    )
    (output / ABOUT_FILE).write_text(about.model_dump_json(indent=2))
    return 0


def _train_function(path: Path) -> Callable[[pd.DataFrame, Params], Any]:
    sys.path.insert(0, str(path.parent))  # what lies beside it
    spec = spec_from_file_location(CODE_MODULE, path)
    if spec is None or spec.loader is None:
        raise SystemExit(f"{path}: not a Python file")
    module = module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up there
    spec.loader.exec_module(module)
    train = getattr(module, "train", None)
    if not callable(train):
        raise SystemExit(f"{path.name}: defines no function train(table, params)")
    return train  # type: ignore[no-any-return] # a file outside the package: callable is all that is known


def _packages() -> dict[str, str]:
    """The version of every installed package that this process has imported."""
    imported = {name.partition(".")[0] for name in sys.modules}
    named = {package for top, packages in packages_distributions().items() if top in imported for package in packages}
    return {name: version(name) for name in sorted(named)}


if __name__ == "__main__":
    sys.exit(main())
