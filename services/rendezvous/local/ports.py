"""Loopback ports: free ones, and a word about taken ones."""

from __future__ import annotations

import errno
import random
import socket

from rendezvous.local.failure import LocalStackError

LOOPBACK = "127.0.0.1"

CHOICES = range(20_000, 32_000)
"""Below the ports that Linux and macOS lend to outgoing connections: none of those can take ours before we listen."""

ATTEMPTS = 100
"""That so many of the choices are taken does not happen by chance."""

CONNECT_TIMEOUT_S = 0.5


def free_port() -> int:
    """A port on loopback on which nobody listens.

    Raises:
        LocalStackError: none was found.
    """
    for port in random.sample(CHOICES, ATTEMPTS):
        if _fault(port) is None:
            return port
    raise LocalStackError(f"{ATTEMPTS} ports of {LOOPBACK} were tried and none is free: {_fault(CHOICES[0])}")


def require_free(port: int, service: str) -> None:
    """Check a port that the user gave.

    Raises:
        LocalStackError: it cannot be listened on.
    """
    fault = _fault(port)
    if fault is None:
        return
    reason = "is taken by another process" if fault.errno == errno.EADDRINUSE else f"cannot be used: {fault.strerror}"
    raise LocalStackError(
        f"{service}: port {port} of {LOOPBACK} {reason}.\nWays out:\n"
        f"  - end what uses it (lsof -i :{port} names it)\n"
        "  - name another port, or none: then a free one is chosen\n"
        "  - if it is the broker you want: KAFKA_BOOTSTRAP_SERVERS=host:port, REDIS_URL=redis://host:port/0"
    )


def listening(port: int) -> bool:
    """Whether somebody accepts connections on a loopback port."""
    try:
        socket.create_connection((LOOPBACK, port), timeout=CONNECT_TIMEOUT_S).close()
    except OSError:
        return False
    return True


def _fault(port: int) -> OSError | None:
    with socket.socket() as attempt:
        # as the brokers do: connections that were closed a moment ago do not count
        attempt.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            attempt.bind((LOOPBACK, port))
            attempt.listen(1)
        except OSError as error:
            return error
    return None
