"""compile: what a job becomes, and everything that is refused before a run is accepted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tieline.compile.catalog import Home, read_catalog
from tieline.compile.jobs import read_job
from tieline.compile.planner import Request, check_job, compile_job
from tieline.documents.document import Document, parse_document
from tieline.errors import Code, InvalidInput, NotFound, Problem
from tieline.model.binding import Text
from tieline.model.plan import CloneStep, FetchStep, FileStep, Identity, Layout, Plan, ProgramStep, Traits

HOME = Home("/h/artifacts", "/h/claims", "/home/u")
LAYOUT = Layout(
    context_path="/ctx",
    artifacts_path="/ctx/artifacts",
    outputs_path="/ctx/artifacts/u1/outputs",
    work_path="/ctx/cwd",
    binding_root="/ctx/bindings",
    claims={"mapped": "/srv/mapped"},
    claims_root="/h/claims",
)
CATALOG = """
connections:
  - {name: data, kind: host_path, schema: {hostPath: /srv/data, mountPath: /data, readOnly: true}}
  - {name: same, kind: host_path, schema: {hostPath: /data, mountPath: /data}}
  - {name: claim, kind: volume_claim, schema: {volumeClaim: pvc, mountPath: /claim, subPath: in}}
  - {name: code, kind: git, schema: {url: "https://git.example/org/code", revision: main, flags: [--no-tags]}}
  - {name: key, kind: ssh, secret: {name: k, mountPath: /ssh}}
  - {name: db, kind: sqlite, schema: {path: /srv/x.db}}
  - {name: one, kind: s3, schema: {bucket: "s3://bucket-one/p", region: eu-west-1}}
  - {name: two, kind: s3, schema: {bucket: "s3://bucket-two/p", region: eu-west-2}}
  - {name: pre, kind: s3, schema: {bucket: "s3://bucket-pre", region: eu-west-3}, envPrefix: PRE_}
  - {name: envs, kind: redis, schema: {host: r}, env: [{name: AWS_REGION, value: x}, {name: TOKEN, value: a}]}
  - {name: envs2, kind: http, schema: {url: "https://h"}, env: [{name: TOKEN, value: b}]}
  - {name: mine, kind: http, schema: {url: "https://h"}, allow: {projects: [secret-project]}}
notificationConnections:
  - {name: team, kind: slack, secret: {name: s}}
queues: {gpu: {concurrency: 2}}
"""


def compiled(
    text: str,
    *,
    params: dict[str, Any] | None = None,
    catalog: str = CATALOG,
    files: dict[str, str] | None = None,
    complete: bool = True,
    namespace: str = "default",
) -> tuple[Any, list[Problem]]:
    def load(name: str) -> Document:
        if not files or name not in files:
            raise NotFound(Problem(Code.FILE_NOT_FOUND, f"there is no file {name}"))
        return parse_document(files[name], name)

    shared, _ = read_catalog(parse_document(catalog, "tieline.yaml"), HOME, "/srv")
    job, known = read_job(parse_document(text, "job.yaml"), load, lambda name: load(f"presets/{name}"))
    identity = Identity(
        uuid="u1", name="n", project="p", namespace=namespace, kind="job", created_at="2026-01-01T00:00:00"
    )
    request = Request(identity, LAYOUT, Traits(name="process"), params or {}, base="/jobs", complete=complete)
    if not complete:
        return None, check_job(job, shared, request, known)
    return compile_job(job, shared, request, known)


def plan(text: str, **more: Any) -> Plan:
    found: Plan = compiled(text, **more)[0]
    return found


def refused(text: str, **more: Any) -> list[tuple[Code, str]]:
    with pytest.raises(InvalidInput) as caught:
        compiled(text, **more)
    assert all(problem.place.line for problem in caught.value.problems if problem.place.file)
    return [(problem.code, problem.place.field) for problem in caught.value.problems if not problem.warning]


def job(run: str, *, rest: str = "") -> str:
    return f"kind: component\n{rest}\nrun:\n  kind: job\n  container: {{command: [main]}}\n{run}"


def test_the_smallest_job() -> None:
    found = plan("kind: component\nrun: {kind: job, container: {command: 'true'}}")
    assert found.main.command == ("true",)
    assert found.main.working_dir == "/ctx/cwd"
    assert found.store.connection == "artifacts-store"
    assert Plan.model_validate(found.as_json()) == found


def test_the_same_three_make_the_same_plan() -> None:
    text = job("  connections: [data, db]\n  init: [{connection: code}]")
    assert plan(text).as_json() == plan(text).as_json()


def test_true_paths_where_mounts_are_not_real() -> None:
    found = plan("""
