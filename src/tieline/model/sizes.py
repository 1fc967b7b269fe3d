"""Amounts of bytes and of time as people write and read them: ``20GiB``, ``500 MB``, ``7d``, ``31.2 MiB``."""

import re

SIZE = r"^[0-9]{1,9}(\.[0-9]{1,3})? ?([KMGT](iB?|B)?|B)$"
DURATION = r"^[1-9][0-9]*(s|m|h|d)$"
_POWERS = {"K": 1, "M": 2, "G": 3, "T": 4}
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def bytes_of(size: str) -> int:
    """``20GiB`` and ``20Gi`` are 20 · 1024³, ``20GB`` and ``20G`` 20 · 1000³. Raises ValueError."""
    if not re.fullmatch(SIZE, size):
        raise ValueError(f"{size!r} is no size: write a number and a unit: 20GiB, 500MB")
    number = size.rstrip("KMGTiB ")
    unit = size[len(number) :].strip()
    return int(float(number) * (1024 if "i" in unit else 1000) ** _POWERS.get(unit[0], 0))


def seconds_of(duration: str) -> int:
    """``10m`` is 600. Raises ValueError."""
    if not re.fullmatch(DURATION, duration):
        raise ValueError(f"{duration!r} is no time: write a number and s, m, h or d: 7d")
    return int(duration[:-1]) * _SECONDS[duration[-1]]


def amount(count: int) -> str:
    """Bytes as a person says them: ``31.2 MiB``."""
    if count < 1024:
        return f"{count} B"
    power = min((count.bit_length() - 1) // 10, 4)
    return f"{count / 1024**power:.1f} {('B', 'KiB', 'MiB', 'GiB', 'TiB')[power]}"
