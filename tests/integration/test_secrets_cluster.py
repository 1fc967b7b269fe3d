"""Secrets of a cluster: what a server that refuses, is not there or talks nonsense is told as; and a real cluster."""

from __future__ import annotations

import base64
import json
import os
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from secrets_api import Api, status
from secrets_kube import kube

from servers.processes import eventually
from tieline.errors import Code
from tieline.secrets.cluster import ClusterSource
from tieline.secrets.failures import SourceFailed
from tieline.secrets.home import HomeSource
from tieline.secrets.secret import Secret
from tieline.secrets.sources import Sources

__all__ = ["kube"]
CANARY = "canary-3b8e"


@pytest.fixture
def api() -> Iterator[Api]:
    pytest.importorskip("lightkube")
    with Api() as server:
        server.put("team-a", {"db": {"password": CANARY.encode(), "user": b"me"}}, {"m": {"a": b"1", "b.bin": b"\xff"}})
        yield server


def source_of(api: Api, tmp_path: Path, **more: Any) -> ClusterSource:
    return ClusterSource(None, "team-a", {"KUBECONFIG": str(api.kubeconfig(tmp_path))}, **more)


def failure(source: ClusterSource) -> str:
    with pytest.raises(SourceFailed) as caught:
        source.keys("secret", "db")
    assert caught.value.code is not Code.SECRET_MISSING
    shown = "".join(traceback.format_exception(caught.value)) + repr(caught.value)
    assert "canary" not in shown
    assert str(caught.value).startswith(source.name)
    return str(caught.value)


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ((403, "application/json", status(403, "Forbidden", CANARY)), "it does not allow you to read the secret 'db'"),
        ((401, "application/json", status(401, "Unauthorized")), "it does not know you (401)"),
        ((500, "application/json", status(500, "InternalError", CANARY)), "it answered 500"),
        ((503, "text/plain", CANARY.encode()), "it answered 503"),
        ((404, "text/html", b"<h1>a proxy's own page</h1>"), "it answered 404"),
        (
            (404, "application/json", status(404, "Nothing", "the server could not find the resource")),
            "it answered 404",
        ),
        ((302, "text/plain", b""), "it answered 302"),
        ((200, "application/json", CANARY.encode()), "cannot read the secret 'db'"),
        ((200, "application/json", b"[]"), "cannot read the secret 'db'"),
        ((200, "application/json", json.dumps({"data": {"a": f"{CANARY}!"}}).encode()), "cannot read the secret 'db'"),
        ((200, "application/json", json.dumps({"data": {"a": 1}}).encode()), "cannot read the secret 'db'"),
    ],
)
def test_an_answer_that_is_none(api: Api, tmp_path: Path, answer: tuple[int, str, bytes], told: str) -> None:
    api.answer = answer
    assert told in failure(source_of(api, tmp_path))


def test_a_server_that_is_not_there(api: Api, tmp_path: Path) -> None:
    source = source_of(api, tmp_path)
    api.server.shutdown()
    api.server.server_close()
    assert "onnect" in failure(source)


@pytest.mark.timeout(40)
def test_a_server_that_does_not_answer(api: Api, tmp_path: Path) -> None:
    api.delay = 12
    assert "timed out" in failure(source_of(api, tmp_path)).lower()


def test_a_missing_secret_is_missing(api: Api, tmp_path: Path) -> None:
    assert source_of(api, tmp_path).keys("secret", "gone") is None


def test_asking_for_keys_keeps_no_value_and_asking_for_values_asks_once(api: Api, tmp_path: Path) -> None:
    source = source_of(api, tmp_path)
    assert source.keys("secret", "db") == ["password", "user"]
    assert source._values == {}
    assert source.read("secret", "db", "password") == Secret(CANARY)
    api.put("team-a", {"db": {"password": b"rotated", "user": b"rotated"}}, {})
    assert source.read("secret", "db", "user") == Secret("me"), "both are of one moment"
    assert len(api.asked) == 2


def test_binary_config_maps(api: Api, tmp_path: Path) -> None:
    source = source_of(api, tmp_path)
    assert source.keys("configMap", "m") == ["a", "b.bin"]
    assert source.read("configMap", "m", "b.bin") == Secret(b"\xff")


