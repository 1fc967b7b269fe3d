"""Logs: every line once, in order, none lost, whatever is killed, and readable at every moment."""

import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tieline.errors import StepFailed
from tieline.steps import log_saver, spools
from tieline.steps.log_reader import LogReader, read_logs
from tieline.steps.log_saver import LogSaver
from tieline.steps.redaction import Redactor, Unredacted
from tieline.steps.segments import LogFolder, log_names
from tieline.steps.spools import Spool, Tail
from tieline.stores import FolderStore, Saved, Stat, StoreTrouble, Why


class Died(BaseException):
    """The collecting process is gone."""


class MortalStore(FolderStore):
    """Dies at the ``dies_at``-th change: before it, after it, or half-way. ``watch`` is called around every change."""

    def __init__(self, root: Path, watch: Callable[[], None] = lambda: None) -> None:
        super().__init__(root)
        self.changes, self.dies_at, self.when, self.watch = 0, -1, "before", watch

    def _change(self, action: Callable[[], object]) -> object:
        self.changes += 1
        if self.changes == self.dies_at and self.when == "before":
            raise Died
        result = action()
        self.watch()
        if self.changes == self.dies_at and self.when == "after":
            raise Died
        return result

    def save_chunks(self, chunks: Iterable[bytes], key: str) -> Saved:
        def watched() -> Iterator[bytes]:
            for chunk in chunks:
                self.watch()
                yield chunk
            if self.changes == self.dies_at and self.when == "half-way":
                raise Died

        action = super().save_chunks
        return self._change(lambda: action(watched(), key))  # type: ignore[return-value]

    def delete(self, prefix: str) -> None:
        action = super().delete
        self._change(lambda: action(prefix))


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Limits that small tests reach."""
    monkeypatch.setattr(log_saver, "MERGED", 4)
    monkeypatch.setattr(log_saver, "CAP", 200)
    monkeypatch.setattr(spools, "CAP", 100)
    monkeypatch.setattr(spools, "HOLD_BYTES", 30)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def all_of(store: FolderStore, name: str = "main") -> bytes:
    return b"".join(read_logs(store, "run/1", name))


def append(path: Path, data: bytes) -> None:
    with path.open("ab") as stream:
        stream.write(data)


def drain(saver: LogSaver, *, final: bool = False) -> None:
    while saver.save(final=final):
        pass


def session(store: FolderStore, spool: Path, writes: list[bytes], *, at_once: bool = True) -> None:
    """A collector that lives while the job writes on, and ends the log. ``writes`` is used up as the job goes.

    ``at_once``: the last write is seen by nobody but the end, which saves it in the one plain file.
    """
    saver = LogSaver(store, "run/1", Spool("main", spool), Unredacted)
    while writes:
        append(spool, writes.pop(0))
        if writes or not at_once:
            drain(saver)
    if at_once:
        saver.save_rest()
    else:
        drain(saver, final=True)
    saver.put_together()


LINES = [b"line %d %s\n" % (n, b"x" * (n * 7 % 23)) for n in range(14)] + [b"no end", b" and on\n", b"", b"last"]


def test_one_plain_file_in_the_end(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    session(store, tmp_path / "spool", [b"a\n", b"b\n", b"c"])
    assert (tmp_path / "run/1/logs/main.log").read_bytes() == b"a\nb\nc"
    assert [p.name for p in (tmp_path / "run/1/logs/main").iterdir()] == ["whole.json"]
    assert all_of(store) == b"a\nb\nc"
    assert log_names(store, "run/1") == ["main"]


@pytest.mark.parametrize("at_once", [True, False])
@pytest.mark.parametrize("when", ["before", "after", "half-way"])
def test_dying_at_any_moment_loses_and_repeats_nothing(tmp_path: Path, when: str, at_once: bool) -> None:
    """Die at each change in turn; a reader that looks around every change sees a beginning of the log, growing."""
    whole = b"".join(LINES)
    count = MortalStore(tmp_path / "count")
    count.root.mkdir()
    session(count, tmp_path / "spool", list(LINES), at_once=at_once)

    for moment in range(1, count.changes + 1):
        root = tmp_path / str(moment)
        root.mkdir()
        spool, writes = tmp_path / f"spool{moment}", list(LINES)
        reader, seen = LogReader(FolderStore(root), "run/1", "main"), bytearray()

        def look(reader: LogReader = reader, seen: bytearray = seen) -> None:
            seen.extend(b"".join(reader.poll()))
            assert whole.startswith(bytes(seen))

        store = MortalStore(root, look)
        store.dies_at, store.when = moment, when
        try:
            session(store, spool, writes, at_once=at_once)
        except Died:
            look()
            session(MortalStore(root, look), spool, writes, at_once=at_once)
        look()
        assert bytes(seen) == whole == all_of(FolderStore(root))
        assert (root / "run/1/logs/main.log").read_bytes() == whole
        assert [p.name for p in (root / "run/1/logs/main").iterdir()] == ["whole.json"]


@pytest.mark.parametrize("first", range(1, 60, 7))
def test_dying_again_and_again(tmp_path: Path, first: int) -> None:
    writes, spool = list(LINES), tmp_path / "spool"
    moment = first
    for _ in range(200):
        store = MortalStore(tmp_path)
        store.dies_at, store.when = moment, ("before", "after", "half-way")[moment % 3]
        moment = moment % 5 + 1
        try:
            session(store, spool, writes)
        except Died:
            continue
        break
    session(FolderStore(tmp_path), spool, writes)
    assert all_of(FolderStore(tmp_path)) == b"".join(LINES)


@settings(max_examples=40, deadline=None)
@given(
    writes=st.lists(
        st.binary(max_size=60) | st.sampled_from([b"\n", b"x\n", b"y" * 250, b"z" * 70 + b"\n"]), max_size=25
    ),
    moments=st.lists(st.integers(1, 12), max_size=4),
)
def test_any_bytes_and_any_deaths(
    tmp_path_factory: pytest.TempPathFactory, writes: list[bytes], moments: list[int]
) -> None:
    root, whole = tmp_path_factory.mktemp("logs"), b"".join(writes)
    for number, moment in enumerate(moments):
        store = MortalStore(root)
        store.dies_at, store.when = moment, ("before", "after", "half-way")[number % 3]
        try:
            session(store, root / "spool", writes)
        except Died:
            assert whole.startswith(all_of(FolderStore(root)))
    append(root / "spool", b"")
    session(FolderStore(root), root / "spool", writes)
    assert all_of(FolderStore(root)) == whole


class Unwilling(FolderStore):
    """Takes no plain file for as long as it is told."""

    fails = True

    def save_chunks(self, chunks: Iterable[bytes], key: str) -> Saved:
        if self.fails and key.endswith("main.log"):
            next(iter(chunks))
            raise StoreTrouble(Why.BROKEN, "too large for today")
        return super().save_chunks(chunks, key)


def test_an_end_that_cannot_be_saved_in_one_is_saved_in_pieces(tmp_path: Path) -> None:
    spool, store = tmp_path / "spool", Unwilling(tmp_path)
    saver = LogSaver(store, "run/1", Spool("main", spool), Unredacted)
    append(spool, b"".join(LINES[:3]))
    drain(saver)
    append(spool, b"".join(LINES[3:]))
    saver.save_rest()
    with pytest.raises(StoreTrouble, match="today"):
        saver.put_together()
    assert all_of(store) == b"".join(LINES)
    assert all(thread.name != "tieline-ahead" for thread in threading.enumerate())
    store.fails = False
    saver.put_together()
    assert (tmp_path / "run/1/logs/main.log").read_bytes() == all_of(store) == b"".join(LINES)


def test_new_lines_are_saved_up_to_where_the_log_is_then(tmp_path: Path) -> None:
    """What is printed faster than it can be saved is not followed without end."""
    spool = tmp_path / "spool"

    class Busy(FolderStore):
        def save_bytes(self, data: bytes, key: str) -> Saved:
            append(spool, b"y" * 99 + b"\n")
            return super().save_bytes(data, key)

    append(spool, b"x" * 99 + b"\n")
    saver = LogSaver(Busy(tmp_path), "run/1", Spool("main", spool), Unredacted)
    saver.save_new(lambda: False)
    assert saver.count == 1
    append(spool, b"z\n" * 1000)
    saver.save_new(lambda: True)
    assert saver.count == 2


def test_what_is_written_after_the_end_is_added(tmp_path: Path) -> None:
    """A program that left the job may write after the run's end; a second end saves that, too."""
    store = FolderStore(tmp_path)
    session(store, tmp_path / "spool", [b"one\n"])
    before = set(tmp_path.rglob("*"))
    session(store, tmp_path / "spool", [])
    assert set(tmp_path.rglob("*")) == before
    session(store, tmp_path / "spool", [b"two\n"])
    assert all_of(store) == (tmp_path / "run/1/logs/main.log").read_bytes() == b"one\ntwo\n"


