"""What one sees while the year passes: a bar and a table in a terminal, a line for each week without one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from types import TracebackType
from typing import Any, Self

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from rendezvous.demo.year.chronicle import Chronicle
from rendezvous.registry.events import Ruling

PLAIN_DAYS = 7


class Screen:
    """Shows stages as lines, then the year."""

    def __init__(self, days: int, console: Console | None = None) -> None:
        self._console = console or Console()
        self._live: Live | None = None
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
        )
        self._task = self._progress.add_task("days", total=days)
        self._days = 0

    def line(self, text: str) -> None:
        """One line of news."""
        self._console.print(text, highlight=False, markup=False, soft_wrap=True)

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live = Live(console=self._console, auto_refresh=False)
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def day(self, day: date, asked: int, labels: int, chronicle: Chronicle) -> None:
        """A day is over."""
        self._days += 1
        if self._live is not None:
            self._progress.update(self._task, completed=self._days, description=f"{day:%d %B}")
            self._live.update(Group(self._progress, _table(asked, labels, chronicle)), refresh=True)
        elif self._days % PLAIN_DAYS == 0:
            told = ", ".join(f"{name} {count}" for name, count in _counts(asked, labels, chronicle))
            self.line(f"{day:%d %B}: {told}")

    def summary(self, report: Mapping[str, Any]) -> None:
        """The end: the three curves, and what follows from them."""
        mean, gain, cron = (
            report["mean_auc"],
            report["difference"]["looped_frozen"],
            report["difference"]["looped_cron"],
        )
        self.line(f"mean weekly AUC: frozen {mean['frozen']:.3f}, looped {mean['looped']:.3f}, cron {mean['cron']:.3f}")
        for name, found in (("frozen", gain), ("cron", cron)):
            self.line(
                f"looped - {name}: {found['value']:+.3f}, 95 % [{found['low']:+.3f}, {found['high']:+.3f}] by blocks "
                "of four weeks"
            )
        self.line(
            f"{report['retrains']} retrainings, {report['promotions']} promotions, {report['rejections']} rejections, "
            f"{report['rollbacks']} roll-backs. Did alarms beat the cron? {report['alarms_beat_cron']}"
        )
        calm, warm = report["control"], report["temperature"]
        self.line(
            f"{calm['days']} days in random order: {calm['alarms']} concept alarms, {calm['events']} events; warmer by "
            f"40 F alone: {warm['inputs']} input alarms, {warm['events']} events more"
        )


def _counts(asked: int, labels: int, chronicle: Chronicle) -> Sequence[tuple[str, int]]:
    return (
        ("requests", asked),
        ("labels", labels),
        ("concept alarms about the champion", len(chronicle.champion_alarms)),
        ("retrainings", len(chronicle.events)),
        ("promotions", len(chronicle.promotions)),
        ("rejections", chronicle.ruled(Ruling.REJECTED)),
        ("roll-backs", len(chronicle.rollbacks)),
    )


def _table(asked: int, labels: int, chronicle: Chronicle) -> Table:
    counts = _counts(asked, labels, chronicle)
    table = Table(*(name for name, _ in counts))
    table.add_row(*(str(count) for _, count in counts))
    return table
