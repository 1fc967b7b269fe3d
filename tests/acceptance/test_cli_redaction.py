"""What a job prints of its secrets is masked before it reaches the console or the store, whoever saves it."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path

import pytest
from cli_harness import Cli, eventually, said

PASSWORD = "c0rrect-horse+battery/staple"
FORMS = ("plain", "base64", "url", "json", "split", "stderr")
JOB = """
kind: component
run:
  kind: job
  connections: [db]
  container:
    command: [python3, -uc]
    args:
      - |
        import base64, json, os, sys, time, urllib.parse
        word = os.environ["PGPASSWORD"]
        print("plain", word)
        print("base64", base64.b64encode(("ann:" + word).encode()).decode())
        print("url", "postgres://ann:" + urllib.parse.quote(word, safe="") + "@h/d")
        print("json", json.dumps({"password": word}))
        print("split ", end=""); sys.stdout.flush()
        for half in (word[:9], word[9:]):
            sys.stdout.write(half); sys.stdout.flush(); time.sleep(0.3)
        print()
        print("stderr", word, file=sys.stderr)
        os.write(1, bytes(range(256)) + b"\\n")
"""


@pytest.fixture
def cli(tmp_path: Path) -> Iterator[Cli]:
    with Cli(tmp_path) as cli:
        cli.write(
            "tieline.yaml",
            "connections:\n  - {name: db, kind: postgres, schema: {host: h, database: d}, secret: {name: login}}\n",
        )
        cli.write("job.yaml", JOB)
        yield cli


LOGIN = {"TIELINE_SECRET_LOGIN__username": "ann-of-the-team", "TIELINE_SECRET_LOGIN__password": PASSWORD}


def nowhere(cli: Cli, *texts: bytes) -> None:
    encoded = base64.b64encode(f"ann:{PASSWORD}".encode())
    for data in (*texts, *(path.read_bytes() for path in cli.home.rglob("*") if path.is_file())):
        assert PASSWORD.encode() not in data
        assert encoded not in data
        assert PASSWORD[:9].encode() not in data


def test_no_form_of_it_is_shown_or_saved(cli: Cli) -> None:
    done = cli("run", "job.yaml", **LOGIN)
    log = cli("runs", "logs", "last").raw
    nowhere(cli, done.raw, done.err.encode(), log)
    for text in (done.raw, log):
        lines = text.split(b"\n")
        assert [line.split()[0].decode() for line in lines[:6]] == list(FORMS)
        assert all(b"***" in line for line in lines[:6])
        assert bytes(range(256)) in text, "binary output passes as it is"


def test_a_recovery_masks_too(cli: Cli) -> None:
    cli.env.update(LOGIN)
    process = cli.start("run", "job.yaml")
    said(process, b"running")
    eventually(lambda: any(path.stat().st_size for path in cli.home.rglob("spool/*") if path.is_file()))
    process.kill()
    process.wait()
    assert "ended a run" in cli("runs", "list").err
    nowhere(cli, cli("runs", "logs", "last").raw)


def test_without_the_secrets_nothing_is_saved_until_they_are_there(cli: Cli) -> None:
    process = cli.start("run", "job.yaml") if cli.env.update(LOGIN) is None else None
    assert process is not None
    said(process, b"running")
    eventually(lambda: any(path.stat().st_size for path in cli.home.rglob("spool/*") if path.is_file()))
    process.kill()
    process.wait()
    for name in LOGIN:
        del cli.env[name]
    cli("runs", "list")
    (run,) = cli.runs()
    assert (run["status"], run["reason"]) == ("failed", "outputs-not-saved")
    assert "login" in run["message"]
    cli.env.update(LOGIN)
    cli("runs", "outputs", "push", "last")
    log = cli("runs", "logs", "last").raw
    assert b"plain ***" in log
    nowhere(cli, log)
