"""Which kubeconfig, and which context of it: read in one way for secrets and for runs."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

INSTALL = "install the client: pip install 'tieline[kubernetes]'"
IN_CLUSTER = Path("/var/run/secrets/kubernetes.io/serviceaccount")


def read_kubeconfig(
    reader: Any, context: str | None, environ: Mapping[str, str], service_account: Path = IN_CLUSTER
) -> Any:
    """``$KUBECONFIG``, else ``~/.kube/config``, else (in a pod) its service account. Of several files of
    ``$KUBECONFIG``, the first that has the context. ``reader``: lightkube's ``KubeConfig``. Raises what it raises."""
    given = [Path(part) for part in environ.get("KUBECONFIG", "").split(os.pathsep) if part]
    usual = Path(environ.get("HOME") or Path.home(), ".kube", "config")
    files = [path for path in given or [usual] if path.is_file()]
    if not files and not given and context is None and service_account.is_dir():
        return reader.from_service_account(service_account).get()
    if not files:
        raise FileNotFoundError(f"there is no kubeconfig {' or '.join(map(str, given or [usual]))}")
    read = [reader.from_file(path) for path in files]
    having = (config for config in read if (context or config.current_context) in config.contexts)
    return next(having, read[0]).get(context)
