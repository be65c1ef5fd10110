"""The monitor's findings on their way out: each is written once, also by a monitor that begins again where one died.

A process that dies between two checkpoints has written findings that its successor will come to again, the same ones.
The successor reads what stands on the topics behind its checkpoint before it begins, and leaves those out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from rendezvous.log import LogError, Record, Sink
from rendezvous.messages import Finding
from rendezvous.monitoring.findings import Accuracy, Alarm, Contest, Drift
from rendezvous.monitoring.merging import Part
from rendezvous.wire import WireError, decode_any, encode

DELIVERY_S = 40.0
"""A record is delivered or given up within the producer's `delivery.timeout.ms`, 30 s."""

KINDS: Sequence[type[Finding]] = (Accuracy, Drift, Alarm, Contest)
Identity = tuple[object, ...]


def identity_of(finding: Finding) -> Identity:
    """What a finding is known by: its kind, its subject, and what it is about; a repeat has the same."""
    match finding:
        case Accuracy():
            about: Identity = (finding.span, finding.number, finding.start_us, finding.end_us, finding.revision)
        case Drift():
            about = (finding.kind, finding.number, finding.start_us, finding.end_us)
        case Alarm():
            about = (finding.kind, finding.subject, finding.detector, finding.number, finding.at_us)
        case Contest():
            about = (finding.champion_model, finding.champion_version, finding.number, finding.at_us)
    return type(finding).__name__, finding.model, finding.version, *about


class Outlet:
    """Writes findings to the topics of an endpoint, one partition each; `failed` deliveries end the process.

    `topics` has the topic of each kind.
    """

    def __init__(self, sink: Sink, topics: Mapping[type, str]) -> None:
        self._sink = sink
        self._topics = topics
        self._already: dict[Identity, list[int]] = {}
        self._standing: dict[Part, dict[int, None]] = {part: {} for part in ((topic, 0) for topic in topics.values())}
        self._ends: dict[Part, int] = {(topic, 0): 0 for topic in topics.values()}
        self._failed: str | None = None

    def begin(self, starts: Mapping[Part, int], read: Callable[[str, int, int], Iterable[Record]]) -> None:
        """Learn what stands behind `starts`: the positions of a checkpoint, or nothing for all that there is."""
        for part in self._ends:
            self._ends[part] = starts.get(part, 0)
            for record in read(*part, self._ends[part]):
                self._ends[part] = record.offset + 1
                try:
                    identity = identity_of(decode_any(record.value, KINDS))
                except WireError:  # somebody else's, or of a time before this one's oldest schema
                    continue
                self._already.setdefault(identity, []).append(record.offset)
                self._standing[part][record.offset] = None

    def write(self, finding: Finding) -> bool:
        """Write a finding, unless it stands there already; whether it was written."""
        topic = self._topics[type(finding)]
        if standing := self._already.get(identity_of(finding)):
            del self._standing[topic, 0][standing.pop(0)]
            return False
        self._send(topic, encode(finding))
        return True

    def _send(self, topic: str, value: bytes) -> None:
        part = topic, 0

        def delivered(error: str | None, offset: int) -> None:
            if error is not None:
                self._failed = f"{topic}: {error}"
            else:
                self._ends[part] = max(self._ends[part], offset + 1)

        self._sink.send(topic, value, partition=0, delivered=delivered)

    def flush(self) -> dict[Part, int]:
        """Wait until all is delivered; how far each topic holds only what was concluded by now.

        What a process before has written, and this one has not come to yet, is behind that: a third one must know it.

        Raises:
            LogError: a finding could not be delivered.
        """
        left = self._sink.flush(DELIVERY_S)
        if self._failed is not None or left:
            raise LogError(self._failed or f"{left} findings were not delivered within {DELIVERY_S:.0f} s")
        return {part: next(iter(self._standing[part]), end) for part, end in self._ends.items()}
