"""A store that is a bucket: Amazon's and what speaks like it, Google's, and Azure's containers.

**Whole.** An object appears when all of it has been sent, or not at all; a large one goes in parts, which are given up
when the sending fails. (Parts that a killed process leaves are invisible, and only the bucket's own lifecycle rules
remove them.) What counts as proof that the server has it: see :mod:`tieline.stores.sending`.

**One version.** What is read in several ranges comes from one object, or is an error.

**Nothing of its own.** Names: see :mod:`tieline.stores.names`; folders: :mod:`tieline.stores.listing`. A file's time
and permission bits are kept beside the object, as the metadata ``tieline``.
"""

from __future__ import annotations

import hashlib
import io
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import replace
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

import obstore

from tieline.stores import answers, listing
from tieline.stores.base import Saved, Stat, StoreTrouble, Why, key_parts, shown
from tieline.stores.beneath import closing
from tieline.stores.budget import Budget
from tieline.stores.clients import Opened
from tieline.stores.copying import CHUNK, settles_in
from tieline.stores.digests import Digests, digests_in, digests_of, keeping, kept_digests
from tieline.stores.fetching import OTHER, Chunks, all_of, has_size, in_parts, only
from tieline.stores.listed import PAGE as _PAGE
from tieline.stores.listed import Listing, cuts_of, digest_of, pages
from tieline.stores.listing import FILE_MODE
from tieline.stores.local import open_source, put_here
from tieline.stores.names import key_of, object_name
from tieline.stores.objects import KEPT, as_file, as_stat, version_of
from tieline.stores.reading import PART, Fetch, ObjectReader, Version
from tieline.stores.sending import MOST_PARTS, Sender, Sent, Unlike, pieces, read_all, write_whole
from tieline.stores.telling import Teller

if TYPE_CHECKING:
    from obstore import GetOptions, GetResult, ObjectMeta

MEMORY = 64 * 1024 * 1024
"""Bytes of files that are in memory at once, not counting the library's own copies."""
_CHUNK = 64 * 1024
"""Bytes of a large object that are worth a call, at the least."""
RESTS = 2_000_000_000
"""Nanoseconds after which a file that was written is at rest, as far as that can be known: it is digested first, so
that the object carries its digest."""


