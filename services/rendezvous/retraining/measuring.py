"""Measures a graph that a training run has left, in a process of its own: `python -m rendezvous.retraining.measuring`.

A graph is foreign code to onnxruntime, and memory that its sessions took is not given back: the retrainer never opens
one itself.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from rendezvous.messages import Floats
from rendezvous.registry.store import folder_of
from rendezvous.retraining.acceptance import AcceptanceLimits, Invariance, Kind, Wanted
from rendezvous.retraining.answering import in_chunks
from rendezvous.retraining.contract import GRAPH_FILE, PREDICTIONS_FILE
from rendezvous.retraining.judgement import Changed, Fidelity, Judged, Latency, Measured
from rendezvous.retraining.order import Order
from rendezvous.retraining.tables import Table, in_slice, read_columns, read_predictions, read_table
from rendezvous.scoring.columns import Columns, Model, invalid_rows, take
from rendezvous.scoring.fidelity import largest_difference
from rendezvous.scoring.models import load_graph, load_model
from rendezvous.settings import Endpoint, SettingsError, load_endpoint

ROUNDS = 9
"""Of timing: candidate and champion take turns, and the quickest round of each counts, as the least disturbed."""
ROUND_S = 0.005
TOLD = 2
"""Exit code when what was left cannot be measured: the last line of the log says why."""


def measure(order: Order) -> Measured:
    """Everything that the limits speak about.

    Raises:
        ModelError: the graph does not fit the endpoint.
        TableError: the original's predictions are not what they should be.
    """
    endpoint = load_endpoint(order.endpoint, order.home)
    graph = order.run / GRAPH_FILE
    model, champion = load_graph(endpoint, order.model, graph), _champion(endpoint, order.champion)
    reference = read_columns(order.reference, endpoint.features)
    sample = {name: column[: order.cases[0][1]] for name, column in reference.items()}
    judged: tuple[Judged, ...] = ()
    nonfinite = 0
    if order.held_out is not None:
        required = {name: endpoint.models[name].required for name in (order.model, *(order.champion or ())[:1])}
        table = _scorable(read_table(order.held_out, endpoint.features), endpoint, required.values())
        outputs = in_chunks(model, table.columns)
        nonfinite = int(np.count_nonzero(~np.isfinite(outputs).all(axis=1)))
        theirs = None if champion is None else in_chunks(champion, table.columns)
        judged = judge(endpoint.output.kind, table, outputs, theirs, order.limits)
    batches = (1, endpoint.models[order.model].max_batch)
    return Measured(
        fidelity=_fidelity(order, model, reference, endpoint.output.names),
        bytes=graph.stat().st_size,
        nonfinite=nonfinite,
        judged=judged,
        latency=tuple(latency(model, champion, sample, rows) for rows in batches),
        invariances=tuple(_changed(model, sample, invariance) for invariance in order.limits.invariances),
    )


def _champion(endpoint: Endpoint, pair: tuple[str, str] | None) -> Model | None:
    return None if pair is None else load_model(endpoint, pair[0], folder_of(endpoint, pair)).model


def _scorable(table: Table, endpoint: Endpoint, required: Iterable[Sequence[str]]) -> Table:
    """The rows that candidate and champion would both score: others are INVALID to one of them."""
    features = tuple(feature.model_copy(update={"nullable": True}) for feature in endpoint.features)
    keep = np.ones(len(table), dtype=np.bool_)
    for names in required:
        keep &= ~invalid_rows(table.columns, features, names)
    return table.where(keep)


def judge(
    kind: Kind, table: Table, outputs: Floats, theirs: Floats | None, limits: AcceptanceLimits
) -> tuple[Judged, ...]:
    """Figures on all rows, then on each slice that a limit names."""
    from rendezvous.retraining.figures import figures  # noqa: PLC0415 - two seconds, for those who judge only

    def on(wanted: dict[str, Wanted]) -> Judged:
        rows = in_slice(table.columns, wanted)
        label = table.label[rows]
        champion = {} if theirs is None else figures(kind, label, theirs[rows])
        return Judged(slice=wanted, rows=len(label), candidate=figures(kind, label, outputs[rows]), champion=champion)

    slices = [limit.slice for limit in limits.limits if limit.slice]
    return tuple(on(wanted) for wanted in [{}, *slices])


def _fidelity(order: Order, model: Model, reference: Columns, names: tuple[str, ...]) -> Fidelity:
    rows = sum(count for _, count in order.cases)
    path = order.run / PREDICTIONS_FILE
    if not path.exists():
        return Fidelity(rows=rows, difference=None)
    original = read_predictions(path, names, rows)
    worst, where = largest_difference(order.cases, in_chunks(model, reference), original)
    return Fidelity(rows=rows, difference=worst if np.isfinite(worst) else None, where=where)


def latency(model: Model, champion: Model | None, sample: Columns, rows: int) -> Latency:
    """The time for `rows` rows of `sample`, of both in turn."""
    count = len(next(iter(sample.values())))
    batch = take(sample, np.resize(np.arange(count), rows))
    models = [model] if champion is None else [model, champion]
    best = [float("inf")] * len(models)
    for _ in range(ROUNDS):
        for place, one in enumerate(models):
            best[place] = min(best[place], _seconds_each(one, batch))
    candidate, *others = (round(seconds * 1e6, 2) for seconds in best)
    return Latency(rows=rows, candidate_us=candidate, champion_us=others[0] if others else None)


def _seconds_each(model: Model, batch: Columns) -> float:
    """By the processor's clock: on a busy machine the wall's tells of the neighbours."""
    began = now = time.process_time()
    calls = 0
    while now - began < ROUND_S:
        model.score(batch)
        calls += 1
        now = time.process_time()
    return (now - began) / calls


def _changed(model: Model, sample: Columns, invariance: Invariance) -> Changed:
    """With each of the declared values put in, or the values of the rows half the sample away."""
    before = model.score(sample)
    column = sample[invariance.feature]
    if invariance.values:
        kind = column.dtype
        changes = [np.full(len(column), value, dtype=kind) for value in invariance.values]
    else:
        changes = [np.roll(column, len(column) // 2), column[::-1].copy()]
    apart = [np.abs(model.score({**sample, invariance.feature: changed}) - before).max() for changed in changes]
    change = float(np.max(apart))  # NaN if any is
    return Changed(feature=invariance.feature, change=change if np.isfinite(change) else None)


def main(arguments: list[str]) -> int:
    """Measure as the file of the first argument orders, into that of the second."""
    order_path, result_path = map(Path, arguments)
    try:
        found = measure(Order.model_validate_json(order_path.read_bytes()))
    except SettingsError as error:
        print(error, file=sys.stderr)  # noqa: T201 - the log that the job reads
        return TOLD
    result_path.write_text(found.model_dump_json(indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
