"""The scripts and command lines that git and ssh are given, tried with the real programs."""

from __future__ import annotations

import base64
import os
import shlex
import shutil
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tieline.kinds import derived
from tieline.secrets.forms import MAKERS
from tieline.secrets.secret import Secret

USER, PASSWORD = "me@corp", "p w'\"$(touch pwned)`x`\\"
SHELLS = [shell for shell in ("sh", "dash", "bash") if shutil.which(shell)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a name that a shell would take apart."""
    folder = tmp_path / "a b'c$d"
    folder.mkdir()
    (folder / "username").write_text(USER)
    (folder / "password").write_text(PASSWORD)
    return folder


def askpass(folder: Path, host: str) -> Path:
    parts = {"host": host, "username-path": str(folder / "username"), "password-path": str(folder / "password")}
    made = MAKERS[derived.GIT_ASKPASS]({name: Secret(value) for name, value in parts.items()})
    assert made is not None
    path = folder / "askpass"
    path.write_bytes(made)
    path.chmod(0o700)
    return path


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("Username for 'https://git.example:8443': ", USER),
        ("Username for 'http://git.example:8443': ", USER),
        ("Password for 'https://me@git.example:8443': ", PASSWORD),
        ("Password for 'https://me@corp@git.example:8443': ", PASSWORD),
        ("Password for 'https://me%40corp@git.example:8443': ", PASSWORD),
        ("Password for 'https://git.example:8443': ", PASSWORD),
        ("Username for 'https://git.example': ", None),
        ("Username for 'https://evil.example': ", None),
        ("Username for 'https://git.example:8443.evil.example': ", None),
        ("Username for 'https://git.example:8443/x@evil.example': ", None),
        ("Username for 'ftp://git.example:8443': ", None),
        ("Password for 'https://me@evil.example': ", None),
        ("Password for 'https://git.example:8443@evil.example': ", None),
        ("Password for 'https://git.example:8443/@evil.example': ", None),
        ("Password for 'https://me@git.example:8443/@evil.example': ", None),
        ("Password for 'https://me@evil.example/x@git.example:8443': ", None),
        ("Password for 'https://me@git.example:8443.evil.example': ", None),
        ("Password for 'https://me@evil.example?@git.example:8443': ", None),
        ("Password for 'https://me@evil.example#@git.example:8443': ", None),
        ("Password for 'https://me@evil.example\\\\@git.example:8443': ", None),
        ("Password for 'httpx://me@git.example:8443': ", None),
        ("Password for 'ssh://me@git.example:8443': ", None),
        ("Passphrase for key '/k': ", None),
        ("me@git.example:8443's password: ", None),
        ("", None),
    ],
)
def test_only_this_host_is_answered(folder: Path, shell: str, question: str, answer: str | None) -> None:
    done = subprocess.run(
        [shell, askpass(folder, "git.example:8443"), question], capture_output=True, text=True, check=False
    )
    assert done.stdout == (answer or "")
    assert (done.returncode == 0) is (answer is not None)


@pytest.mark.parametrize("host", ["[::1]:3000", "*", "h$(touch pwned)", "h'; touch pwned; '", "h\ntouch pwned"])
def test_a_strange_host_is_only_text(folder: Path, host: str) -> None:
    script = askpass(folder, host)
    questions = [f"Username for 'https://{host}': ", "Username for 'https://x': "]
    asked, other = (
        subprocess.run([script, question], capture_output=True, text=True, cwd=folder, check=False)
        for question in questions
    )
    assert (asked.stdout, other.stdout) == (USER, "")
    assert not (folder / "pwned").exists()


class Server(BaseHTTPRequestHandler):
    """Answers git with a repository without refs, to whoever logs in."""

    seen: list[str]

    def do_GET(self) -> None:
        given = self.headers.get("Authorization", "")
        self.seen.append(given)
        if given != "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode():
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="git"')
            self.end_headers()
            return
        body = b"001e# service=git-upload-pack\n0000" + b"0000"
        self.send_response(200)
        self.send_header("Content-Type", "application/x-git-upload-pack-advertisement")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Silent."""


@pytest.fixture
def server() -> Iterator[ThreadingHTTPServer]:
    handler = type("Handler", (Server,), {"seen": []})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def git(script: Path, url: str, home: Path) -> subprocess.CompletedProcess[str]:
    env = {
        "PATH": os.environ["PATH"], "HOME": str(home), "GIT_ASKPASS": str(script), "GIT_TERMINAL_PROMPT": "0",
        "GIT_CONFIG_NOSYSTEM": "1",
    }  # fmt: skip
    return subprocess.run(["git", "ls-remote", url], env=env, capture_output=True, text=True, timeout=60, check=False)


def test_git_logs_in_with_it(folder: Path, server: ThreadingHTTPServer, tmp_path: Path) -> None:
    host = f"127.0.0.1:{server.server_port}"
    done = git(askpass(folder, host), f"http://{host}/code.git", tmp_path)
    assert done.returncode == 0, done.stderr


def test_git_gets_nothing_for_another_host(folder: Path, server: ThreadingHTTPServer, tmp_path: Path) -> None:
    port = server.server_port
    script = askpass(folder, "git.example")
    for user in ("", "git.example@", "git.example%2F@", "me%40git.example%2F@"):
        assert git(script, f"http://{user}127.0.0.1:{port}/x", tmp_path).returncode != 0
    seen = "".join(server.RequestHandlerClass.seen)  # type: ignore[attr-defined]
    assert PASSWORD not in "".join(
        base64.b64decode(part).decode(errors="replace") for part in seen.split("Basic ") if part
    )


# --- ssh


def effective(command: str, host: str) -> dict[str, str]:
    """What ssh makes of the command line, as it says itself."""
    done = subprocess.run(
        ["sh", "-c", f"{command} -G {shlex.quote(host)}"], capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 0, done.stderr
    return dict(line.split(" ", 1) for line in done.stdout.splitlines() if " " in line)


def ssh_command(**parts: str) -> str:
    made = MAKERS[derived.GIT_SSH_COMMAND]({name.replace("_", "-"): Secret(value) for name, value in parts.items()})
    assert made is not None
    return made.decode()


@pytest.mark.skipif(shutil.which("ssh") is None, reason="there is no ssh")
@pytest.mark.parametrize("name", ["key", "a key", "a'key", 'a"key', "50%h", "a\\key", "$(touch pwned)"])
def test_ssh_takes_paths_as_they_are(tmp_path: Path, name: str) -> None:
    key, hosts = tmp_path / name, tmp_path / f"{name}.hosts"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    hosts.write_text("")
    found = effective(ssh_command(key_path=str(key), known_hosts_path=str(hosts), port="2222", user="deploy"), "h")
    assert found["identitiesonly"] == "yes"
    assert found["stricthostkeychecking"] in ("yes", "true")
    assert found["globalknownhostsfile"] == "/dev/null"
    assert (found["port"], found["user"], found["batchmode"]) == ("2222", "deploy", "yes")
    # what ssh prints is before % is expanded
    assert found["identityfile"].replace("%%", "%").strip('"') == str(key)
    assert found["userknownhostsfile"].replace("%%", "%").strip('"') == str(hosts)


@pytest.mark.skipif(shutil.which("ssh") is None, reason="there is no ssh")
def test_without_known_hosts_a_first_key_is_accepted(tmp_path: Path) -> None:
    found = effective(ssh_command(key_path=str(tmp_path / "key")), "git@h")
    assert found["stricthostkeychecking"] == "accept-new"
    assert found["user"] == "git"
