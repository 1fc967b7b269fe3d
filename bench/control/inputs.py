"""What both tools read: one catalog format, one operation, written as a person would write them.

The catalogs hold what both tools take: ten kinds in turn, each connection with a description, tags and a schema of its
kind, six in ten with a secret. (``env`` is left out: the format documents a list of name and value, and polyaxon 2.18
refuses that.) Files are written line by line: the process that measures has to stay small, see ``measuring``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

KINDS = ("host_path", "s3", "git", "postgres", "volume_claim", "gcs", "registry", "wasb", "mysql", "redis")
SECRET = frozenset({"s3", "git", "postgres", "gcs", "wasb", "redis"})
STORE = {"name": "store", "kind": "host_path", "schema": {"hostPath": "/srv/store", "mountPath": "/store"}}
USED = (0, 1, 2, 3, 4)  # one connection of each of these kinds is what the operation asks for

JOB_TRUE = 'kind: component\nrun: {kind: job, container: {command: ["true"]}}\n'

OPERATION = """\
kind: operation
name: train
params:
  lr: {value: 0.05}
  epochs: {value: 5}
component:
  kind: component
  name: train
  inputs:
    - {name: lr, type: float}
    - {name: epochs, type: int, value: 3, isOptional: true}
    - {name: greeting, type: str, value: hello, isOptional: true}
  run:
    kind: job
    connections: [%(connections)s]
    container:
      image: python:3.12
      command: [python, train.py]
      args:
        - "--lr={{ lr }}"
        - "{{ params.epochs.as_arg }}"
        - "--out={{ globals.run_outputs_path }}"
        - "--run={{ globals.uuid }}"
      env:
        - {name: GREETING, value: "{{ greeting }}"}
"""


def connection(index: int) -> dict[str, Any]:
    """The connection of that number; its kind follows from the number."""
    kind = KINDS[index % len(KINDS)]
    entry: dict[str, Any] = {
        "name": name_of(index),
        "kind": kind,
        "description": f"Connection number {index}",
        "tags": ["bench", f"team-{index % 7}"],
        "schema": _schema(kind, index),
    }
    if kind in SECRET:
        entry["secret"] = {"name": f"secret-{index}"}
    return entry


def name_of(index: int) -> str:
    return f"{KINDS[index % len(KINDS)].replace('_', '-')}-{index}"


def _schema(kind: str, index: int) -> dict[str, Any]:
    schemas: dict[str, dict[str, Any]] = {
        "host_path": {"hostPath": f"/srv/data-{index}", "mountPath": f"/data/{index}", "readOnly": True},
        "s3": {"bucket": f"s3://bucket-{index}/data"},
        "git": {"url": f"https://git.example.org/team/repo-{index}.git", "revision": "main"},
        "postgres": {"host": f"db-{index}.example.org", "port": 5432, "database": "warehouse"},
        "volume_claim": {"volumeClaim": f"claim-{index}", "mountPath": f"/claims/{index}"},
        "gcs": {"bucket": f"gs://bucket-{index}/data"},
        "registry": {"url": f"registry.example.org/team/image-{index}"},
        "wasb": {"bucket": f"wasbs://container{index}@account{index}.blob.core.windows.net/data"},
        "mysql": {"host": f"db-{index}.example.org", "port": 3306, "database": "warehouse"},
        "redis": {"host": f"cache-{index}.example.org", "port": 6379},
    }
    return schemas[kind]


def as_json(count: int) -> str:
    """The first connections as the peer's deployment hands them over, in one environment variable."""
    return json.dumps([connection(index) for index in range(count)], separators=(",", ":"))


def write_catalog(path: Path, count: int) -> Path:
    """A catalog of that many connections, and an artifacts store."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8") as file:
        file.writelines(f"{line}\n" for line in _lines({"artifactsStore": STORE}, ""))
        file.write("connections:\n" if count else "connections: []\n")
        for index in range(count):
            for number, line in enumerate(_lines(connection(index), "")):
                file.write(f"{'  ' if number else '- '}{line}\n")
    return path


def _lines(value: dict[str, Any], indent: str) -> Iterator[str]:
    for key, item in value.items():
        if isinstance(item, dict):
            yield f"{indent}{key}:"
            yield from _lines(item, indent + "  ")
        elif isinstance(item, list):
            yield f"{indent}{key}:"
            yield from (f"{indent}- {part}" for part in item)
        else:
            yield f"{indent}{key}: {str(item).lower() if isinstance(item, bool) else item}"


def operation(first: int) -> str:
    """An operation with params and templates, and with five connections of five kinds, from the ten after ``first``."""
    return OPERATION % {"connections": ", ".join(name_of(first + kind) for kind in USED)}
