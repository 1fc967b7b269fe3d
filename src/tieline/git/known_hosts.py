"""Which keys a server may have: those that the connection names, else the first ones that we met, and no others.

The first key of a server is recorded by ssh itself (``accept-new``), in a file of the connection's own: another key
later, of whatever type, is refused until somebody takes the recorded one out.
"""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

from tieline.errors import Code, StepFailed
from tieline.git.private import write_private
from tieline.secrets.environment import without_values
from tieline.secrets.secret import Secret

USUAL_PORT = 22
_LINE = re.compile(
    r"(?:@(?:cert-authority|revoked)\s+)?\S+\s+(?:ssh|ecdsa|sk|rsa)-\S+\s+AAAA[A-Za-z0-9+/=]{12,}(?:\s.*)?"
)
_KEY_FIRST = re.compile(r"(?:ssh|ecdsa|sk)-\S+\s+AAAA")


def name_of(host: str, port: int) -> str:
    """What a server is called in a known_hosts file (sshd(8))."""
    return host.lower() if port == USUAL_PORT else f"[{host.lower()}]:{port}"


def write_pinned(value: Secret, path: Path) -> None:
    """Write the keys that the connection names. Raises :class:`StepFailed` where they are no known_hosts lines."""
    text = value.reveal_text().replace("\r\n", "\n")
    for line in filter(None, map(str.strip, text.split("\n"))):
        if line.startswith("#"):
            continue
        if line.startswith(("/", "~", "./")) and len(line.split()) == 1:
            raise _refusal(
                "is a path", "write the lines of that file into the catalog, or into the secret's known_hosts"
            )
        if _KEY_FIRST.match(line):
            raise _refusal("has a key without its host", "put the host's name in front, as ssh-keyscan prints it")
        if not _LINE.fullmatch(line):
            raise _refusal("has a line that is none of a known_hosts file", "write HOST TYPE KEY, as ssh-keyscan does")
    write_private(path, text.strip().encode("utf-8", "surrogateescape") + b"\n")


def open_recorded(path: Path) -> None:
    """Make the file that first keys are recorded in; its folder is private. Raises :class:`StepFailed`."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with path.open("ab"):  # ssh goes on when it cannot write there, and would accept another key each time
            path.chmod(0o600)
    except OSError as error:
        message = f"cannot write the servers' keys into {path}: {error.strerror}"
        raise StepFailed.of(Code.CLONE_FAILED, message, "check its rights and the disk") from None


def is_recorded(path: Path, name: str) -> bool:
    """Whether the file has a key of this server (by its :func:`name_of`), of whatever type; hashed names count too."""
    found = subprocess.run(
        ["ssh-keygen", "-F", name, "-f", str(path)],
        env=without_values(os.environ),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )
    return bool(found.stdout.strip())


def _refusal(wrong: str, hint: str) -> StepFailed:
    return StepFailed.of(Code.CLONE_FAILED, f"the connection's knownHosts {wrong}", hint)
