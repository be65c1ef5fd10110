"""Retraining: what holds, what is under way, what a candidate has shown, and who took over when."""

from __future__ import annotations

from grafana_foundation_sdk.models.dashboard import Dashboard

from grafana.frame import HAND_OFFS, MODELS, OF, RETRAINED, THE_ENDPOINT, build
from grafana.panels import Panel, lines, numbers, rows, states
from grafana.parts import NEAR, Query
from grafana.promql import most

HOLDS = ((0, "no", "green"), (1, "holds", "orange"))
YES = ((1, "yes", "blue"),)
THESE = f'{OF},model=~"$model"'
LEGEND = "{{model}}/{{version}}"


def retraining() -> Dashboard:
    """One endpoint's loop."""
    return build(
        "rendezvous-retraining",
        "The loop: which of the owner's rules hold, what keeps them back, the job, its candidate, hand-offs.",
        [THE_ENDPOINT, MODELS],
        {
            "Now": _now(),
            "Why, and why not": _causes(),
            "Jobs": _jobs(),
            "The candidate": _candidate(),
            "Who took over": _hand_offs(),
        },
        [*HAND_OFFS, *RETRAINED],
        span="now-12h",
    )


def _now() -> list[Panel]:
    labels = most("rendezvous_retrainer_new_labels", OF, "model")
    began = most("rendezvous_retrainer_job_start_timestamp_seconds", OF, "model")
    limit = most("rendezvous_endpoint_training_limit_seconds", OF, "model")
    return [
        numbers(
            "New labels, of those needed",
            "Mature labels since the data of the last training, divided by new_labels: 100 % and more is enough.",
            "percentunit",
            Query(f"{labels} / ({most('rendezvous_endpoint_new_labels_limit', OF, 'model')} > 0)", "{{model}}"),
            decimals=0,
        ),
        numbers(
            "Events left in the budget",
            "How many retrain events the owner's budget still allows, by span.",
            "short",
            Query(most("rendezvous_retrainer_budget_left", OF, "model", "span"), "{{model}} a {{span}}"),
            decimals=0,
            width=5,
        ),
        numbers(
            "The running job, of its time",
            "How long the job has been running, divided by the limit: at 100 % it is ended. Empty: none runs.",
            "percentunit",
            Query(f"(time() - {began}) / {limit}", "{{model}}"),
            thresholds=(NEAR, 1),
            decimals=0,
        ),
        rows(
            "Waits for",
            "What the episode under way waits for: its job, the verdict on its candidate, or a person.",
            [("now", "short", Query(f"{most('rendezvous_retrainer_episode_waits', OF, 'model', 'waits_for')} == 1"))],
            hidden=("now",),
            width=5,
            height=5,
        ),
        rows(
            "Candidate",
            "The version that awaits its verdict, and by which rule it is judged.",
            [("now", "short", Query(most("rendezvous_retrainer_candidate_info", OF, "model", "version", "rule")))],
            hidden=("now",),
            width=6,
            height=5,
        ),
    ]


def _causes() -> list[Panel]:
    return [
        states(
            "Rules that hold",
            "Each of the owner's triggers at the newest closing of a block.",
            HOLDS,
            Query(most("rendezvous_retrainer_cause_holds", THESE, "model", "cause"), "{{model}}: {{cause}}"),
        ),
        states(
            "What keeps them back",
            "Why a rule that holds leads to no event: cool-down, budget, too few new labels.",
            HOLDS,
            Query(most("rendezvous_retrainer_held_back", THESE, "model", "reason"), "{{model}}: {{reason}}"),
        ),
    ]


def _jobs() -> list[Panel]:
    return [
        lines(
            "Events, jobs and verdicts",
            "Since the retrainer's start: events by the owner's rules, jobs by outcome, verdicts by ruling.",
            "short",
            Query(most("rendezvous_retrainer_events_total", OF, "endpoint"), "events"),
            Query(most("rendezvous_retrainer_jobs_total", OF, "outcome"), "jobs {{outcome}}"),
            Query(most("rendezvous_retrainer_verdicts_total", OF, "ruling"), "verdicts {{ruling}}"),
        ),
        lines(
            "How long the last job took",
            "Wall time. Dashed: the limit at which a job is ended.",
            "s",
            Query(most("rendezvous_retrainer_last_job_duration_seconds", THESE, "model"), "{{model}}"),
            Query(most("rendezvous_endpoint_training_limit_seconds", THESE, "model"), "{{model}} limit", limit=True),
        ),
        lines(
            "New labels",
            "Mature labels since the data of the last training. Dashed: how many an event waits for.",
            "short",
            Query(most("rendezvous_retrainer_new_labels", THESE, "model"), "{{model}}"),
            Query(most("rendezvous_endpoint_new_labels_limit", THESE, "model"), "{{model}} needed", limit=True),
        ),
    ]


def _candidate() -> list[Panel]:
    return [
        lines(
            "Evidence (log10 of the e-value)",
            "That a version is better, or worse, than the champion. Dashed: where the owner's rules decide.",
            "none",
            Query(
                most("rendezvous_monitor_evidence_log10", THESE, "model", "version", "direction"),
                f"{LEGEND} {{{{direction}}}}",
            ),
            Query(most("rendezvous_endpoint_evidence_limit_log10", OF, "rule"), "{{rule}}", limit=True),
        ),
        lines(
            "Difference to the champion: Brier",
            "On the same labelled requests, with the 95 % interval by blocks; below 0 is better.",
            "none",
            *(
                Query(
                    most(
                        "rendezvous_monitor_contest_difference",
                        f'{THESE},metric="brier",bound="{bound}"',
                        "model",
                        "version",
                    ),
                    f"{LEGEND} {bound}",
                )
                for bound in ("value", "low", "high")
            ),
        ),
        lines(
            "What the contest rests on",
            "Labelled requests that both had scored.",
            "short",
            Query(most("rendezvous_monitor_contest_labelled", THESE, "model", "version"), LEGEND),
        ),
    ]


def _hand_offs() -> list[Panel]:
    champion = most(
        "rendezvous_registry_alias_info", f'{OF},alias=~"champion|challenger|canary"', "alias", "model", "version"
    )
    return [
        states(
            "Who was what",
            "Which version held each alias, over time.",
            YES,
            Query(champion, "{{alias}}: {{model}}/{{version}}"),
        ),
        rows(
            "Verdicts",
            "How each version was judged last.",
            [
                (
                    "at",
                    "dateTimeAsIso",
                    Query(
                        "1000 * "
                        + most(
                            "rendezvous_registry_verdict_timestamp_seconds", OF, "model", "version", "rule", "ruling"
                        )
                    ),
                )
            ],
            width=12,
        ),
    ]