def test_another_namespace_is_not_seen(api: Api, tmp_path: Path) -> None:
    environ = {"KUBECONFIG": str(api.kubeconfig(tmp_path))}
    assert ClusterSource(None, "team-b", environ).keys("secret", "db") is None
    assert ClusterSource(None, "team_a", environ).keys("secret", "db") == ["password", "user"], "_ is - in a cluster"


def test_a_name_that_is_none_is_never_sent(api: Api, tmp_path: Path) -> None:
    source = source_of(api, tmp_path)
    for name in ("../../default/secrets/db", "db?x=1", "db/status", "DB"):
        assert source.keys("secret", name) is None
    assert api.asked == []


# --- the kubeconfig


def test_the_context_that_is_named(api: Api, tmp_path: Path) -> None:
    files = [api.kubeconfig(tmp_path, "one"), api.kubeconfig(tmp_path, "two", token="second")]
    environ = {"KUBECONFIG": os.pathsep.join(["/nowhere", *map(str, files)])}
    assert ClusterSource("two", "team-a", environ).keys("secret", "db") is not None
    assert ClusterSource(None, "team-a", environ).keys("secret", "db") is not None
    assert api.tokens == ["Bearer second", "Bearer canary-token"]


def test_a_context_that_is_not_there(api: Api, tmp_path: Path) -> None:
    source = ClusterSource("three", "team-a", {"KUBECONFIG": str(api.kubeconfig(tmp_path))})
    assert "'three' not found; set KUBECONFIG, or correct `context:` in the deployment file" in failure(source)


def test_no_kubeconfig(tmp_path: Path) -> None:
    pytest.importorskip("lightkube")
    assert "there is no kubeconfig /nowhere" in failure(ClusterSource(None, "team-a", {"KUBECONFIG": "/nowhere"}))
    assert f"{tmp_path}/.kube/config" in failure(ClusterSource(None, "team-a", {"HOME": str(tmp_path)}))


@pytest.mark.parametrize("text", ["{", "[]", "clusters: canary", "users: [{name: u, user: {token: [canary]}}]", "\0"])
def test_a_kubeconfig_that_is_none(tmp_path: Path, text: str) -> None:
    pytest.importorskip("lightkube")
    (tmp_path / "config").write_text(text)
    assert "cannot open the kubeconfig" in failure(
        ClusterSource(None, "team-a", {"KUBECONFIG": str(tmp_path / "config")})
    )


def test_the_kubeconfig_in_the_users_home(api: Api, tmp_path: Path) -> None:
    (tmp_path / ".kube").mkdir()
    api.kubeconfig(tmp_path).rename(tmp_path / ".kube" / "config")
    assert ClusterSource(None, "team-a", {"HOME": str(tmp_path)}).keys("secret", "db") is not None


def test_without_the_client_the_error_says_how_to_install_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lightkube", None)
    source = ClusterSource(None, "team-a", {})
    assert failure(source).endswith(
        "its client is not installed; install the client: pip install 'tieline[kubernetes]'"
    )


def test_a_cluster_that_refuses_does_not_stand_in_the_way_of_what_is_found_before_it(api: Api, tmp_path: Path) -> None:
    api.answer = (403, "application/json", status(403, "Forbidden"))
    cluster, home = source_of(api, tmp_path), HomeSource(tmp_path, "team-a")
    home_folder = tmp_path / "secrets" / "team-a" / "db"
    home_folder.mkdir(parents=True)
    assert Sources([home, cluster], "team-a").locate("secret", "db") is not None
    with pytest.raises(SourceFailed):
        Sources([cluster, home], "team-a").locate("secret", "db")
    with pytest.raises(SourceFailed):
        Sources([home, cluster], "team-a").locate("secret", "other")


# --- a real cluster


