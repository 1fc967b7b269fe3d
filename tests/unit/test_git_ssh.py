"""A key or a list of servers that somebody pasted: what is taken, and what the refusal says."""

import subprocess
from pathlib import Path

import pytest

from servers.processes import needed
from tieline.errors import StepFailed
from tieline.git.known_hosts import is_recorded, name_of, write_pinned
from tieline.git.ssh import _Target
from tieline.git.ssh_key import private_key
from tieline.git.url import ssh_place
from tieline.model.access import SshHost
from tieline.secrets.secret import Secret

SOURCE = "the key id_rsa of the secret 'deploy'"
LINE = "example.org ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9"


def make(path: Path, passphrase: str, *form: str) -> Secret:
    command = [needed("ssh-keygen", "openssh-client"), "-q", "-N", passphrase, "-C", "", "-f", str(path), *form]
    subprocess.run(command, check=True)
    return Secret(path.read_bytes())


@pytest.mark.parametrize(
    "form", [("-t", "ed25519"), ("-t", "rsa", "-b", "2048"), ("-t", "rsa", "-b", "2048", "-m", "PEM"),
             ("-t", "ecdsa", "-m", "PKCS8")],
)  # fmt: skip
def test_every_form_of_a_key_with_and_without_a_passphrase(tmp_path: Path, form: tuple[str, ...]) -> None:
    plain = make(tmp_path / "plain", "", *form)
    assert private_key(plain, SOURCE) == plain.reveal()
    assert private_key(Secret(plain.reveal().strip().replace(b"\n", b"\r\n")), SOURCE) == plain.reveal()
    with pytest.raises(StepFailed, match=r"private key in the key id_rsa .* has a passphrase"):
        private_key(make(tmp_path / "locked", "open sesame", *form), SOURCE)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA me@here", "has a public key"),
        ("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----", "has a public key"),
        ("PuTTY-User-Key-File-3: ssh-ed25519", "PuTTY"),
        ("LS0tLS1CRUdJTiBPUEVOU1NIIFBSSVZBVEUgS0VZLS0tLS0K", "base64 once too often"),
        ("", "is empty"),
        ("-----BEGIN OPENSSH PRIVATE KEY-----\nb3Bl", "only a part of one"),
        ("/home/me/.ssh/id_rsa", "has no private key"),
    ],
)
def test_what_is_no_private_key(text: str, says: str) -> None:
    with pytest.raises(StepFailed, match=says) as caught:
        private_key(Secret(text), SOURCE)
    assert SOURCE in str(caught.value)
    assert not text or text not in str(caught.value)


@pytest.mark.parametrize(
    "text", [LINE, f"# ours\r\n\r\n  {LINE} a comment\r\n", f"@cert-authority *.{LINE}", f"[example.org]:22,{LINE}"]
)
def test_lines_of_a_known_hosts_file(tmp_path: Path, text: str) -> None:
    write_pinned(Secret(text), tmp_path / "hosts")
    assert (tmp_path / "hosts").read_bytes().endswith(b"\n")
    assert b"\r" not in (tmp_path / "hosts").read_bytes()
    assert (tmp_path / "hosts").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("text", ["example.org", "example.org ssh-ed25519", "github.com SHA256:abc", LINE[:32]])
def test_what_is_no_line_of_one(tmp_path: Path, text: str) -> None:
    with pytest.raises(StepFailed, match="knownHosts has a line that is none"):
        write_pinned(Secret(text), tmp_path / "hosts")
    assert not (tmp_path / "hosts").exists()


def test_what_a_server_is_called() -> None:
    assert name_of("Example.org", 22) == "example.org"
    assert name_of("::1", 2222) == "[::1]:2222"


def test_a_server_is_found_also_under_its_hashed_name(tmp_path: Path) -> None:
    needed("ssh-keygen", "openssh-client")
    hosts = tmp_path / "hosts"
    hosts.write_text(f"{LINE}\n[example.net]:2222 {LINE.partition(' ')[2]}\n")
    for _ in range(2):
        assert is_recorded(hosts, name_of("Example.org", 22))
        assert is_recorded(hosts, name_of("example.net", 2222))
        assert not is_recorded(hosts, name_of("example.net", 22))
        subprocess.run(["ssh-keygen", "-q", "-H", "-f", hosts], check=True, capture_output=True)
    assert "example" not in hosts.read_text()
    assert not is_recorded(tmp_path / "none", "example.org")


HERE = {"url": "ssh://git@a:2222/x", "host": "a", "port": 2222, "user": "git"}


@pytest.mark.parametrize(
    ("url", "ssh", "expected"),
    [  # user, port, whether the port has to be said, what replaces the URL's beginning
        ("ssh://git@a:2222/x", HERE, ("git", 2222, False, "")),
        ("git@a:other", HERE, ("git", 2222, True, "")),  # the connection says where a is
        ("me@a:other", HERE, ("me", 2222, True, "")),
        ("ssh://a:2200/x", HERE, ("git", 2200, False, "")),  # the job says another port
        ("git@b:other", HERE, ("git", 22, False, "")),  # and this is another server
        ("b:other", {"user": "bob", "port": 2200}, ("bob", 2200, True, "")),  # it names no server
        ("b:other", {}, ("git", 22, False, "")),
        ("ssh://git@a:2222/x", {**HERE, "user": "bob"}, ("bob", 2222, True, "ssh://a/")),
        ("ssh://git@a:2222/x", {**HERE, "port": 2200}, ("git", 2200, True, "ssh://a/")),
        ("git@[::1]:x", {"url": "git@[::1]:x", "host": "::1", "user": "bob"}, ("bob", 22, False, "[::1]:")),
    ],
)
def test_who_says_user_and_port(url: str, ssh: dict[str, object], expected: tuple[object, ...]) -> None:
    place = ssh_place(url)
    assert place is not None
    host = SshHost.model_validate(ssh)
    target = _Target.of(place, host, given_by_job=url != host.url)
    assert (target.user, target.port, target.say_port, target.bare) == expected
