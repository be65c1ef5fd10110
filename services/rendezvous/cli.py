"""The command line. Errors that a person can mend are one message on standard error and exit code 2."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

from rendezvous import running, starting, topics
from rendezvous.archive.command_line import add_dataset
from rendezvous.archive.names import ArchiveError
from rendezvous.local.failure import LocalStackError
from rendezvous.log import LogError
from rendezvous.monitoring.command_line import add_backtest
from rendezvous.planning import told
from rendezvous.registry.command_line import add_models
from rendezvous.replay.command_line import add_replay, add_tune
from rendezvous.retraining.command_line import add_rebuild, add_retrain
from rendezvous.settings import Environment, SettingsError, environment, load_endpoint

TO_DO = 3
"""Exit code of a plan that has steps: a pipeline can tell."""
MENDABLE = 2
"""Exit code when a setting, a file or the surroundings are wrong."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    options = _parser().parse_args(arguments)
    command: Callable[[argparse.Namespace, Environment], int] = options.command
    try:
        running.start_logging()
        return command(options, environment())
    except (SettingsError, LogError, ArchiveError, LocalStackError) as error:
        print(f"rendezvous: {error}", file=sys.stderr)  # noqa: T201 - this is the command line
        return MENDABLE
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="rendezvous", description="A rendezvous server for machine-learning models.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    up = commands.add_parser("up", help="start a local Kafka and Redis, and keep them until Ctrl-C")
    up.add_argument("--kafka-port", type=int, help="a free one without it")
    up.add_argument("--redis-port", type=int, help="a free one without it")
    up.add_argument("--endpoint", help="train its models and run its services too")
    up.set_defaults(command=_up)

    topic = commands.add_parser("topics", help="an endpoint's topics: what is not as its document says, and mend it")
    ways = topic.add_subparsers(required=True, metavar="WHAT")
    for way, words in (("plan", "show what would be done; 3 when there is something"), ("apply", "do it, and check")):
        parsed = ways.add_parser(way, help=words)
        parsed.add_argument("--endpoint", required=True)
        parsed.set_defaults(command=_plan_topics if way == "plan" else _apply_topics)

    models = commands.add_parser("models", help="versions and aliases: list, show, deploy, promote, roll back, ...")
    add_models(models, _models)

    run = commands.add_parser("run", help="run one service until SIGTERM or Ctrl-C")
    services = run.add_subparsers(required=True, metavar="SERVICE")
    server = services.add_parser("server", help="joins requests with scores and answers each by its deadline")
    server.set_defaults(command=_run_server)
    scorer = services.add_parser("scorer", help="one version of a model: scores every request")
    scorer.add_argument("--model", required=True, help="a model, MODEL/VERSION or an alias; resolved once, at start")
    scorer.add_argument("--version", help="of the model; without it, the one that was deployed last")
    scorer.set_defaults(command=_run_scorer)
    scorers = services.add_parser("scorers", help="a scorer for each version that is deployed, as control says")
    scorers.add_argument("--logs", type=Path, help="folder of a log for each; without it they write where this does")
    scorers.add_argument("--targets", type=Path, help="file that says to Prometheus where each scorer's pages are")
    scorers.set_defaults(command=_run_scorers)
    monitor = services.add_parser("monitor", help="how well models do as labels come, and what has changed")
    monitor.set_defaults(command=_run_monitor)
    retrainer = services.add_parser("retrainer", help="decides when to train again, runs jobs, judges what they made")
    retrainer.set_defaults(command=_run_retrainer)
    archiver = services.add_parser("archiver", help="writes down requests, comparisons and labels, to files")
    archiver.add_argument(
        "--accept-loss", action="store_true", help="go on where the log has deleted what is in no file yet"
    )
    archiver.set_defaults(command=_run_archiver)
    for service in (server, scorer, scorers, monitor, retrainer, archiver):
        service.add_argument("--endpoint", required=True)
        service.add_argument("--http-host", default="127.0.0.1", help="where /metrics, /healthz and /readyz are shown")
        service.add_argument("--http-port", type=int, default=0, help="a free one without it")

    add_retrain(commands.add_parser("retrain", help="ask for a retraining, list what came of others"), _retrain)
    add_rebuild(commands.add_parser("rebuild", help="make a version again from its card, and score it"), _rebuild)

    replay = commands.add_parser(
        "replay", help="decide again what was decided; or ask what other rules would have said"
    )
    add_replay(replay, _replay)

    add_tune(commands.add_parser("tune", help="propose better rules from the log"), _tune)

    backtest = commands.add_parser(
        "backtest", help="what the monitor would have said of a table of the past, and at which row"
    )
    add_backtest(backtest, _backtest)
    add_dataset(commands.add_parser("dataset", help="a training table of what was known at a time"), _dataset)

    _add_demo(commands.add_parser("demo", help="the main job on 2013's flights: see README.md"))
    return parser


