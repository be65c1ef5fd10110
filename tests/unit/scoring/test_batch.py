"""One micro-batch through one model: a status for every row, and no row pays for another."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from endpoints import DEADLINE_MS, FEATURES, endpoint
from rendezvous.envelope import write_envelope
from rendezvous.log.records import Record
from rendezvous.messages import Bytes, Envelope, Floats, Status
from rendezvous.registry.events import State
from rendezvous.scoring.batch import score, take_up
from rendezvous.scoring.columns import Columns, Layout
from rendezvous.scoring.duty import Duty
from rendezvous.wire import Codec

CODEC = Codec(FEATURES)
APPENDED_MS = 1_000_000
NOW_US = (APPENDED_MS + 10) * 1_000
ENDPOINT = endpoint()
LIVE, CANDIDATE = Duty(State.ACTIVE, live=True, shed={}), Duty(State.ACTIVE, live=False, shed={})
CRASH = "crash"
NOT_A_NUMBER = "nan"
INFINITE = "inf"


class Fake:
    """Answers twice `x`; `who` says which rows raise, or are not finite. Keeps what it was called with."""

    def __init__(self, width: int = 1) -> None:
        self.calls: list[list[str]] = []
        self._width = width

    def score(self, columns: Columns) -> Floats:
        """See `Model.score`."""
        who = columns["who"].tolist()
        self.calls.append(who)
        if CRASH in who:
            raise RuntimeError("a model is somebody else's code")
        answers: Floats = np.repeat(2 * columns["x"][:, None], self._width, axis=1)
        answers[np.flatnonzero([name == NOT_A_NUMBER for name in who]), 0] = np.nan
        answers[np.flatnonzero([name == INFINITE for name in who]), -1] = -np.inf
        return answers


def request(
    x: float | None = 1.0, who: str = "a", *, offset: int = 0, deadline_ms: int | None = None, age_ms: int = 0
) -> Record:
    """A request, so old at APPENDED_MS."""
    value = CODEC.encode({"x": x, "who": who})
    headers = write_envelope(Envelope("r", "", deadline_ms, None))
    return Record("tests.requests", 0, offset, APPENDED_MS - age_ms, None, value, headers)


def run(
    *records: Record, live: bool = True, required: tuple[str, ...] = (), model: Fake | None = None
) -> tuple[list[int], list[float]]:
    """The statuses and the first outputs of a batch."""
    statuses, outputs = scored(*records, live=live, required=required, model=model or Fake())
    return statuses.tolist(), outputs[:, 0].tolist()


def scored(*records: Record, live: bool, required: tuple[str, ...], model: Fake) -> tuple[Bytes, Floats]:
    """The statuses and outputs of a batch."""
    batch = take_up(records, ENDPOINT, CODEC, NOW_US, LIVE if live else CANDIDATE)
    return score(batch, model, Layout(ENDPOINT.features, required), 1)


# ------------------------------------------------------------------------------------------------------- taking up


def test_every_request_gets_its_score() -> None:
    """In the records' order, from one call."""
    model = Fake()
    assert run(request(1.0), request(2.0), request(-3.0), model=model) == ([Status.OK] * 3, [2.0, 4.0, -6.0])
    assert len(model.calls) == 1


@pytest.mark.parametrize(
    ("deadline_ms", "age_ms", "status"),
    [
        (None, DEADLINE_MS - 11, Status.OK),
        (None, DEADLINE_MS - 10, Status.EXPIRED),
        (50, 39, Status.OK),
        (50, 40, Status.EXPIRED),
        (0, 0, Status.EXPIRED),
        (999_999_999, 1_989, Status.OK),
        (999_999_999, 1_990, Status.EXPIRED),
    ],
)
def test_a_live_model_does_not_score_what_is_past_its_deadline(
    deadline_ms: int | None, age_ms: int, status: Status
) -> None:
    """By the request's own deadline, clamped to the endpoint's longest; at the deadline it is over."""
    assert run(request(deadline_ms=deadline_ms, age_ms=age_ms))[0] == [status]


def test_a_candidate_scores_what_is_past_its_deadline() -> None:
    """For the sake of the comparison."""
    assert run(request(deadline_ms=0, age_ms=5_000), live=False) == ([Status.OK], [2.0])


def test_a_live_model_leaves_alone_what_it_cannot_finish_in_time() -> None:
    """The oldest of three that take as long as two have; a candidate scores them all."""
    records = [request(offset=number, age_ms=20 - 10 * number) for number in range(3)]
    left_us = DEADLINE_MS * 1_000 - ENDPOINT.request.reply_margin_ms * 1_000 - 10_000
    row_us = (left_us - 10_000) / 2
    assert taken(records, LIVE, row_us) == [Status.EXPIRED, Status.NONE, Status.NONE]
    assert taken(records, CANDIDATE, row_us) == [Status.NONE] * 3
    assert taken(records, LIVE, 0.0) == [Status.NONE] * 3
    assert taken(records, LIVE, 1e9) == [Status.EXPIRED, Status.EXPIRED, Status.NONE]


