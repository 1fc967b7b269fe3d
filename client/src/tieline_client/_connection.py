"""A connection as a job finds it: a folder with one file per entry, in the layout of servicebinding.io.

Entries are read when they are asked for and never kept: a token that is renewed while the job runs (a projected volume
of Kubernetes is replaced as a whole, behind its link ``..data``) is seen at the next look. Their values are in no
``repr`` and no error.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from tieline_client._errors import NotText, not_in_job, unknown_connection, unknown_entry

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ROOT = "SERVICE_BINDING_ROOT"


class Connection(Mapping[str, str]):
    """One bound connection: a mapping of its entries, as text. ``connection("name")`` gives it."""

    __slots__ = ("_folder", "name")

    def __init__(self, name: str, folder: str) -> None:
        self.name = name
        self._folder = folder

    @property
    def type(self) -> str:
        """What it is, by servicebinding.io's word: ``s3``, ``postgresql``, ``git``. Empty, if nothing says so."""
        return self.get("type", "").strip()

    @property
    def provider(self) -> str:
        """Of Tieline's own connections the kind in the catalog: ``s3``, ``postgres``. Empty, if nothing says so."""
        return self.get("provider", "").strip()

    @property
    def uri(self) -> str:
        """The entry ``uri``: its address, with user and password where its kind has them there."""
        return self["uri"]

    @property
    def path(self) -> Path:
        """The entry ``path``: where a volume or a database file is. For the connection's own files: :meth:`file`."""
        from pathlib import Path

        return Path(self["path"])

    @property
    def env(self) -> dict[str, str]:
        """The standard variables of what it is (``AWS_*``, ``PG*``), for this connection alone and without a prefix.

        They are made from the entries: they are here also where the job's own environment has them under an
        ``envPrefix``, or not at all, because two of its connections would set them.
        """
        from tieline_client._variables import variables

        return variables(self)

    def entries(self) -> list[str]:
        """The names of its entries, ``type`` and ``provider`` among them."""
        return list(self)

    def file(self, entry: str) -> Path:
        """The file of an entry, for libraries that want a path: ``keyfile.json``. Raises UnknownEntry."""
        from pathlib import Path

        if entry not in self:
            raise unknown_entry(self.name, entry, self._names())
        return Path(self._folder, entry)

    def read_bytes(self, entry: str) -> bytes:
        """An entry as it is, byte for byte. Raises UnknownEntry."""
        if _is_entry(entry):
            try:
                with open(os.path.join(self._folder, entry), "rb") as stream:
                    return stream.read()
            except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
                pass  # said below, without a chain of exceptions
        raise unknown_entry(self.name, entry, self._names())

    def __getitem__(self, entry: str) -> str:
        """An entry as text, unchanged (a line's end in the file is in it). Raises UnknownEntry, NotText."""
        try:
            return self.read_bytes(entry).decode()
        except UnicodeDecodeError:
            pass  # it has the value in it: a new one is raised outside of it
        raise NotText(
            f"the entry {entry!r} of the connection {self.name!r} is not text (UTF-8); read_bytes({entry!r}) gives it"
        )

    def __contains__(self, entry: object) -> bool:
        return isinstance(entry, str) and _is_entry(entry) and os.path.isfile(os.path.join(self._folder, entry))

    def __iter__(self) -> Iterator[str]:
        return iter(self._names())

    def __len__(self) -> int:
        return len(self._names())

    def __repr__(self) -> str:
        return f"<Connection {self.name!r}: {', '.join(self._names())}>"

    def _names(self) -> list[str]:
        return [name for name in _listed(self._folder) if name in self]


def connection(name: str) -> Connection:
    """The connection of that name. Raises UnknownConnection (a KeyError), and NotInJob outside a job."""
    root = _root()
    if name not in connections():
        raise unknown_connection(name, connections())
    return Connection(name, os.path.join(root, name))


def connections() -> list[str]:
    """The names of all connections that are bound, sorted. Raises NotInJob outside a job."""
    root = _root()
    return [name for name in _listed(root) if name[0] != "." and os.path.isdir(os.path.join(root, name))]


def _root() -> str:
    root = os.environ.get(ROOT)
    if not root:
        raise not_in_job(ROOT)
    return os.path.abspath(root)


def _is_entry(name: str) -> bool:
    """Whether it can be one: Kubernetes keeps its own links beside a volume's files, ``..data`` and the like."""
    return not (name == "" or name.startswith("..") or "/" in name or "\0" in name)


def _listed(folder: str) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except (FileNotFoundError, NotADirectoryError):
        return []
