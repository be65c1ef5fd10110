"""Every scenario: what it is called, what can be asked of it, and how it is run."""

from __future__ import annotations

import argparse
from functools import partial

from loadtest import steady, tables
from loadtest.burst import scenario as burst
from loadtest.clients import report as clients_report
from loadtest.clients import scenario as clients
from loadtest.derived import MODELS
from loadtest.driving.home import MODES
from loadtest.everything import scenario as everything
from loadtest.failover import scenario as failover
from loadtest.handoff import scenario as handoff
from loadtest.hostile import scenario as hostile
from loadtest.memory import scenario as memory
from loadtest.monitor import scenario as monitor
from loadtest.overload import scenario as overload
from loadtest.profile import scenario as profile
from loadtest.profile.table import table as profile_table
from loadtest.saturation import scenario as saturation
from loadtest.scale import scenario as scale
from loadtest.scenario import Option, Scenario
from loadtest.scorer import scenario as scorer
from loadtest.server import scenario as server
from loadtest.server.table import table as server_table
from loadtest.soak import scenario as soak
from loadtest.stall import scenario as stall


def positive(text: str) -> float:
    """A number above nothing."""
    number = float(text)
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"must be positive, not {text}")
    return number


SHAPE = (
    Option("models", int, MODELS, "flight models"),
    Option("partitions", int, 1, "of the endpoint"),
    Option("payload", int, 0, "bytes that are added to each request"),
)
SATURATION = Option("rate", positive, None, "requests a second that count as saturation; looked for without it")

SCENARIOS = (
    Scenario(
        name="saturation",
        help="the highest rate that the system keeps",
        run=saturation.run,
        options=(*SHAPE, Option("seconds", positive, saturation.STEP_S, "of each step")),
        shown=tables.steps,
        in_all={},
    ),
    Scenario(
        name="steady",
        help="latency against a floor in the same run",
        run=steady.run,
        options=(SATURATION, *SHAPE, Option("seconds", positive, 10.0, "of measurement, for each rate and side")),
        shown=tables.latencies,
        in_all={},
    ),
    Scenario(
        name="stall",
        help="deadlines at three quarters of saturation, with the champion frozen and without",
        run=stall.run,
        options=(SATURATION, *SHAPE, Option("seconds", positive, stall.SECONDS, "of each phase")),
        shown=tables.phases,
        in_all={},
    ),
    Scenario(
        name="overload",
        help="twice as many requests as can be answered, and how it recovers",
        run=overload.run,
        options=(SATURATION, *SHAPE, Option("seconds", positive, overload.SECONDS, "of each phase")),
        shown=tables.phases,
        in_all={},
    ),
    Scenario(
        name="burst",
        help="hundreds of requests at the same moment",
        run=burst.run,
        options=(SATURATION, *SHAPE, Option("seconds", positive, burst.SECONDS, "of each size of burst")),
        shown=tables.phases,
        in_all={},
    ),
    Scenario(
        name="scale",
        help="more partitions and server processes: what this machine shows, and a model of the rest",
        run=scale.run,
        options=(
            SATURATION,
            *(option for option in SHAPE if option.name != "partitions"),
            Option("seconds", positive, scale.SECONDS, "of measurement, for each shape"),
        ),
        shown=tables.shapes,
        in_all={},
    ),
    Scenario(
        name="soak",
        help="half of saturation for long: nothing may grow",
        run=soak.run,
        options=(SATURATION, *SHAPE, Option("seconds", positive, soak.SECONDS, "of everything")),
    ),
    Scenario(
        name="failover",
        help="what is lost, answered twice or late when processes die",
        run=failover.run,
        options=(
            # what a broker, six services and the driver do on two cores with room for those that start anew
            Option("rate", positive, 200.0, "requests a second"),
            Option("mode", str, MODES, "of the endpoint, one or several; all without it", many=True, choices=MODES),
        ),
        shown=tables.faults,
        in_all={"mode": MODES[:1]},
        own_brokers=True,
    ),
    Scenario(
        name="handoff",
        help="what a promotion, a rollback and a frozen champion do to answers",
        run=handoff.run,
        options=(
            # what is promised of a promotion is promised under so many
            Option("rate", positive, 1_000.0, "requests a second"),
            Option("seconds", positive, 10.0, "of each window, at least"),
        ),
        shown=tables.windows,
    ),
    Scenario(
        name="hostile",
        help="what becomes of records that nobody should write",
        run=hostile.run,
        options=(
            Option("rate", positive, 50.0, "good requests a second, between the hostile ones"),
            Option("records", int, 100_000, "hostile ones, of all kinds together"),
        ),
        shown=tables.hostile,
    ),
    Scenario(
        name="monitor",
        help="how many requests and labels a second a monitor keeps up with",
        run=monitor.run,
        options=(
            # the monitor takes about as long to read it
            Option("seconds", positive, 40.0, "of traffic, which is written first"),
        ),
        in_all={"seconds": 15.0},
    ),
    Scenario(
        name="server",
        help="decisions a second of one server on full topics, beside a raw relay",
        run=server.run,
        options=(
            Option("models", int, (1, 5, 10, 20), "one run each", many=True),
            Option("mode", str, MODES, "of the endpoint, one or several; all without it", many=True, choices=MODES),
            Option("partitions", int, 1, "of the endpoint"),
            # some seconds of a server
            Option("records", int, 100_000, "requests of each run"),
            Option("payload", int, 40, "bytes of text in each request, beside 15 numbers"),
            Option("batch", int, 32, "rows of the scorers' micro-batches"),
            Option("under", str, "", "a command to start the server under, such as a profiler's"),
        ),
        shown=server_table,
        in_all={"records": 60_000},
    ),
    Scenario(
        name="scorer",
        help="rows a second of one scorer on a full topic, against a bare loop",
        run=scorer.run,
        options=(
            Option("batch", int, (32, 64, 256), "rows that it takes at most, one or several", many=True),
            Option("records", int, 60_000, "requests for each"),
        ),
        in_all={"records": 40_000},
    ),
    Scenario(
        name="profile",
        help="where each microsecond of the server and of the champion's scorer goes",
        run=profile.run,
        options=(
            Option("rate", positive, profile.RATES, "requests a second, one or several", many=True),
            *SHAPE,
            Option("seconds", positive, profile.SECONDS, "of sampling, for each rate"),
            Option("by", str, "clock", "what samples: a timer within, or py-spy", choices=tuple(profile.SAMPLERS)),
        ),
        shown=profile_table,
    ),
    Scenario(
        name="memory",
        help="bytes of a request in flight, and seconds from start to ready",
        run=memory.run,
        # a ring of a power of two: full
        options=(Option("records", int, 131_072, "requests in flight in a server"),),
        in_all={},
    ),
    Scenario(
        name="clients",
        help="what each setting of the Kafka clients does to a latency, on the floor",
        run=clients.run,
        options=(
            Option("rate", positive, clients.RATES, "requests a second, one or several", many=True),
            *SHAPE,
            Option("seconds", positive, clients.SECONDS, "of measurement, for each setting, rate and side"),
        ),
        shown=clients_report.table,
    ),
)
EVERYTHING = Scenario(
    name="all",
    help="every scenario that belongs to the report, and the report",
    run=partial(everything.run, scenarios=SCENARIOS),
)
