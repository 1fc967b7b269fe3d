"""Which addresses of repositories are taken, and how any text is made fit to show: without credentials."""

from __future__ import annotations

import re

from tieline.errors import Code, StepFailed, TielineError

SCHEMES = ("https", "http", "ssh", "git", "file")

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_HELPER = re.compile(r"[A-Za-z0-9][A-Za-z0-9+.-]*::")  # git's remote helpers: ext::sh -c …
_SCP = re.compile(r"[^/:]+:")  # host:path
_USERINFO = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*://)[^/\s'\"]*@")
_QUERY = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*://[^\s'\"?]*\?)[^\s'\"]+")
_PASSWORD = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^/\s]*:[^/\s]*@")


def clean(text: str) -> str:
    """``text`` without the user information and queries of its URLs, printable and encodable."""
    plain = _QUERY.sub(r"\1…", _USERINFO.sub(r"\1", text))
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in plain)


def is_local(url: str) -> bool:
    """Whether the URL is a path of this machine, by git's own rule."""
    return url.startswith("file://") or not (_SCHEME.match(url) or _SCP.match(url) or _HELPER.match(url))


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
