"""What the brokers are told."""

from __future__ import annotations

from rendezvous.local.kafka_settings import JVM_OPTIONS, log4j_properties, server_properties
from rendezvous.local.redis_server import server_arguments, without_password


def parsed(text: str) -> dict[str, str]:
    """A properties file as a dict; every line is name=value, no name comes twice."""
    pairs = [line.partition("=") for line in text.splitlines()]
    settings = {name: value for name, _, value in pairs}
    assert len(settings) == len(pairs)
    return settings


def test_kafka_listens_on_loopback_only() -> None:
    """Both listeners, and what is told to clients, are 127.0.0.1 with the ports given."""
    settings = parsed(server_properties(21_000, 21_001))
    expected = "PLAINTEXT://127.0.0.1:21000,CONTROLLER://127.0.0.1:21001"
    assert settings["listeners"] == settings["advertised.listeners"] == expected
    assert settings["controller.quorum.bootstrap.servers"] == "127.0.0.1:21001"


def test_kafkas_own_topics_are_single() -> None:
    """Replicas, in-sync minimum and partitions of offsets, transactions and share groups are 1."""
    settings = parsed(server_properties(1, 2))
    for topic in ("offsets.topic", "transaction.state.log", "share.coordinator.state.topic"):
        assert settings[f"{topic}.replication.factor"] == settings[f"{topic}.num.partitions"] == "1"
    assert settings["transaction.state.log.min.isr"] == settings["share.coordinator.state.topic.min.isr"] == "1"


def test_kafka_creates_no_topics_and_waits_for_no_members() -> None:
    """Auto-creation is off, the first rebalance is immediate, a session of a second is allowed."""
    settings = parsed(server_properties(1, 2))
    assert settings["auto.create.topics.enable"] == "false"
    assert settings["group.initial.rebalance.delay.ms"] == "0"
    assert int(settings["group.min.session.timeout.ms"]) <= 1_000


def test_kafkas_heap_is_bounded() -> None:
    """There is one bound, and it is 512 MB or less."""
    (bound,) = (option for option in JVM_OPTIONS if option.startswith("-Xmx"))
    assert int(bound.removeprefix("-Xmx").removesuffix("m")) <= 512


def test_kafka_logs_warnings_to_one_place() -> None:
    """Everything goes to standard output, which is a file begun anew at each start."""
    settings = parsed(log4j_properties())
    assert settings["rootLogger.level"] == "warn"
    assert settings["appender.out.type"] == "Console"


def test_redis_is_bounded_and_keeps_no_files() -> None:
    """Loopback, bounded memory, no dump, no append-only file."""
    arguments = server_arguments(22_000)
    settings = dict(zip(arguments[::2], arguments[1::2], strict=True))
    assert settings["--bind"] == "127.0.0.1"
    assert settings["--port"] == "22000"
    assert settings["--maxmemory"] == "256mb"
    assert (settings["--save"], settings["--appendonly"]) == ("", "no")


def test_a_password_is_not_shown() -> None:
    """What is printed of a URL has no credentials in it."""
    assert without_password("redis://user:secret@host:6379/1") == "redis://host:6379/1"
    assert without_password("redis://host:6379/1") == "redis://host:6379/1"
