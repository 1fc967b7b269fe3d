"""A document: the plain data of one file, and where each part of it stands.

Data is built straight from the events of PyYAML's C parser: no tree of nodes, so a catalog of 100,000 connections
costs its
data and little more. Places are found by reading the text's events a second time, when somebody asks: a file
without problems never pays for them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from yaml import events as yaml_events

from tieline.documents.scalars import plain_value
from tieline.errors import Code, InvalidInput, NotFound, Place, Problem

MAX_BYTES = 256 * 1024 * 1024
MAX_DEPTH = 60
MAX_ALIAS_NODES = 100_000
TAG = "tag:yaml.org,2002:"
COLLECTION_TAGS = frozenset({None, "!", f"{TAG}map", f"{TAG}seq"})
TAGGED: dict[str, type | tuple[type, ...]] = {
    f"{TAG}int": int,
    f"{TAG}float": (int, float),
    f"{TAG}bool": bool,
    f"{TAG}null": type(None),
}

FieldPath = tuple[str | int, ...]


def field_text(path: Iterable[str | int]) -> str:
    """``("connections", 3, "schema")`` → ``connections[3].schema``."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


@dataclass(slots=True)
class Document:
    """One file's data. ``file`` is the name to show; ``text`` is kept to find places in."""

    file: str
    text: str
    data: Any
    _digest: str = field(default="", repr=False)
    _found: dict[tuple[FieldPath, bool], Place] = field(default_factory=dict, repr=False)

    @property
    def digest(self) -> str:
        """SHA-256 of the text, in hex."""
        if not self._digest:
            self._digest = hashlib.sha256(self.text.encode("utf-8", "surrogatepass")).hexdigest()
        return self._digest

    def place(self, path: Sequence[str | int], *, at_key: bool = False) -> Place:
        """Where the value at ``path`` stands (or its key), or the nearest thing around it that is there."""
        return self.places([(tuple(path), at_key)])[0]

    def places(self, wanted: Sequence[tuple[FieldPath, bool]]) -> list[Place]:
        """The places of many paths, in one reading; a place is looked for once."""
        new = [key for key in wanted if key not in self._found]
        if new:
            marks = _Marks(path for path, _ in new)
            marks.read(self.text)
            for path, at_key in new:
                self._found[path, at_key] = Place(self.file, *marks.nearest(path, at_key), field_text(path))
        return [self._found[key] for key in wanted]


def read_document(path: Path, *, shown_as: str | None = None) -> Document:
    """Read a file. Raises NotFound, or InvalidInput with what is wrong and where."""
    name = shown_as or str(path)
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except (FileNotFoundError, NotADirectoryError):
        raise NotFound(
            Problem(Code.FILE_NOT_FOUND, f"there is no file {name}", "check the path", Place(name))
        ) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InvalidInput(
            Problem(
                Code.FILE_UNREADABLE,
                f"cannot be read: {reason}",
                "check the path and its rights",
                Place(name),
            )
        ) from None
    return parse_document(raw, name)


def parse_document(raw: bytes | str, file: str) -> Document:
    """Build a document from bytes (UTF-8, with or without a BOM) or text. Raises InvalidInput."""
    if len(raw) > MAX_BYTES:
        raise _refusal(Code.TOO_LARGE, f"is larger than {MAX_BYTES >> 20} MiB", "split it", Place(file))
    text = raw if isinstance(raw, str) else _decode(raw, file)
    try:
        return Document(file, text, _Builder(text, file).build())
    except yaml.YAMLError as error:
        raise _syntax_error(error, file) from None


def _decode(raw: bytes, file: str) -> str:
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = raw[: error.start]
        line = before.count(b"\n") + 1
        column = error.start - (before.rfind(b"\n") + 1) + 1
        raise _refusal(
            Code.BAD_ENCODING, f"is not UTF-8 (byte 0x{raw[error.start]:02x})", "save it as UTF-8",
            Place(file, line, column),
        ) from None  # fmt: skip


def _refusal(code: Code, message: str, hint: str, place: Place) -> InvalidInput:
    return InvalidInput(Problem(code, message, hint, place))


def _syntax_error(error: yaml.YAMLError, file: str) -> InvalidInput:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    reason = str(getattr(error, "problem", None) or getattr(error, "reason", None) or "not YAML")
    context = getattr(error, "context", None)
    message = f"not valid YAML: {reason}" + (f" ({context})" if context else "")
    hint = "indent with spaces, not tabs" if "'\\t'" in reason else "check indentation, quotes and colons"
    place = Place(file, mark.line + 1, mark.column + 1) if mark else Place(file, 1, 1)
    return _refusal(Code.BAD_SYNTAX, message, hint, place)


def _events(text: str) -> Callable[[], Any]:
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


