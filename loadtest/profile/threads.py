"""What each thread of a process took of the processor, and how long it waited for one, as the kernel tells it."""

from __future__ import annotations

from dataclasses import dataclass

from loadtest.noise import PROC
from rendezvous.local.failure import LocalStackError

CLIENT = "rdk:"
"""How librdkafka's threads are called."""
NS = 1e-9


@dataclass(frozen=True, slots=True)
class Taken:
    """Processor seconds so far: of the thread that runs the loop, of the Kafka clients' threads, of any other.

    queued_s: how long the loop's thread was ready to run, and had no core.
    """

    loop_s: float
    clients_s: float
    others_s: float
    queued_s: float

    def since(self, before: Taken) -> Taken:
        """What came between two moments."""
        return Taken(
            self.loop_s - before.loop_s,
            self.clients_s - before.clients_s,
            self.others_s - before.others_s,
            self.queued_s - before.queued_s,
        )


def taken(pid: int) -> Taken:
    """As it is now.

    Raises:
        LocalStackError: the kernel does not tell.
    """
    loop_s = clients_s = others_s = queued_s = 0.0
    try:
        for folder in (PROC / str(pid) / "task").iterdir():
            name = (folder / "comm").read_text()
            ran, waited, _ = (folder / "schedstat").read_text().split()
            if folder.name == str(pid):
                loop_s, queued_s = int(ran) * NS, int(waited) * NS
            elif name.startswith(CLIENT):
                clients_s += int(ran) * NS
            else:
                others_s += int(ran) * NS
    except OSError as error:
        raise LocalStackError(
            f"what the threads of process {pid} took is not told ({error}): `profile` needs Linux, and a kernel with "
            "schedstat in /proc"
        ) from error
    return Taken(loop_s, clients_s, others_s, queued_s)
