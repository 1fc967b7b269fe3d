"""The canary test: values that nobody else has are in every secret and config map of every kind; all fails that can;
then they are looked for: on the console, in the record, in every file that is left, and among the processes.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from canary_harness import Watch, World

from servers.git_http import git_http, make_repository
from servers.processes import free_port
from tieline.runs.record import Record


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(tmp_path_factory.mktemp("canary"))


@pytest.fixture(autouse=True)
def _nothing_is_found(world: World) -> Iterator[None]:
    """Whatever a test did: no canary is anywhere."""
    yield
    assert world.found() == []
    assert world.folders() == []


def custom(world: World, name: str, keys: dict[str, str | bytes], **parts: Any) -> dict[str, Any]:
    """A connection with a secret of its own."""
    world.keep(name, keys)
    return {"name": name, "kind": "custom", "secret": {"name": name}, **parts}


# --- the search can fail


def test_the_search_finds_what_is_planted(world: World) -> None:
    """In each place and each form; then it is taken away again."""
    core = next(iter(world.canaries.cores))
    logins = [f"{user}:{core}-and-more" for user in ("a", "ab", "abc")]
    encoded = [subprocess.check_output(["base64", "-w0"], input=login.encode()).decode() for login in logins]
    runs = world.home.runs / "planted"
    places = (runs / "log", world.store / "x", world.tmp / "x", Path(f"/tmp/canary-{os.getpid()}"))
    texts = (core, *encoded, f"https://u:{core}%2F%2B@h")
    planted = {path.with_name(f"{path.name}-{n}"): text for path in places for n, text in enumerate(texts)}
    for path, text in planted.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"before {text} after")
    found = world.found()
    for path in planted:
        path.unlink()
    assert sorted(hit.partition(": ")[0] for hit in found) == sorted(map(str, planted))
    shutil.rmtree(runs)
    (world.tmp / core).touch()
    assert len(world.found()) == 1
    (world.tmp / core).unlink()
    world.console += core.encode()
    assert len(world.found()) == 1
    world.console = b""


@pytest.mark.parametrize("place", ["arguments", "environment"])
def test_the_watch_finds_what_is_planted(world: World, place: str) -> None:
    core = next(iter(world.canaries.cores))
    watch = Watch(world.canaries)
    watch.start()
    words = ["sleep", "1"] if place == "environment" else ["sh", "-c", "sleep 1", core]
    subprocess.run(
        words, env={"PATH": os.environ["PATH"], **({"X": core} if place == "environment" else {})}, check=True
    )
    watch.stop.set()
    watch.join()
    assert [found.split()[0] for found in watch.found] == [place]


# --- runs that end well


def test_every_kind_as_variables_and_as_files(world: World) -> None:
    with world.watched():
        world("run", world.job(seconds=1.0))
        world("run", world.job("json"), "-o", "json", "--isolation", "none")
    plan = json.loads(
        world("explain", "job.json", "-o", "json").rpartition("\n}")[0].partition("{")[2].join("{}") or "{}"
    )
    assert len(plan["bindings"]) == len(world.connections)
    world("explain", "job.json")
    world("check", "job.json", code=None)
    world.everything()


def test_they_were_there(world: World) -> None:
    """A job that gets nothing leaks nothing: every value reaches the job, in a variable or a file."""
    script = (
        "import os, pathlib, hashlib, re\n"
        "here = [value.encode('utf-8', 'surrogateescape') for value in os.environ.values()]\n"
        "top = pathlib.Path(os.environ['SERVICE_BINDING_ROOT']).parent\n"
        "tops = [top, *map(pathlib.Path, ('/etc', '/maps'))]\n"  # isolated, mounts are where they should be
        "files = [path for top in tops for path in top.rglob('*') if os.access(path, os.R_OK) and path.is_file()]\n"
        "here += [path.read_bytes() for path in files]\n"
        "found = os.environ['CORES'].split()\n"
        "marks = {hashlib.sha256(w).hexdigest()[:16]"
        " for data in here for w in re.findall(rb'cnrycnry[0-9a-f]{20}', data)}\n"
        "print(*[mark for mark in found if mark not in marks])\n"
    )
    import hashlib

    wanted = {hashlib.sha256(core.encode()).hexdigest()[:16]: what for core, what in world.canaries.cores.items()}
    container = {"command": [sys.executable, "-c", script], "env": [{"name": "CORES", "value": " ".join(wanted)}]}
    for isolation in ("auto", "none"):
        told = world("run", world.job("there", container=container), "-o", "json", "--isolation", isolation)
        absent = {what for mark, what in wanted.items() if mark in told}
        assert {what for what in absent if not _need_not_reach(what)} == set()


def _need_not_reach(what: str) -> bool:
    """Channels are no connections of a job, a registry's logins are in base64; and a kind's own variable (``PGUSER``)
    has the best of several keys, in the place of the key of that name."""
    connection, _, key = what.partition(" ")
    channels = ("slack", "teams", "discord", "mattermost", "pagerduty", "hipchat", "webhook", "email", "apprise")
    return connection.startswith((*channels, "registry")) or connection == "ci" or key == key.upper()


def test_detached(world: World) -> None:
    with world.watched():
        world("run", "-d", world.job("apart", seconds=1.0))
        _wait(world)
    world.everything()


def _wait(world: World, seconds: float = 60) -> Any:
    until = time.monotonic() + seconds
    while True:
        with Record.open(world.home.database) as record:
            run = record.list()[0]
        if run.status.is_final:
            return run
        assert time.monotonic() < until
        time.sleep(0.1)


# --- runs that fail


def failing(world: World, file: str, code: int | None = None, *more: str) -> str:
    with world.watched():
        told = world("run", file, *more, code=code)
    world.everything()
    return told


def test_a_failing_job_and_its_retries(world: World) -> None:
    container = {"command": ["sh", "-c", "sleep 0.3; exit 3"]}
    failing(world, world.job("fails", container=container, termination={"maxRetries": 1, "ttl": 3600}), 3, "-o", "json")


def test_a_failing_init_program(world: World) -> None:
    prep = {"name": "prep", "command": ["sh", "-c", "sleep 0.3; exit 4"]}
    failing(world, world.job("init", init=[{"container": prep}]))


def test_a_store_that_is_gone(world: World) -> None:
    store = world.root / "gone"
    world.catalog(store=store)
    script = f"echo x > $TIELINE_OUTPUTS/x; rm -rf {store}; echo file > {store}; sleep 0.3"
    try:
        job = world.job("unsaved", container={"command": ["sh", "-c", script]})
        told = world("run", "--isolation", "none", job, code=73)  # an isolated job cannot reach the store
        assert "outputs-not-saved" in told
        world.everything()
        assert world.found() == []
        store.unlink()
        store.mkdir()
        world("runs", "outputs", "push", "last")
    finally:
        world.catalog()


def test_a_supervisor_that_is_killed(world: World) -> None:
    with world.watched():
        world("run", "-d", world.job("killed", seconds=300))
        time.sleep(1.5)
        with Record.open(world.home.database) as record:
            run = record.list()[0]
        for name in os.listdir("/proc"):
            if name.isdecimal() and _is_supervisor(name, run.uuid):
                os.kill(int(name), signal.SIGKILL)
        time.sleep(0.3)
        world("runs", "list")
    assert _wait(world).reason == "supervisor-died"
    world.everything()


def _is_supervisor(pid: str, uuid: str) -> bool:
    try:
        words = Path("/proc", pid, "cmdline").read_bytes()
    except OSError:
        return False
    return b"tieline.app.detached" in words and uuid.encode() in words


SAID = {
    "zero": "a zero byte", "large": "127 KiB", "missing": "no key 'B'", "nowhere": "no secret 'no-such-secret'",
    "key": "succeeded",
}  # fmt: skip
"""What is said of each, where it is something else than that nothing could be made of it."""


def test_values_that_nothing_can_be_made_of(world: World) -> None:
    value = world.canaries.value
    bad: list[dict[str, Any]] = [
        custom(world, "zero", {"A": f"{value('zero')}\0after"}),
        custom(world, "large", {"A": value("large") * 9000}),
        {**custom(world, "docker", {"config.json": f'{{"auths": {{"{value("docker")}"'}), "kind": "registry",
         "schema": {"url": "r.example/x"}},
        {**custom(world, "auths", {"config.json": json.dumps({"auths": value("auths")})}), "kind": "registry",
         "schema": {"url": "r.example/x"}},
        {**custom(world, "colon", {"username": f"{value('colon')}:x", "password": value("pw")}), "kind": "registry",
         "schema": {"url": "r.example/x"}},
        {**custom(world, "google", {"GC_KEYFILE_DICT": f"{{{value('google')}"}), "kind": "gcs",
         "schema": {"bucket": "gs://bucket"}},
        {**custom(world, "port", {"host": "h.example", "port": value("port")}), "kind": "postgres"},
        custom(world, "missing", {"A": value("there")}, secret={"name": "missing", "items": ["A", "B"]}),
        custom(world, "nowhere", {"A": value("there")}, secret={"name": "no-such-secret"}),
        {**custom(world, "key", {"id_rsa": value("key")}), "kind": "ssh",
         "secret": {"name": "key", "mountPath": "/key"}},
    ]  # fmt: skip
    world.catalog(*bad)
    try:
        for form in bad:
            told = failing(world, world.job(form["name"], connections=[form["name"]], seconds=0.1))
            assert SAID.get(form["name"], "could be made") in told, form["name"]
        world("explain", f"{bad[0]['name']}.json")
        world("connections", "test", *(form["name"] for form in bad), "--timeout", "1", code=69)
    finally:
        world.catalog()


def test_a_program_that_is_named_by_a_secret(world: World) -> None:
    """Nothing can be started: what is said and recorded has its name as the file has it."""
    world.catalog(custom(world, "named", {"PROGRAM": world.canaries.value("program")}))
    try:
        for name, command in (("argv", ["$(PROGRAM)"]), ("path", ["/bin/$(PROGRAM)", "x"])):
            told = failing(world, world.job(name, connections=["named"], container={"command": command}))
            assert "$(PROGRAM)" in told
            assert "argument list" in told, "and it is said that the list of processes would have it"
        prep = {"name": "prep", "command": ["./$(PROGRAM)"]}
        failing(world, world.job("prep", connections=["named"], init=[{"container": prep}]))
    finally:
        world.catalog()


# --- git


def test_clones_that_fail(world: World, tmp_path: Path) -> None:
    value = world.canaries.value
    make_repository(tmp_path / "code.git", {"a": "b"})
    port = free_port()
    secret = {"username": value("git user"), "password": value("git password")}
    with git_http(tmp_path) as server:
        urls = {
            "dead": f"http://127.0.0.1:{port}/x.git",
            "unknown": "https://no-such-host.invalid/x.git",
            "wrong": server.repository("code.git"),
            "hang": server.repository("hang/code.git"),
            "forbidden": server.repository("forbidden/code.git"),
            "nothing": server.repository("none.git"),
        }
        forms = [
            {**custom(world, f"git-{name}", dict(secret)), "kind": "git", "schema": {"url": url}}
            for name, url in urls.items()
        ]
        key = {
            "id_rsa": f"-----BEGIN OPENSSH PRIVATE KEY-----\n{value('ssh key')}\n-----END OPENSSH PRIVATE KEY-----\n"
        }
        mate = {**custom(world, "git-ssh", dict(key)), "kind": "ssh", "secret": {"name": "git-ssh", "mountPath": "/k"},
                "schema": {"url": f"ssh://git@127.0.0.1:{port}/x.git"}}  # fmt: skip
        world.catalog(*forms, mate)
        try:
            for form in [*forms, mate]:
                init: dict[str, Any] = {"connection": form["name"]}
                init |= {"git": {"revision": "main"}} if form["kind"] == "ssh" else {}
                job = world.job(form["name"], connections=[form["name"]], init=[init], termination={"timeout": 2})
                told = failing(world, job)
                assert ("timeout" if form["name"] == "git-hang" else "clone-failed") in told, form["name"]
            with world.watched():
                world("connections", "test", *(form["name"] for form in [*forms, mate]), "--timeout", "2", code=69)
        finally:
            world.catalog()
            server.stop.set()


# --- the commands that only look


@pytest.mark.parametrize("output", ["text", "json"])
def test_connections_are_tested_against_nobody(world: World, output: str) -> None:
    with world.watched():
        world("connections", "test", "--all", "--timeout", "1", "-o", output, code=69)


def test_connections_are_shown(world: World) -> None:
    for number, form in enumerate([*world.connections, *world.channels][::6]):
        world("connections", "show", form["name"], *(("-o", "json") if number % 2 else ()))
    for words in (
        ("connections", "list"),
        ("runs", "list", "--all"),
        ("runs", "show", "last"),
        ("configmaps", "list"),
        ("runs", "outputs", "list"),
    ):
        world(*words, code=None)
        world(*words, "-o", "json", code=None)


def test_secrets_are_set_and_listed(world: World) -> None:
    with world.watched():
        for number, more in enumerate(((), ("-o", "json"))):
            value = world.canaries.value("by stdin").encode()
            world("secrets", "set", "typed", f"k{number}", "--stdin", *more, stdin=value)
        file = world.files / "value"
        file.write_text(world.canaries.value("by file"))
        world("secrets", "set", "typed", "--from-file", f"k2={file}")
        file.unlink()
        world("secrets", "set", "typed", "k3=given", code=2)
    for words in (("list",), ("list", "typed"), ("rm", "typed", "k9"), ("rm", "typed", "k0"), ("rm", "typed")):
        world("secrets", *words, code=None)
        world("secrets", *words, "-o", "json", code=None)
    assert not any(
        ".part" in name or name.startswith("~") for _, _, names in os.walk(world.home.root) for name in names
    )


def test_nothing_is_left_in_the_runs_own_folders(world: World) -> None:
    """No binding directory, no mounted secret, no spool: of no run, however it ended."""
    left = [path for path in world.home.runs.glob("*/context/*") if path.name in ("bindings", "made")]
    left += list(world.home.runs.glob("*/private/*"))
    left += list(world.home.runs.glob("*/attempt-*/spool/*"))
    assert left == []
