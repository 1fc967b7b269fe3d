"""Databases: rows of the table, and sqlite, which is a file.

Standard variables are those that the system's own client programs or SDKs read; where there are none, a job reads the
binding directory.
"""

import re
from typing import ClassVar
from urllib.parse import quote

from pydantic import Field

from tieline.kinds.addresses import query_text
from tieline.kinds.base import Kind
from tieline.kinds.bindings import assemble, credentials, schema_entries
from tieline.kinds.fields import FreeForm, MachinePath, Options
from tieline.kinds.hosts import row_kinds
from tieline.kinds.rows import Extra, Row
from tieline.model.access import Database
from tieline.model.binding import Binding, Text
from tieline.model.connection import Connection

POSTGRES = Row(
    name="postgres",
    title="A PostgreSQL database",
    protocol="postgresql",
    port=5432,
    schemes=("postgresql", "postgres"),
    tls_query=("sslmode", "require", "disable"),
    extras=(
        Extra(
            name="sslmode",
            description="How to encrypt, and what to verify, in libpq's word: verify-full. Default: as tls says.",
            query="sslmode",
        ),
        Extra(
            name="sslrootcert",
            description="A PEM file of the certificates to trust, in the job; or system.",
            query="sslrootcert",
        ),
        Extra(name="sslcert", description="The client's own certificate: a file in the job.", query="sslcert"),
        Extra(name="sslkey", description="The key of that certificate: a file in the job.", query="sslkey"),
    ),
    variables={
        "PGHOST": "host",
        "PGPORT": "port",
        "PGDATABASE": "database",
        "PGUSER": "username",
        "PGPASSWORD": "password",
        "PGSSLMODE": "sslmode",
        "PGSSLROOTCERT": "sslrootcert",
        "PGSSLCERT": "sslcert",
        "PGSSLKEY": "sslkey",
    },
    keys={
        "host": ("POSTGRES_HOST",),
        "database": ("POSTGRES_DB", "POSTGRES_DATABASE"),
        "username": ("POSTGRES_USER", "POSTGRES_USERNAME"),
        "password": ("POSTGRES_PASSWORD",),
        "uri": ("DATABASE_URL", "POSTGRES_URL"),
    },
    examples=(
        {
            "name": "warehouse",
            "kind": "postgres",
            "schema": {"host": "db.example.org", "database": "warehouse"},
            "secret": {"name": "warehouse-secret"},
        },
        {
            "name": "features",
            "kind": "postgres",
            "description": "The feature store",
            "schema": {
                "host": "db.example.org",
                "port": 5433,
                "database": "features",
                "username": "reader",
                "tls": True,
                "options": {"connect_timeout": 10},
            },
            "secret": {"name": "features-secret", "items": ["password"]},
            "envPrefix": "FEATURES_",
        },
    ),
)
MYSQL = Row(
    name="mysql",
    title="A MySQL or MariaDB database",
    port=3306,
    schemes=("mysql", "mariadb"),
    tls_query=("ssl_mode", "REQUIRED", "DISABLED"),
    tls_drivers={"pymysql": ("ssl_check_hostname", "false", "")},
    tls_instead="ssl",
    tls_about=(
        "No variable says it: the clients read none. ssl_mode is the word of mysqlclient (SQLAlchemy's driver for "
        "mysql://) and of MySQL itself; PyMySQL refuses it: write uri: mysql+pymysql://…, which has "
        "ssl_check_hostname=false instead, or read the entry tls."
    ),
    variables={
        "MYSQL_HOST": "host",
        "MYSQL_TCP_PORT": "port",
        "MYSQL_PORT": "port",
        "MYSQL_DATABASE": "database",
        "MYSQL_USER": "username",
        "MYSQL_PASSWORD": "password",
        "MYSQL_PWD": "password",
    },
    keys={"uri": ("DATABASE_URL", "MYSQL_URL")},
    examples=(
        {
            "name": "shop",
            "kind": "mysql",
            "schema": {"host": "mysql.example.org", "database": "shop"},
            "secret": {"name": "shop-secret"},
        },
        {
            "name": "shop-copy",
            "kind": "mysql",
            "schema": {
                "uri": "mysql://reader@copy.example.org:3307/shop",
                "tls": True,
                "options": {"charset": "utf8mb4"},
            },
            "secret": {"name": "shop-secret", "items": ["password"]},
        },
    ),
)
MSSQL = Row(
    name="mssql",
    title="A Microsoft SQL Server database",
    protocol="sqlserver",
    port=1433,
    schemes=("mssql", "sqlserver"),
    tls_query=("encrypt", "yes", "no"),
    variables={
        "SQLCMDSERVER": "host",
        "SQLCMDDBNAME": "database",
        "SQLCMDUSER": "username",
        "SQLCMDPASSWORD": "password",
    },
    keys={"password": ("MSSQL_PASSWORD", "MSSQL_SA_PASSWORD"), "username": ("MSSQL_USER",)},
    examples=(
        {
            "name": "erp",
            "kind": "mssql",
            "schema": {"host": "sql.example.org", "database": "erp", "tls": True},
            "secret": {"name": "erp-secret"},
        },
    ),
)
ORACLE = Row(
    name="oracle",
    title="An Oracle database",
    port=1521,
    schemes=("oracle",),
    extras=(
        Extra(name="service_name", description="The service's name.", query="service_name"),
        Extra(name="sid", description="The instance's identifier, instead of a service's name.", query="sid"),
    ),
    keys={"password": ("ORACLE_PASSWORD",), "username": ("ORACLE_USER",)},
    examples=(
        {
            "name": "ledger",
            "kind": "oracle",
            "schema": {"host": "oracle.example.org", "serviceName": "LEDGER"},
            "secret": {"name": "ledger-secret"},
        },
    ),
)
VERTICA = Row(
    name="vertica",
    title="A Vertica database",
    port=5433,
    schemes=("vertica",),
    variables={
        "VSQL_HOST": "host",
        "VSQL_PORT": "port",
        "VSQL_DATABASE": "database",
        "VSQL_USER": "username",
        "VSQL_PASSWORD": "password",
        "VSQL_SSLMODE": "sslmode",
    },
    tls_entry=("sslmode", "require", "disable"),
    examples=(
        {
            "name": "events",
            "kind": "vertica",
            "schema": {"host": "vertica.example.org", "database": "events"},
            "secret": {"name": "vertica-secret"},
        },
    ),
)
REDIS = Row(
    name="redis",
    title="A Redis or Valkey server",
    port=6379,
    schemes=("redis", "rediss", "valkey", "valkeys"),
    tls_scheme="rediss",
    variables={"REDIS_URL": "uri", "REDISCLI_AUTH": "password"},
    keys={"password": ("REDIS_PASSWORD",), "host": ("REDIS_HOST",), "port": ("REDIS_PORT",)},
    examples=(
        {"name": "cache", "kind": "redis", "schema": {"host": "redis.example.org"}},
        {
            "name": "queue",
            "kind": "redis",
            "schema": {"host": "redis.example.org", "port": 6380, "database": 2, "username": "jobs", "tls": True},
            "secret": {"name": "redis-secret"},
        },
    ),
)
MONGO = Row(
    name="mongo",
    title="A MongoDB database",
    protocol="mongodb",
    port=27017,
    schemes=("mongodb", "mongodb+srv"),
    tls_query=("tls", "true", "false"),
    extras=(
        Extra(name="auth_source", description="The database that knows the user.", query="authSource"),
        Extra(name="replica_set", description="The replica set's name.", query="replicaSet"),
    ),
    variables={"MONGODB_URI": "uri"},
    keys={"password": ("MONGO_PASSWORD", "MONGODB_PASSWORD"), "username": ("MONGO_USERNAME", "MONGODB_USERNAME")},
    examples=(
        {
            "name": "documents",
            "kind": "mongo",
            "schema": {"host": "mongo.example.org", "database": "documents"},
            "secret": {"name": "mongo-secret"},
        },
        {
            "name": "annotations",
            "kind": "mongo",
            "schema": {
                "uri": "mongodb://m1.example.org:27017,m2.example.org:27017/annotations",
                "username": "reader",
                "authSource": "admin",
                "replicaSet": "rs0",
                "tls": True,
            },
            "secret": {"name": "mongo-secret", "items": ["password"]},
        },
    ),
)
CASSANDRA = Row(
    name="cassandra",
    title="A Cassandra cluster",
    port=9042,
    schemes=("cassandra",),
    extras=(Extra(name="datacenter", description="The data center that is near."),),
    variables={"CQLSH_HOST": "host", "CQLSH_PORT": "port"},
    examples=(
        {
            "name": "metrics",
            "kind": "cassandra",
            "schema": {"host": "cassandra.example.org", "database": "metrics", "datacenter": "dc1"},
            "secret": {"name": "cassandra-secret"},
        },
    ),
)


