"""The real processes on a real broker: killed, stopped, frozen, joined by others, and started wrongly."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from homes import CLOSE_MS, DEADLINE_MS, STEP_MS, Home, Services, page, sample, services_of, until, write_home
from rendezvous import topics
from rendezvous.envelope import write_envelope
from rendezvous.local.ports import LOOPBACK
from rendezvous.local.stack import Addresses
from rendezvous.log import KafkaReader, KafkaSink, KafkaSource, read_to_end, starts_at_end
from rendezvous.messages import Comparisons, Envelope, Reason, Response, Scores, Status
from rendezvous.scoring.card import load_card
from rendezvous.scoring.service import group_of
from rendezvous.wire import Codec, decode

pytestmark = pytest.mark.kafka

PARTITIONS = 2
MODELS = ("quick", "failing", "slow")
RATE = 100.0
"""Requests a second."""
SESSION_S = 6.0
"""How long a killed member keeps its partitions: `session.timeout.ms`."""


class Traffic:
    """Requests put straight onto the topic in open loop, and every answer to them that is on the reply topic."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self.answers: dict[str, list[Response]] = defaultdict(list)
        self.places: dict[str, tuple[int, int]] = {}
        self._name = uuid.uuid4().hex[:8]
        self._codec = Codec(home.endpoint.features_schema)
        self._sink = KafkaSink(home.kafka)
        self._reader = KafkaReader(home.kafka, starts_at_end(home.kafka, home.endpoint.topic("responses")))
        self._sent: set[str] = set()

    def send(
        self, count: int, at: Mapping[int, Callable[[], object]] | None = None, *, x: float = 0.5, slow_ms: float = 0.0
    ) -> list[str]:
        """Send `count` requests at RATE, and call at[i] before request i; returns their ids."""
        start, names = time.monotonic(), []
        for number in range(count):
            time.sleep(max(0.0, start + number / RATE - time.monotonic()))
            (at or {}).get(number, lambda: None)()
            names.append(self._put(number % PARTITIONS, x, slow_ms))
            self._sink.serve()
        return names

    def _put(self, partition: int, x: float, slow_ms: float) -> str:
        name = f"{self._name}-{len(self._sent)}"
        self._sent.add(name)

        def delivered(error: str | None, offset: int) -> None:
            assert error is None, error
            self.places[name] = partition, offset

        self._sink.send(
            self.home.endpoint.topic("requests"),
            self._codec.encode({"x": x, "slow_ms": slow_ms, "who": "a"}),
            partition=partition,
            headers=write_envelope(Envelope(name, "tests", None, None)),
            delivered=delivered,
        )
        return name

    def wait(self) -> None:
        """Until each request has an answer, and one after all of them in each partition: no answer is still to come."""
        for number in range(PARTITIONS):
            self._put(number, 0.5, 0.0)
        assert self._sink.flush(10.0) == 0
        until(self._all_answered, "every request has an answer")

    def _all_answered(self) -> bool:
        for record in self._reader.poll(1_000, 0.1):
            response = decode(record.value, Response)
            if response.request_id in self._sent:
                self.answers[response.request_id].append(response)
        return self._sent == set(self.answers)

    def the(self, name: str) -> Response:
        """The first answer to a request."""
        return self.answers[name][0]

    def close(self) -> None:
        """Read no more."""
        self._reader.close()


