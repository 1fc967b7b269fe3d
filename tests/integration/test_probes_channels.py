"""Testing channels: a real mail server, and a real http server that answers as Slack, Discord and HipChat do."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from probes_harness import HASTY, NOBODY, Login, ask, failure, login, marks, new_folder, of

from servers.certificates import Authority, Pair
from servers.https import mute_server
from servers.processes import free_port
from servers.smtp import PASSWORD, USER, smtp_server
from tieline.model.access import Channel
from tieline.probes import Operation, Report

# what Apprise imports is not ours to mend
pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")

TOKEN = "xoxb-canary-4711"


@dataclass
class Services:
    """A server that runs, as Slack, Discord and HipChat. ``asked``: method, path and Authorization of each request."""

    port: int
    asked: list[tuple[str, str, str | None]] = field(default_factory=list)

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"


def answer(path: str, login: str | None) -> tuple[int, Any]:
    """Status and JSON."""
    plain, _, query = path.partition("?")
    known = login == f"Bearer {TOKEN}"
    if plain == "/api/auth.test":
        said = {"ok": True, "user": "tieline", "team": "Lab"} if known else {"ok": False, "error": "invalid_auth"}
        return 200, said
    if plain == "/api/webhooks/1/right":
        return 200, {"id": "1", "name": "Captain", "token": "right"}
    if plain.startswith("/api/webhooks/"):
        return 404, {"message": "Unknown Webhook", "code": 10015}
    if plain.startswith("/v2/room/"):
        if "auth_test=true" not in query:
            return 204, None
        known = known or f"auth_token={TOKEN}" in query
        return (202, {"success": {"code": 202}}) if known else (401, {"error": {"code": 401}})
    return {"/busy/auth.test": (429, None), "/broken/auth.test": (503, None)}.get(plain, (200, "hello"))


@pytest.fixture(scope="module")
def services() -> Iterator[Services]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found.asked.append((self.command, self.path, self.headers.get("Authorization")))
            status, data = answer(self.path, self.headers.get("Authorization"))
            body = b"" if data is None else json.dumps(data).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET  # noqa: N815

        def log_message(self, *_: object) -> None:
            """Nothing: the tests look at ``asked``."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        found = Services(server.server_address[1])
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        yield found
        server.shutdown()


def asked(service: str, who: Login = NOBODY, **given: Any) -> Report:
    credentials, secrets = who
    return ask(Channel(service=service, credentials=credentials, **given), secrets)


def test_slack_knows_a_token(services: Services) -> None:
    report = asked("slack", login(token=TOKEN), url=services.url("/api"))
    assert marks(report) == "PP-P----"
    assert of(report, "authenticate").detail == "Slack knows the token: tieline of Lab"
    assert of(report, "write").detail == "nothing is sent; --send posts a test message"
    assert services.asked[-1] == ("POST", "/api/auth.test", f"Bearer {TOKEN}")
    wrong = asked("slack", login(token="xoxb-other-token"), url=services.url("/api/"))
    assert failure(wrong).detail == "Slack does not take the token: invalid_auth"
    assert failure(wrong).part == "token"
    assert "not Slack's API" in failure(asked("slack", login(token=TOKEN), url=services.url("/elsewhere"))).detail
    assert "fewer requests" in failure(asked("slack", login(token=TOKEN), url=services.url("/busy"))).detail
    assert "503" in failure(asked("slack", login(token=TOKEN), url=services.url("/broken"))).detail


def test_a_webhook_of_slack_can_only_be_sent_to(services: Services) -> None:
    before = len(services.asked)
    for who in (login(url=services.url("/services/T0/B0/s3cr3tpath")), login(webhooks=older(services, "/services/x"))):
        report = asked("slack", who)
        assert marks(report) == "PP------"
        assert "no call that proves a webhook without sending" in of(report, "authenticate").detail
    assert len(services.asked) == before, "nothing is asked of it"


@pytest.mark.parametrize("service", ["teams", "mattermost", "pagerduty", "webhook", "another"])
def test_services_without_a_call(services: Services, service: str) -> None:
    report = asked(service, login(url=services.url("/hook/s3cr3tpath")))
    assert marks(report) == "PP------"
    assert "--send" in of(report, "authenticate").detail


def older(services: Services, *paths: str) -> str:
    return json.dumps([{"url": services.url(path), "method": "POST"} for path in paths])


