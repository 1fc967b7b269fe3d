"""An artifacts store that only the cluster sees, as a store: every question goes to a pod that has it mounted."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, NoReturn, Protocol

from tieline.engines.kubernetes.reader import AT_ONCE
from tieline.engines.kubernetes.reader_session import Broken
from tieline.engines.kubernetes.reader_words import stat_of
from tieline.engines.kubernetes.refusals import ClusterError
from tieline.engines.kubernetes.refusals import Why as Answered
from tieline.errors import Code, Refused
from tieline.stores import Saved, Stat, StoreTrouble, Why, key_parts, shown
from tieline.stores.copying import write_all
from tieline.stores.local import put_here

PIECE = 4 * 1024 * 1024
"""Bytes that are asked for at once, where a file is read bit by bit."""
TRIES = 3
"""So often the same piece is asked for, if the pod goes away."""
Items = list[Any]
_WHY = {Answered.FORBIDDEN: Why.FORBIDDEN, Answered.UNAUTHENTICATED: Why.NOT_AUTHENTICATED}


class Asked(Protocol):
    """Who answers: :class:`tieline.engines.kubernetes.reader.Reader`."""

    def ask(self, request: Mapping[str, Any], take: Callable[[bytes], None] = ...) -> list[Any]:
        """The items of the answer; its bytes go to ``take``."""


class ReaderStore:
    """A :class:`tieline.stores.base.Store` that is read, and may be deleted from; nothing is saved to it from here."""

    checks = True
    at_once = AT_ONCE

    def __init__(self, asked: Asked) -> None:
        self._asked = asked

    # --- reading

    def stat(self, key: str) -> Stat | None:
        """See :class:`tieline.stores.base.Store`."""
        (found,) = self.ask("stat", key)
        return None if found is None else stat_of(found)

    def list(self, prefix: str = "") -> Iterator[Stat]:
        """See :class:`tieline.stores.base.Store`."""
        return (entry for entry in self.walk(prefix) if entry.what == "file")

    def walk(self, prefix: str = "", unreadable: Callable[[StoreTrouble], None] | None = None) -> Iterator[Stat]:
        """See :class:`tieline.stores.base.Store`. A folder that cannot be read raises."""
        del unreadable
        for stats in self.ask("walk", prefix):
            yield from map(stat_of, stats)

    def some(self, most: int) -> Sequence[Stat]:
        """See :class:`tieline.stores.base.Store`."""
        return tuple(islice(self.list(), most))

    def open(self, key: str, offset: int = 0) -> BinaryIO:
        """See :class:`tieline.stores.base.Store`."""
        return io.BufferedReader(_Remote(self, key, offset), PIECE)

    def fetch_file(self, key: str, local: Path, *, digest: bool = False, size: int = 0) -> Stat:
        """See :class:`tieline.stores.base.Store`."""
        del size
        found = self.stat(key)
        if found is None or found.what == "dir":
            raise StoreTrouble(Why.NOT_FOUND, f"there is no file {shown(key)!r} in the store", "list what there is")

        def fill(target: int) -> tuple[int, str]:
            sha256, count = hashlib.sha256(), 0

            def take(data: bytes) -> None:
                nonlocal count
                write_all(target, data, count)
                count += len(data)
                sha256.update(data)

            self.ask("read", key, take, offset=0, size=None, tag="")
            return count, sha256.hexdigest()

        count, said = put_here(local, found, fill)
        return replace(found, size=count, sha256=said if digest else None)

    # --- changing

    def delete(self, prefix: str) -> None:
        """See :class:`tieline.stores.base.Store`."""
        self.ask("delete", prefix)

    def save_file(self, local: Path, key: str, *, digest: bool = False, settled: bool = False) -> Saved:
        """Raises StoreTrouble."""
        del local, digest, settled
        _refuse(key)

    def save_bytes(self, data: bytes, key: str) -> Saved:
        """Raises StoreTrouble."""
        del data
        _refuse(key)

    def save_chunks(self, chunks: Iterable[bytes], key: str) -> Saved:
        """Raises StoreTrouble."""
        del chunks
        _refuse(key)

    def make_dir(self, prefix: str) -> None:
        """Raises StoreTrouble."""
        _refuse(prefix)

    def sweep(self, prefix: str = "") -> None:
        """Nothing: whoever writes it is in the cluster."""

    def flush(self) -> None:
        """Nothing was saved."""

    # --- asking

    def ask(self, op: str, key: str, take: Callable[[bytes], None] = lambda _: None, **more: Any) -> Items:
        """One question. Raises StoreTrouble."""
        key_parts(key)
        try:
            return self._asked.ask({"op": op, "key": key, **more}, take)
        except Broken as error:
            text = f"the pod that reads the store went away in the middle of an answer: {error}"
            raise StoreTrouble(Why.UNREACHABLE, text, "try again") from None
        except ClusterError as error:
            problem = error.problems[0]
            why = _WHY.get(error.why, Why.UNREACHABLE)
            raise StoreTrouble(why, problem.message, problem.hint, again=error.why.may_pass) from None
        except Refused as error:
            problem = error.problems[0]
            why = Why.FORBIDDEN if problem.code == Code.NOT_PERMITTED else Why.BROKEN
            raise StoreTrouble(why, problem.message, problem.hint, again=False) from None


class _Remote(io.RawIOBase):
    """A file in the store, from an offset; all that is read is of one version."""

    def __init__(self, store: ReaderStore, key: str, offset: int) -> None:
        super().__init__()
        self._store, self._key, self._at, self._tag = store, key, offset, ""
        self._left = memoryview(b"")
        self._fetch()  # what cannot be read is told now

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._left:
            self._fetch()
        count = min(len(self._left), len(buffer))
        buffer[:count] = self._left[:count]
        self._left = self._left[count:]
        return count

    def _fetch(self) -> None:
        for left in range(TRIES - 1, -1, -1):
            pieces: list[bytes] = []
            try:
                more = {"offset": self._at, "size": PIECE, "tag": self._tag}
                (self._tag,) = self._store.ask("read", self._key, pieces.append, **more)
                break
            except StoreTrouble as error:  # (another pod is started where the last one has gone)
                if not left or error.why is not Why.UNREACHABLE or not error.again:
                    raise
        data = b"".join(pieces)
        self._at += len(data)
        self._left = memoryview(data)


def _refuse(key: str) -> NoReturn:
    raise StoreTrouble(
        Why.READ_ONLY, f"{shown(key)!r} cannot be saved from here: only the cluster sees the store", "save it in a job"
    )
