"""What the hot path executes for a batch of one and for each row more: counted, not timed (see `instructions`).

A limit is a fifth above what was counted, for Pythons differ. Where NumPy does all rows at once a row more adds
nothing: there the limit is one, which is what a few instructions for all rows together are rounded to.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from endpoints import FEATURES, VERSIONS, control_of, endpoint, genesis, plan_of
from instructions import Cost, cost
from memory_log import FakeClock, MemoryLog, MemorySink, MemorySource
from rendezvous.envelope import told_at_us, write_envelope
from rendezvous.messages import Envelope, Floats, ReplyAddress, Request, Scores, Status
from rendezvous.scoring.card import Card
from rendezvous.scoring.columns import Columns
from rendezvous.scoring.models import LoadedModel
from rendezvous.scoring.service import Scorer
from rendezvous.server.partition import Partition, Takeover
from rendezvous.telemetry import ScorerMetrics
from rendezvous.topics import topics_of
from rendezvous.wire import Codec, decode, encode
from worlds import MemoryWorld

ROWS = 100
VALUE = Codec(FEATURES).encode({"x": 1.0, "who": "a"})
NOON_US = 1_700_000_000_000_000
EMPTY = Takeover(requests=0, scores=0, decisions=0, requests_end=0, scores_end=0, decided={})


def counted(make: Callable[[int], Callable[[], object]]) -> tuple[Cost, Cost]:
    """The cost of one row, and what each of ROWS adds to it; `make` prepares an action on so many rows."""
    for rows in (1, ROWS):
        make(rows)()  # what is made once, and Python's own first look at the code, is over
        cost(make(rows))
    one, many = cost(make(1)), cost(make(ROWS))
    return one, many.per_row(one, ROWS)


def below(found: Cost, limit: Cost) -> bool:
    """Whether both figures are within their limits."""
    return all(figure <= most for figure, most in zip(found, limit, strict=True))


def headers(number: int) -> list[tuple[str, bytes]]:
    """As a Client writes them."""
    reply = ReplyAddress("tests.responses", 0, number.to_bytes(16, "big"))
    return write_envelope(Envelope(f"request-{number}", "tests", 900, reply))


def scores(model: str, offsets: list[int]) -> Scores:
    """Of a model about some requests."""
    rows = len(offsets)
    return Scores(
        model=model,
        version=VERSIONS[model],
        taken_us=1,
        scored_us=2,
        offsets=np.array(offsets, np.int64),
        statuses=np.full(rows, Status.OK, np.uint8),
        outputs=np.full((rows, 1), 0.5, np.float32),
    )


def server_turn(rows: int) -> Callable[[], object]:
    """A turn that reads so many requests and all their scores, and answers them; and one for the delivery reports."""
    world = MemoryWorld()
    world.start()
    names = {name: world.endpoint.topic(name) for name in ("requests", "scores")}
    for model in VERSIONS:  # heard of before the requests that count, as in a system that runs
        world.log.append(names["scores"], 0, encode(scores(model, list(range(rows)))))
    world.turn()
    for number in range(rows):
        world.log.append(names["requests"], 0, VALUE, headers(number))
    return world.turn


def scorer_turn(rows: int) -> Callable[[], object]:
    """A turn that scores so many requests, and one for the delivery report."""
    of = endpoint()
    clock = FakeClock()
    log = MemoryLog(clock, {topic.name: 1 for topic in topics_of(of)})
    card = Card.model_construct(model="champion", version=VERSIONS["champion"])
    metrics = ScorerMetrics(CollectorRegistry())
    source, sink = MemorySource(log, "champion"), MemorySink(log)
    loaded = LoadedModel(Same(), card)
    scorer = Scorer(of, loaded, control_of(*genesis(of)), lambda _: source, sink, clock, metrics)
    scorer.turn()
    for number in range(rows):
        log.append(of.topic("requests"), 0, VALUE, headers(number))

    def turns() -> None:
        scorer.turn()
        scorer.turn()

    return turns


class Same:
    """A model that answers `x`."""

    def score(self, columns: Columns) -> Floats:
        """See `Model.score`."""
        answers: Floats = columns["x"][:, None]
        return answers


def waiting(rows: int) -> Partition:
    """A partition with so many requests, whose champion has said nothing."""
    partition = Partition(plan_of(endpoint()), 0, EMPTY)
    for offset in range(rows):
        partition.request(Request(offset, NOON_US, NOON_US + 900_000, f"r{offset}", None), NOON_US)
    partition.tick(NOON_US)
    return partition


def taking_scores(rows: int) -> Callable[[], object]:
    """Scores of three models for requests that wait for another one."""
    partition = waiting(rows)
    batch = [(scores(model, list(range(rows))), at) for at, model in enumerate(VERSIONS) if model != "champion"]
    return lambda: partition.scores(batch, NOON_US)


def looking(rows: int) -> Callable[[], object]:
    """A look at all requests, at the end of a step, when nobody has said anything yet."""
    partition = waiting(rows)
    return lambda: partition.tick(NOON_US + 300_000)


def reading_scores(rows: int) -> Callable[[], object]:
    """A scores record from its bytes."""
    value = encode(scores("champion", list(range(rows))))
    return lambda: decode(value, Scores)


def reading_requests(rows: int) -> Callable[[], object]:
    """So many requests' values from their bytes."""
    codec = Codec(FEATURES)

    def read() -> None:
        for _ in range(rows):
            codec.decode(VALUE)

    return read


@pytest.mark.parametrize(
    ("make", "one", "more"),
    [
        (server_turn, Cost(5_500, 265), Cost(1_430, 54)),
        (scorer_turn, Cost(2_000, 129), Cost(480, 39)),
        (taking_scores, Cost(1_200, 56), Cost(1, 1)),
        (looking, Cost(1_210, 86), Cost(1, 1)),
        (reading_scores, Cost(490, 29), Cost(1, 1)),
        (reading_requests, Cost(72, 5), Cost(72, 5)),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_the_hot_path_executes_no_more_than_it_did(
    make: Callable[[int], Callable[[], object]], one: Cost, more: Cost
) -> None:
    """For a batch of one row, and for each row more."""
    first, further = counted(make)
    assert below(first, one), f"a batch of one: {first}"
    assert below(further, more), f"each row more: {further}"


def test_a_loop_over_rows_is_seen() -> None:
    """Else the limits above would hold for anything."""
    _, further = counted(looped)
    assert further.instructions > 1


def looped(rows: int) -> Callable[[], object]:
    """Our own code, once a row."""
    return lambda: [told_at_us([]) for _ in range(rows)]


def test_other_peoples_code_is_not_counted() -> None:
    """A call to it is one, whatever it does."""
    assert cost(lambda: np.unique(np.arange(1_000))) == Cost(0, 0)
    one, further = counted(reading_scores)
    assert one.calls > 0
    assert further.calls <= 1
