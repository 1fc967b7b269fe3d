"""Time and memory against the number of connections, as an SVG: two panels with linear axes, one line each."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

Point = tuple[float, float]
WIDTH, HEIGHT = 420, 300
LEFT, RIGHT, TOP, BOTTOM = 62, 34, 44, 52
STEPS = (1, 2, 2.5, 5, 10)


def growth_plot(seconds: Sequence[Point], peak: Sequence[Point]) -> str:
    """``seconds`` and ``peak`` (MiB): pairs of connections and the median."""
    panels = (
        _panel(0, "time of the whole command, s", seconds),
        _panel(WIDTH, "peak memory, MiB", peak),
    )
    return "\n".join(
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {2 * WIDTH} {HEIGHT}" '
            'font-family="sans-serif" font-size="12" fill="#222">',
            f'<rect width="{2 * WIDTH}" height="{HEIGHT}" fill="#fff"/>',
            *panels,
            "</svg>\n",
        )
    )


def _panel(offset: int, title: str, points: Sequence[Point]) -> str:
    right, top = max(x for x, _ in points), max(y for _, y in points)
    x_marks, y_marks = marks(right), marks(top)
    x_end, y_end = x_marks[-1], y_marks[-1]

    def across(x: float) -> float:
        return offset + LEFT + (WIDTH - LEFT - RIGHT) * x / x_end

    def up(y: float) -> float:
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * y / y_end

    parts = [f'<text x="{offset + LEFT}" y="22" font-weight="bold">{escape(title)}</text>']
    for y in y_marks:
        parts.append(
            f'<path d="M{across(0):.1f} {up(y):.1f}H{across(x_end):.1f}" stroke="#ddd"/>'
            f'<text x="{across(0) - 8:.1f}" y="{up(y) + 4:.1f}" text-anchor="end">{y:g}</text>'
        )
    for x in x_marks:
        parts.append(f'<text x="{across(x):.1f}" y="{up(0) + 18:.1f}" text-anchor="middle">{x:,.0f}</text>')
    parts.append(
        f'<text x="{across(x_end / 2):.1f}" y="{HEIGHT - 12}" text-anchor="middle">connections in the catalog</text>'
    )
    line = " ".join(f"{across(x):.1f},{up(y):.1f}" for x, y in points)
    parts.append(f'<polyline points="{line}" fill="none" stroke="#0b6e99" stroke-width="2"/>')
    parts += [f'<circle cx="{across(x):.1f}" cy="{up(y):.1f}" r="4" fill="#0b6e99"/>' for x, y in points]
    return "\n".join(parts)


def marks(end: float) -> list[float]:
    """Round numbers from 0 to just beyond ``end``, about five of them."""
    unit = 1.0
    while unit * 10 < end / 5:
        unit *= 10
    while unit > end / 5:
        unit /= 10
    step = next(unit * factor for factor in STEPS if unit * factor * 5 >= end)
    return [step * number for number in range(next(n for n in range(1, 7) if step * n >= end) + 1)]
