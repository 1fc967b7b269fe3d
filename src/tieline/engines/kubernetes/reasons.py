"""From what a cluster says of a pod to what a person needs: why it does not go on, and how the job ended. Pure.

The exit codes, codes and sentences are those of the process engine, wherever the same happened.
"""

from __future__ import annotations

import errno
import json
import os
import re
import signal
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from tieline.engines.kubernetes.names import COLLECTOR, MAIN
from tieline.errors import Code
from tieline.model.run import Outcome, Status

Object = Mapping[str, Any]

IMAGE_REASONS = frozenset({
    "ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull", "InvalidImageName", "ImageInspectError",
    "RegistryUnavailable", "SignatureValidationFailed",
})  # fmt: skip
USUAL = frozenset({"", "ContainerCreating", "PodInitializing"})
"""What a container waits for in every pod."""
NOT_STARTED = frozenset({"StartError", "ContainerCannotRun", "RunContainerError"})
"""How a container ended that never ran: no such program, no right to execute it."""
_CAUSE = re.compile(r'exec: "?(?P<program>[^"]*)"?: (?:stat \S+: )?(?P<why>.*?)(?:: unknown)?$')
_WORDS = {
    os.strerror(number).lower(): os.strerror(number)
    for number in (errno.ENOENT, errno.EACCES, errno.ENOEXEC, errno.ENOTDIR, errno.ELOOP)
}
"""The system's words for what is wrong with a program, by those of the node's runtime."""


# --- why it does not go on


def waiting_words(pod: Object, events: Iterable[Object] = ()) -> str:
    """Why a pod that has not begun does not begin; empty where nothing is wrong. ``events``: the pod's."""
    for condition in conditions(pod):
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            return f"no node takes the pod: {said(condition.get('message') or condition.get('reason'))}"
    for status in all_statuses(pod):
        waiting = (status.get("state") or {}).get("waiting") or {}
        if waiting.get("reason", "") not in USUAL:
            return waits_words(status, waiting["reason"], said(waiting.get("message")))
    return event_words(events)


def waits_words(status: Object, reason: str, message: str) -> str:
    """Why a container does not begin, by what its status says that it waits for."""
    image, who = status.get("image", ""), called(status["name"])
    if reason == "InvalidImageName":
        return f"{image!r} is no name of an image ({who})"
    if reason == "ErrImageNeverPull":
        return f"the image {image!r} is not on the node, and its imagePullPolicy is Never ({who})"
    if reason in IMAGE_REASONS:
        detail = "" if reason == "ImagePullBackOff" and message.startswith("Back-off") else f": {message}"
        return f"the image {image!r} can't be pulled ({who}){detail}"
    if reason == "CreateContainerConfigError":
        return f"{who} can't be made: {message}"
    if reason == "CrashLoopBackOff":
        return f"{who} ends again and again: {message}"
    return f"{who} waits: {reason}{f': {message}' if message else ''}"


_TELLING = {
    "FailedMount": "a volume can't be mounted",
    "FailedAttachVolume": "a volume can't be attached",
    "FailedMapVolume": "a volume can't be mounted",
    "FailedCreate": "the cluster can't make the pod",
    "FailedCreatePodSandBox": "the node can't make the pod",
    "FailedScheduling": "no node takes the pod",
    "NodeNotReady": "the node is not ready",
}
"""Events that say why nothing goes on."""


def event_words(events: Iterable[Object]) -> str:
    """What the newest event says that tells why nothing goes on; empty where there is none. What one event says of a
    volume's contents is better than the next one's that it is still waited for."""
    told = [event for event in events if event.get("reason") in _TELLING]
    told.sort(key=lambda event: (not _is_vague(event), event.get("lastTimestamp") or event.get("eventTime") or ""))
    return f"{_TELLING[told[-1]['reason']]}: {said(told[-1].get('message'))}" if told else ""


def _is_vague(event: Object) -> bool:
    return "timed out waiting for the condition" in (event.get("message") or "")


# --- how it ended


def main_ended(pod: Object, terminated: Object) -> Outcome:
    """The main container has ended, and nobody had asked for that."""
    return _ended(pod, MAIN, terminated, "the job", step=False)


