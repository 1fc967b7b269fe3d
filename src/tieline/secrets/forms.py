"""How derived values are made: a function for every form of :mod:`tieline.kinds.derived`, whose docstrings say what
each has to give. Only ``first`` and the forms that name a file of the job are made by the resolver itself.

A function gets the parts that have a value; it returns None where those that it needs are not all there, and raises
:class:`~tieline.secrets.failures.Unusable` where they are, and nothing can be made of them. An empty part is an absent
one: nobody logs in with nothing.
"""

from __future__ import annotations

import ipaddress
import json
import re
import shlex
from collections.abc import Callable, Mapping
from urllib.parse import quote

from tieline.kinds import derived
from tieline.secrets.docker import docker_config
from tieline.secrets.failures import Unusable, json_object
from tieline.secrets.secret import Secret

Parts = Mapping[str, Secret]
TOKEN_USERS = {"bitbucket.org": "x-token-auth"}
"""Who logs in with a token alone, where it is not :data:`TOKEN_USER`."""
TOKEN_USER = "oauth2"  # noqa: S105

_AUTHORITY = re.compile(rb"^([A-Za-z][A-Za-z0-9+.-]*://)(?:[^/?#@]*@)?(.*)$", re.DOTALL)
_WITH_PORT = re.compile(r"^(\[[^\]]*\]|[^:\[\]]*):[0-9]+$")


def uri(parts: Parts) -> bytes | None:
    """``URI``. Everything around the user information is taken as it is."""
    base = _bytes(parts, "base") or _composed(parts)
    if base is None:
        return None
    user, password = (quote(_bytes(parts, name) or b"", safe="") for name in ("username", "password"))
    found = _AUTHORITY.match(base)
    if found is None or not (user or password):
        return base  # a JDBC address has no place for a user
    information = f"{user}:{password}@" if password else f"{user}@"
    return found[1] + information.encode() + found[2]


def _composed(parts: Parts) -> bytes | None:
    """``scheme://host:port/database?query``; an IPv6 address gets its brackets, a socket's folder its escapes."""
    scheme, host, port, database, query = (
        _text(parts, name).strip() for name in ("scheme", "host", "port", "database", "query")
    )
    if not (scheme and host):
        return None
    if port and not port.isdecimal():
        raise Unusable("the port is no number")
    end = f":{port}" if port and not _WITH_PORT.match(host) else ""
    path = f"/{quote(database.lstrip('/'), safe='/', errors='surrogateescape')}" if database else ""
    whole = f"{scheme}://{_host(host)}{end}{path}" + (f"?{query}" if query else "")
    return whole.encode("utf-8", "surrogateescape")


def _host(host: str) -> str:
    if host.startswith("/"):
        return quote(host, safe="", errors="surrogateescape")
    try:
        return f"[{host}]" if ipaddress.ip_address(host).version == 6 else host
    except ValueError:
        return host  # a name, or several


def google_keyfile(parts: Parts) -> bytes | None:
    """``GOOGLE_KEYFILE``."""
    text = _bytes(parts, "json")
    if text is None:
        return None
    data = json_object(text, "the key file")
    if isinstance(key := data.get("private_key"), str):
        data["private_key"] = key.replace("\\r\\n", "\n").replace("\\n", "\n")
    return json.dumps(data, indent=2).encode()


def git_user(parts: Parts) -> bytes | None:
    """``GIT_USER``."""
    if given := _line(parts, "username"):
        return given
    user, colon, _ = _line(parts, "credentials").partition(b":")
    if colon and user:
        return user
    if not (_line(parts, "credentials") or _line(parts, "token")):
        return None
    host = _text(parts, "host").rpartition("@")[2].partition(":")[0].lower()
    return TOKEN_USERS.get(host, TOKEN_USER).encode()


