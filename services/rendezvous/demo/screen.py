"""What one sees while it runs: a progress bar and a live table in a terminal, plain lines without one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from rendezvous.demo.report import latencies
from rendezvous.demo.traffic import Asked

EVERY_S = 1.0
"""Between two plain lines."""
REFRESH_S = 0.2
"""Between two drawings of the live table: drawing takes time from the driver."""
WINDOW_S = 1.0
"""The table's latencies are of the requests that fell due in this much time, up to one deadline ago."""


class Screen:
    """Shows stages as lines, then the traffic."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console()
        self._live: Live | None = None
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
        )
        self._task = self._progress.add_task("requests", total=None)
        self._next_s = 0.0

    @property
    def is_terminal(self) -> bool:
        """Whether somebody watches."""
        return self._console.is_terminal

    def line(self, text: str) -> None:
        """One line of news."""
        self._console.print(text, highlight=False, markup=False, soft_wrap=True)

    def __enter__(self) -> Self:
        if self.is_terminal:
            self._live = Live(console=self._console, auto_refresh=False)
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def traffic(self, log: Sequence[Asked], sent: int, seconds: float, state: str, labels: int) -> None:
        """Draw the run as it stands, if it is time; `state` is that of the process that is frozen midway."""
        if seconds < self._next_s:
            return
        self._next_s = seconds + (REFRESH_S if self._live else EVERY_S)
        recent = [asked for asked in log[:sent] if seconds - 2 * WINDOW_S < asked.due_s < seconds - WINDOW_S / 2]
        answered = [asked for asked in recent if asked.answered]
        if self._live is None:
            by = ", ".join(f"{who} {count}" for who, count in _counts(answered))
            now = latencies(answered)
            self.line(
                f"{seconds:5.1f} s  sent {sent}  {state:13}  last second: p50 {_ms(now['p50'])} "
                f"p99 {_ms(now['p99'])} by {by or 'nobody yet'}  labels {labels}"
            )
            return
        self._progress.update(self._task, total=len(log), completed=sent)
        self._live.update(Group(self._progress, _table(log[:sent], answered, state, labels)), refresh=True)

    def summary(self, report: dict[str, Any]) -> None:
        """The end: who answered, how fast, who would have been right."""
        latency = report["latency_ms"]
        stall = report["stall"]
        self.line("")
        self.line(
            f"{report['requests']} requests, {report['unanswered']} unanswered, {report['duplicates']} answered twice, "
            f"{report['late']} late (deadline {report['deadline_ms']} ms)"
        )
        self.line(
            f"latency from the moment due: p50 {_ms(latency['p50'])}  p99 {_ms(latency['p99'])}  "
            f"p99.9 {_ms(latency['p999'])}  max {_ms(latency['max'])}"
        )
        self.line(
            f"{stall['model']} frozen: {stall['answered']} of {stall['requests']} requests answered, "
            f"{stall['late']} late, by {stall['answered_by']}"
        )
        self._console.print(_quality_table(report))


def _counts(log: Sequence[Asked]) -> list[tuple[str, int]]:
    return Counter(asked.who for asked in log).most_common()


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f} ms"


def _table(sent: Sequence[Asked], recent: Sequence[Asked], state: str, labels: int) -> Table:
    table = Table(title=f"{state} · labels fed {labels}")
    for heading in ("answered by", "so far", "last second", "p50", "p99"):
        table.add_column(heading, justify="left" if heading == "answered by" else "right")
    now = dict(_counts(recent))
    for who, count in _counts([asked for asked in sent if asked.answered]):
        figures = latencies([asked for asked in recent if asked.who == who])
        table.add_row(who, str(count), str(now.get(who, 0)), _ms(figures["p50"]), _ms(figures["p99"]))
    return table


def _quality_table(report: dict[str, Any]) -> Table:
    table = Table(title="who would have been right (same requests)")
    for heading in ("model", "answered", "labelled", "AUC", "log loss"):
        table.add_column(heading, justify="left" if heading == "model" else "right")
    for model, quality in report["quality"].items():
        answered = report["answered_by"].get(model, 0)
        table.add_row(
            model, str(answered), str(quality["labels"]), f"{quality['auc']:.3f}", f"{quality['log_loss']:.3f}"
        )
    return table
