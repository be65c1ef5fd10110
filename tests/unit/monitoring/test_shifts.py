"""What is said to have moved has moved, and clean windows are silent, whatever one reads of p-values."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import chi2_contingency, false_discovery_control, fisher_exact

from rendezvous.monitoring.histograms import Bins, CategoryBins, Histogram, NumberBins
from rendezvous.monitoring.shifts import Finding, benjamini_hochberg, chance_of_rates, drifted, shift

NUMBERS, TEXTS = 14, 3
"""Seventeen features, as the flights have."""
REFERENCE_ROWS, ROWS = 20_000, 1_000
CATEGORIES = tuple(f"c{number}" for number in range(30))
SHARES = 1 / np.arange(1, len(CATEGORIES) + 1)
Table = dict[str, NDArray[np.float64] | NDArray[np.str_]]


def table(chance: np.random.Generator, rows: int, moved: float = 0.0) -> Table:
    """Features of any shape, two of them half repeated values; `moved` shifts x0, in standard deviations."""
    found: Table = {f"x{number}": chance.normal(size=rows) for number in range(NUMBERS)}
    found["x0"] = chance.normal(moved, 1, rows)
    found["x1"] = np.exp(2 * chance.normal(size=rows))
    found["x2"] = np.minimum(chance.poisson(2, rows), 5).astype(np.float64)
    for number in range(TEXTS):
        found[f"t{number}"] = chance.choice(CATEGORIES, rows, p=SHARES / SHARES.sum())
    return found


def counted(bins: dict[str, Bins], columns: Table) -> dict[str, Histogram]:
    """Histograms of a table."""
    return {name: Histogram.of(bins[name], column) for name, column in columns.items()}


def reference(chance: np.random.Generator) -> tuple[dict[str, Bins], dict[str, Histogram]]:
    """Bins and counts at training time."""
    columns = table(chance, REFERENCE_ROWS)
    bins: dict[str, Bins] = {
        name: NumberBins.of(column.astype(np.float64)) if name.startswith("x") else CategoryBins.of(column)
        for name, column in columns.items()
    }
    return bins, counted(bins, columns)


def flagged(findings: list[Finding]) -> set[tuple[str, str]]:
    """Names, and in what respect."""
    return {(finding.name, finding.what) for finding in findings if finding.flagged}


def test_clean_windows_are_silent() -> None:
    """150 windows of 1,000 rows and 17 features without a change: none is flagged, and p < .05 somewhere in most."""
    chance = np.random.default_rng(1)
    bins, before = reference(chance)
    loud, some_p = 0, 0
    for _ in range(150):
        findings = drifted(before, counted(bins, table(chance, ROWS)))
        loud += bool(flagged(findings))
        some_p += any(finding.p < 0.05 for finding in findings if finding.what == "distribution")
    assert loud == 0
    assert some_p > 75


def test_a_shift_is_found_where_it_is() -> None:
    """Half a standard deviation, in every one of 20 windows, and in no other feature."""
    chance = np.random.default_rng(2)
    bins, before = reference(chance)
    for _ in range(20):
        assert flagged(drifted(before, counted(bins, table(chance, ROWS, 0.5)))) == {("x0", "distribution")}


def test_a_shift_that_is_sure_and_small_is_no_finding() -> None:
    """A tenth of a standard deviation in 20,000 rows: beyond any chance, and harmless."""
    chance = np.random.default_rng(3)
    bins, before = reference(chance)
    findings = drifted(before, counted(bins, table(chance, 20_000, 0.1)))
    (found,) = [finding for finding in findings if (finding.name, finding.what) == ("x0", "distribution")]
    assert found.q < 1e-6
    assert found.effect < 0.1
    assert not flagged(findings)


def test_missing_out_of_range_and_unseen_are_findings_of_their_own() -> None:
    """Two in a hundred rows are enough, and the distribution of the rest is not blamed."""
    chance = np.random.default_rng(4)
    bins, before = reference(chance)
    columns = table(chance, ROWS)
    columns["x3"][:20] = np.nan
    columns["x4"][:20] = 99.0
    columns["t0"][:20] = "cx"
    found = drifted(before, counted(bins, columns))
    assert flagged(found) == {("x3", "missing"), ("x4", "out_of_range"), ("t0", "unseen")}
    (missing,) = [finding for finding in found if finding.name == "x3" and finding.what == "missing"]
    assert (missing.statistic, missing.effect, missing.rows) == (0.02, 0.02, ROWS)


def test_a_feature_of_unseen_categories_alone_is_no_distribution() -> None:
    """There is nothing to compare but how many they are."""
    chance = np.random.default_rng(10)
    bins, before = reference(chance)
    columns = table(chance, ROWS)
    columns["t1"] = np.full(ROWS, "cx")
    assert flagged(drifted(before, counted(bins, columns))) == {("t1", "unseen")}


def test_of_few_rows_nothing_is_said() -> None:
    """Below 500, and of a feature that is nearly always missing only that."""
    chance = np.random.default_rng(5)
    bins, before = reference(chance)
    assert drifted(before, counted(bins, table(chance, 499, 3.0))) == []
    columns = table(chance, ROWS)
    columns["x5"][:900] = np.nan
    assert {finding.what for finding in drifted(before, counted(bins, columns)) if finding.name == "x5"} == {"missing"}


def test_noise_adds_to_psi_what_is_subtracted() -> None:
    """Without a change the corrected index is about 0 on average, the plain one is not."""
    chance = np.random.default_rng(6)
    plain, corrected = [], []
    for _ in range(500):
        old, new = chance.multinomial(2_000, np.full(10, 0.1)), chance.multinomial(500, np.full(10, 0.1))
        psi, effect, _ = shift(old, new)
        plain.append(psi)
        corrected.append(effect)
    assert np.mean(plain) == pytest.approx(9 * (1 / 500 + 1 / 2_000), rel=0.1)
    assert np.mean(corrected) < np.mean(plain) / 5


def test_p_values_are_scipys() -> None:
    """Of Pearson's test where cells are full; of rates never smaller than Fisher's, and close."""
    old, new = np.array([400, 300, 200, 100]), np.array([95, 80, 45, 30])
    assert shift(old, new)[2] == pytest.approx(chi2_contingency([old, new], correction=False).pvalue)
    for before, after in (((0, 5_000), (4, 500)), ((50, 5_000), (5, 500)), ((50, 5_000), (0, 500)), ((0, 9), (0, 9))):
        table_2x2 = [[before[0], before[1] - before[0]], [after[0], after[1] - after[0]]]
        exact = min(fisher_exact(table_2x2, side).pvalue for side in ("less", "greater"))
        assert min(1.0, 2 * exact) - 1e-9 <= chance_of_rates(before, after) <= 2 * 1.6 * exact


def test_p_values_are_uniform_without_a_change() -> None:
    """Also where most categories are too rare to stand alone: they are put together."""
    chance = np.random.default_rng(7)
    shares = SHARES**2 / (SHARES**2).sum()
    p = np.array([shift(chance.multinomial(5_000, shares), chance.multinomial(500, shares))[2] for _ in range(1_000)])
    assert [(p < level).mean() for level in (0.01, 0.1, 0.5)] == pytest.approx([0.01, 0.1, 0.5], abs=0.04)


def test_one_cell_alone_cannot_move() -> None:
    """A constant feature has no distribution to speak of."""
    assert shift(np.array([1_000]), np.array([500])) == (0.0, 0.0, 1.0)


def test_corrections_are_scipys() -> None:
    """Benjamini and Hochberg, ties and none at all."""
    chance = np.random.default_rng(8)
    for p in (chance.random(20) ** 3, np.array([0.01, 0.01, 1.0]), np.zeros(0)):
        expected = false_discovery_control(p) if len(p) else p
        assert benjamini_hochberg(p).tolist() == pytest.approx(expected.tolist())


def test_a_feature_that_the_reference_lacks_is_a_mistake() -> None:
    """It is named."""
    bins, before = reference(np.random.default_rng(9))
    window = counted(bins, table(np.random.default_rng(9), ROWS))
    del before["x7"]
    with pytest.raises(KeyError, match="x7"):
        drifted(before, window)
