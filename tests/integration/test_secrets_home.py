"""Secrets in Tieline's home: private files, whatever the umask; nothing that leads out of it; one namespace each."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tieline.errors import Code, InvalidInput, NotFound, RecordError
from tieline.secrets.failures import SourceFailed
from tieline.secrets.home import HomeSource
from tieline.secrets.keeping import Keeper
from tieline.secrets.private import LARGEST, STALE
from tieline.secrets.secret import Secret


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def keeper(home: Path) -> Keeper:
    return Keeper(home, "secret")


@pytest.fixture
def source(home: Path) -> HomeSource:
    return HomeSource(home, "default")


def keep(keeper: Keeper, name: str = "db", namespace: str = "default", **values: str | bytes) -> Path:
    keeper.set(namespace, name, {key: Secret(value) for key, value in values.items()})
    return keeper.home / "secrets" / namespace / name


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture(params=[0o000, 0o022, 0o077, 0o777])
def umask(request: pytest.FixtureRequest) -> Iterator[None]:
    before = os.umask(request.param)
    yield
    os.umask(before)


@pytest.mark.usefixtures("umask")
def test_files_and_folders_are_private_whatever_the_umask(keeper: Keeper, home: Path) -> None:
    folder = keep(keeper, password="x")
    assert mode(folder / "password") == 0o600
    for path in (home, home / "secrets", home / "secrets" / "default", folder):
        assert mode(path) == 0o700


def test_setting_again_replaces_one_key_and_leaves_the_others(keeper: Keeper, source: HomeSource) -> None:
    keep(keeper, a="1", b="2")
    keep(keeper, b="3", c="4")
    assert source.keys("secret", "db") == ["a", "b", "c"]
    assert [source.read("secret", "db", key) for key in "abc"] == [Secret("1"), Secret("3"), Secret("4")]


def test_setting_again_makes_it_private_again(keeper: Keeper, home: Path) -> None:
    folder = keep(keeper, a="1")
    for path in (folder, folder.parent):
        path.chmod(0o777)
    (folder / "a").chmod(0o666)
    keep(keeper, a="2")
    assert (mode(folder), mode(folder.parent), mode(folder / "a")) == (0o700, 0o700, 0o600)


def test_values_are_kept_to_the_byte(keeper: Keeper, source: HomeSource) -> None:
    values = {
        "crlf": b"a\r\nb\r\n",
        "newline": b"x\n",
        "binary": bytes(range(256)),
        "empty": b"",
        "large": b"x" * LARGEST,
    }
    keep(keeper, **values)
    for key, value in values.items():
        assert source.read("secret", "db", key) == Secret(value)


def test_a_value_that_no_cluster_could_hold_is_refused_before_anything_is_written(keeper: Keeper, home: Path) -> None:
    with pytest.raises(InvalidInput) as caught:
        keep(keeper, small="x", large=b"y" * (LARGEST + 1))
    assert caught.value.code is Code.TOO_LARGE
    assert "yyy" not in str(caught.value)
    assert not home.exists()


@pytest.mark.parametrize(
    ("namespace", "name", "key"),
    [
        ("..", "db", "k"), ("a/b", "db", "k"), ("", "db", "k"), ("A", "db", "k"),
        ("default", "..", "k"), ("default", "../x", "k"), ("default", "a/b", "k"), ("default", "", "k"),
        ("default", "db\0", "k"), ("default", ".hidden", "k"), ("default", "a" * 254, "k"), ("default", "db\n", "k"),
        ("default", "db", ".."), ("default", "db", "."), ("default", "db", "../k"), ("default", "db", "a/b"),
        ("default", "db", "k\0"), ("default", "db", ""), ("default", "db", "a b"), ("default", "db", "..data"),
        ("default", "db", "~part"), ("default", "db", "k\n"), ("default", "db", "ü"), ("default", "db", "a=b"),
    ],
)  # fmt: skip
def test_names_that_are_none_are_refused(keeper: Keeper, tmp_path: Path, namespace: str, name: str, key: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        keeper.set(namespace, name, {key: Secret("canary")})
    assert caught.value.code is Code.BAD_NAME
    assert list(tmp_path.iterdir()) == []


def test_usual_names_are_taken(keeper: Keeper, source: HomeSource) -> None:
    for name in ("az-secret", "a.b", "a..b", "a_b", "0", "a" * 253):
        for key in (".dockerconfigjson", "config.json", "AWS_KEY", "id_rsa", "-", "a" * 253):
            keep(keeper, name, **{key: "x"})
            assert source.read("secret", name, key) == Secret("x")


# --- what others could have done


def test_a_file_that_others_may_read_is_refused_with_the_command_that_mends_it(
    keeper: Keeper, source: HomeSource
) -> None:
    path = keep(keeper, password="canary-1") / "password"
    path.chmod(0o640)
    with pytest.raises(SourceFailed) as caught:
        source.read("secret", "db", "password")
    assert f"{path}: other users may read it (mode 0640); `chmod 600 {path}`" in str(caught.value)
    assert "canary" not in "".join(traceback.format_exception(caught.value))
    path.chmod(0o600)
    assert source.read("secret", "db", "password") == Secret("canary-1")


@pytest.mark.parametrize("where", [".", "..", "../.."])
def test_a_folder_that_others_may_write_is_refused(keeper: Keeper, source: HomeSource, where: str) -> None:
    folder = (keep(keeper, password="x") / where).resolve()
    folder.chmod(0o770)
    for look in (lambda: source.read("secret", "db", "password"), lambda: source.keys("secret", "db")):
        with pytest.raises(SourceFailed, match="other users may write it"):
            look()


def test_a_config_map_may_be_read_by_others_and_not_written(home: Path, source: HomeSource) -> None:
    Keeper(home, "configMap").set("default", "place", {"host": Secret("h")})
    path = home / "configmaps" / "default" / "place" / "host"
    path.chmod(0o644)
    assert source.read("configMap", "place", "host") == Secret("h")
    path.chmod(0o664)
    with pytest.raises(SourceFailed, match="other users may write it"):
        source.read("configMap", "place", "host")


@pytest.mark.parametrize("level", ["key", "name", "namespace", "secrets"])
def test_a_link_is_never_followed(keeper: Keeper, source: HomeSource, home: Path, tmp_path: Path, level: str) -> None:
    outside = tmp_path / "outside"
    keep(Keeper(outside, "secret"), password="canary-2")
    folder = keep(keeper, password="mine")
    place = {
        "key": folder / "password", "name": folder, "namespace": folder.parent, "secrets": folder.parent.parent
    }[level]  # fmt: skip
    target = outside / place.relative_to(home)
    subprocess.run(["rm", "-r", str(place)], check=True)
    place.symlink_to(target)
    with pytest.raises(SourceFailed) as caught:
        source.read("secret", "db", "password")
    assert str(caught.value).startswith(f"{place}: is a symbolic link")
    assert "canary" not in str(caught.value)
    if level != "key":
        with pytest.raises(SourceFailed):
            keep(keeper, password="new")
    assert (outside / "secrets/default/db/password").read_text() == "canary-2"


def test_setting_a_key_replaces_a_link_and_not_what_it_points_to(keeper: Keeper, tmp_path: Path) -> None:
    folder = keep(keeper, other="x")
    (tmp_path / "victim").write_text("untouched")
    (folder / "password").symlink_to(tmp_path / "victim")
    keep(keeper, password="new")
    assert not (folder / "password").is_symlink()
    assert (tmp_path / "victim").read_text() == "untouched"


def test_the_home_itself_may_be_a_link(keeper: Keeper, home: Path, tmp_path: Path) -> None:
    keep(keeper, password="x")
    (tmp_path / "link").symlink_to(home)
    assert HomeSource(tmp_path / "link", "default").read("secret", "db", "password") == Secret("x")


@pytest.mark.timeout(20)
def test_what_is_no_plain_file_is_refused_and_never_waited_for(keeper: Keeper, source: HomeSource) -> None:
    folder = keep(keeper, other="x")
    os.mkfifo(folder / "pipe", 0o600)
    (folder / "folder").mkdir()
    for key in ("pipe", "folder"):
        with pytest.raises(SourceFailed, match="is no plain file"):
            source.read("secret", "db", key)
    assert source.keys("secret", "db") == ["other", "pipe"]


def test_a_file_in_a_folders_place_is_told(home: Path, source: HomeSource) -> None:
    (home / "secrets").mkdir(parents=True, mode=0o700)
    (home / "secrets" / "default").write_text("x")
    with pytest.raises(SourceFailed, match="Not a directory"):
        source.keys("secret", "db")


@contextmanager
def as_somebody_else() -> Iterator[None]:
    """Root may read everything, so root's tests do this as nobody."""
    before = os.geteuid()
    if before == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(before)


