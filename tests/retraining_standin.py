"""Processes for tests of retraining: a retrainer whose jobs are stand-ins, and such a job.

    python tests/retraining_standin.py retrainer HOME KAFKA ENDPOINT
    python tests/retraining_standin.py job HOME KAFKA ENDPOINT FOLDER

The job writes a plain Python model, keeps and deploys it as training does, and says so SLOW_S later: time to kill it,
or the retrainer, in between. Each time it runs it leaves a line in HOME/runs.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from loadtest.plain import write_model
from rendezvous.log import Statistics
from rendezvous.registry.deploy import deploy_version
from rendezvous.registry.store import VERSIONS, store
from rendezvous.retraining.events import Outcome, Retrained
from rendezvous.retraining.jobs import ChildJobs, leave, told
from rendezvous.retraining.making import retrainer
from rendezvous.running import clock_us, loop, start_logging
from rendezvous.settings import load_endpoint
from rendezvous.telemetry import RetrainerMetrics, Telemetry

RUNS = "runs"
SLOW_S = 1.5


def run_retrainer(home: Path, kafka: str, name: str) -> None:
    """As `rendezvous run retrainer`, without pages, and with stand-ins for jobs."""
    start_logging()
    endpoint = load_endpoint(name, home)
    command = [sys.executable, __file__, "job", str(home), kafka, name]
    jobs = ChildJobs(command, home / "work", lambda: None, "standin")
    telemetry = Telemetry()
    loop(retrainer(kafka, endpoint, jobs, clock_us, RetrainerMetrics(telemetry.registry), Statistics()), telemetry)


def run_job(home: Path, kafka: str, name: str, folder: Path) -> None:
    """Make a version for the event, or find the one that was made for it."""
    endpoint, event = load_endpoint(name, home), told(folder)
    made = home / "work" / f"{event.key}.made"
    with (home / RUNS).open("a") as runs:
        runs.write(f"{event.key} {os.getpid()}\n")
    if not made.exists():
        write_model(endpoint, event.model, f"# {event.key}\ndef score(columns):\n    return columns['x']\n")
        card = store(endpoint, event.model)
        part = made.with_suffix(".part")
        part.write_text(card.version)
        part.rename(made)
    version = made.read_text()
    assert (endpoint.folder / event.model / VERSIONS / version).is_dir()
    deploy_version(kafka, endpoint, (event.model, version), report=print)
    time.sleep(SLOW_S)
    leave(folder, Retrained(event.key, Outcome.REGISTERED, event.model, version, (), 1, 2, "standin"))


if __name__ == "__main__":
    what, home_text, address, endpoint_name, *rest = sys.argv[1:]
    if what == "retrainer":
        run_retrainer(Path(home_text), address, endpoint_name)
    else:
        run_job(Path(home_text), address, endpoint_name, Path(rest[0]))
