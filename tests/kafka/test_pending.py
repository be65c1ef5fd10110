"""Pending requests and checkpoints on a real Redis."""

from __future__ import annotations

import random
import uuid
from collections.abc import Iterator

import numpy as np
import pytest
import redis

from rendezvous.local.ports import free_port
from rendezvous.local.stack import Addresses
from rendezvous.monitoring.checkpoint import Checkpoint, Keeper, StaleError
from rendezvous.monitoring.merging import Place
from rendezvous.monitoring.pending_redis import BUCKETS, Axis, Mark, RedisPending, prefixes_of
from rendezvous.settings import SettingsError

pytestmark = pytest.mark.kafka

TWO: Axis = (("quick", "1"), ("slow", "1"))
THREE: Axis = (*TWO, ("other", "2"))
DAY_US = 86_400_000_000
FOREVER_US = 1 << 62


@pytest.fixture
def name() -> str:
    """An endpoint of the test's own."""
    return f"p-{uuid.uuid4().hex[:10]}"


@pytest.fixture
def client(stack: Addresses) -> Iterator[redis.Redis]:
    """A look at what is really there."""
    with redis.Redis.from_url(stack.redis) as found:
        yield found


def checkpoint(pending: RedisPending | None = None, core: bytes = b"core") -> Checkpoint:
    """One with everything in it."""
    places = {("a.labels", 0): Place(7, 70), ("a.labels", 1): Place(0, 0)}
    said = {} if pending is None else pending.said()
    return Checkpoint("g", {"a.labels": "id"}, "settings", places, {("a.drift", 0): 3}, said, "{}", core)


def keeper_of(stack: Addresses, name: str) -> Keeper:
    """One that must not wait."""
    return Keeper(stack.redis, name, pytest.fail)


def begun(stack: Addresses, name: str) -> Keeper:
    """One with a checkpoint."""
    keeper = keeper_of(stack, name)
    assert keeper.read() is None
    keeper.keep(checkpoint())
    return keeper


def keep(keeper: Keeper, pending: RedisPending) -> None:
    """What the monitor does at a checkpoint."""
    rows, removed = pending.changes()
    keeper.keep(checkpoint(pending), rows, removed)
    pending.kept()


def put(pending: RedisPending, ids: list[str], asked_us: int, axis: Axis = TWO) -> None:
    """Requests whose outputs are told by their place."""
    outputs = np.arange(len(ids) * len(axis), dtype=np.float32).reshape(len(ids), len(axis), 1)
    pending.put(ids, np.full(len(ids), asked_us, np.int64), axis, outputs)


# ------------------------------------------------------------------------------------------------------- checkpoints


def test_what_was_kept_is_read(stack: Addresses, name: str) -> None:
    """By another process, as it was."""
    begun(stack, name).keep(checkpoint(core=b"\x00\xff"))
    assert keeper_of(stack, name).read() == checkpoint(core=b"\x00\xff")


def test_who_was_overtaken_is_told(stack: Addresses, name: str) -> None:
    """Neither questions nor checkpoints of the first one are answered once a second one has kept something."""
    first, second = begun(stack, name), keeper_of(stack, name)
    assert second.read() is not None
    second.keep(checkpoint(core=b"second"))
    with pytest.raises(StaleError, match="another monitor of the endpoint runs"):
        first.keep(checkpoint())
    with pytest.raises(StaleError):
        first.find(b"12345678", ["x:"])
    again = keeper_of(stack, name).read()
    assert again is not None
    assert again.core == b"second"


def test_who_is_wiped_is_told(stack: Addresses, name: str, client: redis.Redis) -> None:
    """An empty Redis has no answer to give."""
    keeper = begun(stack, name)
    client.delete(keeper.key)
    with pytest.raises(StaleError, match="Redis was wiped"):
        keeper.find(b"12345678", [])
    with pytest.raises(StaleError):
        keeper.keep(checkpoint())
    assert not client.exists(keeper.key)


def test_without_an_address_it_does_not_begin() -> None:
    """And says what to set."""
    with pytest.raises(SettingsError, match="REDIS_URL is not set"):
        Keeper("", "flights", print)
    with pytest.raises(SettingsError, match="REDIS_URL is no address"):
        Keeper("nonsense", "flights", print)


def test_it_waits_while_nobody_answers() -> None:
    """As long as it is told to."""
    told: list[str] = []

    def wait(why: str) -> None:
        told.append(why)
        if len(told) == 3:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        Keeper(f"redis://127.0.0.1:{free_port()}/0", "flights", wait).read()
    assert len(told) == 3


# --------------------------------------------------------------------------------------------------- pending requests


