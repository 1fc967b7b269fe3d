"""From a connection's secrets to a login for git, for as long as a checkout takes.

The secret values are looked up by whoever calls (:func:`needed` says which), written into a private folder in memory
that exists only inside the ``with``, and reach git and ssh from there. A remote without credentials of its own gets an
empty login: then the user's own git and ssh decide, and ask nobody.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tieline.git.https import https_login
from tieline.git.login import Login, Refusal
from tieline.git.private import memory, private_folder
from tieline.git.ssh import ssh_login
from tieline.git.url import http_origin, ssh_place
from tieline.model.access import GitRemote
from tieline.model.binding import Value
from tieline.secrets.secret import Secret


def needed(remote: GitRemote) -> dict[str, Value]:
    """The values that :func:`credentials` takes, by the names that it takes them under; each may turn out absent."""
    if http_origin(remote.url) is not None:
        return {name: value for name, value in remote.credentials.values.items() if name in ("username", "password")}
    return dict(remote.ssh.credentials.values) if remote.ssh is not None and ssh_place(remote.url) else {}


def _wants_a_token(said: str) -> Refusal | None:
    """What a refusal over http means where the connection has a key for ssh."""
    if not re.search(r"could not read Username|Authentication failed", said):
        return None
    return Refusal(
        "the server asks for a password or token, and the connection has a key for ssh",
        "write the repository's ssh address as the url, or use a connection of kind git",
    )


@contextmanager
def credentials(
    remote: GitRemote, secrets: Mapping[str, Secret], folder: Path, *, known_hosts: Path, mark: str
) -> Iterator[Login]:
    """What :func:`~tieline.git.checkout.checkout` needs to log in at ``remote``; nothing is left of it afterwards.

    ``secrets``: the values of :func:`needed`, without the absent ones. ``folder``: where to keep them if this machine
    has no folder in memory. ``known_hosts``: the file of this connection's servers, made and added to where it names
    no ``knownHosts``. ``mark``: names the private folder (see :func:`~tieline.git.private.remove_left`).
    Raises :class:`StepFailed` for a key or value that cannot be used, and SECRET_MISSING for an ssh key that is absent.
    """
    if not needed(remote):
        yield Login(refusal=_wants_a_token) if http_origin(remote.url) and remote.ssh else Login()
        return
    with private_folder(memory(folder), mark) as private:
        if http_origin(remote.url) is not None:
            yield https_login(remote, secrets, private)
        else:
            yield ssh_login(remote, secrets, private, known_hosts)
