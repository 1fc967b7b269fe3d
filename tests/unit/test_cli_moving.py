"""What is shown of files that are being moved: the words of the line, and when there is one at all."""

from __future__ import annotations

import time

from servers.processes import eventually
from tieline.cli.moving import Moving, Rate, words
from tieline.steps.meter import Amount, Meter

MB = 1024 * 1024


def rate(*seen: tuple[float, Amount]) -> Rate:
    made = Rate(0.0)
    for moment, amount in seen:
        made.see(moment, amount)
    return made


def test_the_line_has_all_that_is_known() -> None:
    half = Amount(5, 50 * MB, 10, 100 * MB)
    line = words("fetching", half, rate((5.0, half)), columns=100, plain=True)
    assert line == (
        "  fetching  #########---------   50%  50.0 MiB of 100.0 MiB  5 of 10 files  10.0 MiB/s  5.0 s left"
    ), line


def test_a_narrow_terminal_has_no_bar() -> None:
    half = Amount(5, 50 * MB, 10, 100 * MB)
    line = words("fetching", half, rate((5.0, half)), columns=60, plain=False)
    assert "━" not in line
    assert "5.0 s left" in line


def test_what_is_not_known_is_not_said() -> None:
    assert words("saving outputs", Amount(), rate((1.0, Amount())), columns=100, plain=True) == "  saving outputs …"
    start = words("x", Amount(0, 0, 2, 10), rate((1.0, Amount())), columns=100, plain=True)
    assert "left" not in start
    assert "/s" not in start


def test_the_first_bytes_say_nothing_of_how_long_it_takes() -> None:
    first = Amount(1, 6, 7, 24 * MB)
    line = words("checking", first, rate((2.0, first)), columns=100, plain=True)
    assert "left" not in line
    assert "/s" not in line


def test_many_empty_files_have_a_time_left_too() -> None:
    some = Amount(100, 0, 300, 0)
    assert "20.0 s left" in words("x", some, rate((10.0, some)), columns=100, plain=True)


def test_the_rate_is_that_of_the_last_seconds() -> None:
    seen = rate(*((n * 0.25, Amount(1, n * 10, 2, 10**6)) for n in range(1, 200)))
    assert abs(seen.of(lambda amount: amount.bytes) - 40) < 1
    seen.see(60.0, Amount(0, 0, 2, 10**6))  # it began anew
    assert seen.of(lambda amount: amount.bytes) == 0.0


def test_nothing_is_drawn_of_what_is_quick() -> None:
    drawn: list[str] = []
    moving, meter = Moving(drawn.append), Meter()
    meter.begin(2, 10)
    moving.begin("fetching", meter)
    moving.end()
    time.sleep(1.2)
    assert drawn == []


def test_what_takes_longer_is_drawn_until_it_is_over() -> None:
    drawn: list[str] = []
    moving, meter = Moving(drawn.append), Meter()
    meter.begin(2, 10)
    began = time.monotonic()
    moving.begin("fetching", meter)
    eventually(lambda: drawn)
    assert time.monotonic() - began >= 1.0
    meter.add(5, 1)
    eventually(lambda: "1 of 2 files" in drawn[-1])
    moving.end()
    count = len(drawn)
    time.sleep(0.6)
    assert len(drawn) == count
