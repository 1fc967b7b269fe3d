"""``tieline check``: every problem with its place, for people and for machines."""

from __future__ import annotations

from pathlib import Path

import pytest
from cli_harness import Cli

CATALOG = """\
connections:
  - {name: data, kind: host_path, schema: {hostPath: ./data, mountPath: /data}}
"""
BAD = """\
version: 1.1
kind: component
inputs:
  - {name: lr, typ: float, value: 0.1}
run:
  kind: job
  conections: [data]
  container: {command: [sh]}
"""


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    cli = Cli(tmp_path)
    cli.write("tieline.yaml", CATALOG)
    return cli


def test_what_is_right_is_said_to_be(cli: Cli) -> None:
    done = cli("check", "tieline.yaml", cli.job("true"))
    assert done.out == "tieline.yaml: ok (catalog)\njob.yaml: ok (job)\n"
    assert done.err == "no problems in 2 files\n"


def test_all_problems_come_with_their_places(cli: Cli) -> None:
    cli.write("bad.yaml", BAD)
    done = cli("check", "bad.yaml", code=65)
    first, second = done.out.splitlines()
    assert first.startswith("bad.yaml:4:16: inputs[0].typ: 'typ' is not a known key; did you mean 'type'?")
    assert second.startswith(
        "bad.yaml:7:3: run.conections: 'conections' is not a known key; did you mean 'connections'?"
    )
    assert done.err == "2 errors in 1 file\n"


def test_a_job_is_checked_against_the_catalog_in_force(cli: Cli) -> None:
    cli.write("job.yaml", "kind: component\nrun: {kind: job, connections: [dat], container: {command: [ls]}}\n")
    assert "did you mean 'data'?" in cli("check", "job.yaml", code=65).out
    cli.write("other.yaml", CATALOG.replace("data,", "dat,"))
    assert cli("check", "job.yaml", "--config", "other.yaml").out == "job.yaml: ok (job)\n"


def test_json_has_one_object_a_file(cli: Cli) -> None:
    cli.write("bad.yaml", BAD)
    good, bad = cli("check", "tieline.yaml", "bad.yaml", "-o", "json", code=65).data
    assert good == {"file": "tieline.yaml", "what": "catalog", "ok": True, "problems": []}
    assert (bad["what"], bad["ok"], len(bad["problems"])) == ("job", False, 2)
    assert bad["problems"][0] == {
        "code": "unknown-key", "severity": "error", "message": "'typ' is not a known key",
        "hint": "did you mean 'type'?", "file": "bad.yaml", "line": 4, "column": 16, "field": "inputs[0].typ",
    }  # fmt: skip


def test_a_broken_catalog_is_told_before_the_jobs_that_need_it(cli: Cli) -> None:
    cli.write("tieline.yaml", CATALOG.replace("host_path", "host_pth"))
    done = cli("check", cli.job("true"), code=65)
    catalog, job = done.out.splitlines()
    assert "'host_pth' is not a known kind; did you mean 'host_path'?" in catalog
    assert "job.yaml was not checked" in job
    cli.write("broken.yaml", "a: [")
    assert ": not valid YAML" in cli("check", "broken.yaml", code=65).out


def test_a_missing_file_is_not_found(cli: Cli) -> None:
    assert "there is no file nope.yaml" in cli("check", "nope.yaml", code=66).out
    assert cli("check", "nope.yaml", "tieline.yaml", "-o", "json", code=66).data[1]["ok"]


def test_warnings_alone_are_fine(cli: Cli) -> None:
    extra = "{name: db, kind: postgres, schema: {host: db.example.org, databse: x}}"
    cli.write("tieline.yaml", f"connections:\n  - {extra}\n")
    done = cli("check", "tieline.yaml")
    assert "warning: 'databse' is no key of kind postgres; did you mean 'database'?" in done.out
    assert done.err == "1 warning in 1 file\n"


def test_a_wide_terminal_shows_the_line_with_a_caret(cli: Cli) -> None:
    cli.write("bad.yaml", BAD)
    shown = plain(cli.on_terminal("check", "bad.yaml")).splitlines()
    assert "    4 |   - {name: lr, typ: float, value: 0.1}" in shown
    assert "                       ^" in shown
    assert "^" not in plain(cli.on_terminal("check", "bad.yaml", columns=50))


def test_a_file_cannot_write_to_the_terminal(cli: Cli) -> None:
    cli.write("bad.yaml", 'kind: component\nrun: {kind: job, "a\\eb": 1, container: {command: [ls]}} # \x9b31m\n')
    for shown in (cli.on_terminal("check", "bad.yaml"), cli("check", "bad.yaml", code=65).out):
        assert "\x1bb" not in shown
        assert "\x9b" not in shown


def test_names_that_are_no_text_are_told(cli: Cli) -> None:
    name = b"b\xff\x1b[31m.yaml".decode(errors="surrogateescape")
    cli.write(name, "kind: component\n")
    assert "\\x1b[31m.yaml" in cli("check", name, code=65).out
    assert cli("check", name, "-o", "json", code=65).data[0]["file"].startswith("b\udcff")


def plain(text: str) -> str:
    import re

    return re.sub(r"\x1b\[[0-9;]*m", "", text).replace("\r", "")
