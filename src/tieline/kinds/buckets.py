"""Buckets: object stores of Amazon S3 and what speaks like it, Google Cloud Storage, and Azure Blob Storage.

``bucket`` stays as the catalog has it; its parts are taken from it when they are asked for. A bare name is accepted for
s3 and gcs, where it is unambiguous: no slash, no colon. A container of Azure always needs its account.
"""

import re
from typing import Annotated, ClassVar, Literal

from tieline.kinds import keys
from tieline.kinds.base import Kind
from tieline.kinds.bindings import (
    all_from_secret,
    assemble,
    credentials,
    env_value,
    schema_entries,
    setting,
)
from tieline.kinds.fields import HttpUrl, MachinePath, Proxy, Region, Scalar, Shape
from tieline.kinds.google import google_credentials, google_variables
from tieline.model.access import ObjectStore
from tieline.model.binding import Binding, Text, Value
from tieline.model.connection import Connection
from tieline.model.form import Form

_PREFIX = r"(?:/((?!(?:.*/)?\.\.?(?:/|$))[^\x00-\x1f?#]*))?"
_S3 = rf"^(?:s3://([A-Za-z0-9][A-Za-z0-9._-]{{2,254}}){_PREFIX}|([A-Za-z0-9][A-Za-z0-9._-]{{2,254}}))$"
_GCS = rf"^(?:gs://([a-z0-9][a-z0-9._-]{{2,221}}){_PREFIX}|([a-z0-9][a-z0-9._-]{{2,221}}))$"
_WASB = (
    r"^(?:wasbs?|abfss?)://(\$root|\$web|[a-z0-9](?:[a-z0-9-]{1,61}[a-z0-9]))"
    rf"@([a-z0-9]{{3,24}})\.(?:blob|dfs)\.(core\.[a-z0-9.]+){_PREFIX}$"
)
_PLAIN = (
    (r"^[^/:]*@", "there is a user or password in the address|name the bucket only; credentials belong into a secret"),
)
_S3_RIGHT = "write s3://NAME or s3://NAME/PREFIX"
_SHORT = r"^(?:s3://|gs://)?[^/:]{1,2}(?:/|$)"
_TOO_SHORT = "a bucket's name has three characters or more"
_GCS_RIGHT = "write gs://NAME or gs://NAME/PREFIX"
_WASB_RIGHT = (
    "write wasbs://CONTAINER@ACCOUNT.blob.core.windows.net or wasbs://CONTAINER@ACCOUNT.blob.core.windows.net/PREFIX"
)
_OBFUSCATED = (
    (
        r"\[\s*email",
        "this is what a web page's protection of e-mail addresses left of the address when it was copied"
        f"|{_WASB_RIGHT}",
    ),
)
_S3_PARTS, _GCS_PARTS, _WASB_PARTS = re.compile(_S3), re.compile(_GCS), re.compile(_WASB)


def _parts(pattern: re.Pattern[str], bucket: str) -> tuple[str, str]:
    found = pattern.match(bucket)
    name, prefix, plain = found.groups() if found else (bucket, "", None)
    return plain or name, (prefix or "").strip("/")


def _uri(scheme: str, name: str, prefix: str) -> str:
    return f"{scheme}://{name}/{prefix}" if prefix else f"{scheme}://{name}"


class S3Schema(Form):
    """A bucket that speaks S3."""

    bucket: Annotated[
        str, Shape(_S3, "this is no S3 bucket's address", _S3_RIGHT, (*_PLAIN, (_SHORT, f"{_TOO_SHORT}|{_S3_RIGHT}")))
    ]
    """The bucket and a prefix in it: s3://name/prefix; a name alone will do."""
    endpoint: HttpUrl | None = None
    """Where it is served, if not by Amazon: https://minio.example.org:9000."""
    region: Region | None = None
    """The bucket's region: eu-central-1."""
    addressing_style: Literal["path", "virtual"] | None = None
    """Whether the bucket is in the path (most servers of one's own) or in the host's name (Amazon)."""
    ca_bundle: MachinePath | None = None
    """A PEM file of the certificates to trust; relative paths (./ca.pem) are relative to the catalog's file."""
    proxy: Proxy | None = None
    """The proxy to use: http://proxy.example.org:3128."""
    insecure: bool = False
    """Accept a certificate that can't be verified."""


