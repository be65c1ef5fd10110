"""What travels between the parts of Rendezvous: frozen, typed, and named as in schemas/rendezvous.

A request is known inside by its place in the log, (partition, offset), and outside by its `request_id`, the
`ce_id` that the application chose. Messages about many requests at once (scores, decisions, comparisons) are
columnar: one row per request, one NumPy column per fact, row i of every column about the same request.

Times are integers in microseconds since the epoch unless the name says otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from rendezvous.monitoring.findings import Accuracy, Alarm, Contest, Drift
from rendezvous.registry.events import ControlEvent
from rendezvous.retraining.events import Retrained, RetrainEvent

Int64s: TypeAlias = NDArray[np.int64]
Int32s: TypeAlias = NDArray[np.int32]
Bytes: TypeAlias = NDArray[np.uint8]
Floats: TypeAlias = NDArray[np.float32]


class Status(IntEnum):
    """What one model says about one request."""

    NONE = 0
    """Nothing has arrived; in comparisons only, never in scores."""
    OK = 1
    """A score stands in the row's outputs."""
    EXPIRED = 2
    """The deadline had passed before the model took the request up; live models do not score it."""
    UNREADABLE = 3
    """The request's value does not decode."""
    INVALID = 4
    """A feature that this model requires is missing or NaN."""
    ERROR = 5
    """The model raised."""
    NONFINITE = 6
    """The model answered NaN or infinity."""
    SHED = 7
    """Left out under load; see `Shedding`."""


class Reason(IntEnum):
    """Why an answer is what it is."""

    PREFERRED = 0
    """The schedule's first choice answered."""
    FALLBACK = 1
    """Another model of the schedule answered."""
    DEFAULT = 2
    """No model of the schedule had a usable score in time: the endpoint's default answer."""
    EXPIRED = 3
    """The request was past its deadline when the server first saw it: the default answer."""
    OVERLOADED = 4
    """More requests are in flight than the mailbox holds: the default answer, at once."""
    REJECTED = 5
    """The request's value is too large or of an unknown schema: the default answer, at once; see dead-letters."""
    COMBINED = 6
    """Several models together: the policy is one that combines."""
    NO_ANSWER = 7
    """Said by the client alone: no answer had arrived by the deadline. Never on the wire."""


class ReplyAddress(NamedTuple):
    """Where an application wants its answer: Spring's request/reply headers.

    `partition` is None when any partition will do; `correlation` is opaque.
    """

    topic: str
    partition: int | None
    correlation: bytes


class Envelope(NamedTuple):
    """What a request's headers say: CloudEvents in binary mode, the deadline, and where to reply."""

    request_id: str
    source: str
    deadline_ms: int | None
    reply: ReplyAddress | None


class Request(NamedTuple):
    """A request as the server holds it: its envelope and its place in the log, not its features.

    `appended_us` is the broker's LogAppendTime: the deadline's budget starts there. `rejected` says why the value
    cannot be scored, or None. `draw` is the request's place in [0, 1), by a stable hash of its key. `told_us` is when
    the application says that it asked, where the endpoint goes by that.
    """

    offset: int
    appended_us: int
    deadline_us: int
    request_id: str
    reply: ReplyAddress | None
    rejected: str | None = None
    draw: float = 0.0
    told_us: int | None = None

    @property
    def asked_us(self) -> int:
        """Its time for whoever compares days: as the application says, or its append."""
        return self.appended_us if self.told_us is None else self.told_us


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """What one model version said about one micro-batch of one partition.

    offsets: int64 [rows], statuses: uint8 [rows] of `Status`, outputs: float32 [rows, width], row-major; a row whose
    status is not OK has undefined outputs. taken_us: when the batch was taken up; scored_us: when it was done.
    """

    model: str
    version: str
    taken_us: int
    scored_us: int
    offsets: Int64s
    statuses: Bytes
    outputs: Floats


@dataclass(frozen=True, slots=True)
class Response:
    """The one answer to a request. `model` and `version` are empty when the default answered, or several together.

    `missing` names the scheduled models without a usable score at `decided_us`; `slack_ms` is what was left of the
    deadline then, negative when late.
    """

    request_id: str
    partition: int
    offset: int
    model: str
    version: str
    reason: Reason
    output: tuple[float, ...]
    missing: tuple[str, ...]
    slack_ms: float
    decided_us: int


