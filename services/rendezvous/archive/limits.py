"""What an owner says of the archive: `[archive]` of an endpoint's document."""

from __future__ import annotations

from pydantic import Field

from rendezvous.durations import Duration
from rendezvous.rules import Document


class ArchiveLimits(Document):
    """Where the archive is, and when what has come is written to a file."""

    url: str = Field(
        default="", description="a folder, or a URL that fsspec knows; without it, RENDEZVOUS_DATA has a folder archive"
    )
    rows: int = Field(default=200_000, ge=1, le=10_000_000, description="rows of a file, about")
    bytes: int = Field(
        default=33_554_432,
        ge=1_024,
        description="of all that waits in one process; when it is more, the most is written",
    )
    age: Duration = Field(default=300_000_000, ge=0, description="nothing waits longer than this to be written")
