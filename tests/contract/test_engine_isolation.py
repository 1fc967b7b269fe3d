"""What an isolated job sees, and what it does not: mount paths are true, and what is not its own is absent."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from tempfile import NamedTemporaryFile, TemporaryDirectory
from typing import Any

import pytest
from engine_harness import IsolatedEngine, ProcessHandle, component, opened_engine, python, shell

from servers.processes import eventually
from tieline.app.home import HomeFolder
from tieline.engines.process.leftovers import processes_of
from tieline.engines.process.sandbox import Sandbox
from tieline.errors import Code, Refused
from tieline.model.run import Status
from tieline.secrets.keeping import Keeper
from tieline.secrets.secret import Secret


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[IsolatedEngine]:
    with opened_engine("isolated", tmp_path) as made:
        assert isinstance(made, IsolatedEngine)
        yield made


def volume(name: str, folder: Path, path: str, **more: Any) -> dict[str, Any]:
    folder.mkdir(parents=True, exist_ok=True)
    return {"name": name, "kind": "host_path", "schema": {"hostPath": str(folder), "mountPath": path, **more}}


def printed(handle: ProcessHandle) -> list[str]:
    run = handle.wait()
    assert run.status is Status.SUCCEEDED, (run.message, handle.logs())
    return handle.logs().decode().splitlines()


def test_mount_paths_are_true(engine: IsolatedEngine, tmp_path: Path) -> None:
    data = volume("data", tmp_path / "data", "/data")
    (tmp_path / "data" / "table.csv").write_text("a,b\n")
    deep = volume("deep", tmp_path / "deep", "/data/deep/er")
    (tmp_path / "data" / "deep" / "er").mkdir(parents=True)
    system = volume("system", tmp_path / "system", "/etc/of-the-job")
    script = """
        cat /data/table.csv; echo {{ connections.data.path }}; echo 1 > /data/out; echo 2 > /data/deep/er/out
        echo 3 > /etc/of-the-job/out; grep -c root /etc/passwd; mkdir /data/new
    """
    job = component(script, connections=["data", "deep", "system"])
    assert printed(engine.submit(job, connections=[data, deep, system])) == ["a,b", "/data", "1"]
    assert (tmp_path / "data" / "out").read_text() == "1\n"
    assert (tmp_path / "deep" / "out").read_text() == "2\n"
    assert (tmp_path / "system" / "out").read_text() == "3\n"
    assert os.listdir(tmp_path / "data" / "deep" / "er") == []


def test_what_is_read_only_cannot_be_written(engine: IsolatedEngine, tmp_path: Path) -> None:
    data = volume("data", tmp_path / "data", "/data", readOnly=True)
    (tmp_path / "data" / "table.csv").write_text("a,b\n")
    script = "cat /data/table.csv; for place in /data/x / /etc ~ $TMPDIR /tmp; do touch $place/y || echo $place; done"
    job = component(script + " 2> /dev/null", connections=["data"])
    assert printed(engine.submit(job, connections=[data])) == ["a,b", "/data/x", "/", "/etc", str(Path.home())]
    assert os.listdir(tmp_path / "data") == ["table.csv"]


@pytest.fixture(params=[None, "/var/tmp"])
def home(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, own_home: Path) -> Iterator[Path]:
    """Tieline's home: in /tmp, which is the job's own anyway, or elsewhere."""
    if request.param is None:
        yield own_home
        return
    with TemporaryDirectory(dir=request.param) as folder:
        monkeypatch.setenv("TIELINE_HOME", folder)
        yield Path(folder)


def test_others_are_absent(home: Path, engine: IsolatedEngine, tmp_path: Path) -> None:
    """Tieline's home shows the run's own folders; secrets, other runs and the record are not there."""
    assert engine.home.root == home
    secrets = tmp_path / "of the secrets"
    for place in (secrets, home / "secrets"):
        place.mkdir(parents=True)
        (place / "token").write_text("canary-1")
    other = engine.submit("echo canary-2 > $TIELINE_OUTPUTS/x; until [ -e $SHARED/go ]; do sleep 0.02; done")
    eventually(lambda: other.run().status is Status.RUNNING)
    script = f"""
        cd {home} && find . | sort; cd "{secrets}" && ls; ls {engine.store} | wc -l
        grep -rs canary- {home} "{secrets}" {engine.store} /tmp ~/.cache/tieline; true
    """
    handle = engine.submit(script, catalog={"secrets": [{"directory": {"path": str(secrets)}}, {"home": {}}]})
    found = printed(handle)
    (engine.shared / "go").touch()
    other.wait()
    assert not any("canary" in line or other.uuid in line for line in found)
    assert {line for line in found if line.count("/") == 1} == {"./runs"}
    assert {line for line in found if line.count("/") == 2} == {f"./runs/{handle.uuid}"}
    assert {line.split("/")[3] for line in found if line.count("/") == 3} == {"attempt-1", "context"}


def test_a_mount_does_not_show_what_is_hidden(engine: IsolatedEngine) -> None:
    """A volume may hold Tieline's home: that stays empty in it."""
    home = engine.home.root
    around = volume("around", home.parent, "/around")
    (home / "secret").write_text("x")
    handle = engine.submit(component(f"ls -A /around/{home.name}", connections=["around"]), connections=[around])
    assert printed(handle) == []


