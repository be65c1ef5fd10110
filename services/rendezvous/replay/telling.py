"""A contrast as text, for people, and as figures, for programs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from rendezvous.replay.bootstrapping import RESAMPLES, Interval
from rendezvous.replay.judging import Judged
from rendezvous.replay.quality import LARGER_IS_BETTER

SECOND_US = 1_000_000


def lines(summary: Mapping[str, Any], skipped: Mapping[str, int], judged: Judged | None) -> list[str]:
    """The report."""
    told = [f"{summary['requests']} requests, answered again by the other rules"]
    told += [f"left out: {count}: {why}" for why, count in skipped.items()]
    if summary["fixed"]:
        told.append(f"  {summary['fixed']} were rejected, expired or overloaded: no rules change that")
    if summary["proxied"]:
        told.append(
            f"  of {summary['proxied']} there is no comparison: their scores count from the broker's append of them, "
            "which is earlier than a server sees them"
        )
    told += ["", f"{'answered by':32} {'was':>8} {'would be':>9} {'change':>8}"]
    for name, shares in summary["answered_by"].items():
        told.append(f"{name:32} {shares['now']:8.2%} {shares['then']:9.2%} {shares['then'] - shares['now']:+8.2%}")
    missed, latency = summary["missed"], summary["latency_ms"]
    told.append(f"{'missed (left to the default)':32} {missed['now']:8.2%} {missed['then']:9.2%}")
    for name in ("p50", "p99"):
        told.append(
            f"{f'latency {name}, ms from the append':32} {_ms(latency['now'][name])} {_ms(latency['then'][name])}"
        )
    differing, ticks = summary["differing"], summary["differing_by_ticks"]
    told.append("")
    told.append(
        f"{differing['answers']} answers ({differing['share']:.2%}) differ, by {differing['mean']:.4g} in the mean, "
        f"{differing['largest']:.4g} at most"
    )
    told.append(
        "resolution: a server answers at its ticks, this at exact times. Under the rules that were in force that alone "
        f"changes {ticks['answers']} answers ({ticks['share']:.2%}); p50 is {_ms(latency['exact']['p50']).strip()} ms"
    )
    return [*told, "", *_judged(judged)]


def _ms(value: float | None) -> str:
    return f"{'-':>8}" if value is None else f"{value:8.2f}"


def _judged(judged: Judged | None) -> list[str]:
    if judged is None:
        return ["too few labels to say how well"]
    blocks = judged.blocks
    source = "99 % of labels have come by then, estimated from those that came" if judged.estimated else "as asked"
    told = []
    told.append(
        f"how well: requests at least {length(judged.horizon_us)} old ({source}); the newest hours are left out, since "
        "labels that come early are not like the others"
    )
    told.append(
        f"  {judged.labelled} of {judged.old_enough} such requests ({judged.labelled / max(judged.old_enough, 1):.1%}) "
        f"have a usable label; {judged.never} will never have one"
    )
    told.append(
        f"  95 % intervals from {RESAMPLES} resamples of {blocks.count} {blocks.name} of {length(blocks.length_us)}"
    )
    told += ["", f"{'':12} {'was':>28} {'would be':>28} {'difference':>30}"]
    for name, (now, then, apart) in judged.metrics.items():
        told.append(
            f"{name:12} {_interval(now):>28} {_interval(then):>28} {_interval(apart, '+'):>30}  {_verdict(name, apart)}"
        )
    return told


def _interval(found: Interval, sign: str = "") -> str:
    return f"{found.value:{sign}.4f} [{found.low:{sign}.4f}, {found.high:{sign}.4f}]"


def _verdict(name: str, apart: Interval) -> str:
    if not apart.excludes_zero:
        return "no difference beyond the noise"
    better = (apart.value > 0) == (name in LARGER_IS_BETTER)
    return "better" if better else "worse"


def length(time_us: int) -> str:
    """A duration as people say it."""
    seconds = time_us / SECOND_US
    for unit, name in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= unit:
            return f"{seconds / unit:.3g} {name}"
    return f"{seconds:.3g} s"


def report(summary: Mapping[str, Any], skipped: Mapping[str, int], judged: Judged | None) -> dict[str, Any]:
    """For programs."""
    quality = None
    if judged is not None:
        quality = {
            "older_s": judged.horizon_us / SECOND_US,
            "estimated": judged.estimated,
            "old_enough": judged.old_enough,
            "labelled": judged.labelled,
            "never": judged.never,
            "blocks": judged.blocks.count,
            "block_s": judged.blocks.length_us / SECOND_US,
            "resamples": RESAMPLES,
            "metrics": {
                name: dict(zip(("was", "would_be", "difference"), map(asdict, found), strict=True))
                for name, found in judged.metrics.items()
            },
        }
    return {**summary, "skipped": dict(skipped), "quality": quality}
