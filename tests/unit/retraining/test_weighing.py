"""What `best` and `hedge` go by."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from found import NEW, OLD, block, closing, deployed, hear, ledger_of, retraining_endpoint
from registers import AUTHOR
from rendezvous.registry.events import Quality, State, Weights
from rendezvous.registry.state import Pair
from rendezvous.retraining.ledger import Ledger
from rendezvous.retraining.limits import WeightLimits
from rendezvous.retraining.weighing import weights
from rendezvous.server.learning import hedged

OF = retraining_endpoint()
LIMITS = WeightLimits(blocks=2, rate=8.0)


def said(ledger: Ledger, settled: int = 99, kind: str = "binary") -> dict[Quality, dict[Pair, float]]:
    """What is not on control yet."""
    found = weights(ledger, LIMITS, kind, closing(settled), AUTHOR)
    return {
        one.quality: dict(zip(zip(one.models, one.versions, strict=True), one.values, strict=True)) for one in found
    }


def days(*briers: float | None, pair: Pair = OLD) -> list[Any]:
    """A block for each day that has one."""
    return [block(day, pair, brier=value) for day, value in enumerate(briers) if value is not None]


def test_best_is_the_recent_mean() -> None:
    """Of the last blocks that anybody has; who was there for one of them has that one."""
    ledger = ledger_of(OF, deployed(NEW), *days(0.9, 0.2, 0.1), *days(None, None, 0.3, pair=NEW))
    assert said(ledger)[Quality.BEST] == {OLD: pytest.approx(-0.15), NEW: -0.3}


def test_best_forgets_who_is_gone() -> None:
    """Without a recent block, or active no more, a version has no quality."""
    ledger = ledger_of(OF, deployed(NEW), *days(0.2, 0.2, 0.2), *days(0.1, pair=NEW))
    assert said(ledger)[Quality.BEST] == {OLD: -0.2}
    resting = hear(ledger_of(OF, deployed(NEW), *days(0.2), *days(0.1, pair=NEW)), deployed(NEW, State.PAUSED))
    assert said(resting)[Quality.BEST] == {OLD: -0.2}


def test_hedge_learns_from_every_block() -> None:
    """As `hedged` does over all rounds; who was not there moves as the others' mean does."""
    ledger = ledger_of(OF, deployed(NEW), *days(0.2, 0.2, 0.1), *days(None, 0.1, 0.1, pair=NEW))
    rows = np.array([[0.2, np.nan], [0.2, 0.1], [0.1, 0.1]])
    shares = hedged(np.array([0.5, 0.5]), rows, 8.0)
    found = said(ledger)[Quality.HEDGE]
    assert found == dict(zip((OLD, NEW), shares.tolist(), strict=True))
    assert found[NEW] > 0.65


def test_nothing_is_said_twice() -> None:
    """What control says already is not written again, also after a restart."""
    ledger = ledger_of(OF, *days(0.2))
    first = weights(ledger, LIMITS, "binary", closing(0), AUTHOR)
    assert len(first) == 2
    assert weights(hear(ledger, *first), LIMITS, "binary", closing(0), AUTHOR) == ()


def test_blocks_that_do_not_count() -> None:
    """Not closed by then, with too few labels, or without the figure."""
    ledger = ledger_of(OF, *days(0.2), block(1, labelled=99, brier=0.9), block(2, auc=0.5), block(3, brier=0.4))
    assert said(ledger, settled=2)[Quality.BEST] == {OLD: -0.2}
    assert said(ledger_of(OF, block(0, auc=0.5))) == {}


def test_other_outputs_are_not_hedged() -> None:
    """Their losses have no bound; `best` goes by log loss, or by the mean absolute error."""
    ledger = ledger_of(OF, block(0, log_loss=1.5, mae=12.0))
    assert said(ledger, kind="multiclass") == {Quality.BEST: {OLD: -1.5}}
    assert said(ledger, kind="regression") == {Quality.BEST: {OLD: -12.0}}


def test_control_takes_them() -> None:
    """Shares sum to one, values are finite."""
    ledger = ledger_of(OF, deployed(NEW), *days(0.0, 1.0, 0.0), *days(1.0, 0.0, 1.0, pair=NEW))
    found = weights(ledger, LIMITS, "binary", closing(9), AUTHOR)
    hear(ledger, *found)
    assert all(isinstance(one, Weights) for one in found)
    assert sum(ledger.control.weights[Quality.HEDGE].values()) == pytest.approx(1)
