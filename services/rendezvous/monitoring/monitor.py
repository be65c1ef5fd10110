"""The monitor's core: comparisons, features and labels in, findings out; a pure function of the streams. Pure.

One clock: event time. The watermark is the largest time heard of, less `lateness`. A block's traffic is complete when
the watermark has reached its end, and the block closes when the watermark has passed its end and `label_delay`, with
exactly the labels that were observed by then. All that is kept is counts and exact sums. So neither the order of
arrival (within `lateness`), nor how requests come in batches, nor a restart changes a closed block or an alarm.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from rendezvous.messages import Comparisons, FeatureColumns, Finding, Int64s, Label
from rendezvous.monitoring.blocks import SOURCES, Block, Calendar, groups
from rendezvous.monitoring.conclusions import Conclusions
from rendezvous.monitoring.figures import Kind
from rendezvous.monitoring.histograms import Histogram
from rendezvous.monitoring.limits import MonitoringLimits
from rendezvous.monitoring.pending import Pending, digests_of
from rendezvous.monitoring.seen import Seen
from rendezvous.monitoring.sheets import Judging
from rendezvous.monitoring.standing import rounds, take
from rendezvous.monitoring.traffic import ModelTraffic, Traffic, is_ok
from rendezvous.monitoring.unseen import Unseen
from rendezvous.monitoring.waiting import LABEL, Pair, Waiting, unpacked
from rendezvous.monitoring.watches import References
from rendezvous.registry.state import Control

AHEAD_US = 60_000_000
"""A time so far beyond the record's own append is a clock's fault: believed, it would close every block at once."""
AHEAD_BLOCKS = 64
"""Blocks beyond the newest request, of which features are counted."""
NEVER_US = -(1 << 62)


class Monitor:
    """One endpoint's monitor.

    Args:
        limits: `[monitoring]` of the endpoint.
        kind: of its output.
        pending: where requests wait for labels; exactly as it was at the snapshot that is gone on from.
        reference_of: what was true when a version was trained, None where that is not known.
    """

    def __init__(self, limits: MonitoringLimits, kind: Kind, pending: Pending, reference_of: References) -> None:
        self._limits, self._pending, self._reference_of = limits, pending, reference_of
        self._calendar = Calendar.of(limits)
        self._judging = Judging(kind, limits.threshold)
        self._control = Control()
        self._heard_us = NEVER_US
        self.newest_request_us: int | None = None
        """The largest time of a request; `newest_label_us`: of a label. None before this process heard of one."""
        self.newest_label_us: int | None = None
        self._compared, self._observed = Seen(), Seen()
        self._axes: list[tuple[tuple[Pair, ...], int]] = []
        self._blocks: dict[int, Block] = {}
        self._unseen = Unseen()
        self._conclusions = Conclusions(limits, self._judging, reference_of)
        self._counts: Counter[str] = Counter()

    @property
    def watermark_us(self) -> int | None:
        """How far requests and labels are known; None before the first."""
        return None if self._heard_us == NEVER_US else self._heard_us - self._limits.lateness

    @property
    def counts(self) -> Mapping[str, int]:
        """What was set aside, by reason, since the beginning.

        repeated_comparisons, repeated_features: rows that had come before. late_requests, late_features: rows of blocks
        that were over. future_requests, future_labels: whose time was ahead of their append. repeated_labels,
        contradictory_labels: requests' further labels, and requests whose labels differ. unknown_labels: of requests
        never seen. forgotten_labels: of blocks too old to be corrected. quarantined_labels: of sources with too large a
        share. left_out_rows: see `RowWatch`.
        """
        return {
            **self._counts,
            "unknown_labels": self._unseen.lost,
            "quarantined_labels": self._conclusions.quarantined,
            "left_out_rows": self._conclusions.watches.left_out,
        }

    @property
    def faults(self) -> tuple[str, ...]:
        """Why versions are not watched as they could be, in words for the operator."""
        return tuple(
            f"{'/'.join(pair)}: {fault}"
            for pair in self._control.deployed
            if (reference := self._reference_of(pair)) is not None
            and (fault := reference.misfit(self._limits)) is not None
        )

    def controlled(self, control: Control) -> None:
        """Who is champion and canary for blocks that begin from here on, and which versions are there."""
        self._control = control
        champions = {block.champion for block in self._blocks.values()} | {self._alias(self._limits.champion)}
        self._conclusions.retain(control.deployed, champions)

    def compared(self, partition: int, comparisons: Comparisons) -> None:
        """What models said of requests; repeats are dropped by (partition, offset)."""
        fresh = np.flatnonzero(self._compared.fresh(partition, comparisons.offsets))
        self._counts["repeated_comparisons"] += len(comparisons.offsets) - len(fresh)
        asked = np.where(comparisons.asked_us > 0, comparisons.asked_us, comparisons.appended_us)
        sane = asked[fresh] <= comparisons.appended_us[fresh] + AHEAD_US
        self._counts["future_requests"] += len(fresh) - int(np.count_nonzero(sane))
        fresh = fresh[sane]
        if not len(fresh):
            return
        ok, asked = is_ok(comparisons)[fresh], asked[fresh]
        outputs = np.where(ok[:, :, None], comparisons.outputs[fresh], np.float32(np.nan)).astype(np.float32)
        models = tuple(zip(comparisons.models, comparisons.versions, strict=True))
        for number, rows in groups(self._calendar.numbers(asked)):
            block = self._block(number)
            if block is None or block.ended:
                self._counts["late_requests"] += len(rows)
                continue
            for pair in models:
                self._expect(block.traffic, pair)
            latencies = comparisons.latencies_us[fresh[rows]]
            block.traffic.add_scores(models, ok[rows], outputs[rows], latencies)
        digests = digests_of([comparisons.request_ids[i] for i in fresh.tolist()])
        Waiting.of(digests, self._axis(models, outputs.shape[2]), asked, outputs).keep(self._pending)
        self._hear(asked)
        self.newest_request_us = max(self.newest_request_us or 0, int(asked.max()))
        self._judge(*self._unseen.take(digests))

    def saw(self, partition: int, columns: FeatureColumns) -> None:
        """What models saw of requests; repeats are dropped by (partition, offset)."""
        fresh = np.flatnonzero(self._observed.fresh(partition, columns.offsets))
        self._counts["repeated_features"] += len(columns.offsets) - len(fresh)
        for number, rows in groups(self._calendar.numbers(columns.asked_us[fresh])) if len(fresh) else ():
            block = self._block(number)
            if block is None or block.ended:
                self._counts["late_features"] += len(rows)
            else:
                block.traffic.add_inputs(columns, fresh[rows])

    def labelled(self, labels: Sequence[Label], appended_us: Int64s) -> None:
        """What turned out to be true; appended_us: int64 [labels], when each was written to its topic."""
        observed = np.array([label.observed_us for label in labels], np.int64)
        sane = np.flatnonzero(observed <= appended_us + AHEAD_US)
        self._counts["future_labels"] += len(labels) - len(sane)
        if not len(sane):
            return
        chosen = [labels[i] for i in sane.tolist()]
        told = np.zeros(len(chosen), LABEL)
        told["observed_us"] = observed[sane]
        told["value"] = [np.nan if label.value is None else label.value for label in chosen]
        told["source"] = self._sources(chosen)
        self._hear(told["observed_us"])
        self.newest_label_us = max(self.newest_label_us or 0, int(told["observed_us"].max()))
        self._judge(digests_of([label.request_id for label in chosen]), told)

    def passed(self, now_us: int) -> None:
        """Nothing of before then will come any more: the time-out of an endpoint that nobody asks."""
        self._heard_us = max(self._heard_us, now_us)

    def conclude(self) -> list[Finding]:
        """What follows from all that was heard, and was not said before."""
        if self.watermark_us is None:
            return []
        findings = self._conclusions.draw(self._blocks, self.watermark_us)
        first = min(self._blocks, default=None)
        self._unseen.expire(self.watermark_us - self._limits.lateness)
        if first is not None:
            self._pending.expire(self._calendar.start_us(first))
        return findings

    def _judge(self, digests: list[bytes], labels: NDArray[np.void]) -> None:
        for turn in rounds(digests):
            asked = [digests[i] for i in turn.tolist()]
            rows = self._pending.find(asked)
            lost = [i for i, row in enumerate(rows) if not row]
            self._unseen.keep([asked[i] for i in lost], labels[turn[np.array(lost, np.int64)]])
            places = {digest: int(place) for digest, place in zip(asked, turn, strict=True)}
            for waiting in unpacked(asked, rows, [(len(models), width) for models, width in self._axes]):
                self._stand(waiting, labels[[places[digest] for digest in waiting.digests]])

    def _stand(self, waiting: Waiting, labels: NDArray[np.void]) -> None:
        models, _ = self._axes[waiting.axis]
        taken = take(waiting, labels, self._calendar, models)
        self._counts["repeated_labels"] += taken.again
        self._counts["contradictory_labels"] += taken.contradicted
        waiting.keep(self._pending)
        for change in taken.changes:
            block = self._blocks.get(change.block)
            if block is None:
                self._counts["forgotten_labels"] += len(change.rows.values)
            elif change.in_time:
                block.count(change.source, change.rows, back=change.back)
            else:
                block.amend(change.source, change.rows, back=change.back)
        self._conclusions.watches.add_rows(models, waiting, labels)

    def _hear(self, times_us: Int64s) -> None:
        self._heard_us = max(self._heard_us, int(times_us.max()))

    def _block(self, number: int) -> Block | None:
        """A block, made when its first request is heard of; None when that is too late, or too far ahead."""
        if number not in self._blocks:
            if self._conclusions.over(number) or self._too_far(number):
                return None
            champion, canary = self._alias(self._limits.champion), self._alias(self._limits.canary)
            traffic = Traffic(champion, canary)
            reference = self._conclusions.watches.reference_of(champion)
            if reference is not None:
                traffic.inputs = {name: Histogram(sketch.histogram.bins) for name, sketch in reference.features.items()}
            self._blocks[number] = Block(number, self._judging, traffic)
        return self._blocks[number]

    def _too_far(self, number: int) -> bool:
        """Whether a block lies too far ahead: features come before their requests are compared, but not by years."""
        ahead_us = self._calendar.start_us(number) - self._heard_us
        return self._heard_us != NEVER_US and ahead_us > AHEAD_BLOCKS * self._limits.block

    def _expect(self, traffic: Traffic, pair: Pair) -> None:
        """A version's part of a block's traffic, with histograms where its reference says how to count."""
        if pair in traffic.models:
            return
        reference = self._conclusions.watches.reference_of(pair)
        outputs = {} if reference is None else reference.outputs
        histograms = {name: Histogram(sketch.histogram.bins) for name, sketch in outputs.items()}
        traffic.models[pair] = ModelTraffic(outputs=histograms)

    def _alias(self, name: str) -> Pair | None:
        return self._control.aliases.get(name)

    def _axis(self, models: tuple[Pair, ...], width: int) -> int:
        axis = (models, width)
        if axis not in self._axes:
            self._axes.append(axis)
        return self._axes.index(axis)

    def _sources(self, labels: Sequence[Label]) -> list[int]:
        """Of each label; all are one where no source has a limit."""
        if self._limits.source_share >= 1:
            return [0] * len(labels)
        known = {label.source for label in labels}
        numbers = {name: blake2b(name.encode(), digest_size=1).digest()[0] % SOURCES for name in known}
        return [numbers[label.source] for label in labels]

    def snapshot(self) -> bytes:
        """Everything but the pending store's rows."""
        return json.dumps(
            {
                "heard_us": self._heard_us,
                "compared": self._compared.to_json(),
                "observed": self._observed.to_json(),
                "axes": self._axes,
                "blocks": [block.to_json() for block in self._blocks.values()],
                "unseen": self._unseen.to_json(),
                "conclusions": self._conclusions.to_json(),
                "counts": dict(self._counts),
            }
        ).encode()

    @classmethod
    def restored(
        cls, saved: bytes, limits: MonitoringLimits, kind: Kind, pending: Pending, reference_of: References
    ) -> Self:
        """What `snapshot` gave; `controlled` is to be called before anything else."""
        told: Mapping[str, Any] = json.loads(saved)
        made = cls(limits, kind, pending, reference_of)
        made._heard_us = told["heard_us"]
        made._compared, made._observed = Seen.from_json(told["compared"]), Seen.from_json(told["observed"])
        made._axes = [(tuple((model, version) for model, version in models), width) for models, width in told["axes"]]
        made._blocks = {one["number"]: Block.from_json(made._judging, one) for one in told["blocks"]}
        made._unseen = Unseen.from_json(told["unseen"])
        made._conclusions = Conclusions.restored(told["conclusions"], limits, made._judging, reference_of)
        made._counts = Counter(told["counts"])
        return made
