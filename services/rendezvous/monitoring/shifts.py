"""Whether a window's features are still those of the reference: how far they moved, and if by chance. Pure.

A p-value alone flags harmless shifts as soon as there are rows enough; a size alone flags noise when there are few. So
a finding is flagged when both hold: the size is over its limit, and chance is ruled out after Benjamini and Hochberg
over all findings of the window. Rows of a real stream are not independent, so p is too small there: what keeps
false alarms away is the size. A flagged feature has moved; it does not follow that any model has become worse.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import numpy as np
from scipy.special import bdtr, bdtrc, chdtrc

from rendezvous.messages import Int64s
from rendezvous.monitoring.histograms import Histogram
from rendezvous.replay.bootstrapping import Float64s

What: TypeAlias = Literal["distribution", "missing", "out_of_range", "unseen"]

LEAST_ROWS = 500
"""Below it nothing is concluded: the noise of PSI is then as large as what is looked for."""
LEAST_EXPECTED = 5.0
"""Cells in which the window would have fewer rows are put together (Cochran's rule): chi-square holds only above."""
PSEUDO_ROWS = 0.5
"""Added to each cell for PSI, which an empty cell would make infinite."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What counts as a shift. psi: corrected; rate: of missing or strange rows, as a difference; q: false discoveries.

    psi 0.1 is the custom of credit scoring ("moderate shift"); rate is one row in a hundred.
    """

    psi: float = 0.1
    rate: float = 0.01
    q: float = 0.01
    rows: int = LEAST_ROWS


@dataclass(frozen=True, slots=True)
class Finding:
    """One feature's change in one respect.

    statistic: the PSI as it is, or the window's rate. effect: what is held against the limit: PSI less what noise alone
    adds, or the difference of the rates. p: chance of as much without any change, if rows are independent; q: the share
    of false ones among all findings with a p as small. rows: the window's.
    """

    name: str
    what: What
    statistic: float
    effect: float
    p: float
    q: float
    flagged: bool
    rows: int


def drifted(
    reference: Mapping[str, Histogram], window: Mapping[str, Histogram], limits: Limits | None = None
) -> list[Finding]:
    """Findings on every feature of the window with rows enough, in its order.

    Raises:
        KeyError: when the reference lacks a feature of the window.
    """
    limits = limits or Limits()
    found: list[Finding] = []
    for name, here in window.items():
        if here.rows >= limits.rows:
            found += _findings(name, reference[name], here, limits)
    corrected = benjamini_hochberg(np.array([finding.p for finding in found]))
    return [
        replace(finding, q=q, flagged=finding.flagged and q <= limits.q)
        for finding, q in zip(found, corrected.tolist(), strict=True)
    ]


def _findings(name: str, reference: Histogram, window: Histogram, limits: Limits) -> list[Finding]:
    found = []
    known = reference.known
    before_counts, counts = reference.counts[:known], window.counts[:known]
    if counts.sum() >= limits.rows and before_counts.any():
        statistic, effect, p = shift(before_counts, counts)
        found.append(Finding(name, "distribution", statistic, effect, p, 1.0, effect >= limits.psi, window.rows))
    for what, before, after in (
        ("missing", (reference.missing, reference.rows), (window.missing, window.rows)),
        (window.strangeness, (reference.strange, reference.present), (window.strange, window.present)),
    ):
        if before[1] and after[1] >= limits.rows:
            effect = after[0] / after[1] - before[0] / before[1]
            p = chance_of_rates(before, after)
            over = abs(effect) >= limits.rate
            found.append(Finding(name, what, after[0] / after[1], effect, p, 1.0, over, after[1]))  # type: ignore[arg-type]
    return found


def shift(reference: Int64s, window: Int64s) -> tuple[float, float, float]:
    """PSI as it is, PSI corrected for sample size, and the p-value of Pearson's test of homogeneity.

    Cells of which the window would have fewer than LEAST_EXPECTED rows are put together first. Without any change PSI
    is about (B - 1)(1/n + 1/m) on average (B cells, n and m rows: Yurdakul, Statistical Properties of Population
    Stability Index, 2018): that is subtracted.
    """
    old, new = _dense(reference.astype(np.float64), window.astype(np.float64))
    cells, m, n = len(old), old.sum(), new.sum()
    if cells == 1:
        return 0.0, 0.0, 1.0
    p, q = ((counts + PSEUDO_ROWS) / (total + PSEUDO_ROWS * cells) for counts, total in ((old, m), (new, n)))
    psi = float(((q - p) * np.log(q / p)).sum())
    expected = (old + new) / (m + n)
    square = (((old - m * expected) ** 2) / (m * expected) + ((new - n * expected) ** 2) / (n * expected)).sum()
    corrected = max(psi - (cells - 1) * float(1 / n + 1 / m), 0.0)
    return psi, corrected, float(chdtrc(cells - 1, square))


def _dense(old: Float64s, new: Float64s) -> tuple[Float64s, Float64s]:
    """Cells with rows enough, and all others together as one more."""
    expected = (old + new) * new.sum() / (old.sum() + new.sum())
    few = expected < LEAST_EXPECTED
    if not few.any():
        return old, new
    old, new = (np.append(counts[~few], counts[few].sum()) for counts in (old, new))
    kept = old + new > 0
    return old[kept], new[kept]


def chance_of_rates(before: tuple[int, int], after: tuple[int, int]) -> float:
    """How likely so different a share is without any change, either way; each is (rows that have it, rows).

    Given that k rows have it in all, those of the window are hypergeometric; the binomial of the same mean has longer
    tails, so this p is never too small.
    """
    total = before[0] + after[0]
    share = after[1] / (before[1] + after[1])
    above = float(bdtrc(after[0] - 1, total, share)) if after[0] else 1.0
    below = float(bdtr(after[0], total, share))
    return min(1.0, 2 * min(above, below))


def benjamini_hochberg(p: Float64s) -> Float64s:
    """Adjusted p-values [findings]: those at most q hold a share of at most q false ones, on average (1995)."""
    count = len(p)
    order = np.argsort(p, kind="stable")
    scaled = p[order] * count / np.arange(1, count + 1)
    adjusted = np.empty(count)
    adjusted[order] = np.minimum(np.minimum.accumulate(scaled[::-1])[::-1], 1.0)
    return adjusted
