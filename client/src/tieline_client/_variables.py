"""The standard variables of what a connection is, made from its entries: the mapping of docs/client.md.

It is the one that Tieline itself sets variables by (a test of Tieline holds the two together), and goes by
servicebinding.io's ``type``, so that it is right for bindings of other systems, too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Optional, Union

from tieline_client._connection import Connection

Source = Callable[[Connection], Optional[str]]
"""From a connection to a variable's value; None: it is not set."""

Table = Mapping[str, Union[str, Source]]
"""Variables, each with the entry that it is, or with what makes it."""


def variables(connection: Connection) -> dict[str, str]:
    """The variables that have a value."""
    found = ((name, _value(connection, source)) for name, source in _BY_TYPE.get(connection.type, {}).items())
    return {name: value for name, value in found if value is not None}


def _value(connection: Connection, source: str | Source) -> str | None:
    """An entry's text, by its name (other bytes survive, as everywhere in ``os.environ``); or what is made of them."""
    if not isinstance(source, str):
        return source(connection)
    return connection.read_bytes(source).decode("utf-8", "surrogateescape") if source in connection else None


def _file(entry: str) -> Source:
    """The path of the entry's file."""
    return lambda connection: str(connection.file(entry)) if entry in connection else None


def _folder_of(entry: str) -> Source:
    """The path of the connection's folder, where the entry is in it."""
    return lambda connection: str(connection.file(entry).parent) if entry in connection else None


def _first(*sources: str | Source) -> Source:
    """The first of these that there is."""
    return lambda connection: next((value for s in sources if (value := _value(connection, s)) is not None), None)


_AWS: Table = {
    "AWS_ACCESS_KEY_ID": "access-key-id",
    "AWS_SECRET_ACCESS_KEY": "secret-access-key",
    "AWS_SESSION_TOKEN": "session-token",
    "AWS_REGION": "region",
    "AWS_DEFAULT_REGION": "region",
}
_GOOGLE: Table = {
    "GOOGLE_APPLICATION_CREDENTIALS": _first(_file("keyfile.json"), "key-path"),
    "GOOGLE_CLOUD_PROJECT": "project",
}
_BY_TYPE: Mapping[str, Table] = {
    "s3": {**_AWS, "AWS_ENDPOINT_URL_S3": "endpoint", "AWS_CA_BUNDLE": "ca-bundle"},
    "gcs": _GOOGLE,
    "azure-blob": {
        "AZURE_STORAGE_ACCOUNT": "account",
        "AZURE_STORAGE_KEY": "account-key",
        "AZURE_STORAGE_SAS_TOKEN": "sas-token",
        "AZURE_STORAGE_CONNECTION_STRING": "connection-string",
        "AZURE_TENANT_ID": "tenant-id",
        "AZURE_CLIENT_ID": "client-id",
        "AZURE_CLIENT_SECRET": "client-secret",
    },
    "git": {
        "GIT_ASKPASS": _file("askpass"),
        "GIT_SSH_COMMAND": "ssh-command",
        "GIT_SSL_CAINFO": "ca-bundle",
    },
    "ssh": {"GIT_SSH_COMMAND": "ssh-command"},
    "registry": {"DOCKER_CONFIG": _folder_of("config.json"), "REGISTRY_AUTH_FILE": _file("config.json")},
    "aws": {**_AWS, "AWS_ENDPOINT_URL": "endpoint"},
    "gcp": _GOOGLE,
    "azure": {
        "AZURE_TENANT_ID": "tenant",
        "AZURE_CLIENT_ID": "client-id",
        "AZURE_CLIENT_SECRET": "client-secret",
        "AZURE_SUBSCRIPTION_ID": "subscription",
        "AZURE_AUTHORITY_HOST": "endpoint",
    },
    "postgresql": {
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
    "mysql": {
        "MYSQL_HOST": "host",
        "MYSQL_TCP_PORT": "port",
        "MYSQL_PORT": "port",
        "MYSQL_DATABASE": "database",
        "MYSQL_USER": "username",
        "MYSQL_PASSWORD": "password",
        "MYSQL_PWD": "password",
    },
    "sqlserver": {
        "SQLCMDSERVER": "host",
        "SQLCMDDBNAME": "database",
        "SQLCMDUSER": "username",
        "SQLCMDPASSWORD": "password",
    },
    "vertica": {
        "VSQL_HOST": "host",
        "VSQL_PORT": "port",
        "VSQL_DATABASE": "database",
        "VSQL_USER": "username",
        "VSQL_PASSWORD": "password",
        "VSQL_SSLMODE": "sslmode",
    },
    "redis": {"REDIS_URL": "uri", "REDISCLI_AUTH": "password"},
    "mongodb": {"MONGODB_URI": "uri"},
    "cassandra": {"CQLSH_HOST": "host", "CQLSH_PORT": "port"},
    "snowflake": {
        "SNOWFLAKE_ACCOUNT": "account",
        "SNOWFLAKE_USER": "username",
        "SNOWFLAKE_PASSWORD": "password",
        "SNOWFLAKE_DATABASE": "database",
        "SNOWFLAKE_SCHEMA": "schema",
        "SNOWFLAKE_WAREHOUSE": "warehouse",
        "SNOWFLAKE_ROLE": "role",
    },
    "databricks": {"DATABRICKS_HOST": "host", "DATABRICKS_TOKEN": "password"},
    "cloudant": {
        "CLOUDANT_URL": "uri",
        "CLOUDANT_USERNAME": "username",
        "CLOUDANT_PASSWORD": "password",
        "CLOUDANT_APIKEY": "apikey",
    },
    "hdfs": {"HADOOP_USER_NAME": "username"},
    "jenkins": {"JENKINS_URL": "uri", "JENKINS_USER_ID": "username", "JENKINS_API_TOKEN": "password"},
    "segment": {"SEGMENT_WRITE_KEY": "write-key"},
}
