"""``tieline connections``, ``kinds``, ``schema``, ``explain``, ``completion``: what there is, what a job would get."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import jsonschema
import pytest
import yaml
from cli_harness import Cli

CATALOG = """\
connections:
  - name: penguins
    kind: host_path
    description: The Palmer penguins
    tags: [birds, csv]
    schema: {hostPath: ./data, mountPath: /data/penguins, readOnly: true}
    allow: {projects: [default, birds]}
  - name: warehouse
    kind: postgres
    tags: [sql]
    schema: {host: db.example.org, database: sales}
    secret: {name: pg-login}
    env: [{name: PGAPPNAME, value: tieline}]
  - name: code
    kind: git
    schema: {url: "https://git.example.org/team/code.git", revision: main}
notificationConnections:
  - {name: team, kind: slack, secret: {name: slack-hook}}
namespaces:
  lab:
    inherit: [penguins]
    connections: [{name: local, kind: sqlite, schema: {path: ./lab.db}}]
"""
JOB = """\
version: 1.1
kind: component
name: fit
inputs: [{name: lr, type: float, value: 0.1}]
termination: {maxRetries: 2, timeout: 60}
plugins: {notifications: [{connections: [team], trigger: failed}]}
run:
  kind: job
  connections: [penguins, warehouse]
  init:
    - connection: code
    - connection: penguins
      artifacts: {files: [penguins.csv]}
  container:
    image: python:3.12
    command: [python, fit.py]
    args: ["--lr={{ lr }}", "--data={{ connections.penguins.path }}"]
    env:
      - {name: TOKEN, valueFrom: {secretKeyRef: {name: api, key: token}}}
