"""People are told of runs: by the command that runs the job, by whoever comes after it, and again when asked to."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cli_harness import Cli, eventually, said

from servers.receiver import Receiver, Step, receiver


@pytest.fixture
def there() -> Iterator[Receiver]:
    with receiver() as found:
        yield found


@pytest.fixture
def cli(tmp_path: Path, there: Receiver) -> Iterator[Cli]:
    with Cli(tmp_path) as cli:
        catalog(cli, there.url("/team"), there.url("/hook"))
        yield cli
        end_background(cli)


def catalog(cli: Cli, team: str, hook: str) -> None:
    cli.write(
        "tieline.yaml",
        f"""
notificationConnections:
  - {{name: team, kind: slack, schema: {{url: "{team}"}}}}
  - {{name: hook, kind: webhook, schema: {{url: "{hook}"}}, events: [failed, stopped]}}
""",
    )


def end_background(cli: Cli) -> None:
    """The deliverer of its own that a test may have left."""
    for name in os.listdir("/proc"):
        if name.isdecimal():
            try:
                words = Path(f"/proc/{name}/cmdline").read_bytes()
                mine = f"TIELINE_HOME={cli.home}".encode() in Path(f"/proc/{name}/environ").read_bytes().split(b"\0")
            except OSError:  # it has ended
                continue
            if mine and b"tieline.app.background" in words:
                os.kill(int(name), signal.SIGKILL)


def rows(cli: Cli, *words: str) -> list[tuple[str, str, str]]:
    """Whom, of what, how it stands; the first first."""
    found: list[dict[str, Any]] = cli("notifications", "list", "--all", "-o", "json", *words).data
    return [(one["connection"], one["event"]["status"], one["state"]) for one in reversed(found)]


NOTIFIES = "{notifications: [{connections: [team], trigger: done}]}"


def test_a_run_tells_people_and_says_so(cli: Cli, there: Receiver) -> None:
    done = cli("run", cli.job("echo one; echo two; exit 3", plugins=NOTIFIES), code=3)
    assert "team: told: job failed" in done.err
    assert "hook: told: job failed" in done.err
    assert rows(cli) == [("team", "failed", "delivered"), ("hook", "failed", "delivered")]
    hook = next(one for one in there.requests if one.path == "/hook").json
    assert (hook["type"], hook["run"]["exitCode"], hook["log"]["tail"]) == ("run.failed", 3, ["one", "two"])
    shown = cli("runs", "show", "last").out
    assert "Notifications" in shown
    assert "tells        team when the run is done" in cli("explain", "job.yaml").out


def test_a_connection_says_what_it_is_told(cli: Cli) -> None:
    shown = cli("connections", "show", "hook").out
    assert "told of  failed: all runs" in shown
    assert "told of  stopped: all runs" in shown
    assert [rule["statuses"] for rule in cli("connections", "show", "hook", "-o", "json").data["events"]] == [
        ["failed"], ["stopped"],
    ]  # fmt: skip


def test_who_asked_for_nothing_is_told_nothing(cli: Cli, there: Receiver) -> None:
    done = cli("run", cli.job("true"))
    assert "told" not in done.err
    assert (rows(cli), there.requests) == ([], [])


def test_every_status_may_be_asked_for(cli: Cli, there: Receiver) -> None:
    triggers = ["created", "starting", "running", "saving", "succeeded"]
    asked = ", ".join(f"{{connections: [team], trigger: {trigger}}}" for trigger in triggers)
    cli("run", cli.job("true", plugins=f"{{notifications: [{asked}]}}"))
    assert rows(cli) == [("team", trigger, "delivered") for trigger in triggers]
    order = [one.body.decode() for one in there.requests]
    assert "created" in order[0]
    assert "succeeded" in order[-1]


def test_json_has_who_was_told(cli: Cli) -> None:
    found = cli("run", cli.job("exit 1", plugins=NOTIFIES), "-o", "json", code=1).data
    assert [(one["connection"], one["state"]) for one in found["notifications"]] == [
        ("team", "delivered"), ("hook", "delivered"),
    ]  # fmt: skip
    assert found["owner"]


def test_a_service_that_is_down_holds_nobody_up_and_is_told_later(cli: Cli, there: Receiver) -> None:
    there.script(Step(429, headers={"Retry-After": "20"}))
    began = time.monotonic()
    done = cli("run", cli.job("true", plugins=NOTIFIES))
    assert time.monotonic() - began < 20, "nobody can be told within the ten seconds that are waited"
    assert "not told yet" in done.err
    assert "another process goes on" in done.err
    waiting = cli("notifications", "show", "1").out
    assert "429" in waiting
    eventually(lambda: rows(cli) == [("team", "succeeded", "delivered")])
    eventually(lambda: list((cli.home / "deliverers").glob("*.lock")) == [])


def test_a_service_that_stays_down_is_told_of_once(cli: Cli, there: Receiver) -> None:
    there.script(*[Step(503, headers={"Retry-After": "1"})] * 3)
    done = cli("run", cli.job("true", plugins=NOTIFIES))
    assert len([one for one in there.requests if one.path == "/team"]) == 4
    assert done.err.count("not told yet") == 1
    assert "team: told: job succeeded" in done.err


def test_a_run_that_is_stopped_tells_people(cli: Cli, there: Receiver) -> None:
    stopped = "{notifications: [{connections: [team], trigger: stopped}]}"
    process = cli.start("run", cli.job("sleep 60", plugins=stopped))
    said(process, b"running")
    cli("runs", "stop", "last", "--grace", "1")
    assert process.wait(30) == 143
    eventually(lambda: rows(cli) == [("team", "stopped", "delivered"), ("hook", "stopped", "delivered")])
    hook = next(one for one in there.requests if one.path == "/hook").json
    assert (hook["type"], hook["run"]["reason"]) == ("run.stopped", "stopped")


def test_ctrl_c_leaves_the_rest_to_another_process(cli: Cli, there: Receiver) -> None:
    there.script(Step(503, headers={"Retry-After": "10"}))
    process = cli.start("run", cli.job("true", plugins=NOTIFIES))
    said(process, b"again in")
    process.send_signal(signal.SIGINT)
    began = time.monotonic()
    assert process.wait(20) == 0, "the job succeeded"
    assert time.monotonic() - began < 10, "it did not wait for the next try"
    eventually(lambda: rows(cli) == [("team", "succeeded", "delivered")])


def test_a_detached_run_tells_people(cli: Cli, there: Receiver) -> None:
    cli("run", "--detach", cli.job("exit 4", plugins=NOTIFIES))
    cli.wait_for("failed")
    eventually(lambda: rows(cli) == [("team", "failed", "delivered"), ("hook", "failed", "delivered")])


def test_people_hear_of_a_run_whose_process_was_killed(cli: Cli, there: Receiver) -> None:
    process = cli.start("run", cli.job("sleep 60", plugins=NOTIFIES))
    said(process, b"running")
    process.kill()
    process.wait()
    assert "ended a run" in cli("runs", "list").err
    eventually(lambda: len(there.taken) == 2)
    hook = next(one for one in there.requests if one.path == "/hook").json
    assert hook["run"]["reason"] == "supervisor-died"


def test_a_failure_is_seen_and_tried_again_over_the_mended_catalog(cli: Cli, there: Receiver) -> None:
    there.script(Step(404, body="no_service"))
    done = cli("run", cli.job("true", plugins=NOTIFIES))
    assert "team: not told" in done.err
    assert "tieline notifications retry 1" in done.err
    (row,) = cli("notifications", "list", "--state", "undelivered", "-o", "json").data
    assert (row["state"], row["status"]) == ("failed", "404")
    assert "404" in cli("notifications", "show", "1").out
    there.script(Step(404))
    cli("notifications", "retry", "--failed", code=69)
    catalog(cli, there.url("/mended"), there.url("/hook"))
    assert "team: told" in cli("notifications", "retry", "1", "--from-catalog").out
    assert there.requests[-1].path == "/mended"
    history = cli("notifications", "show", "1", "-o", "json").data["history"]
    assert [one["outcome"] for one in history] == ["refused", "refused", "delivered"]
    assert "is delivered" in cli("notifications", "retry", "1").err


def test_deliver_sends_what_waits(cli: Cli, there: Receiver) -> None:
    assert "nothing is waiting" in cli("notifications", "deliver").err
    there.script(Step(503, headers={"Retry-After": "4"}))
    process = cli.start("run", cli.job("true", plugins=NOTIFIES))
    said(process, b"again in")
    process.kill()
    process.wait()
    done = cli("notifications", "deliver", "-o", "json")
    assert [(one["connection"], one["state"], one["attempts"]) for one in done.data] == [("team", "delivered", 2)]


def test_follow_goes_on_until_it_is_ended(cli: Cli, there: Receiver) -> None:
    process = cli.start("notifications", "deliver", "--follow")
    eventually(lambda: list((cli.home / "deliverers").glob("*.lock")))
    cli("run", cli.job("true", plugins=NOTIFIES))
    eventually(lambda: there.taken)
    assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == 0


def test_wrong_words_are_refused(cli: Cli) -> None:
    assert "no notification 99" in cli("notifications", "show", "99", code=66).err
    assert "name notifications" in cli("notifications", "retry", code=2).err
    assert "there is no connection 'teem'" in cli(
        "run", cli.job("true", plugins="{notifications: [{connections: [teem]}]}"), code=65
    ).err  # fmt: skip
    assert cli.runs() == []


def test_a_channels_missing_secret_is_refused_before_the_run(cli: Cli) -> None:
    cli.write(
        "tieline.yaml",
        "notificationConnections:\n"
        "  - {name: team, kind: slack, secret: {name: hook-url}}\n"
        "  - {name: own, kind: slack, secret: {name: other-url}, events: [done]}\n",
    )
    done = cli("run", cli.job("true", plugins=NOTIFIES), code=69)
    assert "hook-url" in done.err
    assert cli.runs() == []
    done = cli("check", cli.job("true"))
    done = cli("run", cli.job("true"), "--name", "anyway")
    assert "other-url" in done.err, "what only the catalog asks for is a warning"
    end_background(cli)


def test_tables_at_a_terminal(cli: Cli) -> None:
    cli("run", cli.job("true", plugins=NOTIFIES))
    shown = cli.on_terminal("notifications")
    assert "delivered" in shown
    assert "CONNECTION" in shown


def test_a_secret_in_the_log_is_in_no_message(cli: Cli, there: Receiver) -> None:
    canary = "canary-0e61bd54"
    cli.write(
        "tieline.yaml",
        (cli.root / "tieline.yaml").read_text()
        + """
