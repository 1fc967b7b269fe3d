"""``--engine kubernetes`` of ``explain`` and ``check``: the plan, and the manifests that would be made."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from cli_harness import Cli

CATALOG = """
artifactsStore: {name: out, kind: volume_claim, schema: {volumeClaim: out, mountPath: /out}}
connections:
  - {name: data, kind: host_path, schema: {hostPath: /srv/data, mountPath: /data}}
  - {name: cache, kind: redis, schema: {host: redis}, secret: {name: redis}}
namespaces:
  team_a: {cluster: east, inherit: all}
  team-b: {cluster: west, inherit: all}
clusters:
  east: {context: prod-east, image: reg.example/tieline, serviceAccount: tieline, nativeSidecars: true}
  west: {agent: west}
"""
JOB = """
kind: component
name: train
run:
  kind: job
  connections: [data, cache]
  container: {image: "python:3.12", command: [python, "{{ connections['data'].path }}/train.py"]}
"""


@pytest.fixture
def cli(tmp_path: Path) -> Iterator[Cli]:
    with Cli(tmp_path) as found:
        found.write("tieline.yaml", CATALOG)
        found.write("job.yaml", JOB)
        yield found


def test_explain_shows_the_plan_and_then_the_manifests(cli: Cli) -> None:
    shown = cli("explain", "job.yaml", "--engine", "kubernetes").out
    words, _, text = shown.partition("\n---\n")
    assert "engine   kubernetes: a pod of a cluster" in words
    assert "REDIS_URL is made from a secret, so it is no variable of a pod" in words
    assert "isolation" not in words
    config_map, job = yaml.safe_load_all(text)
    assert (config_map["kind"], job["kind"]) == ("ConfigMap", "Job")
    main = job["spec"]["template"]["spec"]["containers"][0]
    assert main["command"] == ["python", "/data/train.py"]
    assert "&id" not in text, "each part is written out"


def test_explain_as_json(cli: Cli) -> None:
    found = cli("explain", "job.yaml", "--engine", "kubernetes", "-n", "team_a", "-o", "json").data
    assert found["plan"]["engine"] == "kubernetes"
    assert [item["kind"] for item in found["manifests"]] == ["ConfigMap", "Job"]
    assert {item["metadata"]["namespace"] for item in found["manifests"]} == {"team-a"}
    pod = found["manifests"][1]["spec"]["template"]["spec"]
    assert pod["serviceAccountName"] == "tieline"
    assert pod["initContainers"][0]["image"] == "reg.example/tieline"
    assert pod["initContainers"][0]["restartPolicy"] == "Always"


def test_the_engine_and_the_image_of_the_environment(cli: Cli) -> None:
    cli.env |= {"TIELINE_ENGINE": "kubernetes", "TIELINE_STEPS_IMAGE": "mine"}
    found = cli("explain", "job.yaml", "-o", "json").data
    assert found["manifests"][1]["spec"]["template"]["spec"]["initContainers"][0]["image"] == "mine"


def test_check_finds_what_no_pod_could_do(cli: Cli) -> None:
    cli.write("bare.yaml", JOB.replace('image: "python:3.12", ', ""))
    assert cli("check", "bare.yaml").code == 0
    told = cli("check", "bare.yaml", "--engine", "kubernetes", code=65).out
    assert "bare.yaml:7:" in told
    assert "run.container.image: the container has no image" in told


def test_what_cannot_be_is_refused(cli: Cli) -> None:
    cli.write("label.yaml", JOB.replace("  connections", "  environment: {labels: {'-a': b}}\n  connections"))
    assert "environment.labels[-a]" in cli("explain", "label.yaml", "--engine", "kubernetes", code=69).err
    refused = cli("explain", "job.yaml", "--engine", "kubernetes", "-n", "team-b", code=69).err
    assert "clusters.west.agent: the cluster 'west' is served by an agent" in refused
