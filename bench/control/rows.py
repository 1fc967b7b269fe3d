"""What is compared, what must be reached, and what the samples say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median
from typing import Any

TIELINE, PEER = "tieline", "polyaxon"
Samples = Mapping[str, Mapping[str, list[float]]]  # of a row's key: of a tool: one value per round


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table. ``times``: so many times better than the peer; ``under``: less than that, in the unit.

    With neither, the row is there to be read.
    """

    key: str
    what: str
    unit: str
    times: float | None = None
    under: float | None = None

    @property
    def must(self) -> str:
        if self.times is not None:
            return f"{self.times:g} times"
        return f"under {self.under:g} {self.unit}".rstrip() if self.under is not None else ""


ROWS = (
    Row("version", "`tieline --version` / `polyaxon version`", "s", times=4),
    Row("check", "`tieline check op.yaml` / `polyaxon check -f op.yaml`", "s", times=5),
    Row("check_peak", "… peak memory", "MiB", times=3),
    Row("check_1000", "… with a catalog of 1,000 connections in force", "s"),
    Row("load", "load and validate a YAML catalog of 1,000 connections", "s", times=5),
    Row("compile", "compile a parsed operation, 5 connections of 1,000", "ms", times=30),
    Row("compile_new", "… whose connections no job has used before", "ms", times=30),
    Row("huge", "`tieline check` of a catalog of 100,000 connections", "s", under=10),
    Row("huge_peak", "… peak memory", "MiB"),
    Row("growth_seconds", "… time per connection, of 100,000 / of 10,000", "", under=1.25),
    Row("growth_peak", "… memory per connection, of 100,000 / of 10,000", "", under=1.25),
    Row("first_run", "`tieline run` of `true`, the first, makes the record's database", "s"),
    Row("run", "`tieline run` of `true`, the second", "s", under=0.8),
)


@dataclass(frozen=True, slots=True)
class Result:
    """A row with its medians. ``ratio``: the peer's by Tieline's. ``reached``: None where nothing must be."""

    row: Row
    tieline: float
    peer: float | None
    ratio: float | None
    reached: bool | None

    def as_json(self) -> dict[str, Any]:
        return {
            "what": self.row.what,
            "unit": self.row.unit,
            "tieline": self.tieline,
            "polyaxon": self.peer,
            "ratio": self.ratio,
            "must": self.row.must,
            "reached": self.reached,
        }


def result(row: Row, samples: Samples) -> Result:
    """The medians of all rounds, and whether they are good enough."""
    own = median(samples[row.key][TIELINE])
    others = samples[row.key].get(PEER)
    peer = median(others) if others else None
    ratio = peer / own if peer is not None else None
    reached = None
    if row.times is not None and ratio is not None:
        reached = ratio >= row.times
    elif row.under is not None:
        reached = own < row.under
    return Result(row, own, peer, ratio, reached)


def table(results: list[Result], peer_instead: Mapping[str, str]) -> str:
    """The results as a Markdown table. ``peer_instead``: what to say of the peer where there is no figure, by key."""
    lines = [("what", TIELINE, PEER, "ratio", "must reach", "reached")]
    for item in results:
        instead = peer_instead.get(item.row.key, "–")
        lines.append(
            (
                item.row.what,
                amount(item.tieline, item.row.unit),
                instead if item.peer is None else amount(item.peer, item.row.unit),
                "–" if item.ratio is None else f"{item.ratio:.1f}",
                item.row.must or "–",
                "–" if item.reached is None else "yes" if item.reached else "NO",
            )
        )
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    rendered = [" | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in lines]
    rule = "-|-".join("-" * width for width in widths)
    return "\n".join(f"| {line} |" for line in (rendered[0], rule, *rendered[1:])).replace(f"| {rule} |", f"|-{rule}-|")


def amount(value: float, unit: str) -> str:
    """A figure as a person would write it, with its unit."""
    if unit == "MiB":
        return f"{value:.0f} MiB"
    return f"{value:.2f} {unit}".rstrip() if value >= 0.1 else f"{value:.3f} {unit}".rstrip()
