"""Code: git repositories, and ssh servers (which git repositories are often behind).

Nothing of a repository's address may become an option or a command of git: no leading ``-``, no transport helpers. An
http address has no user information at all, because a token is as easily written in the user's place.
"""

import re
from pathlib import PurePosixPath
from typing import Annotated, ClassVar

from tieline.kinds import keys
from tieline.kinds.addresses import port_of
from tieline.kinds.base import Complaint, Kind
from tieline.kinds.bindings import (
    assemble,
    credentials,
    env_value,
    from_secret,
    schema_entries,
    setting,
)
from tieline.kinds.derived import (
    GIT_ASKPASS,
    GIT_PASSWORD,
    GIT_SSH_COMMAND,
    GIT_USER,
    derive,
    entry_path,
)
from tieline.kinds.fields import (
    NO_PASSWORD,
    PASSWORD_IN_QUERY,
    PASSWORD_IN_URL,
    Count,
    MachinePath,
    OneOrMany,
    Port,
    Proxy,
    Scalar,
    Shape,
)
from tieline.model.access import GitRemote, SshHost
from tieline.model.binding import Binding, Text, Value
from tieline.model.connection import Connection
from tieline.model.form import Form

SSH_PORT = 22
_USER = r"(?:[A-Za-z0-9_][A-Za-z0-9._-]*@)?"
_HOST = r"(?:[A-Za-z0-9][A-Za-z0-9._-]*|\[[0-9A-Fa-f:.]+\])"
_SCHEMES = r"(?!(?:https?|ssh|git|file|ftps?):)"
_REMOTE = (
    rf"https?://[^\s/?#@-][^\s/?#@]*/\S+|ssh://{_USER}{_HOST}(?::[0-9]+)?/\S+"
    rf"|file:///[^\x00-\x1f]*|{_SCHEMES}{_USER}{_HOST}:(?!:|//|-)\S+|(?:/|\.\.?/)[^\x00-\x1f]*|\.\.?"
)
_TRAPS = (
    (
        r"^[A-Za-z0-9+.-]+::",
        "transport helpers (ext::…) run commands, and are refused|write an https, ssh or file address",
    ),
    (r"^-", "it begins with '-' and would be read as an option|write an https, ssh or file address"),
    (
        r"^https?://[^/?#]*@",
        "there is a user or a password in the URL|credentials belong into a secret: write https://HOST/PATH",
    ),
    (PASSWORD_IN_URL, NO_PASSWORD),
    (PASSWORD_IN_QUERY, NO_PASSWORD),
)
GIT_URL = Shape(
    rf"^(?:{_REMOTE})$",
    "this is no git repository's address",
    "write https://HOST/PATH, ssh://git@HOST/PATH, git@HOST:PATH, file:///PATH, or a path of this machine",
    _TRAPS,
)
"""What ``url`` may be; a job's own ``git: {url}`` has to pass it too."""
SSH_URL = Shape(
    rf"^(?:{_REMOTE}|(?:ssh://)?{_USER}{_HOST}(?::[0-9]+)?/?)$",
    "this is no ssh server's address",
    "write ssh://USER@HOST:PORT, or a repository's address like git@HOST:PATH",
    _TRAPS,
)
REVISION = Shape(
    r"^(?!-)[^\s\x00-\x1f\x7f]+$",
    "this is no git revision",
    "write a branch, a tag or a commit; it may not begin with '-' and has no spaces",
)
"""What ``revision`` may be; a job's own ``git: {revision}`` has to pass it too."""
FLAG = Shape(
    r"^-[^\x00-\x1f]+$",
    "this is no flag of git clone",
    "write it like --single-branch; each one is an item of the list",
    (
        (
            r"^(--(upload-pack|receive-pack|exec|config|template)([= ]|$)|-[uc])",
            "this flag would run a command|leave it out; proxy, caBundle and the ssh kind have fields of their own",
        ),
    ),
)
"""What an item of ``flags`` may be; a job's own ``git: {flags}`` has to pass it too."""
_SPARSE = Shape(
    r"^(?!-)[^\x00-\x1f]+$",
    "this is no path of a sparse checkout",
    "write a folder of the repository; it may not begin with '-'",
)
_FILTER = Shape(r"^[a-z]+:\S+$", "this is no filter of a partial clone", "write blob:none, blob:limit=1m or tree:0")
_LOGIN = Shape(r"^[A-Za-z0-9_][A-Za-z0-9._-]*$", "this is no user's name", "use letters, digits, '.', '_' and '-'")
_KEY_NAME = Shape(r"^[^/\x00-\x1f]+$", "this is no key of a secret", "write the key's name only, like id_ed25519")
_SSH_PARTS = re.compile(
    r"^(?:ssh://(?:([^@/]*)@)?(\[[^\]]*\]|[^:/]*)(?::([0-9]+))?(?:/.*)?|(?:([^@/:]*)@)?(\[[^\]]*\]|[^:/]+)(?::(.*))?)$"
)


