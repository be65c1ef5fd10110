"""Endpoint: the flow of requests, latency against the deadline, who answers and why."""

from __future__ import annotations

from grafana_foundation_sdk.models.dashboard import Dashboard

from grafana.frame import HAND_OFFS, OF, THE_ENDPOINT, build
from grafana.panels import Panel, heat, lines, numbers, states
from grafana.parts import NEAR, Query
from grafana.promql import DEADLINE, LATE, P99, most, quantile, rate, share, total

ANSWERS = "rendezvous_server_answers_total"
LATENCY = "rendezvous_server_latency_seconds"
SLACK = "rendezvous_server_slack_seconds"
SOME, FEW_S = (1e-6, 1e-3), 0.01
PAIR = "{{model}} {{version}}"
STEP = "orange"
READY = ((0, "not ready", "red"), (1, "ready", "green"))


def endpoint() -> Dashboard:
    """One endpoint's flow."""
    return build(
        "rendezvous-endpoint",
        "One endpoint: what comes, what leaves, how long it takes against the deadline, who answers and why.",
        [THE_ENDPOINT],
        {
            "Now": _now(),
            "Latency against the deadline": _latency(),
            "Who answers, and why": _who(),
            "The flow": _flow(),
            "What is underneath": _underneath(),
        },
        [*HAND_OFFS],
        span="now-30m",
    )


def _now() -> list[Panel]:
    room = total("rendezvous_server_in_flight_limit", OF, "endpoint")
    return [
        numbers(
            "Requests a second",
            "Requests that the server took up.",
            "reqps",
            Query(rate("rendezvous_server_requests_total", OF, "endpoint"), "requests"),
            decimals=1,
        ),
        numbers(
            "Late",
            "Share of answers that were decided after their own deadline, in the last five minutes.",
            "percentunit",
            Query(f"{LATE}{{{OF}}}", "late"),
            thresholds=SOME,
            decimals=2,
        ),
        numbers(
            "First choice",
            "Share of answers that are the schedule's first choice.",
            "percentunit",
            Query(share(f'{OF},reason="preferred"', OF, ANSWERS, "endpoint"), "preferred"),
            decimals=1,
        ),
        numbers(
            "p99, of the deadline",
            "The 99th percentile from append to decision, divided by the deadline: 100 % is late.",
            "percentunit",
            Query(f"{P99}{{{OF}}} / {DEADLINE}{{{OF}}}", "p99"),
            thresholds=(NEAR, 1),
            decimals=0,
        ),
        numbers(
            "In flight, of the room",
            "Requests that hold a mailbox slot, of those that there is room for: at 100 % answers are OVERLOADED.",
            "percentunit",
            Query(f"{total('rendezvous_server_in_flight', OF, 'endpoint')} / ({room} > 0)", "in flight"),
            thresholds=(NEAR, 1),
            decimals=1,
        ),
        numbers(
            "Left out under load",
            "Share of requests that candidates, and challengers, are told to leave out.",
            "percentunit",
            Query(most("rendezvous_server_shed_share", OF, "kind"), "{{kind}}"),
            thresholds=(0.01, 1),
            decimals=0,
        ),
    ]


def _latency() -> list[Panel]:
    slow = f'{OF},le="{FEW_S}"'
    return [
        lines(
            "From append to decision",
            "Quantiles of all requests. Dashed: where each step of the schedule ends, and the deadline.",
            "s",
            *(
                Query(quantile(level, LATENCY, OF, "endpoint"), f"p{level:.0%}".rstrip("%"))
                for level in (0.5, 0.95, 0.99)
            ),
            Query(
                most("rendezvous_endpoint_step_end_seconds", OF, "step"),
                "step {{step}} ends",
                limit=True,
                color="orange",
            ),
            Query(most("rendezvous_endpoint_deadline_seconds", OF, "endpoint"), "deadline", limit=True),
            width=10,
        ),
        heat(
            "Distribution of latency",
            "How many requests took how long; what piles up at the end of a step had waited for somebody.",
            "s",
            Query(f"sum by (le) (increase({LATENCY}_bucket{{{OF}}}[$__rate_interval]))", "{{le}}"),
            width=7,
        ),
        lines(
            "Short of time",
            "Share of answers that were decided late, and with less than 10 ms left of their own deadline.",
            "percentunit",
            *(
                Query(f"{rate(f'{SLACK}_bucket', of, 'endpoint')} / {rate(f'{SLACK}_count', OF, 'endpoint')}", name)
                for of, name in ((f'{OF},le="0.0"', "late"), (slow, "less than 10 ms left"))
            ),
            width=7,
        ),
    ]


