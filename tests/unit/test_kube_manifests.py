"""From a plan to manifests: what a job's file says is in the pod, and what no pod can do is refused with its place."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from kube_plans import (
    CLUSTER,
    NATIVE,
    UUID,
    check_sound,
    check_valid,
    containers_of,
    made,
    mounts_of,
    planned,
    pod_of,
    template_of,
    variables_of,
)

from tieline.engines.kubernetes.manifests import LARGEST_TAKEN, manifests
from tieline.engines.kubernetes.notices import notices_of
from tieline.engines.kubernetes.settings import Cluster
from tieline.errors import Code, InvalidInput, Refused, TielineError
from tieline.model.plan import Plan

CATALOG = """
connections:
  - {name: plain, kind: http, schema: &h {url: "https://h"}}
  - {name: data, kind: host_path, schema: {hostPath: /srv/data, mountPath: /data, readOnly: true, subPath: in}}
  - {name: claim, kind: volume_claim, schema: {volumeClaim: pvc, mountPath: /claim}}
  - {name: again, kind: volume_claim, schema: {volumeClaim: pvc, mountPath: /again, subPath: b, readOnly: true}}
  - {name: code, kind: git, schema: {url: "https://git.example/c"}, secret: {name: token}}
  - {name: one, kind: s3, schema: {bucket: "s3://bucket/p"}, secret: {name: s3}}
  - {name: pg, kind: postgres, schema: {host: db}, secret: {name: pg, items: [user, password]}}
  - {name: files, kind: http, schema: *h, secret: {name: f, mountPath: /f, items: [a, b], defaultMode: "0440"}}
  - {name: files2, kind: http, schema: *h, secret: {name: f, mountPath: /f2, items: [a, b], defaultMode: 288}}
  - name: some
    kind: http
    schema: *h
    secret: {name: f, mountPath: /some, items: [a]}
    configMap: {name: f, mountPath: /cm}
  - {name: key, kind: ssh, secret: {name: ssh-key, mountPath: /ssh}}
  - {name: images, kind: registry, schema: {url: reg.example/a}, secret: {name: docker, mountPath: /docker}}
  - {name: google, kind: gcs, schema: {bucket: "gs://bucket"}, secret: {name: gcp}}
  - {name: odd, kind: http, schema: *h, env: [{name: ODD, value: "a$(B)$$c$d"}], annotations: {x/y: odd}}
  - {name: other, kind: http, schema: *h, annotations: {x/y: other}}
  - {name: prefixed, kind: http, schema: *h, secret: {name: whole}, configMap: {name: cm}, envPrefix: P_}
"""


def job(*, run: str = "", container: str = "", rest: str = "") -> str:
    return f"kind: component\n{rest}\nrun:\n  kind: job\n{run}\n  container: {{image: i, {container}}}\n"


def refused(text: str, catalog: str = CATALOG, cluster: Cluster = CLUSTER) -> list[tuple[Code, str]]:
    with pytest.raises(TielineError) as caught:
        made(text, catalog, cluster)
    assert isinstance(caught.value, (Refused, InvalidInput))
    assert all(problem.hint for problem in caught.value.problems)
    return [(problem.code, problem.place.field) for problem in caught.value.problems if not problem.warning]


def told(plan: Plan) -> dict[str, str]:
    return {notice.field: notice.message for notice in notices_of(plan, {})}


def test_the_objects_of_a_job() -> None:
    objects = made(job(rest="termination: {maxRetries: 3, ttl: 60, timeout: 90}"))
    config_map, run = objects
    assert [item["kind"] for item in objects] == ["ConfigMap", "Job"]
    for item in objects:
        assert item["metadata"]["name"] == f"tieline-{UUID}"
        assert item["metadata"]["namespace"] == "team-a"
        assert item["metadata"]["labels"]["tieline.dev/run"] == UUID
        assert item["metadata"]["annotations"]["tieline.dev/name"] == "a run"
    assert Plan.model_validate(json.loads(config_map["data"]["plan.json"])) == planned(
        job(rest="termination: {maxRetries: 3, ttl: 60, timeout: 90}")
    )
    spec = {key: value for key, value in run["spec"].items() if key != "template"}
    assert spec == {"backoffLimit": 3, "ttlSecondsAfterFinished": 60, "activeDeadlineSeconds": 90}
    assert pod_of(objects)["restartPolicy"] == "Never"
    assert pod_of(objects)["automountServiceAccountToken"] is False


def test_only_a_collector_that_nobody_else_ends_gives_up() -> None:
    """A sidecar of the cluster's own is ended after main, and begun again before; so is each container of a service."""
    service = "kind: component\nrun: {kind: service, ports: [80], container: {image: i}}\n"
    given = [
        variables_of(containers_of(made(text, cluster=cluster))["tieline-collector"]).get("TIELINE_GIVES_UP")
        for text, cluster in ((job(), CLUSTER), (job(), NATIVE), (service, CLUSTER), (service, NATIVE))
    ]
    assert given == ["1800", None, None, None]


