"""What was measured of a new version, held against the limits that its owner declared. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pydantic import Field

from rendezvous.registry.evidence import Check
from rendezvous.retraining.acceptance import (
    HIGHER_IS_BETTER,
    AcceptanceLimits,
    Kind,
    Limit,
    Wanted,
    slice_in_words,
)
from rendezvous.rules import Document


class Judged(Document):
    """Figures on the rows of a slice; None where one is not defined. champion: of the same rows, empty without one."""

    slice: dict[str, Wanted] = Field(default={})
    rows: int
    candidate: dict[str, float | None]
    champion: dict[str, float | None] = Field(default={})


class Fidelity(Document):
    """By how much the graph differs from the original on the reference rows; None: the original said nothing."""

    rows: int
    difference: float | None
    where: str = ""


class Latency(Document):
    """Microseconds of processor to score `rows` rows at once, on this machine; the champion's to compare with."""

    rows: int
    candidate_us: float
    champion_us: float | None = None


class Changed(Document):
    """The largest change of any output when nothing but a feature was changed."""

    feature: str
    change: float | None


class Measured(Document):
    """Everything that was measured of one graph. judged begins with all rows, and is empty for a refitted model."""

    fidelity: Fidelity
    bytes: int
    nonfinite: int = 0
    judged: tuple[Judged, ...] = ()
    latency: tuple[Latency, ...] = ()
    invariances: tuple[Changed, ...] = ()


def checks(limits: AcceptanceLimits, kind: Kind, measured: Measured, max_difference: float) -> list[Check]:
    """Every limit that speaks about what was measured, met or not."""
    return [
        *_of_fidelity(limits, measured.fidelity, max_difference),
        Check("size", measured.bytes <= limits.max_bytes, f"{measured.bytes:,} bytes, allowed {limits.max_bytes:,}"),
        *_of_latency(limits, measured.latency),
        *_of_invariances(limits, measured.invariances),
        *(_of_figures(limits, kind, measured) if measured.judged else ()),
    ]


def shortfalls(results: Sequence[Check]) -> list[str]:
    """What is not met, in words."""
    return [f"{result.name}: {result.finding}" for result in results if not result.met]


def _of_fidelity(limits: AcceptanceLimits, found: Fidelity, allowed: float) -> Iterator[Check]:
    if found.difference is None and found.where:
        yield _unmet("graph is the model", f"an output is not finite on rows with {found.where}")
    elif found.difference is None:
        text = "cannot be compared: the training left no predictions.parquet of the original"
        yield Check("graph is the model", not limits.compared, text)
    else:
        where = f" on rows with {found.where}" if found.where else ""
        text = f"differs from the original by {found.difference:.2g}{where}, allowed {allowed:g} on {found.rows} rows"
        yield Check("graph is the model", found.difference <= allowed, text)


def _of_latency(limits: AcceptanceLimits, found: Sequence[Latency]) -> Iterator[Check]:
    for one in found:
        if one.champion_us is not None:
            ratio = one.candidate_us / one.champion_us
            text = (
                f"{one.candidate_us:.0f} µs, the champion {one.champion_us:.0f}: {ratio:.2f} times, "
                f"allowed {limits.slower:g}"
            )
            yield Check(f"time for {one.rows} row{'' if one.rows == 1 else 's'}", ratio <= limits.slower, text)


def _of_invariances(limits: AcceptanceLimits, found: Sequence[Changed]) -> Iterator[Check]:
    changes = {one.feature: one.change for one in found}
    for limit in limits.invariances:
        change = changes.get(limit.feature)
        text = f"outputs change by {_number(change)}, allowed {limit.within:g}"
        yield Check(f"{limit.feature} changes nothing", change is not None and change <= limit.within, text)


def _of_figures(limits: AcceptanceLimits, kind: Kind, measured: Measured) -> Iterator[Check]:
    yield Check("outputs are finite", measured.nonfinite == 0, f"{measured.nonfinite} rows are not")
    whole = measured.judged[0]
    if whole.champion:
        for metric, margin in limits.margins(kind).items():
            yield _no_worse(kind, metric, margin, whole)
    by_slice = {slice_in_words(one.slice): one for one in measured.judged}
    for limit in limits.limits:
        yield from _of_limit(kind, limit, by_slice[limit.where])


def _of_limit(kind: Kind, limit: Limit, found: Judged) -> Iterator[Check]:
    name, value = f"{limit.metric} on {limit.where}", found.candidate.get(limit.metric)
    if found.rows < limit.min_rows:
        yield _unmet(name, f"{found.rows} rows, fewer than {limit.min_rows}: nothing was shown")
        return
    if limit.at_least is not None:
        met = value is not None and value >= limit.at_least
        yield Check(name, met, f"{_number(value)}, at least {limit.at_least:g}")
    if limit.at_most is not None:
        met = value is not None and value <= limit.at_most
        yield Check(name, met, f"{_number(value)}, at most {limit.at_most:g}")
    if limit.worse_by is not None and found.champion:
        yield _no_worse(kind, limit.metric, limit.worse_by, found)


def _no_worse(kind: Kind, metric: str, margin: float, found: Judged) -> Check:
    ours, theirs = found.candidate.get(metric), found.champion.get(metric)
    name = f"{metric} on {slice_in_words(found.slice)} against the champion"
    if ours is None or theirs is None:
        return _unmet(name, f"{_number(ours)}, the champion {_number(theirs)}: nothing was shown")
    loss = theirs - ours if HIGHER_IS_BETTER[kind][metric] else ours - theirs
    return Check(name, loss <= margin, f"{ours:.4f}, the champion {theirs:.4f}, may be worse by {margin:g}")


def _unmet(name: str, finding: str) -> Check:
    return Check(name=name, met=False, finding=finding)


def _number(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.4g}"