def _who() -> list[Panel]:
    return [
        lines(
            "Answers by model",
            "Who answered; default: nobody, several: a policy that combines.",
            "reqps",
            Query(rate(ANSWERS, OF, "model"), "{{model}}"),
            stacked=True,
        ),
        lines(
            "Answers by reason",
            "Why: PREFERRED is the first choice, FALLBACK another one; DEFAULT, EXPIRED, OVERLOADED, REJECTED none.",
            "reqps",
            Query(rate(ANSWERS, OF, "reason"), "{{reason}}"),
            stacked=True,
        ),
        lines(
            "Passed by",
            "Partitions on which a scheduled version is passed by, because it misses its step or fails.",
            "short",
            Query(most("rendezvous_server_suspended", OF, "model"), "{{model}}"),
        ),
    ]


def _flow() -> list[Panel]:
    return [
        lines(
            "Requests in, answers out",
            "They are one curve, as long as nobody is kept waiting.",
            "reqps",
            Query(rate("rendezvous_server_requests_total", OF, "endpoint"), "requests"),
            Query(rate(ANSWERS, OF, "endpoint"), "answers"),
            width=6,
        ),
        lines(
            "In flight, and on their way",
            "Requests that hold a mailbox slot; answers and records that the broker has not acknowledged; requests "
            "that a server skipped since it was behind, and has not come back to.",
            "short",
            Query(total("rendezvous_server_in_flight", OF, "endpoint"), "in flight"),
            Query(total("rendezvous_server_undelivered", OF, "endpoint"), "undelivered"),
            Query(total("rendezvous_server_arrears", OF, "endpoint"), "left for later"),
            width=6,
        ),
        lines(
            "What became of scores",
            "Rows of scores by fate; late: after the mailbox had closed.",
            "cps",
            Query(rate("rendezvous_server_scores_total", OF, "fate"), "{{fate}}"),
            width=6,
            stacked=True,
        ),
        lines(
            "Dead letters",
            "Records that could not be used, by reason.",
            "cps",
            Query(rate("rendezvous_server_dead_letters_total", OF, "reason"), "{{reason}}"),
            width=6,
        ),
    ]


def _underneath() -> list[Panel]:
    return [
        lines(
            "Records not read yet",
            "Lag of each service on its topics: growing means that it does not keep up.",
            "short",
            Query(total("rendezvous_kafka_lag_records", OF, "service", "topic"), "{{service}} {{topic}}"),
            width=6,
        ),
        lines(
            "The broker's round trips",
            "99th percentile of each client's requests to the broker; a consumer's has its wait for records in it.",
            "s",
            Query(
                most("rendezvous_kafka_round_trip_seconds", f'{OF},quantile="0.99"', "service", "client"),
                "{{service}} {{client}}",
            ),
            width=6,
        ),
        lines(
            "Partitions",
            "Partitions that servers own: live, or held (a take-over is under way). Dashed: what the document says.",
            "short",
            Query(total("rendezvous_server_partitions", OF, "state"), "{{state}}"),
            Query(most("rendezvous_endpoint_partitions", OF, "endpoint"), "of the document", limit=True),
            width=6,
        ),
        states(
            "Services ready",
            "Whether each service does its work, as its /readyz says.",
            READY,
            Query(f"min by (service, model, version) (rendezvous_service_ready{{{OF}}})", f"{{{{service}}}} {PAIR}"),
            width=6,
        ),
    ]
