"""A thin client of the Kubernetes API: plain dicts in and out, errors told apart, requests counted.

lightkube (the extra ``tieline[kubernetes]``, imported when a cluster is first asked) reads the kubeconfig, and knows
how to log in; over its connection the API's own JSON is spoken, for manifests are plain data here.
"""

from __future__ import annotations

import importlib
import json
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self

from tieline.engines.kubernetes.refusals import ClusterError, Why, answered, no_client, not_reached
from tieline.engines.kubernetes.traffic import Traffic
from tieline.secrets.kubeconfig import read_kubeconfig

if TYPE_CHECKING:
    from tieline.engines.kubernetes.channel import Channel

Object = dict[str, Any]
TIMEOUT = 10.0
"""Seconds for an answer, as in the whole of lightkube."""
WATCHED = 290
"""Seconds after which the server ends a watch, to be begun anew where it was."""
SILENT = 75.0
"""A watch that has said nothing for so long (bookmarks come every minute) may have no line any more."""
_PATCHES = {"merge": "application/merge-patch+json", "json": "application/json-patch+json"}


@dataclass(frozen=True, slots=True)
class Kind:
    """One resource of the API: ``("batch/v1", "jobs")``."""

    api: str
    plural: str
    namespaced: bool = True

    def path(self, namespace: str, name: str = "", sub: str = "") -> str:
        """Where it is."""
        parts = ["api" if "/" not in self.api else "apis", self.api]
        parts += ["namespaces", namespace] if self.namespaced and namespace else []
        return "/".join([*parts, self.plural, *filter(None, (name, sub))])


JOBS = Kind("batch/v1", "jobs")
PODS = Kind("v1", "pods")
CONFIG_MAPS = Kind("v1", "configmaps")
SERVICES = Kind("v1", "services")
DEPLOYMENTS = Kind("apps/v1", "deployments")
EVENTS = Kind("v1", "events")
LEASES = Kind("coordination.k8s.io/v1", "leases")
NAMESPACES = Kind("v1", "namespaces", namespaced=False)
_KINDS = {"Job": JOBS, "Pod": PODS, "ConfigMap": CONFIG_MAPS, "Service": SERVICES, "Deployment": DEPLOYMENTS}


def kind_of(thing: Mapping[str, Any]) -> Kind:
    """The resource that a manifest is one of."""
    return _KINDS[thing["kind"]]


def selector(labels: Mapping[str, str]) -> str:
    """A label selector."""
    return ",".join(f"{name}={value}" for name, value in labels.items())


