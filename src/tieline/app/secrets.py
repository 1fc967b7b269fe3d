"""The sources of secrets of a deployment, and what is kept of secrets and config maps in Tieline's home."""

from __future__ import annotations

import os
from collections.abc import Mapping

from tieline.app.catalogs import view_of
from tieline.app.deployment import Deployment
from tieline.app.home import HomeFolder
from tieline.errors import Code, NotFound, did_you_mean
from tieline.model.catalog import DEFAULT_NAMESPACE, SecretSourceForm
from tieline.secrets.home import HomeSource
from tieline.secrets.keeping import Keeper
from tieline.secrets.names import Resource
from tieline.secrets.sources import Sources, open_sources


def source_settings(deployment: Deployment, namespace: str | None) -> tuple[SecretSourceForm, ...]:
    """The deployment file's ``secrets:``; a cluster without a context is that of the namespace, where it has one."""
    cluster = deployment.catalog.clusters.get(view_of(deployment, namespace).cluster)
    context = cluster.context if cluster else None

    def settled(form: SecretSourceForm) -> SecretSourceForm:
        if form.kubernetes is None or form.kubernetes.context or not context:
            return form
        return form.model_copy(update={"kubernetes": form.kubernetes.model_copy(update={"context": context})})

    return tuple(map(settled, deployment.catalog.secrets))


def sources_for(
    deployment: Deployment, namespace: str | None, home: HomeFolder, environ: Mapping[str, str] | None = None
) -> Sources:
    """The sources of one namespace, for one run or one command. Nothing is asked yet."""
    settings = source_settings(deployment, namespace)
    return open_sources(settings, namespace or DEFAULT_NAMESPACE, home.root, os.environ if environ is None else environ)


def keeper(home: HomeFolder, resource: Resource) -> Keeper:
    """What is kept of secrets, or of config maps, in Tieline's home."""
    return Keeper(home.root, resource)


def config_map(home: HomeFolder, namespace: str, name: str, key: str | None = None) -> dict[str, bytes]:
    """The values of a config map in Tieline's home, or that of one key. Raises NotFound."""
    source = HomeSource(home.root, namespace)
    keys = source.keys("configMap", name)
    if keys is None:
        hint = did_you_mean(name, source.names("configMap"), "`tieline configmaps list` shows what there is")
        raise NotFound.of(Code.SECRET_MISSING, f"there is no config map {name!r} in Tieline's home", hint)
    if key is not None and key not in keys:
        hint = did_you_mean(key, keys, f"it has {', '.join(keys)}")
        raise NotFound.of(Code.SECRET_MISSING, f"the config map {name!r} has no key {key!r}", hint)
    wanted = keys if key is None else [key]
    found = {item: source.read("configMap", name, item) for item in wanted}
    return {item: value.reveal() for item, value in found.items() if value is not None}
