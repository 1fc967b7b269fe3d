"""What can never begin: a container whose image will not come, or that its node refuses to make. Pure.

Such a pod waits for ever, and keeps what it asked for from others. What nothing can mend ends the run at once; what
somebody may still mend (an image that is not in its registry yet, a secret that is not there) after five minutes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime, timedelta

from tieline.engines.kubernetes.reasons import Object, all_statuses, conditions, could_not_start, said, waits_words
from tieline.engines.kubernetes.times import moment
from tieline.model.run import Outcome

PATIENCE = timedelta(minutes=5)
NEVER = frozenset({"InvalidImageName", "ErrImageNeverPull"})
"""What no waiting makes better."""
PULLS = frozenset({"ErrImagePull", "ImagePullBackOff"})
NOT_MADE = "CreateContainerConfigError"
STUCK = NEVER | PULLS | {NOT_MADE}
"""What keeps a container from being made."""
_ROOT = re.compile(r"runAsNonRoot")
_REFUSED = re.compile(
    r"not found|unauthorized|authentication required|authorization failed|no basic auth|access denied|\bdenied:"
    r"|forbidden|manifest unknown|does not exist|no match for platform",
    re.IGNORECASE,
)
"""What a registry says of an image that it does not have, or does not give; not that it cannot be reached."""


def hopeless(pod: Object, now: datetime, events: Iterable[Object] = ()) -> Outcome | None:
    """How a run ends whose pod can never begin; None where it may. ``events``: the pod's; they tell why an image was
    not pulled while the node waits before it tries again."""
    for status in all_statuses(pod):
        waiting = (status.get("state") or {}).get("waiting") or {}
        reason, message = waiting.get("reason") or "", said(waiting.get("message"))
        if reason in NEVER or (reason == NOT_MADE and _ROOT.search(message)):
            return could_not_start(waits_words(status, reason, message))
        if reason in PULLS:
            message = _pull_words(status, message, events)
        if reason not in PULLS and reason != NOT_MADE:
            continue
        if _REFUSED.search(message) and _is_long(pod, status["name"], now):
            minutes = int(PATIENCE.total_seconds()) // 60
            return could_not_start(f"{waits_words(status, reason, message)}; for more than {minutes} minutes")
    return None


def is_unclear(pod: Object, now: datetime) -> bool:
    """Whether an image has not come for long, and the pod itself does not say why just now: its events do."""
    return any(
        ((status.get("state") or {}).get("waiting") or {}).get("reason") in PULLS and _is_long(pod, status["name"], now)
        for status in all_statuses(pod)
    )


def _is_long(pod: Object, name: str, now: datetime) -> bool:
    since = _since(pod, name)
    return since is not None and now - since >= PATIENCE


def _pull_words(status: Object, message: str, events: Iterable[Object]) -> str:
    """Why the image of a container was not pulled: the status says so only until the node waits."""
    if _REFUSED.search(message):
        return message
    told = [said(event.get("message")) for event in events if event.get("reason") == "Failed"]
    image = f'"{status.get("image", "")}"'
    return next((words for words in reversed(told) if image in words and _REFUSED.search(words)), message)


def _since(pod: Object, name: str) -> datetime | None:
    """Since when a container could have begun: its node has the pod, and what comes before it is done."""
    status = pod.get("status") or {}
    inits = status.get("initContainerStatuses") or ()
    ends = [((one.get("state") or {}).get("terminated") or {}).get("finishedAt") for one in inits]
    if all(one["name"] != name for one in inits):
        done = [c for c in conditions(pod) if c["type"] == "Initialized" and c["status"] == "True"]
        ends += [condition.get("lastTransitionTime") for condition in done]
    times = [moment(text) for text in (status.get("startTime"), *ends)]
    return max((time for time in times if time is not None), default=None)
