"""Benchmarks are code too: each runs, once and unmeasured. What is measured, a person looks at: `make bench`."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]


def made(*arguments: str) -> list[str]:
    """The last line of what make would run."""
    command = [shutil.which("make") or "make", "-n", "--no-print-directory", *arguments]
    # what `make test` passes on to a make below it would change what that says
    alone = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    done = subprocess.run(command, cwd=ROOT, env=alone, capture_output=True, text=True, check=True)  # noqa: S603
    return done.stdout.splitlines()[-1].replace("'", "").split()


def test_every_benchmark_runs() -> None:
    """As `make bench` calls them."""
    words = [word for word in made("bench", "ARGS=--benchmark-disable") if word != "--benchmark-only"]
    done = subprocess.run([sys.executable, *words[1:]], cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S603
    assert done.returncode == 0, done.stdout[-2_000:]
    assert " passed" in done.stdout


def test_benchmarks_are_no_tests() -> None:
    """`make test` does not collect them."""
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "loadtest"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S603
    assert "no tests collected" in done.stdout
