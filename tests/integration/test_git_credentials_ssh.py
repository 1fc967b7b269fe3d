"""Credentials over ssh: real git, a real sshd, and what a server or a key must be for us to go on."""

import os
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from servers.git_http import make_repository
from servers.sshd import Sshd, make_key, ssh_server
from tieline.errors import Code, StepFailed
from tieline.git.checkout import Checked, checkout
from tieline.git.credentials import credentials, needed
from tieline.git.private import memory
from tieline.kinds import registry
from tieline.kinds.pages import connect
from tieline.model.access import GitRemote, SshHost
from tieline.model.binding import Text
from tieline.secrets.secret import Secret

MARK = f"test-ssh-{os.getpid()}"
WHO = {f"GIT_{role}_{what}": "t@t" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}


@pytest.fixture(autouse=True)
def _own_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test depends on, or changes, the configuration of whoever runs it."""
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", os.devnull)
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Sshd]:
    (tmp_path / "sshd").mkdir()
    with ssh_server(tmp_path / "sshd") as running:
        yield running


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    make_repository(tmp_path / "code.git", {"train.py": "print(1)\n"})
    return tmp_path / "code.git"


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "run" / "code"


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    """Where the keys of servers are recorded: a path as people have them."""
    return tmp_path / "my home 100%" / "known_hosts" / "code"


def over_git(url: str, **envelope: object) -> GitRemote:
    """The access of a connection of kind git."""
    kind = registry.get("git")
    assert kind is not None
    form = {"name": "code", "kind": "git", "schema": {"url": url}, "secret": {"name": "deploy"}, **envelope}
    found = kind.access(connect(kind, form))
    assert isinstance(found, GitRemote)
    return found


def over_ssh(repository: str, **schema: object) -> GitRemote:
    """What a job's init makes of a connection of kind ssh and the job's url."""
    kind = registry.get("ssh")
    assert kind is not None
    secret = {"name": "deploy", "mountPath": "/etc/.ssh"}
    form = {"name": "code", "kind": "ssh", "secret": secret, **({"schema": schema} if schema else {})}
    found = kind.access(connect(kind, form))
    assert isinstance(found, SshHost)
    return GitRemote(url=repository, ssh=found, credentials=found.credentials)


def clone(
    wanted: GitRemote,
    target: Path,
    recorded: Path,
    key: Path | str | None,
    known_hosts: str | None = None,
    private: Path = Path("/nowhere"),
) -> Checked:
    given = {name: Secret(value.text) for name, value in needed(wanted).items() if isinstance(value, Text)}
    if key is not None:
        given["private-key"] = Secret(key.read_bytes() if isinstance(key, Path) else key)
    if known_hosts is not None:
        given["known-hosts"] = Secret(known_hosts)
    with credentials(wanted, given, private, known_hosts=recorded, mark=MARK) as login:
        return checkout(wanted, target, login=login)


def refused(action: Callable[[], object], match: str, code: Code = Code.CLONE_FAILED) -> str:
    with pytest.raises(StepFailed, match=match) as caught:
        action()
    assert caught.value.code == code, caught.value
    assert "PRIVATE KEY" not in str(caught.value)
    assert not list(memory(Path("/nowhere")).glob(f"tieline-git-{MARK}.*"))
    return str(caught.value)


def host_key(server: Sshd, kind: str) -> None:
    """Give the server another host key, from its next connection on."""
    for end in ("", ".pub"):
        (server.folder / f"host_key{end}").unlink()
    path = str(server.folder / "host_key")
    subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", "", "-f", path], check=True)
    pid = int(re.findall(r"pid=(\d+)", listener(server))[0])
    os.kill(pid, 1)  # SIGHUP: sshd reads its keys again
    for _ in range(100):
        said = subprocess.run(
            ["ssh-keyscan", "-p", str(server.port), server.host], capture_output=True, text=True, check=False
        )
        if server.host_public_key in said.stdout:
            return
    pytest.fail("sshd did not take its new key")


def listener(server: Sshd) -> str:
    """``pid=N`` of the sshd with this configuration."""
    wanted = str(server.folder / "sshd_config").encode()
    for name in filter(str.isdecimal, os.listdir("/proc")):
        try:
            if wanted in Path(f"/proc/{name}/cmdline").read_bytes():
                return f"pid={name}"
        except OSError:
            continue
    return ""


# --- the key


def test_the_right_key_gets_in_and_the_server_is_remembered(
    server: Sshd, repository: Path, target: Path, recorded: Path
) -> None:
    wanted = over_git(server.url(repository))
    clone(wanted, target, recorded, server.key)

    assert (target / "train.py").read_text() == "print(1)\n"
    assert recorded.read_text() == server.known_hosts
    assert recorded.stat().st_mode & 0o777 == 0o600
    assert recorded.parent.stat().st_mode & 0o777 == 0o700
    assert not list(memory(Path("/nowhere")).glob(f"tieline-git-{MARK}.*"))

    clone(wanted, target.with_name("again"), recorded, server.key)
    assert recorded.read_text() == server.known_hosts


def test_pinned_keys_are_used_and_nothing_is_recorded(
    server: Sshd, repository: Path, target: Path, recorded: Path
) -> None:
    clone(over_git(server.url(repository)), target, recorded, server.key, server.known_hosts)
    assert (target / "train.py").exists()
    assert not recorded.exists()


def test_without_a_folder_in_memory_the_callers_is_used_whatever_its_name(
    server: Sshd, repository: Path, target: Path, recorded: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    odd = target.parent.parent / "a b 'c\" 100%h"
    monkeypatch.setattr("tieline.git.private._memories", lambda: iter(()))

    clone(over_git(server.url(repository)), target, recorded, server.key, private=odd)

    assert (target / "train.py").exists()
    assert odd.is_dir()
    assert list(odd.iterdir()) == []


@pytest.mark.parametrize("change", [str.strip, lambda text: text.replace("\n", "\r\n"), lambda text: f"\n\n{text}\n"])
def test_a_key_is_the_same_however_it_was_pasted(
    server: Sshd, repository: Path, target: Path, recorded: Path, change: Callable[[str], str]
) -> None:
    clone(over_git(server.url(repository)), target, recorded, change(server.key.read_text()))
    assert (target / "train.py").exists()


def test_a_wrong_key_names_the_secret_and_the_user(
    server: Sshd, repository: Path, target: Path, recorded: Path
) -> None:
    wanted = over_git(server.url(repository))
    said = refused(lambda: clone(wanted, target, recorded, server.other_key), "refused the key for the user")
    assert "the key id_rsa or id_ed25519 or id_ecdsa or ssh-privatekey of the secret 'deploy'" in said
    assert repr(server.user) in said
    assert not target.exists()


def test_a_missing_key(server: Sshd, repository: Path, target: Path, recorded: Path) -> None:
    wanted = over_ssh(server.url(repository), privateKey="deploy_key")
    said = refused(lambda: clone(wanted, target, recorded, None), "no private key", Code.SECRET_MISSING)
    assert "deploy_key of the secret 'deploy'" in said


def test_a_key_with_a_passphrase(server: Sshd, repository: Path, target: Path, recorded: Path) -> None:
    key = make_key(server.folder / "locked", passphrase="open sesame")
    refused(lambda: clone(over_git(server.url(repository)), target, recorded, key), "has a passphrase")


def test_a_broken_key(server: Sshd, repository: Path, target: Path, recorded: Path) -> None:
    lines = server.key.read_text().splitlines()
    del lines[2]
    refused(lambda: clone(over_git(server.url(repository)), target, recorded, "\n".join(lines)), "ssh cannot read")


def test_neither_the_agent_nor_other_keys_of_the_user_are_offered(
    server: Sshd, repository: Path, target: Path, recorded: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    socket = str(server.folder / "agent")
    agent = subprocess.Popen(["ssh-agent", "-D", "-a", socket], stdout=subprocess.DEVNULL)
    try:
        while not os.path.exists(socket):
            assert agent.poll() is None
        monkeypatch.setenv("SSH_AUTH_SOCK", socket)
        monkeypatch.setenv("GIT_SSH_COMMAND", "false")
        subprocess.run(["ssh-add", "-q", str(server.key)], check=True)
        wanted = over_git(server.url(repository))
        refused(lambda: clone(wanted, target, recorded, server.other_key), "refused the key")
        clone(wanted, target, recorded, server.key)
    finally:
        agent.terminate()
        agent.wait()


# --- the server


def test_a_wrong_pinned_key(server: Sshd, repository: Path, target: Path, recorded: Path) -> None:
    wanted = over_git(server.url(repository))
    said = refused(
        lambda: clone(wanted, target, recorded, server.key, server.wrong_known_hosts), "not the one in knownHosts"
    )
    assert f"[127.0.0.1]:{server.port}" in said
    assert "SHA256:" in said
    assert "Accepted" not in server.log


def test_a_server_that_is_not_among_the_pinned(server: Sshd, repository: Path, target: Path, recorded: Path) -> None:
    wanted = over_ssh(server.url(repository), knownHosts="example.org ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA")
    said = refused(lambda: clone(wanted, target, recorded, server.key), "knownHosts has no key")
    assert f"ssh-keyscan -p {server.port} 127.0.0.1" in said
    assert not recorded.exists()


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("/etc/ssh/ssh_known_hosts", "is a path"),
        ("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA", "without its host"),
        ("github.com", "none of a known_hosts file"),
    ],
)
def test_known_hosts_that_are_none(
    server: Sshd, repository: Path, target: Path, recorded: Path, text: str, wrong: str
) -> None:
    wanted = over_ssh(server.url(repository), knownHosts=text)
    refused(lambda: clone(wanted, target, recorded, server.key), wrong)


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa"])
def test_a_server_whose_key_has_changed_is_refused_until_somebody_says_so(
    server: Sshd, repository: Path, target: Path, recorded: Path, kind: str
) -> None:
    """``ecdsa``: a key of another type is another key, not one more."""
    wanted = over_git(server.url(repository))
    clone(wanted, target, recorded, server.key)
    host_key(server, kind)
    again = target.with_name("again")

    said = refused(lambda: clone(wanted, again, recorded, server.key), "showed another key")
    assert "somebody may be in between" in said
    command = said.split("`")[1]
    assert recorded.read_text() != server.known_hosts

    subprocess.run(command, shell=True, check=True, capture_output=True)
    clone(wanted, again, recorded, server.key)
    assert server.known_hosts in recorded.read_text()


def test_servers_keys_cannot_be_recorded(server: Sshd, repository: Path, target: Path, recorded: Path) -> None:
    recorded.mkdir(parents=True)
    wanted = over_git(server.url(repository))
    refused(lambda: clone(wanted, target, recorded, server.key), "cannot write the servers' keys")
    assert "Accepted" not in server.log


# --- the address


def test_several_repositories_over_one_connection_that_names_none(
    server: Sshd, repository: Path, target: Path, recorded: Path, tmp_path: Path
) -> None:
    make_repository(tmp_path / "more.git", {"more.py": "print(2)\n"})
    for name, url in (("one", server.url(repository)), ("two", server.url(tmp_path / "more.git"))):
        clone(over_ssh(url), target.with_name(name), recorded, server.key)
    assert (target.with_name("one") / "train.py").exists()
    assert (target.with_name("two") / "more.py").exists()
    assert recorded.read_text() == server.known_hosts


def test_user_and_port_of_the_connection(server: Sshd, repository: Path, target: Path, recorded: Path) -> None:
    for number, url in enumerate((
        f"127.0.0.1:{repository}",
        f"ssh://127.0.0.1{repository}",
        f"ssh://127.0.0.1:{server.port}{repository}",
        f"{server.user}@127.0.0.1:{repository}",
    )):  # fmt: skip
        wanted = over_ssh(url, user=server.user, port=server.port)
        clone(wanted, target.with_name(str(number)), recorded, server.key)
        got = subprocess.run(
            ["git", "config", "remote.origin.url"], cwd=target.with_name(str(number)), capture_output=True, text=True
        )
        assert got.stdout.strip() == url


@pytest.mark.parametrize("form", ["ssh://mallory@127.0.0.1:1{}", "mallory@127.0.0.1:{}"])
def test_user_and_port_of_the_connection_win_over_its_own_url(
    server: Sshd, repository: Path, target: Path, recorded: Path, form: str
) -> None:
    url = form.format(repository)
    clone(over_ssh(url, url=url, user=server.user, port=server.port), target, recorded, server.key)
    assert (target / "train.py").exists()


def test_the_user_is_git_unless_somebody_says_otherwise(
    server: Sshd, repository: Path, target: Path, recorded: Path
) -> None:
    wanted = over_git(f"ssh://127.0.0.1:{server.port}{repository}")
    refused(lambda: clone(wanted, target, recorded, server.key), "for the user 'git'")


def test_a_proxy_is_refused(server: Sshd, repository: Path, target: Path, recorded: Path) -> None:
    wanted = over_git(server.url(repository)).model_copy(update={"proxy": "http://127.0.0.1:3128"})
    refused(lambda: clone(wanted, target, recorded, server.key), "names a proxy, which is for http")


# --- submodules


def with_submodule(repository: Path, url: str) -> None:
    """A commit more: a private submodule ``sub``."""
    commit = make_repository(repository.parent / "sub.git", {"inner.txt": "in\n"})
    work = repository.parent / f"{repository.name}.work"

    def git(*args: str) -> None:
        subprocess.run(["git", *args], cwd=work, env={**os.environ, **WHO}, check=True, capture_output=True)

    (work / ".gitmodules").write_text(f'[submodule "sub"]\n\tpath = sub\n\turl = {url}\n')
    git("add", ".gitmodules")
    git("update-index", "--add", "--cacheinfo", f"160000,{commit},sub")
    git("commit", "--quiet", "-m", "a submodule")
    git("push", "--quiet", str(repository), "HEAD:main")


@pytest.mark.parametrize("absolute", [True, False])
def test_a_private_submodule_of_the_same_server(
    server: Sshd, repository: Path, target: Path, recorded: Path, absolute: bool
) -> None:
    with_submodule(repository, server.url(repository.parent / "sub.git") if absolute else "../sub.git")
    wanted = over_git(server.url(repository)).model_copy(update={"submodules": True})

    clone(wanted, target, recorded, server.key)

    assert (target / "sub" / "inner.txt").read_text() == "in\n"
    assert b"PRIVATE KEY" not in b"".join(path.read_bytes() for path in target.rglob("*") if path.is_file())


@pytest.mark.parametrize("pinned", [True, False])
def test_a_submodule_of_another_server_is_not_even_offered_the_key(
    server: Sshd, repository: Path, target: Path, recorded: Path, pinned: bool
) -> None:
    with_submodule(repository, server.url(repository.parent / "sub.git").replace("127.0.0.1", "localhost"))
    wanted = over_git(server.url(repository)).model_copy(update={"submodules": True})

    said = refused(
        lambda: clone(wanted, target, recorded, server.key, server.known_hosts if pinned else None),
        "the connection's key is for 127.0.0.1 alone",
    )
    assert "localhost" in said
    assert pinned or "localhost" not in recorded.read_text()
    assert not target.exists()
