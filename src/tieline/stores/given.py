"""What a bucket's connection gives, told and looked up alike for all providers."""

from __future__ import annotations

import os
from collections.abc import Mapping

from tieline.model.access import ObjectStore
from tieline.secrets.secret import Secret
from tieline.stores.base import StoreTrouble, Why, shown

SCHEMES = {"s3": "s3", "gcs": "gs", "azure": "wasbs"}
Secrets = Mapping[str, Secret]


def address(access: ObjectStore) -> str:
    """The bucket as messages name it: ``s3://bucket/prefix``."""
    at = f"@{access.account}.blob.core.windows.net" if access.account else ""
    below = f"/{access.prefix}" if access.prefix else ""
    return shown(f"{SCHEMES[access.provider]}://{access.bucket}{at}{below}")


def text_of(secrets: Secrets, name: str) -> str | None:
    """A value as text, without the space around it; None where there is none."""
    found = secrets.get(name)
    return (found.reveal_text().strip() or None) if found is not None else None


def lacking(access: ObjectStore, *names: str) -> StoreTrouble:
    """The refusal of a secret that is named and does not have what it takes."""
    wanted = " and ".join(names)
    return StoreTrouble(
        Why.NOT_AUTHENTICATED,
        f"the secret {access.credentials.secret!r} has no {wanted} to open {address(access)} with",
        f"put {wanted} into it, or say auth.method: anonymous if everybody may use the bucket",
        names[0],
    )


def no_login(access: ObjectStore, what: str, hint: str, part: str) -> StoreTrouble:
    """The refusal of an ``auth.method`` that lacks something: ``what``."""
    told = f"the bucket {address(access)} has auth.method {access.credentials.method}, {what}"
    return StoreTrouble(Why.NOT_AUTHENTICATED, told, hint, part)


def token_of(access: ObjectStore, variable: str) -> str:
    """The token in the file that a variable names. Raises StoreTrouble."""
    path = os.environ.get(variable, "")
    try:
        with open(path, encoding="ascii") as file:
            token = file.read(64 * 1024).strip()
    except OSError as error:
        why = f"cannot be read: {error.strerror}"
    except ValueError:
        why = "is no token"
    else:
        if token:
            return token
        why = "is empty"
    raise no_login(access, f"and the file {shown(path)!r} that {variable} names {why}", _MOUNTED, "auth.method")


_MOUNTED = "see that the service account's token is mounted there, and that this user may read it"
