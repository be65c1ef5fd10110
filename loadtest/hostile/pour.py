"""Writes hostile records as they are, keeps where each stands, and reads what the server counted."""

from __future__ import annotations

import random
import time
import urllib.request
import uuid
from collections import Counter
from collections.abc import Mapping

from confluent_kafka import KafkaError, Message, Producer
from prometheus_client.parser import text_string_to_metric_families

from loadtest.hostile.kind import Kind
from rendezvous.local.failure import LocalStackError
from rendezvous.local.ports import LOOPBACK
from rendezvous.settings import Endpoint

Place = tuple[str, int, int]
"""Topic (by its short name), partition, offset."""

PACED = 300
"""Of each kind of scores: so many come slowly at first, that nobody counts as a flood,"""
PACED_RATE = 300.0
"""a second; the rest comes as fast as it can."""
IN_A_TRANSACTION = 500
FLUSH_S = 60.0
PAGE_S = 10.0
PREFIX = "rendezvous_server_"


class Pourer:
    """Producers of one endpoint's requests, scores and control."""

    def __init__(self, endpoint: Endpoint, kafka: str, seed: int) -> None:
        self._endpoint = endpoint
        self._kafka = kafka
        self._chance = random.Random(seed)  # noqa: S311 - reproducible
        self._producers: dict[tuple[str, bool], Producer] = {}
        self._number = 0
        self._refused: list[str] = []
        self.places: dict[Place, str] = {}
        self.aborted: set[Place] = set()

    def pour(self, kind: Kind, count: int) -> None:
        """Write so many of a kind, to all partitions of its topic; returns when they are there."""
        producer = self._producer(kind)
        paced = PACED if kind.topic == "scores" and kind.most is None else 0
        begun_s = time.monotonic()
        for done in range(count):
            if kind.aborted and done % IN_A_TRANSACTION == 0:
                producer.begin_transaction()
            if done < paced:
                time.sleep(max(begun_s + done / PACED_RATE - time.monotonic(), 0.0))
            self._put(producer, kind)
            if kind.aborted and (done % IN_A_TRANSACTION == IN_A_TRANSACTION - 1 or done == count - 1):
                producer.flush(FLUSH_S)
                producer.abort_transaction()
        left = producer.flush(FLUSH_S)
        if left or self._refused:
            raise LocalStackError(f"{kind.topic}, {kind.name}: {left or self._refused[0]}: the broker takes not all")

    def _producer(self, kind: Kind) -> Producer:
        key = (kind.compression, kind.aborted)
        if key not in self._producers:
            settings = {
                "bootstrap.servers": self._kafka,
                "message.max.bytes": 1_040_000,
                "compression.type": kind.compression,
                "linger.ms": 5,
            }
            if kind.aborted:
                settings["transactional.id"] = f"hostile-{uuid.uuid4().hex}"
            self._producers[key] = Producer(settings)
            if kind.aborted:
                self._producers[key].init_transactions(FLUSH_S)
        return self._producers[key]

    def _put(self, producer: Producer, kind: Kind) -> None:
        raw = kind.make(self._chance, self._number)
        partition = 0 if kind.topic == "control" else self._number % self._endpoint.topics.partitions
        self._number += 1

        def delivered(error: KafkaError | None, message: Message) -> None:
            if error is not None:
                self._refused.append(error.str())
                return
            place = kind.topic, message.partition() or 0, message.offset() or 0
            self.places[place] = kind.name
            if kind.aborted:
                self.aborted.add(place)

        topic = self._endpoint.topic(kind.topic)
        while True:
            try:
                producer.produce(topic, raw.value, raw.key, partition, on_delivery=delivered, headers=list(raw.headers))
            except BufferError:
                producer.poll(0.05)
            else:
                producer.poll(0)
                return


def counted(port: int) -> Counter[str]:
    """What a server's page says: each counter by its labels, and the sum of all of its name."""
    with urllib.request.urlopen(f"http://{LOOPBACK}:{port}/metrics", timeout=PAGE_S) as page:
        text = page.read().decode()
    found: Counter[str] = Counter()
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            name = sample.name.removeprefix(PREFIX)
            if name.startswith(("slack", "latency")):
                continue
            found[name] += sample.value  # type: ignore[assignment] # typeshed lets a Counter count in int alone
            if sample.labels:
                found[_labelled(name, sample.labels)] += sample.value  # type: ignore[assignment] # as above
    return found


def _labelled(name: str, labels: Mapping[str, str]) -> str:
    return "/".join([name, *(labels[label] for label in sorted(labels, reverse=True))])  # model before fate