def test_a_mount_beside_what_is_hidden_does_not_show_it(engine: IsolatedEngine) -> None:
    """A mount point is made in a folder that has Tieline's home in it."""
    with TemporaryDirectory(dir="/var/tmp") as around:
        home = Path(around, "home")
        engine.home = HomeFolder(home)
        (home / "secrets").mkdir(parents=True)
        data = volume("data", Path(around, "data"), f"{around}/new/data")
        script = f"touch {around}/new/data/x; ls -A {around} {home}; touch {around}/y 2> /dev/null || echo closed"
        handle = engine.submit(component(script, connections=["data"]), connections=[data])
        found = printed(handle)
        assert (Path(around) / "data" / "x").exists()
    assert found == [f"{around}:", "data", "home", "new", "", f"{home}:", "runs", "closed"]


def test_a_database_file_can_be_written(engine: IsolatedEngine, tmp_path: Path) -> None:
    """With its journal, which is beside it."""
    folder = tmp_path / "database"
    folder.mkdir()
    db = {"name": "db", "kind": "sqlite", "schema": {"path": str(folder / "x.db")}}
    script = (
        "import sqlite3; db = sqlite3.connect({{ connections.db.path | tojson }}); db.execute('create table t (n)')"
    )
    handle = engine.submit(
        component(python(script + "; db.commit(); print('made')"), connections=["db"]), connections=[db]
    )
    assert printed(handle) == ["made"]
    assert (folder / "x.db").exists()


