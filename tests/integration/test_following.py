"""Following a log: whoever begins at any moment of a run's life is shown exactly the stored log, and no secret."""

from __future__ import annotations

import json
import os
import random
import secrets
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from test_run_buckets import s3

from acceptance.cli_harness import Cli, eventually
from tieline.secrets.keeping import Keeper
from tieline.secrets.needles import all_needles
from tieline.secrets.redactor import Masker
from tieline.secrets.secret import Secret
from tieline.steps import following, log_saver, spools
from tieline.steps.following import Follower
from tieline.steps.log_reader import LogReader, read_logs
from tieline.steps.log_saver import LogSaver
from tieline.steps.spools import Spool
from tieline.stores import FolderStore, Saved, StoreTrouble, Why

SOAK = "TIELINE_SOAK" in os.environ
WORD, TOKEN = "c0rrect-horse+battery", "t0ken/=of-many words"
MASKER = Masker(all_needles([WORD.encode(), TOKEN.encode()]))


# --- one log, its saver and its followers, in steps


class Flaky(FolderStore):
    """Fails now and then, with nothing done."""

    def __init__(self, root: Path, chance: random.Random) -> None:
        super().__init__(root)
        self.chance, self.often = chance, 0.0

    def save_bytes(self, data: bytes, key: str) -> Saved:
        if self.chance.random() < self.often:
            raise StoreTrouble(Why.BROKEN, "now and then")
        return super().save_bytes(data, key)


class Life:
    """A log's life, in random steps."""

    def __init__(self, root: Path, seed: int) -> None:
        self.chance = random.Random(seed)
        self.store, self.spool = Flaky(root, self.chance), root / "spool"
        self.followers: list[tuple[Follower, bytearray]] = []
        self.saver = self.new_saver()

    def new_saver(self) -> LogSaver:
        return LogSaver(self.store, "run/1", Spool("main", self.spool), MASKER.redactor)

    def write(self) -> None:
        parts = (b"\n", b"some words\n", WORD.encode(), TOKEN.encode(), WORD.encode()[:9], b"x" * 90, bytes(range(256)))
        with self.spool.open("ab") as stream:
            stream.write(b"".join(self.chance.choice(parts) for _ in range(self.chance.randrange(1, 6))))

    def save(self) -> None:
        self.store.often = 0.2
        with suppress(StoreTrouble):
            self.saver.save_new(lambda: self.chance.random() < 0.1)
        self.store.often = 0.0

    def save_all(self) -> None:
        while self.saver.save():
            pass

    def die(self) -> None:
        self.saver = self.new_saver()

    def empty(self) -> None:
        """The program empties its own log, just after it was saved."""
        if self.spool.exists():
            self.saver.save_rest()
            self.spool.write_bytes(b"")
            self.saver.save()
            self.look()

    def begin(self) -> None:
        follower = Follower(LogReader(self.store, "run/1", "main"), self.spool, lambda: MASKER.redactor)
        self.followers.append((follower, bytearray()))

    def look(self) -> None:
        for follower, seen in self.followers:
            if self.chance.random() < 0.7:
                seen += b"".join(follower.poll())

    def end(self) -> bytes:
        self.saver.save_rest()
        self.saver.put_together()
        self.spool.unlink(missing_ok=True)
        self.begin()
        for follower, seen in self.followers:
            if self.chance.random() < 0.3:
                seen += b"".join(follower.poll())
            seen += b"".join(follower.stored())
        return b"".join(read_logs(self.store, "run/1", "main"))


@pytest.fixture
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Limits that small tests reach."""
    monkeypatch.setattr(log_saver, "MERGED", 4)
    monkeypatch.setattr(log_saver, "CAP", 900)
    monkeypatch.setattr(spools, "CAP", 400)
    monkeypatch.setattr(spools, "HOLD_BYTES", 100)


@pytest.mark.usefixtures("_small")
@pytest.mark.parametrize("kept", [50, following.KEPT])
@pytest.mark.parametrize("seed", range(600 if SOAK else 60))
def test_followers_of_any_life_see_what_is_stored(
    tmp_path: Path, seed: int, kept: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "KEPT", kept)
    life = Life(tmp_path, seed)
    steps = [life.write] * 6 + [life.look] * 4 + [life.save] * 3 + [life.begin, life.die]
    if seed % 3 == 0:  # a saver that goes on after a death does not know of it: then none dies
        steps = [step for step in steps if step != life.die] + [life.empty]
    life.spool.write_bytes(b"")
    for _ in range(life.chance.randrange(80)):
        life.chance.choice(steps)()
    stored = life.end()
    assert stored.count(b"***") > 0 or len(stored) < 3000
    for _, seen in life.followers:
        assert bytes(seen) == stored
        assert WORD.encode() not in seen


@pytest.mark.usefixtures("_small")
def test_a_spool_that_was_emptied_before_is_not_read(tmp_path: Path) -> None:
    life = Life(tmp_path, 1)
    life.spool.write_bytes(b"one\ntwo\n")
    life.save_all()
    life.spool.write_bytes(b"three\n")
    life.begin()
    life.look()
    life.save_all()
    assert life.end() == b"one\ntwo\nthree\n" == bytes(life.followers[0][1])


def test_what_nobody_can_mask_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "spool").write_bytes(b"raw\n")
    asked: list[int] = []
    follower = Follower(LogReader(FolderStore(tmp_path), "run/1", "main"), tmp_path / "spool", lambda: asked.append(1))
    assert [b"".join(follower.poll()) for _ in range(3)] == [b"", b"", b""]
    assert (asked, follower.is_near) == ([1], False)


def test_where_the_store_has_other_bytes_it_is_believed(tmp_path: Path) -> None:
    """Nothing that we know of makes it so; were it so, nothing of the stored log may be left out."""
    (tmp_path / "spool").write_bytes(b"abcdef\n")
    store = FolderStore(tmp_path)
    follower = Follower(LogReader(store, "run/1", "main"), tmp_path / "spool", lambda: MASKER.redactor)
    assert b"".join(follower.poll()) == b"abcdef\n"
    (tmp_path / "other").write_bytes(b"abcXYZ\nmore\n")
    saver = LogSaver(store, "run/1", Spool("main", tmp_path / "other"), MASKER.redactor)
    saver.save_rest()
    assert b"".join(follower.stored()) == b"XYZ\nmore\n"


# --- real runs

JOB = """
import os, random, sys, time
chance = random.Random(os.environ["TIELINE_ATTEMPT"])
word = os.environ["PGPASSWORD"]
until = time.time() + float(sys.argv[1])
number = 0
while time.time() < until:
    for _ in range(chance.choice((1, 1, 3, 400))):
        number += 1
        line = "%d %s %s" % (number, "x" * chance.randrange(90), word if number % 7 == 0 else "")
        cut = chance.randrange(len(line))
        for part in (line[:cut], line[cut:] + "\\\\n"):
            sys.stdout.write(part)
            sys.stdout.flush()
    time.sleep(chance.choice((0, 0.01, 0.2)))
