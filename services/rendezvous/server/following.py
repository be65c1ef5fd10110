"""Control as a server follows it: what it cannot follow stays as it was, with a word."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from rendezvous.log.records import Record
from rendezvous.registry.fold import folded
from rendezvous.registry.state import Control
from rendezvous.server.plan import check_rules
from rendezvous.settings import Endpoint, SettingsError


def followed(endpoint: Endpoint, control: Control, records: Iterable[Record]) -> tuple[Control, list[str]]:
    """Control after some more of its records, and what was refused.

    Rules that this version of the server does not know how to follow must not stop it: the ones before stay in force.
    """
    refusals = []
    for record in records:
        before, control = control, folded(control, [record])
        if control.refusal is None and control.rules is not None and control.rules is not before.rules:
            try:
                check_rules(endpoint, control.rules)
            except SettingsError as error:
                control = replace(control, rules=before.rules, refusal=f"the rules before stay in force: {error}")
        if control.refusal is not None:
            refusals.append(f"{record.topic}@{record.offset}: {control.refusal}")
    return control, refusals
