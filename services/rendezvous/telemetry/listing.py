"""All metrics of all services, as docs/metrics.md lists them: `python -m rendezvous.telemetry.listing`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from rendezvous import telemetry
from rendezvous.telemetry.families import Distribution, Table

WHO: dict[str, Callable[[CollectorRegistry], object]] = {
    "every service": telemetry.ServiceMetrics,
    "server": telemetry.ServerMetrics,
    "server: the registry": telemetry.RegistryMetrics,
    "server: the endpoint's limits": telemetry.EndpointMetrics,
    "scorer": telemetry.ScorerMetrics,
    "scorers": telemetry.CrewMetrics,
    "archiver": telemetry.ArchiverMetrics,
    "monitor": telemetry.MonitorMetrics,
    "retrainer": telemetry.RetrainerMetrics,
    "server, scorer, archiver, retrainer: their Kafka clients (monitor: lag and brokers)": telemetry.KafkaMetrics,
    "server, monitor: Redis": telemetry.RedisMetrics,
    "client": telemetry.ClientMetrics,
}
"""Who shows what."""


@dataclass(frozen=True, slots=True)
class Listed:
    """One metric: its name as queries use it (`_bucket`, `_sum`, `_count` follow a histogram's), kind, labels, line."""

    name: str
    kind: str
    labels: tuple[str, ...]
    text: str


def listed(kind: Callable[[CollectorRegistry], object]) -> list[Listed]:
    """What a class of metrics shows, in its own order."""
    return [_listed(metric) for name, metric in vars(kind(CollectorRegistry())).items() if not name.startswith("_")]


def _listed(metric: object) -> Listed:
    match metric:
        case Table() | Distribution():
            (family,) = metric.describe()
            labels = metric.labels
        case Counter() | Gauge() | Histogram():
            (family,) = metric.describe()
            labels = tuple(metric._labelnames)  # noqa: SLF001 - the library has no other way to ask
        case _:
            raise TypeError(f"{metric!r} is no metric")
    name = f"{family.name}_total" if family.type == "counter" else family.name
    return Listed(name, family.type, labels, family.documentation)


def table() -> str:
    """Markdown."""
    lines = []
    for who, kind in WHO.items():
        lines += [f"**{who[0].upper()}{who[1:]}**", "", "| metric | kind | says |", "| --- | --- | --- |"]
        for one in listed(kind):
            labels = f"{{{', '.join(one.labels)}}}" if one.labels else ""
            lines.append(f"| `{one.name}{labels}` | {one.kind} | {one.text.replace('|', '/')} |")
        lines.append("")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.stdout.write(table())
