"""What the system said, told as a reason and something to do: the one place where ``errno`` is read."""

from __future__ import annotations

import errno

from tieline.stores.base import StoreTrouble, Why

_WHY = {
    errno.ENOENT: Why.NOT_FOUND,
    errno.EACCES: Why.FORBIDDEN,
    errno.EPERM: Why.FORBIDDEN,
    errno.ENOSPC: Why.FULL,
    errno.EDQUOT: Why.FULL,
    errno.EFBIG: Why.FULL,
    errno.EROFS: Why.READ_ONLY,
    errno.EISDIR: Why.IN_THE_WAY,
    errno.ENOTDIR: Why.IN_THE_WAY,
    errno.ENOTEMPTY: Why.IN_THE_WAY,
    errno.EEXIST: Why.IN_THE_WAY,
    errno.ELOOP: Why.UNSAFE,
}

_SETTLED = frozenset(
    {
        errno.EACCES, errno.EFBIG, errno.EILSEQ, errno.EINVAL, errno.ELOOP, errno.ENAMETOOLONG, errno.ENOENT,
        errno.EOPNOTSUPP, errno.EPERM, errno.EROFS,
    }
)  # fmt: skip
"""What is the same at the next attempt. All else may pass: room is made, what was in the way goes, a disk that failed
(EIO) or a server of files that was away (ESTALE) is back."""

_TELL = {
    Why.NOT_FOUND: ("is not there", "check the name, and that the disk is mounted"),
    Why.FORBIDDEN: ("is not allowed for this user", "give the user that runs Tieline the rights to it"),
    Why.FULL: ("does not fit: no space is left, or a quota is used up", "free some space, then save again"),
    Why.READ_ONLY: ("is on a read-only file system", "mount it writable, or name another store"),
    Why.IN_THE_WAY: ("has a file where a folder is needed, or the reverse", "move that out of the way"),
    Why.UNSAFE: ("leads through a loop of links", "remove the link"),
}


def trouble(error: OSError, doing: str, what: str) -> StoreTrouble:
    """``error`` as a :class:`StoreTrouble`: "cannot <doing> <what>: …"."""
    why = _WHY.get(error.errno or 0, Why.BROKEN)
    told, hint = _TELL.get(why, (f"failed: {error.strerror or error}", "see the system's log"))
    return StoreTrouble(why, f"cannot {doing} {what}: it {told}", hint, again=error.errno not in _SETTLED)
