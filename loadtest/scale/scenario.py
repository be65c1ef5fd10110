"""The run: half of saturation through more partitions and two servers; then the model, from the service times."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from loadtest.bench import Bench, running_bench
from loadtest.derived import Shape
from loadtest.driving.costs import Costs
from loadtest.driving.fates import figures, sent_late_ms
from loadtest.driving.flights import begun, encoded
from loadtest.driving.phases import Phase, Played, play
from loadtest.saturation.scenario import known
from loadtest.scale.model import service_times, table
from loadtest.scale.picture import draw
from loadtest.scenario import Measured, Say
from rendezvous.demo.report import write
from rendezvous.local.services import RunningService, await_ready, running_services, started
from rendezvous.local.stack import running_stack
from rendezvous.registry.naming import active_names
from rendezvous.settings import Environment

NAME = "flights-scale"
SECONDS = 5.0
SHARE = 0.5
"""Of saturation: all of these must be able to keep it, for they share the same two cores."""
SHAPES = ((1, 1), (2, 1), (2, 2), (4, 1), (4, 2))
"""Partitions, and server processes."""
MEASURED, OVER = "measured", "over"
OVER_S = 0.5


def run(
    environment: Environment, *, rate: float | None, models: int, payload: int, seconds: float, folder: Path, say: Say
) -> Measured:
    """Measure, and write scale.json and scale.png; `rate` is what counts as saturation, looked for when None.

    Raises:
        SettingsError: the endpoint is not there.
        LocalStackError: something could not be started.
    """
    report = begun(environment, "scale", Shape(models, 1, payload), rate)
    with running_stack(environment, report=say, fresh=True) as addresses:
        shared = environment.model_copy(update={"kafka": addresses.kafka, "redis": addresses.redis})
        with running_bench(shared, say, Shape(models, 1, payload), NAME) as bench:
            saturation = known(bench, rate, say)
        entries, lost = [], 0
        for partitions, servers in SHAPES:
            name = f"{NAME}-{partitions}-{servers}"
            with running_bench(shared, _silent, Shape(models, partitions, payload), name) as bench:
                entry, played = measure(bench, servers, SHARE * saturation, seconds)
            entries.append({"partitions": partitions, "servers": servers} | entry)
            lost += played.lost
            p50_ms, costs = entry["latency_ms"]["p50"], entry["cpu_us"]
            say(f"{partitions} partitions, {servers} servers: p50 {p50_ms:.1f} ms, µs a request: {costs}")
    service_us, where_from = service_times(folder, entries[0])
    others = [entry["other_cores"] for entry in entries if entry["other_cores"] is not None]
    report |= {
        "saturation": saturation,
        "rate": SHARE * saturation,
        "most_other_cores": max(others, default=None),
        "shapes": entries,
        "service_us": service_us,
        "service_us_from": where_from,
        "model": table(service_us),
        "targets": [],
    }
    write(report, folder / "scale.json")
    draw(report, folder / "scale.png")
    return report, lost


def _silent(_: str) -> None:
    """The broker is there already, and models are trained."""


def measure(bench: Bench, servers: int, rate: float, seconds: float) -> tuple[dict[str, Any], Played]:
    """One shape's figures: latency, what each process cost, and how the servers shared the answers."""
    with _serving(bench, servers) as services:
        costs = Costs(services)
        phases = [
            Phase("lead-in", rate, bench.warm_up_s),
            Phase(MEASURED, rate, seconds),
            Phase(OVER, rate, OVER_S),
        ]
        acts = {MEASURED: costs.note, OVER: costs.note}
        played = play(bench.endpoint, bench.kafka, encoded(bench), phases, acts=acts)
    window = played.window(MEASURED)
    entry = figures(played, window)
    entry["cpu_us"] = costs.us_per_request(entry["sent"])
    entry["champion"] = active_names(bench.control)[bench.champion]
    entry["sent_late_ms"] = sent_late_ms(played)
    return entry, played


@contextmanager
def _serving(bench: Bench, servers: int) -> Iterator[Mapping[str, RunningService]]:
    """The endpoint's services, and so many servers."""
    surroundings = {"KAFKA_BOOTSTRAP_SERVERS": bench.kafka, "RENDEZVOUS_HOME": str(bench.home), "REDIS_URL": ""}
    with (
        running_services(bench.endpoint, bench.home, bench.kafka, bench.logs, _silent) as services,
        ExitStack() as stack,
    ):
        more = {}
        for number in range(2, servers + 1):
            name = f"server-{number}"
            more[name] = started(name, ["server", "--endpoint", bench.endpoint.name], surroundings, bench.logs)
            stack.callback(more[name].process.stop)
        await_ready(more, _silent)
        yield {**services, **more}
