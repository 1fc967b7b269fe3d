"""The table of kinds that are "a host with credentials": what differs between thirty systems is data.

A :class:`Row` says the protocol, the default port, the schemes of its URIs, its standard variables and the fields that
only it has. :func:`make_schema` turns it into a pydantic model, when the kind is first asked for; what such a kind
binds, and the access it gives, is in :mod:`~tieline.kinds.hosts`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, Self

from pydantic import Field, create_model, model_validator

from tieline.kinds.addresses import parse
from tieline.kinds.fields import (
    ADDRESS_TRAPS,
    FreeForm,
    Host,
    HttpUrl,
    MachinePath,
    Options,
    Port,
    Scalar,
    Shape,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Extra:
    """A field that only one kind has: text, with a description; ``query``: the URI's parameter that it becomes."""

    name: str
    description: str
    query: str = ""
    type: Any = Scalar


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One kind of the table."""

    name: str
    title: str
    port: int | None = None
    schemes: tuple[str, ...] = ()
    """Of its URIs; the first one is written. Without one there is no ``uri`` entry."""
    tls_scheme: str = ""
    """The scheme where ``tls`` is on."""
    tls_query: tuple[str, str, str] | None = None
    """The URI's parameter for ``tls``, and its values for on and off."""
    tls_drivers: Mapping[str, tuple[str, str, str]] = field(default_factory=dict)
    """The same for URIs that name one of these drivers of SQLAlchemy (``mysql+pymysql``) and go to it alone."""
    tls_instead: str = ""
    """Parameters that begin with this say it, too: beside one of them, none is added for ``tls``."""
    tls_entry: tuple[str, str, str] | None = None
    """An entry that says it without being in the URI (where it is, that is taken), and its values for on and off."""
    tls_about: str = ""
    """What else people have to know about ``tls``."""
    protocol: str = ""
    """Of the access, and servicebinding.io's type. Default: the name."""
    opens: Literal["database", "http", "socket"] = "database"
    url: str = ""
    """Where it is, if nothing says so: for services that are in one place only."""
    account_host: str = ""
    """For a kind with a field ``account``: its host by that; the URI has the account itself in the host's place."""
    user: str = ""
    """Who logs in, if nothing says so."""
    address_only: bool = False
    """Whether its address can't be put together from parts."""
    login_in_uri: bool = True
    """Whether user name and password belong into the ``uri`` entry."""
    path: tuple[str, ...] = ("database",)
    """The entries that make up the URI's path."""
    extras: tuple[Extra, ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict)
    """Standard variables, each with its entry; their names are looked for in the secret too."""
    keys: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Further keys of secrets, by entry; an entry that no schema has is a credential."""
    examples: tuple[Mapping[str, Any], ...] = ()

    @property
    def type(self) -> str:
        """servicebinding.io's type, and the access's protocol."""
        return self.protocol or self.name

    def scheme(self, tls: bool | None) -> str:
        """The scheme of a URI that is put together from parts."""
        if tls and self.tls_scheme:
            return self.tls_scheme
        if tls is False and self.schemes[0] == self.tls_scheme and len(self.schemes) > 1:
            return self.schemes[1]
        return self.schemes[0]

    def encrypted(self, uri: str, tls: bool | None) -> str:
        """A whole URI, which says by its scheme what ``tls`` says: ``redis://`` becomes ``rediss://``."""
        scheme, mark, rest = uri.partition("://")
        plain, plus, driver = scheme.partition("+")
        if tls and self.tls_scheme and f"{plain}s" in self.schemes:
            return f"{plain}s{plus}{driver}{mark}{rest}"
        return uri

    def encrypts(self, uri: str) -> bool:
        """Whether the scheme of a whole URI is one for encryption."""
        plain = uri.partition("://")[0].partition("+")[0]
        return bool(self.tls_scheme) and plain.endswith("s") and plain.removesuffix("s") in self.schemes


