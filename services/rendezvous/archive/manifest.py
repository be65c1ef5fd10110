"""What a training table is made of: written beside it, kept in the card of what is trained on it. Pure."""

from __future__ import annotations

from typing import TypeAlias

from pydantic import Field

from rendezvous.rules import Document

Positions: TypeAlias = dict[str, dict[int, int]]
"""By topic ("requests", "labels") and partition: the archive was used up to there."""


class Manifest(Document):
    """Which rows, of what, as known when. Times are µs since the epoch, event time.

    With the same window, as_of_us, label_delay_us and positions the same archive gives the same rows, and sha256, for
    ever, whatever is archived later.
    """

    endpoint: str
    archive: str
    from_us: int = Field(description="requests asked from then on")
    until_us: int = Field(description="and before then")
    as_of_us: int = Field(description="with what was observed by then")
    label_delay_us: int = Field(description="requests younger than this at as_of are immature, and left out whole")
    rows: int
    sha256: str = Field(description="of the table's content, see `content_sha256`; not of the file")
    columns: tuple[str, ...]
    requests: int = Field(description="asked in the window, by as_of")
    immature: int = Field(description="of those, too young for their labels to be like the others'")
    immature_labelled: int = Field(description="of the immature, those whose label had come: left out too")
    labelled: int = Field(description="of the mature, with a label")
    never: int = Field(description="of the mature, those that will never get one, as their last label says")
    unlabelled: int = Field(description="of the mature, those without any")
    unreadable: int = Field(description="of the labelled, those that models did not see: too large, or undecodable")
    no_requests: int = Field(description="records of the window whose headers make no request")
    repeated_ids: int = Field(description="rows whose request_id another row has: a second request, by the contract")
    superseded: int = Field(description="labels of the window's requests that a later one replaced")
    contradicted: int = Field(description="of those, labels that said something else")
    delay_p99_us: int = Field(description="of labels, as estimated from the rows; -1 without any")
    files: tuple[str, ...] = Field(description="of the archive, that rows or labels came from")
    positions: Positions
    lost: tuple[str, ...] = Field(description="ranges that the log deleted before they were archived")

    @property
    def coverage(self) -> float:
        """Share of the mature requests with a label."""
        mature = self.labelled + self.never + self.unlabelled
        return self.labelled / mature if mature else 0.0