kind: component
run:
  kind: job
  connections: [data, claim]
  container:
    command: ["{{ connections.data.path }}", "{{ connections['claim'].path }}", "{{ connections.data.mountPath }}"]
""")
    assert found.main.command == ("/srv/data", "/h/claims/pvc/in", "/data")
    entries = {entry.name: entry.value for entry in found.bindings[0].entries}
    assert entries["path"] == Text(text="/srv/data")
    assert {notice.field for notice in found.notices} >= {"connections[data]", "connections[claim]", "claim pvc"}


def test_every_init_form() -> None:
    found = plan(
        job("""
  init:
    - connection: code
    - connection: code
      git: {revision: v1}
      path: other
    - git: {url: "https://git.example/a/b.git"}
    - connection: key
      git: {url: "git@git.example:a/c.git"}
    - connection: data
    - connection: data
      artifacts: {files: [a.csv, [b.csv, c.csv]], dirs: [train]}
      path: /picked
    - paths: [models/m1]
    - file: {name: run.sh, chmod: "+x", content: "echo {{ globals.uuid }}"}
    - dockerfile: {image: "busybox", run: ["echo hi"]}
    - container: {name: prep, command: [sh, -c, echo]}
""")
    )
    steps = found.steps
    assert [step.type for step in steps] == [
        "clone", "clone", "clone", "clone", "fetch", "fetch", "fetch", "file", "file", "program",
    ]  # fmt: skip
    first, second, third, fourth = (step for step in steps if isinstance(step, CloneStep))
    assert (first.path, first.remote.revision, first.remote.flags) == ("/ctx/artifacts/code", "main", ("--no-tags",))
    assert (second.path, second.remote.revision) == ("/ctx/artifacts/other", "v1")
    assert (third.path, third.remote.revision) == ("/ctx/artifacts/b", None)
    assert fourth.remote.ssh is not None
    whole, picked, default = (step for step in steps if isinstance(step, FetchStep))
    assert (whole.path, whole.items[0].source) == ("/ctx/artifacts/data", "")
    assert [(item.source, item.target, item.what) for item in picked.items] == [
        ("a.csv", "a.csv", "file"), ("b.csv", "c.csv", "file"), ("train", "train", "dir"),
    ]  # fmt: skip
    assert picked.path == "/ctx/root/picked"  # /picked is not the job's to write on this machine
    assert (default.connection, default.path) == ("artifacts-store", "/ctx/artifacts")
    written = next(step for step in steps if isinstance(step, FileStep))
    assert (written.path, written.mode, written.content) == ("/ctx/artifacts/run.sh", 0o755, "echo u1")
    assert isinstance(steps[-1], ProgramStep)


def test_an_override_of_one_entry_does_not_leak_into_the_next() -> None:
    found = plan(job("  init: [{connection: code, git: {revision: v1}, path: a}, {connection: code, path: b}]"))
    assert [step.remote.revision for step in found.steps if isinstance(step, CloneStep)] == ["v1", "main"]


def test_shell_text_in_a_path_is_a_path() -> None:
    found = plan(job("  init: [{connection: data, artifacts: {files: ['a; touch x']}}]"))
    (step,) = (step for step in found.steps if isinstance(step, FetchStep))
    assert step.items[0].source == "a; touch x"


@pytest.mark.parametrize(
    ("run", "code", "field"),
    [
        ("  connections: [daat]", Code.UNKNOWN_CONNECTION, "run.connections[0]"),
        ("  connections: [team]", Code.NOTIFICATION_ONLY, "run.connections[0]"),
        ("  connections: [mine]", Code.NOT_ALLOWED, "run.connections[0]"),
        ("  connections: [envs, envs2]", Code.VARIABLE_COLLISION, "run.connections"),
        ("  connections: [envs, one]", Code.VARIABLE_COLLISION, "run.connections"),
        ("  connections: [data, same]", Code.MOUNT_COLLISION, "run.connections"),
        ("  init: [{connection: db}]", Code.WRONG_KIND, "run.init[0].connection"),
        ("  init: [{connection: data, git: {revision: x}}]", Code.WRONG_KIND, "run.init[0].connection"),
        ("  init: [{connection: code, git: {revision: '-x'}}]", Code.BAD_VALUE, "run.init[0].git.revision"),
        ("  init: [{git: {url: 'https://u:p@h/r'}}]", Code.BAD_VALUE, "run.init[0].git.url"),
        ("  init: [{git: {}}]", Code.MISSING_KEY, "run.init[0].git"),
        ("  init: [{}]", Code.MISSING_KEY, "run.init[0]"),
        ("  init: [{file: {name: a, content: b}, git: {url: 'https://h/r'}}]", Code.BAD_VALUE, "run.init[0]"),
        ("  init: [{file: {name: ../a, content: b}}]", Code.UNSAFE_PATH, "run.init[0].file.name"),
        ("  init: [{file: {name: a, content: b, chmod: rwx}}]", Code.BAD_VALUE, "run.init[0].file.chmod"),
        ("  init: [{paths: [../../etc/passwd]}]", Code.UNSAFE_PATH, "run.init[0].paths[0]"),
        ("  init: [{paths: [a], path: ../x}]", Code.UNSAFE_PATH, "run.init[0].path"),
        ("  init: [{connection: code}, {connection: code}]", Code.PATH_COLLISION, "run.init[1]"),
        ("  init: [{tensorboard: {}}]", Code.UNSUPPORTED, "run.init[0].tensorboard"),
        ("  init: [{modelRef: m}]", Code.UNSUPPORTED, "run.init[0].modelRef"),
        ("  init: [{dockerfile: {image: 'a\\nRUN x'}}]", Code.BAD_VALUE, "run.init[0].dockerfile"),
        ("  conections: [data]", Code.UNKNOWN_KEY, "run.conections"),
    ],
)
def test_what_is_refused_and_where(run: str, code: Code, field: str) -> None:
    assert (code, field) in refused(job(run))


@pytest.mark.parametrize("kind", ["tfjob", "dag", "mpijob", "raycluster", "daskcluster", "pytorchjob"])
def test_other_kinds_of_runs_are_refused_by_name(kind: str) -> None:
    assert refused(f"kind: component\nrun: {{kind: {kind}, worker: {{}}}}") == [(Code.UNSUPPORTED, "run.kind")]


@pytest.mark.parametrize("key", ["hubRef: x", "dagRef: x", "urlRef: 'https://h/x'"])
def test_references_that_tieline_does_not_follow(key: str) -> None:
    assert refused(f"kind: operation\n{key}")[0][0] is Code.UNSUPPORTED


def test_what_is_wrong_at_one_place_is_told_in_the_order_in_which_it_was_found() -> None:
    names = [f"V{number}" for number in range(6)]
    env = ", ".join(f"{{name: {name}, value: x}}" for name in names)
    both = "".join(f'  - {{name: {c}, kind: http, schema: {{url: "https://h"}}, env: [{env}]}}\n' for c in "ab")
    with pytest.raises(InvalidInput) as caught:
        compiled(job("  connections: [a, b]"), catalog=f"connections:\n{both}")
    assert [problem.message.split()[-1] for problem in caught.value.problems] == names


@pytest.mark.parametrize(
    "key", ["matrix: {kind: grid}", "schedule: {kind: cron}", "joins: []", "events: []", "dependencies: [a]"]
)
def test_operations_of_many_runs_are_refused(key: str) -> None:
    assert refused(f"kind: operation\n{key}\ncomponent: {{run: {{kind: job, container: {{command: x}}}}}}") == [
        (Code.UNSUPPORTED, key.split(":")[0])
    ]


def test_two_buckets_in_one_job_neither_wins_silently() -> None:
    found, warnings = compiled(job("  connections: [one, two]"))
    assert not [v.name for b in found.bindings for v in b.variables if v.name.startswith("AWS_")]
    (warning,) = [problem for problem in warnings if problem.code is Code.VARIABLE_COLLISION]
    assert "'one' and 'two' would both set" in warning.message
    assert "envPrefix" in warning.hint


def test_one_bucket_with_a_prefix_leaves_the_other_its_names() -> None:
    found, warnings = compiled(job("  connections: [one, pre]"))
    assert not warnings
    names = {v.name for b in found.bindings for v in b.variables}
    assert {"AWS_REGION", "PRE_AWS_REGION"} <= names


def test_a_jobs_own_variable_wins_over_both() -> None:
    container = "{command: x, env: [{name: TOKEN, value: 1}]}"
    text = f"kind: component\nrun: {{kind: job, connections: [envs, envs2], container: {container}}}"
    assert plan(text).main.env[0].value == Text(text="1")


def test_notifications_and_hooks_name_channels() -> None:
    text = job(
        "", rest="hooks: [{connection: team, trigger: failed}]\nplugins: {notifications: [{connections: [team]}]}"
    )
    assert [(item.connection, item.trigger) for item in plan(text).notifications] == [
        ("team", "done"),
        ("team", "failed"),
    ]
    assert refused(job("", rest="hooks: [{connection: db}]")) == [(Code.WRONG_KIND, "hooks[0].connection")]
    assert refused(job("", rest="hooks: [{connection: taem}]")) == [(Code.UNKNOWN_CONNECTION, "hooks[0].connection")]


def test_templates_reach_everything_and_say_where_they_fail() -> None:
    text = """
