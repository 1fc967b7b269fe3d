"""Medians as bars, as an SVG: a panel for each work, a bar for each tool."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

WIDTH, BAR, LEFT, TOP = 340, 22, 84, 48


def bars(medians: Mapping[str, Mapping[str, float]], title: str) -> str:
    """``medians``: by work, by tool."""
    height = TOP + max(map(len, medians.values())) * BAR + 16
    panels = [_panel(number * WIDTH, work, tools) for number, (work, tools) in enumerate(medians.items())]
    whole = len(medians) * WIDTH
    return "\n".join(
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {whole} {height}" '
            'font-family="sans-serif" font-size="12" fill="#222">',
            f'<rect width="{whole}" height="{height}" fill="#fff"/>',
            f'<text x="8" y="18">{escape(title)}</text>',
            *panels,
            "</svg>\n",
        )
    )


def _panel(offset: int, work: str, tools: Mapping[str, float]) -> str:
    most = max(tools.values())
    parts = [f'<text x="{offset + LEFT}" y="{TOP - 8}" font-weight="bold">{escape(work)}</text>']
    for number, (name, seconds) in enumerate(tools.items()):
        y, length = TOP + number * BAR, (WIDTH - LEFT - 60) * seconds / most
        colour = "#0b6e99" if name == "tieline" else "#b8c4cc"
        parts.append(
            f'<text x="{offset + LEFT - 6}" y="{y + 14}" text-anchor="end">{escape(name)}</text>'
            f'<rect x="{offset + LEFT}" y="{y + 3}" width="{length:.1f}" height="{BAR - 6}" fill="{colour}"/>'
            f'<text x="{offset + LEFT + length + 5:.1f}" y="{y + 14}">{seconds:.2f}</text>'
        )
    return "\n".join(parts)