_SQLITE_ESCAPES = str.maketrans({character: quote(character) for character in "%?#"})
_URL_ESCAPES = str.maketrans({character: quote(character) for character in "%?"})
_PYTHONS_OWN = frozenset(
    {"timeout", "isolation_level", "detect_types", "check_same_thread", "cached_statements", "uri"}
)
"""Parameters that SQLAlchemy gives to Python's ``sqlite3``; all others go to SQLite, which decodes them once more."""


class SqliteSchema(FreeForm):
    """A database in a file."""

    path: MachinePath
    """The file, on the machine that the job runs on (its folder may be a mount of the job). A relative path is relative
    to the catalog's file. In the URI, %, ? and # of a name are escaped, as SQLAlchemy reads it since 2.1."""
    options: Options = Field(default_factory=dict)
    """Further parameters of the URI, by name: mode: ro. With them it is one of SQLite's own (file:…), in SQLAlchemy's
    form: sqlite:///file:PATH?mode=ro&uri=true."""


class Sqlite(Kind):
    """``sqlite``."""

    name = "sqlite"
    family = "databases"
    title = "A SQLite database file"
    schema = SqliteSchema
    relative_paths = ("path",)
    auth_methods = ()
    examples: ClassVar = (
        {"name": "results", "kind": "sqlite", "schema": {"path": "/srv/results.db"}},
        {"name": "notes", "kind": "sqlite", "schema": {"path": "./notes.db", "options": {"mode": "ro"}}},
    )

    def bind(self, connection: Connection) -> Binding:
        entries = {**schema_entries(connection.schema_), "uri": Text(text=self._uri(connection.schema_))}
        binding = assemble(connection, "sqlite", entries)
        return binding.model_copy(update={"files": (connection.schema_.path,)})

    def access(self, connection: Connection) -> Database:
        schema: SqliteSchema = connection.schema_
        return Database(
            protocol="sqlite",
            path=schema.path,
            options=schema.options,
            uri=self._uri(schema),
            credentials=credentials(connection),
        )

    @staticmethod
    def _uri(schema: SqliteSchema) -> str:
        """``sqlite:///`` and the path (SQLAlchemy's form): four slashes for an absolute one. SQLite reads parameters
        from a ``file:`` URI only, which is then in the path's place, and is decoded twice: by SQLAlchemy and by SQLite.

        Escaped is only what has to be: SQLAlchemy decodes the path since 2.1, older ones take it as it is.
        """
        if not schema.options:
            return f"sqlite:///{schema.path.translate(_URL_ESCAPES)}"
        path = re.sub("^//+", "/", schema.path)  # `file://` would begin with a host
        inner = {name: value if name in _PYTHONS_OWN else quote(value) for name, value in schema.options.items()}
        query = query_text({**inner, "uri": "true"})
        return f"sqlite:///file:{path.translate(_SQLITE_ESCAPES).translate(_URL_ESCAPES)}?{query}"


ROWS = (POSTGRES, MYSQL, MSSQL, ORACLE, VERTICA, REDIS, MONGO, CASSANDRA)
KINDS = {**row_kinds(ROWS, "databases"), Sqlite.name: Sqlite}