def test_discord_knows_a_webhook(services: Services) -> None:
    report = asked("discord", login(url=services.url("/api/webhooks/1/right?wait=true")))
    assert marks(report) == "PP-P----"
    assert of(report, "authenticate").detail == "Discord knows the webhook: Captain"
    assert services.asked[-1][:2] == ("GET", "/api/webhooks/1/right")
    gone = asked("discord", login(url=services.url("/api/webhooks/1/s3cr3t")))
    assert "it was removed" in failure(gone).detail
    assert failure(gone).part == "url"
    assert "no webhook of Discord" in failure(asked("discord", login(url=services.url("/else/where")))).detail


def test_the_older_form_of_a_secret(services: Services) -> None:
    several = login(webhooks=older(services, "/api/webhooks/1/right", "/api/webhooks/1/s3cr3t"))
    removed = failure(asked("discord", several))
    assert ("it was removed" in removed.detail, removed.part) == (True, "webhooks")
    one = login(webhooks=json.dumps({"url": services.url("/api/webhooks/1/right")}))
    assert marks(asked("discord", one)) == "PP-P----"
    for text in ("{", "[]", '["x"]', '[{"url": ""}]', "7"):
        report = asked("discord", login(webhooks=text))
        assert (marks(report), failure(report).part) == ("F-------", "webhooks")


def test_hipchat_tests_a_token(services: Services) -> None:
    report = asked("hipchat", login(token=TOKEN), url=services.url("/"), channel="ML runs")
    assert marks(report) == "PP-P----"
    assert services.asked[-1][:2] == ("POST", "/v2/room/ML%20runs/notification?auth_test=true")
    whole = services.url(f"/v2/room/7/notification?auth_token={TOKEN}")
    assert marks(asked("hipchat", login(url=whole))) == "PP-P----"
    assert (
        failure(asked("hipchat", login(token="other-token"), url=services.url("/v2/room/7/notification"))).part
        == "token"
    )
    assert marks(asked("hipchat", login(token=TOKEN), url=services.url("/"))) == "PP------"
    assert marks(asked("hipchat", login(url=services.url("/v2/room/7/notification")))) == "PP------"
    assert failure(asked("hipchat", login(token=TOKEN))).part == "url"
    assert all("auth_test=true" in path for _, path, _ in services.asked if path.startswith("/v2/"))


def test_what_is_nowhere(services: Services) -> None:
    missing = asked("slack", login(url=None, token=None))
    assert (marks(missing), failure(missing).part) == ("F-------", "url")
    none = asked("teams")
    assert (marks(none), failure(none).part) == ("F-------", "secret")
    apprise = asked("apprise", login(url=f"json://127.0.0.1:{services.port}/{TOKEN}"))
    assert marks(apprise) == "--------"
    assert "only Apprise knows" in of(apprise, "resolve").detail
    assert marks(asked("slack", login(url="http://169.254.169.254/services/x"))) == "F-------"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(new_folder(tmp_path_factory.mktemp("channels"), "ca"))


@pytest.fixture(scope="module")
def good(authority: Authority) -> Pair:
    return authority.issue("IP:127.0.0.1")


def mail(port: int, who: Login = NOBODY, **options: str) -> Channel:
    given = {"host": "127.0.0.1", "port": str(port), "tls": "none", "from": "a@example.org", "to": "b@example.org"}
    return Channel(service="email", options={**given, **options}, credentials=who[0])


@pytest.mark.parametrize("tls", ["starttls", "implicit"])
def test_mail_logs_in(authority: Authority, good: Pair, tls: str) -> None:
    right, wrong = login(username=USER, password=PASSWORD), login(username=USER, password="canary-4711")
    with smtp_server(tls, good, login=True) as server:
        bundle = {"tls": tls, "caBundle": str(authority.certificate)}
        report = ask(mail(server.port, right, **bundle), right[1])
        assert marks(report) == "PPPP----"
        assert of(report, "authenticate").detail == "the server takes the user and password (AUTH PLAIN)"
        assert server.said[-3:] == ["AUTH", "NOOP", "QUIT"]
        report = ask(mail(server.port, wrong, **bundle), wrong[1])
        assert marks(report) == "PPPF----"
        assert failure(report).part == "password"
        assert "535" in failure(report).detail
        report = ask(mail(server.port, **bundle), {})
        assert marks(report) == "PPP-----"
        assert "may ask for it" in of(report, "authenticate").detail
        untrusted = ask(mail(server.port, right, tls=tls), right[1])
        assert marks(untrusted) == "PPF-----"
        assert server.letters == []


