"""What Tieline runs inside of a pod, on a real cluster: steps before main, and the collector beside it."""

from __future__ import annotations

import hashlib
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kube_pods import Namespace, Trial, eventually, namespace, plan_of, shell, volume_store
from secrets_kube import kube

from servers.kube_image import image_of
from servers.seaweedfs import ADMIN, Seaweed, seaweedfs
from servers.wire import wire
from tieline.engines.kubernetes.inside.pods import PodWatch
from tieline.engines.kubernetes.inside.reading import LogReader
from tieline.engines.kubernetes.taking import packed

__all__ = ["kube"]
WORK = "/tieline/work"


@pytest.fixture(scope="session")
def image(kube: Path) -> str:
    return image_of(kube)


@pytest.fixture
def space(kube: Path) -> Iterator[Namespace]:
    with namespace(kube) as made:
        yield made


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    found = tmp_path / "store"
    found.mkdir()
    return found


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seaweed]:
    with seaweedfs(tmp_path_factory.mktemp("weed")) as found:
        yield found


def bucket_store(server: Seaweed, **more: Any) -> dict[str, Any]:
    """A bucket whose keys are in the secret ``keys``."""
    values = {
        entry: {"type": "secret", "secret": "keys", "keys": [key]}
        for entry, key in (("access-key-id", "id"), ("secret-access-key", "key"))
    }
    credentials = {"secret": "keys", "method": "secret", "values": values}
    return {
        "type": "objectStore", "provider": "s3", "bucket": "data", "endpoint": server.endpoint, "region": "us-east-1",
        "addressing_style": "path", "insecure": True, "credentials": credentials, **more,
    }  # fmt: skip


KEYS = {"keys": {"id": ADMIN[0].encode(), "key": ADMIN[1].encode()}}


def outputs_of(trial: Trial) -> dict[str, str]:
    return {"name": "OUT", "value": trial.plan.layout.outputs_path}


def begun(trial: Trial, script: str, **more: Any) -> Trial:
    """Start main as a shell script, in the work folder, with ``$OUT``."""
    trial.main = shell(script, env=[outputs_of(trial)], workingDir=WORK, **more)
    return trial.start()


def test_outputs_and_logs_of_a_volume(space: Namespace, image: str, folder: Path) -> None:
    steps = [
        {"type": "file", "name": "f", "path": f"{WORK}/f.txt", "content": "from a step"},
        {"type": "file", "name": "g", "path": f"{WORK}/d/g", "content": "tool", "mode": 0o700},
    ]
    trial = Trial(space, plan_of(volume_store(folder), steps=steps), image, steps=[(0, 2)])
    user = {"runAsUser": 4321, "runAsGroup": 4321}  # nobody said so to our containers
    begun(
        trial,
        "cat f.txt; echo; echo wrong >&2; cp f.txt $OUT/copy; echo more >> f.txt; touch d/x; mkdir -m 700 $OUT/d;"
        "echo 2 > $OUT/d/two; chmod 0 $OUT/d/two; printf end; exit 3",
        securityContext=user,
    )
    message = trial.message()
    assert message["main"] == {"exit_code": 3, "signal": None, "reason": "Error"}
    assert message["error"] is None
    assert (message["attempt"], message["saved"]["files"]) == (1, 2)
    attempt = folder / "attempt-1"
    assert (attempt / "outputs/copy").read_text() == "from a step"
    assert (attempt / "outputs/d/two").read_text() == "2\n"
    logged = (attempt / "logs/main.log").read_bytes()
    assert sorted(logged.splitlines()) == [b"end", b"from a step", b"wrong"]  # two pipes: either may be read first
    assert trial.message("tieline-steps-0")["done"] == [["f", "11 bytes"], ["g", "4 bytes"]]
    shown = space.logs(trial.name, "tieline-collector")
    assert shown.startswith(b"=main ")
    assert trial.wait()["exitCode"] == 0


