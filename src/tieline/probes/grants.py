"""What an account of MySQL or MariaDB may do, by what ``SHOW GRANTS`` says."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

_GRANT = re.compile(r"GRANT (.+?) ON (?:TABLE )?(\*|`(?:[^`]|``)*`)\.(\*|`(?:[^`]|``)*`) TO ", re.IGNORECASE)
_RIGHT = re.compile(r"([A-Z][A-Z ]*?)\s*(?:\([^)]*\))?\s*(?:,|$)")
EVERY = "*"


@dataclass(frozen=True, slots=True)
class Grant:
    """Rights on a database (a pattern, or ``*``) and a table (or ``*``)."""

    rights: frozenset[str]
    database: str
    table: str

    def covers(self, right: str, database: str, table: str) -> bool:
        """Whether it gives the right on this table (``*``: on all tables of the database)."""
        named = self.database == EVERY or re.fullmatch(_pattern(self.database), database, re.DOTALL) is not None
        return named and self.table in (EVERY, table) and bool(self.rights & {right, "ALL PRIVILEGES", "ALL"})


def grants_of(lines: Iterable[str]) -> list[Grant]:
    """The grants that are about tables; roles and proxies are left out."""
    found = (_GRANT.match(line) for line in lines)
    return [
        Grant(frozenset(_RIGHT.findall(match[1].upper())), _plain(match[2]), _plain(match[3]))
        for match in found
        if match
    ]


def allowed(grants: Iterable[Grant], right: str, database: str, table: str = EVERY) -> bool:
    """Whether one of them gives the right."""
    return any(grant.covers(right, database, table) for grant in grants)


def _plain(quoted: str) -> str:
    return quoted if quoted == EVERY else quoted[1:-1].replace("``", "`")


def _pattern(name: str) -> str:
    """A database's name in a grant has LIKE's wildcards: ``%``, ``_``, and ``\\`` before one that is none."""
    words = re.split(r"(\\.|%|_)", name)
    return "".join(
        ".*" if word == "%" else "." if word == "_" else re.escape(word[1:] if word[:1] == "\\" else word)
        for word in words
    )
