"""A container's log over any number of connections: every line once, whatever the kubelet and the network do.

The kubelet is told here as its own code has it: which file is read, what ``sinceTime`` leaves out, where times are put.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tieline.engines.kubernetes.inside import podlog
from tieline.engines.kubernetes.inside.podlog import FILE, JUMP, PART, SECOND, PodLog, joined

BEGIN = 1_700_000_000 * SECOND


@dataclass
class Kubelet:
    """A log in the runtime's form, and what is served of it. ``is_old``: a time stands before every part of a line."""

    is_old: bool = False
    entries: list[tuple[int, bytes]] = field(default_factory=list)  # a time, and a part: with its line's end, if it has
    first: int = 0  # older ones are in a file that was put away

    def print(self, time: int, text: bytes) -> None:
        """As the runtime writes it: in lines, and lines in parts."""
        for line in text.splitlines(keepends=True) if b"\r" not in text else [text]:
            for at in range(0, len(line), PART):
                self.entries.append((time, line[at : at + PART]))

    def rotate(self) -> None:
        self.first = len(self.entries)

    def served(self, since: str | None) -> bytes:
        least = 0 if since is None else int(datetime.fromisoformat(since).timestamp()) * SECOND
        out, is_new = [], True
        for time, part in self.entries[self.first :]:
            if time < least:
                continue
            if is_new or self.is_old:
                out.append(stamp(time))
            out.append(part)
            is_new = part.endswith(b"\n")
        return b"".join(out)