def test_memory_is_its_own(engine: IsolatedEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Credentials of a checkout are there while it lasts."""
    script = "cd $XDG_RUNTIME_DIR && touch x && ls -A . /dev/shm; python3 -c 'import multiprocessing as m; m.Lock()'"
    with TemporaryDirectory(dir="/var/tmp") as runtime, NamedTemporaryFile(dir="/dev/shm"):
        Path(runtime, "other").touch()
        monkeypatch.setenv("XDG_RUNTIME_DIR", runtime)
        assert printed(engine.submit(script)) == [".:", "x", "", "/dev/shm:"]
        assert os.listdir(runtime) == ["other"]


def test_secrets_are_where_the_catalog_says(engine: IsolatedEngine) -> None:
    """Its own alone; to be read, and not to be written."""
    keeper = Keeper(engine.home.root, "secret")
    for name in ("mine", "other"):
        keeper.set("default", name, {"token": Secret(f"value-{name}".encode())})
    connection = {"name": "api", "kind": "custom", "schema": {}, "secret": {"name": "mine", "mountPath": "/keys/api"}}
    script = "cut -c 1-5 /keys/api/token; touch /keys/api/x 2> /dev/null || echo kept"
    script += f"; grep -rl value-other {engine.home.root}"
    handle = engine.submit(component(script + "; true", connections=["api"]), connections=[connection])
    assert printed(handle) == ["value", "kept"]
    assert not handle.folder.context.exists()


def test_a_connection_may_be_the_store(engine: IsolatedEngine) -> None:
    (engine.store / "earlier").mkdir()
    mine = volume("mine", engine.store, "/all-runs")
    handle = engine.submit(component("ls -A /all-runs", connections=["mine"]), connections=[mine])
    assert "earlier" in printed(handle)


def test_only_its_own_processes_are_seen(engine: IsolatedEngine) -> None:
    script = "import os; print(sorted(int(n) for n in os.listdir('/proc') if n.isdecimal()), os.getpid(), os.getppid())"
    (line,) = printed(engine.submit(component(python(script))))
    assert line == "[1, 2] 2 1"


def read(path: str) -> bytes:
    """The file, or nothing where that process has just ended."""
    with suppress(FileNotFoundError, ProcessLookupError):
        return Path(path).read_bytes()
    return b""


def test_nothing_of_the_job_is_in_the_arguments_of_others(engine: IsolatedEngine) -> None:
    main = shell("touch $SHARED/begun; until [ -e $SHARED/go ]; do sleep 0.02; done")
    main["env"] = [{"name": "WORD", "value": "never-in-argv"}]
    handle = engine.submit(component(main))
    eventually((engine.shared / "begun").exists)
    lines = [read(f"/proc/{pid}/cmdline") for pid in processes_of(handle.uuid)]
    watching = [line for line in lines if b"guard.py" in line]
    environments = [read(f"/proc/{pid}/environ") for pid in handle.watchers()]
    (engine.shared / "go").touch()
    printed(handle)
    assert len(watching) == 2
    assert not any(b"never-in-argv" in line for line in lines)
    assert not any(b"bind" in line or engine.home.root.name.encode() in line for line in watching)
    assert not any(b"never-in-argv" in variables for variables in environments)


def test_init_brings_to_any_path(engine: IsolatedEngine, tmp_path: Path) -> None:
    """A folder that is not there, a file among the machine's own, and below a volume."""
    data = volume("data", tmp_path / "data", "/data")
    (tmp_path / "data" / "table.csv").write_text("a,b\n")
    init = [
        {"file": {"filename": "run.sh", "content": "echo ran\n", "chmod": "+x"}, "path": "/of-the-job/scripts"},
        {"file": {"filename": "tieline.conf", "content": "set\n"}, "path": "/etc"},
        {"connection": "data", "artifacts": {"files": ["table.csv"]}, "path": "/input"},
        {"connection": "data", "path": "/data/copy"},
        {"container": shell("echo more >> /input/table.csv", name="prep")},
    ]
    script = """
        /of-the-job/scripts/run.sh; cat /etc/tieline.conf /input/table.csv /data/copy/table.csv
        grep -c root /etc/passwd
        ls -A {{ globals.context_path }}/root; ln -s / {{ globals.context_path }}/root/x 2> /dev/null || echo kept
    """
    handle = engine.submit(component(script, connections=["data"], init=init), connections=[data])
    assert printed(handle) == ["ran", "set", "a,b", "more", "a,b", "1", "kept"]
    assert not (tmp_path / "data" / "copy" / "table.csv").exists()


def test_volumes_of_the_pod(engine: IsolatedEngine, tmp_path: Path) -> None:
    (tmp_path / "host").mkdir()
    volumes = [
        {"name": "scratch", "emptyDir": {}}, {"name": "host", "hostPath": {"path": str(tmp_path / "host")}},
    ]  # fmt: skip
    mounts = [{"name": "scratch", "mountPath": "/scratch"}, {"name": "host", "mountPath": "/host", "subPath": "a/b"}]
    main = shell("touch /scratch/x && ls /scratch; touch /host/y", volumeMounts=mounts)
    assert printed(engine.submit(component(main, volumes=volumes))) == ["x"]
    assert (tmp_path / "host" / "a" / "b" / "y").exists()


def test_a_sub_path_does_not_lead_out(engine: IsolatedEngine, tmp_path: Path) -> None:
    (tmp_path / "host").mkdir()
    (tmp_path / "host" / "a").symlink_to(engine.home.root)
    volumes = [{"name": "host", "hostPath": {"path": str(tmp_path / "host")}}]
    main = shell("ls /host", volumeMounts=[{"name": "host", "mountPath": "/host", "subPath": "a"}])
    run = engine.submit(component(main, volumes=volumes)).wait()
    assert (run.status, run.reason) == (Status.FAILED, Code.UNSAFE_PATH)


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("/proc/x", "the system's own"), ("/", "the system's own"), ("{home}", "would hide the run's own folder"),
        ("/etc/passwd", "one of /etc/passwd and"), ("/etc/passwd/x", "is no folder"),
        ("/ro/missing", "is inside /ro, which is read-only"),
    ],
)  # fmt: skip
def test_a_path_that_cannot_be_made_true_is_refused(
    engine: IsolatedEngine, tmp_path: Path, path: str, told: str
) -> None:
    wrong = volume("wrong", tmp_path / "wrong", path.format(home=engine.home.root))
    read_only = volume("ro", tmp_path / "ro", "/ro", readOnly=True)
    with pytest.raises(Refused, match=told) as caught:
        engine.submit(component("true", connections=["wrong", "ro"]), connections=[wrong, read_only])
    assert {problem.code for problem in caught.value.problems} == {Code.MOUNT_COLLISION}


