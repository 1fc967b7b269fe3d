"""``tieline runs``: looking at runs, following, stopping and removing them."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from cli_harness import Cli, eventually

RUN_KEYS = {
    "uuid", "name", "project", "namespace", "kind", "engine", "status", "reason", "message", "exitCode", "attempt",
    "createdAt", "updatedAt", "startedAt", "finishedAt", "duration", "stopRequested", "jobFile", "catalogDigest",
    "store", "storePrefix", "queue", "tags", "code", "owner",
}  # fmt: skip


@pytest.fixture(scope="module")
def past(tmp_path_factory: pytest.TempPathFactory) -> Cli:
    """A home with two runs that have ended: ``good`` with outputs, then ``bad``. Only to be looked at."""
    cli = Cli(tmp_path_factory.mktemp("past"))
    files = "mkdir -p plots/deep; echo 1 > model; echo 22 > plots/a.svg"
    script = f"echo some lines; echo of output; cd $TIELINE_OUTPUTS; {files}"
    cli("run", cli.job(script, name="good.yaml"), "--project", "birds")
    cli("run", cli.job("printf 'no end'; exit 7", name="bad.yaml"), code=7)
    return cli


@pytest.fixture
def cli(tmp_path: Path) -> Iterator[Cli]:
    with Cli(tmp_path) as cli:
        yield cli


def test_list_is_a_table_with_the_newest_first(past: Cli) -> None:
    head, bad, good = past("runs").out.splitlines()
    assert head.split() == ["ID", "NAME", "PROJECT", "STATUS", "REASON", "STARTED", "TOOK"]
    assert bad.split()[1:5] == ["bad", "default", "failed", "exit-code"]
    assert good.split()[1:4] == ["good", "birds", "succeeded"]
    assert len(bad.split()[0]) == 8
    named, unnamed = (past(*words).out.split() for words in (["runs", "list"], ["runs"]))
    assert [word for word in named if len(word) == 8] == [
        word for word in unnamed if len(word) == 8
    ]  # but for the time


def test_list_as_json_has_stable_keys(past: Cli) -> None:
    runs = past("runs", "list", "--output", "json").data
    assert [run["name"] for run in runs] == ["bad", "good"]
    assert all(set(run) == RUN_KEYS for run in runs)


@pytest.mark.parametrize(
    ("options", "names"),
    [
        (["--status", "failed"], ["bad"]),
        (["--status", "done"], ["bad", "good"]),
        (["--status", "active"], []),
        (["-s", "failed", "-s", "succeeded"], ["bad", "good"]),
        (["--project", "birds"], ["good"]),
        (["--name", "bad"], ["bad"]),
        (["--limit", "1"], ["bad"]),
        (["--all"], ["bad", "good"]),
    ],
)
def test_list_can_be_narrowed(past: Cli, options: list[str], names: list[str]) -> None:
    assert [run["name"] for run in past("runs", "list", *options, "-o", "json").data] == names


def test_more_runs_than_are_listed_are_said_to_be_there(past: Cli) -> None:
    assert "the newest 1; --all lists every run" in past("runs", "list", "--limit", "1").err
    assert past("runs", "list", "--limit", "2").err == ""


def test_a_list_of_nothing_says_what_to_do(cli: Cli) -> None:
    assert "no runs; start one" in cli("runs").err
    assert cli("runs", "-o", "json").data == []
    assert "there are no runs yet" in cli("runs", "show", "last", code=66).err


def test_at_a_terminal_the_status_has_a_colour(past: Cli) -> None:
    assert "\x1b[1;31mfailed" in past.on_terminal("runs")
    assert "\x1b[" not in past("runs").out


def test_show_has_everything(past: Cli) -> None:
    shown = past("runs", "show", "bad").out
    assert shown.startswith("failed after ")
    for words in (
        "exit code  7",
        "bad.yaml",
        "attempt-1/outputs (none)",
        "Events",
        "created",
        "running",
        "saving",
        "Next",
    ):
        assert words in shown
    data = past("runs", "show", "bad", "-o", "json").data
    assert set(data) >= RUN_KEYS | {"events", "connections", "outputs", "logs", "folder"}
    assert [event["status"] for event in data["events"]] == ["created", "starting", "running", "saving", "failed"]
    assert data["connections"] == ["artifacts-store"]


def test_a_run_is_found_by_id_beginning_name_or_last(past: Cli) -> None:
    uuid = past("runs", "show", "last", "-o", "json").data["uuid"]
    for ref in (uuid, uuid[:8], uuid[:4], "bad"):
        assert past("runs", "show", ref, "-o", "json").data["uuid"] == uuid
    assert "did you mean 'good'?" in past("runs", "show", "goood", code=66).err


def test_logs_are_what_was_printed(past: Cli) -> None:
    assert past("runs", "logs", "good").raw == b"some lines\nof output\n"
    assert past("runs", "logs", "-f", "last").raw == b"no end"
    lines = [json.loads(line) for line in past("runs", "logs", "good", "-o", "json").out.splitlines()]
    assert [line["line"] for line in lines] == ["some lines", "of output"]
    assert lines[0]["program"] == "main"


def test_logs_of_a_program_that_is_not_there_are_told(past: Cli) -> None:
    assert "has no log of 'prep'; there are: main" in past("runs", "logs", "good", "--program", "prep", code=66).err


def test_logs_of_init_programs_and_earlier_attempts(cli: Cli) -> None:
    cli.write(
        "job.yaml",
        "kind: component\ntermination: {maxRetries: 1}\nrun:\n  kind: job\n"
        "  init: [{container: {name: prep, command: [sh, -c, 'echo prepared $TIELINE_ATTEMPT']}}]\n"
        "  container: {command: [sh, -c, 'test $TIELINE_ATTEMPT = 2']}\n",
    )
    cli("run", "job.yaml")
    assert cli("runs", "logs", "last", "--program", "prep").out == "prepared 2\n"
    assert cli("runs", "logs", "last", "--program", "init-prep", "--attempt", "1").out == "prepared 1\n"
    assert "main printed nothing; there are logs of: init-prep" in cli("runs", "logs", "last").err


def test_outputs_are_listed(past: Cli) -> None:
    assert [line.split()[-1] for line in past("runs", "outputs", "list", "good").out.splitlines()] == [
        "model",
        "plots/a.svg",
    ]
    assert past("runs", "outputs", "list", "good", "--tree").out.splitlines() == [
        "├── model             2 B",
        "└── plots/            3 B  1 file",
        "    ├── a.svg         3 B",
        "    └── deep/         0 B  empty",
    ]
    assert past("runs", "outputs", "list", "good", "--tree").err == "2 files, 5 B\n"
    plain = past("runs", "outputs", "list", "good", "--tree", PYTHONIOENCODING="ascii", PYTHONUTF8="0").out
    assert [line.split(" ")[0] for line in plain.splitlines()] == ["|--", "`--", "", ""]
    files = {item["path"]: item for item in past("runs", "outputs", "list", "good", "-o", "json").data}
    assert (files["model"]["what"], files["model"]["size"], files["plots"]["what"]) == ("file", 2, "dir")
    assert "has no outputs" in past("runs", "outputs", "list", "bad").err


def test_outputs_are_brought_here(past: Cli) -> None:
    done = past("runs", "outputs", "get", "good", "--to", "all")
    assert (done.out, (past.root / "all" / "plots" / "a.svg").read_text()) == ("all\n", "22\n")
    past("runs", "outputs", "get", "good", "plots/a.svg", "--to", "some")
    assert [str(p.relative_to(past.root)) for p in (past.root / "some").rglob("*.*")] == ["some/plots/a.svg"]
    named = past.root / past("runs", "outputs", "get", "good", "model").out.strip()
    assert named.name.startswith("good-")
    assert (named / "model").read_text() == "1\n"


def test_outputs_that_are_not_there_are_told_with_the_nearest(past: Cli) -> None:
    assert "did you mean 'plots/a.svg'?" in past("runs", "outputs", "get", "good", "a.svg", code=66).err
    assert "did you mean 'model'?" in past("runs", "outputs", "get", "good", "modl", code=66).err
    assert "has no outputs" in past("runs", "outputs", "get", "bad", code=66).err
    assert "not a path inside the store" in past("runs", "outputs", "get", "good", "../logs", code=74).err
    assert not (past.root / "logs").exists()


def test_the_path_of_outputs_is_one_line(past: Cli) -> None:
    path = Path(past("runs", "outputs", "path", "good").out.rstrip("\n"))
    assert (path / "model").read_text() == "1\n"
    assert past("runs", "outputs", "path", "good", "-o", "json").data["path"] == str(path)


def test_stop_waits_until_the_run_has_ended(cli: Cli) -> None:
    uuid = cli("run", cli.job("echo up; sleep 60"), "-d").out.strip()
    cli.wait_for("running")
    assert "stopped after" in cli("runs", "stop", "last").out
    run = cli.runs()[0]
    assert (run["uuid"], run["status"], run["reason"]) == (uuid, "stopped", "stopped")
    assert "had ended: stopped" in cli("runs", "stop", uuid[:8]).out
    assert cli("runs", "logs", "last").out == "up\n"


def test_stop_now_does_not_wait_for_a_job_that_will_not_end(cli: Cli) -> None:
    cli("run", cli.job("trap '' TERM; echo up; while :; do sleep 0.1; done"), "-d")
    eventually(lambda: cli("runs", "logs", "last").out == "up\n")
    began = time.monotonic()
    cli("runs", "stop", "last", "--now")
    assert time.monotonic() - began < 10.0, "it would have had ten seconds to end by itself"


def test_a_stop_from_elsewhere_ends_the_command_that_runs_it(cli: Cli) -> None:
    running = cli.start("run", cli.job("sleep 60"))
    cli.wait_for("running")
    assert "a stop was asked for" in cli("runs", "stop", "last", "--no-wait").out
    assert running.wait(60) == 143


def test_nothing_is_stopped_when_one_of_several_is_unknown(cli: Cli) -> None:
    cli("run", cli.job("sleep 60"), "-d")
    cli("runs", "stop", "last", "nobody", code=66)
    assert cli.runs()[0]["status"] in ("created", "starting", "running")
    cli("runs", "stop", "last", "--now")


def test_following_ends_with_ctrl_c_and_the_run_goes_on(cli: Cli) -> None:
    cli("run", cli.job("echo up; sleep 60"), "-d")
    following = cli.start("runs", "logs", "-f", "last")
    assert following.stdout is not None
    assert following.stdout.readline() == b"up\n"
    following.send_signal(signal.SIGINT)
    assert following.wait(60) == 130
    assert cli.runs()[0]["status"] == "running"
    cli("runs", "stop", "last", "--now")


def test_rm_forgets_the_run_and_its_artifacts(cli: Cli) -> None:
    cli("run", cli.job("echo x > $TIELINE_OUTPUTS/x"))
    cli("run", "job.yaml")
    newer, older = (run["uuid"] for run in cli.runs())
    assert cli("runs", "rm", newer).out == f"{newer[:8]} job: removed\n"
    cli("runs", "rm", older, "--keep-artifacts")
    assert cli.runs() == []
    assert [path.name for path in (cli.home / "artifacts").iterdir()] == [older]
    assert not [path for path in (cli.home / "runs").iterdir() if path.name in (newer, older)]


def test_rm_refuses_what_is_running_unless_it_is_forced(cli: Cli) -> None:
    cli("run", cli.job("sleep 60"), "-d")
    cli.wait_for("running")
    assert "stop it first: tieline runs stop" in cli("runs", "rm", "last", code=70).err
    assert "removed" in cli("runs", "rm", "last", "--force").out
    assert cli.runs() == []