@dataclass(frozen=True, slots=True, eq=False)
class Decisions:
    """Who won and why, for the requests that one tick of the server answered; written after the answers were delivered.

    decided_us is the tick's `now`. models and versions name the columns that `winners` (int16 [rows], -1 for the
    default and for several together) and `arrived` (uint64 [rows], bit i set when column i had a usable score in time
    for the step that decided) speak of. policy is the hash of the schedule in force, control the position up to which
    `<endpoint>.control` had been read, -1 when that is unknown. slacks_us: int64 [rows], what was left of the
    deadline. steps: uint8 [rows], the step that decided. draws: float32 [rows], the requests' places in [0, 1).
    propensities: float32 [rows], the probability over draws with which the policy answers so.
    """

    decided_us: int
    policy: str
    models: tuple[str, ...]
    versions: tuple[str, ...]
    offsets: Int64s
    winners: NDArray[np.int16]
    reasons: Bytes
    arrived: NDArray[np.uint64]
    slacks_us: Int64s
    outputs: Floats
    control: int
    steps: Bytes
    draws: Floats
    propensities: Floats


@dataclass(frozen=True, slots=True, eq=False)
class Comparisons:
    """All scores of closed requests side by side, the late ones too.

    models and versions name the model axis. statuses: uint8 [rows, models]; outputs: float32 [rows, models, width];
    latencies_us: int32 [rows, models], from the request's append to the score's arrival at the server, -1 for none.
    winners and reasons are the decision's. asked_us: int64 [rows], see `Request`; 0 in records that did not know it.
    """

    closed_us: int
    models: tuple[str, ...]
    versions: tuple[str, ...]
    offsets: Int64s
    request_ids: tuple[str, ...]
    appended_us: Int64s
    winners: NDArray[np.int16]
    reasons: Bytes
    statuses: Bytes
    latencies_us: Int32s
    outputs: Floats
    asked_us: Int64s


@dataclass(frozen=True, slots=True, eq=False)
class FeatureColumns:
    """What models saw of the requests of one partition, in columns, for whoever compares days with one another.

    asked_us: int64 [rows], see `Request`. numeric names the columns of numbers, float32 [rows, numeric], NaN for
    missing. textual names those of codes, int32 [rows, textual]: row i of textual j is categories[j][codes[i, j]], and
    -1 stands for missing.
    """

    offsets: Int64s
    asked_us: Int64s
    numeric: tuple[str, ...]
    numbers: Floats
    textual: tuple[str, ...]
    categories: tuple[tuple[str, ...], ...]
    codes: Int32s


@dataclass(frozen=True, slots=True)
class Label:
    """What turned out to be true of a request. `value` is None when it will never be known (a cancelled flight)."""

    request_id: str
    value: float | None
    observed_us: int
    source: str


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A record that could not be used: why, where it stands, and its first bytes (`size_bytes` is its whole length)."""

    reason: str
    detail: str
    topic: str
    partition: int
    offset: int
    appended_us: int
    written_us: int
    headers: tuple[tuple[str, bytes], ...]
    key: bytes | None
    value: bytes
    size_bytes: int


class DeadLetterReason:
    """The names that `DeadLetter.reason` takes, and metrics count by."""

    NO_ID = "no_id"
    BAD_ENVELOPE = "bad_envelope"
    UNKNOWN_SCHEMA = "unknown_schema"
    UNREADABLE = "unreadable"
    TOO_LARGE = "too_large"
    UNREGISTERED_MODEL = "unregistered_model"
    WRONG_SHAPE = "wrong_shape"
    REPLY_REFUSED = "reply_refused"


Finding: TypeAlias = Accuracy | Drift | Alarm | Contest
"""What the monitor says, on `<endpoint>.accuracy` and `<endpoint>.drift`."""

Message: TypeAlias = (
    Scores
    | Response
    | Decisions
    | Comparisons
    | FeatureColumns
    | Label
    | DeadLetter
    | ControlEvent
    | Finding
    | RetrainEvent
    | Retrained
)
