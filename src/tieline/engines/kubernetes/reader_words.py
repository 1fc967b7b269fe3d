"""What whoever reads a store through a pod, and the program in that pod, say to each other: requests, and frames. Pure.

A request is four bytes of length, then JSON. An answer is any number of frames (a byte that says what it is, four bytes
of length, the rest) and then one that ends it: so an answer that was cut is never taken for a whole one.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

from tieline.stores.base import Stat, StoreTrouble, Why

VERSION = 1
HELLO, ITEM, DATA, ERROR, END, ALIVE = b"H", b"J", b"D", b"E", b".", b"~"
"""``ALIVE``: the answer takes its time (a large folder is removed)."""
_HEAD = struct.Struct(">cI")
_LENGTH = struct.Struct(">I")
MOST = 64 * 1024 * 1024
"""Bytes of a frame, at the most: more is no frame of ours."""


class Garbled(ValueError):
    """What came is no frame: something else printed it."""


def request_bytes(request: Mapping[str, Any]) -> bytes:
    """A request as it is sent. Names of any bytes are in it as JSON's escapes."""
    data = json.dumps(request).encode()
    return _LENGTH.pack(len(data)) + data


def request_size(head: bytes) -> int:
    """The length of the request that these four bytes begin."""
    (size,) = _LENGTH.unpack(head)
    return int(size)


def frame(kind: bytes, data: bytes = b"") -> bytes:
    """One frame."""
    return _HEAD.pack(kind, len(data)) + data


def item_frame(item: Any, kind: bytes = ITEM) -> bytes:
    """One frame that has JSON in it."""
    return frame(kind, json.dumps(item).encode())


class Parser:
    """Puts frames together from pieces, however they were cut."""

    def __init__(self) -> None:
        self._rest = bytearray()

    def feed(self, piece: bytes) -> Iterator[tuple[bytes, bytes]]:
        """``(kind, data)`` of each frame that is whole now. Raises Garbled."""
        self._rest += piece
        at = 0
        while len(self._rest) - at >= _HEAD.size:
            kind, size = _HEAD.unpack_from(self._rest, at)
            if kind not in (HELLO, ITEM, DATA, ERROR, END, ALIVE) or size > MOST:
                raise Garbled(bytes(self._rest[at : at + 200]).decode("utf-8", "replace"))
            end = at + _HEAD.size + size
            if len(self._rest) < end:
                break
            yield kind, bytes(memoryview(self._rest)[at + _HEAD.size : end])
            at = end
        del self._rest[:at]


def stat_form(stat: Stat) -> dict[str, Any]:
    """A Stat as JSON."""
    return asdict(stat)


def stat_of(form: Mapping[str, Any]) -> Stat:
    """And back."""
    return Stat(**form)


def trouble_form(error: StoreTrouble) -> dict[str, Any]:
    """Why a store could not do it, as JSON."""
    problem = error.problems[0]
    return {
        "why": error.why.value, "message": problem.message, "hint": problem.hint, "part": error.part,
        "again": error.again,
    }  # fmt: skip


def trouble_of(form: Mapping[str, Any]) -> StoreTrouble:
    """And back."""
    return StoreTrouble(Why(form["why"]), form["message"], form["hint"], form["part"], again=form["again"])
