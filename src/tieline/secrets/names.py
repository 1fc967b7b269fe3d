"""What secrets, config maps and their keys may be called: Kubernetes' own rules, held on every machine.

A name becomes a folder, a key becomes a file, and both may come from a job's file: what is no plain name is never
looked for, and never written.
"""

from __future__ import annotations

import re
from typing import Literal

from tieline.errors import Code, InvalidInput

Resource = Literal["secret", "configMap"]
WORDS: dict[Resource, str] = {"secret": "secret", "configMap": "config map"}
"""What people call them."""
COMMANDS: dict[Resource, str] = {"secret": "secrets", "configMap": "configmaps"}
"""The noun of the command line, and the folder in Tieline's home."""

LONGEST = 253
_NAME = re.compile(r"[a-z0-9]([-a-z0-9._]*[a-z0-9])?\Z")
_KEY = re.compile(r"(?!\.\.)(?!\.\Z)[-._a-zA-Z0-9]+\Z")
_NAMESPACE = re.compile(r"[a-z0-9]([-a-z0-9_]{0,61}[a-z0-9])?\Z")
_VARIABLE = re.compile(r"(?!\.\.)(?!\.\Z)[-._a-zA-Z][-._a-zA-Z0-9]*\Z")


def is_name(name: str) -> bool:
    """Whether a secret or config map can have this name."""
    return len(name) <= LONGEST and _NAME.match(name) is not None


def is_key(key: str) -> bool:
    """Whether a secret or config map can have this key."""
    return len(key) <= LONGEST and _KEY.match(key) is not None


def is_variable(name: str) -> bool:
    """Whether Kubernetes sets a variable of this name when it injects a secret whole (``IsEnvVarName``)."""
    return _VARIABLE.match(name) is not None


def check_namespace(namespace: str) -> str:
    """The namespace. Raises InvalidInput (``bad-name``) for one that is no plain name."""
    if not _NAMESPACE.match(namespace):
        raise InvalidInput.of(
            Code.BAD_NAME,
            f"{namespace!r} cannot be the name of a namespace",
            "use lower-case letters, digits and '-', at most 63 characters",
        )
    return namespace


def check_name(resource: Resource, name: str) -> str:
    """The name. Raises InvalidInput (``bad-name``) for one that is no plain name."""
    if not is_name(name):
        raise InvalidInput.of(
            Code.BAD_NAME,
            f"{name!r} cannot be the name of a {WORDS[resource]}",
            "use lower-case letters, digits, '-' and '.', at most 253 characters",
        )
    return name


def check_key(resource: Resource, key: str) -> str:
    """The key. Raises InvalidInput (``bad-name``) for one that is no plain file name."""
    if not is_key(key):
        raise InvalidInput.of(
            Code.BAD_NAME,
            f"{key!r} cannot be a key of a {WORDS[resource]}",
            "use letters, digits, '.', '_' and '-', at most 253 characters; no '..' first",
        )
    return key