kind: component
inputs:
  - {name: where, type: str, value: data}
  - {name: retries, type: int, value: 2}
  - {name: extra, type: bool, isFlag: true, value: false}
termination: {maxRetries: "{{ retries }}"}
run:
  kind: job
  connections: ["{{ where }}"]
  container:
    command: [python]
    args: ["{{ params.retries.as_arg }}", "{{ params.extra.as_arg }}", "{{ params.as_args }}"]
"""
    found = plan(text)
    assert found.ending.max_retries == 2
    assert found.main.args == ("--retries=2", "--where=data", "--retries=2")
    assert found.bindings[0].connection == "data"
    assert refused(text, params={"retries": "many"}) == [(Code.BAD_PARAM, "")]
    assert refused(text, params={"where": "nowhere"}) == [(Code.UNKNOWN_CONNECTION, "run.connections[0]")]
    assert refused(text.replace("{{ retries }}", "{{ retires }}"))[0] == (Code.UNDEFINED_NAME, "termination.maxRetries")


def test_problems_of_all_sorts_come_together() -> None:
    text = """
kind: operation
params: {lrr: 1}
hooks: [{connection: nobody}]
component:
  inputs: [{name: lr, type: float, value: fast}]
  run:
    kind: job
    connections: [nothing]
    contaner: {}
    container: {command: ["{{ lr2 }}"]}
