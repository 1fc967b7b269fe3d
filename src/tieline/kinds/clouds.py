"""Clouds: an account with a provider, for a job that uses the provider's SDK for more than a bucket.

The access is the place where the provider checks who one is; what an account may do there, nobody can ask in general.
"""

from typing import ClassVar

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
from tieline.kinds.fields import FreeForm, HttpUrl, Region, Scalar
from tieline.kinds.google import google_credentials, google_variables
from tieline.model.access import Http
from tieline.model.binding import Binding, Value
from tieline.model.connection import Connection

Found = dict[str, Value | None]


class AwsSchema(FreeForm):
    """An account with Amazon Web Services."""

    region: Region | None = None
    """The region that SDKs work in: eu-central-1."""
    endpoint: HttpUrl | None = None
    """Where all services are, if not with Amazon: http://localstack.example.org:4566."""


class Aws(Kind):
    """``aws``."""

    name = "aws"
    family = "clouds"
    title = "An account with Amazon Web Services"
    schema = AwsSchema
    needs_schema = False
    auth_methods = ("secret", "workload-identity", "assume-role", "anonymous")
    examples: ClassVar = (
        {"name": "aws", "kind": "aws", "secret": {"name": "aws-secret"}},
        {
            "name": "aws-batch",
            "kind": "aws",
            "schema": {"region": "eu-central-1", "endpoint": "http://localstack.example.org:4566"},
            "secret": {"name": "aws-secret"},
            "auth": {"method": "assume-role", "role": "arn:aws:iam::123456789012:role/batch"},
        },
    )

    @staticmethod
    def _found(connection: Connection) -> Found:
        schema: AwsSchema = connection.schema_ or AwsSchema()
        return {
            "region": setting(connection, keys.AWS_REGION, schema.region),
            "endpoint": setting(connection, keys.AWS_ENDPOINT, schema.endpoint),
            **all_from_secret(connection, keys.AWS),
        }

    def bind(self, connection: Connection) -> Binding:
        schema = connection.schema_ or AwsSchema()
        return assemble(
            connection,
            "aws",
            {**schema_entries(schema), **self._found(connection)},
            {
                "AWS_ACCESS_KEY_ID": "access-key-id",
                "AWS_SECRET_ACCESS_KEY": "secret-access-key",
                "AWS_SESSION_TOKEN": "session-token",
                "AWS_REGION": "region",
                "AWS_DEFAULT_REGION": "region",
                "AWS_ENDPOINT_URL": "endpoint",
            },
        )

    def access(self, connection: Connection) -> Http:
        schema: AwsSchema = connection.schema_ or AwsSchema()
        region = schema.region or env_value(connection, keys.AWS_REGION)
        usual = f"https://sts.{region}.amazonaws.com" if region else "https://sts.amazonaws.com"
        url = schema.endpoint or env_value(connection, keys.AWS_ENDPOINT) or usual
        found = credentials(connection, self._found(connection))
        return Http(url=url, tls=url.startswith("https:"), credentials=found)


class GcpSchema(FreeForm):
    """A project of Google Cloud."""

    project: Scalar | None = None
    """The project that SDKs work in."""
    region: Scalar | None = None
    """The region to work in: europe-west3."""
    endpoint: HttpUrl | None = None
    """Where the services are, if not with Google."""


class Gcp(Kind):
    """``gcp``."""

    name = "gcp"
    family = "clouds"
    title = "A project of Google Cloud"
    schema = GcpSchema
    needs_schema = False
    auth_methods = ("secret", "workload-identity", "anonymous")
    examples: ClassVar = (
        {"name": "gcp", "kind": "gcp", "secret": {"name": "gcp-secret"}},
        {
            "name": "gcp-vertex",
            "kind": "gcp",
            "schema": {"project": "ml-vertex", "region": "europe-west3"},
            "auth": {"method": "workload-identity"},
        },
    )

    @staticmethod
    def _found(connection: Connection) -> Found:
        schema: GcpSchema = connection.schema_ or GcpSchema()
        project = setting(connection, keys.GOOGLE_PROJECT, schema.project)
        return {"project": project, **google_credentials(connection)}

    def bind(self, connection: Connection) -> Binding:
        entries = {**schema_entries(connection.schema_ or GcpSchema()), **self._found(connection)}
        variables = google_variables(connection, entries)
        return assemble(connection, "gcp", entries, variables, modes={"keyfile.json": 0o600})

    def access(self, connection: Connection) -> Http:
        schema: GcpSchema = connection.schema_ or GcpSchema()
        url = schema.endpoint or "https://www.googleapis.com"
        found = credentials(connection, self._found(connection))
        return Http(url=url, tls=url.startswith("https:"), credentials=found)


class AzureSchema(FreeForm):
    """A tenant of Microsoft Azure."""

    tenant: Scalar | None = None
    """The tenant's identifier (Microsoft Entra)."""
    subscription: Scalar | None = None
    """The subscription that SDKs work in."""
    region: Scalar | None = None
    """The region to work in: westeurope."""
    endpoint: HttpUrl | None = None
    """Where to log in, if not at https://login.microsoftonline.com."""


class Azure(Kind):
    """``azure``."""

    name = "azure"
    family = "clouds"
    title = "A tenant of Microsoft Azure"
    schema = AzureSchema
    needs_schema = False
    auth_methods = ("secret", "workload-identity", "anonymous")
    examples: ClassVar = (
        {"name": "azure", "kind": "azure", "secret": {"name": "azure-secret"}},
        {
            "name": "azure-ml",
            "kind": "azure",
            "schema": {
                "tenant": "8d8a3d2e-6b0d-4d1c-9a54-2f6a1f0f7c11",
                "subscription": "0f2c1f3a-51a5-4c6e-8f0a-7f1f2b9f6a10",
                "region": "westeurope",
            },
            "secret": {"name": "azure-secret", "items": ["AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET"]},
        },
    )

    @staticmethod
    def _found(connection: Connection) -> Found:
        schema: AzureSchema = connection.schema_ or AzureSchema()
        return {
            "tenant": setting(connection, keys.AZURE_TENANT, schema.tenant),
            "subscription": setting(connection, keys.AZURE_SUBSCRIPTION, schema.subscription),
            **all_from_secret(connection, keys.AZURE_IDENTITY),
        }

    def bind(self, connection: Connection) -> Binding:
        schema = connection.schema_ or AzureSchema()
        return assemble(
            connection,
            "azure",
            {**schema_entries(schema), **self._found(connection)},
            {
                "AZURE_TENANT_ID": "tenant",
                "AZURE_CLIENT_ID": "client-id",
                "AZURE_CLIENT_SECRET": "client-secret",
                "AZURE_SUBSCRIPTION_ID": "subscription",
                "AZURE_AUTHORITY_HOST": "endpoint",
            },
        )

    def access(self, connection: Connection) -> Http:
        schema: AzureSchema = connection.schema_ or AzureSchema()
        url = schema.endpoint or "https://login.microsoftonline.com"
        found = credentials(connection, self._found(connection))
        return Http(url=url, tls=url.startswith("https:"), credentials=found)


KINDS = {kind.name: kind for kind in (Aws, Gcp, Azure)}
