"""Partition counts learnt in the background: nobody waits, and a flood of names costs little."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence

import pytest

from homes import until
from rendezvous.log.known import AGE_S, BATCH, MAX_QUESTIONS, KnownTopics
from rendezvous.log.records import LogError


class Cluster:
    """Answers questions when it may; notes them."""

    def __init__(self, **counts: int) -> None:
        self.counts = counts
        self.asked: list[list[str]] = []
        self.may_answer = threading.Event()
        self.may_answer.set()
        self.failures = 0
        self.now_s = 100.0

    def __call__(self, names: Sequence[str]) -> Mapping[str, int]:
        """Counts of some topics."""
        self.asked.append(list(names))
        assert self.may_answer.wait(10.0)
        if self.failures:
            self.failures -= 1
            raise LogError("nobody answers")
        return {name: self.counts.get(name, 0) for name in names}

    def known(self, **already: int) -> KnownTopics:
        """What is known of it."""
        return KnownTopics(self, already, lambda: self.now_s)


def test_a_new_topic_is_unknown_until_the_cluster_has_answered() -> None:
    """Asked once, however often it is wanted meanwhile."""
    cluster = Cluster(shop=3)
    cluster.may_answer.clear()
    known = cluster.known()
    assert [known.partitions("shop") for _ in range(5)] == [None] * 5
    cluster.may_answer.set()
    until(lambda: known.partitions("shop") == 3, "the count is known")
    assert cluster.asked == [["shop"]]


def test_an_old_count_is_served_while_it_is_asked_for_anew() -> None:
    """A topic that is there stalls nobody again."""
    cluster = Cluster(shop=4)
    known = cluster.known(shop=3)
    cluster.now_s += AGE_S
    assert known.partitions("shop") == 3
    assert cluster.asked == []
    cluster.now_s += 0.1
    assert known.partitions("shop") == 3
    until(lambda: known.partitions("shop") == 4, "the new count")


def test_a_topic_that_was_not_there_may_have_been_made() -> None:
    """Absence is believed for a while, and then unknown."""
    cluster = Cluster()
    known = cluster.known(shop=0)
    assert known.partitions("shop") == 0
    cluster.counts["shop"] = 1
    cluster.now_s += AGE_S + 0.1
    assert known.partitions("shop") is None
    until(lambda: known.partitions("shop") == 1, "it is there")


@pytest.mark.parametrize("name", ["", "a b", "a/b", "ü", "x" * 250, "new\nline"])
def test_names_that_cannot_be_are_not_asked_about(name: str) -> None:
    """No cluster has them."""
    cluster = Cluster()
    assert cluster.known().partitions(name) == 0
    assert cluster.asked == []


def test_a_cluster_that_does_not_answer_is_asked_again() -> None:
    """What it says later counts."""
    cluster = Cluster(shop=1)
    cluster.failures = 2
    known = cluster.known()
    until(lambda: known.partitions("shop") == 1, "the count is known")
    assert len(cluster.asked) == 3


def test_a_flood_of_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """Questions go out in batches, so many wait, and so many answers are kept: the last ones."""
    monkeypatch.setattr("rendezvous.log.known.MAX_NAMES", 50)
    cluster = Cluster(shop=1)
    cluster.may_answer.clear()
    known = cluster.known()
    for number in range(3 * MAX_QUESTIONS):
        assert known.partitions(f"flood-{number}") is None
    cluster.may_answer.set()
    until(lambda: sum(map(len, cluster.asked)) == MAX_QUESTIONS, "all that waited were asked about")
    until(lambda: known.partitions("shop") == 1, "a good one is asked about afterwards")
    assert max(map(len, cluster.asked)) <= BATCH
    assert known.partitions(f"flood-{MAX_QUESTIONS - 1}") == 0
    assert known.partitions("flood-0") is None
