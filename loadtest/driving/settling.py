"""Services that have just started, until they are at ease: the first second of a process is its slowest.

A champion that misses its step then is passed by for some seconds, and would be so in whatever is measured next.
"""

from __future__ import annotations

from collections.abc import Sequence

from loadtest.bench import Bench
from loadtest.driving.phases import Phase, play
from loadtest.system import left_out
from rendezvous.registry.control import ControlLog

RATE = 50.0
"""A fraction of what any machine keeps."""
SECONDS = 3.0
ROUNDS = 4
"""At most: a version that was passed by is trusted again after five good seconds."""


def settle(bench: Bench, values: Sequence[bytes]) -> None:
    """Ask a little until no model is passed by or left out, or for as long as one would be."""
    for _ in range(ROUNDS):
        play(bench.endpoint, bench.kafka, values, [Phase("warm-up", RATE, SECONDS)], settle_s=SECONDS)
        if not left_out(ControlLog(bench.kafka, bench.endpoint).read()):
            return
