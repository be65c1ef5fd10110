"""Training data out of the archive, once it has what had been said when an event was written."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from rendezvous.archive.command import save
from rendezvous.archive.dataset import build
from rendezvous.archive.files import Archive
from rendezvous.archive.names import ArchiveError
from rendezvous.scoring.card import Span
from rendezvous.settings import Endpoint, SettingsError

LOOK_S = 1.0
MARGIN_US = 60_000_000
"""What an archiver may take longer than `[archive] age` to write a file: it may have to be started anew."""


@dataclass(frozen=True, slots=True)
class FromArchive:
    """Builds training tables of what the archive has; see `job.Build`.

    wanted: for requests and labels, by partition, the positions that it must have reached. It is waited for: twice
    `[archive] age` and a minute, then something is wrong with the archiver.
    """

    endpoint: Endpoint
    archive: Archive
    wanted: Mapping[str, Mapping[int, int]]
    report: Callable[[str], None]

    def __call__(self, span: Span, path: Path) -> str:
        """Wait, and write the table, with its manifest beside it.

        Raises:
            SettingsError: the archive stays behind, or is damaged.
        """
        try:
            self._wait()
            made = build(self.endpoint, self.archive, span.from_us, span.until_us, span.as_of_us)
        except ArchiveError as error:
            raise SettingsError(str(error)) from error
        save(made, path)
        manifest = made.manifest
        self.report(
            f"data: {manifest.rows} rows of {manifest.requests} requests, {manifest.unlabelled} without a label"
        )
        return f"{manifest.archive}, {len(manifest.files)} files, sha256 {manifest.sha256}"

    def _wait(self) -> None:
        give_up_s = time.monotonic() + (2 * self.endpoint.archive.age + MARGIN_US) / 1e6
        said = False
        while behind := self._behind():
            if time.monotonic() > give_up_s:
                raise SettingsError(f"{self.archive.url}: {'; '.join(behind)}: does `rendezvous run archiver` work?")
            if not said:
                self.report(f"waiting for the archive: {'; '.join(behind)}")
                said = True
            time.sleep(LOOK_S)

    def _behind(self) -> list[str]:
        found = []
        for name, positions in self.wanted.items():
            chains = self.archive.files(name)
            for number, position in sorted(positions.items()):
                end = chains[number][-1].end if number in chains else 0
                if end < position:
                    found.append(f"{name}-{number} is written down to {end}, wanted is {position}")
        return found
