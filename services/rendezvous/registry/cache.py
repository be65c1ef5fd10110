"""Redis as the cache of control: its snapshot under a key, and a notice on a channel whenever that changes.

The log is the truth. A cache that is gone, wiped or behind costs a reader the time to fold the log, and nothing else.
"""

from __future__ import annotations

import json
import logging

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from rendezvous.registry.naming import RegistryError
from rendezvous.registry.snapshot import from_json, to_json
from rendezvous.registry.state import Control

TIMEOUT_S = 0.5
"""For connecting, and for each answer: a cache that takes longer than folding the log is none."""

_logger = logging.getLogger(__name__)


class Cache:
    """The snapshot of one endpoint's control, of the topic with this id: a topic made anew has another."""

    def __init__(self, url: str, endpoint: str, topic_id: str) -> None:
        """Without a `url` there is no cache: nothing is found and nothing kept."""
        self.key = f"rendezvous:{endpoint}:control"
        self.channel = f"{self.key}:changed"
        self._topic_id = topic_id
        self._redis = None if not url else _client(url)
        self.reachable = False
        """Whether it answered the last question."""

    def get(self) -> Control | None:
        """The snapshot; None when there is none that can be read."""
        if self._redis is None:
            return None
        try:
            found = self._redis.get(self.key)
            self.reachable = True
            if not isinstance(found, bytes):
                return None
            document = json.loads(found)
            return from_json(document["control"]) if document["topic"] == self._topic_id else None
        except (redis.RedisError, OSError) as error:
            self.reachable = False
            _logger.info("cache: %s cannot be read (%s): the log is read instead", self.key, error)
        except (ValueError, KeyError, TypeError) as error:
            _logger.info("cache: %s is no snapshot (%s): the log is read instead", self.key, error)
        return None

    def put(self, control: Control) -> bool:
        """Keep a snapshot and tell whoever listens its position; whether that worked."""
        if self._redis is None:
            return False
        document = json.dumps({"topic": self._topic_id, "control": to_json(control)})
        try:
            with self._redis.pipeline() as both:
                both.set(self.key, document)
                both.publish(self.channel, str(control.position))
                both.execute()
            self.reachable = True
        except (redis.RedisError, OSError) as error:
            self.reachable = False
            _logger.info("cache: %s is not kept (%s): readers fold the log", self.key, error)
            return False
        return True

    def close(self) -> None:
        """Give the connection back."""
        if self._redis is not None:
            self._redis.close()


def _client(url: str) -> redis.Redis:
    """A client that gives up soon, and does not try again: whoever asks has the log.

    Raises:
        RegistryError: the address is none.
    """
    try:
        return redis.Redis.from_url(
            url, socket_timeout=TIMEOUT_S, socket_connect_timeout=TIMEOUT_S, retry=Retry(NoBackoff(), 0)
        )
    except ValueError as error:
        raise RegistryError(f"REDIS_URL is no address of a Redis ({error}): correct it, or unset it") from error
