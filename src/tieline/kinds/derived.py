"""The forms of derived values: the contract between the kinds, which name them, and the resolver, which computes them.

A :class:`~tieline.model.binding.Derived` value has a form's name and its *parts*, each a value itself. A part that has
no value (an optional key that the secret lacks) counts as absent. Where a form can't be made from what is there, the
derived value has no value either: an error, unless it is ``optional``. All functions here only build such values.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from tieline.model.binding import Derived, Text, Value

FIRST = "first"
"""The first part that has a value. Parts: ``1``, ``2`` …, tried in that order."""

ENTRY_PATH = "entry-path"
"""The path of a file of a binding directory: ``{binding root}/{connection}/{entry}``. Parts: ``connection``, ``entry``,
and maybe ``when``: without a value for it, there is no path."""

URI = "uri"
"""An address with its user information, percent-encoded. Parts: either ``base`` (a URI without user information) or
``scheme``, ``host``, ``port``, ``database``, ``query`` (what stands behind the ``?``); and ``username``, ``password``,
each of which may be absent."""

GOOGLE_KEYFILE = "google-keyfile"
"""A service account's key file. Parts: ``json``: its text; escaped line ends in ``private_key`` become real ones."""

GIT_USER = "git-user"
"""The user name for git over http. Parts: ``username``, ``credentials`` (``user:token``, or a token alone), ``token``,
``host``. The first two give it; for a token alone it is ``x-token-auth`` on bitbucket.org and ``oauth2`` elsewhere."""

GIT_PASSWORD = "git-password"  # noqa: S105
"""The password for git over http. Parts: ``password``, ``token``, ``credentials`` (what follows the first colon, or all
of it), tried in this order."""

GIT_ASKPASS = "git-askpass"
"""A shell script for ``GIT_ASKPASS`` (mode 0700): prints the file at ``username-path`` or ``password-path``, only
when git asks for the host ``host``. Parts: these three."""

GIT_SSH_COMMAND = "git-ssh-command"
"""A command line for ``GIT_SSH_COMMAND``. Parts: ``key-path``; maybe ``known-hosts-path`` (then host keys are strict;
else a server's first key is accepted), ``port``, ``user``."""

DOCKER_CONFIG = "docker-config"
"""The text of a Docker ``config.json`` for one registry. Parts: ``host``, and ``config`` (such a text), ``legacy`` (the
``.dockercfg`` form), or ``username`` and ``password``; the first that has a value."""

DOCKER_CONFIG_DIR = "docker-config-dir"
"""The path of a folder, outside the binding directories, with one ``config.json`` merged from all its parts.
Parts: ``config:NAME`` for every registry connection, each a ``docker-config``."""

DOCKER_CONFIG_FILE = "docker-config-file"
"""The path of the ``config.json`` in that same folder. Parts: as for ``docker-config-dir``."""

FORMS = (
    FIRST,
    ENTRY_PATH,
    URI,
    GOOGLE_KEYFILE,
    GIT_USER,
    GIT_PASSWORD,
    GIT_ASKPASS,
    GIT_SSH_COMMAND,
    DOCKER_CONFIG,
    DOCKER_CONFIG_DIR,
    DOCKER_CONFIG_FILE,
)
MERGEABLE = frozenset({DOCKER_CONFIG_DIR, DOCKER_CONFIG_FILE})
"""Forms of which several connections of one job make one value together, instead of colliding; see :func:`merged`."""


def derive(form: str, parts: Mapping[str, Value | str | None]) -> Derived | None:
    """An optional derived value; plain text becomes :class:`Text`, absent parts are left out, no parts is no value."""
    there = {
        name: Text(text=part) if isinstance(part, str) else part for name, part in parts.items() if part is not None
    }
    return Derived(form=form, parts=there, optional=True) if there else None


def first(*values: Value | None) -> Value | None:
    """The first of these that has a value when it is looked up."""
    there = [value for value in values if value is not None]
    if len(there) < 2:
        return there[0] if there else None
    return derive(FIRST, {str(number): value for number, value in enumerate(there, 1)})


def only_with(text: str, condition: Value) -> Value:
    """The text, where ``condition`` has a value.

    No form of its own: with it ``text://condition`` is a URI, and what stands before its colon is a user's name.
    """
    if isinstance(condition, Text):
        return Text(text=text)
    address = Derived(form=URI, parts={"scheme": Text(text=text), "host": condition}, optional=True)
    return Derived(form=GIT_USER, parts={"credentials": address}, optional=True)


def entry_path(connection: str, entry: str, when: Value | None = None) -> Value:
    """The path of a file of the connection's binding directory, if ``when`` has a value."""
    parts: dict[str, Value] = {"connection": Text(text=connection), "entry": Text(text=entry)}
    if when is not None:
        parts["when"] = when
    return Derived(form=ENTRY_PATH, parts=parts, optional=when is not None)


def merged(values: Iterable[Value]) -> Derived | None:
    """One value for a variable that several connections declare, where their form allows it; else None."""
    found = list(values)
    forms = {value.form for value in found if isinstance(value, Derived)}
    if len(forms) != 1 or not forms <= MERGEABLE or not all(isinstance(value, Derived) for value in found):
        return None
    parts: dict[str, Value] = {}
    for value in found:
        if isinstance(value, Derived):
            parts.update(value.parts)
    return Derived(form=forms.pop(), parts=parts, optional=True)
