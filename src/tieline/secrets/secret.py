"""The type of a secret's value: it can be carried and compared, and never shown or written by accident."""

from __future__ import annotations

import hmac
from typing import Any, NoReturn, Self

HIDDEN = "***"


class Secret:
    """A secret value. Its text in every form is ``***``; only :meth:`reveal` gives it, to the adapter that uses it."""

    __slots__ = ("_value",)
    _value: bytes

    def __init__(self, value: bytes | str) -> None:
        data = value.encode("utf-8", "surrogateescape") if isinstance(value, str) else bytes(value)
        object.__setattr__(self, "_value", data)

    def reveal(self) -> bytes:
        """The value itself. Whoever calls this keeps it out of argv, URLs, plans, records, logs and messages."""
        return self._value

    def reveal_text(self) -> str:
        """The value as text (UTF-8; other bytes survive as surrogates)."""
        return self._value.decode("utf-8", "surrogateescape")

    def __repr__(self) -> str:
        return HIDDEN

    def __format__(self, spec: str) -> str:
        return HIDDEN

    def __bool__(self) -> bool:
        return bool(self._value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and hmac.compare_digest(self._value, other._value)

    def __hash__(self) -> int:
        return hash((Secret, self._value))

    def __setattr__(self, name: str, value: Any) -> NoReturn:
        raise AttributeError("a secret cannot be changed")

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object) -> Self:
        return self

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a secret cannot be serialised")

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret cannot be serialised")

    def __getstate__(self) -> NoReturn:
        raise TypeError("a secret cannot be serialised")