def step_ended(pod: Object, container: str, terminated: Object) -> Outcome:
    """A user's own init container has failed."""
    return _ended(pod, container, terminated, f"step {container.removeprefix('init-')!r}", step=True)


def own_step_failed(message: Object | None, terminated: Object) -> Outcome:
    """Tieline's own steps have failed, and said why; or they could not say it."""
    error = (message or {}).get("error") or {}
    if error:
        hint, text = error.get("hint") or "", str(error.get("message") or "")
        return Outcome(Status.FAILED, str(error.get("code") or Code.STEP_FAILED), f"{text}; {hint}" if hint else text)
    how = terminated.get("reason") or "Error"
    detail = said(terminated.get("message"))
    words = "ran out of memory" if how == "OOMKilled" else f"exited with {terminated.get('exitCode')} ({how})"
    return Outcome(
        Status.FAILED,
        Code.STEP_FAILED,
        f"Tieline's own steps {words}, and said no more{f': {detail}' if detail else ''}",
    )


def could_not_start(words: str) -> Outcome:
    """A container can never begin, so the run was ended."""
    return Outcome(Status.FAILED, Code.STEP_FAILED, words)


def message_of(terminated: Object | None) -> Object | None:
    """What one of our containers said at its end; None where that is not its form (it was killed)."""
    try:
        found = json.loads((terminated or {}).get("message") or "")
    except ValueError:
        return None
    return found if isinstance(found, dict) and found.get("tieline") == 1 else None


def sidecar_ended(terminated: Object) -> str:
    """How a sidecar ended, in a few words."""
    if terminated.get("reason", "") in NOT_STARTED:
        return _not_started(said(terminated.get("message")))[0]
    return f"exit code {terminated.get('exitCode')}"


def _ended(pod: Object, container: str, terminated: Object, who: str, *, step: bool) -> Outcome:
    code, reason = int(terminated.get("exitCode", 0)), terminated.get("reason", "")
    if reason in NOT_STARTED:
        why, exit_code = _not_started(said(terminated.get("message")))
        return Outcome(Status.FAILED, Code.STEP_FAILED, f"{who} could not be started: {why}", exit_code)
    if code == 0:
        return Outcome(Status.SUCCEEDED, exit_code=0)
    memory = _memory(pod, container) if reason == "OOMKilled" else ""
    number = int(terminated.get("signal") or 0) or _signal(code)
    if number:
        detail = memory and f": it ran out of memory{memory}"
        text = f"{who} was ended by {_signal_name(number)}{detail}"
        return Outcome(Status.FAILED, Code.STEP_FAILED if step else Code.SIGNALLED, text, 128 + number)
    detail = memory and f"; a process of it was killed: out of memory{memory}"
    text = f"{who} exited with {code}{detail}"
    return Outcome(Status.FAILED, Code.STEP_FAILED if step else Code.EXIT_CODE, text, code)


def _not_started(message: str) -> tuple[str, int]:
    """``exec: "x": no such file``, out of all that the runtime says about it; and the exit code that a shell gives."""
    found = _CAUSE.search(message)
    why = (
        f"{found['program']}: {_WORDS.get(found['why'], found['why'])}"
        if found
        else message or "the node's runtime does not say why"
    )
    return why, 126 if "permission denied" in why.lower() else 127


def _memory(pod: Object, container: str) -> str:
    """`` (its limit is 64Mi)``."""
    limit = next(
        (
            (spec.get("resources") or {}).get("limits", {}).get("memory", "")
            for spec in _specs(pod)
            if spec["name"] == container
        ),
        "",
    )
    return f" (its limit is {limit})" if limit else " (the node's)"


def _signal(code: int) -> int:
    """The signal that ended a container with this exit code; 0: none did."""
    number = code - 128
    return number if any(known == number for known in signal.Signals) else 0


def _signal_name(number: int) -> str:
    return next((known.name for known in signal.Signals if known == number), f"signal {number}")


