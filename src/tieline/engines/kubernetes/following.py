"""What a run's programs print, as its collector shows it: redacted lines, out of the collector's own output.

Read from its beginning each time (after a line broke, what was given before is skipped by counting), so nothing is lost
or doubled. Where the kubelet has rotated that output away, the store has all of it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from tieline.engines.kubernetes.api import Api
from tieline.engines.kubernetes.frames import Frames, Resumed, Torn
from tieline.engines.kubernetes.names import COLLECTOR
from tieline.engines.kubernetes.refusals import ClusterError, Why

PAUSES = (0.2, 10.0)
SOON = 3.0
__all__ = ["Torn", "lines_of"]


def lines_of(
    api: Api, namespace: str, pod: str, is_over: Callable[[], bool], container: str = COLLECTOR
) -> Iterator[tuple[str, bytes]]:
    """``(program, bytes)``, as they are printed, until the collector has ended or the pod is gone.

    ``is_over``: whether the pod is; then its output is whole. Raises :class:`Torn` where
    the output cannot be read without a gap, and ClusterError where it may not be read at all.
    """
    frames, resumed, pause = Frames(), Resumed(), PAUSES[0]
    while True:
        was_over = is_over()
        resumed.begin()
        try:
            with api.log(namespace, pod, container, follow="true") as pieces:
                for piece in pieces:
                    pause = PAUSES[0]
                    yield from frames.feed(resumed.new(piece))
            if frames.has_ended or was_over or _soon(is_over):
                return  # a line that breaks ends otherwise: this was the output's own end
            if resumed.is_shorter:  # and this, of another output; one that breaks may come again up to anywhere
                raise Torn
        except ClusterError as error:
            if error.why is Why.MISSING or (was_over and not error.why.may_pass):
                return  # the pod is gone, and with it its output
            if not error.why.may_pass and error.why is not Why.INVALID:  # 400: the container has not begun
                raise
        time.sleep(pause)
        pause = min(pause * 2, PAUSES[1])


def _soon(is_over: Callable[[], bool]) -> bool:
    """Whether the pod is over, or will be known to be in a moment: its output ends a little earlier."""
    until = time.monotonic() + SOON
    while not (over := is_over()) and time.monotonic() < until:
        time.sleep(PAUSES[0] / 4)
    return over
