"""`server`: what is written, what the relay answers, and how figures and targets follow from what was seen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("hdrh", reason="hdrhistogram has no wheel for Linux on arm64")

from loadtest.server.figures import Run, best, figures, further_model, over_time, targets
from loadtest.server.filling import SLICE, Filling
from loadtest.server.home import versions_of, write_home
from loadtest.server.picture import draw
from loadtest.server.scenario import runs, usual_answer
from loadtest.server.table import table
from loadtest.server.watching import Answers, Look
from rendezvous.envelope import read_envelope
from rendezvous.messages import Scores
from rendezvous.settings import Endpoint
from rendezvous.wire import Codec, decode, encode

MODELS, PARTITIONS, BATCH = 3, 2, 32


@pytest.fixture(name="endpoint")
def _endpoint(tmp_path: Path) -> Endpoint:
    return write_home(tmp_path, "decided", MODELS, 3_000, partitions=PARTITIONS)


def test_the_ring_has_room_for_all_and_nothing_runs_out(endpoint: Endpoint) -> None:
    """A request that expired, was shed or found no room would be answered without a decision."""
    assert endpoint.mailbox.capacity == 4_096
    assert endpoint.request.deadline_ms == endpoint.mailbox.close_ms == endpoint.mailbox.silent_ms == 3_600_000


def test_requests_and_scores_are_such_as_the_server_reads(endpoint: Endpoint) -> None:
    """Each request is scored once by each model, on its own partition, at the offset that it will have."""
    filling, codec = Filling(endpoint, 40, BATCH), Codec(endpoint.features_schema)
    scored: list[tuple[str, int, int]] = []
    ends = dict.fromkeys(range(PARTITIONS), 0)
    for count in (SLICE + 10, 300):
        for one in filling.make(count, versions_of(endpoint)):
            if one.topic.endswith(".requests"):
                envelope = read_envelope(one.headers)
                assert envelope.reply is not None
                assert codec.decode(one.value)["payload"] == "x" * 40
                ends[one.partition] += 1
            else:
                scores = decode(one.value, Scores)
                assert len(scores.offsets) <= BATCH
                assert one.key == f"{scores.model}/{scores.version}".encode()
                scored += [(scores.model, one.partition, offset) for offset in scores.offsets.tolist()]
    wanted = [(model, part, offset) for model in endpoint.models for part in ends for offset in range(ends[part])]
    assert sorted(scored) == sorted(wanted)
    assert sum(ends.values()) == SLICE + 310


def test_the_relays_records_are_as_long_as_an_answer(endpoint: Endpoint) -> None:
    """Which is read back beside it in each run: `value_bytes`."""
    assert 85 < len(encode(usual_answer(endpoint, 50_000))) < 100


def look(at_s: float, end: int, cpu_s: float | None) -> Look:
    """A moment."""
    return Look(at_s, end, cpu_s, None if cpu_s is None else cpu_s / 2, None)


def run(cpu_s: float | None = 3.0) -> Run:
    """A thousand answers in a second after the first look, a hundred before it."""
    at_ms = np.concatenate([np.full(100, 9_500), np.arange(10_001, 11_001)])
    return Run([look(10.0, 100, None if cpu_s is None else 1.0), look(11.5, 1_100, cpu_s)], Answers(at_ms, 1_100, 93.0))


def test_rate_and_price_are_of_what_came_after_the_first_look() -> None:
    """And the price is all that was spent until it was quiet."""
    found = figures(run())
    assert (found["answers"], found["per_s"]) == (1_000, 1_000)
    assert (found["cpu_us"], found["loop_cpu_us"]) == (2_000.0, 1_000.0)


def test_without_a_kernel_that_tells_there_is_a_rate_and_no_price() -> None:
    """Elsewhere than on Linux."""
    found = figures(run(None))
    assert (found["per_s"], found["cpu_us"]) == (1_000, None)


def test_the_best_turn_counts() -> None:
    """The highest rate, and the least price, whichever turn had it."""
    slow, fast = figures(run()), figures(run(2.0)) | {"per_s": 1_200, "cpu_us": 5_000.0}
    found = best([slow, fast])
    assert (found["per_s"], found["cpu_us"]) == (1_200, 2_000.0)
    assert found["per_s_of_runs"] == [1_000, 1_200]


def test_rate_over_time_sums_to_the_answers() -> None:
    """Each part is as long as the others."""
    parts = over_time(np.arange(10_001, 11_001), 10.0)
    assert sum(rate for _, rate in parts) / len(parts) == pytest.approx(1_000, abs=2)


def server(models: int, cpu_us: float | None, share: float = 0.6, *, once: bool = False) -> dict[str, Any]:
    """A server's figures."""
    found = best([figures(run())]) | {"cpu_us": cpu_us, "loop_cpu_us": cpu_us}
    relay = {"per_s": 40_000, "cpu_us": 15.0, "loop_cpu_us": 8.0}
    extra = {"models": models, "exactly_once": once, "share_of_relay": share, "relay": relay, "lost": 0, "twice": 0}
    return found | extra


def test_a_further_model_is_the_slope_from_five_on() -> None:
    """By what a decision costs with five; fewer models are not asked."""
    servers = [server(1, 90.0), server(5, 50.0), server(10, 55.0), server(20, 65.0)]
    assert further_model(servers) == pytest.approx(0.02)
    assert further_model(servers[:2]) is None
    assert further_model([server(5, None), server(10, 55.0)]) is None


def test_targets_are_of_the_default_mode_and_say_why_not() -> None:
    """Exactly once stands beside them."""
    servers = [server(5, 50.0, 0.4), server(20, 95.0), server(5, 80.0, 0.1, once=True)]
    share, further = targets(servers)
    assert (share["value"], share["met"], further["met"]) == (0.4, False, False)
    assert "50.0 us" in share["reason"]
    assert "20 models: 95.0 us" in further["reason"]
    assert [target["reason"] for target in targets([server(5, 50.0, 0.5), server(20, 50.0)])] == [None, None]


def test_exactly_once_is_measured_once() -> None:
    """With as many models as the targets speak of, or the most there are."""
    assert runs([1, 5, 10], ["default", "exactly_once"]) == [(1, False), (5, False), (10, False), (5, True)]
    assert runs([1, 2], ["exactly_once"]) == [(2, True)]


def test_picture_and_table_hold_every_server(tmp_path: Path) -> None:
    """Also where no price is known."""
    servers = [server(5, 50.0), server(5, None, once=True)]
    report = {
        "scenario": "server",
        "machine": {"cores": 2, "processor": "some"},
        "most_other_cores": 0.1,
        "partitions": 1,
        "requests": 1_000,
        "servers": servers,
    }
    draw(report, tmp_path / "server.png")
    assert (tmp_path / "server.png").stat().st_size > 1_000
    assert table(report)[0].row_count == len(servers)
