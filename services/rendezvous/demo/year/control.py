"""What the monitor says where nothing has changed, and where only the temperature has: through `rendezvous backtest`.

2013's days in another order (see `permuting`): the first 60 train a model, the next 60 are what was true, the rest is
looked through. No day differs from another by its place, so every alarm about the concept is a false one.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from rendezvous.demo.year.curves import Fit
from rendezvous.demo.year.stream import DAY_US, NEVER_US, Stream
from rendezvous.local.failure import LocalStackError

TRAINED_DAYS, TRUE_DAYS = 60, 60
WARMER_F = 40.0
"""Degrees Fahrenheit: winter as warm as summer."""
PREDICTION, LABEL, TIME, OBSERVED = "late", "label", "asked_us", "observed_us"


def control(stream: Stream, fit: Fit, cool_down_us: int, folder: Path) -> dict[str, dict[str, int]]:
    """Both backtests: `control` and `temperature`. stream: of permuted days; folder: for files.

    alarms: about the concept, i.e. those that may lead to a retraining; inputs: about inputs, scores and data; events:
    alarms that a cool-down leaves; of the temperature, events beyond those that there are without.

    Raises:
        LocalStackError: a backtest failed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    begin_us = int(stream.asked_us[0])
    trained_us, true_us = begin_us + TRAINED_DAYS * DAY_US, begin_us + (TRAINED_DAYS + TRUE_DAYS) * DAY_US
    known = stream.mature(trained_us) & (stream.asked_us < trained_us)
    model = fit(stream.frame[known], stream.label[known])
    true, rest = stream.asked(trained_us, true_us), stream.asked_us >= true_us
    table = _table(stream, model.predict_proba(stream.frame)[:, 1])
    reference = folder / "reference.parquet"
    table[true].to_parquet(reference)
    features = [str(name) for name in stream.frame]
    plain = _backtest(reference, table[rest], features, folder / "control")
    warmer = table[rest].assign(temp=table["temp"][rest] + np.float32(WARMER_F))
    warm = _backtest(reference, warmer, features, folder / "temperature")
    without = counts(plain, cool_down_us)
    shifted = counts(warm, cool_down_us)
    return {
        "control": {**without, "days": int(np.ceil((stream.asked_us[-1] - true_us) / DAY_US))},
        "temperature": {**shifted, "events": shifted["events"] - without["events"]},
    }


def counts(alarms: Sequence[dict[str, Any]], cool_down_us: int) -> dict[str, int]:
    """Alarms of a backtest by what may follow from them; `time` is a day or a moment, ISO 8601."""
    kinds = Counter(alarm["kind"] for alarm in alarms)
    events, last_us = 0, -cool_down_us
    moments = [pd.Timestamp(alarm["time"]).value // 1_000 for alarm in alarms if alarm["kind"] == "concept"]
    for moment_us in sorted(moments):
        if moment_us >= last_us + cool_down_us:
            events, last_us = events + 1, moment_us
    return {"alarms": kinds["concept"], "events": events, "inputs": len(alarms) - kinds["concept"]}


def _table(stream: Stream, late: NDArray[np.float64]) -> pd.DataFrame:
    observed = np.where(stream.observed_us == NEVER_US, stream.asked_us + DAY_US, stream.observed_us)
    return stream.frame.assign(**{PREDICTION: late, LABEL: stream.label, TIME: stream.asked_us, OBSERVED: observed})


def _backtest(reference: Path, data: pd.DataFrame, features: Sequence[str], where: Path) -> list[dict[str, Any]]:
    """The alarms of `rendezvous backtest`."""
    path, report = where.with_suffix(".parquet"), where.with_suffix(".json")
    data.to_parquet(path)
    options = {
        "--reference": reference,
        "--data": path,
        "--prediction": PREDICTION,
        "--label": LABEL,
        "--features": ",".join(features),
        "--kind": "binary",
        "--time": TIME,
        "--observed": OBSERVED,
        "--block": "1d",
        "--block-offset": "5h",
        "--report": report,
    }
    words = [str(word) for pair in options.items() for word in pair]
    done = subprocess.run(  # noqa: S603 - ours
        [sys.executable, "-m", "rendezvous", "backtest", *words], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise LocalStackError(f"rendezvous backtest over {path} ended with {done.returncode}: {done.stderr[-2000:]}")
    told: list[dict[str, Any]] = json.loads(report.read_text())["alarms"]
    return told