def lost_words(pod: Object) -> str:
    """Why a pod is gone, or going, whose job had not ended and that nobody had stopped."""
    status = pod.get("status") or {}
    reason, message = status.get("reason", ""), said(status.get("message"))
    if reason == "Evicted":
        return f"the pod was evicted from its node: {message}"
    disrupted = next((c for c in conditions(pod) if c["type"] == "DisruptionTarget" and c["status"] == "True"), None)
    if disrupted is not None:
        words = _DISRUPTED.get(disrupted.get("reason", ""), f"the cluster ended the pod ({disrupted.get('reason')})")
        return f"{words}: {said(disrupted.get('message'))}".rstrip(": ")
    if reason == "NodeLost" or status.get("phase") == "Unknown" or pod.get("lost") or is_node_away(pod):
        return f"the pod's node {_node(pod)!r} is lost: it does not answer the cluster"
    if reason in _STATUS:
        return f"{_STATUS[reason]}{f': {message}' if message else ''}"
    if reason:
        return f"the node ended the pod ({reason}){f': {message}' if message else ''}"
    return "the pod was deleted from the cluster"


_DISRUPTED = {
    "PreemptionByScheduler": "the pod made room for one of a higher priority",
    "DeletionByTaintManager": "the pod's node is lost, or was emptied",
    "EvictionByEvictionAPI": "the pod was evicted: its node is being emptied",
    "DeletionByPodGC": "the pod's node is gone",
    "TerminationByKubelet": "the node ended the pod",
}
_STATUS = {
    "Shutdown": "the pod's node was shut down",
    "NodeShutdown": "the pod's node was shut down",
    "Terminated": "the pod's node was shut down",
    "Preempting": "the pod made room for one of a higher priority",
    "OutOfcpu": "the node had no room for the pod",
    "OutOfmemory": "the node had no room for the pod",
    "OutOfpods": "the node had no room for the pod",
    "NodeAffinity": "the node does not fit the pod's node selector",
    "UnexpectedAdmissionError": "the node refused the pod",
    "DeadlineExceeded": "the pod's own deadline was over",
}


LATE = timedelta(minutes=2)
"""A kubelet that lives tells the end of a pod within seconds after its grace."""


def is_node_away(pod: Object) -> bool:
    """Whether the cluster has not heard of the pod's node for a while: then its controller takes back that the pod is
    ready, without a reason, and leaves what the kubelet has said of the containers."""
    found = {condition["type"]: condition for condition in conditions(pod)}
    ready, reason = found.get("Ready", {}).get("status"), found.get("Ready", {}).get("reason")
    taken_back = ready == "False" and not reason and found.get("ContainersReady", {}).get("status") == "True"
    return taken_back or any(
        (s.get("state") or {}).get("terminated", {}).get("reason") == "NodeLost" for s in all_statuses(pod)
    )


def away_words(pod: Object) -> str:
    """What is told of a pod whose node is away, and may come back."""
    return f"the pod's node {_node(pod)!r} does not answer the cluster"


def with_loss(pod: Object, now: datetime) -> Object:
    """A pod that was to go, and whose node is away, as one that is gone: nobody will say how it ended. The same where
    only the time tells that no kubelet is there."""
    until = pod["metadata"].get("deletionTimestamp")
    if not until or pod.get("deleted") or (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed"):
        return pod
    is_lost = is_node_away(pod) or datetime.fromisoformat(until) + LATE < now
    return {**pod, "deleted": True, "lost": True} if is_lost else pod


def _node(pod: Object) -> str:
    return str((pod.get("spec") or {}).get("nodeName", ""))


# --- parts of a pod


def conditions(thing: Object) -> list[Any]:
    """The conditions of a pod or a job."""
    return (thing.get("status") or {}).get("conditions") or []


def all_statuses(pod: Object) -> Iterator[Any]:
    """The statuses of all containers, in the order in which they start."""
    status = pod.get("status") or {}
    yield from status.get("initContainerStatuses") or ()
    yield from status.get("containerStatuses") or ()


def _specs(pod: Object) -> Iterator[Any]:
    spec = pod.get("spec") or {}
    yield from spec.get("initContainers") or ()
    yield from spec.get("containers") or ()


def called(container: str) -> str:
    """A container, as people know it."""
    if container == MAIN:
        return "the job"
    if container == COLLECTOR:
        return "Tieline's collector"
    if container.startswith("tieline-"):
        return "Tieline's own steps"
    kind, _, name = container.partition("-")
    return {"init": f"step {name!r}", "sidecar": f"sidecar {name!r}"}.get(kind, f"the container {container!r}")


def said(text: str | None) -> str:
    """The cluster's own words, on one line."""
    return " ".join((text or "").split())[:600]
