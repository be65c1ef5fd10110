"""What `rendezvous models list` and `show` print, as lines of plain text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from rendezvous.registry.events import Quality, Verdict
from rendezvous.registry.evidence import Check, Evidence
from rendezvous.registry.shedding import shed_shares
from rendezvous.registry.state import Control, Pair, Taken
from rendezvous.scoring.card import Card

HEADINGS = (
    *("MODEL", "VERSION", "STATE", "ALIASES", "DEPLOYED", "BY", "SUSPENDED", "SHED"),
    *("COVERAGE", "IN TIME", "QUALITY"),
)
NONE = "-"


def listing(control: Control, found: Mapping[Pair, Evidence]) -> list[str]:
    """A line for each version, the oldest deployment first; evidence where there is some."""
    rows = [HEADINGS]
    for pair, version in control.versions.items():
        seen = found.get(pair)
        quality = control.weights.get(Quality.BEST, {}).get(pair)
        rows.append(
            (
                *pair,
                str(version.state),
                ",".join(control.aliases_of(pair)) or NONE,
                moment(version.at_us),
                version.by,
                ",".join(str(number) for number in suspended_on(control, pair)) or NONE,
                f"{shed(control, pair):.0%}",
                NONE if seen is None or not seen.requests else f"{seen.coverage:.1%}",
                NONE if seen is None or not seen.requests else f"{seen.in_time_share:.1%}",
                NONE if quality is None else f"{quality:.4g}",
            )
        )
    return in_columns(rows)


def page(
    control: Control, pair: Pair, card: Card | str, results: Sequence[Check], quality: Mapping[str, float]
) -> list[str]:
    """Everything about one version; card: or why there is none here."""
    version = control.versions[pair]
    facts = [
        ("version", "/".join(pair)),
        ("state", str(version.state)),
        ("aliases", ", ".join(control.aliases_of(pair)) or "none"),
        ("deployed", f"{moment(version.at_us)} by {version.by}, control {version.position}"),
        ("sha256", version.sha256),
        *([("card", card)] if isinstance(card, str) else _of_card(card)),
        ("now", _figures(quality) if quality else "no quality is published yet"),
        *([("verdict", _judged(control.verdicts[pair]))] if pair in control.verdicts else []),
        *(("met" if result.met else "NOT MET", f"{result.name}: {result.finding}") for result in results),
        *(("hand-off", _handed_off(taken)) for taken in control.hand_offs if _concerns(taken, pair)),
    ]
    return in_columns(facts)


def _of_card(card: Card) -> list[tuple[str, str]]:
    window = card.metrics.held_out
    return [
        ("kind", f"{card.kind}, {card.artefact}{': ' if card.notes else ''}{card.notes}"),
        (
            "trained",
            f"{card.created_utc:%Y-%m-%d %H:%M}Z on {card.data.first} to {card.data.last}, {card.data.rows} rows",
        ),
        ("held out", f"{window.first} to {window.last}, {window.rows} rows: {_figures(card.metrics.figures)}"),
    ]


def suspended_on(control: Control, pair: Pair) -> list[int]:
    """The partitions on which a version is passed by."""
    return sorted(number for number, pairs in control.suspended.items() if pair in pairs)


def shed(control: Control, pair: Pair) -> float:
    """The share of requests that a version leaves out now, on the partition where it is largest."""
    return max(shed_shares(control, pair).values(), default=0.0)


def moment(at_us: int) -> str:
    """A time for people, UTC."""
    return f"{datetime.fromtimestamp(at_us / 1e6, UTC):%Y-%m-%d %H:%M:%S}Z"


def in_columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows with their cells one below the other."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _figures(figures: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {value:.4g}" for name, value in figures.items()) or "no figures"


def _judged(verdict: Verdict) -> str:
    return f"{moment(verdict.at_us)} {verdict.rule}: {verdict.ruling} by {verdict.by}: {verdict.evidence}"


def _concerns(taken: Taken, pair: Pair) -> bool:
    return any((move.model, move.version) == pair for move in taken.hand_off.moves)


def _handed_off(taken: Taken) -> str:
    hand_off = taken.hand_off
    moves = ", ".join(f"{move.alias} to {move.model}/{move.version}" for move in hand_off.moves)
    skipped = f"; skipped {'; '.join(hand_off.skipped)}" if hand_off.skipped else ""
    return f"{moment(hand_off.at_us)} {hand_off.cause} by {hand_off.by}, control {taken.position}: {moves}{skipped}"