def _add_demo(demo: argparse.ArgumentParser) -> None:
    demo.add_argument("--requests", type=int, default=10_000)
    demo.add_argument("--rate", type=float, default=500.0, help="requests a second, open loop")
    demo.add_argument("--report", type=Path, help="write the figures as JSON")
    demo.add_argument("--year", action="store_true", help="all of 2013, compressed, with the retraining loop on")
    demo.add_argument("--attach", action="store_true", help="ask the services that run already; start and freeze none")
    demo.set_defaults(command=_demo)


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201 - this is the command line


def _up(options: argparse.Namespace, environs: Environment) -> int:
    from rendezvous.local.ports import LOOPBACK  # noqa: PLC0415 - services need none of it
    from rendezvous.local.prometheus import write_targets  # noqa: PLC0415
    from rendezvous.local.services import (  # noqa: PLC0415
        all_of,
        lasting,
        surroundings_of,
        train,
    )
    from rendezvous.local.stack import running_stack  # noqa: PLC0415
    from rendezvous.registry.deploy import deploy  # noqa: PLC0415

    with ExitStack() as stack:
        endpoint = load_endpoint(options.endpoint, environs.home) if options.endpoint else None
        if endpoint is not None:
            train(endpoint, environs.home, _say)
        addresses = stack.enter_context(
            running_stack(environs, report=_say, kafka_port=options.kafka_port, redis_port=options.redis_port)
        )
        if endpoint is not None:
            topics.create(addresses.kafka, endpoint)
            deploy(addresses.kafka, endpoint, report=_say)
            logs = environs.data / "logs"
            surroundings = surroundings_of(environs.home, addresses.kafka, addresses.redis)
            targets = environs.data / "targets"
            commands = lasting(endpoint, logs, targets)
            services = stack.enter_context(all_of(endpoint, commands, surroundings, logs, _say))
            _say(f"services' logs: {logs}")
            write_targets(targets, endpoint.name, services)
            stack.callback(write_targets, targets, endpoint.name, {})  # or the next Prometheus would miss them
            _watch(stack, environs, targets)
            for name, service in services.items():
                _say(f"{name}: http://{LOOPBACK}:{service.port}/metrics")
        _say(f"export KAFKA_BOOTSTRAP_SERVERS={addresses.kafka} REDIS_URL={addresses.redis}")
        _say("up; Ctrl-C ends it")
        running.wait_for_signal()
    return 0


def _watch(stack: ExitStack, environs: Environment, targets: Path) -> None:
    """A Prometheus for as long as the stack is up, where there is one."""
    from rendezvous.local.prometheus import INSTALL, find_prometheus, running_prometheus  # noqa: PLC0415

    executable = find_prometheus(os.environ)
    if executable is None:
        _say(f"no prometheus on PATH, so none is started: {INSTALL}. Targets for one of your own (file_sd): {targets}")
        return
    try:
        address = stack.enter_context(running_prometheus(executable, environs.data / "prometheus", targets, _say))
    except LocalStackError as error:  # what it would look at runs all the same
        _say(f"no Prometheus: {error}")
    else:
        _say(f"prometheus: {address}, its alerts {address}/alerts")


def _plan_topics(options: argparse.Namespace, environs: Environment) -> int:
    endpoint = load_endpoint(options.endpoint, environs.home)
    plan = topics.planned(running.bootstrap_of(environs), endpoint)
    for line in (*map(told, plan.steps), *(f"note: {note}" for note in plan.notes)):
        _say(line)
    if plan.refusals:
        raise LogError("\n".join(plan.refusals))
    if not plan.steps:
        _say(f"{endpoint.name}: topics are as its document says")
    return TO_DO if plan.steps else 0


def _apply_topics(options: argparse.Namespace, environs: Environment) -> int:
    endpoint = load_endpoint(options.endpoint, environs.home)
    bootstrap = running.bootstrap_of(environs)
    plan = topics.planned(bootstrap, endpoint)
    if plan.refusals:
        raise LogError("\n".join(plan.refusals))
    for note in plan.notes:
        _say(f"note: {note}")
    for step in topics.apply(bootstrap, plan.steps):
        _say(told(step))
    for topic in topics.check(bootstrap, endpoint).values():
        _say(f"{topic.name}: {topic.partitions} partitions")
    return 0