class S3(Kind):
    """``s3``."""

    name = "s3"
    family = "buckets"
    title = "A bucket of Amazon S3, or of a server that speaks S3"
    schema = S3Schema
    relative_paths = ("caBundle",)
    auth_methods = ("secret", "workload-identity", "assume-role", "anonymous")
    logins = (
        "Tieline itself takes on `auth.role`: with `assume-role` by the secret's keys (and `auth.externalId`), with "
        "`workload-identity` by the token in the file that `AWS_WEB_IDENTITY_TOKEN_FILE` names, which is read anew "
        "each time; without `auth.role`, the role is `AWS_ROLE_ARN`'s. No other variable, file or metadata service is "
        "asked. Roles are taken on at `auth.endpoint`; by default at the bucket's own server, or, where that is "
        "Amazon's, at Amazon's STS in the bucket's region; always with the bucket's `caBundle` and `proxy`. The "
        "credentials last for `auth.duration`. They are got anew five minutes before their end (at the latest when a "
        "quarter of their time is left), and when the server says that they have ended."
    )
    examples: ClassVar = (
        {
            "name": "datasets",
            "kind": "s3",
            "schema": {"bucket": "s3://datasets"},
            "secret": {"name": "s3-secret"},
        },
        {
            "name": "shared",
            "kind": "s3",
            "schema": {"bucket": "s3://shared/ours", "region": "eu-central-1"},
            "secret": {"name": "s3-secret"},
            "auth": {"method": "assume-role", "role": "arn:aws:iam::123456789012:role/shared", "externalId": "ours"},
        },
        {
            "name": "images",
            "kind": "s3",
            "description": "Labelled images on our own MinIO",
            "tags": ["images"],
            "schema": {
                "bucket": "s3://images/labelled/2024",
                "endpoint": "https://minio.example.org:9000",
                "region": "eu-central-1",
                "addressingStyle": "path",
                "caBundle": "/etc/ssl/minio.pem",
                "proxy": "http://proxy.example.org:3128",
            },
            "secret": {"name": "minio-secret", "items": ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"]},
        },
    )

    def bind(self, connection: Connection) -> Binding:
        schema: S3Schema = connection.schema_
        name, prefix = _parts(_S3_PARTS, schema.bucket)
        entries: dict[str, Value | None] = {
            **schema_entries(schema),
            "bucket": Text(text=name),
            "prefix": Text(text=prefix) if prefix else None,
            "uri": Text(text=_uri("s3", name, prefix)),
            **self._settings(connection, schema),
            **all_from_secret(connection, keys.AWS),
        }
        return assemble(
            connection,
            "s3",
            entries,
            {
                "AWS_ACCESS_KEY_ID": "access-key-id",
                "AWS_SECRET_ACCESS_KEY": "secret-access-key",
                "AWS_SESSION_TOKEN": "session-token",
                "AWS_REGION": "region",
                "AWS_DEFAULT_REGION": "region",
                "AWS_ENDPOINT_URL_S3": "endpoint",
                "AWS_CA_BUNDLE": "ca-bundle",
            },
        )

    def access(self, connection: Connection) -> ObjectStore:
        schema: S3Schema = connection.schema_
        name, prefix = _parts(_S3_PARTS, schema.bucket)
        return ObjectStore(
            provider="s3",
            bucket=name,
            prefix=prefix,
            endpoint=schema.endpoint or env_value(connection, keys.S3_ENDPOINT),
            region=schema.region or env_value(connection, keys.AWS_REGION),
            addressing_style=schema.addressing_style,
            ca_bundle=schema.ca_bundle,
            proxy=schema.proxy,
            insecure=schema.insecure,
            credentials=credentials(
                connection, {**all_from_secret(connection, keys.AWS), **self._settings(connection, schema)}
            ),
        )

    @staticmethod
    def _settings(connection: Connection, schema: S3Schema) -> dict[str, Value | None]:
        return {
            "endpoint": setting(connection, keys.S3_ENDPOINT, schema.endpoint),
            "region": setting(connection, keys.AWS_REGION, schema.region),
        }


class GcsSchema(Form):
    """A bucket of Google Cloud Storage."""

    bucket: Annotated[
        str,
        Shape(
            _GCS,
            "this is no Google Cloud Storage bucket's address",
            _GCS_RIGHT,
            (*_PLAIN, (_SHORT, f"{_TOO_SHORT}|{_GCS_RIGHT}")),
        ),
    ]
    """The bucket and a prefix in it: gs://name/prefix; a name alone will do."""
    endpoint: HttpUrl | None = None
    """Where it is served, if not by Google: http://fake-gcs.example.org:4443."""
    project: Scalar | None = None
    """The project that is charged, and that SDKs work in."""


class Gcs(Kind):
    """``gcs``."""

    name = "gcs"
    family = "buckets"
    title = "A bucket of Google Cloud Storage"
    schema = GcsSchema
    auth_methods = ("secret", "workload-identity", "anonymous")
    logins = (
        "With `workload-identity` Tieline itself asks Google's metadata server for the token of its service account, "
        "as everything on GKE does (at `GCE_METADATA_HOST`, where that is set; never through a proxy). With any other "
        "method it asks nobody. Identities of other clouds (`external_account` files) are not read."
    )
    examples: ClassVar = (
        {
            "name": "datasets",
            "kind": "gcs",
            "schema": {"bucket": "gs://datasets"},
            "secret": {"name": "gcs-secret"},
        },
        {
            "name": "images",
            "kind": "gcs",
            "schema": {
                "bucket": "gs://images/labelled",
                "endpoint": "https://storage.googleapis.com",
                "project": "ml-images",
            },
            "auth": {"method": "workload-identity"},
        },
    )

    def bind(self, connection: Connection) -> Binding:
        schema: GcsSchema = connection.schema_
        name, prefix = _parts(_GCS_PARTS, schema.bucket)
        entries: dict[str, Value | None] = {
            **schema_entries(schema),
            "bucket": Text(text=name),
            "prefix": Text(text=prefix) if prefix else None,
            "uri": Text(text=_uri("gs", name, prefix)),
            "project": setting(connection, keys.GOOGLE_PROJECT, schema.project),
            **google_credentials(connection),
        }
        return assemble(
            connection, "gcs", entries, google_variables(connection, entries), modes={"keyfile.json": 0o600}
        )

    def access(self, connection: Connection) -> ObjectStore:
        schema: GcsSchema = connection.schema_
        name, prefix = _parts(_GCS_PARTS, schema.bucket)
        project = setting(connection, keys.GOOGLE_PROJECT, schema.project)
        return ObjectStore(
            provider="gcs",
            bucket=name,
            prefix=prefix,
            endpoint=schema.endpoint,
            project=schema.project or env_value(connection, keys.GOOGLE_PROJECT),
            credentials=credentials(connection, {**google_credentials(connection), "project": project}),
        )


class WasbSchema(Form):
    """A container of Azure Blob Storage."""

    bucket: Annotated[str, Shape(_WASB, "this is no Azure container's address", _WASB_RIGHT, _OBFUSCATED)]
    """The container, its account and a prefix: wasbs://container@account.blob.core.windows.net/prefix (abfss:// and
    the dfs host are read too)."""
    endpoint: HttpUrl | None = None
    """Where the account is served, if not by Azure's public cloud: http://127.0.0.1:10000/devstoreaccount1."""


class Wasb(Kind):
    """``wasb``."""

    name = "wasb"
    family = "buckets"
    title = "A container of Azure Blob Storage"
    schema = WasbSchema
    auth_methods = ("secret", "workload-identity", "anonymous")
    logins = (
        "With `workload-identity` Tieline itself exchanges the token in the file that `AZURE_FEDERATED_TOKEN_FILE` "
        "names for one of Azure's, as `AZURE_CLIENT_ID` of the tenant `AZURE_TENANT_ID` (the connection's own tenant "
        "comes first), at `AZURE_AUTHORITY_HOST`: the variables that AKS sets. With any other method it asks nobody."
    )
    examples: ClassVar = (
        {
            "name": "datasets",
            "kind": "wasb",
            "schema": {"bucket": "wasbs://datasets@ourteam.blob.core.windows.net/"},
            "secret": {"name": "az-secret"},
        },
        {
            "name": "images",
            "kind": "wasb",
            "schema": {
                "bucket": "wasbs://images@devstoreaccount1.blob.core.windows.net/labelled",
                "endpoint": "http://azurite.example.org:10000/devstoreaccount1",
            },
            "secret": {"name": "az-secret", "items": ["AZURE_ACCOUNT_KEY"]},
        },
    )

    @staticmethod
    def _place(bucket: str) -> tuple[str, str, str, str | None]:
        """Container, account, prefix, and the endpoint where it is another cloud's than the public one."""
        found = _WASB_PARTS.match(bucket)
        container, account, cloud, prefix = found.groups() if found else (bucket, "", "", "")
        other = cloud not in ("", "core.windows.net")
        endpoint = f"https://{account}.blob.{cloud}" if other else None
        return container, account, (prefix or "").strip("/"), endpoint

    @staticmethod
    def _secrets(connection: Connection) -> dict[str, Value | None]:
        tenant = setting(connection, keys.AZURE_TENANT)
        return {
            **all_from_secret(connection, keys.AZURE_STORAGE),
            "tenant-id": tenant,
            **all_from_secret(connection, keys.AZURE_IDENTITY),
        }

    def bind(self, connection: Connection) -> Binding:
        schema: WasbSchema = connection.schema_
        container, account, prefix, endpoint = self._place(schema.bucket)
        endpoint = schema.endpoint or endpoint
        host = f"{account}.blob.core.windows.net"
        entries: dict[str, Value | None] = {
            "bucket": Text(text=container),
            "container": Text(text=container),
            "account": Text(text=account),
            "prefix": Text(text=prefix) if prefix else None,
            "endpoint": Text(text=endpoint) if endpoint else None,
            "uri": Text(text=_uri("wasbs", f"{container}@{host}", prefix) if not endpoint else schema.bucket),
            **self._secrets(connection),
        }
        return assemble(
            connection,
            "azure-blob",
            entries,
            {
                "AZURE_STORAGE_ACCOUNT": "account",
                "AZURE_STORAGE_KEY": "account-key",
                "AZURE_STORAGE_SAS_TOKEN": "sas-token",
                "AZURE_STORAGE_CONNECTION_STRING": "connection-string",
                "AZURE_TENANT_ID": "tenant-id",
                "AZURE_CLIENT_ID": "client-id",
                "AZURE_CLIENT_SECRET": "client-secret",
            },
        )

    def access(self, connection: Connection) -> ObjectStore:
        schema: WasbSchema = connection.schema_
        container, account, prefix, endpoint = self._place(schema.bucket)
        return ObjectStore(
            provider="azure",
            bucket=container,
            prefix=prefix,
            account=account,
            endpoint=schema.endpoint or endpoint,
            credentials=credentials(connection, self._secrets(connection)),
        )


KINDS = {kind.name: kind for kind in (S3, Gcs, Wasb)}
