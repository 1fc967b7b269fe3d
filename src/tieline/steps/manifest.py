"""The manifest of an attempt: what the store is to have of its outputs and logs, so that anybody can check it.

``<prefix>/manifest.jsonl``: lines of JSON, UTF-8. The first tells the form and what there is in all, each other one a
file. ``complete``: everything is saved, and what the job removed is gone. As long as it is false the run is under way,
or its saving was cut short: then it lags behind the store. Paths begin with ``outputs/`` or ``logs/``. A name that is
no UTF-8 stands as ``path64`` (base64 of its bytes): JSON can't carry it. ``sha256`` is null where nobody knows it: for
a file that is next to nothing but a hole, in a folder; and for a while after a crash.

Only whoever owns the run writes it, and always whole.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from tieline.errors import Code, Damaged
from tieline.stores import Store, StoreTrouble, Why, shown

FORM = 1
NAME = "manifest.jsonl"
OUTPUTS, LOGS = "outputs/", "logs/"
EVERY = 5.0
"""Seconds between two manifests of a run under way, at least."""
REST = 20.0
"""And so many times what writing the last one took: a job of 100,000 files spends a twentieth on it at the most."""
_LINES = 2_000
_CHUNK = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Entry:
    """One file as the store has it. ``mtime_ns``: its own time of modification; ``saved_ns``: when it was saved."""

    path: str
    size: int
    sha256: str | None
    mtime_ns: int
    saved_ns: int


@dataclass(frozen=True, slots=True)
class Manifest:
    """All files of an attempt, by path, as they were at ``written_ns``."""

    complete: bool = False
    written_ns: int = 0
    entries: Mapping[str, Entry] = field(default_factory=dict)


def key_of(prefix: str) -> str:
    """Where the manifest of an attempt is in its store."""
    return f"{prefix.strip('/')}/{NAME}".lstrip("/")


def lines(manifest: Manifest) -> Iterator[bytes]:
    """A manifest as it is written, in chunks."""
    entries = manifest.entries.values()
    head = {
        "tielineManifest": FORM, "complete": manifest.complete, "writtenAt": _moment(manifest.written_ns),
        "files": len(entries), "bytes": sum(entry.size for entry in entries),
    }  # fmt: skip
    yield _line(head)
    rest = iter(entries)
    while some := b"".join(_line(_form(entry)) for entry in islice(rest, _LINES)):
        yield some


def _form(entry: Entry) -> dict[str, Any]:
    try:
        entry.path.encode()
        named = {"path": entry.path}
    except UnicodeEncodeError:
        named = {"path64": base64.b64encode(os.fsencode(entry.path)).decode()}
    times = {"mtimeNs": entry.mtime_ns, "savedAt": _moment(entry.saved_ns)}
    return {**named, "size": entry.size, "sha256": entry.sha256, **times}


def _line(data: Mapping[str, Any]) -> bytes:
    return json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def parsed(data: Iterable[bytes]) -> Manifest:
    """The manifest of these lines. Raises ValueError where they are none, or not all of it."""
    rest = iter(data)
    head = json.loads(next(rest, b""))
    if not isinstance(head, dict) or head.get("tielineManifest") != FORM:
        raise ValueError(f"it has not the form {FORM}")
    try:
        entries = [_entry(json.loads(line)) for line in rest]
        written = _nanoseconds(head["writtenAt"])
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"a line is no entry: {error}") from None
    if len(entries) != head.get("files"):
        raise ValueError(f"it has {len(entries)} entries, and says {head.get('files')}")
    return Manifest(head.get("complete") is True, written, {entry.path: entry for entry in entries})


def _entry(form: dict[str, Any]) -> Entry:
    coded = form.get("path64")
    path = os.fsdecode(base64.b64decode(coded, validate=True)) if coded is not None else str(form["path"])
    return Entry(path, int(form["size"]), form["sha256"], int(form["mtimeNs"]), _nanoseconds(form["savedAt"]))


def _moment(nanoseconds: int) -> str:
    return datetime.fromtimestamp(nanoseconds // 1000 / 1e6, UTC).isoformat()


def _nanoseconds(moment: str) -> int:
    return round(datetime.fromisoformat(moment).timestamp() * 1e6) * 1000


def read_manifest(store: Store, prefix: str) -> Manifest | None:
    """The manifest of an attempt as it is by now; None where there is none. Raises StoreTrouble; Damaged where it
    cannot be understood."""
    key = key_of(prefix)
    for last in (False, False, True):
        try:
            with store.open(key) as stream:
                return parsed(stream)
        except StoreTrouble as error:
            if error.why == Why.NOT_FOUND:
                return None
            if error.why == Why.DAMAGED:
                raise _not_understood(key, error) from None
            if error.why != Why.CHANGED or last:  # a newer one was written meanwhile
                raise
        except ValueError as error:
            raise _not_understood(key, error) from None
    return None


def _not_understood(key: str, error: Exception) -> Damaged:
    message = f"the manifest {shown(key)!r} cannot be understood: {error}"
    return Damaged.of(Code.DAMAGED, message, "it was changed, or a newer Tieline wrote it")


def digest_of(store: Store, key: str, told: Callable[[int], object] = bool) -> tuple[int, str]:
    """How many bytes the store has at a key, and their SHA-256: all of it is read. ``told`` of each piece's size."""
    digest, size = hashlib.sha256(), 0
    with store.open(key) as stream:
        while data := stream.read(_CHUNK):
            digest.update(data)
            size += len(data)
            told(len(data))
    return size, digest.hexdigest()


class Keeper:
    """The one writer of an attempt's manifest."""

    def __init__(self, store: Store, prefix: str) -> None:
        self._store, self._prefix = store, prefix
        self._next = time.monotonic() + EVERY

    @property
    def is_due(self) -> bool:
        """Whether it is time for another one while the run is under way."""
        return time.monotonic() >= self._next

    def before(self) -> Mapping[str, Entry]:
        """What the owner before this one wrote down. Raises StoreTrouble."""
        try:
            found = read_manifest(self._store, self._prefix)
        except Damaged:  # somebody spoiled it: the files themselves are read again
            return {}
        return found.entries if found else {}

    def write(self, entries: Iterable[Entry], *, complete: bool = False) -> None:
        """Replace it. Raises StoreTrouble; then the one before is still there."""
        began = time.monotonic()
        listed = {entry.path: entry for entry in sorted(entries, key=lambda entry: os.fsencode(entry.path))}
        try:
            self._store.save_chunks(lines(Manifest(complete, time.time_ns(), listed)), key_of(self._prefix))
        finally:
            now = time.monotonic()
            self._next = now + max(EVERY, REST * (now - began))
