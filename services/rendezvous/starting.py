"""Each service from its parts: clients, topics, metrics and pages, by the environment and the endpoint's document."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from rendezvous.log import (
    KafkaReader,
    KafkaSink,
    KafkaSource,
    KafkaTransactor,
    KnownTopics,
    Start,
    Statistics,
    Topic,
    ask_cluster,
)
from rendezvous.running import bootstrap_of, clock_us, loop, steady_us
from rendezvous.settings import Endpoint, Environment, SettingsError, load_endpoint
from rendezvous.telemetry import (
    ArchiverMetrics,
    CrewMetrics,
    EndpointMetrics,
    KafkaMetrics,
    RedisMetrics,
    RegistryMetrics,
    RetrainerMetrics,
    ScorerMetrics,
    ServerMetrics,
    Telemetry,
)
from rendezvous.topics import check

if TYPE_CHECKING:  # a scorer's imports are not the server's
    from rendezvous.registry.state import Control
    from rendezvous.server.outbox import Outbox

CANDIDATE_GATHER_MS = 20
"""A candidate answers nobody: it leaves CPU and broker to those who do."""
RECORDS_LINGER_MS = 20
"""For decisions, comparisons and dead letters: nobody waits for them, and a commit every half second follows them."""
TAKEOVERS = 8
"""Partitions taken over at the same time: each waits for the cluster, with exactly_once for its producer too."""

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Shown:
    """Where a crew leaves what others look at: a folder of logs (None: its own standard error), a file of targets."""

    logs: Path | None
    targets: Path | None


def run_server(environment: Environment, endpoint_name: str, host: str, port: int) -> None:
    """Run one rendezvous server until SIGTERM or SIGINT."""
    from rendezvous.registry.cache import Cache  # noqa: PLC0415 - a scorer's imports are not the server's
    from rendezvous.registry.follower import Follower  # noqa: PLC0415
    from rendezvous.server.podium import Podium  # noqa: PLC0415
    from rendezvous.server.service import Service  # noqa: PLC0415
    from rendezvous.server.showing import Showing  # noqa: PLC0415
    from rendezvous.server.succession import Successions  # noqa: PLC0415

    bootstrap = bootstrap_of(environment)
    endpoint = load_endpoint(endpoint_name, environment.home)
    telemetry = _pages(host, port)
    topics = check(bootstrap, endpoint)
    metrics = ServerMetrics(telemetry.registry)
    statistics = _statistics(telemetry)
    source = KafkaSource(bootstrap, f"{endpoint.name}.server", statistics=statistics.settings("member"))
    outbox = kafka_outbox(bootstrap, endpoint, source, topics, metrics, statistics)
    requests = topics[endpoint.topic("requests")].id
    control = endpoint.topic("control")
    cache = Cache(environment.redis, endpoint.name, topics[control].id)
    if environment.redis:
        RedisMetrics(telemetry.registry).up.set_function(lambda: cache.reachable)
    follower = Follower(cache)
    showing = Showing(endpoint, RegistryMetrics(telemetry.registry), EndpointMetrics(telemetry.registry))

    def show(said: Control) -> None:
        follower.offer(said)
        showing.control(said)

    podium = Podium(KafkaSink(bootstrap, statistics=statistics.settings("control")), control, show)
    successions = Successions(endpoint, source, requests, ThreadPoolExecutor(TAKEOVERS, "take-over"), outbox.fence)
    loop(Service(endpoint, source, outbox, podium, clock_us, steady_us, metrics, successions), telemetry)
    follower.stop()


def kafka_outbox(
    bootstrap: str,
    endpoint: Endpoint,
    source: KafkaSource,
    topics: Mapping[str, Topic],
    metrics: ServerMetrics,
    statistics: Statistics,
) -> Outbox:
    """The outbox of the endpoint's mode; `topics` as they were described at the start."""
    from rendezvous.server.counting import count_letter  # noqa: PLC0415 - a scorer's imports are not the server's
    from rendezvous.server.publishing import Publisher  # noqa: PLC0415
    from rendezvous.server.transactional import TransactionalOutbox  # noqa: PLC0415

    responses, topic_id = endpoint.topic("responses"), topics[endpoint.topic("requests")].id
    on_letter = partial(count_letter, metrics)
    known = {responses: topics[responses].partitions}  # nobody waits for a cluster to say that it is there
    if endpoint.exactly_once:
        replies = KnownTopics(ask_cluster(bootstrap), known)

        def transactor(name: str) -> KafkaTransactor:
            return KafkaTransactor(bootstrap, name, source, statistics.settings("transactions"))

        return TransactionalOutbox(endpoint, source, replies.partitions, transactor, on_letter, topic_id)
    # an answer does not wait for room in the queue either
    answers = KafkaSink(bootstrap, room_s=0, known=known, statistics=statistics.settings("answers"))
    records = KafkaSink(bootstrap, linger_ms=RECORDS_LINGER_MS, statistics=statistics.settings("records"))
    return Publisher(endpoint, source, answers, records, on_letter, topic_id)


