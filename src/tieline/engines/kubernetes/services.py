"""What differs for a service, when its pods are read: its cluster begins anew whatever ends in them. Pure.

A container that ends is no end of the run: the kubelet starts it again in the same pod, and that is told. A pod that is
lost is replaced, which is another attempt. Only a stop, or a Deployment that somebody deleted, ends the run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from tieline.engines.kubernetes.names import MAIN
from tieline.engines.kubernetes.reasons import (
    Object,
    all_statuses,
    called,
    lost_words,
    main_ended,
    message_of,
    own_step_failed,
    step_ended,
    waiting_words,
)
from tieline.errors import Code
from tieline.model.run import Outcome, Status

AGAIN = "CrashLoopBackOff"


def main_state(status: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """The state of a main container that is begun again whenever it ends: once it has begun, it runs."""
    state: Mapping[str, Any] = (status or {}).get("state") or {}
    ended = state.get("terminated") or ((status or {}).get("lastState") or {}).get("terminated")
    if state.get("running") is not None or not ended or ended.get("startedAt") is None:
        return {key: value for key, value in state.items() if key != "terminated"}
    return {"running": {"startedAt": ended["startedAt"]}}


def restart_words(pod: Object) -> str:
    """What ended in a pod that goes on, and how often; else why it does not begin, if anything is wrong."""
    for status in all_statuses(pod):
        state = status.get("state") or {}
        ended = state.get("terminated") or (status.get("lastState") or {}).get("terminated")
        count = int(status.get("restartCount") or 0)
        if not ended or (status["name"] != MAIN and state.get("running") is not None):
            continue  # a sidecar that runs again is no trouble of the job's
        if count == 0 and not ended.get("exitCode") and status["name"] != MAIN:
            continue  # a step that is done
        if status.get("ready") and status["name"] != MAIN:
            continue
        waits = (state.get("waiting") or {}).get("reason") == AGAIN
        times = f"{count} time{'s' if count != 1 else ''}" if count else "not yet"
        how = "the cluster waits before it begins again" if waits else "it is begun again whenever it ends"
        return f"{_how_ended(pod, status['name'], ended)}; restarted {times}: {how}"
    return waiting_words(pod)


def _how_ended(pod: Object, name: str, ended: Mapping[str, Any]) -> str:
    if name == MAIN:
        return main_ended(pod, ended).message or "the job ended by itself"
    if name.startswith("tieline-steps-"):
        return own_step_failed(message_of(ended), ended).message
    if name.startswith("init-"):
        return step_ended(pod, name, ended).message
    return f"{called(name)} exited with {ended.get('exitCode')}"


def end_of_pod(pod: Object, own: Outcome | None, why: Outcome | None, *, is_over: bool) -> Outcome | None:
    """How a service's pod ended that is over, or is being deleted. ``own``: how its containers did."""
    if own is None and not is_over:
        return None
    code = own.exit_code if own is not None else None
    if why is not None:
        return replace(why, exit_code=why.exit_code or code)
    return Outcome(Status.FAILED, Code.POD_LOST, lost_words(pod), code)


def is_scaled_down(owner: Object) -> bool:
    """Whether the cluster has taken note that a Deployment is to have no pods."""
    meta, spec, status = owner["metadata"], owner.get("spec") or {}, owner.get("status") or {}
    seen = int(status.get("observedGeneration") or 0) >= int(meta.get("generation") or 0)
    return spec.get("replicas") == 0 and seen and not status.get("replicas")
