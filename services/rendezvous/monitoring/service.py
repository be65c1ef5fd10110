"""The monitor as a process: Faust brings what stands on the topics, one thread concludes, checkpoints follow."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import time
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from typing import Any

from rendezvous.log import Ends, LogError
from rendezvous.monitoring.batches import TP, application, channel
from rendezvous.monitoring.concluding import Concluding
from rendezvous.monitoring.merging import SLACK_S, Due, Merge, Part, Place
from rendezvous.monitoring.pausing import Pause, StoppedError
from rendezvous.telemetry import KafkaMetrics, Telemetry

TAKEN = 2_000
"""Records that go to the core in one go: labels are single ones, so a few milliseconds at least."""
LOOK_S = 0.1
"""Between two looks where the partitions end, while something waits for that."""
AWAY_S = 2.0
"""Between two looks while the cluster does not say."""
WATCH_S = 5.0
"""Between two looks when nothing waits: for the metrics."""
PASSED_S = 5.0
"""Between two moments at which the clock alone ends blocks, of an endpoint that nobody asks."""
IDLE_S = 0.05
"""How long the loop waits for records before it looks whether something else is due."""
STOP_S = 5.0
"""Faust stops in some hundredths of a second, unless the cluster is away."""
HELD_BYTES = 64 << 20
"""Values that were fetched and wait for those of other partitions, in all."""

_logger = logging.getLogger(__name__)


class Service:
    """Runs until it is told to stop, or something fails: then its supervisor starts it anew.

    Args:
        bootstrap: Kafka's address.
        group: the consumer group.
        merge: the order of what is read, its places where the last checkpoint left them.
        parts: what is read.
        concluding: what is done with it.
        pause: knows whether that stands still.
        kafka: shows how far this is behind, and whether the cluster answers.
        telemetry: the pages.
    """

    def __init__(
        self,
        bootstrap: str,
        group: str,
        merge: Merge,
        parts: Sequence[Part],
        concluding: Concluding,
        pause: Pause,
        kafka: KafkaMetrics,
        telemetry: Telemetry,
    ) -> None:
        self._merge, self._parts, self._concluding, self._pause = merge, parts, concluding, pause
        self._kafka, self._telemetry = kafka, telemetry
        self._ends = Ends(bootstrap)
        self._app = application(bootstrap, group)
        self._app.agent(channel(self._app, sorted({topic for topic, _ in parts})))(self._read)
        self._unacknowledged: dict[Part, deque[Any]] = {part: deque() for part in parts}
        self._held: set[Part] = set()
        self._limit_bytes = HELD_BYTES // len(parts)
        self._arrived = asyncio.Event()
        self._failure: Exception | None = None
        self._unkept = False
        self._asked: Mapping[Part, int] = {}
        self._asked_s = float("-inf")
        self._passed_s = float("-inf")

    async def run(self) -> None:
        """Work until SIGTERM or SIGINT.

        Raises:
            LogError: Kafka or Faust failed.
            StaleError: see `Keeper`.
        """
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, self._pause.stop)
        self._merge.assign(self._parts)
        await self._app.start()
        looking = asyncio.create_task(self._look())
        try:
            while not self._pause.stopping:
                await self._turn()
                self._check(looking)
        except StoppedError:  # while it waited: the next process begins at the last checkpoint
            pass
        finally:
            self._telemetry.ready(is_ready=False)
            looking.cancel()
            await asyncio.wait([looking])
            try:
                await asyncio.wait_for(self._app.stop(), STOP_S)
            except TimeoutError:
                _logger.warning("Faust did not stop within %g s", STOP_S)

    def _check(self, looking: asyncio.Task[None]) -> None:
        if looking.done():
            looking.result()
        if self._failure is not None:
            raise self._failure
        if self._app.crashed or self._app.should_stop:
            raise LogError(f"Faust stopped by itself: {self._app.crash_reason!r}")

    async def _read(self, stream: Any) -> None:  # noqa: ANN401 - Faust's protocol lacks `noack`
        """The agent: Faust would start a failed one anew, and forget what it had in hand; here it ends the process."""
        try:
            async for event in stream.noack().events():
                self._take_in(event)
        except Exception as error:  # noqa: BLE001 - whatever it is, it ends the process
            self._failure = error
            self._arrived.set()

    def _take_in(self, event: Any) -> None:  # noqa: ANN401 - Faust's protocol lacks what is in a batch
        tp, batch = event.message.tp, event.value
        part = (tp.topic, tp.partition)
        self._merge.add(part, batch, time.monotonic())
        self._unacknowledged[part].append(event)
        if part not in self._held and self._merge.size_bytes(part) > self._limit_bytes:
            self._held.add(part)
            self._app.consumer.on_buffer_full(TP(*part))
        self._arrived.set()

    async def _turn(self) -> None:
        self._telemetry.turned()
        due = self._merge.take(TAKEN)
        if due is None and self._unkept and not self._merge.within and self._concluding.due:
            due = Due((), over=True)  # nothing comes any more: what came last is kept too
        if due is None:
            await self._pass()
            self._arrived.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._arrived.wait(), IDLE_S)
            return
        kept = await asyncio.to_thread(self._work, due, self._merge.places)
        self._pause.over()
        self._unkept = not kept
        for part in [part for part in self._held if self._merge.size_bytes(part) < self._limit_bytes // 2]:
            self._held.discard(part)
            self._app.consumer.on_buffer_drop(TP(*part))
        if kept:
            self._acknowledge()

    async def _pass(self) -> None:
        """Where all was read up to a moment, that moment has come for the core too."""
        through_s = self._merge.through_s
        if through_s is None or through_s < self._passed_s + PASSED_S:
            return
        self._passed_s = through_s
        behind_s = time.monotonic() - through_s + SLACK_S
        said = await asyncio.to_thread(self._concluding.passed, int((time.time() - behind_s) * 1e6))
        self._pause.over()
        self._unkept = self._unkept or said

    def _work(self, due: Due, places: Mapping[Part, Place]) -> bool:
        """One go of the thread that concludes; whether it ended with a checkpoint."""
        self._concluding.take(due)
        if not due.over or not self._concluding.due:
            return False
        self._concluding.keep(places)
        return True

    def _acknowledge(self) -> None:
        """What is in the checkpoint is done: Kafka's own positions may follow."""
        for part, place in self._merge.places.items():
            events = self._unacknowledged[part]
            while events and events[0].value.reached <= place.offset:
                events.popleft().ack()

    async def _look(self) -> None:
        """Ask where the partitions end: while something waits for that, and now and then for the metrics."""
        pause_s = LOOK_S
        while True:
            await asyncio.sleep(pause_s)
            now_s = time.monotonic()
            if self._merge.waits or now_s - self._asked_s > WATCH_S:
                pause_s = LOOK_S if await self._ask(now_s) else AWAY_S
            self._show()

    async def _ask(self, now_s: float) -> bool:
        try:
            self._asked = await asyncio.to_thread(self._ends.ask, self._parts)
        except LogError as error:  # the cluster is away: nothing comes meanwhile, and what is here waits
            _logger.warning("%s", error)
            self._kafka.brokers.show({("ends", "up"): 0.0, ("ends", "away"): 1.0})
            return False
        self._kafka.brokers.show({("ends", "up"): 1.0, ("ends", "away"): 0.0})
        self._asked_s = now_s
        self._merge.ends(self._asked, now_s)
        self._arrived.set()
        return True

    def _show(self) -> None:
        lag: Counter[str] = Counter()
        for part, end in self._asked.items():
            lag[part[0]] += max(0, end - self._merge.position(part))
        self._kafka.lag.show({(topic,): float(records) for topic, records in lag.items()})
        self._telemetry.ready(is_ready=self._merge.complete and not self._pause.waiting)