def _models(options: argparse.Namespace, environs: Environment) -> int:
    from rendezvous.registry.commands import Desk  # noqa: PLC0415 - services need none of it

    endpoint = load_endpoint(options.endpoint, environs.home)
    desk = Desk.at(running.bootstrap_of(environs), environs.redis, endpoint, _say)
    try:
        options.act(desk, options)
    finally:
        desk.cache.close()
    return 0


def _backtest(options: argparse.Namespace, environs: Environment) -> int:
    from rendezvous.monitoring.backtest_command import run  # noqa: PLC0415 - services need none of it

    return run(options, environs, _say)


def _run_server(options: argparse.Namespace, environs: Environment) -> int:
    starting.run_server(environs, options.endpoint, options.http_host, options.http_port)
    return 0


def _run_scorer(options: argparse.Namespace, environs: Environment) -> int:
    name = options.model if options.version is None else f"{options.model}/{options.version}"
    starting.run_scorer(environs, options.endpoint, name, options.http_host, options.http_port)
    return 0


def _run_scorers(options: argparse.Namespace, environs: Environment) -> int:
    shown = starting.Shown(options.logs, options.targets)
    starting.run_scorers(environs, options.endpoint, options.http_host, options.http_port, shown)
    return 0


def _run_monitor(options: argparse.Namespace, environs: Environment) -> int:
    starting.run_monitor(environs, options.endpoint, options.http_host, options.http_port)
    return 0


def _run_retrainer(options: argparse.Namespace, environs: Environment) -> int:
    starting.run_retrainer(environs, options.endpoint, options.http_host, options.http_port)
    return 0


def _rebuild(options: argparse.Namespace, environs: Environment) -> int:
    from rendezvous.archive.files import Archive  # noqa: PLC0415 - services need none of it
    from rendezvous.retraining.confined import ConfinedError  # noqa: PLC0415
    from rendezvous.retraining.rebuild import Desk, named_version  # noqa: PLC0415

    endpoint = load_endpoint(options.endpoint, environs.home)
    desk = Desk(endpoint, Archive(environs.archive_of(endpoint), endpoint.name), _say)
    try:
        return desk.rebuild(named_version(endpoint, options.version), options.data, options.score)
    except ConfinedError as error:
        raise SettingsError(f"{options.version} cannot be made again: {error}") from error


def _retrain(options: argparse.Namespace, environs: Environment) -> int:
    from rendezvous.retraining import commands  # noqa: PLC0415 - services need none of it

    endpoint = load_endpoint(options.endpoint, environs.home)
    bootstrap = running.bootstrap_of(environs)
    if options.action == "list":
        commands.list_events(bootstrap, endpoint, _say)
    else:
        commands.ask(bootstrap, endpoint, options.model, options.reason, _say)
    return 0


def _run_archiver(options: argparse.Namespace, environs: Environment) -> int:
    starting.run_archiver(
        environs, options.endpoint, options.http_host, options.http_port, accept_loss=options.accept_loss
    )
    return 0


def _dataset(options: argparse.Namespace, environs: Environment) -> int:
    from rendezvous.archive import command  # noqa: PLC0415 - services need none of it

    return command.dataset(options, environs)


def _replay(options: argparse.Namespace, environs: Environment) -> int:
    from rendezvous.replay import command  # noqa: PLC0415 - services need none of it

    return command.replay(options, environs)


def _tune(options: argparse.Namespace, environs: Environment) -> int:
    from rendezvous.replay import command  # noqa: PLC0415 - services need none of it

    return command.tune(options, environs)


def _demo(options: argparse.Namespace, environs: Environment) -> int:
    if options.attach:
        from rendezvous.demo.attached import ask  # noqa: PLC0415 - needs what trains, and nothing that draws

        return ask(environs, _say, requests=options.requests, rate=options.rate, report_to=options.report)
    if options.year:
        from rendezvous.demo.year.scene import play_year  # noqa: PLC0415 - needs the `demo` extra

        return play_year(environs, report_to=options.report)
    from rendezvous.demo.scene import play  # noqa: PLC0415 - the same

    return play(environs, requests=options.requests, rate=options.rate, report_to=options.report)
