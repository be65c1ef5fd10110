"""Rendezvous: every model scores every request, and the best answer arrives by the deadline.

For applications: `Client`, which asks; `Response`, what it answers; `Reason`, why. They are imported when first used:
a scorer, or the guard of a local process, has no need of them.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rendezvous.client import Client
    from rendezvous.messages import Reason, Response

__all__ = ["Client", "Reason", "Response"]

_HOMES = {"Client": "rendezvous.client", "Reason": "rendezvous.messages", "Response": "rendezvous.messages"}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'rendezvous' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