class Api:
    """One cluster, as one user sees it. Threads may share it. Every method raises :class:`ClusterError`.

    ``counted``: the requests that were made, by verb and resource; a watch is one, whatever it tells.
    """

    def __init__(self, client: Any, server: str, context: str | None, namespace: str) -> None:
        self._client, self._traffic = client, Traffic()
        self.server, self.context = server, context
        self.default_namespace = namespace
        """The namespace of the kubeconfig's context."""
        self.asker = ""
        """Who asks which cluster, for what is remembered of its answers; another one when the kubeconfig changes."""
        self.counted: Counter[str] = Counter()

    @classmethod
    def open(cls, context: str | None = None, environ: Mapping[str, str] | None = None) -> Self:
        """Read the kubeconfig; nothing is asked yet. ``context`` None: the current one, or the pod's own cluster."""
        try:
            lightkube = importlib.import_module("lightkube")
            adapter = importlib.import_module("lightkube.config.client_adapter")
            httpx2 = importlib.import_module("httpx2")
        except ImportError:
            raise no_client(context) from None
        try:
            config = read_kubeconfig(lightkube.KubeConfig, context, os.environ if environ is None else environ)
            client = adapter.Client(config, adapter.ConnectionParams(timeout=httpx2.Timeout(TIMEOUT)))
        except Exception as error:  # of many kinds: YAML, TLS, files; none of them has been sent anything yet
            raise not_reached(error, context) from None
        made = cls(client, config.cluster.server, config.context_name or context, config.namespace)
        made.asker = _asker(config)
        return made

    @property
    def requests(self) -> int:
        """How many requests were made."""
        return self.counted.total()

    def close(self) -> None:
        """End what other threads still ask, and let go of the connections."""
        if self._traffic.end():  # else a thread still reads from one: it goes with the process
            self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # --- objects

    def get(self, kind: Kind, namespace: str, name: str) -> Object | None:
        """The object; None where there is none."""
        try:
            return self._asked("GET", "get", kind, kind.path(namespace, name), namespace)
        except ClusterError as error:
            if error.why is Why.MISSING:
                return None
            raise

    def list(self, kind: Kind, namespace: str, labels: Mapping[str, str] | None = None, **params: str) -> Object:
        """A list: ``items``, and ``metadata.resourceVersion`` to watch from."""
        asked = {**({"labelSelector": selector(labels)} if labels else {}), **params}
        return self._asked("GET", "list", kind, kind.path(namespace), namespace, params=asked)

    def pages(
        self, kind: Kind, namespace: str, labels: Mapping[str, str], size: int, **params: str
    ) -> Iterator[Object]:
        """The same as lists of so many at the most. Raises ClusterError with ``GONE`` where it took too long to read
        them: what came before is of no use then."""
        more: dict[str, str] = {}
        while True:
            page = self.list(kind, namespace, labels, limit=str(size), **params, **more)
            yield page
            if not (token := page["metadata"].get("continue")):
                return
            more = {"continue": token}

    def create(self, kind: Kind, namespace: str, thing: Object, sub: str = "") -> Object:
        """Make an object. Raises ClusterError with ``EXISTS`` where it is there already."""
        return self._asked("POST", "create", kind, kind.path(namespace, sub=sub), namespace, body=thing)

    def patch(
        self, kind: Kind, namespace: str, name: str, change: Any, how: Literal["merge", "json"] = "merge", sub: str = ""
    ) -> Object:
        """Change an object."""
        path = kind.path(namespace, name, sub)
        return self._asked("PATCH", "patch", kind, path, namespace, body=change, content=_PATCHES[how])

    def delete(
        self, kind: Kind, namespace: str, name: str, *, grace: int | None = None, only: Mapping[str, str] | None = None
    ) -> bool:
        """Delete an object, and in the background what it owns; False where there is none. ``only``: this very one
        (``uid``), as it was (``resourceVersion``). Raises ClusterError with ``CONFLICT`` where it is another."""
        options: Object = {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Background"}
        if grace is not None:
            options["gracePeriodSeconds"] = grace
        if only:
            options["preconditions"] = dict(only)
        try:
            self._asked("DELETE", "delete", kind, kind.path(namespace, name), namespace, body=options)
        except ClusterError as error:
            if error.why is Why.MISSING:
                return False
            raise
        return True

    def version(self) -> tuple[int, int]:
        """The server's version: ``(1, 20)``."""
        found = self._asked("GET", "get", Kind("", "version"), "version", "")
        return int(found["major"]), int(found["minor"].rstrip("+"))

    # --- streams

    def watch(
        self,
        kind: Kind,
        namespace: str,
        labels: Mapping[str, str],
        version: str,
        seconds: int = WATCHED,
        begun: Callable[[], object] = bool,
    ) -> Iterator[tuple[str, Object]]:
        """``(ADDED | MODIFIED | DELETED | BOOKMARK, object)`` after that resource version, until the server ends it.
        ``begun`` is called when the server has taken it. One that is silent for too long just ends: whether the line
        is gone, the next one tells.

        Raises ClusterError with ``GONE`` where that version is too old: list again.
        """
        params = {
            "labelSelector": selector(labels), "watch": "true", "allowWatchBookmarks": "true",
            "resourceVersion": version, "timeoutSeconds": str(seconds),
        }  # fmt: skip
        with self._streamed("watch", kind, kind.path(namespace), namespace, params, SILENT) as response:
            begun()
            for line in self._lines(response):
                event = json.loads(line)
                if event["type"] == "ERROR":
                    raise answered(event["object"].get("code", 0), event["object"], f"watch {kind.plural}", self.server)
                yield event["type"], event["object"]

    @contextmanager
    def log(self, namespace: str, pod: str, container: str, **params: str) -> Iterator[Iterator[bytes]]:
        """What a container printed, in pieces as they come. ``params``: ``follow``, ``timestamps``, ``sinceTime`` …"""
        path = PODS.path(namespace, pod, "log")
        asked = {"container": container, **params}
        with self._streamed("get", Kind("v1", "pods/log"), path, namespace, asked, None) as response:
            yield self._pieces(response)

    def start(self, namespace: str, pod: str, container: str, command: Sequence[str]) -> Channel:
        """Start a program in a container that runs, with its stdin and stdout."""
        from tieline.engines.kubernetes.channel import Channel, upgrade_headers

        kind = Kind("v1", "pods/exec")
        self.counted[f"create {kind.plural}"] += 1
        params = [("container", container), *(("command", word) for word in command)]
        params += [(stream, "true") for stream in ("stdin", "stdout", "stderr")]
        try:
            request = self._client.build_request(
                "GET", PODS.path(namespace, pod, "exec"), params=params, headers=upgrade_headers()
            )
            with self._traffic.asking():
                response = self._client.send(request, stream=True)
                if response.status_code == 101:
                    return Channel(response, self._traffic)
                response.read()
        except Exception as error:
            raise self._said_of(error) from None
        raise answered(response.status_code, _json(response), _doing("create", kind, namespace), self.server)

    def _lines(self, response: Any) -> Iterator[bytes]:
        """Whole lines, split at newlines only: an object may hold other characters that Python takes for line ends."""
        rest, silence = b"", importlib.import_module("httpx2").ReadTimeout
        try:
            for piece in response.iter_bytes():
                *lines, rest = (rest + piece).split(b"\n")
                yield from filter(None, lines)
        except silence:
            return
        except Exception as error:
            raise self._said_of(error) from None

    def _pieces(self, response: Any) -> Iterator[bytes]:
        try:
            yield from response.iter_bytes()
        except Exception as error:
            raise self._said_of(error) from None

    @contextmanager
    def _streamed(
        self, verb: str, kind: Kind, path: str, namespace: str, params: Mapping[str, str], silent: float | None
    ) -> Iterator[Any]:
        self.counted[f"{verb} {kind.plural}"] += 1
        httpx2 = importlib.import_module("httpx2")
        timeout = httpx2.Timeout(TIMEOUT, read=silent)
        with self._traffic.asking():
            try:
                request = self._client.build_request("GET", path, params=params, timeout=timeout)
                response = self._client.send(request, stream=True)
            except Exception as error:
                raise self._said_of(error) from None
            try:
                if response.status_code >= 400:
                    response.read()
                    raise answered(response.status_code, _json(response), _doing(verb, kind, namespace), self.server)
                with self._traffic.streaming(response):
                    yield response
            finally:
                response.close()

    # --- one request

    def _asked(
        self, method: str, verb: str, kind: Kind, path: str, namespace: str, *,
        params: Mapping[str, str] | None = None, body: Any = None, content: str = "application/json",
    ) -> Object:  # fmt: skip
        self.counted[f"{verb} {kind.plural}"] += 1
        data = None if body is None else json.dumps(body, ensure_ascii=False).encode()
        headers = {"Content-Type": content} if data is not None else None
        try:
            with self._traffic.asking():
                response = self._client.request(method, path, params=params or None, content=data, headers=headers)
        except Exception as error:
            raise self._said_of(error) from None
        found = _json(response)
        if response.status_code >= 400:
            raise answered(response.status_code, found, _doing(verb, kind, namespace), self.server)
        return found

    def _said_of(self, error: Exception) -> ClusterError:
        return error if isinstance(error, ClusterError) else not_reached(error, self.context, self.server)


def _doing(verb: str, kind: Kind, namespace: str) -> str:
    """``list pods in namespace team-a``."""
    return (
        f"{verb} {kind.plural} in namespace {namespace}" if kind.namespaced and namespace else f"{verb} {kind.plural}"
    )


def _asker(config: Any) -> str:
    """The server, the user's name, and the file that says how they log in."""
    file, changed = config.fname, 0
    with suppress(OSError, TypeError):  # in a pod, there is none
        changed = os.stat(file).st_mtime_ns
    return "\0".join(map(str, (config.cluster.server, config.context.user, file, changed)))


def _json(response: Any) -> Object:
    """The answer's object; an empty one where a proxy answered something else."""
    try:
        found = response.json()
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