def ssh_place(url: str) -> tuple[str | None, str | None, int | None]:
    """User, host and port of an ssh address; all None for an address of another sort (https, a path)."""
    if url.startswith(("http://", "https://", "file://", "/", ".")):
        return None, None, None
    found = _SSH_PARTS.match(url)
    if not found:
        return None, None, None
    user, host, port, scp_user, scp_host, rest = found.groups()
    number = port or (rest if rest and rest.isdecimal() else None)
    return user or scp_user, (host or scp_host or "").strip("[]") or None, port_of(number)


class GitSchema(Form):
    """A git repository."""

    url: Annotated[str, GIT_URL]
    """The repository: https://host/path, ssh://git@host/path, git@host:path, file:///path, or a path of this machine
    (./ and ../ are relative to the catalog's file). No user or password in it, except the user of ssh."""
    revision: Annotated[Scalar, REVISION] | None = None
    """A branch, tag or commit; a missing one is an error. Default: the repository's default branch."""
    flags: Annotated[tuple[Annotated[str, FLAG], ...], OneOrMany()] = ()
    """Further flags of git clone, each an item: [--single-branch]."""
    depth: Count | None = None
    """Only so many commits of history."""
    filter: Annotated[str, _FILTER] | None = None
    """A partial clone: blob:none, blob:limit=1m, tree:0."""
    sparse: Annotated[tuple[Annotated[str, _SPARSE], ...], OneOrMany()] = ()
    """Check out these folders only."""
    submodules: bool = False
    """Clone submodules too, at every depth."""
    lfs: bool = False
    """Fetch the files that git-lfs keeps."""
    ca_bundle: MachinePath | None = None
    """A PEM file of the certificates to trust; relative paths (./ca.pem) are relative to the catalog's file."""
    proxy: Proxy | None = None
    """The proxy to use: http://proxy.example.org:3128."""


class SshSchema(Form):
    """An ssh server; as a git connection, the repository behind it. Everything is optional: a job may give the URL."""

    url: Annotated[str, SSH_URL] | None = None
    """The server: ssh://user@host:port; or the repository that git clones by default: git@host:path."""
    user: Annotated[str, _LOGIN] | None = None
    """The user to log in as, at whatever URL git is given. Default: the URL's; where Tieline clones, else git."""
    port: Port | None = None
    """The server's port, at whatever URL git is given. Default: the URL's, else 22."""
    known_hosts: str | None = None
    """The servers' public keys, as lines of a known_hosts file. Default: the secret's known_hosts."""
    private_key: Annotated[str, _KEY_NAME] | None = None
    """The key's name in the secret. Default: what POLYAXON_SSH_PRIVATE_KEY in env says, else id_rsa (or the first that
    is there of id_ed25519, id_ecdsa, ssh-privatekey)."""


def _key_names(connection: Connection, given: str | None) -> tuple[str, ...]:
    named = given or env_value(connection, ["POLYAXON_SSH_PRIVATE_KEY", "TIELINE_SSH_PRIVATE_KEY"])
    return (PurePosixPath(named).name,) if named else keys.SSH_KEYS


def _ssh_entries(connection: Connection, given_key: str | None = None, hosts: str | None = None) -> dict[str, Value]:
    entries = {
        "private-key": from_secret(connection, _key_names(connection, given_key)),
        "known-hosts": setting(connection, keys.KNOWN_HOSTS, hosts),
    }
    return {name: value for name, value in entries.items() if value is not None}


