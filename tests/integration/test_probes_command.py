"""``tieline connections test``: names, the table and JSON, exit codes, the field to mend, side by side, Ctrl-C."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from servers.https import PASSWORD, USER, Https, https_server, mute_server
from servers.processes import free_port
from servers.sshd import make_key

CATALOG = """\
connections:
  - {{name: data, kind: host_path, schema: {{hostPath: ./data, mountPath: /data}}}}
  - {{name: gone, kind: host_path, schema: {{hostPath: ./gone, mountPath: /gone}}}}
  - {{name: claim, kind: volume_claim, schema: {{volumeClaim: pvc, mountPath: /claim}}}}
  - name: labels
    kind: http
    schema: {{url: "{url}"}}
    secret: {{name: labels-login}}
  - name: warehouse
    kind: postgres
    schema: {{host: 127.0.0.1, port: {port}, database: shop}}
    secret: {{name: warehouse-login}}
  - {{name: by-address, kind: redis, schema: {{uri: "redis://127.0.0.1:{port}/0"}}}}
  - {{name: metadata, kind: s3, schema: {{bucket: "s3://bucket", endpoint: "http://169.254.169.254"}}}}
  - {{name: secret-place, kind: mongo, secret: {{name: mongo-login}}}}
  - name: strict
    kind: host_path
    schema: {{hostPath: ./data, mountPath: /strict, readOnly: true}}
    health: {{require: [read, write]}}
  - name: lax
    kind: http
    schema: {{url: "{url}"}}
    health: {{require: [reach]}}
notificationConnections:
  - {{name: team, kind: slack, secret: {{name: slack-hook}}}}
namespaces:
  lab:
    inherit: [data]
    connections:
      - {{name: own, kind: sqlite, schema: {{path: ./lab.db}}}}
"""
SILENT = """\
connections:
{items}
"""


class Command:
    """A folder with a catalog, and the command typed in it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.env = {name: os.environ[name] for name in ("PATH", "LANG", "VIRTUAL_ENV") if name in os.environ}
        self.env |= {"HOME": str(root), "TIELINE_HOME": str(root / "home")}

    def start(self, *words: str, **env: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "tieline", *words], cwd=self.root, env={**self.env, **env}, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )  # fmt: skip

    def __call__(self, *words: str, code: int = 0, **env: str) -> tuple[str, str]:
        process = self.start(*words, **env)
        out, err = process.communicate(timeout=60)
        assert process.returncode == code, f"exit {process.returncode}\n{out}{err}"
        return out, err

    def tested(self, *names: str, code: int = 0, **env: str) -> list[dict[str, Any]]:
        out, _ = self("connections", "test", *names, "-o", "json", code=code, **env)
        found: list[dict[str, Any]] = json.loads(out)
        return found


@pytest.fixture(scope="module")
def server() -> Iterator[Https]:
    with https_server() as server:
        yield server


@pytest.fixture
def command(tmp_path: Path, server: Https) -> Command:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.txt").write_text("hello")
    catalog = CATALOG.format(url=server.url("/private"), port=free_port())
    (tmp_path / "tieline.yaml").write_text(catalog)
    return Command(tmp_path)


def outcomes(tested: dict[str, Any]) -> str:
    return "".join(item["outcome"][0] for item in tested["operations"])


def operation(tested: dict[str, Any], name: str) -> dict[str, Any]:
    return next(item for item in tested["operations"] if item["operation"] == name)


def variables(secret: str, **values: str) -> dict[str, str]:
    """A secret in the environment."""
    return {f"TIELINE_SECRET_{secret.upper().replace('-', '_')}__{key}": value for key, value in values.items()}


