"""What git says when it fails, condensed to what a user needs: the line that matters, and what to do."""

from __future__ import annotations

import re
from collections.abc import Callable

from tieline.errors import Code, StepFailed
from tieline.git.command import GitFailed
from tieline.git.url import clean

_HINTS: tuple[tuple[str, str], ...] = (
    (r"dubious ownership", "if you trust it, run: git config --global --add safe.directory {path}"),
    (r"could not read Username|terminal prompts disabled|Authentication failed|HTTP 40[13]|error: 40[13]",
     "it needs credentials: name a secret in the connection, and check that it may read this repository"),
    (r"Permission denied \(|publickey", "check the ssh key, and that it may read this repository"),
    (r"Host key verification failed", "add the server's key to knownHosts"),
    (r"does not appear to be a git repository|[Rr]epository .*not found|not found$|does not exist|HTTP 404|error: 404",
     "check the url, and that the credentials may see it"),
    (r"Could not resolve host", "check the host's name and the network"),
    (r"Failed to connect|Connection (refused|timed out|reset)|Operation too slow|unable to access",
     "check the network, the proxy, and that the server is up"),
    (r"SSL|certificate", "name the server's certificate authority in caBundle"),
    (r"transport '.*' not allowed", "use https, http, ssh, git or, for a local repository, file"),
    (r"No space left on device|Disk quota", "free some space"),
    (r"sparse-checkout|sparse", "check the paths of sparse"),
)  # fmt: skip
_NOISE = re.compile(
    r"^(hint|warning|Cloning into|remote: (Counting|Compressing|Enumerating|Total|Resolving)"
    r"|Please make sure you have the correct access|and the repository exists)"
)
_EMPTY_WORDS = re.compile(r"Could not read from remote repository")  # said after the line that has the reason
_TOLD = re.compile(r"^(fatal|error|remote|ERROR): ?")
_LINES = 3


def condense(said: str) -> str:
    """The lines of git's standard error that say why (ssh's too), on one line."""
    lines = [line for line in said.split("\n") if line.strip() and not _NOISE.match(line)]
    told = [line for line in lines if not _EMPTY_WORDS.search(line)] or lines
    short = dict.fromkeys(_TOLD.sub("", line).strip(" .") for line in told)
    return "; ".join([part for part in short if part][:_LINES]) or "git gave no reason"


def hint_for(said: str, path: str) -> str:
    """What to do about it, for the failures that people meet."""
    for pattern, hint in _HINTS:
        if re.search(pattern, said, re.MULTILINE):
            return hint.format(path=path)
    return "run git by hand with the same url to see more"


def clone_failed(error: GitFailed, url: str, refusal: Callable[[str], tuple[str, str] | None]) -> StepFailed:
    """``error`` as the failure of a clone step; ``refusal`` knows what it means where it is about credentials."""
    shown = clean(url)
    if found := refusal(error.said):
        return StepFailed.of(Code.CLONE_FAILED, f"cannot get {shown}: {found[0]}", found[1])
    message = f"cannot get {shown}: git {error.command} said: {condense(error.said)}"
    return StepFailed.of(Code.CLONE_FAILED, message, hint_for(error.said, shown.removeprefix("file://")))
