"""The mailbox: a turn with so many requests, from their arrival to their comparisons."""

from __future__ import annotations

from typing import TypeAlias

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from loadtest.benchmarks.setting import DEADLINE_US, NOON_US, plan, requests, scores
from rendezvous.messages import Request, Scores
from rendezvous.server.partition import Partition, Takeover

EMPTY = Takeover(requests=0, scores=0, decisions=0, requests_end=0, scores_end=0, decided={})
ROUNDS = 60
Turn: TypeAlias = tuple[Partition, list[Request], list[tuple[Scores, int]]]

of_models = pytest.mark.parametrize("models", [1, 5, 20])
of_rows = pytest.mark.parametrize("rows", [1, 100])


def fresh(models: int, rows: int) -> Turn:
    """An empty partition whose models have been heard of, requests, and everybody's scores for them."""
    partition = Partition(plan(models), 0, EMPTY)
    names = partition.plan.models
    partition.scores([(scores(name, 10_000, 1), 0) for name in names], NOON_US)
    return partition, requests(0, rows), [(scores(name, 0, rows), at) for at, name in enumerate(names)]


@of_rows
def bench_requests(benchmark: BenchmarkFixture, rows: int) -> None:
    """Taking them up, one by one."""

    def take(partition: Partition, arrived: list[Request], _: object) -> None:
        for request in arrived:
            partition.request(request, NOON_US)

    benchmark.pedantic(take, setup=lambda: (fresh(5, rows), {}), rounds=ROUNDS)  # type: ignore[no-untyped-call] # the plugin has no types there


@of_models
@of_rows
def bench_turn(benchmark: BenchmarkFixture, models: int, rows: int) -> None:
    """Scores of all models arrive, requests are answered, comparisons are closed."""

    def ready() -> tuple[Turn, dict[str, object]]:
        turn = fresh(models, rows)
        for request in turn[1]:
            turn[0].request(request, NOON_US)
        return turn, {}

    def turned(partition: Partition, _: object, said: list[tuple[Scores, int]]) -> None:
        partition.scores(said, NOON_US + 1_000)
        assert sum(len(verdicts.requests) for verdicts in partition.tick(NOON_US + 1_000)) == rows
        assert sum(len(closed.offsets) for closed in partition.close(NOON_US + 2_000)) == rows

    benchmark.pedantic(turned, setup=ready, rounds=ROUNDS)  # type: ignore[no-untyped-call] # the plugin has no types there


@of_rows
def bench_defaults(benchmark: BenchmarkFixture, rows: int) -> None:
    """Nobody has scored anything by the end: a look at all that is open, and the default for each."""

    def ready() -> tuple[tuple[Partition], dict[str, object]]:
        partition, arrived, _ = fresh(5, rows)
        for request in arrived:
            partition.request(request, NOON_US)
        partition.tick(NOON_US)
        return (partition,), {}

    def ticked(partition: Partition) -> None:
        assert sum(len(verdicts.requests) for verdicts in partition.tick(NOON_US + DEADLINE_US)) == rows

    benchmark.pedantic(ticked, setup=ready, rounds=ROUNDS)  # type: ignore[no-untyped-call] # the plugin has no types there