class Admin:
    """The API of a real cluster, by the admin's certificate."""

    def __init__(self, kubeconfig: Path) -> None:
        from lightkube import Client, KubeConfig

        self.config = KubeConfig.from_file(kubeconfig)
        self.client = Client(config=self.config)
        self.kubeconfig = kubeconfig

    def make(self, kind: str, name: str, namespace: str | None = None, **parts: Any) -> None:
        from lightkube import ApiError, codecs

        versions = {"Role": "rbac.authorization.k8s.io/v1", "RoleBinding": "rbac.authorization.k8s.io/v1"}
        data = {
            "apiVersion": versions.get(kind, "v1"), "kind": kind, "metadata": {"name": name, "namespace": namespace},
            **parts,
        }  # fmt: skip
        try:
            self.client.create(codecs.from_dict(data))
        except ApiError as error:
            if error.status.reason != "AlreadyExists":
                raise

    def context_of(self, account: str, namespace: str, folder: Path) -> Path:
        """A kubeconfig of a service account."""
        from lightkube.resources.core_v1 import Secret as Resource

        def made() -> str | None:
            for item in self.client.list(Resource, namespace=namespace):
                of = (item.metadata.annotations or {}).get("kubernetes.io/service-account.name")
                if of == account and "token" in (item.data or {}):
                    return base64.b64decode(item.data["token"]).decode()
            return None

        token = eventually(made)
        data = yaml.safe_load(self.kubeconfig.read_text())
        data["users"] = [{"name": "account", "user": {"token": token}}]
        for context in data["contexts"]:
            context["context"]["user"] = "account"
        path = folder / f"{account}.kubeconfig"
        path.write_text(yaml.safe_dump(data))
        return path


@pytest.fixture
def admin(kube: Path) -> Iterator[Admin]:
    pytest.importorskip("lightkube")
    admin = Admin(kube)
    for namespace in ("tl-secrets-a", "tl-secrets-b"):
        admin.make("Namespace", namespace)
    encoded = {"password": base64.b64encode(b"p\r\n\xff").decode(), "empty": ""}
    admin.make("Secret", "db", "tl-secrets-a", data=encoded)
    admin.make("Secret", "db", "tl-secrets-b", stringData={"other": "b"})
    binary = {"blob": base64.b64encode(b"\0\xff").decode()}
    admin.make("ConfigMap", "place", "tl-secrets-a", data={"host": "ü"}, binaryData=binary)
    admin.make("ConfigMap", "nothing", "tl-secrets-a")
    yield admin
    admin.client.close()


@pytest.mark.timeout(1200)
@pytest.mark.timeout(1200)  # the kit may have to be fetched
def test_a_real_cluster(kube: Path, admin: Admin, tmp_path: Path) -> None:
    environ = {"KUBECONFIG": str(kube)}
    a, b = (ClusterSource(None, f"tl_secrets-{letter}", environ) for letter in "ab")
    assert a.keys("secret", "db") == ["empty", "password"]
    assert a.read("secret", "db", "password") == Secret(b"p\r\n\xff")
    assert a.read("secret", "db", "empty") == Secret("")
    assert b.keys("secret", "db") == ["other"]
    assert a.keys("secret", "gone") is None
    assert a.keys("configMap", "db") is None
    assert a.keys("configMap", "nothing") == []
    assert a.read("configMap", "place", "host") == Secret("ü")
    assert a.read("configMap", "place", "blob") == Secret(b"\0\xff")
    assert ClusterSource(None, "no-such-namespace", environ).keys("secret", "db") is None

    admin.make("ServiceAccount", "reader", "tl-secrets-a")
    rules = [{"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"], "resourceNames": ["db"]}]
    admin.make("Role", "reader", "tl-secrets-a", rules=rules)
    admin.make(
        "RoleBinding", "reader", "tl-secrets-a",
        subjects=[{"kind": "ServiceAccount", "name": "reader", "namespace": "tl-secrets-a"}],
        roleRef={"kind": "Role", "name": "reader", "apiGroup": "rbac.authorization.k8s.io"},
    )  # fmt: skip
    limited = {"KUBECONFIG": str(admin.context_of("reader", "tl-secrets-a", tmp_path))}
    allowed = ClusterSource(None, "tl-secrets-a", limited)
    assert allowed.read("secret", "db", "password") == Secret(b"p\r\n\xff")
    for resource, name in (("secret", "other"), ("configMap", "place")):
        with pytest.raises(SourceFailed, match="does not allow you to read the"):
            allowed.keys(resource, name)  # type: ignore[arg-type]
    with pytest.raises(SourceFailed, match="does not allow you to read the secret 'db'"):
        ClusterSource(None, "tl-secrets-b", limited).keys("secret", "db")

    data = yaml.safe_load(Path(limited["KUBECONFIG"]).read_text())
    data["users"][0]["user"]["token"] = "wrong"
    (tmp_path / "wrong").write_text(yaml.safe_dump(data))
    with pytest.raises(SourceFailed, match=r"does not know you \(401\)"):
        ClusterSource(None, "tl-secrets-a", {"KUBECONFIG": str(tmp_path / "wrong")}).keys("secret", "db")
