"""Where a run goes, and what the deployment says of that cluster: made once, then passed around."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from tieline import __version__
from tieline.errors import Code, Place, Problem, Refused
from tieline.model.catalog import ClusterForm

IMAGE = f"tieline:{__version__}"
"""The image of Tieline's own containers, where nobody names another."""


NATIVE = (1, 29)
"""The first version that has sidecars without being told to."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """A cluster as one run needs it.

    ``context``: of the kubeconfig, None for the current one; ``native_sidecars``: whether its own are used (1.29 and
    newer have them; None: not known yet); ``service_account``: of pods whose job names none; ``pod_patch``: merged
    into every pod; ``api_host`` and ``api_port``: where the collector finds the API server, if not where the cluster
    itself says.
    """

    context: str | None
    namespace: str
    image: str = IMAGE
    native_sidecars: bool | None = None
    service_account: str = ""
    pod_patch: Mapping[str, Any] = field(default_factory=dict)
    api_host: str = ""
    api_port: str = ""


def cluster_of(form: ClusterForm | None, name: str, namespace: str, environ: Mapping[str, str]) -> Cluster:
    """The settings of a run's cluster, from its entry under ``clusters:`` (None: there is none, the current context).

    ``native_sidecars`` is what the entry says, else None: then the server is asked. Raises Refused.
    """
    form = form or ClusterForm()
    if form.agent is not None:
        hint = "name a context of the kubeconfig: clusters are served by agents in a later version"
        message = f"the cluster {name!r} is served by an agent"
        raise Refused(Problem(Code.UNSUPPORTED, message, hint, Place(field=f"clusters.{name}.agent")))
    return Cluster(
        context=form.context,
        namespace=cluster_namespace(namespace),
        image=environ.get("TIELINE_STEPS_IMAGE") or form.image or IMAGE,
        native_sidecars=form.native_sidecars,
        service_account=form.service_account or "",
        pod_patch=form.pod_patch or {},
        api_host=environ.get("TIELINE_KUBERNETES_HOST", ""),
        api_port=environ.get("TIELINE_KUBERNETES_PORT", ""),
    )


def for_server(cluster: Cluster, version: tuple[int, int]) -> Cluster:
    """The settings for a server of this version: the deployment file has the last word."""
    return replace(cluster, native_sidecars=version >= NATIVE) if cluster.native_sidecars is None else cluster


def cluster_namespace(namespace: str) -> str:
    """The Kubernetes namespace of one of Tieline's: it may have an underscore in the older format, and no label may."""
    return namespace.replace("_", "-")


KEPT = ("image", "service_account", "pod_patch")


def kept_settings(cluster: Cluster) -> dict[str, Any]:
    """What a pod that is made later needs of them, as JSON."""
    return {name: getattr(cluster, name) for name in KEPT}


def with_kept(cluster: Cluster, kept: Mapping[str, Any], environ: Mapping[str, str]) -> Cluster:
    """The settings as they were kept, where they were; the environment has the last word about the image."""
    known = {name: kept[name] for name in KEPT if name in kept}
    if image := environ.get("TIELINE_STEPS_IMAGE"):
        known["image"] = image
    return replace(cluster, **known)
