"""Servers that stop, crash, freeze and share partitions at random, on the log in memory: the story of one seed.

Applications ask, models score (or not, or late), the log has gaps and rubbish, control says all kinds of things, and
one or two servers work, until chance stops, kills or freezes them. The producers are slow: a record waits in a queue,
then stands in the log without a report, then is reported; a crash loses the queue and the reports::

    send---queued---in the log---reported
              ^crash: lost  ^crash: there, and nobody knows

With `exactly_once` a bundle is under way for a turn; it is aborted now and then, and a crash comes before or after its
commit, or in it, with the broker's own: then the producer's next transaction decides about both::

    hand_over---------committed---------outcome
              ^crash: never   ^crash: all of it, and nobody knows

A frozen server loses its partitions when its session ends, and hears of it when it thaws::

    freeze------expelled (or not)------thaw: what was queued goes out
                        ^another one takes over
"""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from random import Random

import numpy as np

from aside import Aside
from endpoints import endpoint
from memory_log import FakeClock, Fate, MemoryLog, MemoryTransactor
from rendezvous.envelope import draw_of, write_envelope
from rendezvous.log.records import Headers
from rendezvous.log.roles import SESSION_MS
from rendezvous.messages import Envelope, Scores, Status
from rendezvous.registry.state import Pair
from rendezvous.server.service import Service
from rendezvous.settings import Endpoint
from rendezvous.topics import topics_of
from rendezvous.wire import Codec, encode
from sizes import GROUP, check_bounds, check_empty, is_delivering, is_returning
from slow_log import ShufflingSource, SlowSink
from talk import Talk
from witness import Place, Witness
from worlds import memory_server

EVENTS = 55
PARTITIONS = 2
STEP_MS, DEADLINE_MS, LONGEST_MS, MARGIN_MS, CLOSE_MS, TURN_MS = 100, 300, 600, 60, 700, 40
LEAP_MS = SESSION_MS // 3
"""Of time that passes while a server is frozen: less than makes the others ask whether they were."""
ABORTS, ABORTS_THEN = 0.03, 0.5
"""Share of transactions; of those that find a predecessor's without an end, since then the group is forming anew."""
MOST_ASKED = 200
CROWD, CROWD_LIMIT, CROWD_MS = 8, 3, 240
RING = 128
SMALL_RING = 16
BEHIND_MS = (10_000, 0, TURN_MS)
"""Never skips, or all that waits behind an old request, or after a turn of them."""
AMPLE = 1_000
"""Records in one poll: more than a run ever has waiting."""


@cache
def endpoint_of(ring: int, behind_ms: int, *, exactly_once: bool) -> Endpoint:
    """The endpoint of a run; versions are soon passed by, and soon trusted again."""
    return endpoint(
        exactly_once=exactly_once,
        topics={"partitions": PARTITIONS},
        aliases={"first": "champion"},
        mailbox={"close_ms": CLOSE_MS, "silent_ms": 200, "capacity": ring, "behind_ms": behind_ms},
        fallback={"requests": 2, "window_s": 0.2, "recover_s": 0.1},
        request={
            "deadline_ms": DEADLINE_MS,
            "max_deadline_ms": LONGEST_MS,
            "reply_margin_ms": MARGIN_MS,
            "max_bytes": 1_000,
        },
        schedule=[
            {"until_ms": STEP_MS, "models": ["champion"]},
            {"models": ["champion", "challenger", "baseline"]},
        ],
    )


FEATURES = Codec(endpoint_of(RING, 0, exactly_once=False).features_schema).encode({"x": 1.0, "who": "a"})


def output_of(pair: Pair, place: Place) -> float:
    """What a version says of a request, whenever it says it."""
    return zlib.crc32(repr((pair, place)).encode()) % 17 / 16


@dataclass
class Server:
    """One server process."""

    service: Service
    source: ShufflingSource
    sinks: tuple[SlowSink, SlowSink]


