"""Files that hold values, for the job that may read them: a mounted secret's, and those made of several connections.

Each has exactly its mode, whatever the umask, in folders that are the user's own. What stands there is replaced.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from tieline.errors import Code, StepFailed
from tieline.secrets.names import is_key
from tieline.secrets.secret import Secret

MADE_MODE = 0o600


def write_files(folder: Path, files: Mapping[str, tuple[Secret, int]]) -> None:
    """Write files (by their name, or folder and name) below ``folder``, which is made.

    Raises StepFailed for a name that is none, and for what the system refuses.
    """
    for name in files:
        if not all(is_key(part) for part in name.split("/")):
            raise StepFailed.of(Code.UNSAFE_PATH, f"{name!r} cannot be the name of a file", "rename the key")
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name, (value, mode) in files.items():
            path = folder / name
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            _write(path, value.reveal(), mode)
    except OSError as error:
        raise StepFailed.of(
            Code.STEP_FAILED, f"{folder} cannot be written: {error.strerror}", "check its rights and space"
        ) from None


def write_made(folder: Path, made: Mapping[str, Secret]) -> None:
    """Write what a resolver has made (:attr:`~tieline.secrets.resolve.Resolver.made`) below its folder."""
    write_files(folder, {name: (value, MADE_MODE) for name, value in made.items()})


def _write(path: Path, data: bytes, mode: int) -> None:
    part = path.with_name(f"~{secrets.token_hex(8)}")
    try:
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with open(descriptor, "wb") as stream:
            stream.write(data)
            os.fchmod(stream.fileno(), mode)
        part.replace(path)
    finally:
        with suppress(FileNotFoundError):  # it is in its place
            part.unlink()
