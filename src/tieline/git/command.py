"""Running the git program: an argument list and never a shell, no questions, no hooks, an end when cancelled.

**The user's own configuration is read**: proxies, certificates, ``insteadOf`` and credential helpers there are what
makes ``git clone`` work on this machine. What would change the checked-out files, or run a program of somebody's, is
overridden: hooks, templates, line endings, the file system monitor, lfs unless it was asked for. Configuration is
handed over in the environment, so none of it is in the list of processes.

**The environment is cleaned** of everything that points git at another repository (``GIT_DIR`` … when Tieline runs in
a hook). **Protocols**: https, http, ssh, git and local paths; ``ext::`` and the like never. A submodule may be a local
path only where the repository itself is one: else a foreign ``.gitmodules`` could read this machine's repositories.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from tieline.errors import Code, StepFailed
from tieline.git.url import clean
from tieline.secrets.environment import without_values

GRACE = 3.0
"""Seconds between asking git to end and ending it."""

_POLL = 0.1
_KEPT = {"GIT_SSH", "GIT_SSH_COMMAND", "GIT_SSH_VARIANT", "GIT_EXEC_PATH", "GIT_PROXY_SSL_CAINFO"}
_KEPT_STARTS = ("GIT_CONFIG_COUNT", "GIT_CONFIG_KEY_", "GIT_CONFIG_VALUE_", "GIT_SSL_")
_KEPT_FILES = ("GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM", "GIT_CONFIG_NOSYSTEM")

_HARDENED = {
    "core.hooksPath": os.devnull,
    "core.fsmonitor": "false",
    "core.autocrlf": "false",
    "core.symlinks": "true",
    "core.askPass": "",
    "advice.detachedHead": "false",
    "gc.auto": "0",
    "maintenance.auto": "false",
    "fetch.prune": "false",
    "fetch.recurseSubmodules": "false",
    "submodule.recurse": "false",
    "transfer.fsckObjects": "false",
    "protocol.allow": "never",
    "protocol.https.allow": "always",
    "protocol.http.allow": "always",
    "protocol.ssh.allow": "always",
    "protocol.git.allow": "always",
    "protocol.file.allow": "user",
    "protocol.ext.allow": "never",
    "http.lowSpeedLimit": "1000",  # a connection that stands still is an error, not a run that hangs
    "http.lowSpeedTime": "60",
}
_QUIET = {
    "LC_ALL": "C",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_ASKPASS": "",
    "SSH_ASKPASS": "",
    "SSH_ASKPASS_REQUIRE": "never",
    "GCM_INTERACTIVE": "never",
    "GIT_PAGER": "cat",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_MERGE_AUTOEDIT": "no",
}


class GitFailed(Exception):
    """git ended with an error; ``said`` is its standard error, without credentials."""

    def __init__(self, command: str, code: int, said: str) -> None:
        super().__init__(f"git {command} ended with {code}: {said}")
        self.command, self.code, self.said = command, code, said


@dataclass(frozen=True)
class Git:
    """How git is run for one checkout. ``timeout`` in seconds for each command; ``env`` wins over everything.

    ``config``: pairs in their order, after ours and the user's; a name may come twice (an empty value, then the real
    one, takes what was said before off a list). ``without``: variables of this process that git does not get.
    """

    folder: Path
    config: Sequence[tuple[str, str]] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    cancel: threading.Event | None = None
    timeout: float | None = None
    without: Collection[str] = ()

    def run(self, *args: str) -> str:
        """Run ``git args`` in the folder and return its output.

        Raises :class:`GitFailed`, or :class:`StepFailed` when git is missing, too slow, or was cancelled.
        """
        if self.cancel is not None and self.cancel.is_set():
            raise StepFailed.of(Code.STOPPED, "the run was stopped before git had finished")
        process = self._start(args)
        try:
            out, err = self._wait(process, args[0])
        except BaseException:
            _end(process)
            raise
        if process.returncode:
            raise GitFailed(args[0], process.returncode, clean_lines(err))
        return out.decode("utf-8", "surrogateescape")

    def _start(self, args: Sequence[str]) -> subprocess.Popen[bytes]:
        program = shutil.which("git")
        if program is None:
            raise StepFailed.of(Code.PROGRAM_MISSING, "the program git is not on this machine's PATH", "install git")
        return subprocess.Popen(
            [program, "--no-pager", *args],
            cwd=self.folder,
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,  # a group of its own to end, and no terminal to ask at
        )

    def _wait(self, process: subprocess.Popen[bytes], command: str) -> tuple[bytes, bytes]:
        deadline = None if self.timeout is None else time.monotonic() + self.timeout
        while True:
            with suppress(subprocess.TimeoutExpired):
                return process.communicate(timeout=_POLL)
            if self.cancel is not None and self.cancel.is_set():
                raise StepFailed.of(Code.STOPPED, f"the run was stopped during git {command}")
            if deadline is not None and time.monotonic() > deadline:
                raise StepFailed.of(
                    Code.CLONE_FAILED,
                    f"git {command} was ended: it took more than {self.timeout:g} seconds",
                    "check the network and the size of the repository (depth and filter make a clone smaller)",
                )

    def _environment(self) -> dict[str, str]:
        kept = {
            name: value
            for name, value in without_values(os.environ).items()
            if not name.startswith("GIT_") or name in _KEPT or name in _KEPT_FILES or name.startswith(_KEPT_STARTS)
        }
        for name in self.without:
            kept.pop(name, None)
        given = kept.get("GIT_CONFIG_COUNT", "")
        count = int(given) if given.isdecimal() else 0
        for number, (name, value) in enumerate([*_HARDENED.items(), *self.config], start=count):
            kept[f"GIT_CONFIG_KEY_{number}"] = name
            kept[f"GIT_CONFIG_VALUE_{number}"] = value
            kept["GIT_CONFIG_COUNT"] = str(number + 1)
        return {**kept, **_QUIET, **self.env}


def _end(process: subprocess.Popen[bytes]) -> None:
    """End git and whatever it started (ssh, git-remote-https, index-pack).

    The group is ended before git itself is waited for: until then its number belongs to nobody else.
    """
    if process.returncode is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        deadline = time.monotonic() + GRACE
        while time.monotonic() < deadline and not _has_ended(process.pid):
            time.sleep(_POLL / 5)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def _has_ended(pid: int) -> bool:
    """Whether a child has ended, leaving it to be waited for."""
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def clean_lines(said: bytes) -> str:
    """git's standard error as lines that may be shown: no progress, no credentials."""
    lines = said.decode("utf-8", "replace").replace("\r", "\n").split("\n")
    return "\n".join(clean(line.rstrip()) for line in lines if line.strip())
