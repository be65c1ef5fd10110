"""The monitor's reference of a new version: what was true of its data, how well a model like it does on unseen days."""

from __future__ import annotations

import numpy as np

from rendezvous.messages import Floats, Int64s
from rendezvous.monitoring.folds import unseen_scores
from rendezvous.monitoring.reference import History, Reference, make_reference
from rendezvous.retraining.tables import Table
from rendezvous.retraining.workshop import Run, Workshop


def describe(shop: Workshop, table: Table, trial: Run, split_us: int) -> Reference:
    """Of all rows, by as many runs as `folds` says; or of the trial's held-out rows.

    Raises:
        ConfinedError: a run failed.
    """
    limits, params = shop.endpoint.monitoring, shop.params
    if shop.limits.folds:
        blocks = (table.asked_us - limits.block_offset) // limits.block
        outputs = unseen_scores(blocks, len(params.outputs), _Folds(shop, table), shop.limits.folds)
    else:
        table = table.where(table.asked_us >= split_us)
        outputs = shop.answers(trial, table)
    history = History(table.asked_us, table.columns, outputs, params.outputs, table.label, table.delays_us)
    return make_reference(history, limits, params.kind)


class _Folds:
    """Trains without some rows, and has those scored: see `folds.Fit`."""

    def __init__(self, shop: Workshop, table: Table) -> None:
        self._shop = shop
        self._table = table
        self._count = 0

    def __call__(self, known: Int64s, asked: Int64s) -> Floats:
        self._count += 1
        run = self._shop.train(f"fold-{self._count}", self._rows(known))
        outputs = self._shop.answers(run, self._rows(asked))
        self._shop.discard(run)
        return outputs

    def _rows(self, rows: Int64s) -> Table:
        keep = np.zeros(len(self._table), dtype=np.bool_)
        keep[rows] = True
        return self._table.where(keep)