def test_a_file_without_rights_is_told(keeper: Keeper, source: HomeSource) -> None:
    (keep(keeper, password="x") / "password").chmod(0o000)
    with as_somebody_else(), pytest.raises(SourceFailed, match="Permission denied; check its rights"):
        source.read("secret", "db", "password")


def test_a_file_that_has_grown_too_large_is_refused(keeper: Keeper, source: HomeSource) -> None:
    path = keep(keeper, password="x") / "password"
    os.truncate(path, LARGEST + 1)
    with pytest.raises(SourceFailed, match="larger than 1 MiB"):
        source.read("secret", "db", "password")


# --- namespaces


def test_a_namespace_sees_its_own_only(keeper: Keeper, home: Path) -> None:
    keep(keeper, "db", "team-a", password="a")
    keep(keeper, "db", "team-b", password="b")
    keep(keeper, "only-b", "team-b", password="b")
    a, b = HomeSource(home, "team-a"), HomeSource(home, "team-b")
    assert a.read("secret", "db", "password") == Secret("a")
    assert b.read("secret", "db", "password") == Secret("b")
    assert (a.names("secret"), b.names("secret")) == (["db"], ["db", "only-b"])
    assert a.keys("secret", "only-b") is None
    keeper.remove("team-b", "db")
    assert a.read("secret", "db", "password") == Secret("a")
    assert a.remedy("secret", "x", ("k",)) == "`tieline secrets set x k -n team-a`"
    assert HomeSource(home, "default").remedy("configMap", "x", ()) == "`tieline configmaps set x KEY…`"


