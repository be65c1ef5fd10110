"""Jobs of the events that stand on the topic: one at a time, the oldest first, each until its outcome stands there."""

from __future__ import annotations

import logging
import time

from rendezvous.retraining.jobs import Jobs, Running
from rendezvous.retraining.ledger import Ledger
from rendezvous.retraining.post import Post
from rendezvous.telemetry import RetrainerMetrics

_logger = logging.getLogger(__name__)


class Attendant:
    """Starts jobs and writes their outcomes to `topic`."""

    def __init__(self, jobs: Jobs, post: Post, topic: str, metrics: RetrainerMetrics) -> None:
        self._jobs = jobs
        self._post = post
        self._topic = topic
        self._metrics = metrics
        self._running: tuple[str, Running] | None = None

    def attend(self, ledger: Ledger) -> bool:
        """Start a job, or write the outcome of the one that has ended; whether there was anything to do.

        Raises:
            LogError: the job has to be done again.
        """
        if self._running is None:
            return self._start(ledger)
        key, running = self._running
        ended = running.poll()
        if ended is None:
            return False
        if key not in ledger.outcomes and not self._post.write(self._topic, ended):
            return True
        self._running = None
        self._metrics.running.set(0)
        self._metrics.job_begun.show({})
        self._metrics.jobs.labels(str(ended.outcome)).inc()
        _logger.info("%s: %s %s %s", key, ended.outcome, ended.version, "; ".join(ended.reasons))
        return True

    def _start(self, ledger: Ledger) -> bool:
        waiting = [event for key, event in ledger.events.items() if key not in ledger.outcomes]
        if not waiting or not self._post.still_held():
            return False
        event = min(waiting, key=lambda event: (event.at_us, event.key))
        self._running = event.key, self._jobs.start(event)
        self._metrics.running.set(1)
        self._metrics.job_begun.show({(event.model,): time.time()})
        return True

    def end(self) -> None:
        """End the job under way, if any: whoever comes next does it again."""
        if self._running is not None:
            key, running = self._running
            self._running = None
            _logger.info("%s: its job is ended, to be done again", key)
            running.kill()
            self._metrics.running.set(0)
            self._metrics.job_begun.show({})
