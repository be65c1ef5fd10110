"""Names of files: what they hold, and chains of them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rendezvous.archive.names import ArchiveError, Held, chains, held_by, name_of

OFFSETS = st.integers(0, 2**63 - 1)


@given(st.from_regex(r"[a-z][a-z0-9-]{0,20}\.requests", fullmatch=True), st.integers(0, 1_023), OFFSETS, OFFSETS)
def test_a_name_says_what_it_was_made_of(topic: str, partition: int, one: int, other: int) -> None:
    """Also where the endpoint's own name has dashes and digits."""
    first, last = sorted((one, other))
    for lost in (False, True):
        path = f"/some-0-where/{name_of(topic, partition, first, last, lost=lost)}"
        assert held_by(path) == Held(topic, partition, first, last, path, lost)


@given(st.lists(OFFSETS, min_size=2))
def test_names_sort_as_offsets_do(offsets: list[int]) -> None:
    """Whoever lists a folder sees them in order."""
    names = [name_of("t", 0, offset, offset) for offset in offsets]
    assert [held_by(name).first for name in sorted(names)] == sorted(offsets)


@pytest.mark.parametrize(
    "name", ["a.parquet", "t-0-1-2.parquet", f"t-0-{0:020d}.parquet", name_of("t", 0, 1, 0), "t.parquet.part"]
)
def test_what_is_no_file_of_an_archive(name: str) -> None:
    """It is named, and what to do."""
    with pytest.raises(ArchiveError, match=rf"{name}: .*move it elsewhere"):
        held_by(name)


def held(first: int, last: int, partition: int = 0) -> Held:
    """A file of the topic t."""
    return held_by(name_of("t", partition, first, last))


def test_chains_are_in_order() -> None:
    """By partition, whatever the order in which a folder gives them."""
    files = [held(5, 9), held(0, 4), held(7, 7, partition=1)]
    assert chains(files) == {("t", 0): (files[1], files[0]), ("t", 1): (files[2],)}


@pytest.mark.parametrize("other", [(4, 9), (0, 4), (2, 3), (0, 9)])
def test_an_overlap_is_said(other: tuple[int, int]) -> None:
    """With both files and the offset; whichever comes first."""
    for files in ([held(0, 4), held(*other)], [held(*other), held(0, 4)]):
        if files[0] == files[1]:
            files[1] = files[1]._replace(path="elsewhere/" + files[1].path)
        with pytest.raises(ArchiveError, match=r"t-0: .* and .* both hold offset \d"):
            chains(files)


def test_a_gap_is_said() -> None:
    """With its offsets, and the name of the file that would stand for it, which then closes it."""
    with pytest.raises(ArchiveError, match=r"t-0: offsets 5 to 6 are in no file") as raised:
        chains([held(0, 4), held(7, 9)])
    name = next(word for word in str(raised.value).split() if word.endswith(".lost.parquet"))
    assert len(chains([held(0, 4), held_by(name), held(7, 9)])["t", 0]) == 3
