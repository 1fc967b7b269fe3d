"""``tieline secrets`` and ``tieline configmaps``: values from a prompt, stdin or files, and never shown again."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import stat
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from cli_harness import PATIENCE, Cli

CANARY = "canary-c0ffee"


@pytest.fixture
def cli(tmp_path: Path) -> Iterator[Cli]:
    with Cli(tmp_path) as cli:
        yield cli


def fed(cli: Cli, value: bytes, *words: str) -> subprocess.CompletedProcess[bytes]:
    """Type a command whose stdin is this."""
    return subprocess.run(
        cli.argv(*words), cwd=cli.root, env=cli.env, input=value, capture_output=True, timeout=PATIENCE, check=False
    )


def at_terminal(cli: Cli, *words: str) -> tuple[subprocess.Popen[bytes], int]:
    """Type a command at a terminal of its own; the terminal's other end."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        cli.argv(*words), cwd=cli.root, env=cli.env, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
    )
    cli.started.append(process)
    os.close(theirs)
    return process, ours


def typed(cli: Cli, answers: list[str], *words: str) -> tuple[int, str]:
    """Type a command at a terminal and answer its questions; its code, and all that the terminal has shown."""
    process, terminal = at_terminal(cli, *words)
    shown = b""
    left = list(answers)
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        ready, _, _ = select.select([terminal], [], [], 0.2)
        try:
            data = os.read(terminal, 65536) if ready else b""
        except OSError:
            break
        shown += data
        if left and shown.rstrip(b" ").endswith(b":") and not data.endswith(b"\n"):
            time.sleep(0.1)  # the question comes before the echo is off
            os.write(terminal, f"{left.pop(0)}\n".encode())
            shown += b"\n"
    os.close(terminal)
    return process.wait(PATIENCE), shown.decode(errors="replace")


def kept(cli: Cli, name: str, key: str, namespace: str = "default", noun: str = "secrets") -> bytes:
    return (cli.home / noun / namespace / name / key).read_bytes()


# --- setting


def test_a_value_is_asked_for_twice_and_never_echoed(cli: Cli) -> None:
    code, shown = typed(cli, [CANARY, CANARY], "secrets", "set", "db", "password")
    assert code == 0
    assert "value of password" in shown
    assert "secret db: password set" in shown
    assert CANARY not in shown
    assert kept(cli, "db", "password") == CANARY.encode(), "without a newline"


def test_two_different_values_are_asked_for_again(cli: Cli) -> None:
    code, shown = typed(cli, ["one", "two", CANARY, CANARY], "secrets", "set", "db", "password")
    assert code == 0
    assert "do not match" in shown
    assert kept(cli, "db", "password") == CANARY.encode()


def test_several_keys_are_asked_for_in_turn(cli: Cli) -> None:
    code, _ = typed(cli, ["me", "me", "ü p w", "ü p w"], "secrets", "set", "db", "username", "password")
    assert code == 0
    assert (kept(cli, "db", "username"), kept(cli, "db", "password")) == (b"me", "ü p w".encode())


@pytest.mark.parametrize("value", [b"x", b"x\n", b"a\r\nb\r\n", b"", bytes(range(256)), b"x" * 1024 * 1024])
def test_stdin_is_kept_to_the_byte(cli: Cli, value: bytes) -> None:
    done = fed(cli, value, "secrets", "set", "db", "password", "--stdin")
    assert done.returncode == 0, done.stderr
    assert kept(cli, "db", "password") == value
    assert (b"ends with a newline, and is kept so" in done.stderr) is (value == b"x\n")


def test_files_are_kept_to_the_byte_under_their_name_or_another(cli: Cli) -> None:
    (cli.root / "id_rsa").write_bytes(b"-----\nkey\n")
    (cli.root / "conf.json").write_bytes(b"\0\xff{}\r\n")
    cli("secrets", "set", "keys", "--from-file", "id_rsa", "--from-file", "config.json=conf.json")
    assert kept(cli, "keys", "id_rsa") == b"-----\nkey\n"
    assert kept(cli, "keys", "config.json") == b"\0\xff{}\r\n"


def test_files_and_stdin_in_one_command(cli: Cli) -> None:
    cli.write("user", "me")
    done = fed(cli, b"pw", "secrets", "set", "db", "password", "--stdin", "--from-file", "username=user")
    assert done.stdout == b"secret db: password, username set\n"