class Run:
    """One seed's story.

    asked: each request's name, append time and deadline; in_doubt: how often a request may be answered once more;
    deaths: servers that could tell nobody what they had done; interrupted_us: when somebody lost or gained something.
    """

    def __init__(self, seed: int, *, exactly_once: bool = False) -> None:
        self.chance = Random(seed)  # noqa: S311 - a story, no secret
        self.ring = self.chance.choice((SMALL_RING, RING, RING))
        self.limit = self.chance.choice((1, 3, AMPLE, AMPLE))
        self.clock = FakeClock()
        self.endpoint = endpoint_of(self.ring, BEHIND_MS[seed % len(BEHIND_MS)], exactly_once=exactly_once)
        partitions = {topic.name: PARTITIONS for topic in topics_of(self.endpoint)}
        self.log = MemoryLog(self.clock, partitions, aborts=self._aborts)
        self.talk = Talk(self.endpoint, self.log, self.chance, (TURN_MS, 2 * TURN_MS, STEP_MS))
        self.servers: list[Server] = []
        self.asked: dict[Place, tuple[str, int, int]] = {}
        self.draws: dict[Place, float] = {}
        self.rubbish: set[Place] = set()
        self.interrupted_us: list[int] = []
        self.deaths = 0
        self.expelled = 0
        self.in_doubt: Counter[Place] = Counter()
        self.sent_us: dict[bytes, int] = {}
        self.seen = Witness(self.endpoint, self.log, self.sent_us)

    # --------------------------------------------------------------------------------------------- what happens

    def play(self) -> None:
        """Random events, then time until everything is over, then a clean stop."""
        likely: list[tuple[Callable[[], None], int]] = [
            (self.ask, 30),
            (self.crowd, 8),
            (self.say, 40),
            (self.wait, 14),
            (self.spoil, 4),
            (self.talk.change, 8),
            (self.start, 6),
            (self.crash, 5),
            (self.stop, 2),
            (self.freeze, 4),
        ]
        events, weights = zip(*likely, strict=True)
        for event in self.chance.choices(events, weights, k=EVENTS):
            event()
            self.turn()
        if not self.servers:
            self.start()
        for _ in range(MOST_ASKED):
            if not any(self.log.unended.values()):  # a partition of which nobody asks any more would keep them for ever
                break
            self.ask()
            self.wait(LONGEST_MS)
        else:
            raise AssertionError("what a killed broker left open stays open")
        while any(
            server.source.is_behind or not server.service.ready or is_returning(server.service)
            for server in self.servers
        ):
            self.wait(1, 1)  # what comes in driblets comes, and who is in doubt asks again after a while
        self.wait(LONGEST_MS)
        self.wait(2 * CLOSE_MS, CLOSE_MS // 4)
        while any(is_delivering(server.service) for server in self.servers):
            self.turn()
        for server in self.servers:
            check_empty(server.service)
        while self.servers:
            self.stop()

    def turn(self) -> None:
        """One turn of each server; who has been there longest gives partitions away before the other takes them."""
        for server in self.servers:
            server.service.turn()
            if not server.source.expelled:  # else its successor may have done what it still believes open
                check_bounds(server.service, self.log, self.endpoint, server.sinks)

    def wait(self, milliseconds: int = 0, turn_ms: int = TURN_MS) -> None:
        """Let time pass."""
        for _ in range((milliseconds or self.chance.choice((40, 40, 80, 120, 400))) // turn_ms):
            self.clock.advance_ms(turn_ms)
            self.turn()

    def ask(self) -> None:
        """Some requests on one partition: good ones, some whose value cannot be scored, some without an id."""
        number = self.chance.randrange(PARTITIONS)
        for _ in range(self.chance.choice((1, 1, 2, 5))):
            name = f"r{len(self.asked)}"
            deadline_ms = self.chance.choice((None, None, 80, LONGEST_MS))
            headers = write_envelope(Envelope(name, "tests", deadline_ms, None))
            kind = self.chance.choice(("good",) * 10 + ("rejected", "no id"))
            value = b"nonsense" if kind == "rejected" else FEATURES
            if kind == "no id":
                self.rubbish.add(self._put("requests", number, value, headers[2:]))
            else:
                key = self.chance.choice((None, b"a", b"b"))
                place = self._put("requests", number, value, headers, key)
                self.draws[place] = draw_of(key or name.encode())
                self.asked[place] = name, self.clock(), self.clock() + (deadline_ms or DEADLINE_MS) * 1_000

    def crowd(self) -> None:
        """More requests at once than servers can read before they are old: they get few records at a time meanwhile."""
        slow = [server.source for server in self.servers]
        for source in slow:
            source.limit = min(CROWD_LIMIT, self.limit)
        for _ in range(CROWD):
            self.ask()
        for _ in range(CROWD_MS // TURN_MS):
            self._interrupt()
            self.wait(TURN_MS)
        for source in slow:
            source.limit = self.limit
        self._interrupt()

    def say(self) -> None:
        """A model's scores for some of the last requests, or the next ones: some twice, many never."""
        number = self.chance.randrange(PARTITIONS)
        end = self.log.end(self.endpoint.topic("requests"), number)
        recent = range(max(0, end - 12), end + 3)
        offsets = sorted(self.chance.sample(recent, self.chance.randint(1, len(recent))))
        pair = self.chance.choice(
            self.talk.control.deployed if self.chance.random() < 0.9 else tuple(self.talk.control.versions)
        )
        status = self.chance.choice((Status.OK,) * 6 + (Status.ERROR, Status.UNREADABLE))
        rows = len(offsets)
        scores = Scores(
            model=pair[0],
            version=pair[1],
            taken_us=1,
            scored_us=2,
            offsets=np.array(offsets, np.int64),
            statuses=np.full(rows, status, np.uint8),
            outputs=np.array([[output_of(pair, (number, offset))] for offset in offsets], np.float32),
        )
        self._put("scores", number, encode(scores))

    # ---------------------------------------------------------------------------------------- what goes wrong

    def spoil(self) -> None:
        """A gap in a log, short or longer than a ring, or scores that are none."""
        number = self.chance.randrange(PARTITIONS)
        topic = self.chance.choice(("requests", "requests", "scores"))
        name = self.endpoint.topic(topic)
        if topic == "scores" and self.chance.random() < 0.5:
            self._put(topic, number, b"rubbish")
        else:
            self.log.skip(name, number, self.log.end(name, number) + self.chance.choice((1, 5, SMALL_RING, RING)))

    def _put(self, topic: str, number: int, value: bytes, headers: Headers = (), key: bytes | None = None) -> Place:
        return number, self.log.append(self.endpoint.topic(topic), number, value, headers, key)

    def start(self) -> None:
        """A server joins; there is room for as many as there are partitions."""
        if len(self.log.members[GROUP]) == PARTITIONS:
            return
        source = ShufflingSource(self.log, GROUP, self.chance, self.limit, self._interrupt)
        answers, records = (SlowSink(self.log, self.chance, self.sent_us) for _ in range(2))
        service = memory_server(self.endpoint, self.log, source, (answers, records), Aside(self._soon))
        self.servers.append(Server(service, source, (answers, records)))

    def stop(self) -> None:
        """One server is stopped as an operator would."""
        if self.servers:
            self._interrupt()
            self._one().service.stop()

    def crash(self) -> None:
        """One server dies; what stands answered without a decision is in doubt."""
        if self.servers:
            self._interrupt()
            server = self._one()
            for sink in server.sinks:
                sink.crash()
            for transactor in self._transactors(server):
                transactor.crash(server.source, self.chance.choice(list(Fate)))
            server.source.close()
            self._lose(self._unheard())

    def freeze(self) -> None:
        """One server stands still, for less than its session or for longer; the world and the other one go on.

        What stands in its producers' queues goes out when it thaws: with the session over, that is in doubt too.
        """
        if not self.servers:
            return
        self._interrupt()
        at = self.chance.randrange(len(self.servers))
        frozen = self.servers.pop(at)
        transactors = self._transactors(frozen)
        for transactor in transactors:
            self.chance.choice((transactor.settle, transactor.send_position, lambda: None))()
        doubtful = self._unheard() | frozen.sinks[0].places()
        self._meanwhile(self.ask, self.say, self.talk.change)
        leaps = self.chance.choice((0, 1, 2, 3, 3))
        for _ in range(leaps):
            self._interrupt()
            self.clock.advance_ms(LEAP_MS)
            self.turn()
        if leaps * LEAP_MS >= SESSION_MS:
            self._lose(doubtful)
            self.expelled += 1
            self.log.expel(GROUP, frozen.source)
            self._meanwhile(self.start, self.ask, self.say, self.wait)
            at = len(self.servers)
        self._interrupt()
        for transactor in transactors:
            if self.chance.random() < 0.75:  # the bundles' threads go on before the loop comes round
                transactor.settle()
        self.servers.insert(at, frozen)

    def _meanwhile(self, *events: Callable[[], None]) -> None:
        for event in self.chance.choices(events, k=3):
            event()
            self.turn()

    def _unheard(self) -> set[Place]:
        """What is answered, and nobody can know by whom."""
        return self.seen.answers().keys() - self.seen.decided()

    def _lose(self, doubtful: Iterable[Place]) -> None:
        """A server can tell nobody any more what it has done."""
        self.deaths += 1
        self.in_doubt.update(doubtful)

    def _interrupt(self) -> None:
        self.interrupted_us.append(self.clock())

    def _soon(self) -> bool:
        """Whether a take-over is done by now; it takes some turns, in which others come and go."""
        self._interrupt()
        return self.chance.random() < 0.5

    def _aborts(self) -> bool:
        """Now and then the broker aborts a transaction; the answers in it come later."""
        aborted = self.chance.random() < (ABORTS_THEN if any(self.log.unended.values()) else ABORTS)
        if aborted:
            self._interrupt()
        return aborted

    def _transactors(self, server: Server) -> list[MemoryTransactor]:
        return [transactor for transactor in self.log.transactors.values() if transactor.source is server.source]

    def _one(self) -> Server:
        return self.servers.pop(self.chance.randrange(len(self.servers)))
