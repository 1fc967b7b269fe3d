"""Logging in over http(s): a credential helper of git's own sort, for one server only.

git asks a helper by the scheme, host and port that it is really talking to, and the helper is configured for the
connection's (``credential.https://HOST:PORT.helper``): a redirect or a submodule to anywhere else finds none. The
user's own helpers are taken off that server, so that none of them keeps the value (``store``) or answers first;
elsewhere they work as always. The helper is a line of shell that prints a file, so there is nothing to execute in the
private folder.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tieline.errors import Code, StepFailed
from tieline.git.login import Login, Refusal, keys_of
from tieline.git.private import write_private
from tieline.git.url import clean, http_origin
from tieline.model.access import GitRemote
from tieline.model.binding import Derived, Text
from tieline.secrets.forms import git_user
from tieline.secrets.secret import Secret

_LONG = 16  # a user name of this length may be a token that was put there
_ASKED = re.compile(r"could not read (?:Username|Password) for '([^']+)'")
_REFUSED = re.compile(r"Authentication failed for '([^']+)'")
_FORBIDDEN = re.compile(r"unable to access '([^']+)'.*error: 403|HTTP 403")
_HIDDEN_REPOSITORY = re.compile(r"error: 404|[Rr]epository .*not found|HTTP 404")


def https_login(remote: GitRemote, secrets: Mapping[str, Secret], folder: Path) -> Login:
    """How to log in at ``remote`` with its ``username`` and ``password``; ``folder``: a private one.

    Raises :class:`StepFailed` for a value that no server could be told.
    """
    origin = http_origin(remote.url)
    if origin is None or not remote.credentials.values:
        return Login()
    meant, source = _meant_for(remote), _source(remote)
    password = secrets.get("password")
    if not password or meant not in (None, _authority(remote.url)):
        return Login(refusal=_Refusals(origin, source, given=False, meant=meant).of)
    username = secrets.get("username") or _name_of_a_token(password, remote.url)
    login = b"".join(
        b"%s=%s\n" % (name, _line(name.decode(), value, source))
        for name, value in ((b"username", username), (b"password", password))
    )
    path = write_private(folder / "login", login)
    helper = f'!f() {{ test "$1" = get && cat {shlex.quote(str(path))}; }}; f'
    return Login(
        config=((f"credential.{origin}.helper", ""), (f"credential.{origin}.helper", helper)),
        hidden=_hidden(username, password),
        refusal=_Refusals(origin, source, given=True, meant=meant).of,
    )


def _name_of_a_token(password: Secret, url: str) -> Secret:
    """Who logs in with a password and no name: as with a token alone."""
    return Secret(git_user({"token": password, "host": Secret(_authority(url))}) or b"")


def _hidden(username: Secret, password: Secret) -> tuple[Secret, ...]:
    user, word = username.reveal_text().strip(), password.reveal_text().strip()
    hidden = (password, Secret(f"{user}:{word}"))
    return (*hidden, username) if len(user) >= _LONG else hidden


def _line(name: str, value: Secret, source: str) -> bytes:
    """The value as a line of git's credential protocol; the line end that editors put behind a value is not its own."""
    plain = value.reveal().rstrip(b"\r\n")
    if b"\n" in plain or b"\0" in plain:
        raise StepFailed.of(
            Code.CLONE_FAILED, f"the {name} for git has a line break in it", f"write one line into {source}"
        )
    return plain


def _meant_for(remote: GitRemote) -> str | None:
    """The host (and port) that the connection names; a job may have given another url since."""
    username = remote.credentials.values.get("username")
    host = username.parts.get("host") if isinstance(username, Derived) else None
    return _authority(f"https://{host.text}/") if isinstance(host, Text) else None


def _authority(url: str) -> str:
    return re.sub(r":(80|443)$", "", url.split("/")[2].lower())


def _source(remote: GitRemote) -> str:
    """The secret and its keys, for whoever has to mend them."""
    values = remote.credentials.values
    passwords = keys_of(values.get("password"))
    names = [key for key in keys_of(values.get("username")) if key not in passwords]
    keys = ", ".join([*names, *passwords])
    return f"the secret {remote.credentials.secret!r} (keys {keys})"


@dataclass(frozen=True, slots=True)
class _Refusals:
    """What a server's refusals mean here. ``given``: whether there were credentials to show it."""

    origin: str
    source: str
    given: bool
    meant: str | None

    def of(self, said: str) -> Refusal | None:
        """git's words, explained; None where they are about something else."""
        if found := _ASKED.search(said) or _REFUSED.search(said):
            place = http_origin(found[1])
            return self._refused() if place == self.origin else self._elsewhere(place or clean(found[1]))
        if _FORBIDDEN.search(said):
            hint = f"check that the account of {self.source} may read this repository"
            return Refusal("the server forbids it (403)", hint)
        if self.given and _HIDDEN_REPOSITORY.search(said):
            hint = f"check the url, and that the account of {self.source} may see it"
            return Refusal("the server says that there is no such repository", hint)
        return None

    def _refused(self) -> Refusal:
        if self.given:
            return Refusal("the server refused the credentials", f"check {self.source}")
        if self.meant not in (None, _authority(self.origin + "/")):
            reason = f"the server asks for credentials, and the connection's are for {self.meant}: it is not sent them"
            return Refusal(reason, "name a connection for this server")
        return Refusal("the server asks for credentials, and there is no password or token", f"check {self.source}")

    def _elsewhere(self, place: str) -> Refusal:
        reason = f"{place} asks for credentials, and the connection's are for {self.origin} alone"
        return Refusal(
            reason, "a redirect or a submodule leads there: check the url, or clone it by its own connection"
        )
