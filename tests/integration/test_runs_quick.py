"""A run that is recorded without SQLAlchemy is recorded as the whole record would, and only where all is as usual."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tieline.errors import Code, RecordError
from tieline.model.run import ChannelPin, NewRun, Status, Watch
from tieline.runs import quick
from tieline.runs.quick import accept_quickly, may_begin
from tieline.runs.record import Record

AT = datetime(2026, 11, 22, 21, 30, 0, 123, timezone(timedelta(hours=2)))
NEW = NewRun(
    uuid="00c0ffee00000000000000000000000b", name="train", project="penguins", namespace="team-a", kind="job",
    engine="kubernetes", plan={"version": 1, "steps": [{"argv": ["é", None, 1.5]}]}, catalog_digest="sha256:abc",
    store="bucket", store_prefix="penguins/train", job_file="job.yaml", queue="gpu", tags=("a", "b"),
    connections=("bucket", "repo", "bucket"), owner="ann",
)  # fmt: skip
TEXT = st.text(alphabet=st.characters(codec=None, categories=("L", "N", "P", "Cs", "Cc")), max_size=12)
NEWS = st.builds(
    NewRun, uuid=st.uuids().map(lambda value: value.hex), name=TEXT, project=TEXT, namespace=TEXT,
    kind=st.sampled_from(["job", "service"]), engine=st.just("kubernetes"),
    plan=st.dictionaries(TEXT, st.none() | st.booleans() | st.integers() | TEXT, max_size=3), catalog_digest=TEXT,
    store=TEXT, store_prefix=TEXT, job_file=TEXT, queue=TEXT, tags=st.lists(TEXT, max_size=3).map(tuple),
    connections=st.lists(st.sampled_from("abc"), max_size=4).map(tuple), owner=TEXT,
)  # fmt: skip


def rows(path: Path) -> dict[str, list[tuple[Any, ...]]]:
    """Everything that is in the tables, with the types that SQLite keeps."""
    with closing(sqlite3.connect(path)) as connection:
        names = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        found = {}
        for name in names:
            columns = [column[1] for column in connection.execute(f"PRAGMA table_info({name})")]
            asked = ", ".join(f"{column}, typeof({column})" for column in columns)
            found[name] = sorted(connection.execute(f"SELECT {asked} FROM {name}"), key=repr)
        return found


@cache
def nothing_yet() -> bytes:
    """The file of a record that was just made, which takes a moment."""
    with TemporaryDirectory() as folder:
        path = Path(folder, "runs.db")
        Record.open(path).close()
        return path.read_bytes()


def empty(path: Path) -> Path:
    path.write_bytes(nothing_yet())
    return path


@settings(max_examples=40, deadline=None)
@given(new=NEWS, second=NEWS)
def test_both_ways_write_the_same(new: NewRun, second: NewRun, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("both")
    quick, slow = empty(folder / "quick.db"), empty(folder / "slow.db")
    with Record.open(slow) as record:
        for one in (new, second):
            record.accept(one, AT)
            assert accept_quickly(quick, one, AT)
    assert rows(quick) == rows(slow)
    assert len(rows(quick)["runs"]) == 2


def test_it_is_read_and_goes_on_as_any_other(tmp_path: Path) -> None:
    path = empty(tmp_path / "runs.db")
    before = datetime.now(UTC)
    assert accept_quickly(path, NEW)
    with Record.open(path) as record:
        run = record.get(NEW.uuid)
        assert before <= run.created_at <= datetime.now(UTC)
        assert (run.status, run.tags, run.owner) == (Status.CREATED, NEW.tags, NEW.owner)
        assert record.plan(NEW.uuid) == NEW.plan
        assert record.usage("repo", "team-a") == [NEW.uuid]
        record.transition(NEW.uuid, Status.STARTING)
        assert [(event.sequence, event.status) for event in record.events(NEW.uuid)] == [
            (1, Status.CREATED), (2, Status.STARTING),
        ]  # fmt: skip


def older(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '0001'")


def no_tables(path: Path) -> None:
    path.unlink()
    sqlite3.connect(path).close()


def not_wal(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode=DELETE")


@pytest.mark.parametrize(
    "change",
    [Path.unlink, older, no_tables, not_wal, lambda path: path.write_bytes(b"no database at all" * 100)],
    ids=["no_file", "older", "no_tables", "not_wal", "damaged"],
)
def test_what_is_not_as_usual_is_left_alone(change: Callable[[Path], object], tmp_path: Path) -> None:
    path = empty(tmp_path / "runs.db")
    change(path)
    before = path.read_bytes() if path.exists() else None
    assert not accept_quickly(path, NEW)
    assert (path.read_bytes() if path.exists() else None) == before


def test_who_is_to_be_told_is_left_to_the_record(tmp_path: Path) -> None:
    path = empty(tmp_path / "runs.db")
    assert not accept_quickly(path, replace(NEW, watches=(Watch("slack", "failed", "d"),)))
    assert not accept_quickly(path, replace(NEW, channels=(ChannelPin("d", "slack", "team-a", {}, []),)))
    assert rows(path)["runs"] == []


def test_a_run_is_accepted_once(tmp_path: Path) -> None:
    """The second one is refused by the record, which says why; nothing of it is written."""
    path = empty(tmp_path / "runs.db")
    assert accept_quickly(path, NEW)
    before = rows(path)
    assert not accept_quickly(path, replace(NEW, connections=("other",)))
    assert rows(path) == before
    with Record.open(path) as record, pytest.raises(RecordError) as caught:
        record.accept(NEW)
    assert caught.value.code == Code.DUPLICATE_NAME


def test_a_stop_before_it_is_launched_is_seen(tmp_path: Path) -> None:
    path = empty(tmp_path / "runs.db")
    assert not may_begin(path, NEW.uuid)
    assert accept_quickly(path, NEW)
    assert may_begin(path, NEW.uuid)
    with Record.open(path) as record:
        record.request_stop(NEW.uuid)
    assert not may_begin(path, NEW.uuid)
    assert not may_begin(tmp_path / "none.db", NEW.uuid)


def test_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing half is left, and the record, which finds the same, says what to do."""
    path, connecting = empty(tmp_path / "runs.db"), quick.connect

    def full(path: Path) -> sqlite3.Connection:
        connection = connecting(path)
        connection.execute("PRAGMA max_page_count = 1")  # no page more than there is
        return connection

    monkeypatch.setattr(quick, "connect", full)
    before = rows(path)
    assert not accept_quickly(path, replace(NEW, plan={"long": "x" * 100_000}))
    assert rows(path) == before


def test_it_waits_for_another_writer(tmp_path: Path) -> None:
    path, done = empty(tmp_path / "runs.db"), threading.Event()
    with Record.open(path) as record, record._database.writing():
        thread = threading.Thread(target=lambda: accept_quickly(path, NEW) and done.set())
        thread.start()
        assert not done.wait(0.3)
    thread.join()
    assert done.is_set()


def test_nothing_of_the_record_is_imported_for_a_launch() -> None:
    """All that a run of a cluster takes until its pod is asked for, without SQLAlchemy."""
    modules = (
        "tieline.cli.run, tieline.app.kube_launching, tieline.app.deployment, tieline.app.preparing, "
        "tieline.cli.records, tieline.engines.kubernetes.preflight, tieline.engines.kubernetes.manifests, "
        "tieline.engines.kubernetes.queueing, tieline.engines.kubernetes.taking"
    )
    said = "print(sorted(name for name in sys.modules if name.partition('.')[0] in ('sqlalchemy', 'alembic')))"
    found = subprocess.run([sys.executable, "-c", f"import sys, {modules}; {said}"], capture_output=True, text=True)
    assert (found.stdout, found.stderr) == ("[]\n", "")
