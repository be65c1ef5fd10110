"""The log: consume, produce, commit, assign. The only package that imports confluent_kafka.

`Source` and `Sink` are what the services are written against; KafkaSource and KafkaSink are Apache Kafka, and
tests/memory_log.py keeps the same promises in memory under a fake clock.
"""

from rendezvous.log.ends import Ends
from rendezvous.log.known import KnownTopics, ask_cluster
from rendezvous.log.member import KafkaSource
from rendezvous.log.reading import KafkaReader, bounds_of, last_records, read_to_end, starts_at_end
from rendezvous.log.records import (
    END,
    Bundle,
    Committed,
    Delivered,
    Headers,
    LogError,
    Outcome,
    Outgoing,
    Owner,
    Record,
    Sink,
    Source,
    Start,
    Topic,
    Transactor,
)
from rendezvous.log.sink import KafkaSink
from rendezvous.log.statistics import Statistics
from rendezvous.log.topics import configure_topic, create_topics, describe_topics, grow_topic, probe
from rendezvous.log.transactions import KafkaTransactor

__all__ = [
    "END",
    "Bundle",
    "Committed",
    "Delivered",
    "Ends",
    "Headers",
    "KafkaReader",
    "KafkaSink",
    "KafkaSource",
    "KafkaTransactor",
    "KnownTopics",
    "LogError",
    "Outcome",
    "Outgoing",
    "Owner",
    "Record",
    "Sink",
    "Source",
    "Start",
    "Statistics",
    "Topic",
    "Transactor",
    "ask_cluster",
    "bounds_of",
    "configure_topic",
    "create_topics",
    "describe_topics",
    "grow_topic",
    "last_records",
    "probe",
    "read_to_end",
    "starts_at_end",
]
