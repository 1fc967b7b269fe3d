"""What only a folder of this machine can do wrong: links, rights, full disks."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tieline.errors import Code
from tieline.model.access import Credentials, ObjectStore, Volume
from tieline.stores import FolderStore, StoreTrouble, Why, open_store
from tieline.stores.copying import copy_contents, settles_in

NOBODY = 65534


@contextmanager
def tmpfs(folder: Path, options: str) -> Iterator[None]:
    """A small file system of its own; the test is skipped where this user may not mount one."""
    folder.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"cannot mount a tmpfs here: {done.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


@contextmanager
def no_rights(folder: Path) -> Iterator[None]:
    """Take the rights to a folder away, also from root."""
    folder.chmod(0)
    uid = os.geteuid()
    if uid == 0:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(uid)
        folder.chmod(0o755)


@pytest.fixture
def open_dir() -> Iterator[Path]:
    """A folder that every user may come to, which ``tmp_path`` is not."""
    with TemporaryDirectory() as name:
        Path(name).chmod(0o777)
        yield Path(name)


def why(caught: pytest.ExceptionInfo[StoreTrouble]) -> Why:
    return caught.value.why


def test_a_link_out_of_the_store_is_never_followed(tmp_path: Path) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    root.mkdir()
    outside.mkdir()
    (outside / "secret").write_text("s")
    (root / "up").symlink_to(outside)
    (root / "passwd").symlink_to(outside / "secret")
    (root / "chain").symlink_to("up/secret")
    (root / "loop").symlink_to("loop")
    store = FolderStore(root)

    for key in ("up/secret", "passwd", "chain", "loop"):
        with pytest.raises(StoreTrouble) as caught:
            store.open(key)
        assert caught.value.code == Code.UNSAFE_PATH
    with pytest.raises(StoreTrouble):
        store.open("loop/x")
    for key in ("up/new", "up/secret"):
        with pytest.raises(StoreTrouble):
            store.save_bytes(b"x", key)
        with pytest.raises(StoreTrouble):
            store.delete(key)
    with pytest.raises(StoreTrouble):
        store.make_dir("up/new")
    assert list(store.list()) == []
    assert [p.name for p in outside.iterdir()] == ["secret"]


def test_links_that_stay_inside_are_followed_for_reading_and_told_in_a_walk(tmp_path: Path) -> None:
    (tmp_path / "v2").mkdir()
    (tmp_path / "v2" / "f").write_text("two")
    (tmp_path / "current").symlink_to("v2")
    (tmp_path / "absolute").symlink_to(tmp_path / "v2" / "f")
    (tmp_path / "dangling").symlink_to("not/there")
    (tmp_path / "out").symlink_to("../elsewhere")
    store = FolderStore(tmp_path)

    with store.open("current/f") as one, store.open("absolute") as two:
        assert one.read() == two.read() == b"two"
    links = {e.key: e.points_to for e in store.walk() if e.what == "link"}
    assert links == {"absolute": "v2/f", "current": "v2", "dangling": "not/there", "out": None}
    store.save_bytes(b"new", "current/g")
    assert (tmp_path / "v2" / "g").read_bytes() == b"new"


def test_saving_over_a_link_replaces_the_link(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (tmp_path / "victim").write_text("safe")
    (root / "f").symlink_to(tmp_path / "victim")
    FolderStore(root).save_bytes(b"new", "f")

    assert (tmp_path / "victim").read_text() == "safe"
    assert not (root / "f").is_symlink()


def test_a_folder_swapped_for_a_link_while_saving_never_lets_a_file_out(tmp_path: Path) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    (root / "real").mkdir(parents=True)
    outside.mkdir()
    (root / "d").mkdir()
    store, stop, numbers = FolderStore(root), threading.Event(), count()

    def swap() -> None:
        while not stop.is_set():
            with suppress(OSError):
                (root / "d").rename(root / f"aside{next(numbers)}")
            with suppress(OSError):
                (root / "d").symlink_to(outside)
            with suppress(OSError):
                (root / "d").unlink()

    swapper = threading.Thread(target=swap)
    swapper.start()
    try:
        for _ in range(300):
            try:
                store.save_bytes(b"x", "d/f")
            except StoreTrouble:  # nothing else may come out, and nothing may get out
                continue
    finally:
        stop.set()
        swapper.join()
    assert list(outside.iterdir()) == []


def test_a_root_that_is_not_there_is_a_failure_not_an_empty_store(tmp_path: Path) -> None:
    store = FolderStore(tmp_path / "unmounted")
    attempts = (
        lambda: store.stat("f"),
        lambda: list(store.list()),
        lambda: list(store.walk()),
        lambda: store.save_bytes(b"", "f"),
        lambda: store.make_dir("d"),
        lambda: store.open("f"),
        store.flush,
    )
    for attempt in attempts:
        with pytest.raises(StoreTrouble, match=r"unmounted.*is not there") as caught:
            attempt()
        assert why(caught) == Why.NOT_FOUND
    assert not (tmp_path / "unmounted").exists()


def test_a_sub_path_is_made_by_the_first_save_and_its_volume_is_not(tmp_path: Path) -> None:
    volume = Volume(host_path=str(tmp_path / "disk"), mount_path="/m", sub_path="a/b")
    with pytest.raises(StoreTrouble):
        open_store(volume, {}).save_bytes(b"", "f")
    assert not (tmp_path / "disk").exists()
    (tmp_path / "disk").mkdir()
    assert open_store(volume, {}).stat("") is None
    assert list(open_store(volume, {}).list()) == []
    open_store(volume, {}).save_bytes(b"", "f")
    assert (tmp_path / "disk/a/b/f").exists()


@pytest.mark.parametrize("sub_path", ["..", "../x", "link", "link/x"])
def test_a_sub_path_may_not_leave_its_volume(tmp_path: Path, sub_path: str) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "disk/link").symlink_to(tmp_path)
    with pytest.raises(StoreTrouble) as caught:
        open_store(Volume(host_path=str(tmp_path / "disk"), mount_path="/m", sub_path=sub_path), {})
    assert caught.value.code == Code.UNSAFE_PATH


def test_a_read_only_volume_reads_and_does_not_write(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("x")
    store = open_store(Volume(host_path=str(tmp_path), mount_path="/m", read_only=True), {})
    assert [e.key for e in store.list()] == ["f"]
    for attempt in (lambda: store.save_bytes(b"", "g"), lambda: store.delete("f"), lambda: store.make_dir("d")):
        with pytest.raises(StoreTrouble, match="readOnly") as caught:
            attempt()
        assert why(caught) == Why.READ_ONLY
    assert [p.name for p in tmp_path.iterdir()] == ["f"]


def test_what_cannot_be_opened_says_so(tmp_path: Path) -> None:
    role = Credentials(method="assume-role", secret="s", role="r")
    with pytest.raises(StoreTrouble, match=r"gs://b has auth\.method assume-role") as caught:
        open_store(ObjectStore(provider="gcs", bucket="b", credentials=role), {})
    assert caught.value.code == Code.UNSUPPORTED
    with pytest.raises(StoreTrouble, match="did you mean 'data'"):
        open_store(Volume(claim="dat", mount_path="/m"), {"data": str(tmp_path)})
    with pytest.raises(StoreTrouble, match="not absolute"):
        open_store(Volume(host_path="relative", mount_path="/m"), {})


def test_forbidden_is_not_not_found(open_dir: Path) -> None:
    locked = open_dir / "locked"
    (locked / "inner").mkdir(parents=True)
    store = FolderStore(open_dir)
    with no_rights(locked):
        attempts = (
            lambda: store.stat("locked/inner"),
            lambda: list(store.list()),
            lambda: store.save_bytes(b"", "locked/f"),
            lambda: store.open("locked/inner/f"),
            lambda: store.delete("locked/inner"),
        )
        for attempt in attempts:
            with pytest.raises(StoreTrouble, match=r"locked.*not allowed") as caught:
                attempt()
            assert why(caught) == Why.FORBIDDEN


def test_a_folder_that_cannot_be_read_can_be_told_and_passed_over(open_dir: Path) -> None:
    (open_dir / "locked").mkdir()
    (open_dir / "z").write_text("")
    told: list[StoreTrouble] = []
    with no_rights(open_dir / "locked"):
        found = [e.key for e in FolderStore(open_dir).walk("", told.append)]
    assert found == ["locked", "z"]
    assert [t.why for t in told] == [Why.FORBIDDEN]


def test_a_local_file_that_cannot_be_read_is_not_the_stores_fault(open_dir: Path) -> None:
    (open_dir / "f").write_text("x")
    (open_dir / "store").mkdir(mode=0o777)
    with no_rights(open_dir / "f"), pytest.raises(StoreTrouble) as caught:
        FolderStore(open_dir / "store").save_file(open_dir / "f", "f")
    assert why(caught) == Why.SOURCE
    assert caught.value.code == Code.FILE_UNREADABLE


def test_a_full_disk_says_full_and_keeps_nothing_half(tmp_path: Path) -> None:
    with tmpfs(tmp_path / "disk", "size=256k"):
        store = FolderStore(tmp_path / "disk")
        store.save_bytes(b"old", "f")
        big = tmp_path / "big"
        big.write_bytes(os.urandom(1_000_000))
        for attempt in (lambda: store.save_file(big, "f"), lambda: store.save_bytes(big.read_bytes(), "f")):
            with pytest.raises(StoreTrouble, match="no space is left") as caught:
                attempt()
            assert why(caught) == Why.FULL
        assert (tmp_path / "disk/f").read_bytes() == b"old"
        assert [p.name for p in (tmp_path / "disk").iterdir()] == ["f"]


def test_a_read_only_file_system_says_so(tmp_path: Path) -> None:
    with tmpfs(tmp_path / "disk", "ro,size=64k"), pytest.raises(StoreTrouble, match="read-only") as caught:
        FolderStore(tmp_path / "disk").save_bytes(b"", "f")
    assert why(caught) == Why.READ_ONLY


def test_a_file_where_a_folder_is_needed(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    store.save_bytes(b"", "f")
    store.make_dir("d")
    for attempt in (lambda: store.save_bytes(b"", "f/x"), lambda: store.save_bytes(b"", "d"), lambda: store.open("d")):
        with pytest.raises(StoreTrouble) as caught:
            attempt()
        assert why(caught) == Why.IN_THE_WAY


def test_rights_of_a_private_file_stay_private(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    (tmp_path / "key").write_text("k")
    (tmp_path / "key").chmod(0o600)
    FolderStore(tmp_path / "store").save_file(tmp_path / "key", "key")
    assert (tmp_path / "store/key").stat().st_mode & 0o777 == 0o600


def test_a_copy_is_never_a_hard_link(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    (tmp_path / "f").write_text("one")
    FolderStore(tmp_path / "store").save_file(tmp_path / "f", "f")
    with (tmp_path / "f").open("r+") as stream:
        stream.write("two")
    assert (tmp_path / "store/f").read_text() == "one"


def test_a_save_that_is_killed_leaves_no_half_file_and_its_part_is_swept(tmp_path: Path) -> None:
    script = (
        "import os,sys; from pathlib import Path; from tieline.stores import FolderStore\n"
        "def chunks():\n yield b'x'*100000\n os.kill(os.getpid(), 9)\n"
        "FolderStore(Path(sys.argv[1])).save_chunks(chunks(), 'd/f')\n"
    )
    done = subprocess.run([sys.executable, "-c", script, tmp_path], capture_output=True)
    store = FolderStore(tmp_path)

    assert done.returncode == -9
    assert len(list((tmp_path / "d").iterdir())) == 1
    assert [e.key for e in store.walk()] == ["d"]
    store.sweep()
    assert list((tmp_path / "d").iterdir()) == []


def test_a_tree_deeper_than_the_stack_of_python(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    key = "/".join(["d"] * 400 + ["f"])
    store.save_bytes(b"deep", key)
    assert [e.key for e in store.list()] == [key]
    assert sum(1 for _ in store.walk()) == 401


def test_no_descriptor_is_left_open(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    for number in range(20):
        store.save_bytes(b"", f"{number}/a/b")
    (tmp_path / "out").symlink_to("/")
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(30):
        list(store.walk())
        next(iter(store.walk()))
        with pytest.raises(StoreTrouble):
            store.open("out/etc/passwd")
        with pytest.raises(StoreTrouble):
            store.open("0/a")
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_a_file_that_shrinks_while_it_is_copied(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"12345")
    source = os.open(tmp_path / "f", os.O_RDONLY)
    target = os.open(tmp_path / "g", os.O_RDWR | os.O_CREAT)
    try:
        assert copy_contents(source, target, 9_000_000) == 5
    finally:
        os.close(source)
        os.close(target)
    assert (tmp_path / "g").read_bytes() == b"12345"


def test_contents_can_be_copied_where_the_kernel_will_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no(*_: object) -> int:
        raise OSError(18, "cross-device")

    monkeypatch.setattr(os, "copy_file_range", no)
    (tmp_path / "store").mkdir()
    data = os.urandom(3_000_000)
    (tmp_path / "f").write_bytes(data)
    FolderStore(tmp_path / "store").save_file(tmp_path / "f", "f")
    assert (tmp_path / "store/f").read_bytes() == data


@pytest.mark.parametrize(
    ("mtime", "now", "wait"),
    [
        (1_000_000_001, 1_000_000_001, True),
        (1_000_000_001, 1_030_000_001, False),
        (5_000_000_001, 1_000_000_000, False),  # set to the future: a write now would show
        (1_000_000_000, 2_500_000_000, True),  # whole seconds: the clock may be a coarse one
        (1_000_000_000, 3_500_000_000, False),
    ],
)
def test_when_a_time_is_settled(mtime: int, now: int, wait: bool) -> None:
    assert (settles_in(mtime, now) > 0) is wait
