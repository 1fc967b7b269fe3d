"""A document: the plain data of one file, and where each part of it stands.

Data is built straight from the events of PyYAML's C parser: no tree of nodes, so a catalog of 100,000 connections
costs its
data and little more. Places are found by reading the text's events a second time, when somebody asks: a file
without problems never pays for them.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from yaml import events as yaml_events

from tieline.documents.marks import FieldPath as FieldPath
from tieline.documents.marks import Marks, events_of, mark_at
from tieline.documents.scalars import plain_value
from tieline.errors import Code, InvalidInput, NotFound, Place, Problem

MAX_BYTES = 256 * 1024 * 1024
MAX_DEPTH = 60
MAX_ALIAS_NODES = 100_000
TEXT_OF_A_NODE = 64
"""Characters of text that count as much as one value, where aliases repeat them."""
NUL_ESCAPES = ("\\0", "\\x00", "\\u0000", "\\U00000000")
MAX_SHOWN = 400
"""Characters of a message or a field: a file may have a key of ten million."""
TAG = "tag:yaml.org,2002:"
COLLECTION_TAGS = frozenset({None, "!", f"{TAG}map", f"{TAG}seq"})
TAGGED: dict[str, type | tuple[type, ...]] = {
    f"{TAG}int": int,
    f"{TAG}float": (int, float),
    f"{TAG}bool": bool,
    f"{TAG}null": type(None),
}


def field_text(path: Iterable[str | int]) -> str:
    """``("connections", 3, "schema")`` → ``connections[3].schema``."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return shortened(text)


def shortened(text: str) -> str:
    """What a person is shown of a text that a file may have made as long as it likes."""
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}…"


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
            marks = Marks(path for path, _ in new)
            marks.read(self.text)
            for path, at_key in new:
                self._found[path, at_key] = Place(self.file, *marks.nearest(path, at_key), field_text(path))
        return [self._found[key] for key in wanted]


def read_document(path: Path, *, shown_as: str | None = None) -> Document:
    """Read a regular file. Raises NotFound, or InvalidInput with what is wrong and where."""
    name = shown_as or str(path)
    try:
        # a pipe would keep its reader waiting for ever at this point already, and /dev/zero never ends
        with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK | os.O_NOCTTY)) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise ValueError("it is a pipe or a device, and no file")
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
    text = raw.removeprefix("\ufeff") if isinstance(raw, str) else _decode(raw, file)
    try:
        builder = _Builder(text, file)
        data = builder.build()
        if any(escape in text for escape in NUL_ESCAPES):
            builder.refuse_nul(text)
        return Document(file, text, data)
    except UnicodeEncodeError as error:  # text that was never a file's: half of a surrogate pair
        raise _refusal(
            Code.BAD_ENCODING, f"is not Unicode (U+{ord(text[error.start]):04X})", "save it as UTF-8",
            Place(file, *mark_at(text, error.start)),
        ) from None  # fmt: skip
    except yaml.YAMLError as error:
        raise _syntax_error(error, text, file) from None


def _decode(raw: bytes, file: str) -> str:
    bare = raw.removeprefix(b"\xef\xbb\xbf")
    try:
        return bare.decode("utf-8")
    except UnicodeDecodeError as error:
        before = bare[: error.start].decode("utf-8")
        raise _refusal(
            Code.BAD_ENCODING, f"is not UTF-8 (byte 0x{bare[error.start]:02x})", "save it as UTF-8",
            Place(file, *mark_at(before, len(before))),
        ) from None  # fmt: skip


def _refusal(code: Code, message: str, hint: str, place: Place) -> InvalidInput:
    return InvalidInput(Problem(code, shortened(message), shortened(hint), place))


def _syntax_error(error: yaml.YAMLError, text: str, file: str) -> InvalidInput:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    reason = str(getattr(error, "problem", None) or getattr(error, "reason", None) or "not YAML")
    context = getattr(error, "context", None)
    message = f"not valid YAML: {reason}" + (f" ({context})" if context else "")
    hint = "indent with spaces, not tabs" if "'\\t'" in reason else "check indentation, quotes and colons"
    if mark is None:  # the reader's: a character that is in no YAML; its offset is in bytes
        offset = int(getattr(error, "position", None) or 0)
        before = text.encode("utf-8", "surrogatepass")[:offset].decode("utf-8", "ignore")
        place = Place(file, *mark_at(before, len(before)))
    elif mark.index >= len(text):  # the parser's end of a text is one line below it
        place = Place(file, *mark_at(text, len(text)))
    else:
        place = Place(file, mark.line + 1, mark.column + 1)
    return _refusal(Code.BAD_SYNTAX, message, hint, place)


