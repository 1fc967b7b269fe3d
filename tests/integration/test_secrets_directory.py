"""A folder of secrets: links as Kubernetes makes them are followed, those that lead out are not."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tieline.secrets.directory import DirectorySource
from tieline.secrets.failures import SourceFailed
from tieline.secrets.private import LARGEST
from tieline.secrets.secret import Secret


@pytest.fixture
def source(tmp_path: Path) -> DirectorySource:
    (tmp_path / "secrets" / "db").mkdir(parents=True)
    (tmp_path / "secrets" / "db" / "password").write_text("mine")
    (tmp_path / "secrets" / "other").mkdir()
    (tmp_path / "secrets" / "other" / "password").write_text("canary-other")
    (tmp_path / "outside").write_text("canary-outside")
    return DirectorySource(tmp_path / "secrets")


@pytest.mark.parametrize("target", ["../../outside", "../other/password", "/etc/hostname", "../db2/x"])
def test_a_link_out_of_the_secrets_own_folder_is_refused(source: DirectorySource, target: str) -> None:
    (source.path / "db2").mkdir()
    (source.path / "db2" / "x").write_text("canary-x")
    (source.path / "db" / "link").symlink_to(target)
    assert source.keys("secret", "db") == ["link", "password"]
    with pytest.raises(SourceFailed, match="is a link out of its folder") as caught:
        source.read("secret", "db", "link")
    assert "canary" not in str(caught.value)


def test_a_link_in_circles_and_one_to_nothing(source: DirectorySource) -> None:
    (source.path / "db" / "circle").symlink_to("circle")
    (source.path / "db" / "nothing").symlink_to("gone")
    assert source.read("secret", "db", "nothing") is None
    with pytest.raises(SourceFailed, match="Too many levels of symbolic links"):
        source.read("secret", "db", "circle")


def test_the_folders_themselves_may_be_links(source: DirectorySource, tmp_path: Path) -> None:
    (tmp_path / "mounted").symlink_to(source.path)
    (source.path / "alias").symlink_to("db")
    linked = DirectorySource(tmp_path / "mounted")
    assert linked.read("secret", "db", "password") == Secret("mine")
    assert linked.read("secret", "alias", "password") == Secret("mine")


def test_a_rotation_gives_the_new_value(source: DirectorySource) -> None:
    folder = source.path / "tls"
    for moment, value in (("..1", "old"), ("..2", "new")):
        (folder / moment).mkdir(parents=True)
        (folder / moment / "key").write_text(value)
    (folder / "..data").symlink_to("..1")
    (folder / "key").symlink_to("..data/key")
    assert source.read("secret", "tls", "key") == Secret("old")
    (folder / "..new").symlink_to("..2")
    (folder / "..new").rename(folder / "..data")
    assert source.read("secret", "tls", "key") == Secret("new")
    assert source.keys("secret", "tls") == ["key"]


def test_what_everybody_may_write_is_refused_and_what_a_group_may_read_is_not(source: DirectorySource) -> None:
    path = source.path / "db" / "password"
    path.chmod(0o444)
    assert source.read("secret", "db", "password") == Secret("mine")
    path.chmod(0o666)
    with pytest.raises(SourceFailed, match="other users may write it"):
        source.read("secret", "db", "password")


@pytest.mark.timeout(20)
def test_what_is_no_plain_file(source: DirectorySource) -> None:
    os.mkfifo(source.path / "db" / "pipe")
    (source.path / "db" / "zero").symlink_to("/dev/zero")
    (source.path / "db" / "sub").mkdir()
    (source.path / "db" / "large").touch()
    os.truncate(source.path / "db" / "large", LARGEST + 1)
    for key, reason in (("pipe", "no plain file"), ("zero", "out of its folder"), ("large", "larger than 1 MiB")):
        with pytest.raises(SourceFailed, match=reason):
            source.read("secret", "db", key)
    with pytest.raises(SourceFailed):
        source.read("secret", "db", "sub")
    assert "sub" not in (source.keys("secret", "db") or [])


def test_a_file_in_a_secrets_place_is_told(source: DirectorySource) -> None:
    (source.path / "flat").write_text("canary")
    with pytest.raises(SourceFailed, match="a secret is a folder with a file per key"):
        source.keys("secret", "flat")
    assert source.names("secret") == ["db", "other"]


def test_other_files_in_it_are_no_keys(source: DirectorySource) -> None:
    for name in ("password~", "..hidden", "a b", "#password#"):
        (source.path / "db" / name).write_text("x")
    assert source.keys("secret", "db") == ["password"]


def test_a_folder_that_is_not_there_has_nothing(tmp_path: Path) -> None:
    source = DirectorySource(tmp_path / "nowhere")
    assert source.keys("secret", "db") is None
    assert source.names("secret") == []
    assert source.keys("configMap", "db") is None
    assert str(tmp_path / "nowhere") in source.name
    assert "configMaps:" in source.remedy("configMap", "m", ())


def test_no_rights_are_told(source: DirectorySource) -> None:
    if os.geteuid() != 0:
        source.path.chmod(0o000)
    else:
        os.seteuid(65534)
    try:
        with pytest.raises(SourceFailed, match="Permission denied; check its rights"):
            source.keys("secret", "db")
        with pytest.raises(SourceFailed, match="Permission denied; check its rights"):
            source.read("secret", "db", "password")
    finally:
        if os.getuid() == 0:
            os.seteuid(0)
        source.path.chmod(0o700)
