"""The report as one Markdown page: the machine, every target, and the pictures. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

QUIET_CORES = 0.3
"""A choice: what the targets leave the system at the median is three tenths of the floor."""


def page(report: Mapping[str, Any]) -> str:
    """Of the report of `all`."""
    lines = [f"# Load test, {report['begun_utc']}", "", *_machine(report), "", *_targets(report["targets"]), ""]
    for part in report["scenarios"]:
        lines += [*_part(part), ""]
    lines += ["How each figure is measured, and what could bias it: loadtest/README.md.", ""]
    return "\n".join(lines)


def _machine(report: Mapping[str, Any]) -> Iterator[str]:
    machine = report["machine"]
    yield (
        f"{machine['cores']} cores, {machine['processor']}, {machine['memory_gib']} GiB, {machine['system']}; "
        f"{report['seconds'] / 60:.1f} minutes. "
        + ", ".join(f"{name} {number}" for name, number in report["versions"].items())
        + "."
    )
    yield ""
    others = report["most_other_cores"]
    if others is None:
        yield "Nobody could say what else the machine did."
    elif others > QUIET_CORES:
        yield (
            f"**The machine was not quiet**: other work kept up to {others:.1f} of {machine['cores']} cores busy. It "
            "weighs on all of this, met and not met alike."
        )
    else:
        yield f"The machine was quiet: other work kept at most {others:.1f} cores busy."


def _targets(targets: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    met = sum(bool(target["met"]) for target in targets)
    yield f"## Targets: {met} of {len(targets)} met"
    yield ""
    yield "| scenario | target | value | limit | | reason |"
    yield "|---|---|---|---|---|---|"
    for target in targets:
        value = "never" if target["value"] is None else _number(target["value"])
        cells = (
            target["scenario"],
            target["name"],
            value,
            _number(target["limit"]),
            "met" if target["met"] else "**not met**",
            target.get("reason") or "",
        )
        yield "| " + " | ".join(cell.replace("|", "/") for cell in cells) + " |"


def _number(value: float) -> str:
    return f"{value:,.4g}" if abs(value) < 1_000 else f"{value:,.0f}"  # noqa: PLR2004 - four digits say enough


def _part(part: Mapping[str, Any]) -> Iterator[str]:
    name = part["name"]
    yield f"## {name}: {part['help']}"
    yield ""
    if part["failed"]:
        yield f"**It did not run**: {part['failed']}"
        return
    lost = f"{part['lost']} requests were lost. " if part["lost"] else ""
    yield f"{lost}{part['seconds']:.0f} s. Figures: [{name}.json]({name}.json)."
    yield ""
    yield f"![{name}]({name}.png)"
