"""January and February on the endpoint's topics, as if it had been there: what later trainings need is in the archive.

Nobody was there to score them: the server finds them expired, and says so. Their labels stand beside them.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC

import pandas as pd

from rendezvous.demo import flights
from rendezvous.demo.labels import LabelFeed
from rendezvous.envelope import write_envelope
from rendezvous.log import Sink
from rendezvous.messages import Envelope
from rendezvous.settings import Endpoint
from rendezvous.wire import Codec

SOURCE = "history"
ENDED_MS = 0
"""The deadline of a request that is long over."""


def write_history(sink: Sink, endpoint: Endpoint, table: pd.DataFrame, features: Sequence[str]) -> None:
    """Produce the requests of `table`, in their order, and every label that was known at its end."""
    codec = Codec(endpoint.features_schema)
    topic = endpoint.topic("requests")
    labels = LabelFeed(sink, endpoint.topic("labels"), table)
    rows = zip(table["request_id"], table["scheduled_utc"], flights.rows(table, features), strict=True)
    for request_id, moment, row in rows:
        envelope = Envelope(request_id, SOURCE, ENDED_MS, None)
        headers = write_envelope(envelope, moment.to_pydatetime().astimezone(UTC))
        sink.send(topic, codec.write(row), headers=headers)
        sink.serve()
    labels.reach(table["scheduled_utc"].iloc[-1])
