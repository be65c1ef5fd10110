"""The process of one job: `python -m rendezvous.retraining.child ENDPOINT FOLDER`; see `jobs.ChildJobs`.

It reads the event in FOLDER, does the job, and leaves the outcome there. Its standard output is its log.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from rendezvous.archive.files import Archive
from rendezvous.log import LogError, bounds_of
from rendezvous.registry.control import ControlLog
from rendezvous.registry.deploy import deploy_version
from rendezvous.retraining.archived import FromArchive
from rendezvous.retraining.events import RetrainEvent
from rendezvous.retraining.job import Surroundings, run_job
from rendezvous.retraining.jobs import TRY_AGAIN, leave, told
from rendezvous.retraining.making import writer
from rendezvous.running import bootstrap_of, start_logging
from rendezvous.settings import Endpoint, Environment, environment, load_endpoint

NICE = 10
"""It leaves the processor to whoever answers requests."""


def main(arguments: Sequence[str]) -> int:
    """Do the job; the exit code."""
    start_logging()
    os.nice(NICE)
    name, folder = arguments[0], Path(arguments[1])
    environs = environment()
    endpoint, bootstrap = load_endpoint(name, environs.home), bootstrap_of(environs)
    event = told(folder)
    try:
        champion = ControlLog(bootstrap, endpoint).read().aliases.get(endpoint.monitoring.champion)
        around = Surroundings(
            build=_data(environs, endpoint, bootstrap, event, _say),
            deploy=partial(deploy_version, bootstrap, endpoint, report=_say),
            work=environs.data / "retraining" / endpoint.name / "work",
            by=writer().by,
            report=_say,
        )
        leave(folder, run_job(endpoint, event, champion, around))
    except (LogError, BlockingIOError) as error:
        _say(f"{event.key}: to be done again: {error}")
        return TRY_AGAIN
    return 0


def _data(
    environs: Environment, endpoint: Endpoint, bootstrap: str, event: RetrainEvent, report: Callable[[str], None]
) -> FromArchive:
    labels = bounds_of(bootstrap, endpoint.topic("labels"))
    wanted = {
        "requests": dict(enumerate(event.positions)),
        "labels": {number: end for number, (_, end) in labels.items()},
    }
    return FromArchive(endpoint, Archive(environs.archive_of(endpoint), endpoint.name), wanted, report)


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201 - the log of the job


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
