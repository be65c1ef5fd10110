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
from rendezvous.monitoring.checkpoint import BUCKETS, Checkpoint, Keeper, StaleError
from rendezvous.monitoring.merging import Place
from rendezvous.monitoring.pending import Pending, PendingInMemory, digests_of
from rendezvous.monitoring.pending_redis import RedisPending, prefixes_of
from rendezvous.settings import SettingsError

pytestmark = pytest.mark.kafka

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


def put(pending: Pending, ids: list[str], asked_us: int, width: int = 31, seed: int = 0) -> list[bytes]:
    """Requests with rows of some bytes; returns those."""
    rows = np.random.default_rng(seed).integers(0, 256, (len(ids), width), np.uint8)
    pending.put(digests_of(ids), np.full(len(ids), asked_us, np.int64), rows)
    return [row.tobytes() for row in rows]


# ------------------------------------------------------------------------------------------------------- checkpoints


def test_what_was_kept_is_read(stack: Addresses, name: str) -> None:
    """By another process, as it was."""
    begun(stack, name).keep(checkpoint(core=b"\x00\xff"))
    assert keeper_of(stack, name).read() == checkpoint(core=b"\x00\xff")


def test_who_was_overtaken_is_told(stack: Addresses, name: str) -> None:
    """Neither questions nor checkpoints of the first one are answered once a second one goes on from its state."""
    first, second = begun(stack, name), keeper_of(stack, name)
    first.verify()
    assert second.read() is not None
    with pytest.raises(StaleError, match="another monitor of the endpoint runs"):
        first.keep(checkpoint())
    with pytest.raises(StaleError):
        first.find(b"12345678", ["x:"])
    with pytest.raises(StaleError):
        first.verify()
    second.keep(checkpoint(core=b"second"))
    second.verify()
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


def test_a_row_is_found_before_and_after_a_checkpoint(stack: Addresses, name: str) -> None:
    """By whoever goes on too; what nobody put is not found."""
    keeper = begun(stack, name)
    pending = RedisPending(keeper, "g", FOREVER_US)
    a, b = put(pending, ["a", "b"], 5)
    digests = digests_of(["a", "nobody", "b"])
    for _ in range(2):
        assert pending.find(digests) == [a, b"", b]
        keep(keeper, pending)
    assert RedisPending(keeper, "g", FOREVER_US, pending.said()).find(digests) == [a, b"", b]


@pytest.mark.parametrize("width", [1, 63, 64, 65, 127, 128, 129, 300])
def test_rows_of_any_width_come_back(stack: Addresses, name: str, client: redis.Redis, width: int) -> None:
    """Those that a listpack does not take come in pieces; one that grows or shrinks is what was put last."""
    keeper = begun(stack, name)
    pending = RedisPending(keeper, "g", FOREVER_US)
    for seed, size in enumerate((width, 300, width, 64, 31, 128)):
        rows = put(pending, ["a", "b"], 5, size, seed)
        keep(keeper, pending)
        assert pending.find(digests_of(["a", "b"])) == rows
    for key in client.scan_iter(f"{keeper.key}:g:*", count=BUCKETS):
        assert client.object("encoding", key) in (b"listpack", b"ziplist")


@pytest.mark.parametrize("seed", range(3))
def test_checkpoints_at_any_moment_change_nothing(stack: Addresses, name: str, seed: int) -> None:
    """A store in memory says the same of all that is not expired, whenever things go to Redis and whoever goes on."""
    dice, keeper = random.Random(seed), begun(stack, name)  # noqa: S311 - a seed, no secret
    pending, known = RedisPending(keeper, "g", 3 * DAY_US), PendingInMemory(DAY_US)
    asked_us: dict[str, int] = {}
    now_us = 0
    for turn in range(150):
        now_us += dice.randrange(DAY_US // 2)
        horizon_us = now_us - 10 * DAY_US
        ids = sorted({f"{dice.randrange(400)}" for _ in range(dice.randint(1, 6))})
        time_us = dice.choice([now_us, now_us - DAY_US])
        new = [one for one in ids if asked_us.get(one, -FOREVER_US) < horizon_us]
        asked_us |= dict.fromkeys(new, time_us)
        assert len(pending.find(digests_of(ids))) == len(ids)
        for one in ids:
            for store in (pending, known):
                put(store, [one], asked_us[one], dice.choice([31, 56, 73]) if store is pending else 31, turn)
        for store in (pending, known):
            for one in ids:
                put(store, [one], asked_us[one], 31 + turn % 40, turn)
            store.expire(horizon_us)
        if turn % 3 == 0:
            keep(keeper, pending)
        if turn % 30 == 29:
            keep(keeper, pending)
            pending = RedisPending(keeper, "g", 3 * DAY_US, pending.said())
        waiting = digests_of([one for one, at_us in asked_us.items() if at_us >= horizon_us])
        assert pending.find(waiting) == known.find(waiting)


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
    assert pending.find(digests_of(["0-1", "1-1"])) == [b"", b""]
    assert pending.find(digests_of(["2-1"])) != [b""]
    assert len(pending) == 1_000
    keep(keeper, pending)
    keep(keeper, pending)
    assert 0.4 * full < kept() < 0.6 * full
    successor = RedisPending(keeper, "h", DAY_US, abandoned=prefixes_of(pending.said()))
    for _ in range(2):
        keep(keeper, successor)
    assert kept() == 0


def test_a_request_takes_half_a_hundred_bytes(stack: Addresses, name: str, client: redis.Redis) -> None:
    """With five models: ten million of them fit half a gigabyte; hashes stay one piece of memory, labelled or not."""
    keeper = begun(stack, name)
    pending = RedisPending(keeper, "g", FOREVER_US)
    rows = 1 << 18
    ids = [f"request-{number}" for number in range(rows)]
    for start in range(0, rows, 1 << 14):
        put(pending, ids[start : start + (1 << 14)], start)
        keep(keeper, pending)
    key = f"{keeper.key}:g:0:"
    sizes = [client.memory_usage(f"{key}{bucket}", samples=0) for bucket in range(200)]
    assert sum(size for size in sizes if size) * BUCKETS / 200 / rows < 60
    pending.find(digests_of(ids[:10_000]))
    put(pending, ids[:10_000], 0, 73)
    keep(keeper, pending)
    kinds = {client.object("encoding", f"{key}{bucket}") for bucket in range(200)}
    assert kinds <= {b"listpack", b"ziplist"}
    pending.expire(FOREVER_US)
    keep(keeper, pending)