@pytest.mark.parametrize("cluster", [CLUSTER, NATIVE])
def test_a_pod_changes_by_itself_after_the_deadline(cluster: Cluster) -> None:
    """Only the collector's readiness says so, and nobody waits for that."""
    objects = made(job(rest="termination: {timeout: 90}"), cluster=cluster)
    probed = {name: one["readinessProbe"] for name, one in containers_of(objects).items() if "readinessProbe" in one}
    assert probed.keys() == {"tieline-collector"}
    assert probed["tieline-collector"]["initialDelaySeconds"] == 100
    check_valid(objects, native=cluster is NATIVE)
    assert "readinessProbe" not in containers_of(made(job(), cluster=cluster))["tieline-collector"]


def test_a_service_is_a_deployment_and_a_service() -> None:
    text = """
kind: component
termination: {timeout: 5}
run: {kind: service, ports: [8080, 9090], replicas: 2, rewritePath: true, container: {image: i}}
"""
    objects = made(text, kind="service")
    check_valid(objects, native=False)
    assert [item["kind"] for item in objects] == ["ConfigMap", "Deployment", "Service"]
    deployment, service = (item["spec"] for item in objects[1:])
    assert deployment["replicas"] == 2
    assert deployment["selector"]["matchLabels"] == service["selector"] == {"tieline.dev/run": UUID}
    assert template_of(objects)["metadata"]["labels"].items() >= service["selector"].items()
    assert [(port["port"], port["targetPort"]) for port in service["ports"]] == [(8080, 8080), (9090, 9090)]
    assert pod_of(objects)["restartPolicy"] == "Always"
    assert set(told(planned(text, kind="service"))) == {"termination.timeout", "run.rewritePath"}


def test_a_service_without_ports_has_no_service() -> None:
    text = "kind: component\nrun: {kind: service, container: {image: i}}\n"
    assert [item["kind"] for item in made(text, kind="service")] == ["ConfigMap", "Deployment"]
    assert set(told(planned(text, kind="service"))) == {"run.ports"}


def test_mounts_of_connections() -> None:
    objects = made(job(run="  connections: [data, claim, again, files, files2, some]"), CATALOG)
    found = mounts_of(objects)
    host = {"hostPath": {"path": "/srv/data", "type": "Directory"}}
    assert found["/data"] == {**found["/data"], "source": host, "subPath": "in", "readOnly": True}
    assert found["/claim"]["name"] == found["/again"]["name"]
    assert (found["/claim"].get("readOnly"), found["/again"]["readOnly"]) == (None, True)
    assert found["/claim"]["source"] == {"persistentVolumeClaim": {"claimName": "pvc"}}
    items = [{"key": "a", "path": "a"}, {"key": "b", "path": "b"}]
    assert found["/f"]["source"] == {"secret": {"secretName": "f", "defaultMode": 0o440, "items": items}}
    assert found["/f"]["name"] == found["/f2"]["name"], "one volume, however many mounts"
    assert found["/some"]["source"]["secret"]["items"] == items[:1]
    assert found["/cm"]["source"] == {"configMap": {"name": "f", "defaultMode": 0o644}}
    assert len({found[path]["name"] for path in ("/f", "/some", "/cm")}) == 3, "a secret and a config map of one name"
    check_sound(objects)
    check_valid(objects, native=False)


def test_all_containers_of_the_user_see_the_same() -> None:
    text = job(
        run="""
  connections: [claim, pg]
  init: [{container: {name: prep, image: i, command: [x]}}]
  sidecars: [{name: side, image: i}]"""
    )
    objects = made(text, CATALOG)
    main = containers_of(objects)["main"]
    for name in ("init-prep", "sidecar-side"):
        assert containers_of(objects)[name]["env"] == main["env"]
        assert mounts_of(objects, name) == mounts_of(objects)


