"""Models side by side: quality once labels have come, evidence against the champion, latency, misses."""

from __future__ import annotations

from grafana_foundation_sdk.models.dashboard import Dashboard

from grafana.frame import HAND_OFFS, MODELS, OF, THE_ENDPOINT, build, choice
from grafana.panels import Panel, lines, rows
from grafana.parts import Query
from grafana.promql import most, quantile, rate

THESE = f'{OF},model=~"$model"'
LEGEND = "{{model}}/{{version}}"
MISSED = 'outcome=~"late|none|failed"'
CONTEST = "rendezvous_monitor_contest_difference"


def models() -> Dashboard:
    """Versions of one endpoint beside each other."""
    return build(
        "rendezvous-models",
        "Versions side by side: how good they are as far as labels have come, what speaks for and against a change of "
        "champion, how fast they are, and what they miss.",
        [
            THE_ENDPOINT,
            MODELS,
            choice("metric", "Figure", f"label_values(rendezvous_monitor_accuracy{{{OF}}}, metric)"),
        ],
        {
            "Who is what": _table(),
            "Quality, as labels come": _quality(),
            "Evidence against the champion": _evidence(),
            "Latency and misses": _speed(),
        },
        [*HAND_OFFS],
        span="now-6h",
    )


def _table() -> list[Panel]:
    pair = ("model", "version")
    closed = f'{THESE},stage="closed"'
    compared = rate("rendezvous_server_compared_total", THESE, *pair, span="5m")
    in_time = rate("rendezvous_server_compared_total", f'{THESE},outcome="in_time"', *pair, span="5m")
    state = most("rendezvous_registry_version_info", THESE, *pair, "state")
    return [
        rows(
            "Versions",
            "All that are deployed. In time: by the end of its first step; a candidate has none, it only has to score. "
            "Figures are of the newest closed block; evidence is the decimal logarithm of the e-value.",
            [
                (
                    "deployed",
                    "dateTimeAsIso",
                    Query(
                        f"1000 * max by (model, version) (rendezvous_registry_deployed_timestamp_seconds{{{THESE}}}) "
                        f"* on (model, version) group_left (state) {state}"
                    ),
                ),
                ("in time", "percentunit", Query(f"{in_time} / {compared}")),
                (
                    "p99 latency",
                    "s",
                    Query(quantile(0.99, "rendezvous_server_model_latency_seconds", THESE, *pair, span="5m")),
                ),
                ("$metric", "none", Query(most("rendezvous_monitor_accuracy", f'{closed},metric="$metric"', *pair))),
                ("labelled", "short", Query(most("rendezvous_monitor_accuracy_labelled", closed, *pair))),
                (
                    "better than champion",
                    "none",
                    Query(most("rendezvous_monitor_evidence_log10", f'{THESE},direction="better"', *pair)),
                ),
                (
                    "worse than champion",
                    "none",
                    Query(most("rendezvous_monitor_evidence_log10", f'{THESE},direction="worse"', *pair)),
                ),
            ],
            width=16,
        ),
        rows(
            "Aliases",
            "What each alias names now.",
            [("now", "short", Query(most("rendezvous_registry_alias_info", OF, "alias", "model", "version")))],
            hidden=("now",),
            width=8,
        ),
    ]


def _quality() -> list[Panel]:
    figure = 'metric="$metric"'
    return [
        lines(
            "$metric of the newest closed block",
            "Labels have had their time: what detectors see. Dashed: a floor of the owner's, where there is one.",
            "none",
            Query(most("rendezvous_monitor_accuracy", f'{THESE},{figure},stage="closed"', "model", "version"), LEGEND),
            Query(most("rendezvous_endpoint_accuracy_floor", f"{OF},{figure}", "model", "worse"), "floor", limit=True),
        ),
        lines(
            "$metric, provisional",
            "Of the newest block, whose labels still come: early ones are not like the others.",
            "none",
            Query(
                most("rendezvous_monitor_accuracy", f'{THESE},{figure},stage="provisional"', "model", "version"), LEGEND
            ),
        ),
        lines(
            "Labels: coverage and delay",
            "Share of the newest blocks' requests with a label.",
            "percentunit",
            Query(
                f"avg by (stage) (rendezvous_monitor_label_coverage_ratio{{{OF}}})",
                "coverage, {{stage}}",
            ),
            width=4,
        ),
        lines(
            "Label delay",
            "From request to label in the newest closed block. Dashed: label_delay, for which a block waits.",
            "s",
            Query(most("rendezvous_monitor_label_delay_seconds", OF, "quantile"), "quantile {{quantile}}"),
            Query(most("rendezvous_endpoint_label_delay_seconds", OF, "endpoint"), "label_delay", limit=True),
            width=4,
        ),
    ]


def _evidence() -> list[Panel]:
    return [
        lines(
            "Evidence (log10 of the e-value)",
            "That a version is better, or worse, than the champion on the same requests: 1.3 is one in 20 by chance. "
            "Dashed: where the owner's rules decide.",
            "none",
            Query(
                most("rendezvous_monitor_evidence_log10", THESE, "model", "version", "direction"),
                f"{LEGEND} {{{{direction}}}}",
            ),
            Query(most("rendezvous_endpoint_evidence_limit_log10", OF, "rule"), "{{rule}}", limit=True),
            width=12,
        ),
        lines(
            "Difference to the champion",
            "A version's figure less the champion's on the same labelled requests, with its 95 % interval by blocks. "
            "A smaller Brier score is better: below 0 is good.",
            "none",
            *(
                Query(
                    most(CONTEST, f'{THESE},metric="brier",bound="{bound}"', "model", "version"),
                    f"{LEGEND} {name}",
                )
                for bound, name in (("value", "Brier"), ("low", "low"), ("high", "high"))
            ),
            width=12,
        ),
    ]


def _speed() -> list[Panel]:
    pair = ("model", "version")
    whole = rate("rendezvous_server_compared_total", THESE, *pair)
    missed = rate("rendezvous_server_compared_total", f"{THESE},{MISSED}", *pair)
    return [
        lines(
            "p99 from append to score",
            "Late scores too. Dashed: the end of each scheduled version's first step.",
            "s",
            Query(quantile(0.99, "rendezvous_server_model_latency_seconds", THESE, *pair), LEGEND),
            Query(most("rendezvous_endpoint_model_due_seconds", THESE, *pair), f"{LEGEND} due", limit=True),
        ),
        lines(
            "Misses",
            "Share of requests without a version's score in time: late, none, or failed. Dashed: who misses, "
            "or fails, so often is passed by.",
            "percentunit",
            Query(f"({missed} or 0 * {whole}) / {whole}", LEGEND),
            Query(most("rendezvous_endpoint_missed_limit_ratio", OF, "endpoint"), "passed by (missed)", limit=True),
        ),
        lines(
            "Time in the model",
            "99th percentile of a micro-batch, by the scorer's own clock.",
            "s",
            Query(quantile(0.99, "rendezvous_scorer_batch_seconds", THESE, *pair), LEGEND),
            width=4,
        ),
        lines(
            "Processor",
            "Cores that each scorer uses.",
            "none",
            Query(rate("process_cpu_seconds_total", f'{THESE},service="scorer"', *pair), LEGEND),
            width=4,
        ),
    ]
