"""Opening folders beneath a root without ever leaving it by a link, even one that appears while we look."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tieline.stores.base import StoreTrouble, Why, shown

_STEP = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_LINK_MET = {errno.ELOOP, errno.ENOTDIR}  # what O_NOFOLLOW says of a link depends on the other flags


def open_folder(root: Path, parts: tuple[str, ...], *, create: bool = False) -> int:
    """A descriptor (``O_PATH``) of the folder ``root/parts``. Links on the way may lead inside ``root``, not out."""
    try:
        return _descend(root, parts, create)
    except OSError as error:
        if error.errno not in _LINK_MET:
            raise
        real = resolve(root, parts)
        if real is None:
            raise leaves(parts) from None
        if real == parts:
            raise
        return _descend(root, real, create)


def _descend(root: Path, parts: tuple[str, ...], create: bool) -> int:
    folder = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    for part in parts:
        with closing(folder):
            try:
                child = os.open(part, _STEP, dir_fd=folder)
            except FileNotFoundError:
                if not create:
                    raise
                with suppress(FileExistsError):
                    os.mkdir(part, dir_fd=folder)
                child = os.open(part, _STEP, dir_fd=folder)
        folder = child
    return folder


def resolve(root: Path, parts: tuple[str, ...]) -> tuple[str, ...] | None:
    """Where ``root/parts`` really is, as parts beneath ``root``; None when it is elsewhere."""
    top = os.path.realpath(root)
    real = os.path.realpath(os.path.join(top, *parts))
    if real == top:
        return ()
    start = top.rstrip("/") + "/"
    return tuple(real[len(start) :].split("/")) if real.startswith(start) else None


def leaves(parts: tuple[str, ...]) -> StoreTrouble:
    """The refusal of a path that a link leads out of the root."""
    return StoreTrouble(
        Why.UNSAFE, f"{shown('/'.join(parts))!r} leads out of the store by a link", "name the real place instead"
    )


@contextmanager
def closing(descriptor: int) -> Iterator[int]:
    """Close a descriptor on the way out."""
    try:
        yield descriptor
    finally:
        os.close(descriptor)
