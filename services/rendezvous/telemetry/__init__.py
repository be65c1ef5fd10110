"""Every metric of every service, each with a line for the operator; and the pages /metrics, /healthz, /readyz.

One module a service. Base units (seconds, bytes), `_total` for counters, and no label whose values an outsider chooses:
models and versions are the registry's, features the endpoint's, topics and brokers the cluster's. `listing` has them
all, and writes docs/metrics.md.
"""

from rendezvous.telemetry.archiver import ArchiverMetrics
from rendezvous.telemetry.client import ClientMetrics
from rendezvous.telemetry.crew import CrewMetrics
from rendezvous.telemetry.endpoint import EndpointMetrics
from rendezvous.telemetry.kafka import KafkaMetrics
from rendezvous.telemetry.monitor import MonitorMetrics
from rendezvous.telemetry.pages import STALLED_AFTER_S, Telemetry
from rendezvous.telemetry.registry import RegistryMetrics
from rendezvous.telemetry.retrainer import RetrainerMetrics
from rendezvous.telemetry.scorer import ScorerMetrics
from rendezvous.telemetry.server import ServerMetrics
from rendezvous.telemetry.service import RedisMetrics, ServiceMetrics

__all__ = [
    "STALLED_AFTER_S",
    "ArchiverMetrics",
    "ClientMetrics",
    "CrewMetrics",
    "EndpointMetrics",
    "KafkaMetrics",
    "MonitorMetrics",
    "RedisMetrics",
    "RegistryMetrics",
    "RetrainerMetrics",
    "ScorerMetrics",
    "ServerMetrics",
    "ServiceMetrics",
    "Telemetry",
]
