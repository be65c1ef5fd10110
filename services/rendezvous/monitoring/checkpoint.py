"""What the monitor knows, kept in Redis in one step: its conclusions, how far it read, and the requests that wait.

Everything here can be made anew from the log; it is kept so that a restart costs seconds. A checkpoint carries a token
that changes with each one, and every question names the token that it expects. A Redis that was wiped, that came back
with an older state, or that a second monitor writes to, is found out by the first question, and the monitor ends: what
it would conclude from such a Redis would be wrong. The next process begins with the state that is there, or, if that
is none or older than what its consumer group says was done, with a new generation, which reads the log from its start.
"""

from __future__ import annotations

import json
import logging
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from rendezvous.monitoring.merging import Part, Place
from rendezvous.settings import SettingsError

T = TypeVar("T")

ANSWER_S = 5.0
"""For connecting, and for an answer: the largest checkpoint takes Redis a second."""
STALE = "STALE"

BUCKETS = 8_192
"""Hashes of a prefix, by the first 13 bits of a digest (of its second byte the lowest 5)."""

_CLAIM = """
local kept = redis.call('HMGET', KEYS[1], 'token', 'document', 'core')
if kept[1] then redis.call('HSET', KEYS[1], 'token', ARGV[1]) end
return kept
"""
"""The token from here on."""

_KEEP = """
local token = redis.call('HGET', KEYS[1], 'token')
if token == ARGV[2] then return 1 end -- this very checkpoint: the answer to it was lost
if (token or '') ~= ARGV[1] then return redis.error_reply('STALE') end
redis.call('HSET', KEYS[1], 'token', ARGV[2], 'document', ARGV[3], 'core', ARGV[4])
local sub, byte, char, call = string.sub, string.byte, string.char, redis.call
for a = 6, #ARGV, 3 do
  local prefix, width, rows = ARGV[a], tonumber(ARGV[a + 1]), ARGV[a + 2]
  for i = 1, #rows, width do
    local high, low = byte(rows, i, i + 1)
    local key, field, last = prefix .. (high * 32 + low % 32), sub(rows, i + 1, i + 7), i + width - 1
    if width <= 8 + 63 then
      call('HSET', key, field, sub(rows, i + 8, last))
    else
      call('HSET', key, field, sub(rows, i + 8, i + 71))
      local piece = 1
      for from = i + 72, last, 64 do
        call('HSET', key, field .. char(piece), sub(rows, from, math.min(from + 63, last)))
        piece = piece + 1
      end
      if (width - 8) % 64 == 0 then call('HDEL', key, field .. char(piece)) end
    end
  end
end
for key in string.gmatch(ARGV[5], '%S+') do call('UNLINK', key) end
return 1
"""
"""Token before, token after, document, core, keys to remove; then for each kind of row: prefix, width, rows."""

_FIND = """
if redis.call('HGET', KEYS[1], 'token') ~= ARGV[1] then return redis.error_reply('STALE') end
local out, digests = {}, ARGV[2]
local sub, byte, char, call = string.sub, string.byte, string.char, redis.call
for i = 1, #digests, 8 do
  local high, low = byte(digests, i, i + 1)
  local bucket, field, found = high * 32 + low % 32, sub(digests, i + 1, i + 7), ''
  for a = 3, #ARGV do
    local key = ARGV[a] .. bucket
    local value = call('HGET', key, field)
    if value then
      found = char(a - 3) .. value
      local piece = 1
      while value and #value == 64 do
        value = call('HGET', key, field .. char(piece))
        if value then found = found .. value end
        piece = piece + 1
      end
      break
    end
  end
  out[#out + 1] = found
end
return out
"""
"""A value of more than 64 bytes would have Redis keep its hash with pointers, three times as large: it is in pieces.

Token, digests; then the prefixes to look under, the newest first, 256 at most."""

_logger = logging.getLogger(__name__)