def taken(records: list[Record], duty: Duty, row_us: float) -> list[int]:
    """The statuses of a batch before it is scored."""
    found: list[int] = take_up(records, ENDPOINT, CODEC, NOW_US, duty, row_us).statuses.tolist()
    return found


def test_an_expired_row_costs_no_decoding() -> None:
    """It is expired even when nobody could have read it."""
    expired = request(deadline_ms=0)._replace(value=b"garbage")
    assert run(expired)[0] == [Status.EXPIRED]
    assert run(expired, live=False)[0] == [Status.UNREADABLE]


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"garbage",
        CODEC.encode({"x": 1.0, "who": "a"})[:-1],
        CODEC.encode({"x": 1.0, "who": "a"}) + b"\0",
        CODEC.encode({"x": 1.0, "who": "a" * 1_000}),
    ],
    ids=["empty", "no Avro", "cut", "trailing", "larger than max_bytes"],
)
def test_an_unreadable_value_is_a_status(value: bytes) -> None:
    """Its row says UNREADABLE and the others have their score."""
    statuses, outputs = run(request(1.0), request()._replace(value=value), request(2.0))
    assert statuses == [Status.OK, Status.UNREADABLE, Status.OK]
    assert outputs == [2.0, 0.0, 4.0]


def test_a_value_of_exactly_the_limit_is_scored() -> None:
    """max_bytes is what may be, not what may not."""
    room = ENDPOINT.request.max_bytes - len(CODEC.encode({"x": 1.0, "who": "a" * 500})) + 500
    assert len(request(who="a" * room).value) == ENDPOINT.request.max_bytes
    assert run(request(who="a" * room))[0] == [Status.OK]


def test_what_is_no_request_is_left_out() -> None:
    """Records without a usable envelope have no row: the server sends them to dead-letters."""
    stray = request(offset=1)._replace(headers=[])
    batch = take_up([request(offset=0), stray, request(offset=2)], ENDPOINT, CODEC, NOW_US, LIVE)
    assert [record.offset for record in batch.records] == [0, 2]
    assert batch.statuses.tolist() == [Status.NONE] * 2
    assert len(batch.rows) == 2


@pytest.mark.parametrize("records", [[], [request()._replace(headers=[])]], ids=["nothing", "nothing of use"])
def test_an_empty_batch_calls_no_model(records: list[Record]) -> None:
    """And has columns of no rows, of the right types and width."""
    model = Fake()
    statuses, outputs = scored(*records, live=True, required=(), model=model)
    assert (statuses.dtype, statuses.shape) == (np.dtype(np.uint8), (0,))
    assert (outputs.dtype, outputs.shape) == (np.dtype(np.float32), (0, 1))
    assert model.calls == []


# --------------------------------------------------------------------------------------------------------- scoring


@pytest.mark.parametrize(
    ("row", "required", "status"),
    [
        ((None, "a"), (), Status.NONFINITE),
        ((None, "a"), ("x",), Status.INVALID),
        ((float("nan"), "a"), ("x",), Status.INVALID),
        ((1.0, ""), (), Status.OK),
        ((1.0, ""), ("who",), Status.INVALID),
    ],
)
def test_a_row_without_what_the_model_requires_is_invalid(
    row: tuple[float | None, str], required: tuple[str, ...], status: Status
) -> None:
    """Missing or NaN; a model that does not mind sees null as NaN."""
    assert run(request(*row), required=required)[0] == [status]


def test_a_model_never_sees_an_invalid_row() -> None:
    """The others are scored without it."""
    model = Fake()
    statuses, outputs = run(request(1.0, "a"), request(None, "b"), request(2.0, "c"), required=("x",), model=model)
    assert statuses == [Status.OK, Status.INVALID, Status.OK]
    assert outputs == [2.0, 0.0, 4.0]
    assert model.calls == [["a", "c"]]


def test_a_batch_of_invalid_rows_calls_no_model() -> None:
    """There is nothing to score."""
    model = Fake()
    assert run(request(None), request(None), required=("x",), model=model)[0] == [Status.INVALID] * 2
    assert model.calls == []


@pytest.mark.parametrize("rows", [1, 2, 3, 8, 33])
def test_only_the_row_at_fault_is_an_error(rows: int) -> None:
    """Whichever row it is: the others have their own scores, by halves."""
    for bad in range(rows):
        statuses, outputs = run(*(request(float(n), CRASH if n == bad else "a") for n in range(rows)))
        assert statuses == [Status.ERROR if n == bad else Status.OK for n in range(rows)]
        assert outputs == [0.0 if n == bad else 2.0 * n for n in range(rows)]


def test_one_row_at_fault_costs_few_calls() -> None:
    """Two for each halving: a poisoned row must not cost a call a row."""
    model = Fake()
    run(*(request(1.0, CRASH if n == 77 else "a") for n in range(256)), model=model)
    assert len(model.calls) == 1 + 2 * 8


def test_a_model_that_always_raises_says_so_of_every_row() -> None:
    """And nothing escapes."""
    assert run(*(request(1.0, CRASH) for _ in range(5))) == ([Status.ERROR] * 5, [0.0] * 5)