def test_a_value_on_the_command_line_is_refused_and_not_repeated(cli: Cli) -> None:
    done = cli("secrets", "set", "db", "username", f"password={CANARY}", code=2)
    assert "a value on the command line can be read by every user of this machine" in done.err
    assert "`tieline secrets set db KEY`" in done.err
    assert CANARY not in done.err + done.out
    assert not cli.home.exists()


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["db", "password"], "there is no terminal to ask at; use --stdin or --from-file"),
        (["db"], "name a KEY, or use --from-file KEY=PATH"),
        (["db", "a", "b", "--stdin"], "--stdin is the value of one KEY"),
        (["db", "--stdin"], "--stdin is the value of one KEY"),
        (["db", "a", "a"], "'a' is given twice"),
        (["db", "f", "--from-file", "f"], "'f' is given twice"),
        (["db", "--from-file", "f", "--from-file", "f"], "'f' is given twice"),
    ],
)
def test_commands_that_make_no_sense(cli: Cli, words: list[str], reason: str) -> None:
    cli.write("f", CANARY)
    done = fed(cli, b"", "secrets", "set", *words)
    assert done.returncode == 2
    assert reason in done.stderr.decode()
    assert not cli.home.exists()


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["../db", "k", "--stdin"], "'../db' cannot be the name of a secret"),
        (["DB", "k", "--stdin"], "'DB' cannot be the name of a secret"),
        (["db", "../k", "--stdin"], "'../k' cannot be a key of a secret"),
        (["db", "k", "--stdin", "-n", "../x"], "'../x' cannot be the name of a namespace"),
        (["db", "--from-file", "a/b=f"], "'a/b' cannot be a key of a secret"),
    ],
)
def test_names_that_are_none(cli: Cli, words: list[str], reason: str) -> None:
    cli.write("f", CANARY)
    done = fed(cli, CANARY.encode(), "secrets", "set", *words)
    assert done.returncode == 65
    assert reason in done.stderr.decode()
    assert CANARY.encode() not in done.stderr
    assert not cli.home.exists()


def test_a_name_that_is_none_is_told_before_a_value_is_asked_for(cli: Cli) -> None:
    code, shown = typed(cli, [], "secrets", "set", "../db", "password")
    assert code == 65
    assert "value of" not in shown


def test_a_file_that_is_not_there_and_one_that_is_too_large(cli: Cli) -> None:
    done = cli("secrets", "set", "db", "--from-file", "k=gone", code=66)
    assert "gone: cannot be read: No such file or directory" in done.err
    (cli.root / "large").touch()
    os.truncate(cli.root / "large", 10**9)
    done = cli("secrets", "set", "db", "--from-file", "k=large", code=65)
    assert "the value of 'k' is larger than 1 MiB" in done.err


def test_interrupting_a_question_keeps_nothing(cli: Cli) -> None:
    process, terminal = at_terminal(cli, "secrets", "set", "db", "password")
    shown = b""
    while b"value of" not in shown:
        shown += os.read(terminal, 4096)
    os.write(terminal, CANARY.encode())
    process.send_signal(signal.SIGINT)
    assert process.wait(PATIENCE) == 130
    os.close(terminal)
    assert not (cli.home / "secrets").exists()


def test_files_are_private(cli: Cli) -> None:
    before = os.umask(0)
    try:
        fed(cli, b"x", "secrets", "set", "db", "password", "--stdin")
    finally:
        os.umask(before)
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in [cli.home, *cli.home.rglob("*")]}
    assert {mode for path, mode in modes.items() if path.is_dir()} == {0o700}
    assert {mode for path, mode in modes.items() if path.is_file()} == {0o600}


def test_the_list_of_processes_never_has_a_value(cli: Cli) -> None:
    seen: set[bytes] = set()
    stop = threading.Event()

    def watch() -> None:
        while not stop.is_set():
            for path in Path("/proc").glob("[0-9]*"):
                for name in ("cmdline", "environ"):
                    try:
                        data = (path / name).read_bytes()
                    except OSError:
                        continue
                    if CANARY.encode() in data:
                        seen.add(data)

    watcher = threading.Thread(target=watch)
    watcher.start()
    for number in range(3):
        assert fed(cli, CANARY.encode(), "secrets", "set", "db", f"k{number}", "--stdin").returncode == 0
    typed(cli, [CANARY, CANARY], "secrets", "set", "db", "password")
    stop.set()
    watcher.join()
    assert seen == set()


# --- listing, removing


def filled(cli: Cli) -> None:
    for namespace, name, key in (("default", "db", "password"), ("default", "db", "username"), ("lab", "db", "token")):
        assert fed(cli, CANARY.encode(), "secrets", "set", name, key, "--stdin", "-n", namespace).returncode == 0


