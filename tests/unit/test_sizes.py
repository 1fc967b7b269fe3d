"""Amounts as people write and read them."""

from __future__ import annotations

import pytest

from tieline.model.sizes import amount, bytes_of, seconds_of


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("0B", 0), ("512", None), ("512B", 512), ("1K", 1000), ("1KB", 1000), ("1Ki", 1024), ("1KiB", 1024),
        ("1.5 MiB", 1_572_864), ("20GiB", 20 * 1024**3), ("2TB", 2 * 10**12), ("", None), ("GiB", None), ("-1B", None),
        ("1 PiB", None), ("1GiBs", None), ("1e3B", None), ("1GB\n", None),
    ],
)  # fmt: skip
def test_sizes(text: str, count: int | None) -> None:
    if count is None:
        with pytest.raises(ValueError, match="is no size"):
            bytes_of(text)
    else:
        assert bytes_of(text) == count


@pytest.mark.parametrize(("text", "count"), [("10s", 10), ("10m", 600), ("12h", 43200), ("7d", 604800)])
def test_times(text: str, count: int) -> None:
    assert seconds_of(text) == count
    for wrong in (text[:-1], f"-{text}", f"0{text[-1]}", text[-1], ""):
        with pytest.raises(ValueError, match="is no time"):
            seconds_of(wrong)


def test_amounts() -> None:
    assert [amount(count) for count in (0, 1023, 1024, 32_768_000, 20 * 1024**3)] == [
        "0 B", "1023 B", "1.0 KiB", "31.2 MiB", "20.0 GiB",
    ]  # fmt: skip