"""
    assert {code for code, _ in refused(text)} == {
        Code.UNKNOWN_PARAM, Code.BAD_PARAM, Code.UNKNOWN_CONNECTION, Code.UNKNOWN_KEY, Code.UNDEFINED_NAME,
    }  # fmt: skip


def test_a_component_by_path_ref_and_problems_point_into_its_file() -> None:
    component = "kind: component\nname: c\nrun:\n  kind: job\n  connections: [nothing]\n  container: {command: x}\n"
    with pytest.raises(InvalidInput) as caught:
        plan("kind: operation\npathRef: c.yaml", files={"c.yaml": component})
    assert str(caught.value.problems[0].place) == "c.yaml:5:17: run.connections[0]"
    assert refused("kind: operation\npathRef: d.yaml") == [(Code.FILE_NOT_FOUND, "pathRef")]


def test_an_operation_patches_its_component() -> None:
    text = """
kind: operation
termination: {timeout: 5}
runPatch: {container: {args: [b]}, connections: [db]}
component:
  termination: {max_retries: 3, timeout: 9}
  run: {kind: job, connections: [data], container: {command: [x], args: [a]}}
"""
    found = plan(text)
    assert (found.ending.max_retries, found.ending.timeout) == (3, 5)
    assert [binding.connection for binding in found.bindings] == ["data", "db"]
    assert found.main.args == ("a", "b")
    assert plan(text.replace("kind: operation", "kind: operation\npatchStrategy: replace", 1)).main.args == ("b",)


def test_presets_are_merged_in_order() -> None:
    files = {
        "presets/small": "kind: operation\nisPreset: true\ntermination: {maxRetries: 1, timeout: 10}",
        "presets/patient": "kind: operation\nisPreset: true\ntermination: {timeout: 99}",
    }
    found = plan(job("", rest="presets: [small, patient]"), files=files)
    assert (found.ending.max_retries, found.ending.timeout) == (1, 99)
    assert refused(job("", rest="presets: [big]"), files=files) == [(Code.FILE_NOT_FOUND, "presets[0]")]


def test_what_only_a_cluster_can_do_is_said_once() -> None:
    found = plan("""