class _Builder:
    """Plain data from events. An alias shares its anchor's data; what aliases expand to is limited."""

    def __init__(self, text: str, file: str) -> None:
        self.file = file
        self.next = _events(text)
        self.anchors: dict[str, tuple[Any, int]] = {}
        self.nodes = 0  # values built, aliases counted with all that they stand for
        self.from_aliases = 0

    def build(self) -> Any:
        self.next()  # stream start
        if isinstance(self.next(), yaml_events.StreamEndEvent):
            return None
        data = self.value(self.next(), 0)
        self.next()  # document end
        extra = self.next()
        if not isinstance(extra, yaml_events.StreamEndEvent):
            raise self.refuse(extra, Code.BAD_SYNTAX, "a second document begins here", "one document a file")
        return data

    def refuse(self, event: Any, code: Code, message: str, hint: str) -> InvalidInput:
        mark = event.start_mark
        return _refusal(code, message, hint, Place(self.file, mark.line + 1, mark.column + 1))

    def value(self, event: Any, depth: int) -> Any:
        self.nodes += 1
        kind = type(event)
        if kind is yaml_events.ScalarEvent:
            if event.tag is None and event.anchor is None:  # nearly every value there is
                return plain_value(event.value) if event.implicit[0] else event.value
            return self.anchored(event, self.nodes, self.scalar(event))
        if kind is yaml_events.AliasEvent:
            return self.alias(event)
        if depth >= MAX_DEPTH:
            raise self.refuse(event, Code.TOO_DEEP, f"is nested deeper than {MAX_DEPTH} levels", "flatten it")
        if event.tag not in COLLECTION_TAGS:
            raise self.bad_tag(event)
        before = self.nodes
        built = self.mapping(depth) if kind is yaml_events.MappingStartEvent else self.sequence(depth)
        return self.anchored(event, before, built)

    def anchored(self, event: Any, before: int, built: Any) -> Any:
        if event.anchor is not None:
            self.anchors[event.anchor] = (built, self.nodes - before + 1)
        return built

    def alias(self, event: Any) -> Any:
        if event.anchor not in self.anchors:
            raise self.refuse(event, Code.BAD_SYNTAX, f"the alias *{event.anchor} has no anchor before it",
                              f"write &{event.anchor} at the value that it stands for")  # fmt: skip
        built, size = self.anchors[event.anchor]
        self.nodes += size
        self.from_aliases += size
        if self.from_aliases > MAX_ALIAS_NODES:
            raise self.refuse(event, Code.ALIAS_EXPANSION,
                              f"aliases expand to more than {MAX_ALIAS_NODES} values", "write them out")  # fmt: skip
        return built

    def scalar(self, event: Any) -> Any:
        if event.tag is None or event.tag == "!":
            return plain_value(event.value) if event.implicit[0] else event.value
        if event.tag == f"{TAG}str":
            return event.value
        value = plain_value(event.value)
        if isinstance(value, TAGGED.get(event.tag, ())):
            return value
        raise self.bad_tag(event)

    def bad_tag(self, event: Any) -> InvalidInput:
        tag = str(event.tag).replace(TAG, "!!")
        return self.refuse(event, Code.BAD_SYNTAX, f"the tag {tag} cannot be read here", "write plain data")

    def sequence(self, depth: int) -> list[Any]:
        items = []
        while type(event := self.next()) is not yaml_events.SequenceEndEvent:
            items.append(self.value(event, depth + 1))
        return items

    def mapping(self, depth: int) -> dict[str, Any]:
        built: dict[str, Any] = {}
        merged: list[Any] = []
        while type(event := self.next()) is not yaml_events.MappingEndEvent:
            if type(event) is not yaml_events.ScalarEvent:
                raise self.refuse(event, Code.BAD_SYNTAX, "a key must be plain text", "write 'key: value'")
            if event.value == "<<" and event.implicit[0]:
                merged.append((event, self.value(self.next(), depth + 1)))
                continue
            if event.value in built:
                raise self.refuse(event, Code.DUPLICATE_KEY, f"{event.value!r} is given twice in one mapping",
                                  "keep one of them")  # fmt: skip
            built[event.value] = self.value(self.next(), depth + 1)
        return self.merge(built, merged) if merged else built

    def merge(self, built: dict[str, Any], merged: list[Any]) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for event, value in reversed(merged):
            for item in reversed(value if isinstance(value, list) else [value]):
                if not isinstance(item, dict):
                    raise self.refuse(event, Code.BAD_SYNTAX, "'<<' takes mappings only", "merge a mapping")
                result.update(item)
        result.update(built)
        return result


Mark = tuple[int, int]


@dataclass(slots=True)
class _Spot:
    """A node of the tree of wanted paths, with the marks that were met."""

    key: Mark | None = None
    value: Mark | None = None
    children: dict[str | int, _Spot] = field(default_factory=dict)


class _Marks:
    """Finds the marks of wanted paths in one pass over the events, stepping over everything else."""

    def __init__(self, paths: Iterable[FieldPath]) -> None:
        self.root = _Spot()
        for path in paths:
            spot = self.root
            for part in path:
                spot = spot.children.setdefault(part, _Spot())

    def read(self, text: str) -> None:
        self.next = _events(text)
        try:
            self.next()
            self.next()
            self.visit(self.next(), self.root)
        except yaml.YAMLError:
            return  # the text was refused for its syntax already, with its own place

    def visit(self, event: Any, spot: _Spot | None) -> None:
        kind = type(event)
        if spot is not None:
            spot.value = (event.start_mark.line + 1, event.start_mark.column + 1)
        if kind is yaml_events.MappingStartEvent:
            while type(key := self.next()) is not yaml_events.MappingEndEvent:
                child = spot.children.get(getattr(key, "value", "")) if spot else None
                if child is not None:
                    child.key = (key.start_mark.line + 1, key.start_mark.column + 1)
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