def test_a_request_is_found_before_and_after_a_checkpoint(stack: Addresses, name: str) -> None:
    """With all that was put, its label too; what nobody put is not found."""
    keeper = begun(stack, name)
    pending = RedisPending(keeper, "g", FOREVER_US)
    put(pending, ["a", "b"], 123_456_789)
    pending.find(["b", "nobody"])
    pending.mark(["b", "nobody"], [Mark(0.1, 5, "me"), Mark(1.0, 5, "me")])
    for _ in range(2):
        a, b, nobody = pending.find(["a", "b", "nobody"])
        assert nobody is None
        assert a is not None
        assert b is not None
        assert (a.asked_us, a.axis, a.mark) == (123_456_789, TWO, None)
        assert a.outputs.tolist() == [[0.0], [1.0]]
        assert b.outputs.tolist() == [[2.0], [3.0]]
        assert b.mark == Mark(0.1, 5, "me")
        keep(keeper, pending)
    pending.find(["a"])
    pending.mark(["a"], [Mark(None, 6, "you")])
    keep(keeper, pending)
    gone_on = RedisPending(keeper, "g", FOREVER_US, pending.said())
    found = gone_on.find(["a"])[0]
    assert found is not None
    assert found.mark == Mark(None, 6, "you")


@pytest.mark.parametrize("seed", range(3))
def test_checkpoints_at_any_moment_change_nothing(stack: Addresses, name: str, seed: int) -> None:
    """A dictionary says the same, whenever things go to Redis and whoever goes on."""
    dice, keeper = random.Random(seed), begun(stack, name)  # noqa: S311 - a seed, no secret
    pending = RedisPending(keeper, "g", 3 * DAY_US)
    known: dict[str, tuple[int, Axis, Mark | None]] = {}
    now_us = 0
    for turn in range(120):
        now_us += dice.randrange(DAY_US // 2)
        horizon_us = now_us - 10 * DAY_US
        ids = [f"{dice.randrange(400)}" for _ in range(dice.randint(1, 6))]
        what = dice.random()
        if what < 0.5:
            ids, axis = sorted(set(ids)), dice.choice((TWO, THREE))
            put(pending, ids, now_us, axis)
            known |= dict.fromkeys(ids, (now_us, axis, None))
        elif what < 0.8:
            mark = Mark(dice.choice((None, 0.5, -1e300)), dice.randrange(-5, 1 << 60), dice.choice("ab"))
            pending.find(ids)
            pending.mark(ids, [mark] * len(ids))
            known |= {one: (*known[one][:2], mark) for one in ids if one in known}
        else:
            pending.expire(horizon_us)
            known = {one: said for one, said in known.items() if said[0] >= horizon_us}
        if turn % 3 == 0:
            keep(keeper, pending)
        if turn % 30 == 0:
            pending = RedisPending(keeper, "g", 3 * DAY_US, pending.said())
        everybody = [f"{number}" for number in range(400)]
        pending.expire(horizon_us)
        known = {one: said for one, said in known.items() if said[0] >= horizon_us}
        found = pending.find(everybody)
        told = {one: (row.asked_us, row.axis, row.mark) for one, row in zip(everybody, found, strict=True) if row}
        assert told == known


def test_what_is_old_leaves_redis_as_a_whole(stack: Addresses, name: str, client: redis.Redis) -> None:
    """And what an earlier generation has left there."""
    keeper = begun(stack, name)
    pending = RedisPending(keeper, "g", DAY_US)
    for day in range(4):
        put(pending, [f"{day}-{row}" for row in range(500)], day * DAY_US)
    keep(keeper, pending)

    def kept() -> int:
        return sum(1 for _ in client.scan_iter(f"{keeper.key}:g:*", count=BUCKETS))

    full = kept()
    assert full > 1_500
    pending.expire(2 * DAY_US)
    assert pending.find(["0-1", "1-1"]) == [None, None]
    assert pending.find(["2-1"]) != [None]
    keep(keeper, pending)
    keep(keeper, pending)
    assert 0.4 * full < kept() < 0.6 * full
    successor = RedisPending(keeper, "h", DAY_US, abandoned=prefixes_of(pending.said()))
    for _ in range(2):
        keep(keeper, successor)
    assert kept() == 0


def test_a_request_takes_half_a_hundred_bytes(stack: Addresses, name: str, client: redis.Redis) -> None:
    """With five models: ten million of them fit half a gigabyte; hashes stay one piece of memory."""
    keeper = begun(stack, name)
    pending = RedisPending(keeper, "g", FOREVER_US)
    axis = tuple((f"model-{number}", "1") for number in range(5))
    rows = 1 << 18
    ids = [f"request-{number}" for number in range(rows)]
    for start in range(0, rows, 1 << 14):
        put(pending, ids[start : start + (1 << 14)], start, axis)
    keep(keeper, pending)
    sizes = [client.memory_usage(f"{keeper.key}:g:0:{bucket}", samples=0) for bucket in range(50)]
    per_request = sum(size for size in sizes if size) * BUCKETS / 50 / rows
    assert client.object("encoding", f"{keeper.key}:g:0:1") in (b"listpack", b"ziplist")
    assert per_request < 60
    pending.find(ids[:1_000])
    pending.mark(ids[:1_000], [Mark(1.0, 1, "me")] * 1_000)
    keep(keeper, pending)
    assert client.object("encoding", f"{keeper.key}:g:0:1") in (b"listpack", b"ziplist")
    pending.expire(FOREVER_US)
    keep(keeper, pending)
