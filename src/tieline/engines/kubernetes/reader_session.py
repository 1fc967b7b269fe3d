"""One program in a reader's pod, asked one thing after the other; an answer is whole, or it is none."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from tieline.engines.kubernetes.channel import Channel, Ended
from tieline.engines.kubernetes.reader_words import (
    ALIVE,
    DATA,
    END,
    ERROR,
    HELLO,
    ITEM,
    VERSION,
    Garbled,
    Parser,
    request_bytes,
    trouble_of,
)

PATIENCE = 60.0
"""Seconds without a byte of an answer, after which nothing is believed to come."""
Taken = Callable[[bytes], None]


class Broken(Exception):
    """An answer was cut. ``begun``: some of it had come."""

    def __init__(self, why: str, *, begun: bool) -> None:
        self.begun = begun
        super().__init__(why)


class Session:
    """One program in the pod. For one thread at a time."""

    def __init__(self, channel: Channel) -> None:
        self._channel, self._frames, self._ready = channel, Parser(), list[tuple[bytes, bytes]]()
        kind, data = self._next(begun=False)
        if kind != HELLO or json.loads(data).get("version") != VERSION:
            raise Broken("it is of another version of Tieline", begun=False)

    @classmethod
    def begun(cls, channel: Channel) -> Session:
        """When the program has said what it is. Raises Broken."""
        try:
            return cls(channel)
        except BaseException:
            channel.close()
            raise

    def ask(self, request: Mapping[str, Any], take: Taken) -> list[Any]:
        """The items of the answer; its bytes go to ``take``. Raises StoreTrouble, Broken."""
        items: list[Any] = []
        count, begun = 0, False
        try:
            self._channel.write(request_bytes(request))
        except Ended as error:
            raise Broken(error.said, begun=False) from None
        while True:
            kind, data = self._next(begun=begun)
            begun = True
            if kind == ITEM:
                items.append(json.loads(data))
            elif kind == DATA:
                count += len(data)
                take(data)
            elif kind == ERROR:
                raise trouble_of(json.loads(data))
            elif kind == END:
                if json.loads(data) != count:
                    raise Broken("bytes are missing", begun=True)
                return items

    def close(self) -> None:
        self._channel.close()

    def _next(self, *, begun: bool) -> tuple[bytes, bytes]:
        try:
            while not self._ready:
                for piece in self._channel.read(PATIENCE):
                    self._ready += [got for got in self._frames.feed(piece) if got[0] != ALIVE]
        except Ended as error:
            if not self._ready:  # else its last words come first
                raise Broken(error.said, begun=begun) from None
        except Garbled as error:
            raise Broken(f"its program said something else: {error}", begun=begun) from None
        return self._ready.pop(0)