class StaleError(Exception):
    """Redis does not hold the state that this process left there."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Everything that a monitor needs to go on: see the module's first lines.

    topics: the id of each, since a topic made anew has other offsets. settings: what the conclusions depend on beside
    the log. places: how far each partition was read. written: of the outputs, see `Outlet.flush`. waiting: what the
    pending requests' store must know of itself. control: what control said there. core: the conclusions.
    """

    generation: str
    topics: Mapping[str, str]
    settings: str
    places: Mapping[Part, Place]
    written: Mapping[Part, int]
    waiting: Mapping[str, Any]
    control: str
    core: bytes

    def document(self) -> str:
        """All but the conclusions, as JSON."""
        return json.dumps(
            {
                "generation": self.generation,
                "topics": dict(self.topics),
                "settings": self.settings,
                "places": [[*part, *place] for part, place in self.places.items()],
                "written": [[*part, end] for part, end in self.written.items()],
                "waiting": dict(self.waiting),
                "control": self.control,
            }
        )

    @classmethod
    def read(cls, document: bytes, core: bytes) -> Checkpoint:
        """What was kept."""
        said = json.loads(document)
        return cls(
            said["generation"],
            said["topics"],
            said["settings"],
            {(topic, part): Place(offset, time_ms) for topic, part, offset, time_ms in said["places"]},
            {(topic, part): end for topic, part, end in said["written"]},
            said["waiting"],
            said["control"],
            core,
        )


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows for one prefix, all of one width: 8 bytes of digest, of which 13 bits name the bucket, and the value."""

    prefix: str
    width: int
    packed: bytes


class Keeper:
    """The state of one endpoint's monitor in Redis.

    `wait` is told why Redis could not be asked, and is expected to wait before it returns; it raises to give up. No
    question is left out: a monitor without its Redis stands still.
    """

    def __init__(self, url: str, endpoint: str, wait: Callable[[str], None]) -> None:
        if not url:
            raise SettingsError(
                "REDIS_URL is not set: the monitor keeps requests that wait for their labels there; "
                "`rendezvous up` starts a local Redis and prints it"
            )
        try:
            self._redis = redis.Redis.from_url(
                url, socket_timeout=ANSWER_S, socket_connect_timeout=ANSWER_S, retry=Retry(NoBackoff(), 0)
            )
        except ValueError as error:
            raise SettingsError(f"REDIS_URL is no address of a Redis ({error}): correct it") from error
        self.key = f"rendezvous:{endpoint}:monitor"
        self._wait = wait
        self._token = ""
        self._claim = self._redis.register_script(_CLAIM)
        self._keep = self._redis.register_script(_KEEP)
        self._find = self._redis.register_script(_FIND)

    def read(self) -> Checkpoint | None:
        """What was kept last; from here on this process is the one that goes on from it, and no other one."""
        token = uuid.uuid4().hex
        before, document, core = self._ask(lambda: self._claim(keys=[self.key], args=[token]))
        if before is None:
            return None
        self._token = token
        return Checkpoint.read(document, core)

    def verify(self) -> None:
        """Make sure that this process is still the one that goes on.

        Raises:
            StaleError: it is not.
        """
        self.find(b"", ())

    def keep(self, checkpoint: Checkpoint, rows: Sequence[Rows] = (), removed: Sequence[str] = ()) -> None:
        """Keep a checkpoint, add rows, and remove keys, all or nothing.

        Raises:
            StaleError: something else is there than what was read or kept last.
        """
        token = uuid.uuid4().hex
        arguments: list[str | bytes | int] = [self._token, token, checkpoint.document(), checkpoint.core]
        arguments.append(" ".join(removed))
        for kind in rows:
            arguments += [kind.prefix, kind.width, kind.packed]
        self._ask(lambda: self._keep(keys=[self.key], args=arguments))
        self._token = token

    def find(self, digests: bytes, prefixes: Sequence[str]) -> list[bytes]:
        """For each digest of 8 bytes: which of the prefixes has it, as one byte, and its value; or nothing.

        Raises:
            StaleError: what is there is not what was kept last.
        """
        found = self._ask(lambda: self._find(keys=[self.key], args=[self._token, digests, *prefixes]))
        assert isinstance(found, list)  # noqa: S101 - a script's table
        return found

    def close(self) -> None:
        """Give the connection back."""
        self._redis.close()

    def _ask(self, question: Callable[[], T]) -> Any:  # noqa: ANN401 - redis-py types answers as a union with awaitables
        while True:
            try:
                return question()
            except redis.ResponseError as error:
                if STALE in str(error):
                    raise StaleError(
                        f"{self.key} is not what this monitor left there: Redis was wiped or restored, or another "
                        "monitor of the endpoint runs. The next start goes on from what is there"
                    ) from error
                if not str(error).startswith(("OOM", "LOADING", "BUSY", "READONLY", "MISCONF")):
                    raise
                self._wait(str(error))
            except (redis.RedisError, OSError) as error:
                self._wait(str(error))