def _ssh_command(connection: Connection, entries: dict[str, Value], port: int | None, user: str | None) -> Value | None:
    """The entry ``ssh-command`` and the value of ``GIT_SSH_COMMAND``, where there is a key to name in it."""
    key, hosts = entries.get("private-key"), entries.get("known-hosts")
    if key is None:
        return None
    parts = {
        "key-path": entry_path(connection.name, "private-key", key),
        "known-hosts-path": entry_path(connection.name, "known-hosts", hosts) if hosts else None,
        "port": str(port) if port else None,
        "user": user,
    }
    return derive(GIT_SSH_COMMAND, parts)


class Git(Kind):
    """``git``."""

    name = "git"
    family = "code"
    title = "A git repository"
    schema = GitSchema
    relative_paths = ("url", "caBundle")
    examples: ClassVar = (
        {"name": "code", "kind": "git", "schema": {"url": "https://gitlab.com/org/test"}},
        {
            "name": "models",
            "kind": "git",
            "description": "Our models, on our own GitLab",
            "schema": {
                "url": "https://gitlab.example.org/ml/models.git",
                "revision": "main",
                "flags": ["--single-branch"],
                "depth": 1,
                "filter": "blob:none",
                "sparse": ["train", "common"],
                "submodules": True,
                "lfs": True,
                "caBundle": "/etc/ssl/gitlab.pem",
                "proxy": "http://proxy.example.org:3128",
            },
            "secret": {"name": "gitlab-token"},
        },
    )

    @staticmethod
    def _login(connection: Connection, schema: GitSchema) -> dict[str, Value | None]:
        """User and password for http; nothing for other addresses."""
        found = re.match(r"^https?://([^/]+)", schema.url)
        username = from_secret(connection, keys.USERNAME)
        password = from_secret(connection, keys.PASSWORD)
        both, token = from_secret(connection, keys.GIT_CREDENTIALS), from_secret(connection, keys.TOKEN)
        if not found or not (password or both or token):
            return {}
        host = found.group(1)
        return {
            "username": derive(GIT_USER, {"username": username, "credentials": both, "token": token, "host": host}),
            "password": derive(GIT_PASSWORD, {"password": password, "token": token, "credentials": both}),
        }

    @staticmethod
    def _askpass(connection: Connection, schema: GitSchema, login: dict[str, Value | None]) -> Value | None:
        if not login:
            return None
        parts = {
            "username-path": entry_path(connection.name, "username"),
            "password-path": entry_path(connection.name, "password", login["password"]),  # no script without one
            "host": schema.url.split("/")[2],
        }
        return derive(GIT_ASKPASS, parts)

    def bind(self, connection: Connection) -> Binding:
        schema: GitSchema = connection.schema_
        _, host, _ = ssh_place(schema.url)
        ssh = _ssh_entries(connection) if host else {}
        login = self._login(connection, schema)
        askpass = self._askpass(connection, schema, login)
        entries: dict[str, Value | None] = {
            **schema_entries(schema),
            "uri": Text(text=schema.url),
            **login,
            "askpass": askpass,
            **ssh,
            "ssh-command": _ssh_command(connection, ssh, None, None),  # the URL says both
        }
        variables: dict[str, str | Value | None] = {
            "GIT_ASKPASS": entry_path(connection.name, "askpass", login["password"]) if askpass else None,
            "GIT_SSH_COMMAND": "ssh-command",
            "GIT_SSL_CAINFO": "ca-bundle",
        }
        modes = {"askpass": 0o700, "private-key": 0o600, "password": 0o600}
        return assemble(connection, "git", entries, variables, modes=modes)

    def access(self, connection: Connection) -> GitRemote:
        schema: GitSchema = connection.schema_
        user, host, port = ssh_place(schema.url)
        login = self._login(connection, schema)
        ssh = None
        if host:
            keys_ = credentials(connection, _ssh_entries(connection))
            ssh = SshHost(url=schema.url, host=host, port=port or SSH_PORT, user=user, credentials=keys_)
        return GitRemote(
            url=schema.url,
            revision=schema.revision,
            flags=schema.flags,
            depth=schema.depth,
            filter=schema.filter,
            sparse=schema.sparse,
            submodules=schema.submodules,
            lfs=schema.lfs,
            ca_bundle=schema.ca_bundle,
            proxy=schema.proxy,
            ssh=ssh,
            credentials=credentials(connection, login),
        )

    def check(self, connection: Connection) -> list[Complaint]:
        """What is for http has no effect over ssh, and a proxy that is passed by is no proxy."""
        found = super().check(connection)
        schema: GitSchema = connection.schema_
        if schema.proxy and ssh_place(schema.url)[1]:
            right = "take it out, or write the repository's https address"
            found.append(("schema.proxy", "a proxy is for http, and this url is reached by ssh", right))
        return found