sys.stdout.write("the last line has no end")
sys.stdout.flush()
sys.exit(int(os.environ["TIELINE_ATTEMPT"]) < int(sys.argv[2]))
"""


@pytest.fixture(params=["folder", "s3"])
def cli(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Cli]:
    """With a catalog: a store of this kind, and a database whose password the job is given."""
    with Cli(tmp_path) as cli:
        catalog: dict[str, object] = {}
        if request.param == "s3":
            s3(cli, f"runs/{secrets.token_hex(8)}")
            catalog = json.loads((cli.root / "tieline.yaml").read_text())
        else:
            catalog["connections"] = []
        db = {"name": "db", "kind": "postgres", "schema": {"host": "h", "database": "d"}, "secret": {"name": "login"}}
        catalog["connections"] = [*catalog["connections"], db]  # type: ignore[misc]
        cli.write("tieline.yaml", json.dumps(catalog))
        keep(cli, WORD)
        yield cli


def keep(cli: Cli, password: str) -> None:
    values = {"username": Secret("ann-of-the-team"), "password": Secret(password)}
    Keeper(cli.home, "secret").set("default", "login", values)


def job(cli: Cli, seconds: float, attempts: int = 1) -> None:
    cli.write("job.py", JOB)
    container = {"command": ["python3", "-c", JOB.replace("\\\\", "\\"), str(seconds), str(attempts)]}
    data = {
        "version": 1.1, "kind": "component", "termination": {"maxRetries": attempts - 1},
        "run": {"kind": "job", "connections": ["db"], "container": container},
    }  # fmt: skip
    cli.write("job.yaml", json.dumps(data))


class Followers:
    """Commands that follow the newest run, each begun at its own moment."""

    def __init__(self, cli: Cli, moments: list[float]) -> None:
        self.cli, self.seen = cli, [b""] * len(moments)
        self.threads = [threading.Thread(target=self.follow, args=pair) for pair in enumerate(moments)]
        for thread in self.threads:
            thread.start()

    def follow(self, number: int, moment: float) -> None:
        time.sleep(moment)
        self.seen[number] = self.cli("runs", "logs", "-f", "last").raw

    def all(self) -> list[bytes]:
        for thread in self.threads:
            thread.join()
        return self.seen


def test_followers_that_begin_at_any_moment_of_a_run_see_the_stored_log(cli: Cli) -> None:
    chance = random.Random()
    job(cli, seconds=3, attempts=2)
    cli("run", "--detach", "job.yaml")
    followers = Followers(cli, [0.0, *(chance.uniform(0, 9) for _ in range(3))])
    seen = followers.all()
    first, last = (cli("runs", "logs", "last", "--attempt", number).raw for number in ("1", "2"))
    assert first.endswith(b"has no end")
    assert last.count(b"***") > 10
    assert cli.runs()[0]["status"] == "succeeded"
    assert seen[0] == first + last
    for shown in seen:
        assert shown in (first + last, last)
        assert WORD.encode() not in shown


def test_a_follower_outlives_the_supervisor(cli: Cli) -> None:
    job(cli, seconds=600)
    process = cli.start("run", "--output", "json", "job.yaml")
    cli.wait_for("running")
    followers = Followers(cli, [0.0, 0.5, 3.0])
    time.sleep(2)
    os.kill(process.pid, signal.SIGKILL)
    seen = followers.all()
    stored = cli("runs", "logs", "last").raw
    assert len(stored) > 1000
    assert seen == [stored] * 3
    assert cli.runs()[0]["reason"] == "supervisor-died"


def test_a_secret_that_has_another_value_by_now_is_not_shown_as_it_was(cli: Cli) -> None:
    """Who follows does not know the old value, which the job prints: it sees what the run itself has masked."""
    job(cli, seconds=4)
    cli("run", "--detach", "job.yaml")
    cli.wait_for("running")
    keep(cli, "quite-another-password")
    (seen,) = Followers(cli, [0.0]).all()
    assert WORD.encode() not in seen
    keep(cli, WORD)
    assert seen == cli("runs", "logs", "last").raw
    assert seen.count(b"***") > 5


def test_nothing_is_left_of_how_it_was_masked(cli: Cli) -> None:
    job(cli, seconds=0.5)
    process = cli.start("run", "--output", "json", "job.yaml")
    eventually(lambda: list(cli.home.rglob("attempt-1/masks")))
    process.communicate()
    assert list(cli.home.rglob("masks")) == []
