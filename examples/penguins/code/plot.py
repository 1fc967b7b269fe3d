"""The penguins as an SVG picture: two features, and where the classifier draws its borders."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape

import numpy as np
from numpy.typing import NDArray

WIDTH, HEIGHT, MARGIN, LEGEND, CELLS = 720, 520, 60, 54, 96

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]
Species = tuple[str, str, str]  # name, scientific name, colour


def scatter_plot(
    values: Floats,
    labels: Labels,
    predict: Callable[[Floats], Labels],
    features: Sequence[str],
    species: Sequence[Species],
) -> str:
    """Every penguin by the first two features, a ring around each that the classifier takes for another species.

    The background is the classifier's answer there, with the other features at what the nearest penguins have.
    """
    across, up = values[:, 0], values[:, min(1, values.shape[1] - 1)]
    frame = Frame(across, up)
    colours = [colour for _, _, colour in species]
    parts = [*_background(frame, values, predict, colours)]
    for x, y, label, found in zip(across, up, labels, predict(values), strict=True):
        ring = "" if label == found else ' stroke="#000" stroke-width="2"'
        parts.append(f'<circle cx="{frame.x(x):.1f}" cy="{frame.y(y):.1f}" r="4" fill="{colours[label]}"{ring}/>')
    parts += _legend(species, wrong=int((predict(values) != labels).sum()))
    parts += _axes(frame, features[0], features[min(1, len(features) - 1)])
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif"'
        f' font-size="13"><rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>{"".join(parts)}</svg>\n'
    )


class Frame:
    """From a feature's values to places on the picture, with a little air around them."""

    def __init__(self, across: Floats, up: Floats) -> None:
        self.left, self.right = _widened(across)
        self.bottom, self.top = _widened(up)

    def x(self, value: float) -> float:
        return MARGIN + (value - self.left) / (self.right - self.left) * (WIDTH - 2 * MARGIN)

    def y(self, value: float) -> float:
        share = (value - self.bottom) / (self.top - self.bottom)
        return HEIGHT - MARGIN - share * (HEIGHT - MARGIN - LEGEND)


def _widened(values: Floats) -> tuple[float, float]:
    air = 0.05 * float(np.ptp(values)) or 1.0
    return float(values.min()) - air, float(values.max()) + air


def _background(frame: Frame, values: Floats, predict: Callable[[Floats], Labels], colours: Sequence[str]) -> list[str]:
    """A pale cell for each place of a grid, in the colour of the species that the classifier would see there."""
    wide = (frame.right - frame.left) / CELLS
    high = (frame.top - frame.bottom) / CELLS
    cells = []
    for column in range(CELLS):
        xs = np.full(CELLS, frame.left + (column + 0.5) * wide)
        ys = frame.bottom + (np.arange(CELLS) + 0.5) * high
        answers = predict(_neighbours(values, xs, ys))
        row = 0
        while row < CELLS:  # one rectangle for each run of equal cells
            end = row
            while end < CELLS and answers[end] == answers[row]:
                end += 1
            x, top = frame.x(frame.left + column * wide), frame.y(frame.bottom + end * high)
            height = frame.y(frame.bottom + row * high) - top
            cells.append(f'<rect x="{x:.2f}" y="{top:.1f}" width="{(WIDTH - 2 * MARGIN) / CELLS:.2f}"'
                         f' height="{height:.1f}" fill="{colours[answers[row]]}"/>')  # fmt: skip
            row = end
    return ['<g fill-opacity="0.15" shape-rendering="crispEdges">', *cells, "</g>"]


def _neighbours(values: Floats, xs: Floats, ys: Floats, count: int = 15) -> Floats:
    """Penguins that never were: at these places, the other features the mean of the nearest real ones."""
    plane = values[:, :2] / values[:, :2].std(axis=0)
    places = np.column_stack([xs, ys])[:, : values.shape[1]]
    distances = np.linalg.norm(plane[None] - (places / values[:, :2].std(axis=0))[:, None], axis=2)
    nearest = distances.argsort(axis=1)[:, :count]
    made = values[nearest].mean(axis=1)
    made[:, : places.shape[1]] = places
    return np.asarray(made)


def _axes(frame: Frame, across: str, up: str) -> list[str]:
    bottom, right = HEIGHT - MARGIN, WIDTH - MARGIN
    lines = [f'<rect x="{MARGIN}" y="{LEGEND}" width="{right - MARGIN}" height="{bottom - LEGEND}" fill="none"'
             ' stroke="#888"/>']  # fmt: skip
    for value in _round_values(frame.left, frame.right):
        lines.append(f'<text x="{frame.x(value):.1f}" y="{bottom + 18}" text-anchor="middle">{value:g}</text>')
    for value in _round_values(frame.bottom, frame.top):
        lines.append(f'<text x="{MARGIN - 8}" y="{frame.y(value) + 4:.1f}" text-anchor="end">{value:g}</text>')
    lines.append(f'<text x="{WIDTH / 2}" y="{HEIGHT - 16}" text-anchor="middle">{escape(across)}</text>')
    lines.append(f'<text transform="translate(18 {HEIGHT / 2}) rotate(-90)" text-anchor="middle">{escape(up)}</text>')
    return lines


def _round_values(low: float, high: float, about: int = 8) -> list[float]:
    """Round numbers between two values."""
    raw = (high - low) / about
    power = 10.0 ** np.floor(np.log10(raw))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= raw)
    return [float(value) for value in np.arange(np.ceil(low / step), np.floor(high / step) + 1) * step]


def _legend(species: Sequence[Species], wrong: int) -> list[str]:
    parts = [f'<text x="{WIDTH - MARGIN}" y="22" text-anchor="end">ringed: mistaken ({wrong})</text>']
    for index, (name, scientific_name, colour) in enumerate(species):
        x = MARGIN + index * 165
        parts += [
            f'<circle cx="{x + 5}" cy="24" r="5" fill="{colour}"/>',
            f'<text x="{x + 16}" y="22">{escape(name)}</text>',
            f'<text x="{x + 16}" y="38" font-style="italic" fill="#666">{escape(scientific_name)}</text>',
        ]
    return parts
