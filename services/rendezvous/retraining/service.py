"""The retrainer's shell: reads what the monitor found, writes events, runs their jobs, judges candidates.

One retrainer of an endpoint works: whoever has the one partition of `<endpoint>.retrain` in the group
`<endpoint>.retrainer`; others stand by. It keeps nothing of its own: when it gets the partition it reads accuracy,
drift, retrain and control from their beginning, and what they say together is its state. It does one thing at a time,
and the next one only when it has read back what it wrote.

A retrainer that was frozen, and has lost its place without knowing, is asked by the group before it writes; what slips
through all the same is harmless: of two events or outcomes with one key the first stands, a hand-off whose writer had
not seen the last one is refused by every reader.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rendezvous.log.records import Record, Sink, Source, Start
from rendezvous.monitoring.findings import Accuracy, Alarm, Contest, Drift
from rendezvous.registry import changes
from rendezvous.registry.changes import Author
from rendezvous.registry.events import ControlEvent, Ruling, Weights
from rendezvous.registry.naming import RegistryError
from rendezvous.registry.state import Control, Pair
from rendezvous.retraining.aside import set_aside
from rendezvous.retraining.attending import Attendant
from rendezvous.retraining.events import Retrained, RetrainEvent
from rendezvous.retraining.jobs import Jobs
from rendezvous.retraining.ledger import Heard, Ledger
from rendezvous.retraining.limits import RetrainingLimits
from rendezvous.retraining.post import Post
from rendezvous.retraining.showing import show
from rendezvous.retraining.triggers import Surroundings, due
from rendezvous.retraining.verdicts import Judgement, hand_off_for, judgements, proposes
from rendezvous.retraining.weighing import weights
from rendezvous.settings import Endpoint
from rendezvous.telemetry import RetrainerMetrics
from rendezvous.wire import WireError, decode_any

TOPICS = ("retrain", "accuracy", "drift", "control")
"""What is read, from the beginning. Who has the partition of the first one works, the others stand by."""
FINDINGS: tuple[type[Heard], ...] = (Accuracy, Contest, Drift, Alarm, RetrainEvent, Retrained)
READ = 1_000
IDLE_US = 100_000
"""The longest wait for a record: how late a job's end is seen."""
SETTLE_US = 1_000_000
"""From the first word of a block's closing until something is concluded: what else the monitor says of it, on two
topics, has come by then. What comes later counts at the next closing."""
LOOK_US = 5_000_000
"""Between two looks at training code, or at cards that were not there."""
CHECK_US = 2_000_000
"""Between two looks at the last comparisons, while a version that may be promoted has not shown what the alias asks."""

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Means:
    """What a retrainer works with besides the log.

    shortfalls: what a version has not shown of what the champion's alias asks for (see `registry.evidence`); code_of:
    sha256 of the training code in a version's card, None when that is not here; by: who writes.
    """

    jobs: Jobs
    shortfalls: Callable[[Control, Pair], Sequence[str]]
    code_of: Callable[[Control, Pair], str | None]
    by: str


