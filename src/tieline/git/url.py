"""Which addresses of repositories are taken, and how any text is made fit to show: without credentials."""

from __future__ import annotations

import re
from typing import NamedTuple

from tieline.errors import Code, StepFailed, TielineError
from tieline.model.origin import http_origin

__all__ = ["SCHEMES", "SshPlace", "check_url", "clean", "http_origin", "is_local", "is_ssh", "ssh_place"]

SCHEMES = ("https", "http", "ssh", "git", "file")

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_HELPER = re.compile(r"[A-Za-z0-9][A-Za-z0-9+.-]*::")  # git's remote helpers: ext::sh -c …
_SCP = re.compile(r"[^/:]+:")  # host:path
_USERINFO = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*://)[^/\s'\"]*@")
_QUERY = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*://[^\s'\"?]*\?)[^\s'\"]+")
_PASSWORD = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^/\s]*:[^/\s]*@")
_USER = r"(?:([A-Za-z0-9_][A-Za-z0-9._-]*)@)?"
_HOST = r"([A-Za-z0-9][A-Za-z0-9._-]*|\[[0-9A-Fa-f:.]+\])"
_SSH = re.compile(rf"ssh://{_USER}{_HOST}(?::([0-9]+))?/", re.IGNORECASE)
_SSH_SCP = re.compile(rf"{_USER}{_HOST}:(?!//|:)")


def clean(text: str) -> str:
    """``text`` without the user information and queries of its URLs, printable and encodable."""
    plain = _QUERY.sub(r"\1…", _USERINFO.sub(r"\1", text))
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in plain)


def is_local(url: str) -> bool:
    """Whether the URL is a path of this machine, by git's own rule."""
    return url.startswith("file://") or not (_SCHEME.match(url) or _SCP.match(url) or _HELPER.match(url))


class SshPlace(NamedTuple):
    """Where an ssh address leads; ``prefix`` is all of it before the path."""

    prefix: str
    user: str | None
    host: str
    port: int | None


def ssh_place(url: str) -> SshPlace | None:
    """The parts of ``ssh://user@host:port/path`` or ``user@host:path``; None for other addresses."""
    if found := _SSH.match(url):
        port = int(found[3]) if found[3] else None
        return SshPlace(found[0], found[1], found[2].strip("[]"), port)
    if not _SCHEME.match(url) and (found := _SSH_SCP.match(url)):
        return SshPlace(found[0], found[1], found[2].strip("[]"), None)
    return None


def is_ssh(url: str) -> bool:
    """Whether git reaches the address by ssh."""
    return url.lower().startswith("ssh://") or not (is_local(url) or _SCHEME.match(url) or _HELPER.match(url))


def check_url(url: str) -> None:
    """Refuse an address that git would take for an option or a command, or that carries a password."""
    scheme = _SCHEME.match(url)
    if not url or url.startswith("-") or "\0" in url or "\n" in url:
        raise _refusal(url, "is not the address of a repository", "write a URL, or the absolute path of a repository")
    if _HELPER.match(url) or (scheme and scheme[1].lower() not in SCHEMES):
        raise _refusal(url, "is not of a kind that is allowed", f"use one of {', '.join(SCHEMES)}")
    if is_local(url) and not url.startswith(("/", "file://")):
        raise _refusal(url, "is a relative path", "write the absolute path of the repository")
    if _PASSWORD.match(url):
        raise _refusal(url, "has a password in it", "take it out, and name a secret in the connection instead")


def _refusal(url: str, wrong: str, hint: str) -> TielineError:
    return StepFailed.of(Code.CLONE_FAILED, f"the git url {clean(url)!r} {wrong}", hint)