def test_a_list_has_names_keys_and_dates_and_no_value(cli: Cli) -> None:
    filled(cli)
    done = cli("secrets")
    rows = [line.split()[:3] for line in done.out.splitlines()]
    assert rows == [["NAMESPACE", "NAME", "KEY"], ["default", "db", "password"], ["default", "db", "username"],
                    ["lab", "db", "token"]]  # fmt: skip
    listed = cli("secrets", "list", "db", "-n", "lab", "-o", "json").data
    assert [(item["namespace"], item["name"], [key["key"] for key in item["keys"]]) for item in listed] == [
        ("lab", "db", ["token"])
    ]
    assert set(listed[0]["keys"][0]) == {"key", "setAt"}
    every = [cli("secrets", *words).out for words in ([], ["list"], ["list", "db"], ["list", "-o", "json"])]
    assert CANARY not in "".join(every)


def test_lists_of_nothing(cli: Cli) -> None:
    done = cli("secrets", "list")
    assert (done.out, done.err) == ("", "no secret is kept in Tieline's home\n")
    assert cli("secrets", "list", "-o", "json").data == []
    assert "there is no secret 'db' in Tieline's home" in cli("secrets", "list", "db", code=66).err
    assert not cli.home.exists(), "looking makes nothing"


def test_removing(cli: Cli) -> None:
    filled(cli)
    assert cli("secrets", "rm", "db", "password").out == "secret db: password removed\n"
    done = cli("secrets", "rm", "db", "passwd", "-o", "json", code=66)
    assert json.loads(done.err)["errors"][0]["code"] == "secret-missing"
    assert cli("secrets", "rm", "db", "-n", "lab", "-o", "json").data == {
        "namespace": "lab", "name": "db", "removed": None,
    }  # fmt: skip
    assert [item["namespace"] for item in cli("secrets", "list", "-o", "json").data] == ["default"]
    cli("secrets", "rm", "db", "username")
    assert cli("secrets", "list", "-o", "json").data == []


def test_there_is_no_command_that_shows_a_secret(cli: Cli) -> None:
    filled(cli)
    assert "there is no command 'show'" in cli("secrets", "show", "db", code=2).err
    assert "there is no config map 'db'" in cli("configmaps", "show", "db", code=66).err


# --- config maps


def test_a_config_map_from_the_command_line_files_and_stdin(cli: Cli) -> None:
    (cli.root / "logo.png").write_bytes(b"\x89PNG\xff")
    done = fed(
        cli, b"a\n", "configmaps", "set", "place", "host=db=1", "port=", "note", "--stdin", "--from-file", "logo.png"
    )
    assert done.returncode == 0, done.stderr
    assert cli("configmaps", "show", "place", "-o", "json").data == {
        "namespace": "default",
        "name": "place",
        "data": {"host": "db=1", "note": "a\n", "port": ""},
        "binaryData": {"logo.png": "iVBOR/8="},
    }
    assert cli("configmaps", "show", "place", "logo.png").raw == b"\x89PNG\xff"
    assert "host" in cli("configmaps", "show", "place").out
    assert cli("configmaps", "rm", "place", "note").out == "config map place: note removed\n"
    assert cli("secrets", "list", "-o", "json").data == []


def test_a_config_maps_value_can_be_typed(cli: Cli) -> None:
    code, shown = typed(cli, ["db.example"], "configmaps", "set", "place", "host")
    assert code == 0
    assert "db.example" in shown
    assert kept(cli, "place", "host", noun="configmaps") == b"db.example"


def test_a_config_map_that_is_not_there(cli: Cli) -> None:
    cli("configmaps", "set", "place", "host=h")
    assert "did you mean 'place'?" in cli("configmaps", "show", "plase", code=66).err
    assert "did you mean 'host'?" in cli("configmaps", "show", "place", "hots", code=66).err
    assert cli("configmaps", "list").out.split()[:6] == ["NAMESPACE", "NAME", "KEY", "SET", "default", "place"]


# --- help


@pytest.mark.parametrize("noun", ["secrets", "configmaps"])
def test_help_and_completion(cli: Cli, noun: str) -> None:
    assert noun in cli("--help").out
    assert "set" in cli(noun, "--help").out
    cli("configmaps", "set", "place", "host=h")
    fed(cli, b"x", "secrets", "set", "place", "k", "--stdin")
    done = cli(_TIELINE_COMPLETE="bash_complete", COMP_WORDS=f"tieline {noun} rm pl", COMP_CWORD="3")
    assert done.out.strip().endswith("place")
