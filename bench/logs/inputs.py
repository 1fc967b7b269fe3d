"""What is printed: secrets, lines of 100 bytes of which one in a hundred has one in it, and how they must be saved.

What must be saved is known from how a line is made, not from Tieline: where the secret is put, it must read ``***``.
"""

from __future__ import annotations

import base64
import random
import string
from collections.abc import Iterator
from urllib.parse import quote

LINE = 100
SECRET_EVERY = 100
_ALPHABET = string.ascii_letters + string.digits + "+/=&%!"


def values(count: int) -> list[str]:
    """Passwords and tokens of 16 to 47 characters; those of a smaller count are the first of a larger one."""
    chance = random.Random("values")
    return ["".join(chance.choice(_ALPHABET) for _ in range(chance.randrange(16, 48))) for _ in range(count)]


def lines(count: int, secrets: list[str]) -> Iterator[tuple[bytes, bytes]]:
    """Lines as they are printed, and as they must be saved."""
    chance = random.Random("lines")
    words = ["".join(chance.choice(string.ascii_lowercase) for _ in range(chance.randrange(2, 10))) for _ in range(999)]
    texts = [" ".join(chance.choice(words) for _ in range(30)) for _ in range(997)]
    for number in range(count):
        head = f"2026-11-22T07:{number // 60 % 60:02}:{number % 60:02} INFO step {number} loss={chance.random():.5f} "
        hidden = ""
        if number % SECRET_EVERY == SECRET_EVERY // 2:
            head, hidden = f"{number} ", _form(secrets[number // SECRET_EVERY % len(secrets)], number)
        rest = f" {texts[number % len(texts)]}"[: LINE - 1 - len(head) - len(hidden)]
        yield f"{head}{hidden}{rest}\n".encode(), f"{head}{'***' if hidden else ''}{rest}\n".encode()


def _form(value: str, number: int) -> str:
    """As it is, quoted for an address, or in base64 (so long that its last characters hold nothing but the value)."""
    if number // SECRET_EVERY % 3 == 0:
        return value
    if number // SECRET_EVERY % 3 == 1:
        return quote(value, safe="")
    return base64.b64encode(value[: len(value) // 3 * 3].encode()).decode() if len(value) % 3 == 0 else value