@pytest.mark.parametrize(
    ("security", "mode"),
    [("{runAsUser: 0}", 0o600), ("{runAsUser: 7}", 0o644), ("{fsGroup: 7}", 0o644), ("{}", 0o644)],
)
def test_modes_that_the_jobs_user_can_read(security: str, mode: int) -> None:
    objects = made(job(run="  connections: [key]", container=f"securityContext: {security}"), CATALOG)
    assert mounts_of(objects)["/ssh"]["source"]["secret"]["defaultMode"] == mode


def test_a_mode_that_the_jobs_user_cannot_read_is_refused() -> None:
    unreadable = job(run="  connections: [files]\n  environment: {securityContext: {runAsUser: 7}}")
    assert refused(unreadable) == [(Code.BAD_VALUE, "connections[files].defaultMode")]
    grouped = job(run="  connections: [files]\n  environment: {securityContext: {runAsUser: 7, fsGroup: 8}}")
    assert mounts_of(made(grouped, CATALOG))["/f"]["source"]["secret"]["defaultMode"] == 0o440


def test_a_key_whose_file_has_another_name() -> None:
    files = mounts_of(made(job(run="  connections: [images]"), CATALOG))["/docker"]["source"]["projected"]["sources"]
    renamed, whole = (part["secret"] for part in files)
    assert {"key": ".dockerconfigjson", "path": "config.json"} in renamed["items"]
    assert renamed["optional"] is True
    assert whole == {"name": "docker"}, "the later wins: a key that is called config.json itself"


def test_variables_by_reference() -> None:
    main = containers_of(made(job(run="  connections: [one, pg, prefixed]"), CATALOG))["main"]
    variables = variables_of(main)
    key = {"name": "s3", "key": "AWS_ACCESS_KEY_ID", "optional": True}
    assert variables["AWS_ACCESS_KEY_ID"] == {"secretKeyRef": key}
    assert variables["password"] == {"secretKeyRef": {"name": "pg", "key": "password"}}
    assert variables["PGHOST"] == "db"
    assert main["envFrom"] == [
        {"secretRef": {"name": "s3"}},
        {"prefix": "P_", "secretRef": {"name": "whole"}},
        {"prefix": "P_", "configMapRef": {"name": "cm"}},
    ]


def test_the_key_that_preflight_found() -> None:
    known = {("secret", "s3"): ("accesskey", "secretkey")}
    variables = variables_of(containers_of(made(job(run="  connections: [one]"), CATALOG, known=known))["main"])
    assert variables["AWS_ACCESS_KEY_ID"]["secretKeyRef"]["key"] == "accesskey"
    assert "AWS_SESSION_TOKEN" not in variables


def test_paths_are_literals_and_what_is_made_from_a_secret_is_in_no_object() -> None:
    text = job(run="  connections: [google, images, key, uri]")
    catalog = f"{CATALOG}  - {{name: uri, kind: redis, schema: {{host: r}}, secret: {{name: r}}}}\n"
    variables = variables_of(containers_of(made(text, catalog))["main"])
    assert variables["GOOGLE_APPLICATION_CREDENTIALS"] == "/tieline/bindings/google/keyfile.json"
    assert variables["DOCKER_CONFIG"] == "/tieline/made/docker-images"
    assert "/tieline/bindings/key/private-key" in variables["GIT_SSH_COMMAND"]
    assert "REDIS_URL" not in variables
    assert told(planned(text, catalog)) == {
        "connections[uri]": "REDIS_URL is made from a secret, so it is no variable of a pod; "
        "read $SERVICE_BINDING_ROOT/uri/uri"
    }


def test_a_key_file_that_is_known_not_to_be_there_is_not_named() -> None:
    known = {("secret", "gcp"): ("other",)}
    variables = variables_of(containers_of(made(job(run="  connections: [google]"), CATALOG, known=known))["main"])
    assert "GOOGLE_APPLICATION_CREDENTIALS" not in variables


