"""The hook through which every logged byte goes, so that a secret's value is never saved or shown.

Only the protocol is here: what knows the secrets is handed in by whoever starts the collector.
"""

from __future__ import annotations

from typing import Protocol


class Redactor(Protocol):
    """Takes a stream piece by piece and gives it back without secrets.

    A value may be cut in two by a piece's end, so a redactor may hold bytes back; ``held`` says how many of the *raw*
    bytes that it was fed it has not given back in any form. The collector counts on it after a crash: what was
    held is read again.
    """

    @property
    def held(self) -> int:
        """How many raw bytes are still inside."""

    def feed(self, data: bytes) -> bytes:
        """Take ``data``; give what can be given."""

    def flush(self) -> bytes:
        """Give all that is left: nothing follows."""


class Unredacted:
    """Everything passes, at once."""

    held = 0

    def feed(self, data: bytes) -> bytes:
        """See :class:`Redactor`."""
        return data

    def flush(self) -> bytes:
        """See :class:`Redactor`."""
        return b""