@pytest.fixture(scope="module")
def services(stack: Addresses, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    """A server and three scorers on two partitions; each test begins with all of them ready."""
    with services_of(Home.make(tmp_path_factory.mktemp("home"), stack.kafka, PARTITIONS)) as services:
        services.start("server", *MODELS)
        yield services


@pytest.fixture
def traffic(services: Services) -> Iterator[Traffic]:
    """Traffic through services that are all ready, the server owner of everything."""
    services.ready("server", *MODELS)
    until(settled(services, "server", PARTITIONS), "the server owns all partitions")
    traffic = Traffic(services.home)
    yield traffic
    traffic.close()


def settled(services: Services, name: str, partitions: int) -> Callable[[], bool]:
    """Whether a server owns so many partitions, all live."""
    return lambda: sample(services[name], "rendezvous_server_partitions", state="live") == partitions


def compared(home: Home, names: set[str], timeout_s: float = 10.0) -> dict[str, tuple[Comparisons, int]]:
    """The comparison of each of these requests, and its row; waits until all are closed."""
    found: dict[str, tuple[Comparisons, int]] = {}

    def complete() -> bool:
        for number in range(PARTITIONS):
            for record in read_to_end(home.kafka, home.endpoint.topic("comparisons"), number, 0):
                batch = decode(record.value, Comparisons)
                found.update((name, (batch, row)) for row, name in enumerate(batch.request_ids) if name in names)
        return found.keys() == names

    until(complete, "every request is compared", timeout_s)
    return found


def test_pages_of_each(services: Services, traffic: Traffic) -> None:
    """Server and scorers show metrics, health and readiness, and tell of their pages on any other path."""
    traffic.send(2)
    traffic.wait()
    for name in ("server", *MODELS):
        service = services[name]
        assert page(service, "/readyz") == (200, '{"ready": true}')
        assert page(service, "/healthz")[0] == 200
        assert page(service, "/else") == (404, "/metrics /healthz /readyz\n")
    until(settled(services, "server", PARTITIONS), "the gauge of partitions is set")
    assert sample(services["server"], "rendezvous_server_requests_total") >= 2
    assert sample(services["server"], "rendezvous_server_answers_total", reason="preferred") >= 1
    assert sample(services["quick"], "rendezvous_scorer_rows_total", status="ok") >= 2


def test_every_model_reaches_comparisons(services: Services, traffic: Traffic) -> None:
    """All models' scores of a request stand side by side; a row that one model fails on costs the others nothing."""
    good, bad = set(traffic.send(20, x=0.75)), set(traffic.send(20, x=-1.0))
    traffic.wait()
    for name, (batch, row) in compared(services.home, good | bad).items():
        assert batch.models == tuple(services.home.endpoint.models)
        statuses = dict(zip(batch.models, batch.statuses[row].tolist(), strict=True))
        outputs = dict(zip(batch.models, batch.outputs[row, :, 0].tolist(), strict=True))
        assert statuses == {
            "quick": Status.OK,
            "failing": Status.OK if name in good else Status.ERROR,
            "slow": Status.OK,
        }
        assert outputs["quick"] == (0.75 if name in good else -1.0)
        assert outputs["slow"] == pytest.approx(0.3)
    assert {traffic.the(name).model for name in good} == {"quick"}


def test_a_slow_model_is_compared_late(services: Services, traffic: Traffic) -> None:
    """A model that is slower than the deadline holds up no answer, and its score is compared all the same."""
    slow_ms = DEADLINE_MS + 200.0
    names = set(traffic.send(1, slow_ms=slow_ms))
    traffic.wait()
    for name, (batch, row) in compared(services.home, names).items():
        slow = batch.models.index("slow")
        assert traffic.the(name).reason is Reason.PREFERRED
        assert batch.statuses[row, slow] == Status.OK
        assert slow_ms * 1_000 <= batch.latencies_us[row, slow] < CLOSE_MS * 1_000


def test_a_frozen_model(services: Services, traffic: Traffic) -> None:
    """While the first choice's process stands still the fallbacks answer in time; when it goes on, it answers again."""
    pid = services["quick"].process.pid
    os.kill(pid, signal.SIGSTOP)
    try:
        frozen = traffic.send(120)
        traffic.wait()
    finally:
        os.kill(pid, signal.SIGCONT)
    for name in frozen:
        answer = traffic.the(name)
        assert (answer.reason, answer.slack_ms > 0) == (Reason.FALLBACK, True), answer
        assert "quick" in answer.missing

    def back() -> bool:
        (name,) = traffic.send(1)
        traffic.wait()
        return traffic.the(name).model == "quick"

    until(back, "the model answers again")
    assert max(len(said) for said in traffic.answers.values()) == 1


def test_two_servers_share_and_one_stops(services: Services, traffic: Traffic) -> None:
    """Two servers share the partitions and both answer; when one is stopped the other goes on within a second or so."""
    services.ready("server-2")
    until(settled(services, "server", 1), "the first server has one partition")
    until(settled(services, "server-2", 1), "the second server has one partition")
    before = sample(services["server"], "rendezvous_server_answers_total")
    shared = traffic.send(100)
    traffic.wait()
    assert sample(services["server"], "rendezvous_server_answers_total") - before == len(shared) / 2 + 1
    assert sample(services["server-2"], "rendezvous_server_answers_total") == len(shared) / 2 + 1

    stopped = []
    handed = traffic.send(300, {100: lambda: stopped.append(services.signal("server", signal.SIGTERM))})
    traffic.wait()
    assert [service.process.poll() for service in stopped] == [0]
    assert settled(services, "server-2", PARTITIONS)()
    assert {len(said) for said in traffic.answers.values()} == {1}
    assert {traffic.the(name).reason for name in shared} <= {Reason.PREFERRED, Reason.FALLBACK}
    slowest_ms = max(DEADLINE_MS - traffic.the(name).slack_ms for name in handed)
    assert slowest_ms < SESSION_S * 1e3 / 2  # it left the group by itself, nobody waited for its session
    services.ready("server")
    services.signal("server-2", signal.SIGTERM)


def test_a_killed_server_loses_nothing(services: Services, traffic: Traffic) -> None:
    """Every request under traffic is answered by the successor of a killed server, twice only for the same position.

    The dead member's session ends first: until then its successor is not ready, and what falls due is answered late.
    """
    ready: list[int] = []

    def kill() -> None:
        services.signal("server", signal.SIGKILL)
        services.start("server")

    looks = {number: lambda: ready.append(page(services["server"], "/readyz")[0]) for number in range(250, 500, 25)}
    traffic.send(600, {100: kill, **looks})
    assert 503 in ready
    assert 200 not in ready
    traffic.wait()
    services.ready("server")  # expired requests are answered before it has caught up
    for name, said in traffic.answers.items():
        assert {(answer.partition, answer.offset) for answer in said} == {traffic.places[name]}
    reasons = Counter(said[0].reason for said in traffic.answers.values())
    assert reasons[Reason.PREFERRED] > 50  # of a hundred before the kill
    assert reasons[Reason.EXPIRED] > 100
    after = traffic.send(20)
    traffic.wait()
    assert {traffic.the(name).reason for name in after} <= {Reason.PREFERRED, Reason.FALLBACK}


@pytest.mark.parametrize("seconds", [4.0, 8.0], ids=["for less than its session", "for longer"])
def test_a_frozen_server_answers_only_for_what_it_owns(seconds: float, services: Services, traffic: Traffic) -> None:
    """A server that thaws within its session goes on; after it, it has lost its partitions, and leaves them alone.

    Nobody scores while it freezes, so that each request of the last STEP_MS waits in its mailbox: a server that goes
    on where it stood would answer these, whoever else has.
    """
    services.ready("server-2")
    until(settled(services, "server", 1), "the first server has one partition")
    until(settled(services, "server-2", 1), "the second server has one partition")
    server, model = (services[name].process.pid for name in ("server", "quick"))
    os.kill(model, signal.SIGSTOP)
    try:
        waiting = traffic.send(int(STEP_MS / 1e3 * RATE * 3 / 4))
        os.kill(server, signal.SIGSTOP)
        traffic.send(int(seconds * RATE))
    finally:
        os.kill(server, signal.SIGCONT)
        os.kill(model, signal.SIGCONT)
    traffic.send(int(RATE))
    traffic.wait()
    until(services["server"].ready, "the first server is ready again")
    until(services["server-2"].ready, "the second server is ready")
    traffic.send(PARTITIONS)
    traffic.wait()
    assert {len(traffic.answers[name]) for name in waiting} == {1}
    assert sum(len(said) - 1 for said in traffic.answers.values()) == 0
    said = services["server"].log.read_text()
    assert bool(re.search(r"going on with partitions \[\d", said)) == (seconds < SESSION_S)
    assert "asking the group for its partitions" in said
    assert (": lost" in said) == (seconds > SESSION_S)
    services.signal("server-2", signal.SIGTERM)
    services.signal("server", signal.SIGTERM)
    services.start("server")


def test_a_killed_scorer_goes_on_from_its_commit(services: Services, traffic: Traffic) -> None:
    """A scorer started again after SIGKILL begins where its version committed, and leaves out no request."""
    home = services.home
    topic, model = home.endpoint.topic("requests"), "quick"
    dead = []
    names = traffic.send(200, {100: lambda: dead.append(services.signal(model, signal.SIGKILL))})
    version = load_card(home.endpoint.folder / model).version
    source = KafkaSource(home.kafka, group_of(home.endpoint, model, version))
    committed = [source.committed(topic, number) for number in range(PARTITIONS)]
    source.close()
    services.ready(model)
    traffic.wait()
    said = services[model].log.read_text()
    for number, position in enumerate(committed):
        assert position is not None
        ((start,),) = [re.findall(rf"{topic}-{number}: scored from (\d+)", said)]
        assert int(start) == position.offset
    wanted = {traffic.places[name] for name in names}
    until(lambda: wanted <= scored(home, model), "every request has a score of the model, or its excuse")
    assert {traffic.the(name).reason for name in names} <= {Reason.PREFERRED, Reason.FALLBACK}


def scored(home: Home, model: str) -> set[tuple[int, int]]:
    """(partition, offset) of all requests that a model has said something of."""
    found = set()
    for number in range(PARTITIONS):
        for record in read_to_end(home.kafka, home.endpoint.topic("scores"), number, 0):
            scores = decode(record.value, Scores)
            if scores.model == model:
                found |= {(number, offset) for offset in scores.offsets.tolist()}
    return found


# ---------------------------------------------------------------------------------------------------- started wrongly


def run(folder: Path, kafka: str, *arguments: str) -> tuple[int, list[str]]:
    """Run `rendezvous` until it ends by itself; returns its exit code and what it said beside its log lines."""
    variables = {**os.environ, "RENDEZVOUS_HOME": str(folder), "KAFKA_BOOTSTRAP_SERVERS": kafka}
    done = subprocess.run(  # noqa: S603 - ours
        [sys.executable, "-m", "rendezvous", "run", *arguments],
        env=variables | {"RENDEZVOUS_LOG_LEVEL": "ERROR"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout == ""
    return done.returncode, done.stderr.splitlines()


def test_missing_topics(stack: Addresses, tmp_path: Path) -> None:
    """A server without its topics says which, and what creates them."""
    endpoint = write_home(tmp_path)
    code, (said,) = run(tmp_path, stack.kafka, "server", "--endpoint", endpoint.name)
    assert code == 2
    assert endpoint.topic("requests") in said
    assert said.endswith(f"do not exist: create them with `rendezvous topics apply --endpoint {endpoint.name}`")


def test_an_unknown_endpoint(stack: Addresses, tmp_path: Path) -> None:
    """The message names the file that is not there and the endpoints that are."""
    endpoint = write_home(tmp_path)
    code, (said,) = run(tmp_path, stack.kafka, "server", "--endpoint", "nobody")
    assert code == 2
    assert f"{tmp_path}/models/nobody/endpoint.toml does not exist" in said
    assert endpoint.name in said


def test_a_version_that_is_not_there(stack: Addresses, tmp_path: Path) -> None:
    """A scorer runs what was deployed, and no other: it names the folder, and what puts it there."""
    home = Home.make(tmp_path, stack.kafka)
    (folder,) = (home.endpoint.folder / "slow" / "versions").iterdir()
    shutil.rmtree(folder)
    code, (said,) = run(tmp_path, stack.kafka, "scorer", "--model", "slow", "--endpoint", home.endpoint.name)
    assert code == 2
    assert said.startswith(f"rendezvous: slow/{folder.name} is deployed, and {folder} does not exist: ")
    assert f"`rendezvous models deploy slow --endpoint {home.endpoint.name}`" in said


def test_a_version_that_was_changed(stack: Addresses, tmp_path: Path) -> None:
    """An artefact that is not the deployed one is not run."""
    home = Home.make(tmp_path, stack.kafka)
    (folder,) = (home.endpoint.folder / "slow" / "versions").iterdir()
    (folder / "model.py").write_text("def score(columns):\n    return 0\n")
    arguments = ["--model", "slow", "--version", folder.name, "--endpoint", home.endpoint.name]
    code, (said,) = run(tmp_path, stack.kafka, "scorer", *arguments)
    assert code == 2
    assert said.startswith(f"rendezvous: slow/{folder.name} is damaged: {folder}/model.py: changed since")


def test_nothing_is_deployed(stack: Addresses, tmp_path: Path) -> None:
    """A scorer says what to run first."""
    endpoint = write_home(tmp_path)
    topics.create(stack.kafka, endpoint)
    code, (said,) = run(tmp_path, stack.kafka, "scorer", "--model", "slow", "--endpoint", endpoint.name)
    assert code == 2
    assert said == (
        "rendezvous: slow is not deployed; versions are none; aliases are none. `rendezvous models deploy` deploys "
        "what training has written"
    )


def test_a_taken_port(stack: Addresses, tmp_path: Path) -> None:
    """The message names the address and the option that changes it."""
    endpoint = write_home(tmp_path)
    with socket.create_server((LOOPBACK, 0)) as taken:
        port = taken.getsockname()[1]
        code, (said,) = run(tmp_path, stack.kafka, "server", "--endpoint", endpoint.name, "--http-port", str(port))
    assert code == 2
    assert (
        said == f"rendezvous: cannot serve /metrics on {LOOPBACK}:{port} (Address already in use): "
        "choose another --http-port"
    )


def test_no_such_port(stack: Addresses, tmp_path: Path) -> None:
    """A port number that no machine has is a message too."""
    endpoint = write_home(tmp_path)
    code, said = run(tmp_path, stack.kafka, "server", "--endpoint", endpoint.name, "--http-port", "70000")
    assert code == 2
    assert len(said) == 1


def test_an_unknown_model(stack: Addresses, tmp_path: Path) -> None:
    """A scorer of a model that the endpoint does not have names the versions that it has."""
    home = Home.make(tmp_path, stack.kafka)
    code, (said,) = run(tmp_path, stack.kafka, "scorer", "--model", "other", "--endpoint", home.endpoint.name)
    assert code == 2
    assert said.startswith("rendezvous: other is not deployed; versions are quick/")


def test_no_address(tmp_path: Path) -> None:
    """Without an address of Kafka the message names the variable and a way to have one."""
    endpoint = write_home(tmp_path)
    code, (said,) = run(tmp_path, "", "server", "--endpoint", endpoint.name)
    assert code == 2
    assert said.startswith("rendezvous: KAFKA_BOOTSTRAP_SERVERS is not set; `rendezvous up`")
