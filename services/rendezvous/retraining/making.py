"""A retrainer on Apache Kafka, as `rendezvous run retrainer` makes it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import partial

from rendezvous.log import KafkaSink, KafkaSource, Statistics
from rendezvous.registry.changes import Author
from rendezvous.registry.checking import checks_of
from rendezvous.registry.deploy import author
from rendezvous.registry.evidence import shortfalls
from rendezvous.registry.state import Control, Pair
from rendezvous.registry.store import stored
from rendezvous.retraining.episodes import RETRAINER
from rendezvous.retraining.jobs import ChildJobs, Jobs
from rendezvous.retraining.limits import RetrainingLimits
from rendezvous.retraining.service import Means, Retrainer
from rendezvous.retraining.sources import SourceError
from rendezvous.retraining.sources import code_of as training_code
from rendezvous.settings import Endpoint, Environment, SettingsError
from rendezvous.telemetry import RetrainerMetrics


def limits_of(endpoint: Endpoint) -> RetrainingLimits:
    """What the endpoint's document says of retraining.

    Raises:
        SettingsError: nothing.
    """
    if endpoint.retraining is None:
        raise SettingsError(
            f"{endpoint.folder / 'endpoint.toml'}: has no [retraining]: name the model that is to be retrained there"
        )
    return endpoint.retraining


def writer() -> Author:
    """As `by` says it of a retrainer: who runs it, and where."""
    who = author()
    return Author(f"{RETRAINER}{who.by}", who.at_us)


def child_jobs(environs: Environment, endpoint: Endpoint) -> ChildJobs:
    """Jobs as processes of `child.py`; their files are kept below RENDEZVOUS_DATA."""
    limits = limits_of(endpoint)

    def code() -> str | None:
        try:
            return training_code(endpoint, limits.model, limits.training).sha256
        except (SourceError, OSError):  # a job says what is wrong with it; it is no news that it should be retrained
            return None

    command = [sys.executable, "-P", "-m", "rendezvous.retraining.child", endpoint.name]
    return ChildJobs(command, environs.data / "retraining" / endpoint.name, code, writer().by)


def retrainer(
    bootstrap: str,
    endpoint: Endpoint,
    jobs: Jobs,
    clock_us: Callable[[], int],
    metrics: RetrainerMetrics,
    statistics: Statistics,
) -> Retrainer:
    """A member of the endpoint's retrainers.

    Raises:
        SettingsError: the endpoint's document says nothing of retraining.
        LogError: the cluster does not answer.
    """
    alias = endpoint.monitoring.champion

    def missing(control: Control, pair: Pair) -> Sequence[str]:
        return shortfalls(checks_of(bootstrap, endpoint, control, pair, alias, clock_us()))

    return Retrainer(
        endpoint,
        limits_of(endpoint),
        KafkaSource(bootstrap, f"{endpoint.name}.retrainer", statistics=statistics.settings("member")),
        KafkaSink(bootstrap, statistics=statistics.settings("events")),
        Means(jobs, missing, partial(code_of, endpoint), writer().by),
        clock_us,
        metrics,
    )


def code_of(endpoint: Endpoint, control: Control, pair: Pair) -> str | None:
    """Sha256 of the training code in a version's card; None when it is not kept here."""
    try:
        return stored(endpoint, pair, control.versions[pair].sha256).code_sha256
    except SettingsError:  # `models show` says what is wrong with it; here it is a version of unknown code
        return None
