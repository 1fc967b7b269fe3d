"""Which secrets a plan names: what is looked for in its text is what somebody finds who reads it."""

from __future__ import annotations

import json
from typing import Any

import pytest
import test_kube_family as family
import yaml
from hypothesis import given
from kube_plans import planned

from tieline.errors import InvalidInput
from tieline.secrets.masking import named_secrets, secrets_in
from tieline.secrets.names import is_name

REFERRING = ("secret", "secretName", "secretKeyRef", "secretRef")


def named_in(part: Any) -> set[str]:
    """The same names, found by reading."""
    found: set[str] = set()
    if isinstance(part, list):
        found.update(*map(named_in, part))
    if isinstance(part, dict):
        found.update(*map(named_in, part.values()))
        given = [part[key] for key in REFERRING if key in part]
        given += [part.get("name")] if part.get("resource") == "secret" else []
        names = (item.get("name") if isinstance(item, dict) else item for item in given)
        found |= {name for name in names if isinstance(name, str) and is_name(name)}
    return found


RAW = """
kind: component
run:
  kind: job
  connections: [files, pg]
  volumes:
    - {name: v, secret: {secretName: of-a-volume, items: [{key: k, path: secret}]}}
    - {name: w, projected: {sources: [{secret: {name: projected-one}}, {configMap: {name: no-secret}}]}}
  container:
    image: secret
    env:
      - {name: A, valueFrom: {secretKeyRef: {key: k, name: by-key, optional: true}}}
      - {name: TEXT, value: 'say "secret":"not-this" and {"resource":"secret","name":"nor-this"}'}
    envFrom: [{secretRef: {name: whole}}, {configMapRef: {name: neither}}]
    livenessProbe: {exec: {command: ['echo', '"secretName":"not-that-one"']}}
"""
CATALOG = """
connections:
  - {name: files, kind: http, schema: {url: "https://h"}, secret: {name: mounted, mountPath: /files}}
  - {name: pg, kind: postgres, schema: {host: db}, secret: {name: login.of-db}}
"""


def test_every_form() -> None:
    expected = {"store-login", "mounted", "login.of-db", "of-a-volume", "projected-one", "by-key", "whole"}
    assert set(named_secrets(planned(RAW, CATALOG))) == expected


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ('{"a":"\\\\","secret":"after-a-backslash"}', ("after-a-backslash",)),
        ('{"a":"\\\\\\"secret\\":\\"no\\"","b":{"secretRef":{"x":{"y":1},"name":"yes"}}}', ("yes",)),
        ('{"kind":"secret","name":"no"}', ()),
        ('{"resource":"secret","name":"one"}', ("one",)),
        ('{"resource":"configMap","name":"no"}', ()),
        ('{"mysecret":"no","secret":"NO","secretName":"no/","secretRef":{"name":5},"secretKeyRef":["no"]}', ()),
        ('{"secret":"one","b":{"secretName":"two"},"c":{"secret":"one"}}', ("one", "two")),
        ('{"secret":{"name":"one","secretName":"two"}}', ("one", "two")),
    ],
)
def test_by_hand(text: str, names: tuple[str, ...]) -> None:
    assert secrets_in(text) == names
    assert named_in(json.loads(text)) == set(names)


@given(connections=family.CONNECTIONS, run=family.RUNS)
def test_as_somebody_reads_it(connections: list[dict[str, Any]], run: dict[str, Any]) -> None:
    run = {**run, "connections": [connection["name"] for connection in connections], "init": []}
    container = {"image": "i", "command": ["x"], "volumeMounts": run.pop("mounts")}
    job = {"kind": "component", "run": {"kind": "job", **run, "volumes": family.OWN_VOLUMES, "container": container}}
    try:
        plan = planned(yaml.safe_dump(job), yaml.safe_dump({"connections": connections}))
    except InvalidInput:
        return
    assert set(named_secrets(plan)) == named_in(plan.as_json())