class Retrainer:
    """One loop for one endpoint."""

    def __init__(
        self,
        endpoint: Endpoint,
        limits: RetrainingLimits,
        source: Source,
        sink: Sink,
        means: Means,
        clock_us: Callable[[], int],
        metrics: RetrainerMetrics,
    ) -> None:
        self._endpoint = endpoint
        self._limits = limits
        self._source = source
        self._means = means
        self._by = means.by
        self._clock_us = clock_us
        self._metrics = metrics
        self._retrain, self._control = endpoint.topic("retrain"), endpoint.topic("control")
        self._post = Post([endpoint.topic(name) for name in TOPICS], source, sink)
        self._attendant = Attendant(means.jobs, self._post, self._retrain, metrics)
        self._joined = False
        self._begin()
        source.subscribe(endpoint.topic(TOPICS[0]), self)

    def _begin(self) -> None:
        """Know nothing."""
        self.ledger = Ledger(self._endpoint.monitoring)
        self._seen_us: dict[int, int] = {}
        self._concluded: tuple[object, ...] = ()
        self._revision = -1
        self._checked_us: dict[Pair, int] = {}
        self._codes: dict[Pair, str | None] = {}
        self._code: str | None = None
        self._looked_us = 0

    # ---------------------------------------------------------------------------------------------------- the group

    def assigned(self, partitions: Sequence[int]) -> list[Start]:
        """See `Owner.assigned`: it is our turn, or others'."""
        self._joined = True
        if not partitions:
            return []
        self._begin()
        self._metrics.leads.set(1)
        _logger.info("%s: at work, reading %s from the beginning", self._endpoint.name, ", ".join(TOPICS))
        return self._post.begin()

    def revoked(self, partitions: Sequence[int], *, lost: bool) -> list[tuple[str, int]]:
        """See `Owner.revoked`: whoever comes next does the job again."""
        if not partitions:
            return []
        _logger.info("%s: no longer at work%s", self._endpoint.name, ", the group had given us up" if lost else "")
        self._attendant.end()
        self._begin()
        self._metrics.leads.set(0)
        return self._post.leave()

    @property
    def ready(self) -> bool:
        """At work, or standing by."""
        return self._joined and (not self._post.held or self._post.current)

    @property
    def over(self) -> bool:
        """Never: it ends when it is told to."""
        return False

    # ----------------------------------------------------------------------------------------------------- one turn

    def turn(self, longest_us: int = IDLE_US) -> None:
        """Read on; then do what is due, one thing.

        Raises:
            LogError: what was written could not be delivered, or a job has to be done again: a restart goes on.
        """
        for record in self._source.poll(READ, longest_us / 1e6):
            self._take(record)
        self._post.serve()
        if not (self._post.held and self._post.current):
            return
        self._settle()
        if self._attendant.attend(self.ledger):
            return
        now_us = self._clock_us()
        for act in (self._judge, self._set_aside, self._conclude):
            if act(now_us):
                return

    def stop(self) -> None:
        """End the job under way, which whoever comes next does again, and leave the group."""
        self._attendant.end()
        self._source.close()

    def _take(self, record: Record) -> None:
        if not self._post.takes(record):
            return
        if record.topic == self._control:
            self.ledger.follow(record)
            return
        try:
            self.ledger.hear(decode_any(record.value, FINDINGS))
        except WireError as error:
            self._metrics.unreadable.inc()
            _logger.warning("%s@%d: passed: %s", record.topic, record.offset, error)

    def _settle(self) -> None:
        """Note when closings were first heard of."""
        if self._revision == self.ledger.revision:
            return
        self._revision, now_us = self.ledger.revision, self._clock_us()
        show(self.ledger, self._limits, Surroundings(self._by, self._code, self._codes, ()), self._metrics)
        for moment_us in self.ledger.rounds:
            self._seen_us.setdefault(moment_us, now_us)

    @property
    def _settled_us(self) -> int:
        """The newest closing of which all should have been heard."""
        by_us = self._clock_us() - SETTLE_US
        return max((moment_us for moment_us, seen_us in self._seen_us.items() if seen_us <= by_us), default=-1)

    # ----------------------------------------------------------------------------------------------------- verdicts

    def _judge(self, now_us: int) -> bool:
        """Act on the first judgement that can be acted on."""
        self._look(now_us)
        author = Author(self._by, now_us)
        for judgement in judgements(self.ledger, self._limits, self._endpoint, self._codes):
            proposed = proposes(self._limits, judgement)
            if proposed or judgement.done or judgement.ruling is Ruling.REJECTED:
                verdict = judgement.verdict(author, proposed=proposed)
                if self._post.write(self._control, verdict):
                    _logger.info("%s: %s: %s", "/".join(judgement.pair), verdict.rule, verdict.ruling)
                    self._metrics.verdicts.labels(str(verdict.ruling)).inc()
                return True
            if self._may_move(judgement, now_us) and self._hand_off(judgement, author):
                return True
        return False

    def _hand_off(self, judgement: Judgement, author: Author) -> bool:
        try:
            event = hand_off_for(self.ledger, judgement, self._endpoint, author)
        except RegistryError as error:
            _logger.warning("%s: %s", "/".join(judgement.pair), error)
            return False
        return self._tell(event)

    def _may_move(self, judgement: Judgement, now_us: int) -> bool:
        """The registry's conditions for a promotion; a roll-back has none. Looked at now and then: it reads the log."""
        if judgement.ruling is Ruling.ROLLED_BACK:
            return True
        if now_us < self._checked_us.get(judgement.pair, 0) + CHECK_US:
            return False
        self._checked_us[judgement.pair] = now_us
        missing = self._means.shortfalls(self.ledger.control, judgement.pair)
        for reason in missing:
            _logger.info("%s may be promoted, and waits: %s", "/".join(judgement.pair), reason)
        return not missing

    def _set_aside(self, now_us: int) -> bool:
        return self._tell(*set_aside(self.ledger, self._limits, Author(self._by, now_us)))

    # ----------------------------------------------------------------------------------------------------- triggers

    def _conclude(self, now_us: int) -> bool:
        """Write the event that is due, or weights, when something has been heard since nothing was."""
        settled_us = self._settled_us
        champion = self.ledger.champion
        news = (self.ledger.revision, settled_us, self._code, None if champion is None else self._codes.get(champion))
        if news == self._concluded or settled_us < 0:
            return False
        self._metrics.settled.set(settled_us / 1e6)
        around = Surroundings(self._by, self._code, self._codes, self._request_ends())
        event = due(self.ledger, self._limits, settled_us, around)
        if event is not None:
            _logger.info("%s: %s", event.key, ", ".join(event.causes))
            self._metrics.events.inc()
            return self._post.write(self._retrain, event)
        self._concluded = news
        limits, author = self._limits.weights, Author(self._by, now_us)
        if limits is None:
            return False
        return self._tell(*weights(self.ledger, limits, self._endpoint.output.kind, settled_us, author))

    def _request_ends(self) -> tuple[int, ...]:
        requests = self._endpoint.topic("requests")
        return tuple(self._source.bounds(requests, number)[1] for number in range(self._endpoint.topics.partitions))

    # ------------------------------------------------------------------------------------------------ around the topics

    def _look(self, now_us: int) -> None:
        """See which training code there is, and which one made the versions that matter."""
        is_time = now_us >= self._looked_us + LOOK_US
        if is_time:
            self._looked_us = now_us
            self._code = self._means.jobs.code()
        made = {pair for _, pair in self.ledger.made(self._limits.model)}
        reigned = {reign.pair for reign in self.ledger.reigns}  # a verdict may be missing on who took over from them
        for pair in (made | reigned) & set(self.ledger.control.deployed):
            if self._codes.get(pair) is None and (is_time or pair not in self._codes):
                self._codes[pair] = self._means.code_of(self.ledger.control, pair)

    def _tell(self, *events: ControlEvent) -> bool:
        """Write to control; whether there was anything to write."""
        for event in events:
            if self._post.write(self._control, event) and not isinstance(event, Weights):
                _logger.info("%s", changes.told(event))
        return bool(events)
