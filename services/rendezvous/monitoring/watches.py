"""The detectors of every version that is watched, made from its reference when they are first needed. Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from rendezvous.monitoring.concept import ConceptWatch, Crossed, statistics
from rendezvous.monitoring.drifting import DriftWatch
from rendezvous.monitoring.figures import Tally
from rendezvous.monitoring.findings import DriftKind
from rendezvous.monitoring.limits import MonitoringLimits
from rendezvous.monitoring.reference import Reference, wrong
from rendezvous.monitoring.rowwatch import RowWatch, Spoken
from rendezvous.monitoring.sheets import Judging
from rendezvous.monitoring.waiting import Pair, Waiting

WINDOWS_A_RUN = 10
"""A row detector's run length is that of blocks, times so many windows: a tenfold one costs it a fifth in delay."""
References: TypeAlias = Callable[[Pair], Reference | None]


class Watches:
    """One endpoint's detectors, by version: inputs (of champions), scores, concepts by block or by row."""

    def __init__(self, limits: MonitoringLimits, judging: Judging, references: References) -> None:
        self._limits, self._judging, self._references = limits, judging, references
        self._inputs: dict[Pair, DriftWatch] = {}
        self._scores: dict[Pair, DriftWatch] = {}
        self._concepts: dict[Pair, ConceptWatch] = {}
        self._rows: dict[Pair, RowWatch] = {}

    @property
    def left_out(self) -> int:
        """Rows that found no room among those that wait for the row detectors."""
        return sum(watch.left_out for watch in self._rows.values())

    def reference_of(self, pair: Pair | None) -> Reference | None:
        """A version's reference, if it is of such blocks."""
        reference = None if pair is None else self._references(pair)
        return None if reference is None or reference.misfit(self._limits) else reference

    def retain(self, deployed: Collection[Pair]) -> None:
        """Forget versions that are not there any more."""
        watched: Sequence[dict[Pair, Any]] = (self._inputs, self._scores, self._concepts, self._rows)
        for known in watched:
            for pair in [pair for pair in known if pair not in deployed]:
                del known[pair]

    def inputs(self, champion: Pair, reference: Reference) -> DriftWatch:
        """Of what is asked, by the champion's reference."""
        if champion not in self._inputs:
            self._inputs[champion] = self._drift(reference, scores=False)
        return self._inputs[champion]

    def scores(self, pair: Pair, reference: Reference) -> DriftWatch:
        """Of what a version says, by its own."""
        if pair not in self._scores:
            self._scores[pair] = self._drift(reference, scores=True)
        return self._scores[pair]

    def _drift(self, reference: Reference, *, scores: bool) -> DriftWatch:
        effects, levels = (
            {kind: by for kind, by in told.items() if (kind == DriftKind.SCORE) == scores}
            for told in (reference.effects, reference.levels)
        )
        length = int(self._limits.run_length)
        return DriftWatch.calibrated(effects, levels, length, independent=self._limits.independent)

    def heed(self, pair: Pair, tally: Tally) -> list[Crossed]:
        """What a version's block detectors say of a closed block; nothing where rows are looked at one by one."""
        if self._limits.independent:
            return []
        if pair not in self._concepts:
            reference = self.reference_of(pair)
            if reference is None:
                return []
            length = int(self._limits.run_length)
            self._concepts[pair] = ConceptWatch.calibrated(self._judging.kind, reference.known_quality(), length)
        return self._concepts[pair].update(statistics(self._judging.kind, tally))

    def add_rows(self, models: Sequence[Pair], waiting: Waiting, labels: NDArray[np.void]) -> None:
        """Labelled rows, for the row detectors of an owner who says that rows are independent."""
        if not self._limits.independent:
            return
        for number, pair in enumerate(models):
            usable = np.flatnonzero(np.isfinite(waiting.outputs[:, number, 0]) & np.isfinite(labels["value"]))
            if not len(usable):
                continue
            reference = self.reference_of(pair)
            if pair not in self._rows:
                known = (reference.labelled, reference.errors) if reference else (0, 0)
                self._rows[pair] = RowWatch.calibrated(*known, rows_to_a_false_alarm(self._limits))
            beyond = reference.wrong_beyond if reference else 0.0
            outputs, values = waiting.outputs[usable, number], labels["value"][usable]
            self._rows[pair].add(
                [waiting.digests[i] for i in usable.tolist()],
                waiting.asked_us[usable],
                labels["observed_us"][usable],
                wrong(self._judging.kind, outputs, values, self._judging.threshold, beyond),
                self._limits.label_delay,
            )

    def pass_rows(self, before_us: int) -> list[tuple[Pair, Spoken]]:
        """Rows whose moment lies before then go to the row detectors; the alarms that follow."""
        delay_us = self._limits.label_delay
        return [(pair, spoken) for pair, watch in self._rows.items() for spoken in watch.conclude(before_us, delay_us)]

    def to_json(self) -> dict[str, Any]:
        """All of it."""
        return {
            name: [[pair, watch.to_json()] for pair, watch in getattr(self, f"_{name}").items()]
            for name in ("inputs", "scores", "concepts", "rows")
        }

    @classmethod
    def restored(
        cls, saved: Mapping[str, Any], limits: MonitoringLimits, judging: Judging, references: References
    ) -> Self:
        """What `to_json` gave."""
        made = cls(limits, judging, references)
        made._inputs = {tuple(pair): DriftWatch.from_json(one) for pair, one in saved["inputs"]}
        made._scores = {tuple(pair): DriftWatch.from_json(one) for pair, one in saved["scores"]}
        made._concepts = {tuple(pair): ConceptWatch.from_json(judging.kind, one) for pair, one in saved["concepts"]}
        made._rows = {tuple(pair): RowWatch.from_json(one) for pair, one in saved["rows"]}
        return made


def rows_to_a_false_alarm(limits: MonitoringLimits) -> int:
    """The run length of row detectors."""
    return int(limits.run_length * limits.window * WINDOWS_A_RUN)
