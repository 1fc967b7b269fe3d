"""Secrets in real runs: where they come from, how a job finds them, what is refused, and that nothing is left."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from run_harness import Runs, canary, found_in, kill

from servers.processes import absent, eventually
from tieline.app.outputs import push
from tieline.app.secrets import keeper
from tieline.engines.process.isolation import unusable
from tieline.errors import Code, InvalidInput, Refused
from tieline.model.run import Run
from tieline.runs.record import Record


@pytest.fixture(params=["none", "bubblewrap"])
def runs(request: pytest.FixtureRequest, tmp_path: Path) -> Runs:
    if request.param == "bubblewrap" and (reason := unusable()):
        absent(reason)
    return Runs(tmp_path / "work", request.param)


def custom(name: str, **parts: Any) -> dict[str, Any]:
    return {"name": name, "kind": "custom", **parts}


def postgres(name: str, **parts: Any) -> dict[str, Any]:
    return {"name": name, "kind": "postgres", "schema": {"host": f"{name}.example", "database": name}, **parts}


def recorded(runs: Runs) -> list[Run]:
    if not runs.home.database.exists():
        return []
    with Record.open(runs.home.database) as record:
        return list(record.list())


# --- sources


def test_the_first_source_that_has_a_secret_gives_all_of_it(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, maps = runs.root / "secrets-dir", runs.root / "maps-dir"
    for name, keys in {"both": {"a": "dir", "b": "dir"}, "second": {"a": "dir"}}.items():
        for key, value in keys.items():
            (folder / name).mkdir(parents=True, exist_ok=True)
            (folder / name / key).write_text(value)
    (maps / "plain").mkdir(parents=True)
    (maps / "plain" / "c").write_text("dir")
    for name in ("BOTH", "SECOND", "THIRD"):
        monkeypatch.setenv(f"TIELINE_SECRET_{name}__a", "env")
    monkeypatch.setenv("TIELINE_CONFIG_MAP_LAST__d", "env")
    runs.secret("both", {"a": "from-home"})
    runs.catalog = {
        "secrets": [{"home": {}}, {"directory": {"path": str(folder), "configMaps": str(maps)}}, {"environment": {}}],
        "connections": [
            *(
                custom(name, secret={"name": name}, envPrefix=f"{name.upper()}_")
                for name in ("both", "second", "third")
            ),
            *(custom(name, configMap={"name": name}) for name in ("plain", "last")),
        ],
    }

    ended = runs.good(runs.job(connections=["both", "second", "third", "plain", "last"]))

    wanted = {"BOTH_a": "from-home", "SECOND_a": "dir", "THIRD_a": "env", "c": "dir", "d": "env"}
    assert {name: ended.env[name] for name in wanted} == wanted
    assert "BOTH_b" not in ended.env, "keys of two sources are never mixed"
    assert not [name for name in ended.env if name.startswith(("TIELINE_SECRET", "TIELINE_CONFIG_MAP"))]


def test_home_comes_before_the_environment_by_default(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIELINE_SECRET_ONE__A", "env")
    monkeypatch.setenv("TIELINE_SECRET_TWO__B", "env")
    runs.secret("one", {"A": "from-home"})
    runs.catalog = {"connections": [custom("one", secret={"name": "one"}), custom("two", secret={"name": "two"})]}
    ended = runs.good(runs.job(connections=["one", "two"]))
    assert (ended.env["A"], ended.env["B"]) == ("from-home", "env")


# --- refused before anything is recorded


@pytest.mark.parametrize(
    ("connection", "names"),
    [
        (custom("c", secret={"name": "nothere"}), ["'nothere'"]),
        (custom("c", secret={"name": "there", "items": ["ONE", "TWO"]}), ["'there'", "'TWO'", "'ONE'"]),
        (custom("c", secret={"name": "there", "items": ["TWO"], "mountPath": "/etc/x"}), ["'there'", "'TWO'"]),
        (custom("c", configMap={"name": "there"}), ["config map 'there'"]),
    ],
)
def test_what_is_missing_is_refused_by_name(runs: Runs, connection: dict[str, Any], names: list[str]) -> None:
    runs.secret("there", {"ONE": "value-of-one"})
    runs.catalog = {"connections": [connection]}
    with pytest.raises(Refused) as caught:
        runs(runs.job(connections=["c"]))
    assert caught.value.code is Code.SECRET_MISSING
    for name in names:
        assert name in str(caught.value)
    assert "connections[c]" in str(caught.value)
    assert "value-of-one" not in str(caught.value)
    assert recorded(runs) == []
    assert not list(runs.home.runs.glob("*"))


def test_the_command_exits_with_69(runs: Runs) -> None:
    env = "env: [{name: A, valueFrom: {secretKeyRef: {name: gone, key: k}}}]"
    (runs.root / "job.yaml").write_text(f"kind: component\nrun: {{kind: job, container: {{command: ['true'], {env}}}}}")
    argv = [sys.executable, "-m", "tieline", "run", "job.yaml", "-o", "json"]
    done = subprocess.run(argv, cwd=runs.root, capture_output=True, text=True, check=False)
    assert done.returncode == 69
    (problem,) = [item for item in json.loads(done.stderr)["errors"] if item["severity"] == "error"]
    assert (problem["code"], problem["field"]) == ("secret-missing", "main.env[A]")
    assert "'gone'" in problem["message"]
    assert "tieline secrets set gone k" in problem["hint"]
    assert recorded(runs) == []


def test_two_connections_that_set_one_variable_are_refused(runs: Runs) -> None:
    runs.secret("one", {"A": "1", "B": "1"})
    runs.secret("two", {"A": "2", "C": "2"})
    runs.catalog = {"connections": [custom(name, secret={"name": name}) for name in ("one", "two")]}
    with pytest.raises(Refused, match="'one' and 'two' both set A") as caught:
        runs(runs.job(connections=["one", "two"]))
    assert caught.value.code is Code.VARIABLE_COLLISION
    assert recorded(runs) == []


# --- as variables


def test_a_secret_without_a_path_is_variables(runs: Runs) -> None:
    given = {"A": canary("a"), "with.dot": canary("dot"), "9no": canary("9")}
    runs.secret("s", given)
    runs.catalog = {
        "connections": [custom("c", secret={"name": "s"}), custom("p", secret={"name": "s"}, envPrefix="P_")]
    }
    ended = runs.good(runs.job(connections=["c", "p"]))
    assert (ended.env["A"], ended.env["with.dot"], ended.env["P_A"]) == (given["A"], given["with.dot"], given["A"])
    assert "9no" not in ended.env
    assert ended.env["P_9no"] == given["9no"]
    assert any("'9no'" in note and "no variable's name" in note for note in ended.told.notes)


def test_items_are_these_alone(runs: Runs) -> None:
    given = {"A": canary("a"), "B": canary("b")}
    runs.secret("s", given)
    runs.catalog = {
        "connections": [
            custom("c", secret={"name": "s", "items": ["A"]}),
            custom("p", secret={"name": "s", "items": ["B"]}, envPrefix="P_"),
        ]
    }
    ended = runs.good(runs.job(connections=["c", "p"]))
    assert {name for name in ended.env if given["B"] in ended.env[name]} == {"P_B"}
    assert ended.env["A"] == given["A"]


def test_any_bytes_that_a_variable_can_hold(runs: Runs) -> None:
    value = b"\xff\xfe line\nnext\ttab \xc3\xa9 $HOME $(A) {{ x }}"
    runs.secret("s", {"A": value, "EMPTY": b""})
    runs.catalog = {"connections": [custom("c", secret={"name": "s"})]}
    ended = runs.good(runs.job(connections=["c"]))
    assert ended.env["A"].encode("utf-8", "surrogateescape") == value
    assert ended.env["EMPTY"] == ""


@pytest.mark.parametrize(("value", "said"), [(b"canary\0zero", "zero byte"), (b"canary" * 30_000, "127 KiB")])
def test_what_no_variable_can_hold(runs: Runs, value: bytes, said: str) -> None:
    runs.secret("s", {"A": value})
    runs.catalog = {"connections": [custom("c", secret={"name": "s"})]}
    ended = runs(runs.job(connections=["c"]))
    assert (ended.run.status.value, ended.run.reason) == ("failed", Code.BAD_VALUE)
    assert said in ended.run.message
    assert "mountPath" in ended.run.message
    assert "canary" not in ended.run.message

    runs.catalog["connections"][0]["secret"]["mountPath"] = "/etc/s"
    ended = runs.good(runs.job(runs.at("/etc/s"), connections=["c"]))
    (found,) = ended.seen["files"].values()
    assert found["A"] == [value.decode(), "0o600"]


# --- as files


def mounted_at(ended: Any, path: str) -> str:
    """Where the job was given the files of a mount."""
    found: str = next(place for place in ended.seen["files"] if place.endswith(path))
    return found


def test_with_a_path_it_is_files_there_and_no_variables(runs: Runs) -> None:
    given = {"A": canary("a"), "B": canary("b"), "C": canary("c")}
    runs.secret("s", given)
    secret = {"name": "s", "mountPath": "/etc/creds", "items": ["A", "B"], "defaultMode": "0400"}
    runs.catalog = {"connections": [custom("c", secret=secret)]}
    ended = runs.good(runs.job(runs.at("/etc/creds"), connections=["c"]))
    assert ended.files(mounted_at(ended, "/etc/creds")) == {"A": (given["A"], "0o400"), "B": (given["B"], "0o400")}
    assert not [name for name, value in ended.env.items() if value in given.values()]


@pytest.mark.parametrize(("mode", "wanted"), [("0640", "0o640"), (384, "0o600"), (None, "0o600"), ("0444", "0o444")])
def test_modes(runs: Runs, mode: Any, wanted: str) -> None:
    runs.secret("s", {"A": "value-a"})
    secret = {"name": "s", "mountPath": "/etc/creds", **({} if mode is None else {"defaultMode": mode})}
    runs.catalog = {"connections": [custom("c", secret=secret)]}
    ended = runs.good(runs.job(runs.at("/etc/creds"), connections=["c"]))
    assert ended.files(mounted_at(ended, "/etc/creds"))["A"][1] == wanted


def test_the_files_are_where_explain_says(runs: Runs) -> None:
    from tieline.app.wording import mount_words

    runs.secret("s", {"A": "value-a"})
    runs.catalog = {"connections": [custom("c", secret={"name": "s", "mountPath": "/etc/creds"})]}
    ended = runs.good(runs.job(runs.at("/etc/creds"), connections=["c"]))
    (binding,) = [binding for binding in ended.plan.bindings if binding.connection == "c"]
    said = mount_words(binding.mounts[0], ended.plan.layout)
    assert said.startswith("the files of secret s")
    assert (mounted_at(ended, "/etc/creds") in said) == (runs.isolation == "none"), "where it is not where it is asked"


def test_a_config_map_beside_a_secret_and_one_secret_at_two_paths(runs: Runs) -> None:
    runs.secret("s", {"A": "secret-a"})
    runs.secret("s", {"B": "map-b"}, resource="configMap")
    runs.catalog = {
        "connections": [
            custom(
                "one", secret={"name": "s", "mountPath": "/etc/one"}, configMap={"name": "s", "mountPath": "/etc/m"}
            ),
            custom("two", secret={"name": "s", "mountPath": "/etc/two"}),
            custom("env", secret={"name": "s"}, configMap={"name": "s"}),
        ]
    }
    root = runs.at("/etc")
    job = runs.job(f"{root}/one", f"{root}/two", f"{root}/m", connections=["one", "two", "env"])
    ended = runs.good(job)
    assert ended.files(mounted_at(ended, "/one")) == {"A": ("secret-a", "0o600")}
    assert ended.files(mounted_at(ended, "/two")) == {"A": ("secret-a", "0o600")}
    assert ended.files(mounted_at(ended, "/m")) == {"B": ("map-b", "0o644")}
    assert (ended.env["A"], ended.env["B"]) == ("secret-a", "map-b")


def test_two_secrets_at_one_path_are_refused(runs: Runs) -> None:
    runs.secret("s", {"A": "secret-a"})
    runs.secret("t", {"A": "secret-b"})
    runs.catalog = {
        "connections": [custom(name, secret={"name": name, "mountPath": "/etc/creds"}) for name in ("s", "t")]
    }
    with pytest.raises(InvalidInput, match="both stand at /etc/creds"):
        runs(runs.job(connections=["s", "t"]))


def test_a_volume_and_a_secret_of_one_name(runs: Runs) -> None:
    (runs.root / "data").mkdir()
    (runs.root / "data" / "file").write_text("data")
    runs.secret("data", {"A": "secret-a"})
    runs.catalog = {
        "connections": [
            {
                "name": "data",
                "kind": "volume_claim",
                "schema": {"volumeClaim": "data", "mountPath": "/data"},
                "secret": {"name": "data", "mountPath": "/etc/data"},
            },
        ],
        "persistence": {"claims": {"data": {"hostPath": str(runs.root / "data")}}},
    }
    ended = runs.good(runs.job("{{ connections['data'].path }}", runs.at("/etc/data"), connections=["data"]))
    data = "/data" if runs.isolation == "bubblewrap" else str(runs.root / "data")
    assert ended.files(data) == {"file": ("data", "0o644")}
    assert ended.files(mounted_at(ended, "/etc/data")) == {"A": ("secret-a", "0o600")}
    assert sorted(path.name for path in (runs.root / "data").iterdir()) == ["file"]


# --- what is made of them


def test_two_connections_of_one_kind(runs: Runs) -> None:
    words = {name: {"username": f"user-{name}", "password": canary(name)} for name in ("one", "two")}
    for name, keys in words.items():
        runs.secret(name, keys)
    runs.catalog = {
        "connections": [
            postgres("one", secret={"name": "one", "mountPath": "/etc/one"}),
            postgres("two", secret={"name": "two", "mountPath": "/etc/two"}),
        ]
    }
    ended = runs.good(runs.job(connections=["one", "two"]))
    for name, keys in words.items():
        assert ended.entry(f"{name}/password") == keys["password"]
        assert ended.entry(f"{name}/username") == keys["username"]
        assert ended.entry(f"{name}/host") == f"{name}.example"
    assert "PGPASSWORD" not in ended.env, "neither wins"

    runs.catalog["connections"][1]["envPrefix"] = "TWO_"
    ended = runs.good(runs.job(connections=["one", "two"]))
    assert ended.env["PGPASSWORD"] == words["one"]["password"]
    assert ended.env["TWO_PGPASSWORD"] == words["two"]["password"]


def test_a_uri_is_made_in_the_step_and_nowhere_before(runs: Runs) -> None:
    password = "p@ss/w:rd?#"
    runs.secret("db", {"username": "me@corp", "password": password})
    runs.catalog = {"connections": [postgres("db", secret={"name": "db"})]}
    ended = runs.good(runs.job(connections=["db"]))
    assert ended.entry("db/uri") == "postgresql://me%40corp:p%40ss%2Fw%3Ard%3F%23@db.example:5432/db"
    assert ended.seen["bound"]["db/password"] == [password, "0o600"]
    assert password not in json.dumps(ended.plan.as_json())


def test_two_registries_share_one_configuration(runs: Runs) -> None:
    runs.secret("hub", {"username": "hub-user", "password": canary("hub")})
    runs.secret("own", {"config.json": json.dumps({"auths": {"registry.example:5000": {"auth": "b3duOmNhbmFyeQ=="}}})})
    runs.catalog = {
        "connections": [
            {
                "name": "hub",
                "kind": "registry",
                "schema": {"url": "org/repo"},
                "secret": {"name": "hub", "mountPath": "/h"},
            },
            {
                "name": "own",
                "kind": "registry",
                "schema": {"url": "registry.example:5000/x"},
                "secret": {"name": "own", "mountPath": "/o"},
            },
        ]
    }
    ended = runs.good(runs.job(connections=["hub", "own"]))
    text, mode = ended.seen["files"]["DOCKER_CONFIG"]["config.json"]
    assert sorted(json.loads(text)["auths"]) == ["https://index.docker.io/v1/", "registry.example:5000"]
    assert mode == "0o600"
    assert ended.env["REGISTRY_AUTH_FILE"] == f"{ended.env['DOCKER_CONFIG']}/config.json"
    assert json.loads(ended.entry("own/config.json"))["auths"].keys() == {"registry.example:5000"}


def test_split_git_credentials(runs: Runs) -> None:
    token = canary("token")
    runs.secret("gitlab", {"POLYAXON_GIT_CREDENTIALS": f"me:{token}"})
    code = {"name": "code", "kind": "git", "schema": {"url": "https://git.example/a/b"}, "secret": {"name": "gitlab"}}
    runs.catalog = {"connections": [code]}
    asks = (
        "import subprocess, os, sys\n"
        "for asked in (\"Username for 'https://git.example': \", \"Password for 'https://me@git.example': \"):\n"
        "    print(subprocess.check_output([os.environ['GIT_ASKPASS'], asked], text=True), end='|')\n"
        f"exec(open({str(runs.look)!r}).read())\n"
    )
    command = [sys.executable, "-c", asks, "{{ out }}"]
    job = runs.job(connections=["code"], container={"command": command}, plugins={"collectLogs": False})
    ended = runs.good(job)
    assert ended.told.printed.decode() == f"me|{token}|"
    assert (ended.entry("code/username"), ended.entry("code/password")) == ("me", token)
    assert ended.seen["bound"]["code/askpass"][1] == "0o700"


def test_a_secret_that_is_no_docker_configuration(runs: Runs) -> None:
    runs.secret("own", {"config.json": '{"auths": {"r.example": "canary-broken"}'})
    registry = {"name": "own", "kind": "registry", "schema": {"url": "r.example/x"}, "secret": {"name": "own"}}
    runs.catalog = {"connections": [registry]}
    ended = runs(runs.job(connections=["own"]))
    assert "own" in str([*ended.told.notes, ended.run.message])
    assert "canary-broken" not in str([*ended.told.notes, ended.run.message])


# --- how a job asks


def test_params_with_a_connection_and_templates(runs: Runs) -> None:
    (runs.root / "data").mkdir()
    (runs.root / "data" / "labels.csv").write_text("a,b\n")
    runs.secret("db", {"password": canary("db")})
    runs.catalog = {
        "connections": [
            postgres("db", secret={"name": "db"}),
            {
                "name": "data",
                "kind": "host_path",
                "schema": {"hostPath": str(runs.root / "data"), "mountPath": "/data"},
            },
        ]
    }
    operation = {
        "kind": "operation",
        "params": {
            "where": {"connection": "db", "value": "table-1"},
            "files": {"connection": "data", "init": True, "artifacts": {"files": ["labels.csv"]}},
            "again": {"connection": "data", "toInit": True, "paths": ["labels.csv"]},
            "lr": {"value": "0.1", "toEnv": "LR"},
        },
        "component": runs.job(
            "{{ init['data'].path }}",
            "host={{ connections['db'].host }}",
            "where={{ where }}",
            "bound={{ connections[params.where.connection].binding_path }}",
            connections=["db"],
            inputs=[
                {"name": "where", "type": "str"},
                {"name": "files", "type": "artifacts", "isOptional": True},
                {"name": "again", "type": "str", "isOptional": True},
                {"name": "lr", "type": "float"},
            ],
        ),
    }
    ended = runs.good(operation)
    assert ended.env["LR"] == "0.1"
    assert ended.env["PGPASSWORD"] == runs.values[0]
    assert ended.seen["argv"][:2] == ["host=db.example", "where=table-1"]
    assert ended.seen["argv"][2] == f"bound={ended.env['SERVICE_BINDING_ROOT']}/db"
    (found,) = ended.seen["files"].values()
    assert found["labels.csv"][0] == "a,b\n"


def test_templates_have_no_secret(runs: Runs) -> None:
    runs.secret("db", {"username": "someone", "password": "never-shown"})
    runs.catalog = {"connections": [postgres("db", secret={"name": "db"})]}
    for name in ("password", "username"):
        with pytest.raises(InvalidInput) as caught:
            runs(runs.job(f"x={{{{ connections['db'].{name}.upper() }}}}", connections=["db"]))
        assert "never-shown" not in str(caught.value)
    ended = runs.good(runs.job("uri={{ connections['db'].uri }}", connections=["db"]))
    assert ended.seen["argv"] == ["uri=postgresql://db.example:5432/db"]


def test_an_override_of_one_init_entry_stays_in_it(runs: Runs, tmp_path: Path) -> None:
    from servers.git_http import make_repository

    for name in ("one", "two"):
        make_repository(tmp_path / f"{name}.git", {"name.txt": name})
    runs.catalog = {"connections": [{"name": "code", "kind": "git", "schema": {"url": str(tmp_path / "one.git")}}]}
    ended = runs.good(
        runs.job(
            "{{ globals.artifacts_path }}/first",
            "{{ globals.artifacts_path }}/second",
            init=[
                {"connection": "code", "git": {"url": str(tmp_path / "two.git")}, "path": "first"},
                {"connection": "code", "path": "second"},
            ],
        )
    )
    names = {path.rpartition("/")[2]: files["name.txt"][0] for path, files in ended.seen["files"].items()}
    assert names == {"first": "two", "second": "one"}


def test_keys_by_reference(runs: Runs) -> None:
    value = canary("ref")
    runs.secret("api", {"token": value})
    runs.secret("place", {"region": "eu"}, resource="configMap")
    env = [
        {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "api", "key": "token"}}},
        {"name": "REGION", "valueFrom": {"configMapKeyRef": {"name": "place", "key": "region"}}},
        {"name": "NONE", "valueFrom": {"secretKeyRef": {"name": "api", "key": "no", "optional": True}}},
        {"name": "NOWHERE", "valueFrom": {"configMapKeyRef": {"name": "none", "key": "no", "optional": True}}},
        {"name": "WHOLE", "value": "https://u:$(TOKEN)@h"},
    ]
    ended = runs.good(runs.job(container={"env": env}))
    assert (ended.env["TOKEN"], ended.env["REGION"], ended.env["WHOLE"]) == (value, "eu", f"https://u:{value}@h")
    assert not {"NONE", "NOWHERE"} & set(ended.env)


# --- apart, again, and afterwards


def bound_job(runs: Runs, script: str, **parts: Any) -> dict[str, Any]:
    """A job with secrets as variables, as files, in a uri and in an authfile, that runs a shell script."""
    for name in ("db", "files", "images"):
        values = {"username": canary(f"{name}-user"), "password": canary(f"{name}-password")}
        runs.secret(name, {key: value.replace(":", "") for key, value in values.items()})
    runs.catalog = {
        "connections": [
            postgres("db", secret={"name": "db"}),
            custom("files", secret={"name": "files", "mountPath": "/etc/creds"}),
            {
                "name": "images",
                "kind": "registry",
                "schema": {"url": "r.example/x"},
                "secret": {"name": "images", "mountPath": "/i"},
            },
        ]
    }
    parts.setdefault("container", {"command": ["sh", "-c", script, "sh", sys.executable, str(runs.look), "{{ out }}"]})
    return runs.job(connections=["db", "files", "images"], **parts)


LOOK_AND = '"$1" "$2" "$3" "$([ -d /etc/creds ] && echo /etc/creds || echo $TIELINE_ARTIFACTS/../root/etc/creds)"'


def test_a_detached_run_gets_them_too(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIELINE_SECRET_CI__TOKEN", "from-ci")
    job = bound_job(runs, LOOK_AND)
    runs.catalog["connections"].append(custom("ci", secret={"name": "ci"}))
    job["run"]["connections"].append("ci")
    accepted, _ = runs.apart(job)
    assert runs.wait(accepted.plan.run.uuid).status.value == "succeeded"
    seen = runs.seen()
    assert seen["env"]["TOKEN"] == "from-ci"
    assert seen["env"]["PGPASSWORD"] == keeper_value(runs, "db", "password")
    assert seen["bound"]["files/type"][0] == "custom"
    (mounted,) = [files for path, files in seen["files"].items() if path.endswith("/creds")]
    assert mounted["password"] == [keeper_value(runs, "files", "password"), "0o600"]
    assert runs.left() == []
    assert accepted.folder.log.read_bytes() == b""


def keeper_value(runs: Runs, name: str, key: str) -> str:
    return (runs.home.root / "secrets" / "default" / name / key).read_text()


def test_every_attempt_gets_them_and_the_same(runs: Runs) -> None:
    script = f'echo "$PGPASSWORD" >> {runs.shared}/attempts; {LOOK_AND}; [ $TIELINE_ATTEMPT = 3 ]'
    ended = runs.good(bound_job(runs, script, termination={"maxRetries": 2}))
    attempts = (runs.shared / "attempts").read_text().splitlines()
    assert attempts == [keeper_value(runs, "db", "password")] * 3
    assert ended.run.attempt == 3
    assert ended.entry("db/password") == attempts[0]


def test_nothing_is_left_with_a_ttl(runs: Runs) -> None:
    ended = runs.good(bound_job(runs, f"{LOOK_AND}; echo kept > file", termination={"ttl": 3600}))
    context = Path(ended.plan.layout.context_path)
    assert (context / "work" / "file").read_text() == "kept\n", "the rest is kept"
    assert not (context / "bindings").exists()


def test_nothing_is_left_of_a_failure(runs: Runs) -> None:
    ended = runs(bound_job(runs, "exit 3"))
    assert ended.run.exit_code == 3
    assert runs.left() == []
    ended = runs(bound_job(runs, "true", init=[{"container": {"name": "prep", "command": ["sh", "-c", "exit 4"]}}]))
    assert ended.run.exit_code == 4
    assert runs.left() == []


def test_nothing_is_left_where_outputs_cannot_be_saved(runs: Runs) -> None:
    """A file stands where the store was; the run's folder stays, to be pushed from, without secrets."""
    runs.isolation = "none"  # an isolated job cannot reach the store
    script = f"{LOOK_AND}; echo result > $TIELINE_OUTPUTS/result; rm -rf {runs.store}; echo x > {runs.store}"
    ended = runs(bound_job(runs, script))
    assert ended.run.reason == Code.OUTPUTS_NOT_SAVED
    assert (Path(ended.plan.layout.outputs_path) / "result").exists()
    assert runs.left() == []

    runs.store.unlink()
    runs.store.mkdir()
    with Record.open(runs.home.database) as record:
        assert push(runs.home, record, ended.run).status.value == "succeeded"
    assert runs.left() == []