connections:
  - {name: db, kind: postgres, schema: {host: h, database: d}, secret: {name: db-login}}
""",
    )
    cli.write("password", canary)
    cli("secrets", "set", "db-login", "--from-file", "password=password")
    script = 'echo before; echo "the password is $PGPASSWORD"; printf %s "$PGPASSWORD" | base64; exit 1'
    job = cli.job(script, plugins=NOTIFIES)
    text = (cli.root / job).read_text().replace("kind: job,", "kind: job, connections: [db],")
    cli.write(job, text)
    cli("run", job, code=1)
    assert len(there.taken) == 2
    for one in there.requests:
        assert b"before" in one.body
        assert canary.encode() not in one.body
        assert json.dumps("the password is ***")[1:-1].encode() in one.body


def log_of(there: Receiver) -> Any:
    return [one.json["log"] for one in there.requests if one.path == "/hook"][-1]


OPTIONAL = {
    "env": "env: [{name: TOKEN, valueFrom: {secretKeyRef: {name: s, key: TOKEN, optional: true}}}]",
    "envFrom": "envFrom: [{secretRef: {name: s, optional: true}}]",
}


@pytest.mark.parametrize("way", OPTIONAL)
def test_a_secret_that_need_not_be_there_is_masked_too(cli: Cli, there: Receiver, way: str) -> None:
    cli.write("job.yaml", job_with(OPTIONAL[way]))
    cli("run", "job.yaml", code=1, TIELINE_SECRET_S__TOKEN="c4nary-7Qx9")
    assert log_of(there)["tail"] == ["it is ***"]


def test_where_a_secret_of_the_job_is_gone_the_log_is_left_out(cli: Cli, there: Receiver) -> None:
    there.script(Step(503, headers={"Retry-After": "60"}))
    cli.write("job.yaml", job_with(OPTIONAL["env"].replace(", optional: true", "")))
    cli("run", "job.yaml", code=1, TIELINE_SECRET_S__TOKEN="c4nary-7Qx9")
    end_background(cli)
    cli("notifications", "retry", "1")
    assert log_of(there)["tail"] == []
    assert "left out" in log_of(there)["note"]


def job_with(env: str) -> str:
    command = json.dumps(["sh", "-c", "echo it is $TOKEN; exit 1"])
    return f"{{version: 1.1, kind: component, run: {{kind: job, container: {{command: {command}, {env}}}}}}}"


def test_a_run_goes_on_where_nobody_can_deliver(cli: Cli, there: Receiver) -> None:
    cli("runs")
    (cli.home / "deliverers").write_text("")
    done = cli("run", cli.job("exit 1"), code=1)
    assert "nobody can be told now" in done.err
    assert rows(cli) == [("hook", "failed", "pending")]
    (cli.home / "deliverers").unlink()
    cli("notifications", "deliver")
    assert rows(cli) == [("hook", "failed", "delivered")]


def test_a_second_ctrl_c_leaves_a_message_that_is_under_way(cli: Cli, there: Receiver) -> None:
    there.script(Step(does="hang"))
    process = cli.start("run", cli.job("exit 1"))
    there.wait(1)
    said(process, b"tieline runs show")
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    assert process.wait(5) == 130
    cli("notifications", "deliver")
    assert rows(cli) == [("hook", "failed", "delivered")]


def test_retry_answers_for_what_was_asked(cli: Cli, there: Receiver) -> None:
    there.script(Step(400), Step(408, headers={"Retry-After": "60"}))
    cli("run", cli.job("exit 1"), code=1)
    cli("run", cli.job("exit 1"), code=1)
    end_background(cli)
    cli("notifications", "retry", "1")
    assert rows(cli) == [("hook", "failed", "delivered"), ("hook", "failed", "pending")]


@pytest.mark.parametrize("words", [("show", "9" * 30), ("retry", "9" * 30), ("list", "--limit", "9" * 30)])
def test_a_number_that_is_too_large_is_a_usage_error(cli: Cli, words: tuple[str, ...]) -> None:
    assert "not in the range" in cli("notifications", *words, code=2).err
