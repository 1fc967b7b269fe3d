"""The redactor: no secret passes in any form or cut, all else passes as it is, and little is held back."""

from __future__ import annotations

import base64
import json
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tieline.secrets import redactor
from tieline.secrets.hooks import hooks_of
from tieline.secrets.needles import PIECE, SHORTEST, all_needles, needles_of
from tieline.secrets.redactor import MASK, Masker

VALUE = "p+a/s s&w\"ö'r\\d"
KEY = "-----BEGIN KEY-----\nMIIEvQIBADANBgkq\nhkiG9w0BAQEFAASC\n-----END KEY-----\n"


def masker(*values: str | bytes) -> Masker:
    return Masker(all_needles(value.encode() if isinstance(value, str) else value for value in values))


def through(made: Masker, data: bytes, size: int) -> bytes:
    redactor, out = made.redactor(), b""
    for at in range(0, len(data), size):
        out += redactor.feed(data[at : at + size])
        assert redactor.held <= 5 * made.longest
    return out + redactor.flush()


@pytest.mark.parametrize(
    "form",
    [
        VALUE, quote(VALUE), quote(VALUE, safe=""), quote_plus(VALUE), json.dumps(VALUE), json.dumps({"a": [VALUE]}),
        json.dumps(VALUE, ensure_ascii=False), repr(VALUE),
    ],
)  # fmt: skip
@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_every_form_is_masked_wherever_it_is_cut(form: str, size: int) -> None:
    data = f"before {form} after\n".encode()
    out = through(masker(VALUE), data, size)
    assert MASK in out
    assert out.startswith(b"before ")
    assert out.endswith(b" after\n")
    assert b"s&w" not in out
    assert "ö".encode() not in out