def stamp(time: int) -> bytes:
    """RFC 3339 with nanoseconds, as Go writes it: without zeros at its end."""
    fraction = f"{time % SECOND:09d}".rstrip("0")
    whole = datetime.fromtimestamp(time // SECOND, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{whole}{'.' if fraction else ''}{fraction}Z ".encode()


lines = st.lists(
    st.tuples(
        st.sampled_from([0, 1, 1000, SECOND // 3, SECOND, 3 * SECOND]),
        st.one_of(
            st.binary(max_size=30).map(lambda data: data.replace(b"\n", b"").replace(b"\r", b"")),
            st.sampled_from([b"", b"same", b"x" * PART, b"y" * (2 * PART + 5), stamp(BEGIN) + b"not ours"]),
        ),
    ),
    max_size=30,
)


@given(lines=lines, cuts=st.lists(st.integers(1, 200_000), max_size=12), old=st.booleans(), pieces=st.integers(1, 5000))
def test_nothing_is_lost_or_doubled_over_connections_that_break(
    lines: list[tuple[int, bytes]], cuts: list[int], old: bool, pieces: int
) -> None:
    kubelet, time = Kubelet(old), BEGIN
    for wait, text in lines:
        time += wait
        kubelet.print(time, text + b"\n")
    log, out = PodLog(), b""
    for cut in [*cuts, None]:
        log.begin(BEGIN, whole=False)
        served = kubelet.served(log.since)
        for at in range(0, len(served), pieces) if cut is None else [0]:
            out += log.feed(served[at : at + pieces] if cut is None else served[:cut], time)
        out += log.end(time, final=cut is None)
    assert out == b"".join(text + b"\n" for _, text in lines)
    assert log.gaps == []


@given(
    lines=lines,
    breaks=st.lists(st.tuples(st.integers(0, 30), st.integers(0, 40_000), st.booleans()), max_size=6),
    old=st.booleans(),
)
def test_what_is_missing_after_a_file_was_put_away_is_told(
    lines: list[tuple[int, bytes]], breaks: list[tuple[int, int, bool]], old: bool
) -> None:
    kubelet, time, log, out = Kubelet(old), BEGIN, PodLog(), b""
    plan = {at: (cut, rotates) for at, cut, rotates in breaks} | {
        0: (1000, False)
    }  # without a first line: nobody knows
    for number, (wait, text) in enumerate(lines):
        time += wait + 1  # no two at the same moment: what is lost is known by its time
        kubelet.print(time, b"%d:%s\n" % (number, text if number else b""))
        if number in plan:
            cut, rotates = plan[number]
            log.begin(BEGIN, whole=False)
            out += log.feed(kubelet.served(log.since)[:cut], time)
            out += log.end(time, final=False)
            if rotates:
                kubelet.rotate()
    log.begin(BEGIN, whole=False)
    out += log.feed(kubelet.served(log.since), time) + log.end(time, final=True)
    wanted = [b"%d:%s" % (number, text if number else b"") for number, (_, text) in enumerate(lines)]
    found = [line for line in out.split(b"\n")[:-1] if not line.startswith(b"[tieline: lines may be missing")]
    assert found == [line for line in wanted if line in set(found)], "in order, each once"
    missing = len(wanted) - len(found)
    assert not missing or log.gaps, f"{missing} lines are gone, and nobody is told"


@pytest.mark.parametrize("old", [True, False])
@pytest.mark.parametrize("end", [b"", b"\n"])
def test_binary_without_line_ends_comes_as_it_was(monkeypatch: pytest.MonkeyPatch, old: bool, end: bytes) -> None:
    monkeypatch.setattr(podlog, "LONG", 3 * PART)
    data = bytes(range(256)).replace(b"\n", b"") * 1000 + end
    kubelet = Kubelet(old)
    for at in range(0, len(data), PART):
        kubelet.entries.append((BEGIN + at, data[at : at + PART]))
    log, out = PodLog(), b""
    for most in (100_000, 170_000, None):
        log.begin(BEGIN, whole=False)
        served = kubelet.served(log.since)[:most]
        for at in range(0, len(served), 7000):
            out += log.feed(served[at : at + 7000], BEGIN)
        out += log.end(BEGIN, final=most is None)
    assert out == data
    assert log.gaps == []


def test_what_came_is_given_before_the_connection_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(podlog, "LONG", 2 * PART)
    log = PodLog()
    log.begin(BEGIN, whole=True)
    assert log.feed(stamp(BEGIN) + b"one\n" + stamp(BEGIN + 5) + b"tw", BEGIN) == b"one\n"
    assert log.feed(b"o\n", BEGIN) == b"two\n"
    assert len(log.feed(stamp(BEGIN + 7) + b"z" * 5 * PART, BEGIN)) >= 3 * PART


def test_the_kubelets_own_words_are_no_output() -> None:
    log = PodLog()
    log.begin(BEGIN, whole=True)
    served = (
        stamp(BEGIN) + b"one\n" + b"unable to retrieve container logs for containerd://1\n" + stamp(BEGIN + 1) + b"2\n"
    )
    assert log.feed(served, BEGIN) == b"one\n2\n"
    assert log.said == [b"unable to retrieve container logs for containerd://1"]


def test_a_file_that_was_missed_while_the_stream_went_on() -> None:
    log, size = PodLog(), 100
    log.begin(BEGIN, whole=True)
    count = FILE // size + 1
    block = b"".join(stamp(BEGIN + index) + b"x" * size + b"\n" for index in range(count))
    assert b"tieline" not in log.feed(block, BEGIN + 2 * JUMP)
    out = log.feed(stamp(BEGIN + JUMP + SECOND) + b"later\n", BEGIN + 2 * JUMP)
    assert out.startswith(b"[tieline: lines may be missing here")
    assert out.endswith(b"]\nlater\n")
    assert len(log.gaps) == 1


@pytest.mark.parametrize("late", [True, False])
def test_a_silence_is_no_gap(late: bool) -> None:
    """Of a small log; or of a large one that was read as soon as it was written."""
    log = PodLog()
    log.begin(BEGIN, whole=True)
    count = 10 if late else FILE // 10
    log.feed(b"".join(stamp(BEGIN + index) + b"x" * 10 + b"\n" for index in range(count)), BEGIN + late * 2 * JUMP)
    assert log.feed(stamp(BEGIN + JUMP + SECOND) + b"later\n", BEGIN + 2 * JUMP) == b"later\n"


def test_a_log_that_was_read_to_its_end_before_its_file_was_put_away_is_whole() -> None:
    kubelet, log = Kubelet(), PodLog()
    kubelet.print(BEGIN, b"one\n")
    log.begin(BEGIN, whole=True)
    assert log.feed(kubelet.served(None), BEGIN) == b"one\n"
    kubelet.rotate()
    kubelet.print(BEGIN + 5 * SECOND, b"two\n")
    log.begin(BEGIN, whole=True)
    assert log.feed(kubelet.served(log.since), BEGIN) == b"two\n"
    assert log.gaps == []


def test_a_container_that_was_started_again_has_a_log_of_its_own() -> None:
    log = PodLog()
    log.begin(BEGIN, whole=True)
    assert not log.is_before(BEGIN + SECOND), "there is nothing yet"
    log.feed(stamp(BEGIN) + b"one\n", BEGIN)
    assert log.is_before(BEGIN + SECOND)
    assert not log.is_before(BEGIN), "a container began before its first line"
    log.restart()
    assert log.since is None
    log.begin(BEGIN, whole=False)
    assert log.feed(stamp(BEGIN + 9) + b"one\n", BEGIN) == b"one\n"
    assert log.gaps == []


@pytest.mark.parametrize("before", [b"", b"two\n"])
@pytest.mark.parametrize("newline", [b"", b"\n"])
def test_a_pipe_that_ends_within_a_line_and_the_others_next(before: bytes, newline: bytes) -> None:
    log = PodLog()
    served = b"".join(stamp(BEGIN + at) + text for at, text in enumerate(before.splitlines(keepends=True)))
    served += stamp(BEGIN + 2) + b"end" + stamp(BEGIN + 3) + b"wrong" + newline
    later = BEGIN + 2 * SECOND
    assert log.feed(served, later) + log.end(later, final=True) == before + b"end\nwrong" + newline


def test_times_that_the_program_prints_are_its_own() -> None:
    log, own = PodLog(), stamp(BEGIN - 5) + b"and " + stamp(BEGIN + 3600 * SECOND)
    assert log.feed(stamp(BEGIN) + b"at " + own + b"\n", BEGIN + SECOND) == b"at " + own + b"\n"
    assert log.feed(stamp(BEGIN + 1) + own + b"\n", BEGIN + SECOND) == own + b"\n"


def test_a_line_in_parts_is_put_together() -> None:
    text = b"a" * PART + stamp(BEGIN) + b"b" * PART + stamp(BEGIN) + b"c"
    assert joined(stamp(BEGIN) + text) == b"a" * PART + b"b" * PART + b"c"
    assert joined(stamp(BEGIN) + stamp(BEGIN) + b"the job's own time") == stamp(BEGIN) + b"the job's own time"


@pytest.mark.parametrize(
    ("first", "asked", "wait", "is_told"),
    [
        (12, 13, 100, True),  # ten seconds of lines at that rate are a whole file and more
        (12, 13, 10_000, False),  # they came slowly: there was no whole file before them
        (12, 11, 100, False),  # somebody listened already when the first line was printed
        (1, 13, 100, False),  # the time of a container's beginning is known in whole seconds
    ],
)
def test_a_file_that_was_put_away_before_anybody_asked_for_it(first: int, asked: int, wait: int, is_told: bool) -> None:
    """``wait``: microseconds between two lines of a hundred bytes."""
    log, text = PodLog(), b"x" * 100 + b"\n"
    log.began = BEGIN
    log.begin(BEGIN + asked * SECOND, whole=True)
    out = b""
    for index in range(FILE // 100 + 1):
        time = BEGIN + first * SECOND + index * wait * 1000
        out += log.feed(stamp(time) + text, max(time, BEGIN + asked * SECOND))
    assert [gap.where for gap in log.gaps] == ["at the beginning"] * is_told
    assert out.count(b"[tieline: lines may be missing at the beginning") == is_told
    assert out.count(text) == FILE // 100 + 1