def test_outputs_and_logs_of_a_bucket_without_secrets(space: Namespace, image: str, server: Seaweed) -> None:
    """What the job prints of a secret is masked in the store and in what the collector shows."""
    entry = {"name": "password", "value": {"type": "secret", "secret": "db", "keys": ["password"]}}
    binding = {"connection": "base", "type": "postgresql", "entries": [entry]}
    secret = b"c4nary-of-the-bucket"
    plan = plan_of(bucket_store(server), bindings=[binding])
    trial = Trial(space, plan, image, secrets={**KEYS, "db": {"password": secret}})
    begun(trial, "cp /tieline/bindings/base/password p; cat p; echo; cp p $OUT/p; echo it is $(cat p), really")
    message = trial.message()
    assert message["error"] is None, message
    assert message["main"]["exit_code"] == 0, message
    place = f"data/runs/{plan.run.uuid}/attempt-1"
    log = server.look(f"{place}/logs/main.log")
    assert log is not None
    assert log.count(b"\n") == 2
    assert secret not in log
    assert b", really" in log
    assert server.look(f"{place}/outputs/p") == secret, "an output is the job's own"
    assert server.look(f"{place}/manifest.jsonl")
    shown = space.logs(trial.name, "tieline-collector")
    assert secret not in shown
    assert b", really" in shown


def test_outputs_of_a_main_that_used_too_much_memory_are_whole(space: Namespace, image: str, folder: Path) -> None:
    trial = Trial(space, plan_of(volume_store(folder)), image)
    begun(
        trial,
        "head -c 5000000 /dev/urandom > $OUT/big; md5sum < $OUT/big; exec tail /dev/zero",
        resources={"limits": {"memory": "40Mi"}},
    )
    message = trial.message()
    assert (message["main"]["exit_code"], message["main"]["reason"]) == (137, "OOMKilled")
    assert message["saved"]["bytes"] == 5_000_000
    saved = (folder / "attempt-1/outputs/big").read_bytes()
    printed = (folder / "attempt-1/logs/main.log").read_text().split()[0]
    assert hashlib.md5(saved, usedforsecurity=False).hexdigest() == printed


def test_many_quick_lines_are_all_there_in_order(space: Namespace, image: str, folder: Path) -> None:
    """With a moment after the last one: of a program that ends while it prints, containerd itself loses the last
    100 KB now and then; they are not in the kubelet's file either."""
    trial = begun(Trial(space, plan_of(volume_store(folder)), image), "seq 1 100000; sleep 1")
    message = trial.message()
    wanted = b"".join(b"%d\n" % number for number in range(1, 100_001))
    found = (folder / "attempt-1/logs/main.log").read_bytes()
    assert found == wanted, (len(found), message)
    assert message["notes"] == []
    assert message["saved"]["log_lines"] == 100_000, message


def test_long_lines_and_binary_bytes_come_as_they_were(space: Namespace, image: str, folder: Path) -> None:
    script = (
        "head -c 300000 /dev/urandom > d; tr -d '\\n' < d > $OUT/d; cat $OUT/d; echo; head -c 16384 $OUT/d; echo;"
        "printf '\\r\\n\\0\\n'; printf '2026-01-01T00:00:00.5Z text\\n'; printf 'no end'"
    )
    trial = begun(Trial(space, plan_of(volume_store(folder)), image), script)
    message = trial.message()
    data = (folder / "attempt-1/outputs/d").read_bytes()
    wanted = data + b"\n" + data[:16384] + b"\n\r\n\0\n2026-01-01T00:00:00.5Z text\nno end"
    found = (folder / "attempt-1/logs/main.log").read_bytes()
    assert found == wanted.replace(b"\r\n", b"\n"), "containerd keeps no carriage return before a line's end"
    assert message["notes"] == []


def test_no_line_is_lost_or_doubled_when_the_api_server_goes_away(space: Namespace, image: str, folder: Path) -> None:
    with wire(space.port) as line:
        trial = Trial(space, plan_of(volume_store(folder)), image, api=("127.0.0.1", line.port))
        begun(trial, "i=0; while [ $i -lt 3000 ]; do echo line $i; i=$((i+1)); usleep 5000; done")
        trial.wait("main", "running")
        eventually(lambda: line.down > 100_000, trial.told)
        for _ in range(4):
            line.cut()
            time.sleep(0.7)
        line.is_cut = True
        line.cut()
        time.sleep(8)
        line.is_cut = False
        message = trial.message()
    lines = (folder / "attempt-1/logs/main.log").read_bytes().splitlines()
    assert lines == [b"line %d" % number for number in range(3000)]
    assert message["notes"] == []
    assert message["main"]["exit_code"] == 0


