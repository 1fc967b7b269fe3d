"""A store that is a bucket: Amazon's and what speaks like it, Google's, and Azure's containers.

**Whole.** An object appears when all of it has been sent, or not at all; a large one goes in parts, which are given up
when the sending fails. (Parts that a killed process leaves are invisible, and only the bucket's own lifecycle rules
remove them.) After each save the server is asked for the size that it has.

**One version.** What is read in several ranges comes from one object, or is an error.

**Nothing of its own.** Names: see :mod:`tieline.stores.names`; folders: :mod:`tieline.stores.listing`. A file's time
and permission bits are kept beside the object, as the metadata ``tieline``.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

import obstore

from tieline.stores import answers, listing
from tieline.stores.base import Saved, Stat, StoreTrouble, Why, key_parts, shown
from tieline.stores.beneath import closing
from tieline.stores.clients import Opened
from tieline.stores.copying import settles_in
from tieline.stores.local import open_source, write_part
from tieline.stores.names import key_of, object_name
from tieline.stores.reading import PART, ObjectReader, Version, ranges
from tieline.stores.sending import Sent, pieces, write_with_holes

if TYPE_CHECKING:
    from obstore import GetOptions, GetResult, ObjectMeta

KEPT = "tieline"
AT_ONCE = 4
"""Parts of one object that are sent or fetched at the same time."""
_MOST_PARTS = 9_000  # S3 takes 10,000
_PAGE = 1_000


class BucketStore:
    """A :class:`tieline.stores.base.Store`. ``prefix``: where in the bucket its root is."""

    def __init__(self, opened: Opened, prefix: str = "") -> None:
        self._client, self._server, self._renew = opened.client, opened.server, opened.renew
        self._root = "/".join(key_parts(prefix))
        self._marked: set[str] = set()
        self._foreign: dict[str, str] = {}  # objects that a listing told by a name that we would not have given

    def __repr__(self) -> str:
        return f"BucketStore({self._server.shown!r})"

    # --- saving

    def save_file(self, local: Path, key: str, *, digest: bool = False) -> Saved:
        """See :class:`tieline.stores.base.Store`."""
        name = self._name(key)
        with closing(open_source(local)) as source:
            before = os.fstat(source)
            mtime_ns = before.st_mtime_ns - (1 if settles_in(before.st_mtime_ns) else 0)
            sent = Sent(pieces(source, before.st_size, local), digest=digest)
            kept = {KEPT: listing.keeping(mtime_ns, before.st_mode)}
            self._send(name, sent, before.st_size, kept, key)
        return Saved(sent.size, mtime_ns, sent.sha256 if digest else None)

    def save_bytes(self, data: bytes, key: str) -> Saved:
        """See :class:`tieline.stores.base.Store`."""
        return self.save_chunks((data,), key)

    def save_chunks(self, chunks: Iterable[bytes], key: str) -> Saved:
        """See :class:`tieline.stores.base.Store`."""
        name, sent = self._name(key), Sent(iter(chunks), digest=True)
        first: list[bytes] = []
        for chunk in sent:
            first.append(chunk)
            if sent.size > PART:
                break
        size = sent.size
        meta = self._send(name, chain(first, sent), size if size <= PART else PART * _MOST_PARTS, {}, key, sent)
        return Saved(sent.size, _written(meta), sent.sha256)

    def _send(
        self, name: str, chunks: Iterable[bytes], most: int, kept: dict[str, str], key: str, sent: Sent | None = None
    ) -> ObjectMeta:
        """Send chunks of ``most`` bytes in all, in one request or in parts, and ask for what has arrived."""
        counted = sent or cast(Sent, chunks)
        with self._told("save", key):
            if most <= PART:
                obstore.put(self._client, name, b"".join(chunks), attributes=kept, use_multipart=False)
            else:
                size = PART if sent else max(PART, -(-most // _MOST_PARTS))
                parts = iter(chunks)
                obstore.put(
                    self._client, name, parts, attributes=kept, use_multipart=True, chunk_size=size,
                    max_concurrency=AT_ONCE,
                )  # fmt: skip
            meta = obstore.head(self._client, name)
        if meta["size"] != counted.size:
            raise StoreTrouble(
                Why.BROKEN,
                f"cannot save {self._shown(key)}: {counted.size} bytes were sent, and the server has {meta['size']}",
                "see whether something else writes there",
            )
        return meta

    # --- looking

    def stat(self, key: str) -> Stat | None:
        """See :class:`tieline.stores.base.Store`."""
        parts = key_parts(key)
        with self._told("look at", key):
            if parts and (found := self._head(key)) is not None:
                is_folder = found.attributes.get("hdi_isfolder") == "true"  # Azure's own folders, where it has some
                return listing.folder(key) if is_folder else _stat(key, found)
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
            found = [self._entry(meta) for meta in self._objects(prefix)]
        if not found:
            only = self.stat(prefix) if prefix else None
            if only is not None and only.what == "file":
                yield only
            return
        yield from listing.entries(found, prefix, self._folders_in)

    def _objects(self, prefix: str) -> Iterator[ObjectMeta]:
        """All objects under a folder; raises the library's errors."""
        top = object_name(prefix) if prefix else ""
        below = f"{self._root}/{top}".strip("/")
        for page in obstore.list(self._client, below or None, chunk_size=_PAGE):
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
        return Stat(key, meta["size"], _written(meta), listing.FILE_MODE)

    # --- reading

    def open(self, key: str, offset: int = 0) -> BinaryIO:
        """See :class:`tieline.stores.base.Store`."""
        key_parts(key)
        with self._told("read", key):
            name = self._place(key)
            result, first = self._first(name, offset)
        fetch = self._range_of(name, key)
        reader = ObjectReader(_version(result), fetch, first, offset)
        return cast(BinaryIO, io.BufferedReader(reader, 128 * 1024))

    def _first(self, name: str, offset: int) -> tuple[GetResult, bytes]:
        """What the object is, and the first bytes that are wanted of it."""
        result = self._get(name, {"range": (offset, offset + PART)} if offset else {})
        if result.meta["size"] <= PART or offset:
            return result, bytes(result.bytes())
        return result, b""

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

    def _range_of(self, name: str, key: str) -> Callable[[int, int, Version], bytes]:
        """Fetches ranges of one object, and only of the version that it was."""

        def fetch(start: int, end: int, version: Version) -> bytes:
            options: GetOptions = {"range": (start, end)}
            if version.tag is not None and not version.tag.startswith("W/"):
                options["if_match"] = version.tag
            with self._told("read", key):
                result = obstore.get(self._client, name, options=options)
                if _version(result) != version:
                    raise self._changed(key)
                data = bytes(result.bytes())
            if len(data) != end - start:
                raise self._changed(key)
            return data

        return fetch

    def _changed(self, key: str) -> StoreTrouble:
        return StoreTrouble(
            Why.CHANGED, f"cannot read {self._shown(key)}: it was written anew meanwhile", "try again", ""
        )

    def fetch_file(self, key: str, local: Path) -> Stat:
        """See :class:`tieline.stores.base.Store`."""
        key_parts(key)
        with self._told("read", key):
            name = self._place(key)
            result = self._get(name, {})
            found, version = _stat(key, result), _version(result)
            small = bytes(result.bytes()) if version.size <= PART else None
        if small is not None and len(small) != version.size:
            raise self._changed(key)

        def fill(target: int) -> None:
            if small is not None:
                write_with_holes(target, 0, small)
            else:
                self._fetch_parts(target, version, self._range_of(name, key))
            os.ftruncate(target, version.size)
            os.fchmod(target, found.mode)
            os.utime(target, ns=(found.mtime_ns, found.mtime_ns))

        with closing(os.open(local.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)) as folder:
            write_part(folder, local.name, 0o600, fill)
        return found

    @staticmethod
    def _fetch_parts(target: int, version: Version, fetch: Callable[[int, int, Version], bytes]) -> None:
        def one(place: tuple[int, int]) -> None:
            write_with_holes(target, place[0], fetch(*place, version))

        pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="tieline-fetch")
        try:
            for _ in pool.map(one, ranges(version.size)):
                pass
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

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

    @contextmanager
    def _told(self, doing: str, key: str) -> Iterator[None]:
        """Tell what the library raises as a :class:`StoreTrouble`; nothing of its own words is in it."""
        try:
            yield
        except (obstore.exceptions.BaseError, FileNotFoundError, UnicodeError) as error:
            better = self._asked_again(error, key)
            if self._renew is not None and answers.has_ended(better):
                self._renew()  # so that whoever tries again has a new login
            raise answers.trouble(better, doing, self._shown(key), self._server) from None
        except ValueError as error:
            if "Could not parse path" not in str(error) and "parsing Path" not in str(error):
                raise
            raise self._no_path(doing, key) from None

    def _asked_again(self, error: Exception, key: str) -> Exception:
        """A refusal of a HEAD has no words: the same asked as a GET, to learn why."""
        answer = answers.said(error)
        if answer is None or answer.code or answer.status not in (400, 401, 403) or not key:
            return error
        try:
            obstore.get(self._client, self._place(key))
        except (obstore.exceptions.BaseError, OSError) as again:
            return error if isinstance(again, FileNotFoundError) else again
        return error

    def _no_path(self, doing: str, key: str) -> StoreTrouble:
        return StoreTrouble(
            Why.UNSUPPORTED,
            f"cannot {doing} {self._shown(key)}: there is an object whose name is no path"
            " (empty parts, '.', '..' or control characters)",
            "rename that object, or use a prefix that does not have it",
        )


def _written(meta: ObjectMeta) -> int:
    """When the object was written, in nanoseconds since the epoch; never one that a file here could have by chance."""
    moment = meta["last_modified"]
    return int(moment.timestamp() * 1_000_000) * 1_000


def _version(result: GetResult) -> Version:
    meta = result.meta
    return Version(meta["size"], meta["e_tag"], _written(meta))


def _stat(key: str, result: GetResult) -> Stat:
    meta = result.meta
    plain = Stat(key, meta["size"], _written(meta), listing.FILE_MODE)
    return listing.kept(plain, result.attributes.get(KEPT))