def test_a_table_for_people_and_a_summary(command: Command) -> None:
    out, err = command("connections", "test", "data")
    lines = out.splitlines()
    assert lines[0].split() == ["CONNECTION", "OPERATION", "RESULT", "MS", "WHAT", "IT", "SAYS"]
    assert [line.split()[:3] for line in lines[1:3]] == [["data", "resolve", "pass"], ["data", "reach", "pass"]]
    assert err.splitlines()[-1] == "1 fine of 1 connection"
    assert os.listdir(command.root / "data") == ["a.txt"]


def test_a_failure_names_the_field_to_mend(command: Command) -> None:
    out, err = command("connections", "test", "gone", "data", code=69)
    assert "→ tieline.yaml:3:54: connections[1].schema.hostPath" in out
    assert "gone: fails: resolve" in err
    assert err.splitlines()[-1] == "1 fine, 1 failing of 2 connections"


def test_colours(command: Command) -> None:
    out, _ = command("connections", "test", "gone", code=69, FORCE_COLOR="1")
    assert "\x1b[1;31mfail\x1b[0m" in out
    assert "\x1b[2mskipped\x1b[0m" in out


def test_json_has_every_key(command: Command) -> None:
    (found,) = command.tested("warehouse", code=69)
    assert (found["name"], found["kind"], found["ok"]) == ("warehouse", "postgres", False)
    assert [item["operation"] for item in found["operations"]] == [
        "resolve", "reach", "tls", "authenticate", "list", "read", "write", "delete",
    ]  # fmt: skip
    reach = operation(found, "reach")
    assert set(reach) == {
        "operation", "outcome", "required", "detail", "hint", "milliseconds", "file", "line", "column", "field",
        "secretKeys",
    }  # fmt: skip
    assert (reach["outcome"], reach["field"], reach["line"]) == ("fail", "connections[4].schema.port", 11)
    assert operation(found, "tls")["milliseconds"] is None


def test_a_part_of_an_address_is_mended_in_the_address(command: Command) -> None:
    (found,) = command.tested("by-address", code=69)
    assert operation(found, "reach")["field"] == "connections[5].schema.uri"


def test_a_secret_that_is_not_there_is_named(command: Command) -> None:
    (found,) = command.tested("labels", code=69)
    failed = operation(found, "authenticate")
    assert failed["field"] == "connections[3].secret"
    assert "password" in failed["secretKeys"]
    assert "the secret labels-login" in failed["secretKeys"]
    assert "there is no secret 'labels-login'" in failed["hint"]
    (elsewhere,) = command.tested("secret-place", code=69)
    assert operation(elsewhere, "resolve")["field"] == "connections[7].secret"
    (hook,) = command.tested("team", code=69)
    assert operation(hook, "resolve")["field"] == "notificationConnections[0].secret"


def test_secrets_are_used_and_shown_nowhere(command: Command) -> None:
    login = variables("labels-login", username=USER, password=PASSWORD)
    (right,) = command.tested("labels", **login)
    assert outcomes(right) == "ppsp" + "spss"
    wrong = variables("labels-login", username=USER, password="canary-4711-wrong")
    out, err = command("connections", "test", "labels", code=69, **wrong)
    assert "canary" not in out + err
    assert "401 Unauthorized" in out
    assert "connections[3].secret (password of the secret labels-login)" in out


def test_metadata_addresses_are_refused(command: Command) -> None:
    (found,) = command.tested("metadata", code=69)
    failed = operation(found, "resolve")
    assert "are not asked" in failed["detail"]
    assert failed["field"] == "connections[6].schema.endpoint"
    allowed = command.start("connections", "test", "metadata", "--allow-link-local", "--timeout", "0.5", "-o", "json")
    out, _ = allowed.communicate(timeout=30)
    assert operation(json.loads(out)[0], "resolve")["outcome"] == "pass"


def test_what_a_connection_has_to_pass(command: Command) -> None:
    """``health.require`` decides; else everything that a job counts on."""
    (strict,) = command.tested("strict", code=69)
    assert outcomes(strict) == "ppssppss"
    assert [item["operation"] for item in strict["operations"] if item["required"]] == ["read", "write"]
    (lax,) = command.tested("lax")
    assert operation(lax, "authenticate")["outcome"] == "fail"


