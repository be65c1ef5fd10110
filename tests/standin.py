"""A small core in the place of the monitor's: counts errors of each model by block, with the same promises."""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from rendezvous.messages import Comparisons, FeatureColumns, Finding, Label, Status
from rendezvous.monitoring.findings import Accuracy, Drift, DriftKind, Span, Stage
from rendezvous.monitoring.pending_redis import Mark, RedisPending
from rendezvous.monitoring.starting import run
from rendezvous.registry.state import Control
from rendezvous.settings import Endpoint, load_endpoint
from rendezvous.telemetry import Telemetry

FIXED = 1 << 32


class Counting:
    """Counts: for each block and model the requests, the labelled ones, and the sum of absolute errors."""

    def __init__(self, endpoint: Endpoint, pending: RedisPending, kept: bytes) -> None:
        self._limits = endpoint.monitoring
        self._pending = pending
        state = json.loads(kept) if kept else {}
        self._newest_us: int = state.get("newest_us", -1)
        self._next: int | None = state.get("next")
        self._windows: int = state.get("windows", 0)
        self._done: list[int] = state.get("done", [])
        self._sums: dict[str, list[int]] = state.get("sums", {})
        self._said: list[Finding] = []

    @property
    def watermark_us(self) -> int:
        """The newest time, less the lateness."""
        return self._newest_us - self._limits.lateness

    def ruled(self, control: Control) -> None:
        """It does not matter who is champion."""

    def observed(self, partition: int, columns: FeatureColumns) -> None:
        """One finding for each record, so that order shows."""
        self._windows += 1
        self._said.append(
            Drift(
                DriftKind.INPUT,
                "",
                "",
                self._windows,
                int(columns.asked_us.min()),
                int(columns.asked_us.max()),
                len(columns.offsets),
                ("x",),
                (float(np.nansum(columns.numbers, dtype=np.float64)),),
                (float(partition),),
                (False,),
            )
        )

    def compared(self, partition: int, comparisons: Comparisons) -> None:  # noqa: ARG002 - ids are enough here
        """Keep them for their labels."""
        axis = tuple(zip(comparisons.models, comparisons.versions, strict=True))
        outputs = np.where((comparisons.statuses == Status.OK)[:, :, None], comparisons.outputs, np.float32("nan"))
        self._pending.put(comparisons.request_ids, comparisons.asked_us, axis, outputs)
        blocks, counts = np.unique(comparisons.asked_us // self._limits.block, return_counts=True)
        for block, count in zip(blocks.tolist(), counts.tolist(), strict=True):
            for model, version in axis:
                self._sum(block, model, version)[0] += count
        self._passed(int(comparisons.asked_us.max()))

    def labelled(self, labels: Sequence[Label]) -> None:
        """Count the first label of each; a later one that says something else stands instead."""
        ids = [label.request_id for label in labels]
        known = dict(zip(ids, self._pending.find(ids), strict=True))
        marks: dict[str, Mark] = {one: found.mark for one, found in known.items() if found and found.mark}
        for label in labels:
            found, before = known[label.request_id], marks.get(label.request_id)
            if found is not None and (before is None or before.observed_us < label.observed_us):
                marks[label.request_id] = mark = Mark(label.value, label.observed_us, label.source)
                for row, (model, version) in enumerate(found.axis):
                    sums = self._sum(found.asked_us // self._limits.block, model, version)
                    output = float(found.outputs[row, 0])
                    for said, sign in ((before, -1), (mark, 1)):
                        if said is not None and said.value is not None and output == output:  # noqa: PLR0124 - no NaN
                            sums[1] += sign
                            sums[2] += sign * round(abs(said.value - output) * FIXED)
            self._passed(label.observed_us)
        self._pending.mark(list(marks), list(marks.values()))

    def results(self) -> list[Finding]:
        """What was said since the last time."""
        said, self._said = self._said, []
        return said

    def snapshot(self) -> bytes:
        """As JSON."""
        return json.dumps(
            {
                "newest_us": self._newest_us,
                "next": self._next,
                "windows": self._windows,
                "done": self._done,
                "sums": self._sums,
            }
        ).encode()

    def _sum(self, block: int, model: str, version: str) -> list[int]:
        return self._sums.setdefault(f"{block} {model} {version}", [0, 0, 0])

    def _passed(self, time_us: int) -> None:
        self._newest_us = max(self._newest_us, time_us)
        closed = (self.watermark_us - self._limits.label_delay) // self._limits.block
        if closed == self._next:
            return
        self._next = closed
        for key, (requests, labelled, total) in sorted(self._sums.items()):
            block, model, version = key.split()
            if int(block) < closed and int(block) not in self._done:
                start_us, end_us = int(block) * self._limits.block, (int(block) + 1) * self._limits.block
                mean = total / FIXED / max(1, labelled)
                self._said.append(
                    Accuracy(
                        model,
                        version,
                        Span.BLOCK,
                        int(block),
                        0,
                        Stage.CLOSED,
                        start_us,
                        end_us,
                        requests,
                        labelled,
                        0,
                        -1,
                        -1,
                        self.watermark_us,
                        ("mae",),
                        (mean,),
                    )
                )
        blocks = {int(key.split()[0]) for key in self._sums}
        self._done += sorted(block for block in blocks if block < closed and block not in self._done)
        self._pending.expire(self.watermark_us - 40 * self._limits.block)


def main() -> None:
    """Run as a process: HOME ENDPOINT PORT, addresses from the environment."""
    logging.basicConfig(level="INFO", format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    home, name, port = sys.argv[1:]
    telemetry = Telemetry()
    telemetry.serve("127.0.0.1", int(port))
    endpoint = load_endpoint(name, Path(home))
    run(os.environ["KAFKA_BOOTSTRAP_SERVERS"], os.environ["REDIS_URL"], endpoint, Counting, telemetry)


if __name__ == "__main__":
    main()