def test_dollars_arrive_as_they_are() -> None:
    text = job(run="  connections: [odd]", container='env: [{name: MINE, value: "$(ODD)$$"}], args: ["$(MINE)"]')
    main = containers_of(made(text, CATALOG))["main"]
    assert variables_of(main)["ODD"] == "a$$(B)$$$$c$$d"
    assert variables_of(main)["MINE"] == "$(ODD)$$", "what the user writes, Kubernetes reads as we do"
    assert main["args"] == ["$(MINE)"]


def test_what_the_job_says_wins() -> None:
    env = "env: [{name: PGHOST, value: mine}], envFrom: [{secretRef: {name: own, optional: true}}]"
    text = job(run="  connections: [pg]", container=env)
    main = containers_of(made(text, CATALOG, known={("secret", "own"): ("PGPORT",)}))["main"]
    assert variables_of(main)["PGHOST"] == "mine"
    assert "PGPORT" not in variables_of(main), "the job's envFrom sets it"
    assert main["envFrom"] == [{"secretRef": {"name": "own", "optional": True}}]


def test_fields_of_the_pod_as_variables() -> None:
    env = "env: [{name: NODE, valueFrom: {fieldRef: {fieldPath: spec.nodeName}}}]"
    objects = made(job(container=env))
    assert variables_of(containers_of(objects)["main"])["NODE"] == {"fieldRef": {"fieldPath": "spec.nodeName"}}
    check_valid(objects, native=False)


def test_all_of_environment() -> None:
    text = job(
        run="""
  environment:
    labels: {team: x}
    annotations: {x/y: mine, n: 1}
    nodeSelector: {disk: ssd}
    affinity: {nodeAffinity: {}}
    tolerations: [{key: k, operator: Exists}]
    nodeName: n1
    serviceAccountName: sa
    hostAliases: [{ip: 10.0.0.1, hostnames: [h]}]
    securityContext: {runAsUser: 7, fsGroup: 8}
    imagePullSecrets: [pull]
    hostNetwork: true
    hostPID: true
    dnsPolicy: ClusterFirstWithHostNet
    dnsConfig: {nameservers: [10.0.0.2]}
    schedulerName: mine
    priorityClassName: high
    priority: 5
    restartPolicy: OnFailure
  connections: [odd, other]"""
    )
    objects = made(text, CATALOG)
    check_valid(objects, native=False)
    pod, metadata = pod_of(objects), template_of(objects)["metadata"]
    assert metadata["labels"]["team"] == "x"
    assert metadata["annotations"].items() >= {"x/y": "mine", "n": "1"}.items()
    assert pod["imagePullSecrets"] == [{"name": "pull"}]
    given = planned(text, CATALOG).environment
    same = set(given) - {"labels", "annotations", "imagePullSecrets", "restartPolicy"}
    assert {name: pod[name] for name in same} == {name: given[name] for name in same}
    assert len(same) == 14
    assert pod["restartPolicy"] == "Never"
    assert "automountServiceAccountToken" not in pod, "the job names an account, so it gets its token"
    assert set(told(planned(text, CATALOG))) == {"environment.restartPolicy"}


def test_annotations_that_differ_are_refused() -> None:
    assert refused(job(run="  connections: [odd, other]")) == [(Code.VARIABLE_COLLISION, "run.connections")]


@pytest.mark.parametrize("label", ["-a: x", "a: '-x'", "tieline.dev/run: x", "app.kubernetes.io/managed-by: me"])
def test_labels_that_cannot_be(label: str) -> None:
    field = f"environment.labels[{label.partition(':')[0]}]"
    assert refused(job(run=f"  environment: {{labels: {{{label}}}}}")) == [(Code.BAD_VALUE, field)]


def test_all_fields_of_a_container() -> None:
    container = """
      command: [a], args: [b], workingDir: /w, imagePullPolicy: Always,
      resources: {limits: {cpu: 1, memory: 1Gi}}, ports: [{containerPort: 80, name: http}],
      lifecycle: {preStop: {exec: {command: [x]}}}, livenessProbe: {exec: {command: [x]}},
      readinessProbe: {httpGet: {port: http}}, startupProbe: {tcpSocket: {port: 80}},
      securityContext: {runAsUser: 9}, stdin: true, stdinOnce: true, tty: true,
      terminationMessagePath: /t, terminationMessagePolicy: FallbackToLogsOnError"""
    objects = made(job(container=container))
    check_valid(objects, native=False)
    main = containers_of(objects)["main"]
    assert main["command"] == ["a"]
    assert main["workingDir"] == "/w"
    written = ("resources", "ports", "lifecycle", "livenessProbe", "readinessProbe", "startupProbe", "stdin", "tty",
               "stdinOnce", "terminationMessagePath", "terminationMessagePolicy", "imagePullPolicy")  # fmt: skip
    assert {name: main[name] for name in written} == {
        name: planned(job(container=container)).main.container[name] for name in written
    }


