"""Giving the job's user what Tieline's containers wrote, where nobody knows which user that is.

The image decides about the user unless the job does. So where these containers run as root, everybody in the pod gets
the rights. A private key with such rights is refused by ssh, but only if it is its own user's: so the binding
directories belong to a user that nobody is. Where the pod has no root, these containers are that user themselves.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path

from tieline.engines.kubernetes.users import user_of
from tieline.model.plan import Plan

ALL, READ = 0o666, 0o444
_FOLDER = 0o111


def is_user_unknown(plan: Plan) -> bool:
    """Whether the job may run as another user than this container."""
    return os.geteuid() != user_of(plan).uid


def give(path: Path, context: Path) -> None:
    """What a step brought to ``path`` is everybody's, and so are the folders on the way there."""
    for folder in path.parents:
        if context in folder.parents:
            _give(folder, ALL, None)
    open_up(path, ALL)


def open_up(root: Path, rights: int, owner: int | None = None) -> None:
    """Give everybody ``rights`` to all that is in ``root``; folders can be entered, programs can be started."""
    waiting = [root]
    while waiting:
        here = waiting.pop()
        _give(here, rights, owner)
        with suppress(OSError), os.scandir(here) as entries:  # what cannot be looked into stays as it is
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(Path(entry.path))
                elif entry.is_file(follow_symlinks=False):
                    _give(Path(entry.path), rights, owner)


def _give(path: Path, rights: int, owner: int | None) -> None:
    with suppress(OSError):  # a file system without rights, or without users: the job will say what it may not
        mode = stat.S_IMODE(path.lstat().st_mode)
        is_folder_or_program = path.is_dir() or mode & _FOLDER
        path.chmod(mode | rights | (_FOLDER if is_folder_or_program else 0))
        if owner is not None:
            os.chown(path, owner, owner, follow_symlinks=False)
