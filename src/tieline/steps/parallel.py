"""Doing one thing with many items side by side, while its results come one after the other, in the items' order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

AHEAD = 8
"""So many items for each thread are taken before their turn: a large one must not leave the others idle."""


def side_by_side(action: Callable[[T], R], items: Iterable[T], at_once: int) -> Iterator[R]:
    """``action`` of every item, in ``at_once`` threads, or in this one where that is 1.

    The items are taken from their iterator in this thread. What an action raises comes out at its turn; then no other
    is begun, and those under way are waited for.
    """
    if at_once <= 1:
        yield from map(action, items)
        return
    pool = ThreadPoolExecutor(at_once, thread_name_prefix="tieline-side")
    begun: deque[Future[R]] = deque()
    try:
        for item in items:
            begun.append(pool.submit(action, item))
            if len(begun) > at_once * AHEAD or begun[0].done():
                yield begun.popleft().result()
        while begun:
            yield begun.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
