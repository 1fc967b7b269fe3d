"""Where things stand in a text: the marks of wanted paths, found by reading the text's events once more."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml
from yaml import events as yaml_events

FieldPath = tuple[str | int, ...]
Mark = tuple[int, int]
"""A line and a column, from 1."""
LINE_END = re.compile("\r\n|[\r\n\x85\u2028\u2029]")
"""What ends a line in YAML 1.1, and for its parser's marks."""


def mark_at(text: str, index: int) -> Mark:
    """The mark of a character; of one behind the text's end, the end."""
    before = LINE_END.split(text[:index])
    return len(before), len(before[-1]) + 1


def events_of(text: str) -> Callable[[], Any]:
    """The next-event function of the fastest parser that is there."""
    from yaml.parser import Parser
    from yaml.reader import Reader
    from yaml.scanner import Scanner

    c_parser = getattr(yaml, "cyaml", None)
    if c_parser is not None:
        return c_parser.CParser(text).get_event  # type: ignore[no-any-return]

    class PureParser(Reader, Scanner, Parser):
        def __init__(self, stream: str) -> None:
            Reader.__init__(self, stream)
            Scanner.__init__(self)
            Parser.__init__(self)

    return PureParser(text).get_event


@dataclass(slots=True)
class _Spot:
    """A node of the tree of wanted paths, with the marks that were met."""

    key: Mark | None = None
    value: Mark | None = None
    children: dict[str | int, _Spot] = field(default_factory=dict)


class Marks:
    """Finds the marks of wanted paths in one pass over the events, stepping over everything else."""

    def __init__(self, paths: Iterable[FieldPath]) -> None:
        self.root = _Spot()
        for path in paths:
            spot = self.root
            for part in path:
                spot = spot.children.setdefault(part, _Spot())

    def read(self, text: str) -> None:
        self.text = text
        self.next = events_of(text)
        try:
            self.next()
            if type(self.next()) is not yaml_events.StreamEndEvent:
                self.visit(self.next(), self.root)
        except (yaml.YAMLError, UnicodeEncodeError):
            return  # the text was refused for its syntax already, with its own place

    def mark(self, event: Any) -> Mark:
        """Where it begins; what is left out at a text's very end stands one line below that, for the parser."""
        mark = event.start_mark
        if mark.index < len(self.text):
            return mark.line + 1, mark.column + 1
        return mark_at(self.text, len(self.text))

    def visit(self, event: Any, spot: _Spot | None) -> None:
        kind = type(event)
        if spot is not None:
            spot.value = self.mark(event)
        if kind is yaml_events.MappingStartEvent:
            while type(key := self.next()) is not yaml_events.MappingEndEvent:
                child = spot.children.get(getattr(key, "value", "")) if spot else None
                if child is not None:
                    child.key = self.mark(key)
                self.visit(self.next(), child)
        elif kind is yaml_events.SequenceStartEvent:
            for index in self._count():
                if type(item := self.next()) is yaml_events.SequenceEndEvent:
                    break
                self.visit(item, spot.children.get(index) if spot else None)

    @staticmethod
    def _count() -> Iterator[int]:
        index = 0
        while True:
            yield index
            index += 1

    def nearest(self, path: FieldPath, at_key: bool) -> Mark:
        spot, found = self.root, self.root.value or (1, 1)
        for depth, part in enumerate(path):
            spot = spot.children[part]
            last = depth == len(path) - 1
            mark = (spot.key if last and at_key else spot.value) or spot.key
            if mark is None:
                break
            found = mark
        return found
