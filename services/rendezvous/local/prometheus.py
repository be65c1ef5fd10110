"""A Prometheus on this machine, where one is installed: it scrapes what `rendezvous up` runs, by the same rules."""

from __future__ import annotations

import json
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from rendezvous.local.failure import LocalStackError, tail
from rendezvous.local.ports import LOOPBACK, free_port
from rendezvous.local.process import GuardedProcess
from rendezvous.local.services import RunningService
from rendezvous.local.targets import write_groups

INSTALL = "install it: apt-get install prometheus (Debian), brew install prometheus (macOS)"
RETENTION = {"time": "2d", "size": "512MB"}
"""Of a machine on which somebody tries things: Prometheus's own default is 15 days, without a bound in bytes."""
INTERVAL_S = 15.0
"""As services/prometheus/prometheus.yml has it."""
START_TIMEOUT_S = 60.0
"""It takes half a second, and longer when it reads again what it had written."""
LOOK_AGAIN_S = 0.05


def find_prometheus(variables: Mapping[str, str]) -> str | None:
    """The prometheus of PATH."""
    return shutil.which("prometheus", path=variables.get("PATH"))


def rules_folder() -> Path:
    """The alerts and recording rules: beside this file in a wheel, in services/prometheus in a checkout.

    Raises:
        LocalStackError: they are in neither place.
    """
    here = Path(__file__).resolve().parent
    for path in (here / "rules", here.parents[1] / "prometheus" / "rules"):
        if path.is_dir():
            return path
    raise LocalStackError(f"this installation is incomplete: no rules in {here}. Install the package again.")


def write_targets(folder: Path, endpoint: str, services: Mapping[str, RunningService]) -> None:
    """Say to Prometheus (file_sd) where the pages of these services are; scorers have a file of their own."""
    groups = {
        f"{LOOPBACK}:{service.port}": {"endpoint": endpoint, "service": name} for name, service in services.items()
    }
    write_groups(folder / f"{endpoint}.services.json", groups)


def configuration(targets: Path, interval_s: float = INTERVAL_S) -> str:
    """prometheus.yml, which is JSON as well: what services/prometheus/prometheus.yml says, at this machine's places."""
    interval = f"{round(interval_s * 1_000)}ms"
    said = {
        "global": {"scrape_interval": interval, "scrape_timeout": interval, "evaluation_interval": interval},
        "rule_files": [str(rules_folder() / "*.yml")],
        "scrape_configs": [
            {
                "job_name": "rendezvous",
                "file_sd_configs": [{"files": [str(targets / "*.json")], "refresh_interval": interval}],
            }
        ],
    }
    return json.dumps(said, indent=2) + "\n"


@contextmanager
def running_prometheus(
    executable: str, folder: Path, targets: Path, report: Callable[[str], None], interval_s: float = INTERVAL_S
) -> Iterator[str]:
    """Run one on a free port of loopback, its data in `folder`; its address.

    Raises:
        LocalStackError: it did not become ready; the message ends with its log.
    """
    begun = time.monotonic()
    folder.mkdir(parents=True, exist_ok=True)
    settings, log, port = folder / "prometheus.yml", folder / "prometheus.log", free_port()
    settings.write_text(configuration(targets.resolve(), interval_s))
    command = [
        executable,
        f"--config.file={settings}",
        f"--storage.tsdb.path={folder / 'data'}",
        *(f"--storage.tsdb.retention.{name}={limit}" for name, limit in RETENTION.items()),
        f"--web.listen-address={LOOPBACK}:{port}",
        "--log.level=warn",
    ]
    with GuardedProcess.start(command, log=log, folder=folder) as process:
        address = f"http://{LOOPBACK}:{port}"
        _await(process, address, log)
        report(f"prometheus ready after {time.monotonic() - begun:.1f} s")
        yield address


def _await(process: GuardedProcess, address: str, log: Path) -> None:
    give_up = time.monotonic() + START_TIMEOUT_S
    while True:
        if process.poll() is not None:
            raise LocalStackError(f"Prometheus ended while it started (exit code {process.poll()}).\n{tail(log)}")
        try:
            urllib.request.urlopen(f"{address}/-/ready", timeout=1).close()  # noqa: S310 - our own address
        except (urllib.error.URLError, OSError) as error:
            if time.monotonic() > give_up:
                raise LocalStackError(f"Prometheus is not ready: {error}.\n{tail(log)}") from error
            time.sleep(LOOK_AGAIN_S)
        else:
            return
