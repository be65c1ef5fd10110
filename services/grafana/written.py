"""All dashboards as JSON, each under the name of its file."""

from __future__ import annotations

import json

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from grafana.drift import drift
from grafana.endpoint import endpoint
from grafana.models import models
from grafana.overview import overview
from grafana.retraining import retraining


def written() -> dict[str, str]:
    """Text by file name."""
    made = [overview(), endpoint(), models(), drift(), retraining()]
    for one in made:
        for number, panel in enumerate(one.panels or (), start=1):
            panel.id_val = number  # links to a panel name it
    return {f"{one.uid}.json": json.dumps(one, cls=JSONEncoder, indent=2, sort_keys=True) + "\n" for one in made}