# --- removing, listing


def test_removing_keys_and_the_last_one(keeper: Keeper, source: HomeSource, home: Path) -> None:
    folder = keep(keeper, a="1", b="2")
    keeper.remove("default", "db", ["a"])
    assert source.keys("secret", "db") == ["b"]
    keeper.remove("default", "db", ["b"])
    assert source.keys("secret", "db") is None
    assert not folder.exists()


@pytest.mark.parametrize(
    ("name", "keys", "message"),
    [
        ("dbs", [], "there is no secret 'dbs' in Tieline's home; did you mean 'db'?"),
        ("db", ["a", "passwort"], "the secret 'db' has no key 'passwort' in Tieline's home; did you mean 'password'?"),
        ("../db", [], "there is no secret '../db' in Tieline's home; `tieline secrets list` shows what there is"),
        ("db", ["../db/a"], "has no key '../db/a'"),
    ],
)
def test_removing_what_is_not_there_removes_nothing(keeper: Keeper, name: str, keys: list[str], message: str) -> None:
    folder = keep(keeper, a="1", password="2")
    with pytest.raises(NotFound) as caught:
        keeper.remove("default", name, keys)
    assert message in str(caught.value)
    assert sorted(path.name for path in folder.iterdir()) == ["a", "password"]


def test_a_list_has_names_keys_and_dates_of_all_namespaces(keeper: Keeper) -> None:
    before = time.time() - 1
    keep(keeper, "one", "team-a", a="1", b="2")
    keep(keeper, "two", "default", c="3")
    listed = keeper.list()
    assert [(kept.namespace, kept.name, [key.name for key in kept.keys]) for kept in listed] == [
        ("default", "two", ["c"]), ("team-a", "one", ["a", "b"]),
    ]  # fmt: skip
    assert all(before <= key.changed.timestamp() <= time.time() for kept in listed for key in kept.keys)
    assert [kept.name for kept in keeper.list("team-a")] == ["one"]
    assert [kept.name for kept in keeper.list(name="two")] == ["two"]
    assert keeper.list("../..") == []


def test_a_home_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for act in (
        lambda keeper: keep(keeper, a="1"),
        lambda keeper: keeper.list(),
    ):
        with pytest.raises(RecordError) as caught:
            act(Keeper(tmp_path / "file" / "home", "secret"))
        assert caught.value.code is Code.HOME_UNUSABLE


# --- killed, and at the same time


def test_what_a_killed_command_left_is_no_key_and_is_swept(keeper: Keeper, source: HomeSource) -> None:
    folder = keep(keeper, a="1")
    old, new = folder / "~old", folder / "~new"
    for path in (old, new):
        path.write_text("canary")
    os.utime(old, (time.time() - STALE - 60,) * 2)
    assert source.keys("secret", "db") == ["a"]
    keep(keeper, b="2")
    assert (old.exists(), new.exists()) == (False, True)
    keeper.remove("default", "db")
    assert not folder.exists()


def test_a_value_is_whole_or_the_old_one_whenever_it_is_read(keeper: Keeper, source: HomeSource) -> None:
    values = [bytes([letter]) * size for letter, size in ((65, 100_000), (66, 300_000), (67, 1))]
    keep(keeper, k=values[0])
    stop = threading.Event()
    wrong: list[Any] = []

    def read() -> None:
        while not stop.is_set():
            found = source.read("secret", "db", "k")
            if found is None or found.reveal() not in values:
                wrong.append(found and len(found.reveal()))

    reader = threading.Thread(target=read)
    reader.start()
    for number in range(60):
        keep(keeper, k=values[number % 3])
    stop.set()
    reader.join()
    assert wrong == []


def test_many_commands_at_once_lose_no_key(home: Path, source: HomeSource) -> None:
    program = (
        "import sys; from pathlib import Path; from tieline.secrets.keeping import Keeper; "
        "from tieline.secrets.secret import Secret\n"
        "keeper = Keeper(Path(sys.argv[1]), 'secret')\n"
        "for n in range(8): keeper.set('default', 'db', {f'k{sys.argv[2]}-{n}': Secret('x')})"
    )
    running = [subprocess.Popen([sys.executable, "-c", program, str(home), str(number)]) for number in range(4)]
    assert [process.wait(60) for process in running] == [0] * 4
    assert len(source.keys("secret", "db") or []) == 32
