"""Overview: all endpoints on one screen. Is anybody hurt?"""

from __future__ import annotations

from grafana_foundation_sdk.models.dashboard import Dashboard

from grafana.frame import RUNBOOK, build, choice
from grafana.panels import Panel, lines, numbers, rows, states
from grafana.parts import NEAR, Query
from grafana.promql import DEADLINE, DEFAULTED, LATE, P99, most, quantile, rate, total

OF = 'endpoint=~"$endpoint"'
UP_OR_NOT = ((0, "no", "red"), (1, "yes", "green"))
SOME = (1e-6, 1e-3)
"""None is as it should be; one in a thousand is an alarm: what is promised is an answer by the deadline."""


def overview() -> Dashboard:
    """All endpoints."""
    return build(
        "rendezvous-overview",
        "All endpoints: is anybody hurt? From here by a click to the endpoint, its models, drift and retraining.",
        [choice("endpoint", "Endpoint", "label_values(rendezvous_server_requests_total, endpoint)", several=True)],
        {
            "Is anybody hurt?": _hurt(),
            "Answers": _answers(),
            "What is wrong": _wrong(),
            "What may hurt soon": _soon(),
        },
        span="now-30m",
    )


def _hurt() -> list[Panel]:
    answers, legend = "rendezvous_server_answers_total", "{{endpoint}}"
    passed = (
        f"sum by (endpoint) ({most('rendezvous_registry_suspended_partitions', OF, 'endpoint', 'model', 'version')})"
    )
    return [
        numbers(
            "Answers a second",
            "Answers that left, by endpoint.",
            "reqps",
            Query(rate(answers, OF, "endpoint"), legend),
            decimals=1,
        ),
        numbers(
            "Late answers",
            "Share of answers that were decided after their own deadline. Every one of them hurt somebody.",
            "percentunit",
            Query(f"{LATE}{{{OF}}}", legend),
            thresholds=SOME,
            decimals=2,
        ),
        numbers(
            "Default answers",
            "Share of answers that came from no model: nobody had scored in time, or too much was in flight.",
            "percentunit",
            Query(f"{DEFAULTED}{{{OF}}}", legend),
            thresholds=SOME,
            decimals=2,
        ),
        numbers(
            "p99 latency, of the deadline",
            "The 99th percentile from append to decision, divided by the endpoint's deadline: 100 % is late.",
            "percentunit",
            Query(f"{P99}{{{OF}}} / {DEADLINE}{{{OF}}}", legend),
            thresholds=(NEAR, 1),
            decimals=0,
        ),
        numbers(
            "Passed by",
            "Partitions on which a scheduled version is passed by (auto-fallback): others answer for it.",
            "short",
            Query(f"{passed} or 0 * {most('rendezvous_endpoint_deadline_seconds', OF, 'endpoint')}", legend),
            thresholds=(1, 1),
            decimals=0,
        ),
        numbers(
            "Firing alerts",
            "Alerts that are firing now and ask for something; below all of them are by name.",
            "short",
            Query('count(ALERTS{alertstate="firing",severity!="info"}) or vector(0)', "firing"),
            thresholds=(1, 1),
            decimals=0,
        ),
    ]


def _answers() -> list[Panel]:
    return [
        lines(
            "Answers by reason",
            "PREFERRED is the schedule's first choice; DEFAULT, EXPIRED and OVERLOADED came from no model.",
            "reqps",
            Query(rate("rendezvous_server_answers_total", OF, "endpoint", "reason"), "{{endpoint}} {{reason}}"),
            width=12,
            stacked=True,
        ),
        lines(
            "p99 latency and the deadline",
            "From a request's append to its decision. Dashed: the deadline of requests that name none.",
            "s",
            Query(quantile(0.99, "rendezvous_server_latency_seconds", OF, "endpoint"), "{{endpoint}} p99"),
            Query(most("rendezvous_endpoint_deadline_seconds", OF, "endpoint"), "{{endpoint}} deadline", limit=True),
            width=12,
        ),
    ]


def _wrong() -> list[Panel]:
    alerts = most("ALERTS", OF, "alertname", "severity", "endpoint", "service", "model", "alertstate")
    return [
        rows(
            "Firing and pending alerts",
            "What each means, how to confirm it and how to mend it stands in docs/operating.md under its name.",
            [("now", "short", Query(alerts))],
            hidden=("now",),
            links={
                "alertname": (
                    RUNBOOK,
                    ("Its endpoint", "/d/rendezvous-endpoint?var-endpoint=${__data.fields.endpoint}"),
                )
            },
            width=12,
        ),
        states(
            "Services ready",
            "Whether each service does its work, as its /readyz says.",
            UP_OR_NOT,
            Query(
                f"min by (endpoint, service, model, version) (rendezvous_service_ready{{{OF}}})",
                "{{endpoint}} {{service}} {{model}} {{version}}",
            ),
        ),
    ]


def _soon() -> list[Panel]:
    legend = "{{endpoint}}"
    in_flight, room = (total(f"rendezvous_server_in_flight{more}", OF, "endpoint") for more in ("", "_limit"))
    age = most("rendezvous_monitor_label_watermark_age_seconds", OF, "endpoint")
    return [
        lines(
            "In flight, of the room",
            "Requests that hold a mailbox slot, divided by how many slots there are: at 100 % answers are OVERLOADED.",
            "percentunit",
            Query(f"{in_flight} / ({room} > 0)", legend),
            width=6,
        ),
        lines(
            "Records not read yet",
            "Lag of each service on its topics: growing means that it does not keep up.",
            "short",
            Query(total("rendezvous_kafka_lag_records", OF, "endpoint", "service", "topic"), "{{service}} {{topic}}"),
            width=6,
        ),
        lines(
            "Label watermark's age, of the label delay",
            "Event time from the newest label to the newest request, divided by the document's label_delay: far above "
            "100 % labels stay away.",
            "percentunit",
            Query(f"{age} / ({most('rendezvous_endpoint_label_delay_seconds', OF, 'endpoint')} > 0)", legend),
            width=6,
        ),
        lines(
            "Dead letters",
            "Records that could not be used, by reason.",
            "cps",
            Query(rate("rendezvous_server_dead_letters_total", OF, "endpoint", "reason"), "{{endpoint}} {{reason}}"),
            width=6,
        ),
    ]
