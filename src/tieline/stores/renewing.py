"""Credentials that expire: kept while they are good, got anew ahead of their end, or when a server says they ended.

The library would keep them by a rule of its own, and cannot be told to let go of them. So it is told that all that it
gets has ended long ago: then it asks here for every request, and what is kept is kept here.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from tieline.stores.answers import NO_LOGIN
from tieline.stores.base import StoreTrouble

AHEAD = timedelta(minutes=5)
"""How long before their end they are got anew; for those that live shortly, a quarter of their life."""
_PAUSE = timedelta(seconds=15)
"""After a renewal that failed while the old ones are still good."""
_LONG_AGO = datetime.fromtimestamp(0, UTC)


@dataclass(frozen=True, slots=True)
class Lease:
    """Credentials as the library takes them, and when they end; None: that is not known."""

    credential: Mapping[str, Any] = field(repr=False)
    until: datetime | None


class NoLogin(Exception):
    """Raised into the library, which repeats its text: so it says nothing but that :meth:`Renewing.refusal` knows."""


class Renewing:
    """What a client asks for credentials. ``get``: fetches new ones; raises StoreTrouble. Safe for many threads."""

    def __init__(self, get: Callable[[], Lease], clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._get, self._clock = get, clock
        self._lease: Lease | None = None
        self._again = _LONG_AGO  # when they are to be got anew
        self._refusal: StoreTrouble | None = None
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return "Renewing(***)"

    def __call__(self) -> dict[str, Any]:
        """Credentials that are good, for one request. Raises NoLogin."""
        with self._lock:
            lease = self._good()
        return {**lease.credential, "expires_at": _LONG_AGO}

    def renew(self) -> None:
        """Let go of the present ones: a server has said that they ended. The next request gets new ones."""
        with self._lock:
            self._lease = None

    def refusal(self) -> StoreTrouble | None:
        """Why the last request had no credentials."""
        return self._refusal

    def _good(self) -> Lease:
        now, lease = self._clock(), self._lease
        if lease is not None and (lease.until is None or now < self._again):
            return lease
        try:
            self._lease = found = self._get()
        except StoreTrouble as error:
            if lease is not None and lease.until is not None and now < lease.until:
                self._again = min(lease.until, now + _PAUSE)
                return lease
            self._refusal = error
            raise NoLogin(NO_LOGIN) from None
        self._again = _renewal(found, now)
        return found


def _renewal(lease: Lease, now: datetime) -> datetime:
    if lease.until is None:
        return now
    return lease.until - min(AHEAD, (lease.until - now) / 4)
