"""Apache Kafka as a folder of jars, fetched once by Maven into a cache that all checkouts share."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from rendezvous.local.failure import LocalStackError, no_kafka, tail
from rendezvous.local.lock import waiting_lock
from rendezvous.local.process import GuardedProcess

INSTALL = "install Maven: apt-get install maven (Debian), brew install maven (macOS)"

FETCH_TIMEOUT_S = 900.0
"""46 jars, 43 MB: seconds on most lines, and Maven retries by itself on bad ones."""

BROKER_JAR = "kafka_*.jar"


@dataclass(frozen=True, slots=True)
class Jars:
    """A complete broker on disk."""

    folder: Path
    version: str

    @property
    def classpath(self) -> str:
        """Every jar, in the same order each time: shared classes are only good for the path they were made with."""
        return os.pathsep.join(str(path) for path in sorted(self.folder.glob("*.jar")))


def pom_path() -> Path:
    """The pom.xml that names the broker: beside this file in a wheel, in services/kafka in a checkout.

    Raises:
        LocalStackError: it is in neither place.
    """
    here = Path(__file__).resolve().parent
    for path in (here / "pom.xml", here.parents[1] / "kafka" / "pom.xml"):
        if path.is_file():
            return path
    raise LocalStackError(f"this installation is incomplete: no pom.xml in {here}. Install the package again.")


def cache_folder(variables: Mapping[str, str]) -> Path:
    """RENDEZVOUS_CACHE, else XDG_CACHE_HOME/rendezvous, else ~/.cache/rendezvous."""
    if own := variables.get("RENDEZVOUS_CACHE"):
        return Path(own).resolve()
    shared = variables.get("XDG_CACHE_HOME")
    return (Path(shared) if shared else Path.home() / ".cache") / "rendezvous"


def fetch_jars(variables: Mapping[str, str], report: Callable[[str], None]) -> Jars:
    """The broker's jars, from the cache, or into it.

    Raises:
        LocalStackError: they are not there and Maven cannot fetch them, or the cache cannot be written.
    """
    pom = pom_path()
    cache = cache_folder(variables)
    folder = cache / f"kafka-{hashlib.sha256(pom.read_bytes()).hexdigest()[:16]}"
    if (jars := _complete(folder)) is not None:
        return jars
    try:
        cache.mkdir(parents=True, exist_ok=True)
        # Maven's own repository does not like two at a time either
        with waiting_lock(
            cache / "fetch.lock", lambda: report("kafka: waiting for another process that fetches its jars")
        ):
            return _complete(folder) or _fill(folder, pom, variables, report)
    except OSError as error:
        raise LocalStackError(
            f"the cache {cache} cannot be written: {error}. Set RENDEZVOUS_CACHE to a folder that can."
        ) from error


def _complete(folder: Path) -> Jars | None:
    # the folder appears in one step, so it is whole; a hand may have emptied it since
    for jar in folder.glob(BROKER_JAR):
        return Jars(folder, jar.stem.rpartition("-")[2])
    return None


def _fill(folder: Path, pom: Path, variables: Mapping[str, str], report: Callable[[str], None]) -> Jars:
    maven = shutil.which("mvn", path=variables.get("PATH"))
    if maven is None:
        raise no_kafka("Kafka's jars are not in the cache, and there is no mvn on PATH to fetch them.", INSTALL)
    report(f"kafka: fetching its jars with Maven into {folder} (once)")
    with _temporary(folder) as filling:
        _run_maven(maven, pom, filling)
        if _complete(filling) is None:
            raise no_kafka(f"Maven ended well, but there is no {BROKER_JAR} of {pom}.", INSTALL)
        shutil.rmtree(folder, ignore_errors=True)
        filling.rename(folder)
    found = _complete(folder)
    if found is None:
        raise LocalStackError(f"{folder} was emptied while it was filled: start again.")
    return found


@contextlib.contextmanager
def _temporary(folder: Path) -> Iterator[Path]:
    """A folder beside `folder`; what killed runs have left goes, as does this one unless it was renamed."""
    for left in folder.parent.glob("filling-*"):
        shutil.rmtree(left, ignore_errors=True)
    filling = Path(tempfile.mkdtemp(prefix="filling-", dir=folder.parent))
    filling.chmod(0o755)
    try:
        yield filling
    finally:
        shutil.rmtree(filling, ignore_errors=True)


def _run_maven(maven: str, pom: Path, folder: Path) -> None:
    log = folder.parent / "maven.log"
    goal = ["dependency:copy-dependencies", f"-DoutputDirectory={folder}"]
    command = [maven, "-B", "-q", "-Dstyle.color=never", "-f", str(pom), *goal]
    with GuardedProcess.start(command, log=log, folder=folder) as process:
        try:
            process.wait(FETCH_TIMEOUT_S)
        except TimeoutError as error:
            raise no_kafka(f"Maven did not finish within {FETCH_TIMEOUT_S:g} s.\n{tail(log)}", INSTALL) from error
    if process.returncode:
        raise no_kafka(
            f"Maven cannot fetch Kafka's jars (exit code {process.returncode}).\n{tail(log)}",
            "try again with a network, or with Maven's settings.xml naming a repository that can be reached",
        )