def test_many_small_segments_become_few_while_the_job_runs(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    saver = LogSaver(store, "run/1", Spool("main", tmp_path / "spool"), Unredacted)
    for number in range(200):
        append(tmp_path / "spool", b"%05d\n" % number)
        drain(saver)
    segments = LogFolder(store, "run/1", "main").found()
    assert len(segments) < 20
    assert max(segment.size for segment in segments) <= 200
    assert all_of(store) == (tmp_path / "spool").read_bytes()


def test_a_gap_is_never_passed_over_in_silence(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    saver = LogSaver(store, "run/1", Spool("main", tmp_path / "spool"), Unredacted)
    for line in (b"1\n", b"2\n", b"3\n"):
        append(tmp_path / "spool", line)
        drain(saver)
    (tmp_path / "run/1/logs/main" / f"{2:020d}-{4:020d}.log").unlink()
    with pytest.raises(StoreTrouble, match="missing from byte 2"):
        all_of(store)


def test_a_segment_that_was_cut_short_is_noticed_before_the_others_go(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    saver = LogSaver(store, "run/1", Spool("main", tmp_path / "spool"), Unredacted)
    for line in (b"one\n", b"two\n"):
        append(tmp_path / "spool", line)
        drain(saver)
    (tmp_path / "run/1/logs/main" / f"{0:020d}-{4:020d}.log").write_bytes(b"on")
    with pytest.raises(StoreTrouble, match="2 bytes at the end of"):
        saver.put_together()
    assert not (tmp_path / "run/1/logs/main.log").exists()
    assert len(LogFolder(store, "run/1", "main").found()) == 2


def test_lines_are_counted(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    saver = LogSaver(store, "run/1", Spool("main", tmp_path / "spool"), Unredacted)
    append(tmp_path / "spool", b"1\n2\n\n4")
    drain(saver, final=True)
    saver.put_together()
    assert saver.lines == 4
    again = LogSaver(store, "run/1", Spool("main", tmp_path / "spool"), Unredacted)
    again.put_together()
    assert again.lines == 4


def test_a_program_that_never_ran_has_no_log_and_one_that_said_nothing_has_an_empty_one(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    LogSaver(store, "run/1", Spool("main", tmp_path / "spool"), Unredacted).put_together()
    assert log_names(store, "run/1") == []
    append(tmp_path / "spool", b"")
    LogSaver(store, "run/1", Spool("main", tmp_path / "spool"), Unredacted).put_together()
    assert (tmp_path / "run/1/logs/main.log").read_bytes() == b""


def test_a_spool_that_is_gone_after_it_was_saved_is_fine(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    session(store, tmp_path / "spool", [b"one\n"])
    (tmp_path / "spool").unlink()
    session(store, tmp_path / "spool", [])
    assert all_of(store) == b"one\n"


def tail(tmp_path: Path, clock: Clock, redactor: Callable[[], Redactor] = Unredacted) -> Tail:
    return Tail(tmp_path / "spool", 0, redactor, clock)


def next_data(tail: Tail, *, final: bool = False) -> bytes | None:
    piece = tail.next(final=final)
    return None if piece is None else piece.data


def test_an_unfinished_line_is_held_for_a_moment(tmp_path: Path) -> None:
    clock = Clock()
    reading = tail(tmp_path, clock)
    assert next_data(reading) is None
    append(tmp_path / "spool", b"a\nb")
    assert next_data(reading) == b"a\n"
    assert next_data(reading) is None
    clock.now = 0.9
    append(tmp_path / "spool", b"b")
    assert next_data(reading) is None
    clock.now = 1.1
    assert next_data(reading) == b"bb"
    append(tmp_path / "spool", b"c")
    assert next_data(reading) is None
    append(tmp_path / "spool", b"c\n")
    assert next_data(reading) == b"cc\n"
    append(tmp_path / "spool", b"d" * 29)
    assert next_data(reading) is None
    append(tmp_path / "spool", b"d")
    assert next_data(reading) == b"d" * 30
    append(tmp_path / "spool", b"end")
    assert next_data(reading, final=True) == b"end"
    assert next_data(reading, final=True) is None


def test_a_program_that_empties_its_own_log_loses_nothing_that_was_read(tmp_path: Path) -> None:
    """``echo x > /dev/stderr`` opens a standard error that is a file anew, and empties it."""
    spool, store = tmp_path / "spool", FolderStore(tmp_path)
    saver = LogSaver(store, "run/1", Spool("main", spool), Unredacted)
    append(spool, b"before\n")
    drain(saver)
    spool.write_bytes(b"after\n")
    drain(saver)
    append(spool, b"more\n")
    drain(saver, final=True)
    saver.put_together()
    assert all_of(store) == b"before\nafter\nmore\n"
    assert saver.cuts == 1


class Secretive:
    """Replaces ``hunter2``, which may be cut anywhere."""

    def __init__(self) -> None:
        self._kept = b""

    @property
    def held(self) -> int:
        return len(self._kept)

    def feed(self, data: bytes) -> bytes:
        text = (self._kept + data).replace(b"hunter2", b"***")
        keep = next((n for n in range(6, 0, -1) if text.endswith(b"hunter2"[:n])), 0)
        self._kept = text[len(text) - keep :]
        return text[: len(text) - keep]

    def flush(self) -> bytes:
        kept, self._kept = self._kept, b""
        return kept


def test_a_secret_that_is_cut_by_a_poll_and_by_a_death_is_never_saved(tmp_path: Path) -> None:
    lines = b"the word is hunter2\nhunt\nhunter\nhunter2hunter2\n"
    whole = lines + b"".join(b"." * n + b"hunter2" for n in range(20, 34)) + lines + b"hunter2 hun"
    for step in (1, 3, 7, 20):
        root = tmp_path / str(step)
        root.mkdir()
        for start in range(0, len(whole), step):
            append(root / "spool", whole[start : start + step])
            saver = LogSaver(FolderStore(root), "run/1", Spool("main", root / "spool"), Secretive)
            drain(saver)  # and a new one each time
        drain(saver, final=True)
        saver.put_together()
        saved = b"".join(p.read_bytes() for p in root.rglob("*.log"))
        assert b"hunter2" not in saved
        assert all_of(FolderStore(root)) == whole.replace(b"hunter2", b"***")


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "main.log", "x\0"])
def test_names_that_cannot_be_a_logs(tmp_path: Path, name: str) -> None:
    with pytest.raises(StepFailed):
        Spool(name, tmp_path / "spool")


def test_logs_of_several_programs_have_main_first(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    for name in ("sidecar-x", "init-a", "main"):
        append(tmp_path / name, name.encode())
        saver = LogSaver(store, "run/1", Spool(name, tmp_path / name), Unredacted)
        drain(saver, final=True)
        if name != "init-a":
            saver.put_together()
    assert log_names(store, "run/1") == ["main", "init-a", "sidecar-x"]
    assert all_of(store, "init-a") == b"init-a"
    assert log_names(store, "another") == []


class Interrupted(FolderStore):
    """Something happens just before the ``at``-th reading operation."""

    def __init__(self, root: Path, at: int, happens: Callable[[], None]) -> None:
        super().__init__(root)
        self.reads, self.at, self.happens = 0, at, happens

    def _reading(self) -> None:
        self.reads += 1
        if self.reads == self.at:
            self.happens()

    def list(self, prefix: str = "") -> Iterator[Stat]:
        self._reading()
        return super().list(prefix)

    def open(self, key: str, offset: int = 0) -> BinaryIO:
        self._reading()
        return super().open(key, offset)


@pytest.mark.parametrize("at", range(1, 9))
@pytest.mark.parametrize("what", ["merge", "put together", "put together again"])
def test_a_reader_that_is_overtaken_at_any_moment_reads_all(tmp_path: Path, what: str, at: int) -> None:
    spool, store = tmp_path / "spool", FolderStore(tmp_path)
    saver = LogSaver(store, "run/1", Spool("main", spool), Unredacted)
    lines = [b"%d\n" % n for n in range(3)]
    if what == "put together again":
        session(store, spool, [b"before\n"])
    for line in lines:
        append(spool, line)
        drain(saver)

    def happens() -> None:
        if what == "merge":
            append(spool, b"more\n")
            drain(saver)
        else:
            saver.put_together()

    reader = LogReader(Interrupted(tmp_path, at, happens), "run/1", "main")
    read = b"".join(reader.poll())
    assert read in (spool.read_bytes(), spool.read_bytes().removesuffix(b"more\n"))
    assert read + b"".join([*reader.poll(), *reader.poll()]) == spool.read_bytes()
