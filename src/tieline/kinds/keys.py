"""Under which keys secrets hold what: the names that SDKs, clusters' own secret types and the older format use.

Each table maps an entry of the binding directory to the keys that may hold it, best first. The entries of several
kinds of one provider (``s3`` and ``aws``) are the same, so that a job's code reads them alike.
"""

from __future__ import annotations

from collections.abc import Mapping

Keys = Mapping[str, tuple[str, ...]]

AWS: Keys = {
    "access-key-id": ("AWS_ACCESS_KEY_ID", "access-key-id", "accessKeyId", "access_key_id", "accesskey"),
    "secret-access-key": (
        "AWS_SECRET_ACCESS_KEY",
        "secret-access-key",
        "secretAccessKey",
        "secret_access_key",
        "secretkey",
    ),
    "session-token": ("AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN", "session-token", "sessionToken"),
}
AWS_REGION = ("AWS_REGION", "AWS_DEFAULT_REGION", "region")
AWS_ENDPOINT = ("AWS_ENDPOINT_URL", "endpoint")
S3_ENDPOINT = ("AWS_ENDPOINT_URL_S3", *AWS_ENDPOINT)

GOOGLE_KEYFILE = (
    "GC_KEYFILE_DICT",
    "GOOGLE_KEYFILE_DICT",
    "gc-secret.json",
    "key.json",
    "keyfile.json",
    "credentials.json",
    "service-account.json",
    "service_account.json",
)
GOOGLE_KEY_PATH = ("GC_KEY_PATH", "GOOGLE_KEY_PATH", "GOOGLE_APPLICATION_CREDENTIALS")
GOOGLE_PROJECT = (
    "GOOGLE_CLOUD_PROJECT",
    "GC_PROJECT",
    "GOOGLE_PROJECT",
    "GC_PROJECT_ID",
    "GOOGLE_PROJECT_ID",
    "project",
)

AZURE_STORAGE: Keys = {
    "account-key": ("AZURE_STORAGE_KEY", "AZURE_ACCOUNT_KEY", "AZURE_STORAGE_ACCOUNT_KEY", "account-key"),
    "sas-token": ("AZURE_STORAGE_SAS_TOKEN", "AZURE_SAS_TOKEN", "sas-token"),
    "connection-string": (
        "AZURE_STORAGE_CONNECTION_STRING",
        "AZURE_CONNECTION_STRING",
        "connection-string",
    ),
}
AZURE_IDENTITY: Keys = {
    "client-id": ("AZURE_CLIENT_ID", "client-id"),
    "client-secret": ("AZURE_CLIENT_SECRET", "client-secret"),
}
AZURE_TENANT = ("AZURE_TENANT_ID", "tenant-id")
AZURE_SUBSCRIPTION = ("AZURE_SUBSCRIPTION_ID", "subscription-id")

GIT_CREDENTIALS = ("POLYAXON_GIT_CREDENTIALS", "TIELINE_GIT_CREDENTIALS", "credentials")
USERNAME = ("username", "user", "USERNAME")
PASSWORD = ("password", "PASSWORD")
TOKEN = ("token", "access-token", "access_token", "TOKEN")
SSH_KEYS = ("id_rsa", "id_ed25519", "id_ecdsa", "ssh-privatekey")
KNOWN_HOSTS = ("known_hosts",)
DOCKER_CONFIG = ("config.json", ".dockerconfigjson")
DOCKER_LEGACY = (".dockercfg",)
