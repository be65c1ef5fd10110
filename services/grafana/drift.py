"""Drift: which inputs moved when, what that does to scores, and whether the data is still what it was."""

from __future__ import annotations

from grafana_foundation_sdk.models.dashboard import Dashboard

from grafana.frame import HAND_OFFS, MODELS, OF, THE_ENDPOINT, build, choice
from grafana.panels import Panel, cells, lines, numbers, states
from grafana.parts import Query
from grafana.promql import most, total

DRIFT = "rendezvous_monitor_drift"
FEATURES = 'subject=~"$feature"'
LARGE = 0.99
"""As much of 1 as drift alone can make: any day's weather is far from that of two months, and no day is news."""
ACTIVE = ((0, "calm", "green"), (1, "in alarm", "red"))


def drift() -> Dashboard:
    """One endpoint's inputs and outputs against the champion's reference."""
    return build(
        "rendezvous-drift",
        "Inputs and outputs against what the champion was trained on. Drift of inputs is often harmless; what counts "
        "is whether quality follows (the models dashboard).",
        [
            THE_ENDPOINT,
            MODELS,
            choice("feature", "Feature", f'label_values({DRIFT}{{{OF},kind="input"}}, subject)', several=True),
        ],
        {"Now": _now(), "Inputs": _inputs(), "Outputs": _outputs(), "The data itself": _data()},
        [*HAND_OFFS],
        span="now-6h",
    )


def times_the_limit(kind: str, more: str, *by: str) -> str:
    """Drift of a kind, divided by where it begins to count as large."""
    return (
        f'max by ({", ".join(by)}) ({DRIFT}{{{OF},kind="{kind}"{more}}} / on (endpoint, kind) group_left '
        f"max by (endpoint, kind) (rendezvous_monitor_drift_limit{{{OF}}}))"
    )


def moved(more: str) -> str:
    """1 and more for a feature that has moved; less for one whose drift is large, and no larger than it ever was."""
    flags = most("rendezvous_monitor_drift_moved", f'{OF},kind="input"{more}', "subject")
    return f"clamp_max({times_the_limit('input', more, 'subject')}, {LARGE:g}) + on (subject) {flags}"


def _now() -> list[Panel]:
    return [
        numbers(
            "Features that moved",
            "Features whose newest window lies beyond the limit, and beyond the reference's own windows.",
            "short",
            Query(f'sum(rendezvous_monitor_drift_moved{{{OF},kind="input"}}) or vector(0)', "moved"),
            thresholds=(1, 3),
            decimals=0,
        ),
        numbers(
            "Furthest feature, times the limit",
            "The largest drift of any feature in the newest window, divided by where it counts as large.",
            "none",
            Query(f"topk(1, {times_the_limit('input', '', 'subject')})", "{{subject}}", newest=True),
            decimals=1,
        ),
        numbers(
            "In alarm",
            "Subjects in alarm now, by kind.",
            "short",
            Query(total("rendezvous_monitor_alarm_active", OF, "kind"), "{{kind}}"),
            thresholds=(1, 1),
            decimals=0,
            width=8,
        ),
        numbers(
            "Event time of the newest request",
            "Up to when the monitor has heard of requests; all drift is by windows of this time.",
            "dateTimeAsIso",
            Query(
                f"1000 * {most('rendezvous_monitor_newest_request_timestamp_seconds', OF, 'endpoint')}",
                "newest request",
            ),
            width=8,
        ),
    ]


def _inputs() -> list[Panel]:
    return [
        cells(
            "Input drift by feature and time",
            "A row for each feature, a column for each moment, by the newest window: red has moved; orange lies beyond "
            "the limit, as the reference's own windows do; yellow from half of it on.",
            Query(moved(f",{FEATURES}"), "{{subject}}"),
            width=16,
            height=12,
        ),
        states(
            "Alarms in force",
            "From an alarm until its subject is back.",
            ACTIVE,
            Query(
                most("rendezvous_monitor_alarm_active", OF, "kind", "subject", "model"),
                "{{kind}} {{subject}} {{model}}",
            ),
            width=8,
            height=12,
        ),
    ]


def _outputs() -> list[Panel]:
    these = ',model=~"$model"'
    return [
        lines(
            "Score drift",
            "PSI of each version's outputs against its own reference. Dashed: where it counts as large.",
            "none",
            Query(
                most(DRIFT, f'{OF}{these},kind="score"', "model", "version", "subject"),
                "{{model}}/{{version}} {{subject}}",
            ),
            Query(most("rendezvous_monitor_drift_limit", f'{OF},kind="score"', "kind"), "limit", limit=True),
        ),
        lines(
            "Difference to the canary",
            "Mean absolute difference of outputs to the frozen canary on the same requests. It grows without drift: "
            "look at the model, not at the data.",
            "none",
            Query(most(DRIFT, f'{OF}{these},kind="canary"', "model", "version"), "{{model}}/{{version}}"),
        ),
        lines(
            "Disagreement with the champion",
            "Mean absolute difference of outputs to the champion on the same requests.",
            "none",
            Query(most(DRIFT, f'{OF}{these},kind="disagreement"', "model", "version"), "{{model}}/{{version}}"),
        ),
    ]


def _data() -> list[Panel]:
    says = {
        "missing": ("Missing values", "Share of missing values in the newest window, less the reference's."),
        "unseen": ("Unseen categories", "Share of values that the champion's training had never seen."),
        "range": ("Out of range", "Share of numbers beyond the reference's smallest and largest."),
    }
    return [
        *(
            lines(
                title,
                f"{text} Dashed: where it counts as large.",
                "percentunit",
                Query(most(DRIFT, f'{OF},{FEATURES},kind="{kind}"', "subject"), "{{subject}}"),
                Query(most("rendezvous_monitor_drift_limit", f'{OF},kind="{kind}"', "kind"), "limit", limit=True),
                width=6,
            )
            for kind, (title, text) in says.items()
        ),
        lines(
            "Set aside",
            "Requests, features and labels that did not count, by reason.",
            "short",
            Query(most("rendezvous_monitor_set_aside", OF, "reason"), "{{reason}}"),
            width=6,
        ),
    ]
