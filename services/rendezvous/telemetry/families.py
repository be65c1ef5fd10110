"""How metrics are made: counters, gauges and histograms under one prefix, tables of gauges, and distributions."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

LATENCY_BUCKETS_S = (
    *(0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.03, 0.04, 0.05, 0.06, 0.08, 0.1, 0.125, 0.15, 0.2),
    *(0.25, 0.3, 0.4, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0),
)
"""Fixed, so that endpoints, and days before and after a change of rules, can be put together; how long an answer takes
against its own deadline is `slack`. Usual deadlines and ends of steps (20 to 500 ms, 1 s, 2 s) are bounds themselves,
and none is more than half as large again as the one below it from 10 ms on, up to 300 ms: a quantile that is read off
between two bounds is at most that far off."""
COARSE_BUCKETS_S = (0.005, 0.01, 0.02, 0.03, 0.05, 0.08, 0.1, 0.15, 0.2, 0.25, 0.5, 1.0, 2.0, 5.0)
"""For what is counted for each version: half as many series."""
SLACK_BUCKETS_S = (
    *(-1.0, -0.5, -0.2, -0.1, -0.05, -0.02, -0.01, -0.005, 0.0),
    *(0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0, 2.0),
)
"""Around 0, which is each request's own deadline: what is below it is exactly what was late."""
BATCH_BUCKETS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
FILE_BUCKETS_S = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)

FEW = 16
"""Values that are counted faster one by one."""

Labels = tuple[str, ...]


class Families:
    """Makes the metrics of one prefix in one registry."""

    def __init__(self, prefix: str, registry: CollectorRegistry) -> None:
        self._prefix = prefix
        self._registry = registry

    def counter(self, name: str, text: str, *labels: str) -> Counter:
        """What only grows; `name` ends in `_total`."""
        return Counter(f"{self._prefix}_{name}", text, labels, registry=self._registry)

    def gauge(self, name: str, text: str, *labels: str) -> Gauge:
        """What goes up and down."""
        return Gauge(f"{self._prefix}_{name}", text, labels, registry=self._registry)

    def histogram(self, name: str, text: str, buckets: Sequence[float]) -> Histogram:
        """How often a value was how large."""
        return Histogram(f"{self._prefix}_{name}", text, buckets=buckets, registry=self._registry)

    def table(self, name: str, text: str, *labels: str) -> Table:
        """A gauge whose rows are replaced together; a counter when `name` ends in `_total`."""
        return Table(f"{self._prefix}_{name}", text, labels, self._registry)

    def distribution(self, name: str, text: str, buckets: Sequence[float], *labels: str) -> Distribution:
        """A histogram that takes many values at once."""
        return Distribution(f"{self._prefix}_{name}", text, labels, buckets, self._registry)


class Table(Collector):
    """A gauge whose rows are replaced together: of what is gone (a retired version) no row stays behind.

    Another thread may look at any time: it sees all of the rows from before, or all of those after.
    """

    def __init__(self, name: str, text: str, labels: Labels, registry: CollectorRegistry) -> None:
        self._name, self._text, self.labels = name, text, labels
        self._rows: Callable[[], Mapping[Labels, float]] = dict
        registry.register(self)

    def show(self, rows: Mapping[Labels, float]) -> None:
        """The rows from now on, by the labels' values."""
        kept = dict(rows)
        self._rows = lambda: kept

    def ask(self, rows: Callable[[], Mapping[Labels, float]]) -> None:
        """The rows are made when somebody looks, in the thread of whoever looks."""
        self._rows = rows

    def describe(self) -> Iterable[Metric]:
        """For the registry: the name without its rows."""
        return [self._family()]

    def _family(self) -> GaugeMetricFamily | CounterMetricFamily:
        kind = CounterMetricFamily if self._name.endswith("_total") else GaugeMetricFamily
        return kind(self._name, self._text, labels=self.labels)

    def collect(self) -> Iterator[Metric]:
        """The rows as they are now."""
        family = self._family()
        for labels, value in self._rows().items():
            family.add_metric(labels, value)
        yield family


class Distribution(Collector):
    """A histogram for whoever has many values at once; one thread writes, any may look.

    prometheus-client takes one value at a time: with its lock and its walk through the buckets 3 us each, where an
    array of a hundred takes 15 us here.
    """

    def __init__(
        self, name: str, text: str, labels: Labels, buckets: Sequence[float], registry: CollectorRegistry
    ) -> None:
        self._name, self._text, self.labels = name, text, labels
        self._bounds = tuple(buckets)
        self._edges = np.array(buckets, np.float64)
        self._counts: dict[Labels, NDArray[np.int64]] = {}
        self._sums: dict[Labels, float] = {}
        if not labels:
            self._begin(())
        registry.register(self)

    def _begin(self, labels: Labels) -> NDArray[np.int64]:
        self._sums.setdefault(labels, 0.0)
        return self._counts.setdefault(labels, np.zeros(len(self._bounds) + 1, np.int64))

    def observe(self, value: float, labels: Labels = ()) -> None:
        """Count one value."""
        counts = self._counts.get(labels)
        counts = self._begin(labels) if counts is None else counts
        counts[bisect_left(self._bounds, value)] += 1
        self._sums[labels] += value

    def observe_all(self, values: NDArray[np.float64], labels: Labels = ()) -> None:
        """Count many: float64 [values], seconds or whatever the name says."""
        if len(values) < FEW:
            for value in values.tolist():
                self.observe(value, labels)
            return
        counts = self._counts.get(labels)
        counts = self._begin(labels) if counts is None else counts
        places = self._edges.searchsorted(values)
        counts += np.bincount(places, minlength=len(counts))
        self._sums[labels] += float(values.sum())

    def observe_columns(self, values: NDArray[np.float64], labels: Sequence[Labels]) -> None:
        """Count float64 [rows, columns], each column under its own labels; what is below 0 is none."""
        width = len(self._bounds) + 1
        there = values >= 0
        places = (self._edges.searchsorted(values) + width * np.arange(len(labels)))[there]
        counts = np.bincount(places, minlength=width * len(labels)).reshape(len(labels), width)
        sums = np.where(there, values, 0).sum(axis=0).tolist()
        for column in np.flatnonzero(counts.any(axis=1)).tolist():
            known = self._counts.get(labels[column])
            known = self._begin(labels[column]) if known is None else known
            known += counts[column]
            self._sums[labels[column]] += sums[column]

    def retain(self, labels: Collection[Labels]) -> None:
        """Forget all others."""
        for gone in [known for known in self._counts if known not in labels]:
            del self._counts[gone], self._sums[gone]

    def describe(self) -> Iterable[Metric]:
        """For the registry: the name without its rows."""
        return [HistogramMetricFamily(self._name, self._text, labels=self.labels)]

    def collect(self) -> Iterator[Metric]:
        """The counts as they are now."""
        family = HistogramMetricFamily(self._name, self._text, labels=self.labels)
        names = [*(str(float(bound)) for bound in self._bounds), "+Inf"]
        for labels, counts in list(self._counts.items()):
            named, upto = dict(zip(self.labels, labels, strict=True)), np.cumsum(counts).tolist()
            for name, count in zip(names, upto, strict=True):
                family.add_sample(f"{self._name}_bucket", {**named, "le": name}, count)
            # the library's own way to add leaves these out where a bound is below 0
            family.add_sample(f"{self._name}_count", named, upto[-1])
            family.add_sample(f"{self._name}_sum", named, self._sums.get(labels, 0.0))
        yield family