def test_a_log_whose_container_is_not_told_to_run_is_read(
    space: Namespace, image: str, folder: Path, tmp_path: Path
) -> None:
    """A kubelet that has much to tell is late with it: it is asked itself, from when the container should run."""
    trial = Trial(space, plan_of(volume_store(folder)), image)
    api, late = space.api(tmp_path), threading.Event()
    watch = PodWatch(api, trial.name, "", "")  # which is not started: nothing is ever told
    watch.pod = {"status": {"phase": "Pending"}}
    spool = tmp_path / "spool"
    reader = LogReader(api, watch, trial.name, "main", spool, lambda: False, late.is_set)
    reader.start()
    begun(trial, "echo one; sleep 600 & wait")
    eventually(lambda: b"one" in space.logs(trial.name, "main"), trial.told)
    assert not spool.exists(), "it waits to be told"
    late.set()
    eventually(lambda: spool.exists() and spool.read_bytes() == b"one\n", trial.told)
    reader.stop()
    reader.join(10)
    assert reader.notes == []


CUT_OFF = [
    (False, "the API server 127.0.0.1:1 cannot be reached: Connection refused", "see whether a NetworkPolicy"),
    (True, "the API server said 403: pods is forbidden", "`tieline roles show collector`"),
]


def cut_off(space: Namespace, image: str, folder: Path, *, refused: bool, **more: Any) -> Trial:
    """A pod whose collector never reaches the API server, or may not ask it."""
    trial = Trial(space, plan_of(volume_store(folder), **more.pop("parts", {})), image, **more)
    if refused:
        meta = {"name": "bare", "namespace": space.name}
        space.create({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta})
        trial.pod = {**trial.pod, "serviceAccountName": "bare"}
    else:
        trial.api = ("127.0.0.1", 1)
    return trial


@pytest.mark.parametrize(("refused", "why", "hint"), CUT_OFF, ids=["unreachable", "forbidden"])
def test_a_collector_that_never_reaches_the_api_server_says_so_and_gives_up(
    space: Namespace, image: str, folder: Path, refused: bool, why: str, hint: str
) -> None:
    """It cannot know when main ends: the pod does not stay for ever, and has saved what main wrote."""
    trial = cut_off(space, image, folder, refused=refused, patience=30)
    begun(trial, "echo unseen; sleep 6; echo result > $OUT/late")
    eventually(lambda: b"= " in space.logs(trial.name, "tieline-collector"), trial.told)
    shown = space.logs(trial.name, "tieline-collector").decode()
    assert shown.startswith("= ")
    assert why in shown
    assert hint in shown
    assert trial.wait()["exitCode"] == 74
    error = trial.message()["error"]
    assert error["code"] == "outputs-not-saved"
    assert why in error["message"]
    assert "what the job printed is not saved" in error["message"]
    assert hint in error["hint"]
    assert (folder / "attempt-1/outputs/late").read_text() == "result\n"


def test_a_collector_that_gives_up_ends_the_sidecars_where_the_cluster_does_not(
    space: Namespace, image: str, folder: Path
) -> None:
    shares = {"shareProcessNamespace": True}
    trial = cut_off(space, image, folder, refused=False, patience=10, pod=shares, ends_sidecars=True)
    trial.containers = [trial.user("beside", "while true; do sleep 1; done")]
    begun(trial, "echo done > $OUT/result")
    assert trial.wait()["exitCode"] == 74
    eventually(lambda: space.pod(trial.name)["status"]["phase"] == "Failed", trial.told)
    assert (folder / "attempt-1/outputs/result").read_text() == "done\n"


@pytest.mark.parametrize("refused", [False, True], ids=["unreachable", "forbidden"])
def test_a_stopped_pod_whose_collector_is_cut_off_has_its_grace(
    space: Namespace, image: str, folder: Path, refused: bool
) -> None:
    trial = cut_off(space, image, folder, refused=refused)
    begun(trial, "trap 'sleep 8; echo late > $OUT/late; exit 0' TERM; echo up; while true; do sleep 0.1; done")
    eventually(lambda: b"up" in space.logs(trial.name, "main"), trial.told)
    eventually(lambda: "running" in trial.state("tieline-collector"), trial.told)
    time.sleep(3)  # it listens
    space.delete(trial.name, 30)
    eventually(lambda: (folder / "attempt-1/outputs/late").exists(), lambda: "nothing was saved", 60.0)


