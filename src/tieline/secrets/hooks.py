"""Few short words of which every needle has one: where none of them is, no needle can be, and most of a log has none.

Looking for all needles costs more the more there are, because the automaton outgrows the processor's caches. A hook is
taken from the part of a needle that is the least common in logs, so the automaton of the hooks is small and stays near
its beginning: with a thousand secrets it is as fast as with ten, and made in a moment.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from tieline.secrets.needles import SHORTEST

_COMMON = b' 0123456789etaoinsrdlhcumpfgybwvkxqzj.-:=_/"'
_COST = [_COMMON.find(byte) for byte in range(256)]
_COST = [len(_COMMON) - at if at >= 0 else 0 for at in _COST]


def hooks_of(needles: Iterable[bytes]) -> list[bytes]:
    """A hook for each needle; needles that can share one do. Each is :data:`SHORTEST` bytes long."""
    hooks: set[bytes] = set()
    for needle in sorted(needles, key=len):  # the short ones have no choice
        words = [needle[at : at + SHORTEST] for at in range(max(1, len(needle) - SHORTEST + 1))]
        if hooks.isdisjoint(words):
            hooks.add(min(words, key=_cost))
    return sorted(hooks)


def _cost(word: bytes) -> tuple[int, bytes]:
    """How often an automaton goes on behind the beginning of this word, in a log: its first byte says most."""
    return 3 * _COST[word[0]] + _COST[word[1]], word


def around(data: bytes, found: Iterable[tuple[int, int, int]], reach: int) -> Iterator[tuple[int, int]]:
    """The parts of the data that may have a needle in them, none twice, in their order: what is within ``reach`` of a
    hook that was found, on the same line."""
    begin, stop = -1, -1
    for _, start, end in found:
        if end + reach <= stop:
            continue
        least = start - reach if start > reach else 0
        first = data.rfind(b"\n", least, start)
        last = data.find(b"\n", end, end + reach)
        if first < 0:
            first = least
        if last < 0:
            last = min(end + reach, len(data))
        if first < stop:
            stop = max(stop, last)
            continue
        if begin >= 0:
            yield begin, stop
        begin, stop = first, last
    if begin >= 0:
        yield begin, stop
