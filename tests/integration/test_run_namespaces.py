"""Namespaces in real runs: one name with two contents, who may use what, and that nobody learns of another's."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from run_harness import Runs

from tieline.errors import Code, InvalidInput, Refused


def postgres(name: str, host: str, **parts: Any) -> dict[str, Any]:
    return {"name": name, "kind": "postgres", "schema": {"host": host}, "secret": {"name": "db-login"}, **parts}


@pytest.fixture
def runs(tmp_path: Path) -> Runs:
    runs = Runs(tmp_path / "work")
    runs.secret("db-login", {"password": "password-of-a"}, namespace="team-a")
    runs.secret("db-login", {"password": "password-of-b"}, namespace="team-b")
    runs.secret("hidden-login", {"password": "hidden-of-b"}, namespace="team-b")
    runs.catalog = {
        "connections": [
            {"name": "limited", "kind": "custom", "schema": {"x": "1"}, "allow": {"namespaces": ["team-b"]}},
            {"name": "by-project", "kind": "custom", "schema": {"x": "1"}, "allow": {"projects": ["other"]}},
        ],
        "namespaces": {
            "team-a": {"inherit": "all", "connections": [postgres("warehouse", "a.example")]},
            "team-b": {
                "inherit": "all",
                "connections": [
                    postgres("warehouse", "b.example"),
                    postgres("warehouse-hidden", "hidden.example", secret={"name": "hidden-login"}),
                ],
            },
            "team-c": {"inherit": "none", "connections": []},
        },
    }
    return runs


def test_one_job_file_reaches_each_teams_own(runs: Runs) -> None:
    for team in ("a", "b"):
        ended = runs.good(runs.job(connections=["warehouse"]), namespace=f"team-{team}")
        assert ended.entry("warehouse/host") == f"{team}.example"
        assert ended.env["PGPASSWORD"] == f"password-of-{team}"
        assert ended.entry("warehouse/uri") == f"postgresql://:password-of-{team}@{team}.example:5432"
        assert ended.env["TIELINE_NAMESPACE"] == f"team-{team}"


@pytest.mark.parametrize("asked", ["warehouse-hidden", "warehouse-hiden", "warehousehidden"])
@pytest.mark.parametrize("namespace", ["team-a", "team-c", "default"])
def test_anothers_connection_is_unknown_without_a_hint(runs: Runs, asked: str, namespace: str) -> None:
    job = runs.job(connections=[asked])
    with pytest.raises(InvalidInput) as caught:
        runs(job, namespace=namespace)
    assert caught.value.code is Code.UNKNOWN_CONNECTION
    told = str(caught.value).replace(repr(asked), "ASKED")
    for word in ("warehouse-hidden", "hidden.example", "team-b", "hidden-login"):
        assert word not in told
    with pytest.raises(InvalidInput) as templated:
        runs(runs.job(f"{{{{ connections['{asked}'].host }}}}", connections=[]), namespace=namespace)
    assert "hidden.example" not in str(templated.value)


def test_suggestions_are_of_ones_own(runs: Runs) -> None:
    with pytest.raises(InvalidInput, match="did you mean 'warehouse'"):
        runs(runs.job(connections=["warehous"]), namespace="team-a")


def test_allow_holds(runs: Runs) -> None:
    runs.good(runs.job(connections=["limited"]), namespace="team-b")
    for name in ("limited", "by-project"):
        with pytest.raises(InvalidInput) as caught:
            runs(runs.job(connections=[name]), namespace="team-a")
        assert caught.value.code is Code.NOT_ALLOWED
        assert "team-b" not in str(caught.value)
        with pytest.raises(InvalidInput, match="may not be used"):
            runs(runs.job(init=[{"connection": name, "container": {"command": ["true"]}}]), namespace="team-a")


def test_anothers_secrets_are_not_found(runs: Runs) -> None:
    env = [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "hidden-login", "key": "password"}}}]
    runs.good(runs.job(container={"env": env}), namespace="team-b")
    for name in ("hidden-login", "hidden-logi"):
        env[0]["valueFrom"]["secretKeyRef"]["name"] = name  # type: ignore[index]
        with pytest.raises(Refused) as caught:
            runs(runs.job(container={"env": env}), namespace="team-a")
        assert caught.value.code is Code.SECRET_MISSING
        assert "hidden-login" not in str(caught.value).replace(repr(name), "").replace(f"set {name}", "")
        assert "team-b" not in str(caught.value)


@pytest.mark.parametrize("name", ["../team-b/db-login", "..", "team-b/db-login", "db-login/../../team-b/db-login"])
def test_no_name_leads_into_anothers(runs: Runs, name: str) -> None:
    env = [{"name": "A", "valueFrom": {"secretKeyRef": {"name": name, "key": "password"}}}]
    with pytest.raises((Refused, InvalidInput)):
        runs(runs.job(container={"env": env}), namespace="team-a")


@pytest.mark.parametrize("key", ["../../team-b/db-login/password", "../db-login/password", ".."])
def test_nor_does_a_key(runs: Runs, key: str) -> None:
    env = [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "db-login", "key": key}}}]
    with pytest.raises((Refused, InvalidInput)):
        runs(runs.job(container={"env": env}), namespace="team-a")


def test_a_folder_of_secrets_for_each(runs: Runs, tmp_path: Path) -> None:
    for team in ("team-a", "team-b"):
        (tmp_path / "mounted" / team / "db-login").mkdir(parents=True)
        (tmp_path / "mounted" / team / "db-login" / "password").write_text(f"mounted-{team}")
    runs.catalog["secrets"] = [{"directory": {"path": str(tmp_path / "mounted" / "{namespace}")}}]
    for team in ("team-a", "team-b"):
        ended = runs.good(runs.job(connections=["warehouse"]), namespace=team)
        assert ended.env["PGPASSWORD"] == f"mounted-{team}"
    runs.catalog["namespaces"]["team-c"]["connections"] = [postgres("warehouse", "c.example")]
    with pytest.raises(Refused, match="no secret 'db-login'"):
        runs(runs.job(connections=["warehouse"]), namespace="team-c")


def test_an_inherited_connection_takes_the_secret_of_the_runs_namespace(runs: Runs) -> None:
    runs.catalog["connections"].append(postgres("shared", "shared.example"))
    for team in ("a", "b"):
        ended = runs.good(runs.job(connections=["shared"]), namespace=f"team-{team}")
        assert ended.env["PGPASSWORD"] == f"password-of-{team}"
    with pytest.raises(Refused, match="no secret 'db-login'"):
        runs(runs.job(connections=["shared"]))  # the namespace default has none


COMMANDS = [
    ("connections", "list"),
    ("connections", "show", "warehouse-hiden"),
    ("connections", "show", "warehouse-hidden"),
    ("connections", "test", "warehouse-hidden"),
    ("explain", "job.yaml"),
    ("run", "job.yaml"),
]


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
@pytest.mark.parametrize("output", ["text", "json"])
def test_the_commands_of_one_namespace_say_nothing_of_another(runs: Runs, words: tuple[str, ...], output: str) -> None:
    runs.write(runs.job(connections=["warehouse-hiden"]))
    argv = [sys.executable, "-m", "tieline", *words, "-n", "team-a", *(["-o", "json"] if output == "json" else [])]
    done = subprocess.run(argv, cwd=runs.root, capture_output=True, text=True, check=False, env=dict(os.environ))
    told = (done.stdout + done.stderr).replace(words[-1], "ASKED")
    assert told
    assert not {word for word in ("warehouse-hidden", "hidden.example", "hidden-login", "team-b") if word in told}


def test_what_is_saved_says_which(runs: Runs) -> None:
    ended = runs.good(runs.job(connections=["warehouse"]), namespace="team-b")
    plan = json.dumps(ended.plan.as_json())
    assert "a.example" not in plan
    assert not {word for word in ("warehouse-hidden", "hidden.example", "hidden-login") if word in plan}
