"""The directory that a job finds its connections in: ``$SERVICE_BINDING_ROOT/<connection>/`` (servicebinding.io).

``type``, ``provider``, and one file per entry, without a newline at the end, as the specification has it. Readable by
the job's own user only, secret or not: nobody has to know which of them is. An entry that is a program (``askpass``)
says so by its mode.
"""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

from tieline.errors import Code, StepFailed
from tieline.model.binding import Binding, Text, Value
from tieline.stores import shown

USUAL_MODE = 0o600
Resolve = Callable[[Value], bytes | None]
"""Where the value of an entry comes from, when it is not in the plan; None: an optional one that is not there."""


def write_bindings(bindings: Iterable[Binding], root: Path, resolve: Resolve) -> list[Path]:
    """Write each binding's directory under ``root`` (made, 0700) and return them; one that is there is replaced."""
    written = []
    try:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        for binding in bindings:
            written.append(_write(binding, root, resolve))
    except OSError as error:
        raise StepFailed.of(
            Code.STEP_FAILED,
            f"cannot write the binding directory {shown(str(root))}: {error.strerror}",
            "check its rights and space",
        ) from error
    return written


def _write(binding: Binding, root: Path, resolve: Resolve) -> Path:
    files = _files(binding, resolve)
    folder = root / _name(binding.connection, "connection")
    fresh = root / f".tieline-{secrets.token_hex(8)}.part"
    fresh.mkdir(mode=0o700)
    try:
        for name, (data, mode) in files.items():
            descriptor = os.open(fresh / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, USUAL_MODE)
            with os.fdopen(descriptor, "wb") as stream:
                stream.write(data)
                os.fchmod(stream.fileno(), mode)
        if folder.exists():
            shutil.rmtree(folder)
        fresh.rename(folder)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return folder


def _files(binding: Binding, resolve: Resolve) -> dict[str, tuple[bytes, int]]:
    files = {"type": (binding.type.encode(), USUAL_MODE)}
    if binding.provider:
        files["provider"] = (binding.provider.encode(), USUAL_MODE)
    for entry in binding.entries:
        name = _name(entry.name, f"entry of the connection {binding.connection!r}")
        if name in files:
            raise StepFailed.of(
                Code.PATH_COLLISION,
                f"the connection {binding.connection!r} has two entries called {shown(name)!r}",
                "rename one of them in the catalog",
            )
        value = entry.value.text.encode() if isinstance(entry.value, Text) else resolve(entry.value)
        if value is not None:
            files[name] = (value, USUAL_MODE if entry.mode is None else entry.mode)
    return files


def _name(name: str, what: str) -> str:
    """A name that is one plain file name."""
    if name in ("", ".", "..") or "/" in name or "\0" in name or name.startswith(".tieline-"):
        raise StepFailed.of(Code.UNSAFE_PATH, f"{shown(name)!r} cannot be the name of a file", f"rename this {what}")
    return name
