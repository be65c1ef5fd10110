"""Fixtures for every test: the session's brokers."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from rendezvous.local.stack import Addresses, running_stack
from rendezvous.settings import environment

# what tests share says what it compared, too
pytest.register_assert_rewrite(*(path.stem for path in Path(__file__).parent.glob("*.py")))

_logger = logging.getLogger("tests.stack")

# a busy machine is slow, and no test says how fast anything is
settings.register_profile("tests", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("tests")


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Addresses]:
    """A real Kafka and a real Redis for the whole session; a test that needs them and cannot have them fails.

    KAFKA_BOOTSTRAP_SERVERS and REDIS_URL name brokers to use instead.
    """
    own = environment().model_copy(update={"data": tmp_path_factory.mktemp("stack")})
    with running_stack(own, report=_logger.info, fresh=True) as addresses:
        yield addresses
