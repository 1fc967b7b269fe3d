"""What a kind that is a row of the table binds, and the access it gives: one class for all of them.

The address comes from the schema, in parts or as one URI; where the schema is silent, from the secret or the config
map, under the names that operators of databases use (``host``, ``username``, ``uri`` …).
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, cast

from tieline.kinds import keys
from tieline.kinds.addresses import compose, parse, query_of, query_text, with_query, with_user
from tieline.kinds.base import Complaint, Kind
from tieline.kinds.bindings import assemble, credentials, entry_name, from_secret, schema_entries, setting
from tieline.kinds.derived import URI, derive, first, only_with
from tieline.kinds.rows import Row, make_schema
from tieline.model.access import Access, Database, Http, Socket
from tieline.model.binding import Binding, Text, Value
from tieline.model.connection import Connection

Found = dict[str, Value | None]
SCHEME_PORTS: dict[str, int | None] = {"http": 80, "https": 443, "ftps": 990, "mongodb+srv": None}
"""Of addresses that say no port, where the scheme knows better than the kind."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where a schema points, whichever way it says it. ``base``: the URI without user and password; None where the
    schema doesn't say where it is. ``query``: all of the URI's parameters, wherever they come from."""

    host: str | None
    port: int | None
    database: str
    username: str | None
    base: str | None
    query: Mapping[str, str]


class HostKind(Kind):
    """A kind that is a row; see :func:`row_kinds`."""

    row: ClassVar[Row]
    needs_schema = False

    def _query(self, schema: Any, given: str = "") -> dict[str, str]:
        """The URI's parameters: its own, where it is ``given``; ``options``; and the fields that are parameters."""
        row, scheme = self.row, given.partition(":")[0]
        query: dict[str, str] = dict(getattr(schema, "options", {}))
        for extra in row.extras:
            value = getattr(schema, extra.name)
            if extra.query and value is not None:
                query.setdefault(extra.query, str(value))
        query.update(query_of(given) if scheme != "jdbc" else {})
        tls = row.tls_drivers.get(scheme.partition("+")[2], row.tls_query)
        said = row.tls_instead and any(name.startswith(row.tls_instead) for name in query)
        if tls and schema.tls is not None and not said:
            name, on, off = tls
            if word := on if schema.tls else off:
                query.setdefault(name, word)
        return query

    def _target(self, connection: Connection) -> Target:
        row, schema = self.row, self._schema(connection)
        given = row.encrypted(getattr(schema, "uri", None) or "", schema.tls) or getattr(schema, "url", None)
        if given is None and schema.host is None and not getattr(schema, "account", None):
            given = row.url or None
        query = self._query(schema, given or "")
        if given:
            at = parse(given)
            username = schema.username or at.username or row.user or None
            whole = at.base if at.scheme == "jdbc" else with_query(at.base, query)
            usual = SCHEME_PORTS.get(at.scheme, row.port)
            return Target(at.host, at.port or usual, at.path, username, whole, query)
        names = [str(value) for name in row.path if (value := getattr(schema, name, None)) is not None]
        path, port = "/".join(names), schema.port or row.port
        host: str | None = schema.host
        authority = host
        if row.account_host and (account := getattr(schema, "account", None)):
            host, authority = host or row.account_host.format(account), account
        base: str | None = None
        if authority and row.schemes and not row.address_only:
            end = port if authority == host else None
            base = compose(row.scheme(schema.tls), authority, end, path, query)
        return Target(host, port, path, schema.username or row.user or None, base, query)

    def _schema(self, connection: Connection) -> Any:
        return connection.schema_ if connection.schema_ is not None else self.schema()

    def _keys(self, entry: str, *usual: str) -> tuple[str, ...]:
        """The keys of a secret that may hold an entry: the usual ones, its standard variables, the row's own."""
        variables = (name for name, source in self.row.variables.items() if source == entry)
        return tuple(dict.fromkeys((*usual, *variables, *self.row.keys.get(entry, ()))))

    def _login(self, connection: Connection, target: Target) -> Found:
        username = from_secret(connection, self._keys("username", *keys.USERNAME))
        found: Found = {
            "username": Text(text=target.username) if target.username else username,
            "password": from_secret(connection, self._keys("password", *keys.PASSWORD)),
        }
        fields = self.schema.model_fields
        for entry in self.row.keys:
            if entry not in ("uri", *found) and entry.replace("-", "_") not in fields:
                found[entry] = from_secret(connection, self._keys(entry, entry))
        return found

    def _located(self, target: Target) -> bool:
        return target.base is not None or (target.host is not None and not self.row.address_only)

    def _elsewhere(self, connection: Connection, target: Target) -> Found:
        """The parts of an address that the schema doesn't have."""
        if self._located(target):
            return {}
        host = setting(connection, self._keys("host", "host", "hostname"))
        port: Value | None = Text(text=str(target.port)) if target.port else None
        if self._schema(connection).port is None:  # a whole address in the secret may have another port
            usual = only_with(str(target.port), host) if target.port and host is not None else None
            port = first(setting(connection, self._keys("port", "port")), usual)
        return {
            "host": host,
            "port": port,
            "database": setting(connection, self._keys("database", "database", "dbname"), target.database or None),
            "uri": from_secret(connection, self._keys("uri", "uri", "url")),
        }

    def _uri(self, target: Target, login: Found, elsewhere: Found, tls: bool | None) -> Value | None:
        row = self.row
        user = {name: login[name] for name in ("username", "password")} if row.login_in_uri else {}
        if target.base is not None:
            if all(value is None or isinstance(value, Text) for value in user.values()):
                return Text(text=with_user(target.base, target.username if user else None))
            return derive(URI, {"base": target.base, **user})
        whole = elsewhere.get("uri")
        host = elsewhere.get("host")
        if host is None or not row.schemes:
            return whole
        parts = {
            "scheme": row.scheme(tls),
            "host": host,
            "port": elsewhere.get("port"),
            "database": elsewhere.get("database"),
            "query": query_text(target.query) or None,
            **user,
        }
        return first(whole, derive(URI, parts))

    def bind(self, connection: Connection) -> Binding:
        row, schema, target = self.row, self._schema(connection), self._target(connection)
        login, elsewhere = self._login(connection, target), self._elsewhere(connection, target)
        entries: Found = {
            **schema_entries(schema),
            **{name: Text(text=text) for name, text in self._known(schema, target).items() if text},
            **{name: value for name, value in {**login, **elsewhere}.items() if value is not None},
            "uri": self._uri(target, login, elsewhere, schema.tls),
        }
        return assemble(connection, row.type, entries, row.variables)

    def _known(self, schema: Any, target: Target) -> dict[str, str | None]:
        """Entries that the catalog has in another form: parts of a URI, and what it says by ``tls``."""
        row = self.row
        known: dict[str, str | None] = {
            entry_name(extra.name): target.query.get(extra.query) for extra in row.extras if extra.query
        }
        if row.tls_entry:
            name, on, off = row.tls_entry
            usual = None if schema.tls is None else on if schema.tls else off
            known[name] = target.query.get(name) or (None if name in (schema.model_extra or {}) else usual)
        if self._located(target):
            known |= {"host": target.host, "port": str(target.port or "")}
        if "database" in row.path:
            known["database"] = target.database
        return known

    def access(self, connection: Connection) -> Access:
        schema, target = self._schema(connection), self._target(connection)
        found = {**self._login(connection, target), **self._elsewhere(connection, target)}
        login = credentials(connection, found)
        if self.row.opens == "database":
            return Database(
                protocol=self.row.type,
                host=target.host,
                port=target.port,
                database=target.database or None,
                username=target.username,
                tls=schema.tls,
                options=dict(target.query),
                uri=target.base,
                credentials=login,
            )
        tls, ca_bundle = schema.tls, schema.ca_bundle
        if self.row.opens == "http" and target.base:
            tls = target.base.startswith("https:") if tls is None else tls
            return Http(url=target.base, tls=tls, ca_bundle=ca_bundle, credentials=login)
        return Socket(host=target.host, port=target.port, tls=tls, ca_bundle=ca_bundle, credentials=login)

    def check(self, connection: Connection) -> list[Complaint]:
        """Something has to say where it is: the schema, the secret, the config map or ``env``."""
        found = super().check(connection)
        target = self._target(connection)
        elsewhere = connection.secret or connection.config_map or connection.env
        if not self._located(target) and not elsewhere:
            address = "uri" if self.row.opens == "database" else "url"
            found.append(("schema", "nothing says where it is", f"give host or {address}, or a secret that has one"))
        schema = self._schema(connection)
        uri = getattr(schema, "uri", None) or ""
        if schema.tls is False and self.row.encrypts(uri):
            scheme = uri.partition("://")[0]
            found.append(("schema.tls", f"the uri's {scheme} encrypts, and tls says not to", "keep one of them"))
        return found


def row_kinds(rows: Iterable[Row], family: str) -> dict[str, Callable[[], Kind]]:
    """The table as the registry wants it: by name, how to make the kind."""
    return {row.name: _maker(row, family) for row in rows}


def _maker(row: Row, family: str) -> Callable[[], Kind]:
    def make() -> Kind:
        body = {
            "__doc__": f"``{row.name}``.",
            "__module__": __name__,
            "name": row.name,
            "family": family,
            "title": row.title,
            "row": row,
            "schema": make_schema(row),
            "relative_paths": () if row.opens == "database" else ("caBundle",),
            "examples": row.examples,
        }
        return cast(Kind, type(row.name, (HostKind,), body)())

    return make
