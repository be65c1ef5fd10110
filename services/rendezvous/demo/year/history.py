"""January and February on the endpoint's topics, as if it had been there: what later trainings need is in the archive.

Nobody was there to score them: the server finds them expired, and says so. Their labels stand beside them.
"""

from __future__ import annotations

import pandas as pd

from rendezvous.demo import flights
from rendezvous.demo.labels import LabelFeed
from rendezvous.demo.year.feed import LABELS_EVERY
from rendezvous.envelope import write_envelope
from rendezvous.log import Sink
from rendezvous.messages import Envelope
from rendezvous.settings import Endpoint
from rendezvous.wire import Codec

SOURCE = "history"
ENDED_MS = 0
"""The deadline of a request that is long over."""


def write_history(sink: Sink, endpoint: Endpoint, table: pd.DataFrame, labels: LabelFeed) -> None:
    """Produce the requests of `table`, in their order, each label when it became known."""
    features = [feature.name for feature in endpoint.features]
    codec = Codec(endpoint.features_schema)
    topic = endpoint.topic("requests")
    rows = zip(table["request_id"], table["scheduled_utc"], flights.rows(table, features), strict=True)
    for number, (request_id, moment, row) in enumerate(rows):
        if number % LABELS_EVERY == 0:
            labels.reach(moment)
        envelope = Envelope(request_id, SOURCE, ENDED_MS, None)
        headers = write_envelope(envelope, moment.to_pydatetime())
        sink.send(topic, codec.write(row), headers=headers)