class Ssh(Kind):
    """``ssh``."""

    name = "ssh"
    family = "code"
    title = "An ssh server, or git repositories behind ssh"
    schema = SshSchema
    needs_schema = False
    auth_methods = ("secret",)
    examples: ClassVar = (
        {
            "name": "github-ssh",
            "kind": "ssh",
            "secret": {"name": "ssh-key-secret", "mountPath": "/etc/.ssh", "defaultMode": "0600"},
        },
        {
            "name": "models-ssh",
            "kind": "ssh",
            "schema": {
                "url": "git@github.com:org/models.git",
                "user": "git",
                "port": 22,
                "knownHosts": "github.com ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9",
                "privateKey": "deploy_key",
            },
            "secret": {
                "name": "ssh-key-secret",
                "mountPath": "/etc/.ssh",
                "items": ["deploy_key"],
                "defaultMode": "0600",
            },
        },
    )

    def bind(self, connection: Connection) -> Binding:
        schema: SshSchema = connection.schema_ or SshSchema()
        user, host, port = self._place(schema)
        ssh = _ssh_entries(connection, schema.private_key, schema.known_hosts)
        shown = port or (SSH_PORT if host else None)  # the command needs no usual one: a job's URL may have another
        entries: dict[str, Value | None] = {
            "url": Text(text=schema.url) if schema.url else None,
            "host": Text(text=host) if host else None,
            "port": Text(text=str(shown)) if shown else None,
            "username": Text(text=user) if user else None,
            **ssh,
            "ssh-command": _ssh_command(connection, ssh, port, user),
        }
        variables = {"GIT_SSH_COMMAND": "ssh-command"}
        return assemble(connection, "ssh", entries, variables, modes={"private-key": 0o600})

    @staticmethod
    def _place(schema: SshSchema) -> tuple[str | None, str | None, int | None]:
        """User, host and port, as far as the schema says them."""
        user, host, port = ssh_place(schema.url) if schema.url else (None, None, None)
        return schema.user or user, host, schema.port or port

    def access(self, connection: Connection) -> SshHost:
        schema: SshSchema = connection.schema_ or SshSchema()
        user, host, port = self._place(schema)
        found = _ssh_entries(connection, schema.private_key, schema.known_hosts)
        return SshHost(
            url=schema.url,
            host=host,
            port=port or SSH_PORT,
            user=user,
            known_hosts=schema.known_hosts,
            credentials=credentials(connection, found),
        )

    def check(self, connection: Connection) -> list[Complaint]:
        """The key is a file, so its secret has a path; and a key that is named must be among the secret's items."""
        found = super().check(connection)
        secret, schema = connection.secret, connection.schema_ or SshSchema()
        if secret is None:
            right = "add secret: {name: …, mountPath: /etc/.ssh, defaultMode: 0600}"
            found.append(("secret", "ssh needs a secret with the private key", right))
        elif secret.mount_path is None:
            found.append(("secret.mountPath", "the key is a file: it needs a path", "add mountPath: /etc/.ssh"))
        elif not _ssh_entries(connection, schema.private_key).get("private-key"):
            names = " or ".join(_key_names(connection, schema.private_key))
            found.append(("secret.items", f"the private key ({names}) is not among them", "add it"))
        return found


KINDS = {kind.name: kind for kind in (Git, Ssh)}