def test_an_api_server_that_is_reached_late_is_no_trouble(space: Namespace, image: str, folder: Path) -> None:
    with wire(space.port) as line:
        line.is_cut = True
        trial = Trial(space, plan_of(volume_store(folder)), image, api=(space.host, line.port), patience=300)
        begun(trial, "echo one; sleep 20; echo two; echo result > $OUT/late; sleep 8; echo three")
        eventually(lambda: b"= " in space.logs(trial.name, "tieline-collector"), trial.told)
        line.is_cut = False
        message = trial.message()
    assert (message["error"], message["main"]["exit_code"], message["attempt"]) == (None, 0, 1)
    assert (folder / "attempt-1/logs/main.log").read_text() == "one\ntwo\nthree\n"
    assert (folder / "attempt-1/outputs/late").read_text() == "result\n"


def test_a_pod_that_is_ended_is_collected_to_mains_last_word(space: Namespace, image: str, folder: Path) -> None:
    trial = Trial(space, plan_of(volume_store(folder), collect={"sync_interval": -1}), image)
    begun(
        trial,
        "trap 'sleep 2; echo bye | tee $OUT/last; exit 9' TERM; echo ready; while true; do sleep 0.1; done",
    )
    eventually(lambda: b"ready" in space.logs(trial.name, "main"), trial.told)
    eventually(lambda: (folder / "attempt-1/pod").exists(), trial.told)
    space.delete(trial.name, 25)
    eventually(lambda: (folder / "attempt-1/outputs/last").exists(), lambda: "nothing was saved", 25.0)
    eventually(lambda: (folder / "attempt-1/logs/main.log").exists(), lambda: "no log was saved", 25.0)
    assert (folder / "attempt-1/logs/main.log").read_bytes() == b"ready\nbye\n"
    assert (folder / "attempt-1/outputs/last").read_bytes() == b"bye\n"


def test_the_next_pod_of_a_run_has_the_next_attempt(space: Namespace, image: str, folder: Path) -> None:
    plan = plan_of(volume_store(folder))
    first = begun(Trial(space, plan, image), "echo one")
    assert first.message()["attempt"] == 1
    space.delete(first.name, 0)  # nothing in the cluster tells of it any more; the store does
    eventually(lambda: not space.there(first.name))
    second = Trial(space, plan, image, again=True)
    begun(second, "echo two")
    assert second.message()["attempt"] == 2
    assert (folder / "attempt-1/logs/main.log").read_text() == "one\n"
    assert (folder / "attempt-2/logs/main.log").read_text() == "two\n"


def test_a_store_that_cannot_be_used_is_told_and_the_job_goes_on(space: Namespace, image: str, server: Seaweed) -> None:
    keys = {"keys": {"id": ADMIN[0].encode(), "key": b"another"}}
    trial = begun(Trial(space, plan_of(bucket_store(server)), image, secrets=keys), "echo hello; exit 4")
    state = trial.wait("main")
    assert state["exitCode"] == 4
    space.delete(trial.name, 20)  # else the store is waited for, for minutes
    eventually(lambda: not space.there(trial.name))


def test_a_users_init_container_and_sidecar_are_logged(space: Namespace, image: str, folder: Path) -> None:
    program = {"name": "prepare_it", "working_dir": WORK}
    plan = plan_of(
        volume_store(folder),
        steps=[{"type": "program", "name": "p", "program": program}],
        sidecars=[{"name": "beside", "working_dir": WORK}],
    )
    from tieline.engines.kubernetes.names import container_names

    names = container_names(plan)
    trial = Trial(space, plan, image, steps=[(0, 0)])
    trial.inits = [trial.user(names["init-prepare_it"], "echo prepared")]
    trial.containers = [trial.user(names["sidecar-beside"], "echo beside; sleep 3")]
    begun(trial, "sleep 2; echo main")
    trial.message()
    logs = folder / "attempt-1/logs"
    assert (logs / "init-prepare_it.log").read_text() == "prepared\n"
    assert (logs / "sidecar-beside.log").read_text() == "beside\n"
    assert (logs / "main.log").read_text() == "main\n"


