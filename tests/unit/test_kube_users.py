"""Whom the containers of a pod run as: Tieline's own as the job's user, if that is known, and never as a root that the
pod does not have."""

from __future__ import annotations

from typing import Any

import pytest
from kube_plans import NATIVE, check_valid, containers_of, made, planned, variables_of

from tieline.engines.kubernetes.notices import notices_of
from tieline.engines.kubernetes.users import NOBODY, ROOTS_RIGHTS
from tieline.errors import Code, Refused

CATALOG = """
connections:
  - {name: code, kind: git, schema: {url: "https://git.example/c"}}
  - {name: more, kind: git, schema: {url: "https://git.example/m"}}
"""
OURS = ("tieline-steps-0", "tieline-collector")
SIDE = "  sidecars: [{name: side, image: i}]"
PREP = "{container: {name: prep, image: i, command: [x]%s}}"


def job(security: str = "{}", *, run: str = "", init: str = "{connection: code}", container: str = "") -> str:
    environment = f"  environment: {{securityContext: {security}}}\n  init: [{init}]"
    return f"kind: component\nrun:\n  kind: job\n{environment}\n{run}\n  container: {{image: i{container}}}\n"


def trusted(container: dict[str, Any]) -> list[str]:
    """The repositories that git may work in, whosever they are."""
    variables = variables_of(container)
    numbers = range(int(variables.get("GIT_CONFIG_COUNT", "0")))
    assert all(variables[f"GIT_CONFIG_KEY_{number}"] == "safe.directory" for number in numbers)
    return [variables[f"GIT_CONFIG_VALUE_{number}"] for number in numbers]


@pytest.mark.parametrize(
    ("security", "uid", "gid"),
    [
        ("{runAsNonRoot: true}", NOBODY, NOBODY),
        ("{runAsNonRoot: true, runAsUser: 7}", 7, None),
        ("{runAsNonRoot: true, runAsGroup: 8}", NOBODY, 8),
    ],
)
def test_where_the_pod_has_no_root_ours_are_none(security: str, uid: int, gid: int | None) -> None:
    objects = made(job(security), CATALOG)
    check_valid(objects, native=False)
    for name in OURS:
        context = containers_of(objects)[name]["securityContext"]
        assert (context["runAsUser"], context["runAsNonRoot"], context.get("runAsGroup")) == (uid, True, gid)
        assert context["capabilities"] == {"drop": ["ALL"]}, "as a namespace asks for that is restricted"


def test_that_private_outputs_cannot_be_saved_is_said() -> None:
    found = [
        [notice.field for notice in notices_of(planned(job(security), CATALOG), {})]
        for security in ("{runAsNonRoot: true}", "{runAsNonRoot: true, runAsUser: 7}", "{}")
    ]
    assert found == [["environment.securityContext.runAsNonRoot"], [], []]


def test_where_only_the_job_is_none_ours_can_read_what_it_writes() -> None:
    objects = made(job(container=", securityContext: {runAsNonRoot: true}"), CATALOG)
    for name in OURS:
        context = containers_of(objects)[name]["securityContext"]
        assert (context["runAsUser"], context["capabilities"]["add"]) == (0, list(ROOTS_RIGHTS))


def test_sidecars_that_nobody_could_end_are_refused() -> None:
    with pytest.raises(Refused) as caught:
        made(job("{runAsNonRoot: true}", run=SIDE), CATALOG)
    [problem] = caught.value.problems
    assert (problem.code, problem.place.field) == (Code.UNSUPPORTED, "environment.securityContext.runAsNonRoot")
    other = "  sidecars: [{name: side, image: i, securityContext: {runAsUser: 8}}]"
    with pytest.raises(Refused):
        made(job("{runAsNonRoot: true, runAsUser: 7}", run=other), CATALOG)
    same = made(job("{runAsNonRoot: true, runAsUser: 7}", run=SIDE), CATALOG)
    assert containers_of(same)["tieline-collector"]["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    check_valid(made(job("{runAsNonRoot: true}", run=SIDE), CATALOG, NATIVE), native=True)


def test_git_works_in_what_another_user_has_cloned() -> None:
    objects = made(job(init="{connection: code}, {connection: more, path: /src}"), CATALOG)
    assert trusted(containers_of(objects)["main"]) == ["/tieline/artifacts/code", "/src"]
    assert trusted(containers_of(made(job(init=PREP % "")))["main"]) == [], "there is no repository"


@pytest.mark.parametrize("uid", [0, 7])
def test_what_the_jobs_own_user_has_cloned_needs_no_word(uid: int) -> None:
    other = PREP % ", securityContext: {runAsUser: 9}"
    objects = made(job(f"{{runAsUser: {uid}}}", init=f"{{connection: code}}, {other}"), CATALOG)
    assert trusted(containers_of(objects)["main"]) == []
    assert trusted(containers_of(objects)["init-prep"]) == ["/tieline/artifacts/code"]


def test_a_configuration_of_the_jobs_own_wins() -> None:
    env = ", env: [{name: GIT_CONFIG_COUNT, value: '1'}, {name: GIT_CONFIG_KEY_0, value: a.b}]"
    variables = variables_of(containers_of(made(job(container=env), CATALOG))["main"])
    assert (variables["GIT_CONFIG_COUNT"], variables["GIT_CONFIG_KEY_0"]) == ("1", "a.b")