@pytest.mark.parametrize("ttl", [None, 3600])
def test_nothing_is_left_after_the_supervisor_was_killed(runs: Runs, ttl: int | None) -> None:
    termination = {} if ttl is None else {"termination": {"ttl": ttl}}
    accepted, pid = runs.apart(bound_job(runs, f"{LOOK_AND}; sleep 600", **termination))
    eventually(runs.seen)
    assert found_in(accepted.folder.root, runs.values), "they are there while it runs"
    kill(pid)

    runs.recover()

    assert [run.reason for run in recorded(runs)] == [Code.SUPERVISOR_DIED]
    assert runs.left() == []


def test_nothing_is_left_where_it_was_killed_while_it_wrote_them(runs: Runs) -> None:
    """At whatever moment between the acceptance and the job's first line."""
    for pause in (0.05, 0.15, 0.3):
        accepted, pid = runs.apart(bound_job(runs, "sleep 600"))
        time.sleep(pause)
        kill(pid)
        runs.recover()
        assert runs.left() == [], pause
        assert recorded(runs)[0].uuid == accepted.plan.run.uuid


def test_what_a_plan_that_nobody_can_read_has_left_is_removed_too(runs: Runs) -> None:
    """A run of another version of Tieline: its files stay for its owner, those with secrets don't."""
    accepted, pid = runs.apart(bound_job(runs, f"{LOOK_AND}; sleep 600"))
    eventually(runs.seen)
    kill(pid)
    import sqlite3

    with sqlite3.connect(runs.home.database) as database:
        (table,) = [
            name
            for (name,) in database.execute("select name from sqlite_master where type = 'table'")
            if any(column[1] == "plan" for column in database.execute(f"pragma table_info({name})"))
        ]
        database.execute(f"update {table} set plan = '{{\"version\": 99}}'")
    database.close()

    runs.recover()

    assert [run.reason for run in recorded(runs)] == [Code.INTERNAL]
    assert runs.left() == []
    assert accepted.folder.root.exists()


