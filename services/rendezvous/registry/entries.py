"""One record of `<endpoint>.control`: how an event becomes one, and what a record does to what control says.

Its key is the kind of its event, e.g. `hand-off`: for people who look at the topic; nothing is read from it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

from rendezvous.registry.events import ControlEvent
from rendezvous.registry.state import Control, after, passed
from rendezvous.wire import WireError, decode_any, encode, name_of

KINDS: Sequence[type[ControlEvent]] = get_args(ControlEvent)


def entry(event: ControlEvent) -> tuple[bytes, bytes]:
    """An event as a record's key and value."""
    return name_of(type(event)).encode(), encode(event)


def taken(control: Control, offset: int, value: bytes) -> Control:
    """Control after the record at `offset`; what is no event changes nothing but `refusal`."""
    try:
        event = decode_any(value, KINDS)
    except WireError as error:
        return passed(control, offset, f"no event of control: {error}")
    return after(control, event, offset)
