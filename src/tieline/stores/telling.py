"""Telling what goes wrong with a bucket: the library's errors, and a damage that was noticed, as a store's trouble."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import obstore

from tieline.stores import answers
from tieline.stores.base import StoreTrouble, Why
from tieline.stores.clients import Opened
from tieline.stores.sending import Unlike


@dataclass(frozen=True, slots=True)
class Teller:
    """Of one bucket."""

    opened: Opened

    @contextmanager
    def told(self, doing: str, of: Callable[[], tuple[str, str]]) -> Iterator[None]:
        """Tell what the library raises as a :class:`StoreTrouble`: "cannot <doing> <what>: …". Nothing of its own words
        is in it. ``of``: what it is about, as people call it, and the name of the object, where it is about one."""
        try:
            yield
        except Unlike as error:
            raise _damaged(doing, of()[0], error) from None
        except (obstore.exceptions.BaseError, FileNotFoundError, UnicodeError) as error:
            what, name = of()
            better = self._asked_again(error, name)
            if self.opened.renew is not None and answers.has_ended(better):
                self.opened.renew()  # so that whoever tries again has a new login
            raise answers.trouble(better, doing, what, self.opened.server) from None
        except ValueError as error:
            if "Could not parse path" not in str(error) and "parsing Path" not in str(error):
                raise
            raise _no_path(doing, of()[0]) from None

    def _asked_again(self, error: Exception, name: str) -> Exception:
        """A refusal of a HEAD has no words: the same asked as a GET, to learn why."""
        answer = answers.said(error)
        if answer is None or answer.code or answer.status not in (400, 401, 403) or not name:
            return error
        try:
            obstore.get(self.opened.client, name)
        except (obstore.exceptions.BaseError, OSError) as again:
            return error if isinstance(again, FileNotFoundError) else again
        return error


def _damaged(doing: str, what: str, error: Unlike) -> StoreTrouble:
    return StoreTrouble(
        Why.DAMAGED,
        f"cannot {doing} {what}: {error}",
        "try again; if that does not help, something on the way to the server, or there, changes what passes",
    )


def _no_path(doing: str, what: str) -> StoreTrouble:
    return StoreTrouble(
        Why.UNSUPPORTED,
        f"cannot {doing} {what}: there is an object whose name is no path"
        " (empty parts, '.', '..' or control characters)",
        "rename that object, or use a prefix that does not have it",
    )