@pytest.mark.parametrize("shift", range(8))
@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
@pytest.mark.parametrize("after", ["", "x", ":more and more"])
def test_base64_is_masked_at_every_alignment(shift: int, encode, after: str) -> None:
    value = "correct horse~battery?staple"
    text = encode(f"{'u' * shift}{value}{after}".encode())
    out = masker(value).mask(b"Basic " + text + b"\n")
    left = out.replace(MASK, b"").removeprefix(b"Basic ").strip()
    assert len(left) <= len(encode(b"u" * shift + after.encode())) + 4, "of the value itself nothing is left"
    first, end = -(-shift * 8 // 6), (shift + len(value)) * 8 // 6  # the characters that are of the value alone
    for at in range(first, end - 3):
        assert text[at : at + 4] not in left


def test_values_of_several_lines_are_masked_line_by_line() -> None:
    printed = "".join(f"| {line}\n" for line in KEY.splitlines())
    out = masker(KEY).mask(printed.encode())
    assert out == b"| ***\n" * 4
    assert masker(KEY).mask(json.dumps({"key": KEY}).encode()).count(MASK) == 1


def test_the_inside_of_documents_and_addresses() -> None:
    document = json.dumps({"type": "service_account", "private_key": KEY, "nested": {"api_token": "tok-123456"}})
    made = masker(document, "postgres://ann:s3cr%40t-word@db.example.org/x", "bob:another-password")
    for secret in ("MIIEvQIBADANBgkq", "tok-123456", "s3cr%40t-word", "s3cr@t-word", "another-password"):
        assert made.mask(f"<{secret}>".encode()) == b"<***>", secret
    assert made.mask(b"service_account of db.example.org and bob") == b"service_account of db.example.org and bob"


@pytest.mark.parametrize("value", ["", " ", "a", "1234", "  12 \n"])
def test_what_is_too_short_is_not_looked_for(value: str) -> None:
    assert needles_of(value.encode()) == frozenset()


def test_long_values_are_masked_whole() -> None:
    value = "".join(chr(33 + (n * 7919) % 90) for n in range(3 * PIECE + 17))
    out = through(masker(value), f"<{value}>".encode(), 100)
    assert out == b"<***>"


def test_values_that_overlap_leave_nothing_of_either() -> None:
    made = masker("abcdefgh", "defghijkl", "ghij-long-one")
    assert made.mask(b"<abcdefghijkl>") == b"<***>"
    for size in (1, 2, 5):
        assert through(made, b"<abcdefghij-long-one>", size) == b"<***>"


def test_little_is_held_of_a_value_that_repeats_without_end() -> None:
    out = through(masker("aaaaa"), b"a" * 5000 + b"b", 64)
    assert out == b"***b"


@pytest.mark.parametrize(("left", "shown"), [(20, b"< ***"), (6, b"< ***"), (3, b"< a-s")])
def test_the_beginning_of_a_value_at_the_end_is_masked(left: int, shown: bytes) -> None:
    value = "a-secret-that-was-cut-off"
    for size in (1, 4, 100):
        assert through(masker(value), f"< {value[:left]}".encode(), size) == shown


def test_no_secret_is_no_work() -> None:
    redactor = masker().redactor()
    data = bytes(range(256)) * 10
    assert redactor.feed(data) is data
    assert (redactor.held, redactor.flush()) == (0, b"")


def everywhere(needles: list[bytes], data: bytes) -> bytes:
    """The data without the needles, by trying every place."""
    hidden = bytearray(len(data))
    for needle in needles:
        for at in range(len(data) - len(needle) + 1):
            if data.startswith(needle, at):
                hidden[at : at + len(needle)] = b"\1" * len(needle)
    return hidden_as(bytes(hidden), data)


def hidden_as(hidden: bytes, data: bytes) -> bytes:
    return b"".join(data[at : at + 1] if not is_hidden else b"\0" for at, is_hidden in enumerate(hidden))


NEEDLES = st.lists(st.text("aab1", min_size=SHORTEST, max_size=9).map(str.encode), min_size=1, max_size=6)


@pytest.mark.parametrize("dense", [0, 10**9])
@given(NEEDLES, st.data())
def test_hooks_pass_over_nothing(dense: int, needles: list[bytes], data: st.DataObject) -> None:
    """With all of the data looked through for needles, and with only what is around the hooks."""
    parts = st.lists(st.one_of(st.sampled_from(needles), st.text("ab1 \n", max_size=9).map(str.encode)), max_size=9)
    text = b"".join(data.draw(parts))
    made = Masker(needles)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(redactor, "DENSE", dense)
        marks = bytearray(len(text))
        for start, end in made.matches(text):
            marks[start:end] = b"\1" * (end - start)
        assert made.matches(text) == sorted(made.matches(text))
    assert hidden_as(bytes(marks), text) == everywhere(needles, text)


def test_every_needle_has_a_hook_and_many_share_one() -> None:
    needles = all_needles([VALUE.encode(), KEY.encode(), b"x" * 3000, *(b"token-%d-of-many" % n for n in range(200))])
    hooks = hooks_of(needles)
    assert all(any(hook in needle for hook in hooks) for needle in needles)
    assert len(hooks) < len(needles)
    assert {len(hook) for hook in hooks} == {SHORTEST}


def test_masks_are_told_apart_by_their_values() -> None:
    assert masker("one-value", "another").identity == masker("another", "one-value").identity
    assert len({masker(*values).identity for values in [(), ("one-value",), ("one-value", "another")]}) == 3


WORDS = st.lists(
    st.text("abcX+/=&% \"\\é", min_size=SHORTEST, max_size=12).filter(lambda s: len(s.strip()) >= SHORTEST),
    min_size=1, max_size=4,
)  # fmt: skip


@given(WORDS, st.data())
def test_cut_anywhere_it_is_what_it_is_as_a_whole(values: list[str], data: st.DataObject) -> None:
    made = masker(*values)
    pieces = st.lists(st.one_of(st.sampled_from(values), st.text('abcX+/=&% "\\é\n', max_size=8)), max_size=12)
    whole = "".join(data.draw(pieces)).encode() + b"\n"  # without a line's end, what may be a beginning is masked
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=6)))
    redactor, out = made.redactor(), b""
    for start, end in zip([0, *cuts], [*cuts, len(whole)], strict=True):
        out += redactor.feed(whole[start:end])
        assert redactor.held <= 5 * made.longest
    out += redactor.flush()
    assert out == made.mask(whole)
    for value in values:
        assert value.strip().encode() not in out.replace(MASK, b"\0")


@given(st.binary(max_size=400))
def test_bytes_that_are_no_text_pass(data: bytes) -> None:
    made = masker("a-secret-that-is-not-there")
    assert through(made, data, 7) == data