VOLUMES = """
  volumes:
    - {name: scratch, emptyDir: {sizeLimit: 1Gi}}
    - {name: scratch2, emptyDir: {sizeLimit: 1Gi}}
    - {name: pvc, persistentVolumeClaim: {claimName: pvc, readOnly: true}}
    - {name: keys, secret: {secretName: own, defaultMode: "0400", items: [{key: k, path: p, mode: "0440"}]}}
    - {name: labels, downwardAPI: {items: [&l {path: l, fieldRef: {fieldPath: metadata.labels}}]}}
    - {name: nfs, nfs: {server: s, path: /p}}
    - {name: all, projected: {sources: [{downwardAPI: {items: [*l]}}]}}"""


def test_volumes_of_the_job_itself() -> None:
    mounts = [f"{{name: {name}, mountPath: /{name}}}" for name in ("scratch", "scratch2", "pvc", "keys", "nfs", "all")]
    text = job(run=f"  connections: [claim]{VOLUMES}", container=f"volumeMounts: [{', '.join(mounts)}]")
    objects = made(text, CATALOG)
    check_valid(objects, native=False)
    check_sound(objects)
    found = mounts_of(objects)
    assert found["/pvc"]["name"] == found["/claim"]["name"], "a claim stands in a pod once"
    assert found["/pvc"]["readOnly"] is True
    assert found["/scratch"]["name"] != found["/scratch2"]["name"]
    assert found["/scratch"]["source"] == {"emptyDir": {"sizeLimit": "1Gi"}}
    assert found["/keys"]["source"]["secret"]["defaultMode"] == 0o400
    assert found["/keys"]["source"]["secret"]["items"] == [{"key": "k", "path": "p", "mode": 0o440}]
    assert found["/nfs"]["source"] == {"nfs": {"server": "s", "path": "/p"}}
    assert (
        mounts_of(objects, "tieline-collector")["/run/tieline/secrets/own"]["source"]
        == {"secret": {"secretName": "own", "defaultMode": 0o444, "optional": True}}
        or "optional" not in mounts_of(objects, "tieline-collector")["/run/tieline/secrets/own"]["source"]["secret"]
    )


def test_volumes_of_sidecars_and_inits() -> None:
    mount = "volumeMounts: [{name: scratch, mountPath: /s, mountPropagation: None}]"
    text = job(run=f"  sidecars: [{{name: side, image: i, {mount}}}]{VOLUMES}")
    objects = made(text, CATALOG)
    assert mounts_of(objects, "sidecar-side")["/s"]["mountPropagation"] == "None"
    assert "/s" not in mounts_of(objects)
    wrong = text.replace("{name: scratch, mountPath: /s", "{name: scrach, mountPath: /s")
    assert refused(wrong) == [(Code.BAD_VALUE, "run.sidecars[0].volumeMounts[0].name")]


@pytest.mark.parametrize(
    ("run", "field"),
    [
        ("  init: [{container: {name: a, command: [x]}}]", "run.init[0].container.image"),
        ("  sidecars: [{name: a, command: [x]}]", "run.sidecars[0].image"),
    ],
)
def test_a_container_without_an_image_is_refused(run: str, field: str) -> None:
    assert refused(job(run=run)) == [(Code.MISSING_KEY, field)]
    main = "kind: component\nrun: {kind: job, container: {command: [a]}}"
    assert refused(main) == [(Code.MISSING_KEY, "run.container.image")]


def test_without_an_artifacts_store_nothing_could_be_saved() -> None:
    with pytest.raises(InvalidInput) as caught:
        planned(job(), store="")
    assert "artifactsStore" in caught.value.problems[0].message


