"""The manifest that a collector keeps: while the run goes on, at its end, and where another collector goes on."""

from __future__ import annotations

import hashlib
import os
import secrets
import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest

from servers import buckets
from tieline.steps import manifest as manifests
from tieline.steps.collector import Collector
from tieline.steps.manifest import Entry, Keeper, Manifest, lines, read_manifest
from tieline.steps.meter import Meter
from tieline.steps.output_saver import OutputSaver
from tieline.steps.retrying import Patience
from tieline.steps.spools import Spool
from tieline.stores import FolderStore, Saved, Store, StoreTrouble, Why


@pytest.fixture(params=["folder", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    if request.param == "s3":
        return buckets.s3(f"manifest/{secrets.token_hex(8)}")
    (tmp_path / "disk").mkdir()
    return FolderStore(tmp_path / "disk")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "outputs"
    made.mkdir()
    return made


def collector(store: Store, folder: Path) -> Collector:
    spool = folder.parent / "spool"
    return Collector(
        store, "run/1", spools=[Spool("main", spool)], outputs=folder, patience=Patience(attempts=2, seconds=0.3)
    )


def found(store: Store) -> Manifest:
    manifest = read_manifest(store, "run/1")
    assert manifest is not None
    return manifest


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def saving(store: Store) -> list[str]:
    """The keys of files that are sent from now on."""
    sent: list[str] = []
    save = store.save_file

    def counted(local: Path, key: str, *, digest: bool = False, settled: bool = False) -> Saved:
        sent.append(key)
        return save(local, key, digest=digest, settled=settled)

    store.save_file = counted  # type: ignore[method-assign]
    return sent


def test_it_has_everything_in_the_end(store: Store, folder: Path) -> None:
    names = ["a", "deep/b", "caf\udce9", "two\nlines", "日本"]
    for name in names:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(name.encode("utf-8", "surrogateescape"))
    (folder.parent / "spool").write_bytes(b"one\ntwo\n")
    done = collector(store, folder).finish()
    manifest = found(store)
    assert manifest.complete
    entries = dict(manifest.entries)
    log = entries.pop("logs/main.log")
    assert (log.size, log.sha256) == (8, digest(b"one\ntwo\n"))
    assert {path: entry.sha256 for path, entry in entries.items()} == {
        f"outputs/{name}": digest(name.encode("utf-8", "surrogateescape")) for name in names
    }
    assert all(abs(time.time_ns() - entry.saved_ns) < 600e9 for entry in entries.values())
    assert {entry.mtime_ns for entry in entries.values()} == {(folder / name).stat().st_mtime_ns for name in names}
    assert (done.files, done.unchecked) == (5, 0)
    assert done.bytes == sum(entry.size for entry in entries.values())


def test_it_is_written_while_the_run_goes_on(store: Store, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manifests, "EVERY", 0.0)
    monkeypatch.setattr(manifests, "REST", 0.0)
    saver = OutputSaver(store, "run/1", folder)
    (folder / "a").write_text("1")
    os.utime(folder / "a", ns=(1, 1_600_000_000_000_000_001))  # long ago: its time is settled
    saver.save(over=lambda: False, told=lambda _: None)
    first = found(store)
    assert (first.complete, set(first.entries)) == (False, {"outputs/a"})
    saver.save(over=lambda: False, told=lambda _: None)
    assert found(store).written_ns == first.written_ns, "nothing had changed"
    (folder / "b").write_text("2")
    saver.save(over=lambda: False, told=lambda _: None)
    assert set(found(store).entries) == {"outputs/a", "outputs/b"}


def test_it_takes_a_twentieth_of_the_time_at_the_most(tmp_path: Path) -> None:
    class Slow(FolderStore):
        def save_chunks(self, chunks: Iterable[bytes], key: str) -> Saved:
            time.sleep(0.5)
            return super().save_chunks(chunks, key)

    keeper = Keeper(Slow(tmp_path), "run")
    keeper.write([])
    assert keeper._next - time.monotonic() > 9


@pytest.mark.parametrize("left", ["the manifest", "none", "one that is spoiled"])
def test_another_collector_goes_on(store: Store, folder: Path, left: str) -> None:
    """Sends what is not there; knows the digests of the rest from the manifest, or from the files here."""
    for name in ("old", "new"):
        (folder / name).write_text(name)
    (folder / "new").rename(folder.parent / "later")
    collector(store, folder).finish()
    (folder.parent / "later").rename(folder / "new")
    if left == "the manifest":
        entry = replace(found(store).entries["outputs/old"], sha256="ab" * 32)  # to see where it comes from
        store.save_chunks(lines(Manifest(False, time.time_ns(), {entry.path: entry})), manifests.key_of("run/1"))
    elif left == "none":
        store.delete(manifests.key_of("run/1"))
    else:
        store.save_bytes(b"{", manifests.key_of("run/1"))
    sent = saving(store)
    assert collector(store, folder).finish().files == 2
    assert sent == ["run/1/outputs/new"]
    manifest = found(store)
    assert manifest.complete
    expected = "ab" * 32 if left == "the manifest" else digest(b"old")
    assert manifest.entries["outputs/old"].sha256 == expected
    assert manifest.entries["outputs/new"].sha256 == digest(b"new")
    assert "logs/main.log" not in manifest.entries, "the program never ran"


def test_a_log_that_another_put_together_has_its_digest(store: Store, folder: Path) -> None:
    (folder.parent / "spool").write_bytes(b"line\n")
    collector(store, folder).finish()
    store.delete(manifests.key_of("run/1"))
    collector(store, folder).finish()
    assert found(store).entries["logs/main.log"].sha256 == digest(b"line\n")


def test_at_no_moment_it_names_what_is_gone(store: Store, folder: Path) -> None:
    for name in ("kept", "gone"):
        (folder / name).write_text(name)
    first = collector(store, folder)
    first.finish()
    (folder / "gone").unlink()
    delete, seen = store.delete, list[set[str]]()

    def watched(prefix: str) -> None:
        if "/outputs/" in prefix:
            seen.append(set(found(store).entries))
        delete(prefix)

    store.delete = watched  # type: ignore[method-assign]
    first.finish()
    assert seen == [{"outputs/kept"}]
    assert set(found(store).entries) == {"outputs/kept"}


def test_where_not_everything_is_saved_it_is_not_complete(store: Store, folder: Path) -> None:
    for name in "abc":
        (folder / name).write_text(name)
    save = store.save_file

    def picky(local: Path, key: str, *, digest: bool = False, settled: bool = False) -> Saved:
        if key.endswith("/b"):
            raise StoreTrouble(Why.FULL, "no room for b")
        return save(local, key, digest=digest, settled=settled)

    store.save_file = picky  # type: ignore[method-assign]
    with pytest.raises(Exception, match="no room for b"):
        collector(store, folder).finish()
    before = read_manifest(store, "run/1")
    assert before is None or not before.complete
    store.save_file = save  # type: ignore[method-assign]
    sent = saving(store)
    collector(store, folder).finish()
    assert sent == ["run/1/outputs/b"], "what was saved before is not sent again"
    assert found(store).complete
    assert set(found(store).entries) == {f"outputs/{name}" for name in "abc"}


def test_a_file_that_becomes_a_folder_is_named_once(store: Store, folder: Path) -> None:
    (folder / "a").write_text("file")
    one = collector(store, folder)
    one.finish()
    (folder / "a").unlink()
    (folder / "a").mkdir()
    (folder / "a" / "b").write_text("inner")
    one.finish()
    assert set(found(store).entries) == {"outputs/a/b"}


def test_a_huge_hole_has_no_digest_in_a_folder(tmp_path: Path, folder: Path) -> None:
    (tmp_path / "disk").mkdir()
    store = FolderStore(tmp_path / "disk")
    with (folder / "hole").open("wb") as file:
        file.truncate(5 * 1024**3)
    assert collector(store, folder).finish().unchecked == 1
    assert found(store).entries["outputs/hole"].sha256 is None
    assert collector(store, folder).finish().unchecked == 1


def test_the_meter_counts_what_is_saved(store: Store, folder: Path) -> None:
    for name in "abc":
        (folder / name).write_text(name * 100)
    meter, one = Meter(), collector(store, folder)
    one.finish(meter=meter)
    amount = meter.look()
    assert (amount.files, amount.bytes, amount.all_files, amount.all_bytes) == (3, 300, 3, 300)
    (folder / "d").write_text("d")
    one.finish(meter=meter)
    assert meter.look().all_files == 1, "only what is not saved"


def test_entries_that_nobody_compared_are_kept(store: Store, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A crash in the middle of a recovery costs no digest."""
    monkeypatch.setattr(manifests, "EVERY", 0.0)
    monkeypatch.setattr(manifests, "REST", 0.0)
    for name in "ab":
        (folder / name).write_text(name)
    collector(store, folder).finish()
    (folder / "c").write_text("c")
    saver = OutputSaver(store, "run/1", folder)
    saver.save(over=lambda: False, told=lambda _: None)
    entries = found(store).entries
    assert {path: entry.sha256 for path, entry in entries.items()} == {
        f"outputs/{name}": digest(name.encode()) for name in "abc"
    }
    assert isinstance(entries["outputs/a"], Entry)
