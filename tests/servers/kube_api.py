"""A Kubernetes API server and its etcd alone, without controllers and nodes: objects that nothing happens to.

The kit's programs, on free ports: for what nobody may do to a cluster that others use, as forgetting the past.
"""

from __future__ import annotations

import json
import ssl
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from servers.certificates import Authority
from servers.processes import free_port, listens, running

TOKEN = "a-token-of-the-tests"


@dataclass(frozen=True, slots=True)
class Server:
    """``folder`` has ``ca.crt`` and ``token``, as a pod has them."""

    port: int
    etcd: int
    folder: Path

    def kubeconfig(self, port: int | None = None) -> Path:
        """Of somebody who may do everything. ``port``: what stands between, if anything does."""
        path = self.folder / f"kubeconfig-{port or self.port}"
        cluster = {"server": f"https://127.0.0.1:{port or self.port}", "certificate-authority": f"{self.folder}/ca.crt"}
        config = {
            "apiVersion": "v1", "kind": "Config", "current-context": "it",
            "clusters": [{"name": "it", "cluster": cluster}],
            "users": [{"name": "it", "user": {"token": TOKEN}}],
            "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it"}}],
        }  # fmt: skip
        path.write_text(yaml.safe_dump(config))
        return path

    def forget(self) -> None:
        """Nobody can be told any more what happened until now."""
        found = self._etcd("kv/range", {"key": "Lw=="})  # any key: the answer's header has the revision
        self._etcd("kv/compaction", {"revision": found["header"]["revision"], "physical": True})

    def _etcd(self, what: str, asked: dict[str, object]) -> dict[str, dict[str, str]]:
        request = urllib.request.Request(f"http://127.0.0.1:{self.etcd}/v3/{what}", json.dumps(asked).encode())
        with urllib.request.urlopen(request, timeout=10) as answer:
            found: dict[str, dict[str, str]] = json.load(answer)
            return found


def programs(kubeconfig: Path) -> Path:
    """Where the kit keeps them; the test is skipped where the cluster is not the kit's."""
    found = kubeconfig.resolve().parent.parent / "kit" / "bin"
    if not (found / "etcd").exists():
        pytest.skip("the cluster is not the kit's: there are no programs for another API server")
    return found


@contextmanager
def api_server(binaries: Path, folder: Path, *more: str) -> Iterator[Server]:
    """A fresh one. ``more``: arguments of the API server."""
    authority = Authority(folder)
    pair = authority.issue("IP:127.0.0.1")
    (folder / "ca.crt").write_bytes(authority.certificate.read_bytes())
    (folder / "token").write_text(TOKEN)
    (folder / "tokens.csv").write_text(f"{TOKEN},admin,1,system:masters\n")
    key = folder / "sa.key"
    subprocess.run(["openssl", "genrsa", "-out", key, "2048"], check=True, capture_output=True)
    server = Server(free_port(), free_port(), folder)
    etcd = f"http://127.0.0.1:{server.etcd}"
    peer = f"http://127.0.0.1:{free_port()}"
    data = [
        binaries / "etcd", "--data-dir", folder / "etcd", "--listen-client-urls", etcd, "--advertise-client-urls", etcd,
        "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", f"default={peer}",
        "--log-level", "warn",
    ]  # fmt: skip
    apis = [
        binaries / "kube-apiserver", "--etcd-servers", etcd, "--bind-address", "127.0.0.1", "--secure-port",
        server.port, "--advertise-address", "127.0.0.1", "--endpoint-reconciler-type", "none",
        "--service-cluster-ip-range",
        "10.96.0.0/24", "--tls-cert-file", pair.certificate, "--tls-private-key-file", pair.key, "--token-auth-file",
        folder / "tokens.csv", "--service-account-issuer", "https://kubernetes.default.svc",
        "--service-account-key-file", key, "--service-account-signing-key-file", key,
        "--disable-admission-plugins", "ServiceAccount", *more,
    ]  # fmt: skip
    with (
        running([str(word) for word in data], folder / "etcd.log", lambda: listens(server.etcd)),
        running([str(word) for word in apis], folder / "api.log", lambda: _is_ready(server)),
    ):
        yield server


def _is_ready(server: Server) -> bool:
    trusted = ssl.create_default_context(cafile=str(server.folder / "ca.crt"))
    asked = urllib.request.Request(
        f"https://127.0.0.1:{server.port}/readyz", headers={"Authorization": f"Bearer {TOKEN}"}
    )
    try:
        with urllib.request.urlopen(asked, context=trusted, timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:  # not yet
        return False
