"""What threads ask of one cluster just now, so that a connection is closed only when nobody reads from it any more.

A socket that is closed under a thread that reads from it gives its number free: the next file that is opened may have
it, and TLS then reads from that file, and answers into it. So the record of runs was once overwritten. Here each
connection is shut down at first, which keeps its number, and closed when its thread has let go of it. So is that of a
program in a pod, which is nobody's request between two questions, and is read from by whichever thread asks next.
"""

from __future__ import annotations

import socket
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from tieline.engines.kubernetes.refusals import ClusterError, Why
from tieline.errors import Code, Problem

PATIENCE = 5.0
"""Seconds for which other threads are waited for."""


class Traffic:
    """The requests of one client that are under way."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._asking: Counter[int] = Counter()  # by thread
        self._streams: set[Any] = set()
        self._ended = False

    @contextmanager
    def asking(self) -> Iterator[None]:
        """Around a request, up to the end of its answer. Raises ClusterError where nothing is to be asked any more."""
        thread = threading.get_ident()
        with self._changed:
            if self._ended:
                raise ClusterError(Why.MISSING, Problem(Code.CLUSTER_FAILED, "the cluster is not asked any more", ""))
            self._asking[thread] += 1
        try:
            yield
        finally:
            with self._changed:
                self._asking[thread] -= 1
                self._changed.notify_all()

    @contextmanager
    def streaming(self, response: Any) -> Iterator[None]:
        """Around the reading of an answer that lasts."""
        found = self.opened(response)
        try:
            yield
        finally:
            self.closed(found)

    def opened(self, response: Any) -> Any:
        """An answer lasts from now on; what :meth:`closed` is told when it is over."""
        stream = response.extensions.get("network_stream")
        found = stream.get_extra_info("socket") if stream is not None else None
        with self._changed:
            self._streams.add(found)
            if self._ended:
                _shut_down(found)
        return found

    def closed(self, found: Any) -> None:
        """Nobody reads it any more."""
        with self._changed:
            self._streams.discard(found)

    def end(self) -> bool:
        """End what other threads ask; whether they have all let go, so that the connections may be closed."""
        own = threading.get_ident()
        with self._changed:
            self._ended = True
            for stream in self._streams:
                _shut_down(stream)
            return self._changed.wait_for(
                lambda: not any(count for thread, count in self._asking.items() if thread != own), PATIENCE
            )


def _shut_down(found: Any) -> None:
    """Not the method of an SSL socket: that one goes on without TLS, and would pass on what is encrypted."""
    if isinstance(found, socket.socket):
        with suppress(OSError):  # the server was quicker
            socket.socket.shutdown(found, socket.SHUT_RDWR)