class DatabaseSchema(FreeForm):
    """A database server: its address in parts, or as one URI. What is not here may be in the secret."""

    host: Host | None = None
    """The server's name or address."""
    port: Port | None = None
    """The server's port."""
    database: Scalar | None = None
    """The database's name (a number for redis)."""
    username: Scalar | None = None
    """The user's name, if it is not in the secret."""
    tls: bool | None = None
    """Whether to encrypt. Default: as the client's own default is."""
    options: Options = Field(default_factory=dict)
    """Further parameters of the URI, by name."""
    uri: str | None = None
    """Instead of host, port and database: the whole address, without a password."""

    @model_validator(mode="after")
    def _one_address(self) -> Self:
        parts = [name for name in ("host", "port", "database") if getattr(self, name) is not None]
        if self.uri is not None and parts:
            raise ValueError(f"uri and {parts[0]} are both given|keep the uri, or its parts")
        if self.uri is not None and self.username is not None and parse(self.uri).username is not None:
            raise ValueError("the user's name is given twice, in uri and in username|keep one of them")
        return self


class ServiceSchema(FreeForm):
    """A service: its URL, or its host and port. What is not here may be in the secret."""

    url: str | None = None
    """The whole address, without a password; instead of host and port."""
    host: Host | None = None
    """The server's name or address."""
    port: Port | None = None
    """The server's port."""
    username: Scalar | None = None
    """The user's name, if it is not in the secret."""
    tls: bool | None = None
    """Whether to encrypt. Default: as the URL says."""
    ca_bundle: MachinePath | None = None
    """A PEM file of the certificates to trust; relative paths (./ca.pem) are relative to the catalog's file."""

    @model_validator(mode="after")
    def _one_address(self) -> Self:
        if self.url is not None and (self.host is not None or self.port is not None):
            raise ValueError("url and host or port are both given|keep the url, or its parts")
        return self


def address_shape(row: Row) -> Shape:
    """What the row's ``uri`` or ``url`` may be."""
    if row.address_only:
        return Shape(
            rf"^{row.schemes[0]}:[a-z0-9]+:\S+$",
            f"this is no address of {row.name}",
            f"write it like {row.schemes[0]}:postgresql://HOST:PORT/DATABASE",
            ADDRESS_TRAPS,
        )
    known = "|".join(map(re.escape, row.schemes))
    return Shape(
        rf"^({known})(\+[a-z0-9_]+)?://[^\s/?#]+([/?#]\S*)?$",
        f"this is no address of {row.name}",
        f"write it like {row.schemes[0]}://HOST:PORT" + ("/DATABASE" if "database" in row.path else ""),
        ADDRESS_TRAPS,
    )


def make_schema(row: Row) -> type[FreeForm]:
    """The row's schema class; a default port stands in the field's description, because a URI has its own."""
    is_database = row.opens == "database"
    base: type[FreeForm] = DatabaseSchema if is_database else ServiceSchema
    fields: dict[str, Any] = {}
    if is_database and row.tls_query is not None:
        fields["tls"] = (bool | None, Field(default=None, description=_tls_words(row, row.tls_query)))
    if row.port is not None:
        fields["port"] = (Port | None, Field(default=None, description=f"The server's port. Default: {row.port}."))
    address = "uri" if is_database else "url"
    of_scheme: Any = Annotated[str, address_shape(row)] if row.schemes else HttpUrl
    fields[address] = (of_scheme | None, None)
    for extra in row.extras:
        fields[extra.name] = (extra.type | None, Field(default=None, description=extra.description))
    name = "".join(word.capitalize() for word in row.name.split("_")) + "Schema"
    return create_model(name, __base__=base, __module__=__name__, __doc__=f"{row.title}.", **fields)


def _tls_words(row: Row, parameter: tuple[str, str, str]) -> str:
    name, on, off = parameter
    default = "Whether to encrypt. Default: as the client's own default is."
    told = f"The URI says it as {name}={on} or {name}={off}, unless it says something else about it itself."
    return " ".join(filter(None, (default, told, row.tls_about)))
