"""Durations as people write them."""

from __future__ import annotations

import pytest
from pydantic import BaseModel, ValidationError

from rendezvous.durations import Duration, length_us


class Held(BaseModel):
    """A document with one."""

    wait: Duration


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("90s", 90_000_000),
        ("1.5 m", 90_000_000),
        (" 8h ", 28_800_000_000),
        ("1d", 86_400_000_000),
        ("2w", 1209600 * 10**6),
    ],
)
def test_a_duration_is_a_number_and_its_unit(text: str, length: int) -> None:
    """It is held in microseconds."""
    assert length_us(text) == length
    assert Held.model_validate({"wait": text}).wait == length


@pytest.mark.parametrize("text", ["", "8", "h", "8 hours", "-1d", "1d 2h", "nan s"])
def test_what_is_no_duration_is_refused_with_examples(text: str) -> None:
    """The error shows how to write one."""
    assert length_us(text) is None
    with pytest.raises(ValidationError, match="8h, 1d"):
        Held.model_validate({"wait": text})


def test_a_duration_that_was_read_is_read_again() -> None:
    """A document that was dumped as JSON holds microseconds."""
    held = Held.model_validate({"wait": "8h"})
    assert Held.model_validate_json(held.model_dump_json()) == held
