"""Copying a file's contents between two descriptors, as cheaply as the system can.

A clone of the extents where the file system shares them (btrfs, xfs), else inside the kernel, else through memory.
Holes stay holes: a terabyte that is mostly unwritten must not fill the store. Never a hard link: the job writes on.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import time

FICLONE = 0x40049409  # linux/fs.h: _IOW(0x94, 9, int)
CHUNK = 1024 * 1024
_CANNOT = {errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTTY, errno.EPERM, errno.EBADF}

TICK_NS = 20_000_000  # no local file system's clock is coarser
COARSE_TICK_NS = 2_000_000_000  # FAT, and servers that keep whole seconds


def copy_contents(source: int, target: int, size: int) -> int:
    """Copy the first ``size`` bytes, holes kept; returns how many there were (fewer if the file shrinks)."""
    if size == 0:
        return 0
    if _clone(source, target):
        return os.fstat(target).st_size
    copied = 0
    while copied < size:
        extent = _next_extent(source, copied, size)
        if extent is None:
            copied = min(size, os.fstat(source).st_size)
            break
        start, end = extent
        done = _copy_range(source, target, start, end)
        copied = start + done
        if copied < end:
            break
    os.ftruncate(target, copied)
    return copied


def _clone(source: int, target: int) -> bool:
    try:
        fcntl.ioctl(target, FICLONE, source)
    except OSError as error:
        if error.errno not in _CANNOT:
            raise
        return False
    return True


def _next_extent(source: int, position: int, size: int) -> tuple[int, int] | None:
    """The next run of written bytes; None when only a hole is left."""
    try:
        start = os.lseek(source, position, os.SEEK_DATA)
    except OSError as error:
        if error.errno == errno.ENXIO:
            return None
        if error.errno not in _CANNOT:
            raise
        return position, size
    if start >= size:
        return None
    return start, min(os.lseek(source, start, os.SEEK_HOLE), size)


def _copy_range(source: int, target: int, start: int, end: int) -> int:
    position = start
    while position < end:
        try:
            done = os.copy_file_range(source, target, end - position, position, position)
        except OSError as error:
            if error.errno not in _CANNOT:
                raise
            return position - start + _through_memory(source, target, position, end)
        if done == 0:
            break
        position += done
    return position - start


def _through_memory(source: int, target: int, start: int, end: int) -> int:
    position = start
    while position < end:
        data = os.pread(source, min(CHUNK, end - position), position)
        if not data:
            break
        write_all(target, data, position)
        position += len(data)
    return position - start


def write_all(target: int, data: bytes | memoryview, position: int) -> None:
    """Write all of ``data`` at ``position``: one call may write less than it was given."""
    view = memoryview(data)
    while view:
        done = os.pwrite(target, view, position)
        view, position = view[done:], position + done


def sync_file_system(descriptor: int) -> None:
    """Wait until all of the file system that ``descriptor`` is on has reached the disk (``syncfs(2)``)."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.syncfs(descriptor) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def settles_in(mtime_ns: int, now_ns: int | None = None) -> float:
    """Seconds until a later write is sure to carry another time than ``mtime_ns``; 0.0 when it is already."""
    tick = COARSE_TICK_NS if mtime_ns % 1_000_000_000 == 0 else TICK_NS
    age = (time.time_ns() if now_ns is None else now_ns) - mtime_ns
    return (tick - age) / 1e9 if -tick < age < tick else 0.0
