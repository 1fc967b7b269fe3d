"""What a job finds, in every engine: data, code and files by name; bindings, variables and true paths."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from engine_harness import ENGINES, ProcessEngine, ProcessHandle, component, opened_engine, python, shell

from tieline.errors import Code
from tieline.model.run import Status

WHO = {f"GIT_{role}_{what}": "t@t" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
QUIET = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ProcessEngine]:
    with opened_engine(request.param, tmp_path) as made:
        yield made


@pytest.fixture
def data(tmp_path: Path) -> dict[str, Any]:
    """The connection ``data``: a folder with a table, a folder and a dotfile."""
    folder = tmp_path / "data"
    (folder / "deep" / "er").mkdir(parents=True)
    (folder / "table.csv").write_text("a,b\n1,2\n")
    (folder / "deep" / "er" / "x.bin").write_bytes(bytes(range(256)))
    (folder / ".hidden").write_text("h")
    (folder / "run.sh").write_text("#!/bin/sh\necho ran\n")
    (folder / "run.sh").chmod(0o755)
    return {"name": "data", "kind": "host_path", "schema": {"hostPath": str(folder), "mountPath": "/data"}}


def git(folder: Path, *args: str) -> str:
    done = subprocess.run(
        ["git", *args], cwd=folder, env={**os.environ, **WHO, **QUIET}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture
def code(tmp_path: Path) -> dict[str, Any]:
    """The connection ``code``: a bare repository with two commits; ``v1`` is the first."""
    work = tmp_path / "work"
    work.mkdir()
    git(work, "init", "--quiet", "--initial-branch=main")
    for number in ("one", "two"):
        (work / "main.py").write_text(f"print('{number}')\n")
        git(work, "add", "--all")
        git(work, "commit", "--quiet", "-m", number)
        if number == "one":
            git(work, "tag", "v1")
    git(tmp_path, "clone", "--quiet", "--bare", str(work), str(tmp_path / "code.git"))
    return {"name": "code", "kind": "git", "schema": {"url": str(tmp_path / "code.git"), "revision": "main"}}


def ended_well(handle: ProcessHandle) -> bytes:
    run = handle.wait()
    assert run.status is Status.SUCCEEDED, f"{run.message}: {handle.logs()!r}"
    return handle.logs()


def failed(handle: ProcessHandle, reason: Code) -> str:
    run = handle.wait()
    assert (run.status, run.reason) == (Status.FAILED, reason), run.message
    assert Status.RUNNING not in [event.status for event in handle.events()]
    return run.message


def lines(output: bytes) -> list[str]:
    return output.decode().splitlines()


# --- init


def test_a_volume_is_brought_whole(engine: ProcessEngine, data: dict[str, Any]) -> None:
    script = "cd {{ init['data'].path }} && find . | sort && cat table.csv && ./run.sh && pwd"
    handle = engine.submit(component(script, init=[{"connection": "data"}]), connections=[data])
    found = lines(ended_well(handle))
    assert found[:-1] == [".", "./.hidden", "./deep", "./deep/er", "./deep/er/x.bin", "./run.sh", "./table.csv",
                          "a,b", "1,2", "ran"]  # fmt: skip
    assert found[-1] == f"{handle.plan.layout.artifacts_path}/data"


def test_a_repository_is_brought_at_its_revision(engine: ProcessEngine, code: dict[str, Any]) -> None:
    job = component("python3 {{ init['code'].path }}/main.py", init=[{"connection": "code"}])
    handle = engine.submit(job, connections=[code])
    assert ended_well(handle) == b"two\n"
    url = code["schema"]["url"]
    commit = git(Path(url), "rev-parse", "main")
    assert handle.run().code == ({"connection": "code", "url": url, "commit": commit},)


@pytest.mark.parametrize("through", ["connection", "url"])
def test_an_entry_may_name_another_revision(engine: ProcessEngine, code: dict[str, Any], through: str) -> None:
    url = code["schema"]["url"]
    own = {"git": {"url": url, "revision": "v1"}, "path": "there"}
    entry = {"connection": "code", "git": {"revision": "v1"}, "path": "there"} if through == "connection" else own
    job = component("python3 {{ globals.artifacts_path }}/there/main.py", init=[entry])
    handle = engine.submit(job, connections=[code])
    assert ended_well(handle) == b"one\n"
    assert [item["commit"] for item in handle.run().code] == [git(Path(url), "rev-parse", "v1")]


def test_files_and_folders_are_brought_by_name(engine: ProcessEngine, data: dict[str, Any]) -> None:
    init = [
        {"connection": "data", "artifacts": {"files": ["table.csv", ["run.sh", "bin/go"]], "dirs": ["deep"]}},
        {"connection": "data", "paths": [["deep/er", "flat"], ".hidden"], "path": "some"},
    ]
    script = "cd {{ globals.artifacts_path }} && find data some -type f | sort && data/bin/go"
    handle = engine.submit(component(script, init=init), connections=[data])
    assert lines(ended_well(handle)) == [
        "data/bin/go", "data/deep/er/x.bin", "data/table.csv", "some/.hidden", "some/flat/x.bin", "ran",
    ]  # fmt: skip


def test_artifacts_of_the_store_itself(engine: ProcessEngine) -> None:
    first = engine.submit("echo 0.9 > $TIELINE_OUTPUTS/score")
    first.wait()
    source = f"{first.uuid}/attempt-1/outputs/score"
    job = component("cat {{ globals.artifacts_path }}/before", init=[{"artifacts": {"files": [[source, "before"]]}}])
    assert ended_well(engine.submit(job)) == b"0.9\n"


def test_a_file_is_written_with_its_mode(engine: ProcessEngine) -> None:
    init = [
        {"file": {"filename": "go", "content": "#!/bin/sh\necho ran in $(pwd)\n", "chmod": "+x"}, "path": "bin"},
        {"file": {"name": "secret", "content": "naïve {{ name }}\n", "chmod": "0600"}},
        {"dockerfile": {"image": "python:3.12", "run": ["pip install x"], "env": {"A": "b"}}, "path": "build"},
    ]
    script = """
        cd {{ globals.artifacts_path }}; bin/go; stat -c '%a %s' bin/go secret; cat secret build/Dockerfile
    """
    job = component(script, init=init, inputs=[{"name": "name", "type": "str"}])
    handle = engine.submit(job, name="日本")
    assert lines(ended_well(handle)) == [
        f"ran in {handle.plan.layout.artifacts_path}", "755 29", "600 14", "naïve 日本",
        "FROM python:3.12", "", 'ENV A="b"', "RUN pip install x",
    ]  # fmt: skip


def test_a_command_prepares(engine: ProcessEngine) -> None:
    env = [{"name": "WORD", "value": "$(TIELINE_RUN_NAME)!"}]
    prep = shell("echo preparing; echo $WORD > $TIELINE_ARTIFACTS/made", name="prep", env=env)
    handle = engine.submit(component("cat $TIELINE_ARTIFACTS/made", init=[{"container": prep}]))
    assert ended_well(handle) == b"job!\n"
    assert handle.logs("init-prep") == b"preparing\n"


def test_the_order_of_the_file_holds(engine: ProcessEngine, code: dict[str, Any], data: dict[str, Any]) -> None:
    """Each entry finds what those before it made, and nothing of those after it."""

    def look(name: str) -> dict[str, Any]:
        return {"container": shell("cd $TIELINE_ARTIFACTS; ls | grep -v '^[0-9a-f]*$' | xargs", name=name)}

    init = [look("a"), {"connection": "data"}, look("b"), {"file": {"filename": "file.txt", "content": ""}}, look("c"),
            {"connection": "code"}, look("d")]  # fmt: skip
    handle = engine.submit(component("true", init=init), connections=[data, code])
    ended_well(handle)
    assert [handle.logs(f"init-{name}") for name in "abcd"] == [
        b"\n", b"data\n", b"data file.txt\n", b"code data file.txt\n",
    ]  # fmt: skip
    begun, done = ([name for name, state, _ in handle.told.steps if state == what] for what in ("begins", "done"))
    assert begun == ["a", "data", "b", "init-3", "c", "code", "d"]
    assert sorted(done) == sorted(begun)  # of a cluster, two that ended between two looks are told in any order


@pytest.mark.parametrize(
    ("entry", "reason", "told"),
    [
        ({"container": shell("echo no >&2; exit 4", name="prep")}, Code.STEP_FAILED, "step 'prep' exited with 4"),
        ({"container": shell("kill -9 $$", name="prep")}, Code.STEP_FAILED, "step 'prep' was ended by SIGKILL"),
        ({"container": {"command": ["/no/such"], "name": "prep"}}, Code.STEP_FAILED, "could not be started: /no/such"),
        ({"connection": "code", "git": {"revision": "mian"}}, Code.REVISION_MISSING, "mian"),
        ({"git": {"url": "/no/such/repository"}}, Code.CLONE_FAILED, "/no/such/repository"),
        ({"connection": "data", "artifacts": {"files": ["tabel.csv"]}}, Code.ARTIFACT_MISSING, "tabel.csv"),
        ({"connection": "data", "artifacts": {"files": ["deep"]}}, Code.ARTIFACT_MISSING, "is a folder"),
        ({"artifacts": {"dirs": ["nothing"]}}, Code.ARTIFACT_MISSING, "nothing"),
    ],
)
def test_a_step_that_fails_says_why_and_the_job_never_runs(
    engine: ProcessEngine, code: dict[str, Any], data: dict[str, Any], entry: dict[str, Any], reason: Code, told: str
) -> None:
    if told == "/no/such/repository":
        engine.lacks("a folder is the node's: where it has none, the pod waits for it, and says so")
    if "SIGKILL" in told:
        engine.lacks("a step is the first process of its namespace: a signal that it sends to itself is not delivered")
    handle = engine.submit(component("echo never", init=[entry]), connections=[code, data])
    assert told in failed(handle, reason)
    assert handle.logs() == b""
    assert [state for _, state, _ in handle.told.steps] == ["begins", "failed"]


def test_a_later_failure_keeps_the_commits_of_what_was_done(engine: ProcessEngine, code: dict[str, Any]) -> None:
    bad = {"container": shell("exit 1", name="bad")}
    handle = engine.submit(component("true", init=[{"connection": "code"}, bad]), connections=[code])
    failed(handle, Code.STEP_FAILED)
    assert len(handle.run().code) == 1


def test_a_later_failure_keeps_the_logs_of_what_was_done(engine: ProcessEngine, code: dict[str, Any]) -> None:
    engine.lacks("a cluster before 1.29, as that of the tests, starts the collector only after all steps")
    bad = shell("echo trying; exit 1", name="bad")
    handle = engine.submit(component("true", init=[{"connection": "code"}, {"container": bad}]), connections=[code])
    failed(handle, Code.STEP_FAILED)
    assert handle.logs("init-bad") == b"trying\n"


def test_local_files_are_taken_along(engine: ProcessEngine) -> None:
    engine.write("lib/util.py", "word = 'taken'")
    engine.write("lib/.git/config", "history")
    engine.write("main.py", "import lib.util; print(lib.util.word)")
    operation = {
        "kind": "operation",
        "mount": ["lib", "main.py:run.py"],
        "component": component("python3 -B run.py; ls -A . lib"),
    }
    found = lines(ended_well(engine.submit(operation)))
    assert found == ["taken", ".:", "lib", "run.py", "", "lib:", "util.py"]


# --- what the job sees


def test_a_connection_is_a_directory(engine: ProcessEngine) -> None:
    connections = [
        {"name": "db", "kind": "postgres", "schema": {"host": "db.example", "port": 5433, "database": "penguins"}},
        {"name": "other-db", "kind": "postgres", "schema": {"host": "other.example", "database": "x"}},
    ]
    script = """
        cd $SERVICE_BINDING_ROOT && stat -Lc %a db/host && ls db | xargs
        for f in */host */type db/port db/uri; do echo $f $(cat $f); done
    """
    handle = engine.submit(
        component(script, connections=["db", "other-db"]),
        connections=[{**item, "envPrefix": f"{index}_".replace("0", "A").replace("1", "B")}
                     for index, item in enumerate(connections)],
    )  # fmt: skip
    found = lines(ended_well(handle))
    assert found[:2] == ["600", "database host port provider type uri"]
    assert "db/host db.example" in found
    assert "other-db/host other.example" in found
    assert "db/type postgresql" in found
    assert "db/port 5433" in found
    assert "db/uri postgresql://db.example:5433/penguins" in found


def test_only_the_jobs_user_may_look_into_a_connections_directory(engine: ProcessEngine) -> None:
    engine.lacks("a projected volume's folder has the rights that the kubelet gives it, and is the pod's alone")
    db = {"name": "db", "kind": "redis", "schema": {"host": "r"}}
    handle = engine.submit(component("stat -c %a $SERVICE_BINDING_ROOT/db", connections=["db"]), connections=[db])
    assert ended_well(handle) == b"700\n"


def test_entries_have_no_newline_at_their_end(engine: ProcessEngine) -> None:
    db = {"name": "db", "kind": "redis", "schema": {"host": "r"}}
    script = "import os, json, pathlib; root = pathlib.Path(os.environ['SERVICE_BINDING_ROOT'])\n"
    script += "print(json.dumps([(root / 'db' / 'host').read_text()]))"
    handle = engine.submit(component(python(script), connections=["db"]), connections=[db])
    assert json.loads(ended_well(handle)) == ["r"]


def test_variables_of_a_kind_and_of_a_connection(engine: ProcessEngine) -> None:
    db = {
        "name": "db", "kind": "postgres", "schema": {"host": "db.example", "database": "penguins"},
        "env": [{"name": "DB_MODE", "value": "fast"}],
    }  # fmt: skip
    container = shell(
        "echo $PGHOST $PGDATABASE $DB_MODE $OWN",
        env=[{"name": "DB_MODE", "value": "slow"}, {"name": "OWN", "value": "$(PGHOST):$(DB_MODE)"}],
    )
    handle = engine.submit(component(container, connections=["db"]), connections=[db])
    assert ended_well(handle) == b"db.example penguins slow db.example:slow\n"


def test_templates_give_true_paths(engine: ProcessEngine, data: dict[str, Any]) -> None:
    names = {
        "data": "{{ connections['data'].path }}", "binding": "{{ connections['data'].binding_path }}",
        "outputs": "{{ globals.run_outputs_path }}", "artifacts": "{{ globals.artifacts_path }}",
        "context": "{{ globals.context_path }}", "init": "{{ init['data'].path }}",
    }  # fmt: skip
    script = f"import os, json; print(json.dumps({{k: os.path.isdir(v) for k, v in {names}.items()}}))"
    script += "\nprint(os.environ['TIELINE_OUTPUTS'] == {{ globals.run_outputs_path | tojson }})"
    script += "\nprint(os.path.isfile('{{ connections['data'].path }}/table.csv'), '{{ globals.uuid }}')"
    job = component(python(script), connections=["data"], init=[{"connection": "data"}])
    handle = engine.submit(job, connections=[data])
    first, second, third = lines(ended_well(handle))
    assert json.loads(first) == dict.fromkeys(names, True)
    assert (second, third) == ("True", f"True {handle.uuid}")


def test_params_reach_the_command(engine: ProcessEngine) -> None:
    inputs = [{"name": "lr", "type": "float"}, {"name": "deep", "type": "bool", "isFlag": True, "value": False},
              {"name": "word", "type": "str", "toEnv": "WORD", "value": "it's $HOME"}]  # fmt: skip
    script = "import sys, os; print(sys.argv[1:], os.environ['WORD'])"
    main = {"command": ["python3", "-c", script], "args": ["{{ params.as_args }}", "--twice={{ lr * 2 }}"]}
    handle = engine.submit(component(main, inputs=inputs), lr="0.25", deep="true")
    assert ended_well(handle) == b"['--lr=0.25', '--deep', \"--word=it's $HOME\", '--twice=0.5'] it's $HOME\n"


def test_references_in_command_and_args(engine: ProcessEngine) -> None:
    """As Kubernetes has it: known names, unknown ones stay, ``$$`` is ``$``."""
    main = {
        "command": ["echo", "$(A)", "$(NOPE)", "$$(A)"], "args": ["$(B)", "$(TIELINE_RUN_UUID)"],
        "env": [{"name": "A", "value": "a b"}, {"name": "B", "value": "<$(A)>$(C)"}, {"name": "C", "value": "c"}],
    }  # fmt: skip
    handle = engine.submit(component(main))
    assert ended_well(handle) == f"a b $(NOPE) $(A) <a b>$(C) {handle.uuid}\n".encode()


def test_a_job_gets_a_short_list_of_the_users_variables(engine: ProcessEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    engine.lacks("a job has its image's variables, not those of the user who submits it")
    secret = "x-never-to-be-seen"
    for name in ("AWS_SECRET_ACCESS_KEY", "GITHUB_TOKEN", "PGPASSWORD", "TIELINE_OTHER", "MY_SETTING", "PYTHONPATH"):
        monkeypatch.setenv(name, secret)
    monkeypatch.setenv("LC_PAPER", "A4")
    monkeypatch.setenv("TZ", "UTC")
    handle = engine.submit(component(python("import os, json; print(json.dumps(dict(os.environ)))")))
    printed = ended_well(handle)
    assert secret.encode() not in printed
    found = json.loads(printed)
    assert (found["LC_PAPER"], found["TZ"], found["PATH"]) == ("A4", "UTC", os.environ["PATH"])
    assert {name for name in found if name.startswith("TIELINE")} == {
        "TIELINE_RUN_UUID", "TIELINE_RUN_NAME", "TIELINE_PROJECT", "TIELINE_NAMESPACE", "TIELINE_ATTEMPT",
        "TIELINE_OUTPUTS", "TIELINE_ARTIFACTS",
    }  # fmt: skip


def test_neither_are_the_others_in_the_jobs_parent(engine: ProcessEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    engine.lacks("a job is the first process of its namespace, and has no parent")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x-never-to-be-seen")
    script = "tr '\\0' '\\n' < /proc/$$/environ; tr '\\0' '\\n' < /proc/$PPID/environ"
    assert b"never-to-be-seen" not in ended_well(engine.submit(script))


def test_folders_of_the_job_are_its_own(engine: ProcessEngine) -> None:
    script = 'pwd; echo $TMPDIR; echo $TIELINE_OUTPUTS; touch "$TMPDIR/x" "$TIELINE_OUTPUTS/y"; ls -A; touch z'
    found = lines(ended_well(engine.submit(script)))
    assert len(set(found)) == 3, "three folders, and the one that it begins in is empty"


def test_nobody_else_may_look_into_the_folders_of_a_job(engine: ProcessEngine) -> None:
    engine.lacks("the kubelet makes them, for whichever user the image has; nobody but the job's pod has them")
    found = lines(ended_well(engine.submit('stat -c %a . "$TIELINE_OUTPUTS" "$TMPDIR"')))
    assert found == ["700", "700", "700"]


@pytest.mark.parametrize("name", [name for name in ENGINES if name != "kubernetes"])  # a pod's paths are its own
def test_paths_with_spaces_and_letters_of_all_kinds(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "a b; 'ü' 日本 $HOME"
    monkeypatch.setenv("TIELINE_HOME", str(place / "home"))
    with opened_engine(name, place / name) as engine:
        step = {"container": shell('echo from init > "$TIELINE_ARTIFACTS/i"', name="prep")}
        job = component('cat "$TIELINE_ARTIFACTS/i"; pwd > "$TIELINE_OUTPUTS/where"', init=[step])
        handle = engine.submit(job)
        assert ended_well(handle) == b"from init\n"
        assert handle.outputs()["where"].decode().startswith(str(place))


def test_whom_to_tell_is_in_the_plan(engine: ProcessEngine) -> None:
    schema = {"url": "http://127.0.0.1:1/nobody"}
    channels = [{"name": name, "kind": "slack", "schema": schema} for name in ("team", "boss")]
    job = component(
        "true",
        plugins={"notifications": [{"connections": ["team"], "trigger": "failed"}]},
        hooks=[{"connection": "boss", "trigger": "succeeded"}],
    )
    handle = engine.submit(job, catalog={"notificationConnections": channels})
    ended_well(handle)
    asked = [(notify.connection, notify.trigger) for notify in handle.plan.notifications]
    assert asked == [("team", "failed"), ("boss", "succeeded")]
    with engine.record() as record:
        assert record.plan(handle.uuid)["notifications"] == [item.as_json() for item in handle.plan.notifications]
        assert record.usage("team", handle.plan.run.namespace) == [handle.uuid]
        told = record.outbox.list(run=handle.uuid)
        assert [(one.connection, one.facts.status) for one in told] == [("boss", Status.SUCCEEDED)]
