"""Databases that are queried over a cluster or a vendor's service: further rows of the family of databases."""

from __future__ import annotations

from tieline.kinds.hosts import row_kinds
from tieline.kinds.rows import Extra, Row

PRESTO = Row(
    name="presto",
    title="A Presto or Trino coordinator",
    port=8080,
    schemes=("presto", "trino"),
    path=("catalog", "schema_"),
    extras=(
        Extra(name="catalog", description="The catalog to query by default."),
        Extra(name="schema_", description="The schema to query by default."),
    ),
    examples=(
        {
            "name": "lake",
            "kind": "presto",
            "schema": {"host": "presto.example.org", "catalog": "hive", "schema": "default", "username": "jobs"},
        },
    ),
)
SNOWFLAKE = Row(
    name="snowflake",
    title="A Snowflake account",
    port=443,
    schemes=("snowflake",),
    account_host="{}.snowflakecomputing.com",
    path=("database", "schema_"),
    extras=(
        Extra(name="account", description="The account's identifier: org-account."),
        Extra(name="schema_", description="The schema to use by default."),
        Extra(name="warehouse", description="The warehouse that computes.", query="warehouse"),
        Extra(name="role", description="The role to take.", query="role"),
    ),
    variables={
        "SNOWFLAKE_ACCOUNT": "account",
        "SNOWFLAKE_USER": "username",
        "SNOWFLAKE_PASSWORD": "password",
        "SNOWFLAKE_DATABASE": "database",
        "SNOWFLAKE_SCHEMA": "schema",
        "SNOWFLAKE_WAREHOUSE": "warehouse",
        "SNOWFLAKE_ROLE": "role",
    },
    examples=(
        {
            "name": "sales",
            "kind": "snowflake",
            "schema": {"account": "org-account", "database": "sales", "warehouse": "small"},
            "secret": {"name": "snowflake-secret"},
        },
    ),
)
DATABRICKS = Row(
    name="databricks",
    title="A Databricks workspace",
    port=443,
    schemes=("databricks",),
    user="token",
    extras=(
        Extra(name="http_path", description="The SQL warehouse's path.", query="http_path"),
        Extra(name="catalog", description="The catalog to use by default.", query="catalog"),
        Extra(name="schema_", description="The schema to use by default.", query="schema"),
    ),
    variables={"DATABRICKS_HOST": "host", "DATABRICKS_TOKEN": "password"},
    keys={"password": ("token", "access-token")},
    examples=(
        {
            "name": "lakehouse",
            "kind": "databricks",
            "schema": {"host": "dbc-1234.cloud.databricks.com", "httpPath": "/sql/1.0/warehouses/abc"},
            "secret": {"name": "databricks-secret"},
        },
    ),
)
CLOUDANT = Row(
    name="cloudant",
    title="An IBM Cloudant or CouchDB database",
    port=443,
    schemes=("https", "http"),
    tls_scheme="https",
    login_in_uri=False,
    variables={
        "CLOUDANT_URL": "uri",
        "CLOUDANT_USERNAME": "username",
        "CLOUDANT_PASSWORD": "password",
        "CLOUDANT_APIKEY": "apikey",
    },
    keys={"apikey": ("api-key",)},
    examples=(
        {
            "name": "notes",
            "kind": "cloudant",
            "schema": {"host": "account.cloudantnosqldb.appdomain.cloud", "database": "notes"},
            "secret": {"name": "cloudant-secret"},
        },
    ),
)
JDBC = Row(
    name="jdbc",
    title="Any database that has a JDBC driver",
    schemes=("jdbc",),
    address_only=True,
    login_in_uri=False,
    extras=(
        Extra(name="driver", description="The driver's class: org.postgresql.Driver."),
        Extra(name="driver_path", description="The driver's jar file, in the job."),
    ),
    examples=(
        {
            "name": "archive",
            "kind": "jdbc",
            "schema": {"uri": "jdbc:db2://db2.example.org:50000/archive", "driver": "com.ibm.db2.jcc.DB2Driver"},
            "secret": {"name": "archive-secret"},
        },
    ),
)
HIVE_CLI = Row(
    name="hive_cli",
    title="Hive, by its command line",
    protocol="hive",
    port=10000,
    schemes=("hive", "hive2"),
    extras=(
        Extra(name="principal", description="The server's Kerberos principal: hive/_HOST@EXAMPLE.ORG."),
        Extra(name="hive_cli_params", description="Further parameters of the command line."),
    ),
    examples=(
        {
            "name": "hive-shell",
            "kind": "hive_cli",
            "schema": {"host": "hive.example.org", "database": "default"},
            "secret": {"name": "hive-secret"},
        },
    ),
)
HIVE_METASTORE = Row(
    name="hive_metastore",
    title="A Hive metastore",
    protocol="hive-metastore",
    port=9083,
    schemes=("thrift",),
    login_in_uri=False,
    path=(),
    extras=(Extra(name="principal", description="The metastore's Kerberos principal."),),
    examples=({"name": "metastore", "kind": "hive_metastore", "schema": {"host": "metastore.example.org"}},),
)
HIVE_SERVER2 = Row(
    name="hive_server2",
    title="A HiveServer2",
    protocol="hive",
    port=10000,
    schemes=("hive", "hive2"),
    extras=(
        Extra(name="principal", description="The server's Kerberos principal: hive/_HOST@EXAMPLE.ORG."),
        Extra(name="auth_mechanism", description="How to log in: NONE, NOSASL, LDAP, KERBEROS.", query="auth"),
    ),
    examples=(
        {
            "name": "hive",
            "kind": "hive_server2",
            "schema": {"host": "hive.example.org", "database": "default", "authMechanism": "LDAP"},
            "secret": {"name": "hive-secret"},
        },
    ),
)

KINDS = row_kinds((PRESTO, SNOWFLAKE, DATABRICKS, CLOUDANT, JDBC, HIVE_CLI, HIVE_METASTORE, HIVE_SERVER2), "databases")