"""


@pytest.fixture
def cli(tmp_path: Path) -> Iterator[Cli]:
    with Cli(tmp_path) as cli:
        cli.write("tieline.yaml", CATALOG)
        cli.write("job.yaml", JOB)
        (cli.root / "data").mkdir()
        yield cli


def names(cli: Cli, *options: str) -> list[str]:
    return [item["name"] for item in cli("connections", "list", *options, "-o", "json").data]


def test_connections_are_listed_and_searched(cli: Cli) -> None:
    table = cli("connections")
    assert table.out.splitlines()[0].split() == ["NAME", "KIND", "DESCRIPTION", "TAGS", "FROM"]
    assert "5 connections" in table.err
    assert names(cli) == ["artifacts-store", "penguins", "warehouse", "code", "team"]
    assert names(cli, "--kind", "postgres") == ["warehouse"]
    assert names(cli, "--kind", "host-path", "--tag", "csv") == ["penguins"]
    assert names(cli, "palmer", "birds") == ["penguins"]
    assert names(cli, "-n", "lab") == ["artifacts-store", "local", "penguins"]
    assert "did you mean 'lab'?" in cli("connections", "-n", "lap", code=65).err


def test_a_connection_is_shown_without_any_secret_value(cli: Cli) -> None:
    shown = cli("connections", "show", "warehouse").out
    for words in (
        "pg-login, all its keys, as variables",
        "db.example.org",
        "PGAPPNAME",
        "from secret pg-login key password",
    ):
        assert words in shown
    data = cli("connections", "show", "warehouse", "-o", "json").data
    assert data["secret"] == {"name": "pg-login"}
    assert (data["schema"]["host"], data["from"], data["usedBy"]) == ("db.example.org", "connections", [])
    assert re.search(r"^allow +projects: default, birds$", cli("connections", "show", "penguins").out, re.MULTILINE)
    assert "did you mean 'warehouse'?" in cli("connections", "show", "warehose", code=66).err


def test_a_connection_says_which_runs_used_it_last(cli: Cli) -> None:
    cli.write("use.yaml", "kind: component\nrun: {kind: job, connections: [penguins], container: {command: [ls]}}\n")
    cli("run", "use.yaml")
    [used] = cli("connections", "show", "penguins", "-o", "json").data["usedBy"]
    assert (used["name"], used["status"]) == ("use", "succeeded")
    assert used["uuid"][:8] in cli("connections", "show", "penguins").out


def test_looking_at_a_catalog_makes_no_record(cli: Cli) -> None:
    cli("connections", "show", "penguins")
    cli("explain", "job.yaml")
    cli("check", "job.yaml")
    assert not cli.home.exists()


def test_kinds_are_listed_by_family_and_shown(cli: Cli) -> None:
    listed = cli("kinds", "-o", "json").data
    assert {"host_path", "git", "s3", "postgres", "slack", "custom"} <= {kind["name"] for kind in listed}
    assert {kind["family"] for kind in cli("kinds", "list", "--family", "code", "-o", "json").data} == {"code"}
    shown = cli("kinds", "show", "host_path").out
    assert "| **`hostPath`** | text | yes |" in shown
    assert "kind: host_path" in shown
    assert "](" not in shown
    data = cli("kinds", "show", "host_path", "-o", "json").data
    assert (data["needsSchema"], data["schema"]["required"]) == (True, ["mountPath", "hostPath"])
    assert "did you mean 'postgres'?" in cli("kinds", "show", "postgress", code=66).err


def test_schemas_accept_what_is_right_and_find_what_is_wrong(cli: Cli) -> None:
    catalog, job = cli("schema", "catalog").data, cli("schema", "job").data
    jsonschema.validate(yaml.safe_load(CATALOG), catalog)
    jsonschema.validate(yaml.safe_load(JOB), job)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(yaml.safe_load(CATALOG.replace("hostPath", "hostPth")), catalog)
    cli("schema", "catalog", "--write", "schema.json")
    assert json.loads((cli.root / "schema.json").read_text()) == catalog
    assert "bucket" in cli("schema", "catalog", "s3").data["properties"]
    assert "a KIND goes with catalog only" in cli("schema", "job", "s3", code=2).err


def test_explain_says_what_goes_where_and_why(cli: Cli) -> None:
    shown = cli("explain", "job.yaml", "-P", "lr=0.5", "--isolation", "none").out
    for words in (
        "fit, a job of project default in namespace default",
        f"the host's folder {cli.root}/data (read-only)",
        "PGHOST",
        "(kind: host, as the catalog says)",
        "from secret pg-login key password (or ",
        "every key of secret pg-login",
        "1. clone  code",
        "https://git.example.org/team/code.git at main",
        "penguins.csv of the folder",
        f"python fit.py --lr=0.5 --data={cli.root}/data",
        "TOKEN = from secret api key token",
        "retries      2",
        "team when the run is failed",
        "run.container.image",
    ):
        assert words in shown, words


def test_explain_as_json_is_the_plan(cli: Cli) -> None:
    plan = cli("explain", "job.yaml", "--output", "json").data
    assert (plan["version"], plan["run"]["name"], plan["main"]["args"][0]) == (1, "fit", "--lr=0.1")
    assert [step["type"] for step in plan["steps"]] == ["clone", "fetch"]


def test_explain_refuses_what_run_would(cli: Cli) -> None:
    cli.write("job.yaml", JOB.replace("[penguins, warehouse]", "[pengiuns]"))
    assert (
        "job.yaml:9:17: run.connections[0]: there is no connection 'pengiuns'"
        in cli("explain", "job.yaml", code=65).err
    )


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts_are_printed(cli: Cli, shell: str) -> None:
    assert "_TIELINE_COMPLETE" in cli("completion", shell).out


def completed(cli: Cli, line: str) -> list[str]:
    """What bash would propose at the end of this line."""
    env = {**cli.env, "_TIELINE_COMPLETE": "bash_complete", "COMP_WORDS": line, "COMP_CWORD": str(line.count(" "))}
    done = subprocess.run(cli.argv(), cwd=cli.root, env=env, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    return [item.partition(",")[2] for item in done.stdout.splitlines() if item.startswith("plain,")]


def test_commands_connections_kinds_and_runs_are_completed(cli: Cli) -> None:
    assert completed(cli, "tieline ru") == ["run", "runs"]
    assert completed(cli, "tieline runs l") == ["list", "logs"]
    assert completed(cli, "tieline connections show wa") == ["warehouse"]
    assert completed(cli, "tieline kinds show host") == ["host_path"]
    assert completed(cli, "tieline runs show ") == []
    cli("run", cli.job("true", name="quick.yaml"))
    assert completed(cli, "tieline runs show ") == ["last", cli.runs()[0]["uuid"][:8], "quick"]
    cli.write("tieline.yaml", "a: [")
    assert completed(cli, "tieline connections show wa") == []


def test_the_clusters_roles_are_listed_and_printed(cli: Cli) -> None:
    listed = cli("roles", "-o", "json").data
    assert [role["name"] for role in listed] == ["collector", "submitter", "checks", "reader"]
    assert "for the service account of runs" in cli("roles").out
    kinds = [found["kind"] for found in yaml.safe_load_all(cli("roles", "show", "collector").out)]
    assert kinds == ["ServiceAccount", "Role", "RoleBinding"]
    everything = [found["metadata"]["name"] for found in yaml.safe_load_all(cli("roles", "show").out)]
    assert {"tieline-collector", "tieline-submitter", "tieline-checks", "tieline-reader"} <= {*everything}
    assert "'collector'" in cli("roles", "show", "colector", code=2).err