def run_scorer(environment: Environment, endpoint_name: str, name: str, host: str, port: int) -> None:
    """Run one version of one endpoint until SIGTERM or SIGINT; it is warm before it joins.

    Args:
        environment: where everything is.
        endpoint_name: whose version.
        name: MODEL/VERSION, an alias, or a model, whose version that was deployed last is run; resolved once, now.
        host: of the pages.
        port: of the pages; a free one when 0.
    """
    from rendezvous.registry.control import ControlLog  # noqa: PLC0415 - the server has its own way to read it
    from rendezvous.registry.store import deployed_version  # noqa: PLC0415
    from rendezvous.scoring.models import load_model  # noqa: PLC0415 - onnxruntime is the scorer's alone
    from rendezvous.scoring.service import Scorer, group_of  # noqa: PLC0415

    bootstrap = bootstrap_of(environment)
    endpoint = load_endpoint(endpoint_name, environment.home)
    telemetry = _pages(host, port)
    check(bootstrap, endpoint)
    control = ControlLog(bootstrap, endpoint).read()
    pair, folder = deployed_version(endpoint, control, name)
    model, version = pair
    loaded = load_model(endpoint, model, folder)
    _logger.info("%s is %s/%s", name, model, version)
    statistics = _statistics(telemetry)
    group = group_of(endpoint, model, version)
    scorer = Scorer(
        endpoint,
        loaded,
        control,
        lambda live: KafkaSource(
            bootstrap,
            group,
            gather_ms=0 if live else CANDIDATE_GATHER_MS,
            statistics=statistics.settings("member"),
        ),
        KafkaSink(bootstrap, statistics=statistics.settings("scores")),
        clock_us,
        ScorerMetrics(telemetry.registry),
    )
    loop(scorer, telemetry)


def run_scorers(environment: Environment, endpoint_name: str, host: str, port: int, shown: Shown) -> None:
    """Keep a scorer for each version that control has deployed, until SIGTERM or SIGINT; they end with this process."""
    from rendezvous.crew.processes import ScorerProcess, write_targets  # noqa: PLC0415 - nobody else's imports
    from rendezvous.crew.service import Crew, Means  # noqa: PLC0415
    from rendezvous.registry.control import ControlLog  # noqa: PLC0415

    bootstrap = bootstrap_of(environment)
    endpoint = load_endpoint(endpoint_name, environment.home)
    telemetry = _pages(host, port)
    check(bootstrap, endpoint)
    control = ControlLog(bootstrap, endpoint).read()
    means = Means(
        KafkaReader(bootstrap, [Start(endpoint.topic("control"), 0, control.position)], uncommitted=True),
        partial(ScorerProcess.start, endpoint.name, host, shown.logs),
        partial(write_targets, shown.targets, endpoint.name, host),
        time.monotonic,
    )
    loop(Crew(control, means, CrewMetrics(telemetry.registry)), telemetry)


def run_monitor(environment: Environment, endpoint_name: str, host: str, port: int) -> None:
    """Run one endpoint's monitor until SIGTERM or SIGINT."""
    from rendezvous.monitoring.starting import run  # noqa: PLC0415 - Faust is the monitor's alone

    bootstrap = bootstrap_of(environment)
    endpoint = load_endpoint(endpoint_name, environment.home)
    telemetry = _pages(host, port)
    check(bootstrap, endpoint)
    run(bootstrap, environment.redis, endpoint, telemetry)


def run_archiver(environment: Environment, endpoint_name: str, host: str, port: int, *, accept_loss: bool) -> None:
    """Run one archiver of one endpoint until SIGTERM or SIGINT."""
    from rendezvous.archive.beginning import Topics  # noqa: PLC0415 - pyarrow is the archiver's alone
    from rendezvous.archive.files import Archive  # noqa: PLC0415
    from rendezvous.archive.service import GATHER_MS, Archiver, Ways, group_of  # noqa: PLC0415
    from rendezvous.archive.tables import TABLES  # noqa: PLC0415

    bootstrap = bootstrap_of(environment)
    endpoint = load_endpoint(endpoint_name, environment.home)
    telemetry = _pages(host, port)
    topics = check(bootstrap, endpoint)
    archive = Archive(environment.archive_of(endpoint), endpoint.name)
    archive.identify({name: topics[endpoint.topic(name)].id for name in TABLES})
    requests = topics[endpoint.topic("requests")]
    statistics = _statistics(telemetry)
    archiver = Archiver(
        endpoint,
        Topics(requests.partitions, topics[endpoint.topic("labels")].partitions, requests.id),
        Ways(
            KafkaSource(bootstrap, group_of(endpoint), gather_ms=GATHER_MS, statistics=statistics.settings("member")),
            lambda starts: KafkaReader(bootstrap, starts, settings=statistics.settings("reader")),
            KafkaSink(bootstrap, linger_ms=RECORDS_LINGER_MS, statistics=statistics.settings("features")),
        ),
        archive,
        clock_us,
        ArchiverMetrics(telemetry.registry),
        accept_loss=accept_loss,
    )
    loop(archiver, telemetry)


def run_retrainer(environment: Environment, endpoint_name: str, host: str, port: int) -> None:
    """Run one retrainer of one endpoint until SIGTERM or SIGINT."""
    from rendezvous.retraining.making import child_jobs, retrainer  # noqa: PLC0415 - nobody else's imports

    bootstrap = bootstrap_of(environment)
    endpoint = load_endpoint(endpoint_name, environment.home)
    telemetry = _pages(host, port)
    check(bootstrap, endpoint)
    jobs = child_jobs(environment, endpoint)
    metrics = RetrainerMetrics(telemetry.registry)
    loop(retrainer(bootstrap, endpoint, jobs, clock_us, metrics, _statistics(telemetry)), telemetry)


def _pages(host: str, port: int) -> Telemetry:
    telemetry = Telemetry()
    try:
        taken = telemetry.serve(host, port)
    except (OSError, OverflowError) as error:  # taken; no such host; no such port
        reason = getattr(error, "strerror", None) or error
        raise SettingsError(f"cannot serve /metrics on {host}:{port} ({reason}): choose another --http-port") from error
    _logger.info("pages on http://%s:%d/metrics /healthz /readyz", host, taken)
    return telemetry


def _statistics(telemetry: Telemetry) -> Statistics:
    """Of the Kafka clients that are made from now on; the pages show them."""
    statistics = Statistics()
    KafkaMetrics(telemetry.registry).ask(statistics.rows)
    return statistics