def test_names(command: Command) -> None:
    _, err = command("connections", "test", "date", "gon", code=66)
    assert "did you mean 'data'?" in err
    assert "did you mean 'gone'?" in err
    command("connections", "test", code=2)
    command("connections", "test", "--all", "data", code=2)
    assert [found["name"] for found in command.tested("gone", "data", "gone", code=69)] == ["gone", "data"]


def test_all_of_a_namespace(command: Command) -> None:
    everything = [found["name"] for found in command.tested("--all", "-n", "lab", code=69)]
    assert everything == ["artifacts-store", "own", "data"]
    (own,) = command.tested("own", "-n", "lab", code=69)
    assert operation(own, "resolve")["field"] == "namespaces.lab.connections[0].schema.path"
    command("connections", "test", "warehouse", "-n", "lab", code=66)


def test_what_a_run_makes_is_not_missing(command: Command) -> None:
    store, claim = command.tested("artifacts-store", "claim")
    assert outcomes(store) == outcomes(claim) == "ssssssss"
    assert not (command.root / "home" / "claims").exists()


def test_connections_are_asked_side_by_side(command: Command) -> None:
    with mute_server() as port:
        item = f"  - {{{{name: silent-{{0}}, kind: http, schema: {{{{url: 'http://127.0.0.1:{port}/'}}}}}}}}"
        items = "\n".join(item.format(number) for number in range(4))
        (command.root / "tieline.yaml").write_text(SILENT.format(items=items))
        started = time.monotonic()
        found = command.tested("silent-0", "silent-1", "silent-2", "silent-3", "--timeout", "5", code=69)
        assert time.monotonic() - started < 19, "one after another takes twenty seconds"
    assert [outcomes(tested) for tested in found] == ["ppsfssss"] * 4


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_ctrl_c_leaves_no_key_in_memory(command: Command, tmp_path: Path, number: int, code: int) -> None:
    key = make_key(tmp_path / "key").read_text()
    memory = Path("/dev/shm")
    with mute_server(b"SSH-2.0-fake\r\n") as port:
        ssh = f"{{name: git-host, kind: ssh, schema: {{url: 'ssh://git@127.0.0.1:{port}'}}, "
        ssh += "secret: {name: deploy, mountPath: /k}}"
        (command.root / "tieline.yaml").write_text(SILENT.format(items=f"  - {ssh}"))
        process = command.start(
            "connections",
            "test",
            "git-host",
            "--timeout",
            "30",
            TMPDIR=str(tmp_path),
            **variables("deploy", id_rsa=key),
        )

        def left() -> list[Path]:
            name = f"tieline-git-probe-{process.pid}-*"
            return [*memory.glob(name), *tmp_path.glob(name), *tmp_path.glob("tieline-probe-*")]

        until = time.monotonic() + 20
        while len(left()) < 2 and time.monotonic() < until:
            time.sleep(0.05)
        assert left(), "it did not begin"
        time.sleep(0.3)
        process.send_signal(number)
        process.communicate(timeout=20)
    assert process.returncode == code
    assert left() == []


def test_what_a_killed_test_left_is_removed_by_the_next(command: Command) -> None:
    dead = subprocess.Popen(["true"])
    dead.wait()
    folder = Path("/dev/shm") / f"tieline-git-probe-{dead.pid}-0123456789ab.x"
    if not os.access(folder.parent, os.W_OK):
        pytest.skip("this machine has no /dev/shm")
    folder.mkdir(mode=0o700)
    command("connections", "test", "data")
    assert not folder.exists()


def test_help_lists_it(command: Command) -> None:
    out, _ = command("connections", "--help")
    assert "test" in out
    out, _ = command("connections", "test", "--help")
    assert "--timeout" in out