@pytest.mark.parametrize(
    "run",
    [
        "  connections: [claim]\n  init: [{connection: code, path: /claim}]",
        "  init: [{connection: code, path: /}]",
        "  connections: [m]\n  init: [{connection: code, path: src}]",
        "  connections: [o]",
        "  connections: [b]",
        "  connections: [colon]",
    ],
)
def test_what_cannot_stand_at_one_path_is_refused(run: str) -> None:
    catalog = CATALOG + "".join(
        f"  - {{name: {name}, kind: volume_claim, schema: {{volumeClaim: {name}, mountPath: '{path}'}}}}\n"
        for name, path in {"m": "/tieline/artifacts/src", "o": f"/tieline/artifacts/{UUID}",
                           "b": "/tieline/bindings/x", "colon": "/a:b"}.items()
    )  # fmt: skip
    found = refused(job(run=run), catalog)
    assert {code for code, _ in found} <= {Code.MOUNT_COLLISION, Code.BAD_VALUE}


def test_what_steps_bring_elsewhere_appears_there() -> None:
    text = job(
        run="""
  init:
    - {connection: code, path: /src}
    - {file: {filename: sub/in.txt, content: x}, path: /src}
    - {container: {name: prep, image: i, command: [x]}}
    - {file: {filename: conf, content: x}, path: /etc/mine}"""
    )
    objects = made(text, CATALOG)
    main = mounts_of(objects)
    assert main["/src"]["subPath"] == "root/src"
    assert main["/etc/mine/conf"]["subPath"] == "root/etc/mine/conf"
    assert "/src/sub/in.txt" not in main, "it is in /src"
    assert "/src" in mounts_of(objects, "init-prep")
    assert "/etc/mine/conf" not in mounts_of(objects, "init-prep"), "it is brought later"
    check_sound(objects)


def test_our_containers_have_only_the_secrets_that_they_need() -> None:
    text = job(
        run="""
  connections: [pg]
  init: [{container: {name: prep, image: i, command: [x]}}, {connection: code}, {connection: claim, paths: [x]}]"""
    )
    objects = made(text, CATALOG)

    def secrets(container: str) -> set[str]:
        paths = mounts_of(objects, container)
        return {path.rpartition("/")[2] for path in paths if path.startswith("/run/tieline/secrets/")}

    assert secrets("tieline-steps-0") == {"pg"}
    assert secrets("tieline-steps-1") == {"token"}
    assert secrets("tieline-collector") == {"pg", "token", "store-login"}
    for name in ("main", "init-prep"):
        assert not [path for path in mounts_of(objects, name) if path.startswith("/run/tieline")]
        assert "store-login" not in json.dumps(containers_of(objects)[name])
    source = mounts_of(objects, "tieline-steps-1")["/run/tieline/sources/2"]
    assert (source["readOnly"], source["source"]) == (True, {"persistentVolumeClaim": {"claimName": "pvc"}})
    tokens = [name for name in containers_of(objects) if "/run/tieline/token" in mounts_of(objects, name)]
    assert tokens == ["tieline-collector"]


def test_the_store_is_in_main_if_the_job_asks() -> None:
    text = job(rest="plugins: {mountArtifactsStore: true}")
    main = containers_of(made(text, CATALOG))["main"]
    assert {"secretRef": {"name": "store-login"}} in main["envFrom"]


def test_a_volume_as_the_store_is_mounted_with_the_runs_own_folder() -> None:
    store = "artifactsStore: {name: s, kind: volume_claim, schema: {volumeClaim: out, mountPath: /out, subPath: a}}\n"
    objects = made(job(rest="plugins: {mountArtifactsStore: true}"), CATALOG, store=store)
    assert mounts_of(objects, "tieline-collector")["/run/tieline/store"]["subPath"] == f"a/{UUID}"
    assert mounts_of(objects)["/out"]["subPath"] == f"a/{UUID}"
    plain = made(job(), CATALOG, store=store)
    assert "/out" not in mounts_of(plain)


def test_plugins() -> None:
    objects = made(job(rest="plugins: {shm: true, docker: true, sidecar: {resources: {limits: {memory: 1Gi}}}}"))
    check_valid(objects, native=False)
    assert mounts_of(objects)["/dev/shm"]["source"] == {"emptyDir": {"medium": "Memory"}}
    assert mounts_of(objects)["/var/run/docker.sock"]["source"]["hostPath"]["type"] == "Socket"
    assert containers_of(objects)["tieline-collector"]["resources"] == {"limits": {"memory": "1Gi"}}


