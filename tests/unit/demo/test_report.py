"""What the demo says of itself: figures, labels in time, quality on the same requests, the picture."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from rich.console import Console
from sklearn.metrics import log_loss, roc_auc_score

from memory_log import FakeClock, MemoryLog, MemorySink
from rendezvous.demo import labels, picture, report
from rendezvous.demo.screen import Screen
from rendezvous.demo.traffic import Asked
from rendezvous.messages import Comparisons, Label, Reason, Response, Status
from rendezvous.settings import load_endpoint
from rendezvous.wire import decode

ROOT = Path(__file__).parents[3]


def response(model: str, reason: Reason = Reason.PREFERRED) -> Response:
    """An answer by somebody."""
    return Response("r", 0, 0, model, "v" if model else "", reason, (0.5,), (), 1.0, 1)


def asked(due_s: float, latency_ms: float, model: str = "trees", reason: Reason = Reason.PREFERRED) -> Asked:
    """A request that was answered so late."""
    return Asked(due_s, due_s + latency_ms / 1e3, response(model, reason))


LOG = [
    asked(0.0, 10),
    asked(1.0, 100, "forest", Reason.FALLBACK),
    asked(1.5, 300, "logistic", Reason.FALLBACK),
    asked(1.9, 250, "", Reason.NO_ANSWER),
    asked(2.0, 20, "", Reason.DEFAULT),
]
STALL = report.Stall("trees", 1.0, 2.0)


def outcome(duplicates: int = 0, too_late: int = 0) -> report.Outcome:
    """The run of LOG, with a deadline of 250 ms."""
    quality = {"trees": labels.Quality(7, 0.75, 0.4), "rule": labels.Quality(7, 0.6, 0.5)}
    return report.Outcome("here:1", 250, LOG, STALL, duplicates, too_late, quality, 12.34)


def test_the_report_has_the_keys_that_were_asked_for() -> None:
    """Names are a contract with whoever reads the JSON."""
    figures = report.figures(outcome())
    assert set(figures) == {
        "broker",
        "requests",
        "answered",
        "unanswered",
        "duplicates",
        "deadline_ms",
        "late",
        "latency_ms",
        "answered_by",
        "stall",
        "quality",
        "seconds",
    }
    assert set(figures["latency_ms"]) == {"p50", "p99", "p999", "max"}
    assert set(figures["stall"]) == {"model", "requests", "answered", "late", "answered_by"}
    assert figures["quality"]["rule"] == {"labels": 7, "auc": 0.6, "log_loss": 0.5}


def test_what_never_came_is_unanswered_and_what_came_late_is_late() -> None:
    """Four of five were answered, one of them after its deadline, and the fifth never."""
    figures = report.figures(outcome())
    assert (figures["requests"], figures["answered"], figures["unanswered"], figures["late"]) == (5, 4, 1, 1)
    assert figures["answered_by"] == {"trees": 1, "forest": 1, "logistic": 1, "default": 1}


def test_an_answer_that_came_after_the_client_gave_up_is_late_and_not_unanswered() -> None:
    """The client drops it, but it is no request that nobody answered."""
    figures = report.figures(outcome(duplicates=2, too_late=1))
    assert (figures["answered"], figures["unanswered"], figures["late"], figures["duplicates"]) == (5, 0, 2, 2)


def test_the_stall_counts_what_fell_due_while_the_process_stood_still() -> None:
    """From its first moment to before its last."""
    stall = report.figures(outcome())["stall"]
    assert stall == {
        "model": "trees",
        "requests": 3,
        "answered": 2,
        "late": 2,
        "answered_by": {"forest": 1, "logistic": 1},
    }


def test_latency_counts_from_due_and_is_null_without_answers() -> None:
    """The percentiles are NumPy's, in milliseconds."""
    assert report.latencies(LOG[:2]) == {"p50": 55.0, "p99": 99.1, "p999": 99.91, "max": 100.0}
    assert set(report.latencies([]).values()) == {None}


def test_the_report_is_written_where_it_was_asked_for(tmp_path: Path) -> None:
    """Folders on the way are made."""
    report.write(report.figures(outcome()), tmp_path / "deep" / "r.json")
    assert json.loads((tmp_path / "deep" / "r.json").read_text())["requests"] == 5


