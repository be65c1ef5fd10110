"""The cache of control on a real Redis: current or not used, never waited for long, and back after a wipe."""

from __future__ import annotations

import json
import logging
import socket
import time
import uuid
from collections.abc import Iterator
from dataclasses import replace

import pytest
import redis

from endpoints import endpoint
from homes import until
from registers import first_deployment
from rendezvous.local.ports import LOOPBACK
from rendezvous.local.stack import Addresses
from rendezvous.registry.cache import TIMEOUT_S, Cache
from rendezvous.registry.follower import Follower
from rendezvous.registry.naming import RegistryError
from rendezvous.registry.snapshot import to_json

pytestmark = pytest.mark.kafka

CONTROL = first_deployment(endpoint())
LATER = replace(CONTROL, position=CONTROL.position + 1)


@pytest.fixture
def name() -> str:
    """An endpoint of the test's own."""
    return f"cache-{uuid.uuid4().hex[:10]}"


@pytest.fixture
def client(stack: Addresses) -> Iterator[redis.Redis]:
    """A look at what is really there."""
    with redis.Redis.from_url(stack.redis) as found:
        yield found


@pytest.fixture
def deaf() -> Iterator[str]:
    """The address of a Redis that lets one in and never says anything."""
    with socket.create_server((LOOPBACK, 0), backlog=8) as listening:
        yield f"redis://{LOOPBACK}:{listening.getsockname()[1]}/0"


def test_what_is_kept_is_found(stack: Addresses, name: str) -> None:
    """By another process too, as it was."""
    assert Cache(stack.redis, name, "t").get() is None
    assert Cache(stack.redis, name, "t").put(CONTROL)
    assert Cache(stack.redis, name, "t").get() == CONTROL


def test_a_topic_made_anew_has_nothing_in_the_cache(stack: Addresses, name: str) -> None:
    """A position of the topic before says nothing about this one."""
    Cache(stack.redis, name, "before").put(CONTROL)
    assert Cache(stack.redis, name, "now").get() is None


def test_who_listens_hears_of_each_change(stack: Addresses, name: str, client: redis.Redis) -> None:
    """The position up to which the snapshot has read, on the key's own channel."""
    cache = Cache(stack.redis, name, "t")
    with client.pubsub(ignore_subscribe_messages=True) as listener:  # type: ignore[no-untyped-call] # as published
        listener.subscribe(f"rendezvous:{name}:control:changed")
        until(lambda: client.pubsub_numsub(cache.channel)[0][1] == 1, "somebody listens")
        cache.put(CONTROL)
        cache.put(LATER)
        heard: list[bytes] = []

        def all_heard() -> bool:
            message = listener.get_message(timeout=0.1)
            if message is not None:
                heard.append(message["data"])
            return len(heard) == 2

        until(all_heard, "both changes are heard")
    assert heard == [b"%d" % CONTROL.position, b"%d" % LATER.position]


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"rubbish",
        b"[]",
        b"{}",
        b'{"topic": "t"}',
        b'{"topic": "t", "control": 5}',
        b'{"topic":"t","control":"{}"}',
    ],
)
def test_what_somebody_else_put_there_is_not_used(
    stack: Addresses, name: str, client: redis.Redis, value: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """A line at INFO, and the log is read."""
    cache = Cache(stack.redis, name, "t")
    client.set(cache.key, value)
    with caplog.at_level(logging.INFO):
        assert cache.get() is None
    assert [record.levelname for record in caplog.records] == ["INFO"]
    assert "the log is read instead" in caplog.text


def test_a_key_of_another_type_is_not_used(stack: Addresses, name: str, client: redis.Redis) -> None:
    """A list under our name."""
    cache = Cache(stack.redis, name, "t")
    client.rpush(cache.key, "x")
    assert cache.get() is None
    assert cache.put(CONTROL)
    assert cache.get() == CONTROL


@pytest.mark.parametrize("url", ["redis://127.0.0.1:1/0", "redis://nowhere.invalid/0"])
def test_a_redis_that_is_gone_is_none(url: str, name: str, caplog: pytest.LogCaptureFixture) -> None:
    """Said once for each attempt, at INFO; nothing is raised."""
    cache = Cache(url, name, "t")
    with caplog.at_level(logging.INFO):
        assert cache.get() is None
        assert not cache.put(CONTROL)
    assert [record.levelname for record in caplog.records] == ["INFO", "INFO"]


def test_a_redis_that_says_nothing_is_not_waited_for(deaf: str, name: str) -> None:
    """An attempt ends within two time-outs: to connect, and for the answer."""
    cache = Cache(deaf, name, "t")
    for attempt in (cache.get, lambda: cache.put(CONTROL)):
        begun = time.monotonic()
        assert not attempt()
        assert time.monotonic() - begun < 2 * TIMEOUT_S + 0.5


def test_no_address_is_no_cache(name: str) -> None:
    """Nothing is found, nothing kept; an address that is none is an error."""
    cache = Cache("", name, "t")
    assert cache.get() is None
    assert not cache.put(CONTROL)
    cache.close()
    with pytest.raises(RegistryError, match="REDIS_URL is no address of a Redis"):
        Cache("nonsense", name, "t")


# -------------------------------------------------------------------------------------------------------- the follower


def test_a_wiped_cache_comes_back(stack: Addresses, name: str, client: redis.Redis) -> None:
    """By itself, with the newest that was offered."""
    cache = Cache(stack.redis, name, "t")
    follower = Follower(Cache(stack.redis, name, "t"), look_every_s=0.05)
    try:
        follower.offer(CONTROL)
        follower.offer(LATER)
        until(lambda: cache.get() == LATER, "the cache has what was offered")
        client.delete(cache.key)
        until(lambda: cache.get() == LATER, "it is there again", 5.0)
    finally:
        follower.stop()


def test_a_follower_that_is_behind_takes_nothing_back(stack: Addresses, name: str) -> None:
    """Another server's may have seen more."""
    cache = Cache(stack.redis, name, "t")
    cache.put(LATER)
    follower = Follower(Cache(stack.redis, name, "t"), look_every_s=0.01)
    try:
        follower.offer(CONTROL)
        time.sleep(0.3)  # some thirty looks
        assert cache.get() == LATER
    finally:
        follower.stop()


def test_what_the_cache_holds_is_not_written_again(stack: Addresses, name: str, client: redis.Redis) -> None:
    """A change notice is a change."""
    cache = Cache(stack.redis, name, "t")
    document = json.dumps({"topic": "t", "control": to_json(CONTROL)}, indent=1)
    client.set(cache.key, document)
    follower = Follower(Cache(stack.redis, name, "t"), look_every_s=0.01)
    try:
        follower.offer(CONTROL)
        time.sleep(0.3)  # some thirty looks
        assert client.get(cache.key) == document.encode()
    finally:
        follower.stop()


def test_nobody_waits_for_a_follower(deaf: str, name: str) -> None:
    """Offering takes no time while Redis says nothing, and stopping a bounded one."""
    follower = Follower(Cache(deaf, name, "t"), look_every_s=0.01)
    begun = time.monotonic()
    for _ in range(1_000):
        follower.offer(CONTROL)
    assert time.monotonic() - begun < 0.2
    begun = time.monotonic()
    follower.stop()
    assert time.monotonic() - begun < 4 * TIMEOUT_S + 0.5