@pytest.mark.parametrize("uid", [None, 0, 7])
def test_our_containers_run_as_the_jobs_user_or_as_a_root_with_few_rights(uid: int | None) -> None:
    user = "" if uid is None else f"\n  environment: {{securityContext: {{runAsUser: {uid}}}}}"
    text = job(run=f"  init: [{FILE}]{user}")
    for name in ("tieline-steps-0", "tieline-collector"):
        context = containers_of(made(text))[name]["securityContext"]
        assert (context["runAsUser"], context["runAsNonRoot"]) == (uid or 0, bool(uid))
        assert context["readOnlyRootFilesystem"] is True
        assert context["capabilities"]["drop"] == ["ALL"]
        assert ("add" in context["capabilities"]) == (not uid)


def test_sidecars_of_the_clusters_own() -> None:
    text = job(run=f"  sidecars: [{{name: side, image: i}}]\n  init: [{FILE}]")
    objects = made(text, cluster=NATIVE)
    check_valid(objects, native=True)
    check_sound(objects)
    inits = pod_of(objects)["initContainers"]
    assert [item["name"] for item in inits] == ["tieline-collector", "tieline-steps-0", "sidecar-side"]
    assert [item.get("restartPolicy") for item in inits] == ["Always", None, "Always"]
    assert [item["name"] for item in pod_of(objects)["containers"]] == ["main"]


FILE = "{file: {filename: f, content: x}}"


def test_sidecars_of_a_cluster_without_are_ended_by_the_collector() -> None:
    objects = made(job(run="  sidecars: [{name: side, image: i}]", container="securityContext: {runAsUser: 7}"))
    check_valid(objects, native=False)
    assert pod_of(objects)["shareProcessNamespace"] is True
    collector = containers_of(objects)["tieline-collector"]
    assert variables_of(collector)["TIELINE_ENDS_SIDECARS"] == "1"
    assert "KILL" in collector["securityContext"]["capabilities"]["add"]
    assert "shareProcessNamespace" not in pod_of(made(job()))


def test_the_collector_can_be_told_where_the_server_is() -> None:
    cluster = Cluster(None, "n", api_host="127.0.0.1", api_port="16443", service_account="tieline")
    objects = made(job(), cluster=cluster)
    variables = variables_of(containers_of(objects)["tieline-collector"])
    assert variables["KUBERNETES_SERVICE_HOST"] == "127.0.0.1"
    assert variables["KUBERNETES_SERVICE_PORT"] == "16443"
    assert pod_of(objects)["serviceAccountName"] == "tieline"
    assert pod_of(objects)["automountServiceAccountToken"] is False


def test_a_patch_of_the_cluster_is_in_every_pod() -> None:
    cluster = Cluster(None, "n", pod_patch={"spec": {"hostNetwork": True, "runtimeClassName": "gvisor"}})
    assert pod_of(made(job(), cluster=cluster))["runtimeClassName"] == "gvisor"


def test_a_retried_job_does_not_say_which_attempt_it_is() -> None:
    assert variables_of(containers_of(made(job()))["main"])["TIELINE_ATTEMPT"] == "1"
    retried = made(job(rest="termination: {maxRetries: 1}"))
    assert "TIELINE_ATTEMPT" not in variables_of(containers_of(retried)["main"])


def test_a_failure_policy_goes_to_the_job() -> None:
    rules = "{rules: [{action: FailJob, onExitCodes: {operator: In, values: [3]}}]}"
    objects = made(job(rest=f"termination: {{podFailurePolicy: {rules}}}"))
    assert objects[1]["spec"]["podFailurePolicy"]["rules"][0]["action"] == "FailJob"


def test_what_is_too_large_for_a_config_map_is_named() -> None:
    large = "x" * 1_000_000
    with pytest.raises(Refused) as caught:
        made(job(run=f"  init: [{{file: {{filename: big, content: {large}}}}}]"))
    assert caught.value.code is Code.TOO_LARGE
    assert "/tieline/artifacts/big has 1000000 bytes" in caught.value.problems[0].message
    with pytest.raises(Refused) as caught:
        manifests(planned(job()), CLUSTER, taken=b"x" * (LARGEST_TAKEN + 1))
    assert [problem.place.field for problem in caught.value.problems] == ["mount"]