kind: component
run:
  kind: job
  environment: {nodeSelector: {a: b}, serviceAccountName: x}
  sidecars: [{name: s, image: i, command: [x]}]
  container: {image: python, command: [x], resources: {limits: {cpu: 1}}}
""")
    fields = [notice.field for notice in found.notices]
    assert "run.environment.nodeSelector" in fields
    assert "run.container.resources" in fields
    assert sum(field.endswith("image") for field in fields) == 1


def test_a_process_needs_a_command() -> None:
    assert refused("kind: component\nrun: {kind: job, container: {image: x}}") == [(Code.MISSING_KEY, "run.container")]


def test_queues_and_mounts() -> None:
    found = plan(
        "kind: operation\nqueue: gpu\nmount: [train.py, 'lib:src/lib']\n"
        "component: {run: {kind: job, container: {command: x}}}"
    )
    assert (found.queue, found.queue_limit) == ("gpu", 2)
    assert [(step.source, step.path) for step in found.steps if step.type == "take"] == [
        ("/jobs/train.py", "/ctx/cwd/train.py"), ("/jobs/lib", "/ctx/cwd/src/lib"),
    ]  # fmt: skip
    assert (
        refused("kind: operation\nmount: ['a:../b']\ncomponent: {run: {kind: job, container: {command: x}}}")[0][0]
        is Code.UNSAFE_PATH
    )


def test_an_unknown_namespace_is_refused_with_the_nearest() -> None:
    catalog = CATALOG + "namespaces: {team-a: {inherit: all}}\n"
    assert plan(job("  connections: [data]"), catalog=catalog, namespace="team-a").bindings
    with pytest.raises(InvalidInput) as caught:
        plan(job(""), catalog=catalog, namespace="team-b")
    assert "team-a" in caught.value.problems[0].hint


def test_a_check_without_values_leaves_them_open() -> None:
    text = "kind: component\ninputs: [{name: n, type: int}]\ntermination: {maxRetries: '{{ n }}'}\n" \
           "run: {kind: job, connections: ['{{ n }}'], container: {command: ['{{ n }}']}}"  # fmt: skip
    assert compiled(text, complete=False) == (None, [])
    assert refused(text) == [(Code.MISSING_PARAM, "inputs[0]")]


def test_a_param_brings_a_connection_or_an_init_step() -> None:
    text = """
kind: operation
params:
  table: {connection: data, init: true, artifacts: {files: [t.csv]}}
  store: {value: s, connection: db}
  note: {value: hello, contextOnly: true}
component:
  inputs: [{name: table, type: artifacts, isOptional: true}, {name: store, type: str}]
  run:
    kind: job
    container: {command: [x, "{{ init.data.path }}", "{{ connections.db.path }}", "{{ note }}"]}
"""
    found = plan(text)
    (step,) = found.steps
    assert isinstance(step, FetchStep)
    assert (step.connection, step.items[0].source) == ("data", "t.csv")
    assert [binding.connection for binding in found.bindings] == ["db"]
    assert found.main.command[1:] == ("/ctx/artifacts/data", "/srv/x.db", "hello")


def test_the_artifacts_store_is_bound_only_when_asked_for_and_only_the_runs_own_part() -> None:
    assert plan(job("")).bindings == ()
    asked = (job("", rest="plugins: {mountArtifactsStore: true}"), job("  connections: [artifacts-store]"))
    for text in asked:
        (binding,) = plan(text).bindings
        assert {entry.name: entry.value for entry in binding.entries}["path"] == Text(text="/h/artifacts/u1")


def test_files_of_a_pod_that_a_process_cannot_have() -> None:
    text = """
kind: component
run:
  kind: job
  volumes: [{name: tmp, emptyDir: {}}, {name: odd, nfs: {server: x}}]
  container: {command: x, volumeMounts: [{name: tpm, mountPath: /t}]}
"""
    assert [code for code, _ in refused(text)] == [Code.UNSUPPORTED, Code.BAD_VALUE]


def test_the_plan_names_no_file_of_this_machine_by_accident() -> None:
    assert str(Path.cwd()) not in str(plan(job("")).as_json())
