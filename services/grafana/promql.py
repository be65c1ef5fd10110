"""The few shapes of expression that panels are made of."""

from __future__ import annotations

INTERVAL = "$__rate_interval"
"""Grafana's: four scrapes at least, more where a pixel is longer."""

LATE = "endpoint:rendezvous_late:ratio_rate5m"
DEFAULTED = "endpoint:rendezvous_default:ratio_rate5m"
P99 = "endpoint:rendezvous_latency_seconds:p99_5m"
DEADLINE = "endpoint:rendezvous_deadline_seconds:max"
"""Recorded by services/prometheus/rules/recording.yml: what alerts ask too."""


def rate(metric: str, of: str, *by: str, span: str = INTERVAL) -> str:
    """Increase a second of a counter's series that `of` selects, summed by labels."""
    return f"sum by ({', '.join(by)}) (rate({metric}{{{of}}}[{span}]))"


def share(part: str, whole: str, metric: str, *by: str, span: str = "5m") -> str:
    """What the selector `part` counts of what `whole` does; 0 where there is none of it yet."""
    total = rate(metric, whole, *by, span=span)
    return f"({rate(metric, part, *by, span=span)} or 0 * {total}) / {total}"


def quantile(level: float, histogram: str, of: str, *by: str, span: str = INTERVAL) -> str:
    """A quantile of a histogram; `histogram` without `_bucket`."""
    return f"histogram_quantile({level:g}, {rate(f'{histogram}_bucket', of, *by, 'le', span=span)})"


def most(metric: str, of: str, *by: str) -> str:
    """The largest by labels: for what several servers say alike."""
    return f"max by ({', '.join(by)}) ({metric}{{{of}}})"


def total(metric: str, of: str, *by: str) -> str:
    """The sum by labels."""
    return f"sum by ({', '.join(by)}) ({metric}{{{of}}})"
