"""How a log lies in the store: segments while it grows, one plain file in the end; readable at every moment between.

``<prefix>/logs/<name>/<start>-<end>.log`` holds the (redacted) bytes of that range of the raw spool. Segments are
written one after the other, each whole or not at all, so after any crash the log goes on where the last one ends.
Several may be merged: the wider is written first, then the others go, so for a while a range may be there twice;
readers take the widest.

In the end all of it is ``<prefix>/logs/<name>.log``. What that covers is told by ``<name>/whole.json``, which is
written after it and before the segments go: a file without it is ignored (the segments are still there), and of one
that was written again, longer, only the ``size`` that is told counts until that is told anew.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass

from tieline.stores import Store, StoreTrouble, Why, shown

MARK = "whole.json"
_SEGMENT = re.compile(r"(\d{20})-(\d{20})\.log")


@dataclass(frozen=True, slots=True, order=True)
class Segment:
    """The range ``start`` to ``end`` of a raw spool; ``size`` is that of its redacted bytes."""

    start: int
    end: int
    size: int

    @property
    def name(self) -> str:
        return f"{self.start:020d}-{self.end:020d}.log"


@dataclass(frozen=True, slots=True)
class Whole:
    """What of the one plain file counts: its first ``size`` bytes, which are the raw range up to ``end``."""

    end: int = 0
    size: int = 0
    lines: int = 0
    exists: bool = False

    def as_bytes(self) -> bytes:
        """The contents of the mark."""
        return (json.dumps({"end": self.end, "size": self.size, "lines": self.lines}) + "\n").encode()


@dataclass(frozen=True, slots=True)
class Chain:
    """A log in its order. ``end`` is raw. ``has_gap``: there is more, after something that was not seen.

    No crash leaves a gap; a listing that is made during a merge may show one.
    """

    whole: Whole
    segments: list[Segment]
    end: int
    has_gap: bool

    @property
    def saved(self) -> int:
        """Bytes of it that are saved."""
        return self.whole.size + sum(segment.size for segment in self.segments)


class LogFolder:
    """The keys of one log in a store, and what is there."""

    def __init__(self, store: Store, prefix: str, name: str) -> None:
        self.store = store
        self.key = _join(prefix, f"logs/{name}")
        self.whole_key = self.key + ".log"
        self.mark_key = f"{self.key}/{MARK}"

    def segment_key(self, segment: Segment) -> str:
        """Where a segment is."""
        return f"{self.key}/{segment.name}"

    def found(self) -> list[Segment]:
        """Every segment that is there, by its start and the widest first."""
        segments = []
        for entry in self.store.list(self.key):
            match = _SEGMENT.fullmatch(entry.key.rpartition("/")[2])
            if match:
                segments.append(Segment(int(match[1]), int(match[2]), entry.size))
        return sorted(segments, key=lambda segment: (segment.start, -segment.end))

    def whole(self) -> Whole:
        """What the mark tells; nothing, where there is none."""
        try:
            with self.store.open(self.mark_key) as stream:
                told = json.load(stream)
        except StoreTrouble as error:
            if error.why == Why.NOT_FOUND:
                return Whole()
            raise
        except ValueError:
            text = f"{shown(self.mark_key)!r} is no mark of a log"
            raise StoreTrouble(Why.DAMAGED, text, "see who writes there") from None
        return Whole(told["end"], told["size"], told["lines"], exists=True)

    def chain(self, is_good: Callable[[str, int], bool] | None = None) -> Chain:
        """The log from its beginning, without overlap: the plain file, and the segments that go on from it.

        The segments are looked at first: what goes from there is in the mark by then. ``is_good``: whether so many
        bytes are at a key, for whoever can write it anew: what is not good does not count then.
        """
        segments = self.found()
        try:
            whole = self.whole()
        except StoreTrouble as error:
            if error.why != Why.DAMAGED or not (segments or is_good):
                raise
            whole = Whole()  # it was damaged when it was saved, which then failed: the segments are still there
        if is_good is not None:
            whole = whole if not whole.size or is_good(self.whole_key, whole.size) else Whole()
            segments = [one for one in segments if one.end <= whole.end or is_good(self.segment_key(one), one.size)]
        chain, end = [], whole.end
        for segment in segments:
            if segment.start == end and segment.end > end:
                chain.append(segment)
                end = segment.end
        return Chain(whole, chain, end, has_gap=any(segment.start > end for segment in segments))


def log_names(store: Store, prefix: str) -> list[str]:
    """The names of the logs that a store has under ``prefix``, main first."""
    top = _join(prefix, "logs")
    names = set()
    for entry in store.list(top):
        first, _, rest = entry.key[len(top) + 1 :].partition("/")
        names.add(first if rest else first.removesuffix(".log"))
    return sorted(names, key=lambda name: (name != "main", name))


def _join(prefix: str, rest: str) -> str:
    return f"{prefix.strip('/')}/{rest}".lstrip("/")