def git_password(parts: Parts) -> bytes | None:
    """``GIT_PASSWORD``."""
    whole = _line(parts, "credentials")
    _, colon, behind = whole.partition(b":")
    return _line(parts, "password") or _line(parts, "token") or (behind if colon else whole) or None


ASKPASS = """\
#!/bin/sh
# git runs this with its question as the only argument: Username for 'https://HOST': or Password for 'https://USER@HOST':
host={host}
asked=${{1#*"'http"}}
asked=${{asked#s}}
asked=${{asked#://}}
asked=${{asked%"': "}}
case $asked in *[/?#\\\\]*) exit 1 ;; esac
case $1 in
  "Username for 'http://$host': " | "Username for 'https://$host': ") exec cat {username} ;;
  "Password for 'http"*) [ "${{asked##*@}}" = "$host" ] && exec cat {password} ;;
esac
exit 1
"""


def git_askpass(parts: Parts) -> bytes | None:
    """``GIT_ASKPASS``. What git asks for another host, or with a path in its question, is not answered.

    Older versions of git do not escape the user in the question, so a user like ``host/x`` could make another host
    look like this one: a question with one of ``/?#\\`` in it is not about a host alone.
    """
    host, username, password = (_text(parts, name) for name in ("host", "username-path", "password-path"))
    if not (host and password):
        return None
    paths = {"username": shlex.quote(username or "/dev/null"), "password": shlex.quote(password)}
    return ASKPASS.format(host=shlex.quote(host), **paths).encode("utf-8", "surrogateescape")


def git_ssh_command(parts: Parts) -> bytes | None:
    """``GIT_SSH_COMMAND``: this key and no other, no questions, and nothing of the user's own ``~/.ssh/config``, which
    could offer the user's keys in the connection's place."""
    key, hosts = _text(parts, "key-path"), _text(parts, "known-hosts-path")
    if not key:
        return None
    words = [
        "ssh",
        "-F",
        "none",
        "-o",
        f"IdentityFile={_ssh_path(key)}",
        "-o",
        "IdentitiesOnly=yes",
        "-o",
        "BatchMode=yes",
    ]
    if hosts:
        words += ["-o", f"UserKnownHostsFile={_ssh_path(hosts)}", "-o", "GlobalKnownHostsFile=/dev/null"]
    words += ["-o", f"StrictHostKeyChecking={'yes' if hosts else 'accept-new'}"]
    for name, option in (("port", "-p"), ("user", "-l")):
        if given := _text(parts, name):
            words += [option, given]
    return shlex.join(words).encode("utf-8", "surrogateescape")


def _ssh_path(path: str) -> str:
    """A path in an option of ssh, which splits it at spaces and expands ``%``."""
    return '"' + path.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%") + '"'


def _docker_config(parts: Parts) -> bytes | None:
    return docker_config(
        host=_text(parts, "host"),
        config=_bytes(parts, "config"),
        legacy=_bytes(parts, "legacy"),
        username=_bytes(parts, "username"),
        password=_bytes(parts, "password"),
    )


def _bytes(parts: Parts, name: str) -> bytes | None:
    """A part's value; None also for an empty one."""
    part = parts.get(name)
    return part.reveal() or None if part is not None else None


def _line(parts: Parts, name: str) -> bytes:
    """A value that git's protocols end at the first line end, so one at its own end never belongs to it."""
    return (_bytes(parts, name) or b"").rstrip(b"\r\n")


def _text(parts: Parts, name: str) -> str:
    part = parts.get(name)
    return part.reveal_text() if part is not None else ""


MAKERS: dict[str, Callable[[Parts], bytes | None]] = {
    derived.URI: uri,
    derived.GOOGLE_KEYFILE: google_keyfile,
    derived.GIT_USER: git_user,
    derived.GIT_PASSWORD: git_password,
    derived.GIT_ASKPASS: git_askpass,
    derived.GIT_SSH_COMMAND: git_ssh_command,
    derived.DOCKER_CONFIG: _docker_config,
}
