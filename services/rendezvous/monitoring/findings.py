"""What the monitor says of models and inputs: frozen records, each of one block, window or pair of models.

Times are event times (see `rendezvous.messages.Request.asked_us`), microseconds since the epoch. The same streams give
the same findings, whatever the order of arrival and however often the monitor was restarted: a finding is known by its
kind, its subject and its span, and a repeat says the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Span(StrEnum):
    """What a figure is about."""

    BLOCK = "block"
    """A fixed stretch of request time, e.g. a local day."""
    COUNT = "count"
    """So many labelled requests, by request time."""


class Stage(StrEnum):
    """How far a figure can be trusted."""

    PROVISIONAL = "provisional"
    """Labels are still expected; those that came early are not like the others."""
    CLOSED = "closed"
    """The labels have had their time: what detectors see. Said once for each span."""
    CORRECTED = "corrected"
    """Labels came after the closing. No alarm is taken back for it."""


class DriftKind(StrEnum):
    """What is compared with the reference, or between models."""

    INPUT = "input"
    """A feature's distribution: corrected PSI."""
    MISSING = "missing"
    """Share of missing values, less the reference's."""
    RANGE = "range"
    """Share of numbers outside the reference's range."""
    UNSEEN = "unseen"
    """Share of categories that the reference does not know."""
    SCORE = "score"
    """A model's outputs: corrected PSI."""
    CANARY = "canary"
    """Mean absolute difference to the canary on the same requests."""
    DISAGREEMENT = "disagreement"
    """Between two models on the same requests: mean absolute difference."""
    LATENCY = "latency"
    """From append to score, milliseconds: quantiles."""
    MISS = "miss"
    """Share of requests without a model's score."""


class AlarmKind(StrEnum):
    """What has changed, for good as far as a sequential detector can tell."""

    CONCEPT = "concept"
    """How outputs and labels hang together: the model is stale."""
    INPUT = "input"
    """What is asked."""
    SCORE = "score"
    """What a model says."""
    QUALITY = "quality"
    """The data itself: missing, out of range or never seen before."""


@dataclass(frozen=True, slots=True)
class Accuracy:
    """How one model version did on the requests of one span, as far as labels had come.

    number counts spans of a kind. revision grows with each record about the same span. requests are those that the
    model scored, labelled those with a usable label, never those that will not get one (a cancelled flight). delays are
    of the labels that came, -1 without any. figures names what stands in values.
    """

    model: str
    version: str
    span: Span
    number: int
    revision: int
    stage: Stage
    start_us: int
    end_us: int
    requests: int
    labelled: int
    never: int
    delay_p50_us: int
    delay_p99_us: int
    watermark_us: int
    figures: tuple[str, ...]
    values: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Drift:
    """One comparison of a window with the reference, for every subject (a feature, a model) that it is made of.

    model and version are empty where it is about inputs. effects, p_values (NaN where there is no test) and flagged run
    beside subjects; flagged says that the effect is large *and* not by chance.
    """

    kind: DriftKind
    model: str
    version: str
    number: int
    start_us: int
    end_us: int
    rows: int
    subjects: tuple[str, ...]
    effects: tuple[float, ...]
    p_values: tuple[float, ...]
    flagged: tuple[bool, ...]


@dataclass(frozen=True, slots=True)
class Alarm:
    """A detector crossed its threshold at the closing of block `number`, in event time at_us.

    subject is the statistic or the feature. moved names the features that drifted in the same block.
    """

    kind: AlarmKind
    subject: str
    model: str
    version: str
    detector: str
    number: int
    at_us: int
    value: float
    threshold: float
    moved: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Contest:
    """A version against the champion on the same labelled requests, up to the closing of block `number`.

    better and worse are the largest e-values so far that the version's loss is smaller, or larger. Differences are the
    version's less the champion's, so a smaller Brier score is negative; low and high are a 95 % interval by blocks, NaN
    where there are too few. What is not of the output's kind is NaN. wins and losses count rows: they are shown, and
    never a criterion.
    """

    model: str
    version: str
    champion_model: str
    champion_version: str
    number: int
    at_us: int
    blocks: int
    labelled: int
    better: float
    worse: float
    brier: float
    brier_low: float
    brier_high: float
    log_loss: float
    auc: float
    auc_low: float
    auc_high: float
    mae: float
    mae_low: float
    mae_high: float
    champion_mae: float
    wins: int
    losses: int
