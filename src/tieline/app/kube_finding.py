"""Finding runs that only their cluster knows: submitted from another machine, or by a home that is gone."""

from __future__ import annotations

from tieline.app.deployment import Deployment
from tieline.app.home import HomeFolder
from tieline.app.kube import adopt
from tieline.app.preparing import cluster_for, with_cluster
from tieline.app.secrets import source_settings
from tieline.engines.base import Listener
from tieline.errors import TielineError
from tieline.model.catalog import DEFAULT_NAMESPACE
from tieline.runs.record import Record


def find_all(
    home: HomeFolder, record: Record, deployment: Deployment, namespace: str | None, listener: Listener
) -> None:
    """Record the runs that the clusters of the deployment file's namespaces (or of this one) have, and this home does
    not know. A cluster that cannot be asked is told."""
    views = deployment.catalog.views
    for name in [namespace] if namespace else list(dict.fromkeys([*views, DEFAULT_NAMESPACE])):
        try:
            cluster = cluster_for(deployment, name)
            sources = with_cluster(source_settings(deployment, name), cluster)
            adopt(home, record, cluster.context, cluster.namespace, sources)
        except TielineError as error:
            listener.note(f"runs of namespace {name} are not looked for: {error}")
