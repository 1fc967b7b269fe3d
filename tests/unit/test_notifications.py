"""compile: who is told of a run, and when; by the job's file and by the catalog's ``events``."""

from __future__ import annotations

import pytest
from test_planner import compiled

from tieline.errors import Code, InvalidInput
from tieline.model.run import Status
from tieline.model.trigger import TRIGGERS, fires

CATALOG = """
connections:
  - {name: data, kind: host_path, schema: {hostPath: /srv/data, mountPath: /data}}
  - {name: bound, kind: slack, secret: {name: s}}
  - {name: private, kind: slack, secret: {name: s}, allow: {projects: [other]}}
notificationConnections:
  - {name: team, kind: slack, secret: {name: s}}
  - {name: page, kind: pagerduty, secret: {name: p}, events: [failed]}
  - {name: lab, kind: discord, secret: {name: d}, events: [{statuses: [succeeded, stopped], projects: ["exp-*", p]}]}
  - {name: elsewhere, kind: teams, secret: {name: t}, events: [{projects: [nobody]}]}
  - {name: forbidden, kind: teams, secret: {name: t}, events: [done], allow: {projects: [nobody]}}
"""
JOB = "version: 1.1\nkind: component\n{}\nrun: {{kind: job, container: {{command: [x]}}}}\n"
BY_CATALOG = [("page", "failed"), ("lab", "succeeded"), ("lab", "stopped")]


def asked(text: str) -> list[tuple[str, str, str]]:
    plan, _ = compiled(JOB.format(text), catalog=CATALOG)
    return [(notify.connection, notify.trigger, notify.asked_by) for notify in plan.notifications]


def problems(text: str = "", catalog: str = CATALOG) -> list[tuple[str, Code]]:
    with pytest.raises(InvalidInput) as refused:
        compiled(JOB.format(text), catalog=catalog)
    return [(problem.place.field, problem.code) for problem in refused.value.problems]


def test_the_catalog_tells_its_own_without_the_job() -> None:
    assert asked("") == [(name, trigger, "catalog") for name, trigger in BY_CATALOG]


def test_jobs_ask_by_plugins_and_hooks_each_once() -> None:
    text = """
plugins: {notifications: [{connections: [team, bound], trigger: failed}, {connections: [team]}]}
hooks: [{connection: team, trigger: failed}, {connection: page, trigger: failed}]
"""
    job = [("team", "failed"), ("bound", "failed"), ("team", "done"), ("page", "failed")]
    catalog = [one for one in BY_CATALOG if one != ("page", "failed")]
    assert asked(text) == [(*one, "job") for one in job] + [(*one, "catalog") for one in catalog]


def test_names_may_be_templates() -> None:
    text = "inputs: [{name: who, type: str, value: team}]\nhooks: [{connection: '{{ who }}', trigger: stopped}]"
    assert asked(text)[0] == ("team", "stopped", "job")


@pytest.mark.parametrize(
    ("name", "code"),
    [("teem", Code.UNKNOWN_CONNECTION), ("data", Code.WRONG_KIND), ("private", Code.NOT_ALLOWED)],
)
def test_what_is_no_channel_for_this_job_is_refused(name: str, code: Code) -> None:
    assert problems(f"hooks: [{{connection: {name}}}]") == [("hooks[0].connection", code)]
    assert problems(f"plugins: {{notifications: [{{connections: [team, {name}]}}]}}") == [
        ("plugins.notifications[0].connections[1]", code)
    ]


def test_a_notification_connection_is_never_bound() -> None:
    job = JOB.format("").replace("kind: job", "kind: job, connections: [team]")
    with pytest.raises(InvalidInput) as refused:
        compiled(job, catalog=CATALOG)
    assert [problem.code for problem in refused.value.problems] == [Code.NOTIFICATION_ONLY]


def test_an_unknown_trigger_is_refused_with_the_nearest() -> None:
    with pytest.raises(InvalidInput) as refused:
        compiled(JOB.format("hooks: [{connection: team, trigger: succeded}]"), catalog=CATALOG)
    assert "succeeded" in refused.value.problems[0].hint


def test_events_belong_to_channels_among_the_notification_connections() -> None:
    where = "connections:\n  - {name: c, kind: slack, secret: {name: s}, events: [failed]}\n"
    assert problems(catalog=where) == [("connections[0].events", Code.BAD_VALUE)]
    what = "notificationConnections:\n  - {name: c, kind: git, schema: {url: 'https://g/x'}, events: [failed]}\n"
    assert problems(catalog=what) == [("notificationConnections[0].kind", Code.WRONG_KIND)]
    wrong = "notificationConnections:\n  - {name: c, kind: slack, secret: {name: s}, events: [{statuses: [broken]}]}\n"
    assert {code for _, code in problems(catalog=wrong)} == {Code.BAD_VALUE}


def test_the_plan_has_the_channel_and_no_secret() -> None:
    plan, _ = compiled(JOB.format(""), catalog=CATALOG)
    page = plan.notifications[0]
    assert (page.channel.service, page.channel.resolves, page.channel.credentials.secret) == ("pagerduty", True, "p")
    again = type(plan).model_validate(plan.as_json())
    assert again.notifications == plan.notifications


@pytest.mark.parametrize("status", list(Status))
def test_every_status_is_a_trigger_and_done_is_any_end(status: Status) -> None:
    assert status.value in TRIGGERS
    assert {trigger for trigger in TRIGGERS if fires(trigger, status)} == {status.value} | (
        {"done"} if status.is_final else set()
    )