@pytest.mark.parametrize("what", [NOT_A_NUMBER, INFINITE])
def test_what_is_not_finite_is_no_score(what: str) -> None:
    """The row says NONFINITE and carries 0."""
    assert run(request(1.0), request(2.0, what)) == ([Status.OK, Status.NONFINITE], [2.0, 0.0])


def test_one_output_that_is_not_finite_spoils_its_row() -> None:
    """All of a row's outputs stand together."""
    wide = endpoint(output={"kind": "multiclass", "names": ["a", "b"], "default": [0.5, 0.5]})
    batch = take_up([request(1.0, NOT_A_NUMBER), request(2.0, INFINITE), request(3.0)], wide, CODEC, NOW_US, LIVE)
    statuses, outputs = score(batch, Fake(width=2), Layout(wide.features), 2)
    assert statuses.tolist() == [Status.NONFINITE, Status.NONFINITE, Status.OK]
    assert outputs.tolist() == [[0, 0], [0, 0], [6, 6]]


def test_an_answer_of_the_wrong_shape_is_an_error() -> None:
    """A model that loses rows must not give its scores to the wrong requests."""

    class Loses(Fake):
        """Answers one row too few, when there are several."""

        def score(self, columns: Columns) -> Floats:
            """See `Model.score`."""
            return super().score(columns)[: max(0, len(columns["x"]) - 1)]

    assert run(request(1.0), request(2.0), model=Loses())[0] == [Status.ERROR] * 2


def test_a_batch_is_not_changed_by_scoring() -> None:
    """The same batch can be scored again."""
    batch = take_up([request(1.0), request(None)], ENDPOINT, CODEC, NOW_US, LIVE)
    before = batch.statuses.copy()
    first = score(batch, Fake(), Layout(ENDPOINT.features, ("x",)), 1)
    second = score(batch, Fake(), Layout(ENDPOINT.features, ("x",)), 1)
    np.testing.assert_array_equal(batch.statuses, before)
    np.testing.assert_array_equal(first[0], second[0])
    np.testing.assert_array_equal(first[1], second[1])


# ------------------------------------------------------------------------------------------------------------ mixed

KINDS: dict[str, tuple[Callable[[float], Record], Status | None]] = {
    "good": (request, Status.OK),
    "late": (lambda x: request(x, deadline_ms=0), Status.EXPIRED),
    "unreadable": (lambda x: request(x)._replace(value=b"no"), Status.UNREADABLE),
    "too large": (lambda x: request(x, "a" * 2_000), Status.UNREADABLE),
    "invalid": (lambda _: request(None), Status.INVALID),
    "crash": (lambda x: request(x, CRASH), Status.ERROR),
    "nan": (lambda x: request(x, NOT_A_NUMBER), Status.NONFINITE),
    "inf": (lambda x: request(x, INFINITE), Status.NONFINITE),
    "stray": (lambda x: request(x)._replace(headers=[]), None),
}


@given(st.lists(st.tuples(st.sampled_from(list(KINDS)), st.integers(-1_000, 1_000)), max_size=24))
def test_in_any_mixture_each_row_has_its_own_fate(drawn: list[tuple[str, int]]) -> None:
    """A row's status and score are what they are alone, whatever stands beside it; none says NONE."""
    records = [KINDS[kind][0](float(x))._replace(offset=n) for n, (kind, x) in enumerate(drawn)]
    batch = take_up(records, ENDPOINT, CODEC, NOW_US, LIVE)
    statuses, outputs = score(batch, Fake(), Layout(ENDPOINT.features, ("x",)), 1)
    kept = [(n, kind, x) for n, (kind, x) in enumerate(drawn) if KINDS[kind][1] is not None]
    assert [record.offset for record in batch.records] == [n for n, _, _ in kept]
    assert statuses.tolist() == [KINDS[kind][1] for _, kind, _ in kept]
    assert outputs.tolist() == [[2.0 * x if kind == "good" else 0.0] for _, kind, x in kept]
    assert (statuses.dtype, outputs.dtype) == (np.dtype(np.uint8), np.dtype(np.float32))


def test_what_is_left_out_is_not_even_decoded() -> None:
    """Under load: a share of the requests of that partition alone, the same keys every time."""
    pressed = Duty(State.ACTIVE, live=False, shed={3: 0.5})
    keys = [f"key {number}".encode() for number in range(400)]
    here = [request(offset=n)._replace(partition=3, key=key, value=b"never decoded") for n, key in enumerate(keys)]
    statuses = take_up(here, ENDPOINT, CODEC, NOW_US, pressed).statuses
    assert set(statuses.tolist()) == {Status.SHED, Status.UNREADABLE}
    assert 150 < np.count_nonzero(statuses == Status.SHED) < 250
    np.testing.assert_array_equal(take_up(here, ENDPOINT, CODEC, NOW_US, pressed).statuses, statuses)
    elsewhere = [record._replace(partition=2) for record in here]
    assert (take_up(elsewhere, ENDPOINT, CODEC, NOW_US, pressed).statuses == Status.UNREADABLE).all()