def test_labels_are_fed_as_the_replayed_clock_passes_them() -> None:
    """By the time of observation, not of request; what is never known is closed at the end."""
    day = pd.Timestamp("2013-03-01T10:00Z")
    table = pd.DataFrame(
        {
            "request_id": ["slow", "fast", "cancelled"],
            "label": [1.0, 0.0, np.nan],
            "observed_utc": [day + pd.Timedelta(hours=5), day + pd.Timedelta(hours=2), pd.NaT],
        }
    )
    log = MemoryLog(FakeClock(), {"labels": 1})
    feed = labels.LabelFeed(MemorySink(log), "labels", table)

    def written() -> list[Label]:
        return [decode(record.value, Label) for record in log.records["labels", 0]]

    feed.reach(day + pd.Timedelta(hours=1))
    assert written() == []
    feed.reach(day + pd.Timedelta(hours=2))
    assert [(label.request_id, label.value) for label in written()] == [("fast", 0.0)]
    assert written()[0].observed_us == int((day + pd.Timedelta(hours=2)).value // 1_000)
    feed.reach(None)
    assert [(label.request_id, label.value) for label in written()[1:]] == [("slow", 1.0), ("cancelled", None)]
    assert feed.fed == 3


def comparisons(statuses: list[list[Status]], scores: list[list[float]]) -> Comparisons:
    """Requests r0, r1, ... as two models scored them."""
    rows = len(statuses)
    return Comparisons(
        closed_us=1,
        models=("a", "b"),
        versions=("1", "1"),
        offsets=np.arange(rows),
        request_ids=tuple(f"r{number}" for number in range(rows)),
        appended_us=np.zeros(rows, np.int64),
        winners=np.zeros(rows, np.int16),
        reasons=np.zeros(rows, np.uint8),
        statuses=np.array(statuses, np.uint8),
        latencies_us=np.zeros((rows, 2), np.int32),
        outputs=np.array(scores, np.float32)[:, :, None],
        asked_us=np.zeros(rows, np.int64),
    )


def test_models_are_compared_on_the_requests_that_all_of_them_scored() -> None:
    """A request that one model missed, or that has no label, counts for none; the figures are scikit-learn's."""
    ok, none = Status.OK, Status.NONE
    batch = comparisons(
        [[ok, ok], [ok, ok], [ok, ok], [ok, none], [ok, ok]],
        [[0.9, 0.2], [0.1, 0.6], [0.6, 0.5], [0.5, 0.0], [0.3, 0.3]],
    )
    known = {"r0": 1.0, "r1": 0.0, "r2": 0.0, "r3": 1.0}
    quality = labels.quality_of([batch], known)
    truth = [1.0, 0.0, 0.0]
    for model, scores in (("a", [0.9, 0.1, 0.6]), ("b", [0.2, 0.6, 0.5])):
        assert quality[model].labels == 3
        assert quality[model].auc == pytest.approx(roc_auc_score(truth, scores))
        assert quality[model].log_loss == pytest.approx(log_loss(truth, scores))


def test_one_class_alone_ranks_nobody() -> None:
    """Without a late flight there is no AUC to show."""
    batch = comparisons([[Status.OK, Status.OK]], [[0.9, 0.2]])
    assert labels.quality_of([batch], {"r0": 1.0}) == {}


def test_the_picture_is_drawn_as_png_and_svg(tmp_path: Path) -> None:
    """Both files are pictures, also for a run in which somebody got no answer."""
    endpoint = load_endpoint("flights", ROOT)
    png, svg = picture.draw(endpoint, LOG, STALL, report.figures(outcome()), tmp_path / "out" / "flights")
    assert png.read_bytes().startswith(b"\x89PNG")
    assert "<svg" in svg.read_text()


def test_without_a_terminal_there_is_a_plain_line_a_second() -> None:
    """No control characters reach a file, and the summary says what happened."""
    written = io.StringIO()
    screen = Screen(Console(file=written, width=100))
    with screen:
        screen.traffic(LOG, 3, 0.0, "running", 0)
        screen.traffic(LOG, 4, 0.5, "FROZEN", 1)
        screen.traffic(LOG, 5, 2.4, "FROZEN", 1)
    screen.summary(report.figures(outcome()))
    text = written.getvalue()
    assert text.count("sent") == 2
    assert "FROZEN" in text
    assert "5 requests, 1 unanswered, 0 answered twice, 1 late" in text
    assert "\x1b" not in text


def test_in_a_terminal_there_is_a_live_table() -> None:
    """Progress and who answers, drawn in place."""
    written = io.StringIO()
    with Screen(Console(file=written, width=100, force_terminal=True)) as screen:
        screen.traffic(LOG, 5, 2.4, "trees FROZEN", 3)
    assert "trees FROZEN" in written.getvalue()
    assert "5/5" in written.getvalue()
