"""What has to be done so that topics are as a document says: each difference, in which order, and what is refused."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from endpoints import endpoint
from rendezvous.log.records import Topic
from rendezvous.planning import Create, Grow, Plan, Set, plan, told
from rendezvous.settings import Endpoint
from rendezvous.topics import JOINED, SINGLE, topics_of


def of(partitions: int = 2, **limits: object) -> Endpoint:
    """An endpoint whose topics have so many partitions."""
    return endpoint(topics={"partitions": partitions, **limits})


def there(wanted: Endpoint) -> dict[str, Topic]:
    """Its topics as a cluster has them."""
    return {topic.name: replace(topic, id="id", replication=1) for topic in topics_of(wanted)}


def planned(wanted: Endpoint, found: dict[str, Topic]) -> Plan:
    """What is to be done."""
    joined, single = (frozenset(wanted.topic(name) for name in names) for names in (JOINED, SINGLE))
    return plan(topics_of(wanted), found, joined, single)


def test_where_everything_is_right_nothing_is_done() -> None:
    """No step, no refusal, no note."""
    assert planned(of(), there(of())) == Plan((), (), ())


def test_what_is_missing_is_created() -> None:
    """With its partitions and settings; what is there stays."""
    found = there(of())
    del found["tests.labels"]
    (step,) = planned(of(), found).steps
    assert isinstance(step, Create)
    assert told(step).startswith("create tests.labels: 2 partitions, cleanup.policy=delete, retention.ms=604800000")


def test_requests_grow_last() -> None:
    """Whatever is said about a request of a new partition has its partition; a person is told that keys move."""
    done = planned(of(3), there(of(2)))
    grown = [step.name for step in done.steps if isinstance(step, Grow)]
    assert grown[-1] == "tests.requests"
    assert set(grown) >= {f"tests.{name}" for name in JOINED}
    assert not set(grown) & {f"tests.{name}" for name in SINGLE}
    assert told(done.steps[-1]) == "grow   tests.requests: 2 -> 3 partitions"
    assert any("another one than before" in note for note in done.notes)


@pytest.mark.parametrize("name", JOINED)
def test_joined_topics_never_shrink(name: str) -> None:
    """Kafka cannot, and the others must have as many."""
    found = there(of())
    found[f"tests.{name}"] = replace(found[f"tests.{name}"], partitions=3)
    (refusal,) = planned(of(), found).refusals
    assert refusal.startswith(f"tests.{name} has 3 partitions, topics.partitions is 2")
    assert refusal.endswith("set topics.partitions = 3")


def test_other_topics_may_have_more_partitions() -> None:
    """What is not joined may be cut as its readers like."""
    found = there(of())
    found["tests.labels"] = replace(found["tests.labels"], partitions=9)
    assert planned(of(), found) == Plan((), (), ())


@pytest.mark.parametrize("name", SINGLE)
def test_what_has_one_order_has_one_partition(name: str) -> None:
    """Two partitions would have two."""
    found = there(of())
    found[f"tests.{name}"] = replace(found[f"tests.{name}"], partitions=2)
    (refusal,) = planned(of(), found).refusals
    assert "one order" in refusal


def test_settings_are_put_right() -> None:
    """Compaction, the broker's clock, how many copies must have a record: each that differs, alone."""
    found = there(of())
    config = {**found["tests.requests"].config, "message.timestamp.type": "CreateTime", "cleanup.policy": "compact"}
    found["tests.requests"] = replace(found["tests.requests"], config=config)
    done = planned(of(), found)
    assert {(step.key, step.now, step.wanted) for step in done.steps if isinstance(step, Set)} == {
        ("message.timestamp.type", "CreateTime", "LogAppendTime"),
        ("cleanup.policy", "compact", "delete"),
    }
    assert all("set    tests.requests: " in told(step) for step in done.steps)
    insync = planned(of(min_insync=2), there(of())).steps
    assert {told(step).split(": ")[1] for step in insync} == {"min.insync.replicas the broker's default -> 2"}


def test_retention_grows_and_is_never_shortened() -> None:
    """To shorten it would delete: that is a person's to do."""
    longer = planned(of(retention="30d"), there(of()))
    assert not longer.refusals
    assert {step.wanted for step in longer.steps if isinstance(step, Set)} == {str(30 * 86_400_000)}
    assert all("would delete" in refusal for refusal in planned(of(retention="1d"), there(of())).refusals)
    assert planned(of(retention="1d"), there(of())).refusals
    kept = there(of())
    kept["tests.labels"] = replace(kept["tests.labels"], config={**kept["tests.labels"].config, "retention.ms": "-1"})
    assert len(planned(of(), kept).refusals) == 1


def test_copies_are_not_moved_but_told() -> None:
    """That is the work of Kafka's own tool."""
    done = planned(of(replication=3), there(of()))
    assert not done.steps
    assert "tests.requests has 1 replicas, 3 are wanted: move it with kafka-reassign-partitions" in done.notes


@given(st.integers(1, 4), st.integers(1, 4), st.sets(st.sampled_from([topic.name for topic in topics_of(of())])))
def test_after_the_steps_nothing_is_left_to_do(before: int, after: int, missing: set[str]) -> None:
    """From whatever was there, unless it is refused; and no step takes anything away."""
    found = {name: topic for name, topic in there(of(before)).items() if name not in missing}
    done = planned(of(after), found)
    if done.refusals:
        assert after < before
        return
    for step in done.steps:
        match step:
            case Create():
                assert step.topic.name not in found
                found[step.topic.name] = replace(step.topic, replication=1)
            case Grow():
                assert found[step.name].partitions == step.now < step.wanted
                found[step.name] = replace(found[step.name], partitions=step.wanted)
            case Set():
                config = {**found[step.name].config, step.key: step.wanted}
                found[step.name] = replace(found[step.name], config=config)
        counts = {found[f"tests.{name}"].partitions for name in JOINED if f"tests.{name}" in found}
        requests = found.get("tests.requests")
        assert requests is None or requests.partitions == min(counts), "a request without a place for its scores"
    assert planned(of(after), found).steps == ()
