"""Which failures of a store are worth another attempt."""

from __future__ import annotations

import errno
import os

import pytest

from tieline.stores import StoreTrouble, Why, answers, reasons

SERVER = answers.Server("s3://data", "http://127.0.0.1:1", "secret-access-key")


@pytest.mark.parametrize(
    ("number", "again"),
    [
        (errno.ENOSPC, True), (errno.EDQUOT, True), (errno.EIO, True), (errno.ESTALE, True), (errno.ETIMEDOUT, True),
        (errno.ENOTDIR, True), (errno.EACCES, False), (errno.EPERM, False), (errno.ENOENT, False), (errno.EROFS, False),
        (errno.ENAMETOOLONG, False), (errno.EFBIG, False), (errno.ELOOP, False),
    ],
)  # fmt: skip
def test_what_the_system_says_of_a_folder(number: int, again: bool) -> None:
    assert reasons.trouble(OSError(number, os.strerror(number)), "save", "'f'").again is again


def answered(status: int, code: str = "") -> StoreTrouble:
    body = f"<Error><Code>{code}</Code></Error>" if code else ""
    error = RuntimeError(f"Server returned non-2xx status code: {status} Some Words: {body}")
    return answers.trouble(error, "save", "'f'", SERVER)


@pytest.mark.parametrize("status", [408, 412, 429, 500, 502, 503, 504, 507])
def test_statuses_that_may_pass(status: int) -> None:
    assert answered(status).again


@pytest.mark.parametrize("status", [301, 400, 401, 403, 404, 405, 407, 413, 501, 505])
def test_statuses_that_stay(status: int) -> None:
    assert not answered(status).again


@pytest.mark.parametrize("code", ["RequestTimeout", "BadDigest", "IncompleteBody", "InternalError", "ExpiredToken"])
def test_words_that_say_more_than_their_status(code: str) -> None:
    assert answered(400, code).again


def test_a_login_for_a_while_that_has_ended_is_got_anew() -> None:
    lent = answers.Server("s3://data", "http://127.0.0.1:1", "auth.role")
    error = RuntimeError("status code: 403 Forbidden: <Code>InvalidAccessKeyId</Code>")
    assert answers.trouble(error, "save", "'f'", lent).again
    assert not answers.trouble(error, "save", "'f'", SERVER).again


@pytest.mark.parametrize("again", [True, False])
def test_whoever_gives_logins_says_it_too(again: bool) -> None:
    refusal = StoreTrouble(Why.NOT_AUTHENTICATED, "no", again=again)
    lent = answers.Server("s3://data", "http://127.0.0.1:1", "auth.role", refusal=lambda: refusal)
    assert answers.trouble(RuntimeError(answers.NO_LOGIN), "save", "'f'", lent).again is again


def test_parts_that_are_gone_are_no_file_that_is_missing() -> None:
    """A server that put them together, and whose answer was lost, says so when it is asked again."""
    found = answered(404, "NoSuchUpload")
    assert (found.why, found.again) == (Why.DAMAGED, True)


@pytest.mark.parametrize(
    ("text", "told", "again"),
    [
        ("kind: Connect, tcp connect error", "nothing answers", True),
        ("HttpError kind: Interrupted ConnectionReset", "broke", True),
        ("dns error", "no address", True),
        ("HttpError kind: Timeout", "did not answer in time", True),
        ("invalid peer certificate: UnknownIssuer", "not trusted", False),
        ("kind: Connect, received corrupt message of type InvalidContentType", "TLS", False),
        ("incorrectly configured region", "another region", False),
        ("NotSupported", "cannot do that", False),
    ],
)
def test_nobody_answered(text: str, told: str, again: bool) -> None:
    found = answers.trouble(RuntimeError(text), "save", "'f'", SERVER)
    assert told in str(found)
    assert found.again is again


@pytest.mark.parametrize(("why", "again"), [(Why.UNREACHABLE, True), (Why.FORBIDDEN, False), (Why.SOURCE, False)])
def test_by_its_reason_where_nothing_else_is_said(why: Why, again: bool) -> None:
    assert StoreTrouble(why, "-").again is again
    assert StoreTrouble(why, "-", again=not again).again is not again
