"""A Kubernetes cluster's Secrets and ConfigMaps, read with the rights of the kubeconfig's user.

The client (lightkube, the extra ``tieline[kubernetes]``; it waits 10 s for an answer) is imported when a cluster is
first asked. The API gives values together with keys: where only keys were asked for, the values are dropped at once.
"""

from __future__ import annotations

import base64
import importlib
import shlex
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tieline.errors import Code
from tieline.secrets.failures import SourceFailed, unreachable
from tieline.secrets.kubeconfig import IN_CLUSTER, INSTALL, read_kubeconfig
from tieline.secrets.names import WORDS, Resource, is_name
from tieline.secrets.secret import Secret

UNAUTHORIZED, FORBIDDEN = 401, 403
LIBRARIES = ("httpx", "httpx2", "httpcore", "httpcore2")
"""Whose errors are about the network, and hold no values."""


@dataclass(slots=True, weakref_slot=True, repr=False)
class ClusterSource:
    """One namespace of a cluster. ``context``: of the kubeconfig; None: the current one, or the pod's own cluster.

    Its connection stays open for as long as somebody holds the source.
    """

    context: str | None
    namespace: str
    environ: Mapping[str, str]
    service_account: Path = IN_CLUSTER
    _opened: Any = None
    _values: dict[tuple[Resource, str], dict[str, Secret] | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.namespace = self.namespace.replace("_", "-")  # a Tieline name may have it, a Kubernetes name may not

    @property
    def name(self) -> str:
        """See :class:`~tieline.secrets.sources.Source`."""
        where = f"the context {self.context!r}" if self.context else "the current context"
        return f"the cluster of {where} (namespace {self.namespace})"

    def names(self, resource: Resource) -> list[str]:
        """See :class:`~tieline.secrets.sources.Source`. None: the API would give all values of the namespace too."""
        del resource
        return []

    def keys(self, resource: Resource, name: str) -> list[str] | None:
        """See :class:`~tieline.secrets.sources.Source`."""
        found = self._fetched(resource, name)
        return None if found is None else sorted(found)

    def spellings(self, key: str) -> tuple[str, ...]:
        """See :class:`~tieline.secrets.sources.Source`."""
        return (key,)

    def read(self, resource: Resource, name: str, key: str) -> Secret | None:
        """See :class:`~tieline.secrets.sources.Source`. One request per secret: its values are of one moment."""
        if (resource, name) not in self._values:
            self._values[resource, name] = self._fetched(resource, name)
        return (self._values[resource, name] or {}).get(key)

    def remedy(self, resource: Resource, name: str, keys: tuple[str, ...]) -> str:
        """See :class:`~tieline.secrets.sources.Source`."""
        return creating(resource, name, keys, self.namespace, self.context)

    def _fetched(self, resource: Resource, name: str) -> dict[str, Secret] | None:
        if not is_name(name):
            return None
        client, kinds = self._client()
        try:
            found = client.get(kinds[resource], name, namespace=self.namespace)
            return _decoded(resource, found.data or {}, getattr(found, "binaryData", None) or {})
        except Exception as error:
            if getattr(getattr(error, "status", None), "reason", None) == "NotFound":
                return None
            raise self._failed(error, f"read the {WORDS[resource]} {name!r}") from None

    def _client(self) -> tuple[Any, dict[Resource, Any]]:
        if self._opened is None:
            try:
                lightkube = importlib.import_module("lightkube")
                core = importlib.import_module("lightkube.resources.core_v1")
            except ImportError:
                raise SourceFailed.of(
                    Code.PROGRAM_MISSING, f"{self.name} cannot be asked: its client is not installed", INSTALL
                ) from None
            try:
                config = read_kubeconfig(lightkube.KubeConfig, self.context, self.environ, self.service_account)
                client = lightkube.Client(config=config, namespace=self.namespace)
            except Exception as error:
                raise self._failed(error, "open the kubeconfig") from None
            weakref.finalize(self, client.close)
            self._opened = client, {"secret": core.Secret, "configMap": core.ConfigMap}
        opened: tuple[Any, dict[Resource, Any]] = self._opened
        return opened

    def _failed(self, error: Exception, doing: str) -> SourceFailed:
        """What the server or the network said; of anything unexpected only the type, because it may hold values."""
        status = _status(error)
        if status == FORBIDDEN:
            reason, hint = f"it does not allow you to {doing}", "ask its admin for the right to `get` it"
        elif status == UNAUTHORIZED:
            reason, hint = (
                f"it does not know you ({status}), so you cannot {doing}",
                "log in again, or mend the context",
            )
        elif status is not None:
            reason, hint = f"it answered {status} to the request to {doing}", "try again, or ask its admin"
        elif type(error).__module__.partition(".")[0] in LIBRARIES:
            reason, hint = _said(error), "check the network, and the server of the context"
        elif isinstance(error, OSError) or type(error).__name__ == "ConfigError":
            reason, hint = _said(error), "set KUBECONFIG, or correct `context:` in the deployment file"
        else:
            reason, hint = f"cannot {doing} ({type(error).__name__})", "check the context with kubectl"
        return unreachable(self.name, reason, hint)


def creating(resource: Resource, name: str, keys: Sequence[str], namespace: str, context: str | None) -> str:
    """How a person puts these keys into a cluster."""
    what = "secret generic" if resource == "secret" else "configmap"
    files = " ".join(f"--from-file={shlex.quote(key)}=…" for key in keys) or "--from-file=KEY=…"
    where = f" --context {shlex.quote(context)}" if context else ""
    return f"`kubectl create {what} {name} {files} -n {namespace}{where}`"


def _decoded(resource: Resource, data: Mapping[str, str], binary: Mapping[str, str]) -> dict[str, Secret]:
    """The values; the API has those of secrets, and binary ones of config maps, as base64."""
    encoded, plain = ({**data, **binary}, {}) if resource == "secret" else (binary, data)
    return {
        **{key: Secret(base64.b64decode(value)) for key, value in encoded.items()},
        **{key: Secret(value) for key, value in plain.items()},
    }


def _status(error: Exception) -> int | None:
    """The HTTP status that an error carries."""
    code = getattr(getattr(error, "response", None), "status_code", None)
    return code if isinstance(code, int) else None


def _said(error: Exception) -> str:
    """An error's own words, on one line."""
    return " ".join(str(error).split())[:300] or type(error).__name__