def test_files_that_are_given_with_the_job(tmp_path: Path) -> None:
    text = "kind: operation\nmount: [a.txt]\ncomponent: {run: {kind: job, container: {image: i}}}\n"
    plan = planned(text)
    objects = manifests(plan, CLUSTER, taken=b"packed")
    check_valid(objects, native=False)
    assert objects[0]["binaryData"] == {"taken.tgz": "cGFja2Vk"}
    assert set(told(plan)) == {"mount"}


def test_the_same_plan_makes_the_same_bytes() -> None:
    text = job(run="  connections: [data, claim, one, pg, files, images, odd]\n  init: [{connection: code}]")

    def bytes_of() -> Any:
        return json.dumps(made(text, CATALOG))

    assert bytes_of() == bytes_of()


def test_a_plan_that_was_stored_makes_the_same() -> None:
    plan = planned(job(run=f"  connections: [one, files, images, key]{VOLUMES}"), CATALOG)
    stored = Plan.model_validate(json.loads(json.dumps(plan.as_json())))
    assert json.dumps(manifests(stored, NATIVE)) == json.dumps(manifests(plan, NATIVE))


def test_what_the_machine_has_is_the_nodes() -> None:
    catalog = f"""{CATALOG}
  - {{name: repo, kind: git, schema: {{url: /srv/code.git, caBundle: /etc/ca.pem}}}}
  - {{name: s3ca, kind: s3, schema: {{bucket: "s3://bucket", caBundle: /etc/ca.pem}}}}
  - {{name: db, kind: sqlite, schema: {{path: /srv/dbs/x.db}}}}
  - {{name: indb, kind: sqlite, schema: {{path: /claim/deep/y.db}}}}
"""
    text = job(
        run="  connections: [claim, s3ca, db, indb]\n  init: [{connection: repo}, {connection: s3ca, paths: [x]}]"
    )
    objects = made(text, catalog)
    check_valid(objects, native=False)
    check_sound(objects)
    steps = mounts_of(objects, "tieline-steps-0")
    assert steps["/srv/code.git"]["source"] == {"hostPath": {"path": "/srv/code.git", "type": "Directory"}}
    assert steps["/srv/code.git"]["readOnly"] is True
    certificates = {"hostPath": {"path": "/etc/ca.pem", "type": "File"}}
    assert steps["/etc/ca.pem"]["source"] == mounts_of(objects)["/etc/ca.pem"]["source"] == certificates
    main = mounts_of(objects)
    assert main["/srv/dbs"]["source"]["hostPath"]["path"] == "/srv/dbs"
    assert "/claim/deep" not in main, "its file is in the claim"
    assert "/srv/code.git" not in main
    assert set(told(planned(text, catalog))) == {"connections[db]"}


def test_a_database_in_the_nodes_root_is_refused() -> None:
    catalog = f"{CATALOG}  - {{name: db, kind: sqlite, schema: {{path: /x.db}}}}\n"
    assert refused(job(run="  connections: [db]"), catalog) == [(Code.MOUNT_COLLISION, "connections[db].path")]


def test_names_of_claims_and_secrets_that_are_long_or_have_dots() -> None:
    long = "x" * 60
    catalog = f"""{CATALOG}
  - {{name: l1, kind: volume_claim, schema: {{volumeClaim: {long}-1, mountPath: /l1}}}}
  - {{name: l2, kind: volume_claim, schema: {{volumeClaim: {long}-2, mountPath: /l2}}}}
  - {{name: d1, kind: http, schema: *h, secret: {{name: a.b, mountPath: /d1}}}}
  - {{name: d2, kind: http, schema: *h, secret: {{name: a-b, mountPath: /d2}}}}
"""
    objects = made(job(run="  connections: [l1, l2, d1, d2]"), catalog)
    check_sound(objects)
    check_valid(objects, native=False)
    found = mounts_of(objects)
    assert len({found[path]["name"] for path in ("/l1", "/l2", "/d1", "/d2")}) == 4


def test_sidecars_and_the_nodes_processes() -> None:
    text = job(run="  sidecars: [{name: side, image: i}]\n  environment: {hostPID: true}")
    assert refused(text) == [(Code.UNSUPPORTED, "environment.hostPID")]
    check_valid(made(text, cluster=NATIVE), native=True)
