"""Ports of loopback."""

from __future__ import annotations

import socket

import pytest

from rendezvous.local.failure import LocalStackError
from rendezvous.local.ports import CHOICES, free_port, listening, require_free


def test_a_free_port_can_be_listened_on() -> None:
    """What is called free is in the range and passes the check for given ports."""
    port = free_port()
    assert port in CHOICES
    require_free(port, "Kafka")
    assert not listening(port)


def test_a_taken_port_is_refused_with_ways_out() -> None:
    """The message names service and port, and an existing broker as a way out."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert listening(port)
        with pytest.raises(LocalStackError) as caught:
            require_free(port, "Kafka")
    for words in (f"Kafka: port {port}", "taken", f"lsof -i :{port}", "KAFKA_BOOTSTRAP_SERVERS"):
        assert words in str(caught.value)


def test_a_port_on_every_address_counts_as_taken() -> None:
    """Who listens on all addresses listens on loopback too."""
    with socket.create_server(("", 0)) as taken, pytest.raises(LocalStackError, match="taken"):
        require_free(taken.getsockname()[1], "Redis")