def test_mail_without_tls_or_login() -> None:
    who = login(username=USER, password=PASSWORD)
    with smtp_server(login=True) as server:
        report = ask(mail(server.port, who), who[1])
        assert marks(report) == "PP-P----"
        assert "unencrypted" in of(report, "authenticate").detail
    with smtp_server() as server:
        report = ask(mail(server.port), {})
        assert of(report, "authenticate").detail == "the connection has no login; the server offers none"
        half = login(username=USER, password=None)
        assert failure(ask(mail(server.port, half), half[1])).part == "password"
    with mute_server() as port:
        silent = ask(mail(port), {}, HASTY)
    assert marks(silent) == "PP-F----"


def test_a_test_mail_is_sent_if_asked_for() -> None:
    with smtp_server() as server:
        report = ask(mail(server.port), {}, sends=True)
        assert marks(report) == "PP----P-"
        assert "b@example.org: SMTP 250" in of(report, "write").detail
        assert server.letters[0].mail["Subject"] == "Test message from Tieline"
        server.at_rcpt = {"b@example.org": "550 nobody here"}
        report = ask(mail(server.port), {}, sends=True)
        assert marks(report) == "PP----F-"
        assert "nobody here" in failure(report).detail
        assert failure(report).hint
        assert report.failed() == (failure(report),)
        assert Operation.WRITE not in ask(mail(server.port), {}).expected
        assert failure(ask(mail(server.port, **{"from": "nobody"}), {}, sends=True)).part == "from"
        server.at_rcpt, server.at_data = {}, "cut"
        assert failure(ask(mail(server.port), {}, sends=True)).detail.startswith("it may have arrived: ")
    assert marks(ask(mail(free_port()), {}, sends=True)) == "PF------"


def test_apprise_is_tried_by_sending(services: Services) -> None:
    urls = f"json://127.0.0.1:{services.port}/{TOKEN} json://127.0.0.1:{free_port()}/{TOKEN}"
    credentials, secrets = login(urls=urls)
    report = ask(Channel(service="apprise", credentials=credentials), secrets, sends=True)
    assert marks(report) == "------F-"
    assert "(1 of 2 took it)" in failure(report).detail


CATALOG = """\
notificationConnections:
  - name: team
    kind: email
    schema: {{host: 127.0.0.1, port: {port}, from: "Us <us@example.org>", to: ml@example.org, tls: false}}
    secret: {{name: smtp-login}}
    health: {{require: [authenticate]}}
"""


def test_the_command_line_sends_a_marked_test_mail(tmp_path: Path) -> None:
    env = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
    env |= {"HOME": str(tmp_path), "TIELINE_HOME": str(tmp_path / "home")}
    env |= {"TIELINE_SECRET_SMTP_LOGIN__username": USER, "TIELINE_SECRET_SMTP_LOGIN__password": PASSWORD}

    def test(*words: str, code: int, **more: str) -> dict[str, Any]:
        argv = [sys.executable, "-m", "tieline", "connections", "test", "team", "-o", "json", *words]
        done = subprocess.run(argv, cwd=tmp_path, env={**env, **more}, capture_output=True, text=True, timeout=60)
        assert done.returncode == code, done.stderr
        assert PASSWORD not in done.stdout + done.stderr
        return {item["operation"]: item for item in json.loads(done.stdout)[0]["operations"]}

    with smtp_server(login=True) as server:
        (tmp_path / "tieline.yaml").write_text(CATALOG.format(port=server.port))
        assert test(code=0)["write"]["outcome"] == "skipped"
        assert server.letters == []
        sent = test("--send", code=0)["write"]
        assert (sent["outcome"], sent["required"]) == ("pass", True)
        assert server.letters[0].mail["Subject"] == "Test message from Tieline"
        assert "This is a test" in server.letters[0].text()
        server.at_data = "554 looks like spam"
        failed = test("--send", code=69)["write"]
        assert "looks like spam" in failed["detail"]
        wrong = test(code=69, TIELINE_SECRET_SMTP_LOGIN__password="canary-4711")["authenticate"]
    assert wrong["secretKeys"] == "password of the secret smtp-login"
    assert "username and password" in wrong["hint"]
