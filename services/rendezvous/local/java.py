"""A Java that can run Kafka: JAVA_HOME first, then PATH."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from rendezvous.local.failure import no_kafka

OLDEST = 17
"""Kafka 4's brokers are compiled for it."""

INSTALL = "install Java 17 or later: apt-get install default-jre-headless (Debian), brew install openjdk (macOS)"

TIMEOUT_S = 30.0
"""`java -version` takes a tenth of a second; a machine that needs longer than this has other troubles."""


@dataclass(frozen=True, slots=True)
class Java:
    """A usable virtual machine."""

    path: Path
    version: int
    build: str
    """Changes with anything that could make another build's shared classes useless."""


def find_java(variables: Mapping[str, str]) -> Java:
    """The Java of JAVA_HOME, else of PATH, in `variables` (an environment).

    Raises:
        LocalStackError: there is none, it does not run, or it is too old.
    """
    path, source = _locate(variables)
    said = _version_output(path, source)
    version = parse_version(said)
    if version is None:
        raise no_kafka(f"{path} ({source}) does not say which Java it is: {said.strip()[:300]!r}.", INSTALL)
    if version < OLDEST:
        raise no_kafka(f"{path} ({source}) is Java {version}; Kafka needs {OLDEST} or later.", INSTALL)
    return Java(path, version, hashlib.sha256(said.encode()).hexdigest()[:12])


def parse_version(said: str) -> int | None:
    """The feature release in the output of `java -version`: 8 for 1.8.0_392, 17 for 17.0.15, 25 for 25-ea."""
    # JAVA_TOOL_OPTIONS and others may put lines of their own before it
    found = re.search(r'^\S+ version "(?:1\.)?(\d+)', said, re.MULTILINE)
    return int(found[1]) if found else None


def _locate(variables: Mapping[str, str]) -> tuple[Path, str]:
    if home := variables.get("JAVA_HOME"):
        path = Path(home) / "bin" / "java"
        if not path.is_file():
            raise no_kafka(
                f"JAVA_HOME={home} points nowhere: there is no {path}. Correct it or unset it (PATH is next).", INSTALL
            )
        return path, "from JAVA_HOME"
    found = shutil.which("java", path=variables.get("PATH"))
    if found is None:
        raise no_kafka("Kafka needs Java, and there is none: JAVA_HOME is not set, no java on PATH.", INSTALL)
    return Path(found), "from PATH"


def _version_output(path: Path, source: str) -> str:
    try:
        done = subprocess.run(  # noqa: S603 - the user's own Java
            [path, "-version"], capture_output=True, text=True, timeout=TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise no_kafka(f"{path} ({source}) cannot be run: {error}.", INSTALL) from error
    if done.returncode:
        # macOS has a java on PATH that only says where to get one
        raise no_kafka(f"{path} ({source}) is no working Java: {done.stderr.strip()[:300]!r}.", INSTALL)
    return done.stderr + done.stdout