class _Builder:
    """Plain data from events. An alias shares its anchor's data; what aliases expand to is limited."""

    def __init__(self, text: str, file: str) -> None:
        self.file = file
        self.next = events_of(text)
        self.anchors: dict[str, tuple[Any, int, int]] = {}  # a value, its nodes, its levels
        self.nodes = 0  # values built, aliases counted with all that they stand for
        self.from_aliases = 0
        self.deepest = 0  # the deepest level since somebody last asked
        self.end: Any = None  # the last event of the collection that was built last

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

    def refuse_nul(self, text: str) -> None:
        """A text with a NUL in it, which only an escape can bring there, would be cut off by whatever takes it."""
        self.next = events_of(text)
        while type(event := self.next()) is not yaml_events.StreamEndEvent:
            if type(event) is yaml_events.ScalarEvent and "\0" in event.value:
                raise self.refuse(event, Code.BAD_VALUE, "has a NUL character in it",
                                  "no name, path, variable or argument can have one")  # fmt: skip

    def refuse(self, event: Any, code: Code, message: str, hint: str) -> InvalidInput:
        mark = event.start_mark
        return _refusal(code, message, hint, Place(self.file, mark.line + 1, mark.column + 1))

    def value(self, event: Any, depth: int) -> Any:
        self.nodes += 1
        kind = type(event)
        if kind is yaml_events.ScalarEvent:
            if event.tag is None and event.anchor is None:  # nearly every value there is
                return plain_value(event.value) if event.implicit[0] else event.value
            return self.word(event)
        if kind is yaml_events.AliasEvent:
            return self.alias(event, depth)
        if depth >= MAX_DEPTH:
            raise self.refuse(event, Code.TOO_DEEP, f"is nested deeper than {MAX_DEPTH} levels", "flatten it")
        if event.tag not in COLLECTION_TAGS:
            raise self.bad_tag(event)
        if depth >= self.deepest:
            self.deepest = depth + 1
        if event.anchor is not None:
            return self.anchored(event, depth)
        return self.mapping(depth) if kind is yaml_events.MappingStartEvent else self.sequence(depth)

    def anchored(self, event: Any, depth: int) -> Any:
        """A mapping or list that aliases may stand for: how large and how deep it is has to be known."""
        self.anchors.pop(event.anchor, None)  # what it holds cannot be itself, nor an older one of its name
        before, deepest, self.deepest = self.nodes, self.deepest, depth + 1
        built = self.mapping(depth) if type(event) is yaml_events.MappingStartEvent else self.sequence(depth)
        text = self.end.end_mark.index - event.start_mark.index
        self.anchors[event.anchor] = (built, self.nodes - before + 1 + text // TEXT_OF_A_NODE, self.deepest - depth)
        self.deepest = max(deepest, self.deepest)
        return built

    def word(self, event: Any) -> Any:
        """A scalar with a tag or an anchor."""
        value = self.scalar(event)
        if event.anchor is not None:
            self.anchors[event.anchor] = (value, 1 + len(event.value) // TEXT_OF_A_NODE, 0)
        return value

    def alias(self, event: Any, depth: int) -> Any:
        if event.anchor not in self.anchors:
            raise self.refuse(event, Code.BAD_SYNTAX, f"the alias *{event.anchor} has no anchor before it",
                              f"write &{event.anchor} at the value that it stands for")  # fmt: skip
        built, size, levels = self.anchors[event.anchor]
        if depth + levels > MAX_DEPTH:
            raise self.refuse(event, Code.TOO_DEEP, f"is nested deeper than {MAX_DEPTH} levels", "flatten it")
        self.deepest = max(self.deepest, depth + levels)
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
        self.end = event
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
            if event.anchor is not None:
                self.anchors[event.anchor] = (event.value, 1 + len(event.value) // TEXT_OF_A_NODE, 0)
            built[event.value] = self.value(self.next(), depth + 1)
        self.end = event
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
