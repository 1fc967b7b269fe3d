"""Items side by side: results in order, failures at their turn."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from tieline.steps.parallel import AHEAD, side_by_side


@pytest.mark.parametrize("at_once", [1, 2, 5])
@pytest.mark.parametrize("count", [0, 1, 3, 11, 97])
def test_results_come_in_the_items_order(at_once: int, count: int) -> None:
    assert list(side_by_side(lambda item: item * 2, range(count), at_once)) == [item * 2 for item in range(count)]


@pytest.mark.parametrize("at_once", [1, 3])
@pytest.mark.parametrize("bad", [0, 5, 6, 7, 8, 9, 40])
def test_a_failure_comes_at_its_turn(at_once: int, bad: int) -> None:
    done: list[int] = []

    def action(item: int) -> int:
        if item == bad:
            raise ValueError(str(item))
        done.append(item)
        return item

    seen: list[int] = []
    with pytest.raises(ValueError, match=str(bad)):
        seen.extend(side_by_side(action, range(1000), at_once))
    assert seen == list(range(bad))
    assert len(done) <= bad + 2 * at_once * AHEAD + 8, "no other is begun"


def test_items_are_taken_in_the_callers_thread_and_not_far_ahead() -> None:
    taken: list[int] = []

    def items() -> Iterator[int]:
        for item in range(1000):
            assert threading.current_thread() is me
            taken.append(item)
            yield item

    me, hold = threading.current_thread(), threading.Event()
    results = side_by_side(lambda item: hold.wait(10) and item, items(), 2)
    threading.Timer(0.2, hold.set).start()
    next(results)
    assert len(taken) <= 2 * AHEAD + 8
    results.close()  # type: ignore[attr-defined]
