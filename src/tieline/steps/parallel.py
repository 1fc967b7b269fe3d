"""Doing one thing with many items side by side, while its results come one after the other, in the items' order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

AHEAD = 8
"""So many items for each thread are taken before their turn: a large one must not leave the others idle."""
TOGETHER = 4
"""Of many items so many are handed to a thread at once: to hand one over costs as much as a tenth of a small file."""


def side_by_side(action: Callable[[T], R], items: Iterable[T], at_once: int) -> Iterator[R]:
    """``action`` of every item, in ``at_once`` threads, or in this one where that is 1.

    The items are taken from their iterator in this thread. What an action raises comes out at its turn; then no other
    is begun, and those under way are waited for.
    """
    if at_once <= 1:
        yield from map(action, items)
        return
    pool = ThreadPoolExecutor(at_once, thread_name_prefix="tieline-side")
    begun: deque[Future[tuple[list[R], BaseException | None]]] = deque()
    try:
        for batch in _batches(items, at_once):
            begun.append(pool.submit(_several, action, batch))
            if len(begun) > at_once * AHEAD // TOGETHER or begun[0].done():
                yield from _results(begun.popleft())
        while begun:
            yield from _results(begun.popleft())
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _batches(items: Iterable[T], at_once: int) -> Iterator[list[T]]:
    """The first items one by one, so that each thread has some however few they are."""
    rest = iter(items)
    yield from ([item] for item in islice(rest, 2 * at_once))
    while batch := list(islice(rest, TOGETHER)):
        yield batch


def _several(action: Callable[[T], R], batch: list[T]) -> tuple[list[R], BaseException | None]:
    results: list[R] = []
    try:
        for item in batch:
            results.append(action(item))
    except BaseException as error:  # raised where the results are taken
        return results, error
    return results, None


def _results(done: Future[tuple[list[R], BaseException | None]]) -> Iterator[R]:
    results, error = done.result()
    yield from results
    if error is not None:
        raise error
