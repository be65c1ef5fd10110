"""Records of `<endpoint>.control` to what they say together."""

from __future__ import annotations

from collections.abc import Iterable
from typing import get_args

from rendezvous.log.records import Record
from rendezvous.registry.events import ControlEvent
from rendezvous.registry.state import Control, after, passed
from rendezvous.wire import WireError, decode_any

MAX_EVENT_BYTES = 65_536
"""Ten times what a schedule of 64 steps with a few names each takes: every reader keeps what control says in memory."""
KINDS: tuple[type[ControlEvent], ...] = get_args(ControlEvent)


def folded(control: Control, records: Iterable[Record]) -> Control:
    """Control after some more of its records; one that is no event is passed, with its fault in `refusal`."""
    for record in records:
        if len(record.value) > MAX_EVENT_BYTES:
            control = passed(control, record.offset, f"an event has {MAX_EVENT_BYTES} bytes at most")
            continue
        try:
            event = decode_any(record.value, KINDS)
        except WireError as error:
            control = passed(control, record.offset, str(error))
        else:
            control = after(control, event, record.offset)
    return control
