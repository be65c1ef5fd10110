"""What came out of the year, in figures: its JSON. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from rendezvous.demo import flights
from rendezvous.demo.year.chronicle import Chronicle
from rendezvous.demo.year.stream import WEEK_US, Stream
from rendezvous.demo.year.weekly import auc_by_week, difference, weeks_of
from rendezvous.registry.events import Ruling
from rendezvous.retraining.events import Outcome

DIGITS = 4
CURVES = ("frozen", "looped", "cron")


@dataclass(frozen=True, slots=True)
class Year:
    """All that the report is made of.

    curves: P(late) [rows of the stream] of each of `CURVES`, NaN where nothing was asked or said. control and
    temperature: what a monitor says of days in another order, and of a shift of temperature alone. extra: figures of
    the run itself.
    """

    stream: Stream
    start_us: int
    end_us: int
    curves: Mapping[str, NDArray[np.float64]]
    chronicle: Chronicle
    control: Mapping[str, int]
    temperature: Mapping[str, int]
    extra: Mapping[str, Any]


def figures(year: Year) -> dict[str, Any]:
    """The report.

    Only what has all three curves and a label counts, so that they are compared on the same requests.
    """
    count = -(-(year.end_us - year.start_us) // WEEK_US)
    weeks = weeks_of(year.stream.asked_us, year.start_us)
    shared = np.isfinite(np.stack([year.curves[name] for name in CURVES])).all(axis=0)
    label = np.where(shared, year.stream.label, np.nan)
    auc = {name: auc_by_week(weeks, count, label, year.curves[name]) for name in CURVES}
    asked = np.bincount(weeks[year.stream.asked(year.start_us, year.end_us)], minlength=count)
    labelled = np.bincount(weeks[~np.isnan(label)], minlength=count)
    mean = {name: float(np.nanmean(auc[name])) for name in CURVES}
    chronicle = year.chronicle
    return {
        "weeks": [
            {
                "start": _day(year.start_us + week * WEEK_US),
                "requests": int(asked[week]),
                "labelled": int(labelled[week]),
                "auc": {name: _rounded(auc[name][week]) for name in CURVES},
            }
            for week in range(count)
        ],
        "mean_auc": {name: _rounded(mean[name]) for name in CURVES},
        "difference": {
            f"looped_{other}": {
                name: _rounded(value) for name, value in asdict(difference(auc["looped"], auc[other])).items()
            }
            for other in ("frozen", "cron")
        },
        "alarms_beat_cron": _verdict(year, auc),
        "retrains": len(chronicle.retrained),
        "refused": chronicle.count(Outcome.REFUSED),
        "failed": chronicle.count(Outcome.FAILED),
        "promotions": len(chronicle.promotions),
        "rejections": chronicle.ruled(Ruling.REJECTED),
        "rollbacks": len(chronicle.rollbacks),
        "alarms": len(chronicle.alarms),
        "concept_alarms": {
            "champion": len(chronicle.champion_alarms),
            "frozen": len(chronicle.frozen_alarms),
            "all": len(chronicle.concept_alarms),
        },
        "control": dict(year.control),
        "temperature": dict(year.temperature),
        "happened": _happened(chronicle),
        **year.extra,
    }


def _verdict(year: Year, auc: Mapping[str, NDArray[np.float64]]) -> str:
    """Whether it mattered that alarms, not a calendar, said when to retrain: yes or no only if the interval does."""
    if not year.chronicle.retrained:
        return "nothing was retrained"
    surely = difference(auc["looped"], auc["cron"])
    if surely.low > 0:
        return "yes"
    return "no" if surely.high < 0 else "no difference that can be told from chance"


def _happened(chronicle: Chronicle) -> list[dict[str, Any]]:
    """Retrain events and what followed, by their moments of the year."""
    events: list[tuple[int, dict[str, Any]]] = [
        (
            event.as_of_us,
            {
                "what": "retrain",
                "causes": list(event.causes),
                "outcome": str(chronicle.outcomes[key].outcome) if key in chronicle.outcomes else "under way",
                "version": chronicle.outcomes[key].version if key in chronicle.outcomes else "",
            },
        )
        for key, event in chronicle.events.items()
    ]
    moves = (*chronicle.promotions, *chronicle.rollbacks)
    events += [(moved.at_us, {"what": str(moved.cause), "version": moved.pair[1]}) for moved in moves]
    events += [
        (judged.at_us, {"what": str(judged.verdict.ruling), "version": judged.verdict.version})
        for judged in chronicle.judged
        if judged.verdict.ruling is Ruling.REJECTED
    ]
    return [{"at": _moment(at_us), **what} for at_us, what in sorted(events, key=lambda event: event[0])]


def _rounded(value: float) -> float | None:
    return None if np.isnan(value) else round(float(value), DIGITS)


def _day(moment_us: int) -> str:
    return str(pd.Timestamp(moment_us, unit="us", tz="UTC").tz_convert(flights.HOME_ZONE).date())


def _moment(moment_us: int) -> str:
    return datetime.fromtimestamp(moment_us / 1e6, UTC).isoformat(timespec="seconds")