def test_the_secret_may_change_meanwhile(runs: Runs) -> None:
    """All attempts of a run agree with each other; the next run has the new value."""
    script = (
        f'echo "$A" >> {runs.shared}/attempts; echo again > {runs.shared}/mark; sleep 0.5; [ $TIELINE_ATTEMPT = 2 ]'
    )
    runs.secret("s", {"A": "old-value"})
    runs.catalog = {"connections": [custom("c", secret={"name": "s"})]}
    job = runs.job(connections=["c"], container={"command": ["sh", "-c", script]}, termination={"maxRetries": 1})
    accepted, _ = runs.apart(job)
    eventually((runs.shared / "mark").exists)
    runs.secret("s", {"A": "new-value"})
    assert runs.wait(accepted.plan.run.uuid).status.value == "succeeded"
    runs.good(job)
    assert (runs.shared / "attempts").read_text().split() == ["old-value"] * 2 + ["new-value"] * 2


def test_a_secret_that_goes_between_preflight_and_the_start(runs: Runs) -> None:
    runs.secret("s", {"A": "value-a"})
    runs.catalog = {"connections": [custom("c", secret={"name": "s"})]}
    accepted = runs.accepted(runs.job(connections=["c"]))
    keeper(runs.home, "secret").remove("default", "s")
    from run_harness import Told

    from tieline.app.submit import carry_out
    from tieline.engines.base import Controls
    from tieline.secrets.sources import open_sources

    fresh = open_sources([], "default", runs.home.root, os.environ)
    import dataclasses

    with accepted.record:
        run = carry_out(dataclasses.replace(accepted, sources=fresh), Told(), Controls())
    assert (run.status.value, run.reason) == ("failed", Code.SECRET_MISSING)
    assert "'s'" in run.message
