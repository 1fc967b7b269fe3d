"""An answer of the API server, read over a real pair of sockets: whole, whatever its pieces are cut into."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tieline.engines.kubernetes.inside.answer import MOMENT, Answer, ApiTrouble, Quiet, Response

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@contextmanager
def answered(*sent: bytes, pause: float = 0.0, ends: bool = True) -> Iterator[Answer]:
    """What a server sends, in these pieces; ``ends``: it then closes its line."""
    ours, theirs = socket.socketpair()

    def send() -> None:
        with suppress(OSError):  # who has read the end does not wait for what is behind it
            for piece in sent:
                theirs.sendall(piece)
                time.sleep(pause)
        if ends:
            theirs.close()

    thread = threading.Thread(target=send)
    thread.start()
    response = Response(ours)
    try:
        response.begin()
        yield Answer(ours, response)
    finally:
        response.close()
        ours.close()
        thread.join()
        theirs.close()


def whole(answer: Answer) -> bytes:
    return b"".join(iter(lambda: answer.read(5.0), b""))


def chunks(parts: list[bytes]) -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts)


@given(parts=st.lists(st.binary(min_size=1, max_size=40), max_size=8), cuts=st.sets(st.integers(1, 400), max_size=6))
def test_chunks_that_are_cut_anywhere(parts: list[bytes], cuts: set[int]) -> None:
    data = CHUNKED + chunks(parts) + b"0\r\n\r\n"
    edges = [0, *sorted(cut for cut in cuts if cut < len(data)), len(data)]
    with answered(*(data[a:b] for a, b in pairwise(edges)), pause=MOMENT / 50) as answer:
        assert whole(answer) == b"".join(parts)
        assert answer.read(5.0) == b"", "its end is its end"


def test_much_in_small_pieces_comes_in_few() -> None:
    lines = [b"line %d\n" % number for number in range(20_000)]
    with answered(CHUNKED, *(chunks(lines[at : at + 7]) for at in range(0, len(lines), 7)), b"0\r\n\r\n") as answer:
        found = []
        while data := answer.read(5.0):
            found.append(data)
    assert b"".join(found) == b"".join(lines)
    assert len(found) < len(lines) / 10


def test_an_answer_of_a_known_length() -> None:
    with answered(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n01234", b"56789", ends=False) as answer:
        assert whole(answer) == b"0123456789"


@pytest.mark.parametrize("head", [b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n", CHUNKED + b"a\r\n"])
def test_an_answer_that_breaks_off(head: bytes) -> None:
    with answered(head + b"01234") as answer:
        assert answer.read(5.0) == b"01234"
        with pytest.raises(ApiTrouble, match="broke off"):
            answer.read(5.0)


def test_an_answer_without_a_length_ends_with_its_line() -> None:
    with answered(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n0123", b"45") as answer:
        assert whole(answer) == b"012345"


def test_a_silence_and_then_more() -> None:
    with answered(CHUNKED + chunks([b"one"]), b"3\r", b"\ntwo\r\n0\r\n\r\n", pause=0.3) as answer:
        assert answer.read(5.0) == b"one"
        with pytest.raises(Quiet):
            answer.read(0.05)
        assert whole(answer) == b"two"