def test_a_root_that_cannot_be_made_is_told(engine: IsolatedEngine, tmp_path: Path) -> None:
    data = volume("data", tmp_path / "data", "/data")
    job = component("true", connections=["data"])
    handle = engine.submit(job, connections=[data], before=lambda _: os.rmdir(tmp_path / "data"))
    run = handle.wait()
    assert (run.status, run.reason) == (Status.FAILED, Code.PATH_MISSING)
    assert str(tmp_path / "data") in run.message


def test_a_root_that_bubblewrap_cannot_make_is_told(engine: IsolatedEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Sandbox, "arguments", lambda _: ["--ro-bind", "/no/such", "/no/such"])
    run = engine.submit("echo never").wait()
    assert (run.status, run.reason) == (Status.FAILED, Code.STEP_FAILED)
    assert "bubblewrap says: Can't find source path /no/such" in run.message


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_the_job_cannot_end_its_guard(engine: IsolatedEngine, number: int) -> None:
    handle = engine.submit(f"kill -{int(number)} 1; sleep 0.1; echo on")
    assert printed(handle) == ["on"]


def test_a_supervisor_that_is_killed(engine: IsolatedEngine) -> None:
    """All that was printed and written is saved, by whoever looks next; nothing of the job is left."""
    script = "head -c 3000000 /dev/zero | tr '\\0' x; echo; echo y > $TIELINE_OUTPUTS/y; touch $SHARED/begun; sleep 600"
    handle = engine.submit_apart(component(shell("setsid sleep 600 & " + script)))
    eventually((engine.shared / "begun").exists)
    assert handle.leftovers() >= 4
    handle.die()
    run = handle.wait()
    assert (run.status, run.reason) == (Status.FAILED, Code.SUPERVISOR_DIED)
    assert len(handle.logs()) == 3_000_001
    assert handle.outputs() == {"y": b"y\n"}
    assert json.loads(handle.folder.attempt(1).exit("main").read_text())["cause"] == "supervisor-died"


def test_a_stored_plan_says_that_the_run_is_isolated(engine: IsolatedEngine) -> None:
    handle = engine.submit("true")
    printed(handle)
    with engine.record() as record:
        layout = record.plan(handle.uuid)["layout"]
    assert layout["realMounts"] is True
    assert layout["hidden"] == [str(engine.home.root)]
