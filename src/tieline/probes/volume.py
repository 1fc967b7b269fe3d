"""Volumes: the folder is there, its files can be listed and read, and a small file of our own written and deleted."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import ClassVar, TypeVar

from tieline.model.access import Volume
from tieline.probes.family import Asked, Failed, Family, Skipped, Work
from tieline.probes.report import Operation
from tieline.stores import Store, StoreTrouble, Why, open_store, shown

T = TypeVar("T")
MANY = 1000
"""Entries that are looked at: a folder may have millions."""
_NOT_YET = "is not there yet: the first run makes it"
SOME = 64 * 1024
"""Bytes that are read of one file."""
_CONTENT = b"Written by `tieline connections test`, which removes it. If it is still here, remove it.\n"


class VolumeFamily(Family):
    """One folder, or one claim with the folder that stands for it."""

    unexpected: ClassVar = frozenset[Operation]()

    def __init__(self, access: Volume, asked: Asked) -> None:
        super().__init__(asked)
        self._access = access
        self._part = "hostPath" if access.host_path is not None else "volumeClaim"
        self._folder = Path(access.host_path or asked.claims.get(access.claim or "", "/"))
        self._written = ""
        self._makes = asked.makes_folder or access.claim is not None

    def works(self) -> Mapping[Operation, Work]:
        read_only = "readOnly: jobs only read it"
        return {
            Operation.RESOLVE: self._resolve,
            Operation.REACH: self._reach,
            Operation.TLS: "a folder has no TLS",
            Operation.AUTHENTICATE: "a folder has no login: this user's rights decide",
            Operation.LIST: self._list,
            Operation.READ: self._read,
            Operation.WRITE: read_only if self._access.read_only else self._write,
            Operation.DELETE: read_only if self._access.read_only else self._delete,
        }

    def close(self) -> None:
        """Remove the probe's file, whatever happened."""
        if self._written:
            self._store().delete(self._written)

    def _store(self) -> Store:
        return open_store(self._access, self.claims)

    def _resolve(self) -> str:
        store_of = f"the claim {self._access.claim} is the folder " if self._access.claim else ""
        if not os.path.lexists(self._folder):
            if self._makes:
                raise Skipped(f"{store_of}{shown(str(self._folder))} {_NOT_YET}")
            raise Failed(f"{store_of}{shown(str(self._folder))} is not there", self._hint(), self._part)
        real = os.path.realpath(self._folder)
        leads = "" if real == str(self._folder) else f", which leads to {shown(real)}"
        return f"{store_of}{shown(str(self._folder))}{leads}"

    def _hint(self) -> str:
        if self._access.claim:
            return "make the folder, or name another one under persistence.claims"
        return "correct the path, or mount what belongs there"

    def _reach(self) -> str:
        """The folder can be entered; so can the one that ``subPath`` names, if it is there already."""
        self._there()
        found = self._told(lambda: self._store().stat(""))
        if found is None:
            self._told(lambda: os.stat(self._folder))
            return f"subPath {self._access.sub_path} is not there yet: whoever writes first makes it"
        top = self._folder / (self._access.sub_path or "")
        if found.what != "dir" and not top.is_dir():
            raise Failed(f"{shown(str(top))} is a file, and no folder", "name a folder", self._part)
        if not os.access(top, os.X_OK):
            raise Failed(f"this user may not enter {shown(str(top))}", "give it the right to (x)", self._part)
        file_system = os.statvfs(top)
        free = file_system.f_bavail * file_system.f_frsize
        return f"a folder, with {free / 2**30:.1f} GiB free"

    def _names(self) -> list[str]:
        """The first names, in the order that the folder has them. Raises Skipped where there is nothing yet."""
        self._there()
        top = self._folder / (self._access.sub_path or "")
        if self._told(lambda: self._store().stat("")) is None:
            raise Skipped("subPath is not there yet")
        try:
            with os.scandir(top) as entries:
                return [entry.name for _, entry in zip(range(MANY + 1), entries, strict=False)]
        except OSError as error:
            raise Failed(
                f"{shown(str(top))} can't be listed: {error.strerror}", "give this user the right to", self._part
            ) from None

    def _list(self) -> str:
        names = self._names()
        if len(names) > MANY:
            return f"more than {MANY} entries"
        return f"{len(names)} {'entry' if len(names) == 1 else 'entries'}"

    def _read(self) -> str:
        """The beginning of the first file that is a plain one."""
        refused = ""
        for name in sorted(self._names())[:MANY]:
            try:
                found = self._store().stat(name)
                if found is None or found.what != "file":
                    continue
                with self._store().open(name) as stream:
                    data = stream.read(SOME)
            except StoreTrouble as error:
                refused = refused or error.problems[0].message
                continue
            return f"{len(data)} bytes of {shown(name)} ({found.size} bytes)"
        if refused:
            raise Failed(refused, "give this user the right to read it", self._part)
        raise Skipped("there is no file at its top that could be read")

    def _there(self) -> None:
        if self._makes and not os.path.lexists(self._folder):
            raise Skipped(_NOT_YET)

    def _write(self) -> str:
        self._there()
        if self._told(lambda: self._store().stat("")) is None:
            raise Skipped(f"subPath {self._access.sub_path} is not there yet, and is left to the first job to make")
        name = f".tieline-probe-{secrets.token_hex(8)}"
        self._written = name
        self._told(lambda: self._store().save_bytes(_CONTENT, name))
        with self._store().open(name) as stream:
            if stream.read(SOME) != _CONTENT:
                raise Failed("what was written reads back as something else", "check the disk", self._part)
        return f"a file of {len(_CONTENT)} bytes, and read it back"

    def _delete(self) -> str:
        if not self._written:
            raise Skipped("nothing was written")
        self._told(lambda: self._store().delete(self._written))
        if self._told(lambda: self._store().stat(self._written)) is not None:
            raise Failed("the file is still there after its deletion", "remove it by hand", self._part)
        self._written = ""
        return "that file is gone again"

    def _told(self, work: Callable[[], T]) -> T:
        """What the store refuses, with the part to mend."""
        try:
            return work()
        except StoreTrouble as error:
            problem = error.problems[0]
            part = {Why.READ_ONLY: "readOnly", Why.UNSAFE: "subPath"}.get(error.why, self._part)
            raise Failed(problem.message, problem.hint, part) from None
