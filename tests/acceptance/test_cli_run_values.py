"""``tieline run``: names that a person gives, and values that the container itself takes from secrets."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from cli_harness import Cli


@pytest.fixture
def cli(tmp_path: Path) -> Iterator[Cli]:
    with Cli(tmp_path) as cli:
        yield cli


LOGIN = {"TIELINE_SECRET_LOGIN__username": "me", "TIELINE_SECRET_LOGIN__password": "pass$(HOME)word"}
CONTAINER = """
kind: component
run:
  kind: job
  container:
    command: [sh, -c]
    args: ['echo "$A_username $(echo "$A_password" | rev) $A_password $USER_NAME/${NODE-unset}/${NONE-unset}"']
    envFrom:
      - {prefix: A_, secretRef: {name: login}}
      - {configMapRef: {name: nowhere, optional: true}}
    env:
      - {name: USER_NAME, valueFrom: {secretKeyRef: {name: login, key: username}}}
      - {name: NONE, valueFrom: {secretKeyRef: {name: login, key: other, optional: true}}}
      - {name: NODE, valueFrom: {fieldRef: {fieldPath: spec.nodeName}}}
"""


def test_a_container_takes_variables_from_secrets(cli: Cli) -> None:
    cli.write("job.yaml", CONTAINER)
    done = cli("run", "job.yaml", **LOGIN)
    backwards = "pass$(HOME)word"[::-1]  # so that it is not masked; what comes from a secret is not expanded
    assert done.out == f"me {backwards} *** me/unset/unset\n"
    assert "too short to be masked in what the job prints: login (key username)" in done.err
    assert "run.container.env[2].valueFrom: has an effect only on Kubernetes; the variable is not set here" in done.err
    shown = cli("explain", "job.yaml", **LOGIN).out
    assert "every key of secret login, each with the prefix A_" in shown
    assert "USER_NAME = from secret login key username" in shown


def test_what_is_not_there_is_refused_before_a_run_is_accepted(cli: Cli) -> None:
    cli.write("job.yaml", CONTAINER)
    done = cli("run", "job.yaml", code=69)
    assert "main.envFrom: there is no secret 'login' in Tieline's home or the environment" in done.err
    assert cli.runs() == []


def test_a_source_of_variables_is_one(cli: Cli) -> None:
    cli.write("job.yaml", "kind: component\nrun: {kind: job, container: {command: [a], envFrom: [{prefix: x}]}}")
    done = cli("check", "job.yaml", code=65)
    assert "job.yaml:2:" in done.out
    assert "every item names one source" in done.out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--name", "a/b"], "name: 'a/b' is no name"),
        (["--project", "../x"], "project: '../x' is no project"),
        (["--namespace", "A_B"], "namespace: 'A_B' is no namespace"),
        (["--name", "ok\n"], "name: 'ok\\n' is no name"),
    ],
)
def test_names_are_checked(cli: Cli, words: list[str], said: str) -> None:
    done = cli("run", cli.job("true"), *words, code=65)
    assert said in done.err
    assert cli.runs() == []


def test_a_namespace_of_the_file_is_checked_at_its_place(cli: Cli) -> None:
    done = cli("check", cli.job("true", namespace="../x"), code=65)
    assert "job.yaml:3:12: namespace:" in done.out