def test_steps_bring_what_the_job_asked_for_side_by_side(
    space: Namespace, image: str, folder: Path, server: Seaweed, tmp_path: Path
) -> None:
    """A clone, a fetch from a bucket and one from a volume, and a local file that came with the job."""
    repository = tmp_path / "code"
    for command in (["init", "-q", "."], ["add", "."], ["-c", "user.name=t", "-c", "user.email=t@t", "commit", "-qm1"]):
        repository.mkdir(exist_ok=True)
        (repository / "train.py").write_text("print('hello')\n")
        subprocess.run(["git", *command], cwd=repository, check=True)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "rows.csv").write_text("1,2\n")
    server.look("data/models/m.bin", "PUT", b"model")
    git = {"type": "clone", "name": "code", "connection": None, "remote": {"url": "file:///run/code"}}
    everything = [{"source": "", "target": ""}]
    bucket = {"type": "fetch", "connection": "b", "source": bucket_store(server, prefix="models"), "items": everything}
    volume = {"type": "volume", "host_path": str(tmp_path / "data"), "mount_path": "/d"}
    steps = [
        {**git, "path": f"{WORK}/code"},
        {**bucket, "name": "model", "path": f"{WORK}/model"},
        {
            "type": "fetch",
            "name": "rows",
            "connection": "v",
            "source": volume,
            "items": everything,
            "path": f"{WORK}/d",
        },
        {"type": "take", "name": "local", "source": str(tmp_path / "data"), "path": f"{WORK}/local"},
    ]
    plan = plan_of(volume_store(folder), steps=steps)
    trial = Trial(space, plan, image, steps=[(0, 4)], secrets=KEYS, sources={2: tmp_path / "data"}, taken=packed(plan))
    trial.repository = repository
    begun(trial, "cat code/train.py model/m.bin d/rows.csv local/rows.csv; touch code/x model/x d/x local/x")
    told = trial.message("tieline-steps-0")
    assert told["error"] is None, told
    assert [name for name, _ in told["done"]] == ["code", "model", "rows", "local"]
    assert len(told["code"][0]["commit"]) == 40
    assert trial.message()["main"]["exit_code"] == 0
    assert (folder / "attempt-1/logs/main.log").read_bytes() == b"print('hello')\nmodel1,2\n1,2\n"


def test_a_step_that_fails_says_which_and_why(space: Namespace, image: str, folder: Path, tmp_path: Path) -> None:
    volume = {"type": "volume", "host_path": str(tmp_path), "mount_path": "/d"}
    items = [{"source": "not-there", "target": ""}]
    steps = [
        {"type": "file", "name": "fine", "path": f"{WORK}/f", "content": "x"},
        {"type": "fetch", "name": "rows", "connection": "v", "source": volume, "items": items, "path": f"{WORK}/d"},
    ]
    trial = Trial(space, plan_of(volume_store(folder), steps=steps), image, steps=[(0, 2)], sources={1: tmp_path})
    begun(trial, "echo never")
    state = trial.wait("tieline-steps-0")
    told = trial.message("tieline-steps-0")
    assert state["exitCode"] == 70
    assert (told["step"], told["error"]["code"]) == ("rows", "artifact-missing")
    assert "not-there" in told["error"]["message"]


def test_a_sidecar_is_ended_with_the_job(space: Namespace, image: str, folder: Path) -> None:
    """Where the cluster has no sidecars of its own, and the containers share their processes for that."""
    plan = plan_of(volume_store(folder), sidecars=[{"name": "beside", "working_dir": WORK}])
    trial = Trial(space, plan, image, pod={"shareProcessNamespace": True}, ends_sidecars=True)
    trial.containers = [trial.user("sidecar-beside", "trap 'echo bye; exit 0' TERM; while true; do sleep 0.1; done")]
    begun(trial, "sleep 1; echo main")
    message = trial.message()
    assert message["notes"] == []
    assert trial.wait("sidecar-beside")["exitCode"] == 0
    logged = (folder / "attempt-1/logs/sidecar-beside.log").read_text()
    assert "bye\n" in logged, "its last word; beside it, a shell may say that its sleep was ended"