class BucketStore:
    """A :class:`tieline.stores.base.Store`. ``prefix``: where in the bucket its root is."""

    at_once = 32

    def __init__(self, opened: Opened, prefix: str = "") -> None:
        self._client, self._server, self._teller = opened.client, opened.server, Teller(opened)
        self.checks = opened.checks
        self._memory = Budget(MEMORY)
        self._sender = Sender(opened.client, opened.checks, lambda name: self._open(name, self._key(name)))
        self._root = "/".join(key_parts(prefix))
        self._marked: set[str] = set()
        self._foreign: dict[str, str] = {}  # objects that a listing told by a name that we would not have given

    def __repr__(self) -> str:
        return f"BucketStore({self._server.shown!r})"

    # --- saving

    def save_file(self, local: Path, key: str, *, digest: bool = False, settled: bool = False) -> Saved:
        """See :class:`tieline.stores.base.Store`. The digest is always told: it is what the sending is checked by."""
        del digest
        name = self._name(key)
        with closing(open_source(local)) as source:
            before = os.fstat(source)
            size, mode = before.st_size, before.st_mode
            mtime_ns = before.st_mtime_ns - (1 if settles_in(before.st_mtime_ns) else 0)
            if size <= PART:
                with self._memory.taking(2 * size):
                    return self._save(name, read_all(source, size, local), key, mtime_ns, mode)
            known = digests_of(source) if settled or time.time_ns() - before.st_mtime_ns > RESTS else None
            while True:
                sent, kept = Sent(pieces(source, size, local), known), keeping(mtime_ns, mode, known)
                self._save_parts(name, sent, size, key, kept)
                if (sha256 := sent.sha256) is not None:
                    return Saved(sent.size, mtime_ns, sha256)
                known = None  # it is being written after all: once more, without a digest that is none of it

    def save_bytes(self, data: bytes, key: str) -> Saved:
        """See :class:`tieline.stores.base.Store`."""
        if len(data) <= PART:
            return self._save(self._name(key), data, key, time.time_ns(), FILE_MODE)
        known, now, whole = digests_in(data), time.time_ns(), memoryview(data)
        chunks = (bytes(whole[place : place + CHUNK]) for place in range(0, len(data), CHUNK))
        self._save_parts(self._name(key), Sent(chunks, known), len(data), key, keeping(now, FILE_MODE, known))
        return Saved(len(data), now, known.sha256)

    def save_chunks(self, chunks: Iterable[bytes], key: str) -> Saved:
        """See :class:`tieline.stores.base.Store`."""
        name, now = self._name(key), time.time_ns()
        rest, first, size = iter(chunks), list[bytes](), 0
        for chunk in rest:
            first.append(chunk)
            size += len(chunk)
            if size > PART:
                sent = Sent(chain(first, rest))
                self._save_parts(name, sent, PART * MOST_PARTS, key, keeping(now, FILE_MODE))
                return Saved(sent.size, now, sent.sha256)
        return self._save(name, b"".join(first), key, now, FILE_MODE)

    def _save(self, name: str, data: bytes, key: str, mtime_ns: int, mode: int) -> Saved:
        """Save what is small, in one request."""
        sha256 = hashlib.sha256(data).hexdigest()
        with self._told("save", key), self._undone(name):
            self._sender.whole(name, data, {KEPT: keeping(mtime_ns, mode, Digests(sha256))}, sha256)
        return Saved(len(data), mtime_ns, sha256)

    def _save_parts(self, name: str, sent: Sent, size: int, key: str, kept: str) -> None:
        with self._memory.taking(self._memory.most), self._told("save", key), self._undone(name):
            self._sender.parts(name, sent, size, {KEPT: kept})

    @contextmanager
    def _undone(self, name: str) -> Iterator[None]:
        """An object that is not what was sent goes: whoever asks for it would take it for saved."""
        try:
            yield
        except Unlike:
            with suppress(obstore.exceptions.BaseError, OSError):  # that it is damaged is what people are told
                self._remove([name])
            raise

    # --- looking

    def stat(self, key: str) -> Stat | None:
        """See :class:`tieline.stores.base.Store`."""
        parts = key_parts(key)
        with self._told("look at", key):
            if parts and (found := self._head(key)) is not None:
                return as_stat(key, found)
            for _ in self._objects(key):
                return listing.folder(key)
        return None if parts or self._root else listing.folder("")

    def _head(self, key: str) -> GetResult | None:
        try:
            return obstore.get(self._client, self._place(key), options={"head": True})
        except FileNotFoundError:  # a folder, or nothing; or the bucket is not there, which a listing tells
            return None

    def list(self, prefix: str = "") -> Iterator[Stat]:
        """See :class:`tieline.stores.base.Store`."""
        return (entry for entry in self.walk(prefix) if entry.what == "file")

    def walk(self, prefix: str = "", unreadable: Callable[[StoreTrouble], None] | None = None) -> Iterator[Stat]:
        """See :class:`tieline.stores.base.Store`."""
        del unreadable  # a bucket's listing is one thing: all of it can be read, or nothing
        key_parts(prefix)
        with self._told("list", prefix):
            found = list(self._objects(prefix))
        if not found:
            only = self.stat(prefix) if prefix else None
            if only is not None and only.what == "file":
                yield only
            return
        yield from self._entries(prefix, found)

    def look(self, key: str, cuts: Sequence[str] = ()) -> Stat | Listing | None:
        """See :class:`tieline.stores.listed.Listable`."""
        parts = key_parts(key)
        with self._told("look at", key):
            head = self._head(key) if parts else None
            if head is not None and (found := as_stat(key, head)).what == "file":
                return found
            every = self._pages(key, cuts) or list(self._objects(key))
        if not every and head is None and (parts or self._root):
            return None
        size = sum(meta["size"] for meta in every)
        return Listing(key, digest_of(every), size, cuts_of(every), lambda: self._entries(key, every))

    def _pages(self, key: str, cuts: Sequence[str]) -> Sequence[ObjectMeta] | None:
        """A listing in parts; S3's alone can begin anywhere, of others the library would read all before that."""
        if not cuts or not isinstance(self._client, obstore.store.S3Store):
            return None
        return pages(lambda after: self._objects(key, after), cuts)

    def _entries(self, prefix: str, found: Iterable[ObjectMeta]) -> Iterator[Stat]:
        return listing.entries(map(self._entry, found), prefix, self._folders_in)

    def _objects(self, prefix: str, after: str | None = None) -> Iterator[ObjectMeta]:
        """All objects under a folder, or those after one of these; raises the library's errors."""
        top = object_name(prefix) if prefix else ""
        below = f"{self._root}/{top}".strip("/")
        for page in obstore.list(self._client, below or None, offset=after, chunk_size=_PAGE):
            yield from page

    def _folders_in(self, folder: str) -> set[str]:
        below = f"{self._root}/{object_name(folder) if folder else ''}".strip("/")
        with self._told("list", folder):
            found = obstore.list_with_delimiter(self._client, below or None)["common_prefixes"]
        return {self._key(name) for name in found}

    def _entry(self, meta: ObjectMeta) -> Stat:
        key = self._key(meta["path"])
        if f"{self._root}/{object_name(key)}".lstrip("/") != meta["path"]:
            self._foreign[key] = meta["path"]
        return as_file(key, meta)

    # --- reading

    def open(self, key: str, offset: int = 0) -> BinaryIO:
        """See :class:`tieline.stores.base.Store`."""
        key_parts(key)
        with self._told("read", key):
            name = self._place(key)
            return self._open(name, key, offset)

    def _open(self, name: str, key: str, offset: int = 0) -> BinaryIO:
        result = self._get(name, {"range": (offset, offset + PART)} if offset else {})
        version = version_of(result.meta)
        if version.size <= PART and not offset:
            first = all_of(self._client, name, result, version, kept_digests(result.attributes.get(KEPT)))
        else:
            first = memoryview(result.bytes() if offset else b"")
        reader = ObjectReader(version, self._range_of(name, key), first, offset)
        return cast(BinaryIO, io.BufferedReader(reader, 128 * 1024))

    def _get(self, name: str, options: GetOptions) -> GetResult:
        try:
            return obstore.get(self._client, name, options=options)
        except obstore.exceptions.GenericError as error:
            found = answers.said(error)
            if found is None or found.status != 416:
                raise
            return obstore.get(self._client, name, options={"head": True})  # nothing is behind the end

    def peek(self, key: str, most: int) -> bytes:
        """The first bytes of an object, and no more of it: for whoever only wants to know whether it can be read."""
        with self._told("read", key):
            return bytes(self._get(self._place(key), {"range": (0, most)}).bytes())

    def some(self, most: int) -> Sequence[Stat]:
        """See :class:`tieline.stores.base.Store`."""
        with self._told("list", ""):
            return [self._entry(meta) for meta in islice(self._objects(""), most)]

    def _range_of(self, name: str, key: str) -> Fetch:
        """Fetches ranges of one object, and only of the version that it was."""

        def fetch(start: int, end: int, version: Version) -> memoryview:
            with self._told("read", key):
                data = memoryview(self._asked(name, key, start, end, version).bytes())
            if len(data) != end - start:
                raise self._changed(key)
            return data

        return fetch

    def _chunks_of(self, name: str, key: str) -> Chunks:
        """The same, as the bytes come: they are neither copied once more nor kept together."""

        def fetch(start: int, end: int, version: Version) -> Iterator[memoryview]:
            with self._told("read", key):
                for chunk in self._asked(name, key, start, end, version).stream(min_chunk_size=_CHUNK):
                    start += len(chunk)
                    yield memoryview(chunk)
            if start != end:
                raise self._changed(key)

        return fetch

    def _asked(self, name: str, key: str, start: int, end: int, version: Version) -> GetResult:
        options: GetOptions = {**only(version.tag), "range": (start, end)}
        result = obstore.get(self._client, name, options=options)
        if version_of(result.meta) != version:
            raise self._changed(key)
        return result

    def _changed(self, key: str) -> StoreTrouble:
        told = f"cannot read {self._shown(key)}: it was written anew meanwhile"
        return StoreTrouble(Why.CHANGED, told, "try again", "")

    def fetch_file(self, key: str, local: Path, *, digest: bool = False, size: int = 0) -> Stat:
        """See :class:`tieline.stores.base.Store`."""
        key_parts(key)
        with self._told("read", key):
            name = self._place(key)
            result = self._head_of_large(name, size)
            is_size_sure = result is not None
            result = result or self._get(name, {})
            meta, said = result.meta, result.attributes.get(KEPT)
            found, version, kept, size = as_file(key, meta, said), version_of(meta), kept_digests(said), meta["size"]
            with self._memory.taking(2 * size if size <= PART else self._memory.most) as waited:
                if size > PART:
                    if not is_size_sure:
                        has_size(self._client, name, version)
                    return self._fetch_parts(name, version, found, kept, local, digest)
                if waited:  # an answer that nobody reads is cut off after a while
                    result = self._get(name, only(version.tag))
                    if version_of(result.meta) != version:
                        raise self._changed(key)
                data = all_of(self._client, name, result, version, kept)
                if digest:
                    found = replace(found, sha256=kept.sha256 if kept else hashlib.sha256(data).hexdigest())
                put_here(local, found, lambda target: write_whole(target, data))
                return found

    def _head_of_large(self, name: str, size: int) -> GetResult | None:
        """What is said of an object that should be a large one; None where it is not, or where only a GET says why it
        cannot be had. Nobody would read the answer to a GET of it."""
        if size > PART:
            with suppress(obstore.exceptions.BaseError):  # as said: the GET comes next
                result = self._get(name, {"head": True})
                return result if result.meta["size"] > PART else None
        return None

    def _fetch_parts(
        self, name: str, version: Version, found: Stat, kept: Digests | None, local: Path, digest: bool
    ) -> Stat:
        hasher = kept.hasher() if kept else hashlib.sha256() if digest else None

        def fill(target: int) -> str | None:
            in_parts(target, version, self._chunks_of(name, found.key), hasher)
            if kept is None:
                return hasher.hexdigest() if hasher is not None else None
            if hasher is not None and hasher.hexdigest() != kept.wanted:
                raise Unlike(OTHER)
            return kept.sha256

        return replace(found, sha256=put_here(local, found, fill))

    # --- changing

    def delete(self, prefix: str) -> None:
        """See :class:`tieline.stores.base.Store`."""
        if not key_parts(prefix):
            raise StoreTrouble(Why.UNSAFE, "will not delete a whole store", "name what is to be deleted")
        self._marked.clear()
        with self._told("delete", prefix):
            if self._head(prefix) is not None:
                self._remove([self._place(prefix)])
                return
            names = [meta["path"] for meta in self._objects(prefix)]
            for start in range(0, len(names), _PAGE):
                self._remove(names[start : start + _PAGE])

    def _remove(self, names: Sequence[str]) -> None:
        """Delete objects, many at once where the server can; one that is gone already is fine."""
        try:
            obstore.delete(self._client, names)
        except (FileNotFoundError, obstore.exceptions.GenericError) as error:
            answer = answers.said(error)
            if answer is None or answer.status != 404:
                raise
            for name in names if len(names) > 1 else ():
                self._remove([name])

    def make_dir(self, prefix: str) -> None:
        """See :class:`tieline.stores.base.Store`."""
        if not key_parts(prefix) or prefix in self._marked:
            return
        with self._told("make", prefix):
            obstore.put(self._client, f"{self._name(prefix)}/{listing.MARKER}", b"", use_multipart=False)
        self._marked.add(prefix)

    def sweep(self, prefix: str = "") -> None:
        """See :class:`tieline.stores.base.Store`; parts that were never put together can only be seen by the server."""

    def flush(self) -> None:
        """See :class:`tieline.stores.base.Store`; what a server has confirmed is safe with it."""

    # --- names and errors

    def _name(self, key: str) -> str:
        if not key_parts(key):
            raise StoreTrouble(Why.IN_THE_WAY, "cannot write the root of a store: it is a folder", "name a file in it")
        return f"{self._root}/{object_name(key)}".lstrip("/")

    def _place(self, key: str) -> str:
        """The name of an object that is to be there."""
        if not key:
            raise StoreTrouble(Why.IN_THE_WAY, "cannot read the root of a store: it is a folder", "name a file in it")
        return self._foreign.get(key) or f"{self._root}/{object_name(key)}".lstrip("/")

    def _key(self, name: str) -> str:
        return key_of(name[len(self._root) + 1 :] if self._root else name)

    def _shown(self, key: str) -> str:
        return repr(f"{self._server.shown}/{shown(key)}".rstrip("/"))

    def _told(self, doing: str, key: str) -> AbstractContextManager[None]:
        """Tell what the library raises as a :class:`StoreTrouble`."""
        return self._teller.told(doing, lambda: (self._shown(key), self._place(key) if key else ""))
