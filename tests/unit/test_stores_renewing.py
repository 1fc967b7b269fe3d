"""When credentials that end are got anew, by a clock that the test moves; and that a signature is Amazon's."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

import pytest

from tieline.stores.base import StoreTrouble, Why
from tieline.stores.renewing import Lease, NoLogin, Renewing
from tieline.stores.signing import Keys, signed

START = datetime(2026, 1, 1, tzinfo=UTC)


class World:
    """A clock, and somebody who gives credentials for ``life`` (None: nobody says for how long), or refuses."""

    def __init__(self, life: timedelta | None) -> None:
        self.now, self.life, self.refuses, self.asked, self.given = START, life, False, 0, 0
        self.renewing = Renewing(self.get, lambda: self.now)

    def get(self) -> Lease:
        self.asked += 1
        if self.refuses:
            raise StoreTrouble(Why.UNREACHABLE, "nobody answers")
        self.given += 1
        return Lease({"token": f"canary-{self.given}"}, None if self.life is None else self.now + self.life)

    def token(self, after: float = 0.0) -> int:
        """Which credentials a request gets so many seconds later."""
        self.now += timedelta(seconds=after)
        found = self.renewing()
        assert found["expires_at"] < START  # so that the library asks for each request
        return int(found["token"].removeprefix("canary-"))


@pytest.mark.parametrize(
    ("life", "until"), [(timedelta(hours=1), 3300), (timedelta(minutes=15), 675), (timedelta(seconds=8), 6)]
)
def test_they_are_kept_and_got_anew_ahead_of_their_end(life: timedelta, until: float) -> None:
    world = World(life)
    assert [world.token(), world.token(), world.token(until - 1), world.token(1), world.token()] == [1, 1, 1, 2, 2]
    assert world.asked == 2


def test_those_of_which_nobody_knows_the_end_are_kept() -> None:
    world = World(None)
    assert [world.token(), world.token(10**6)] == [1, 1]
    world.renewing.renew()
    assert world.token() == 2


def test_a_server_that_says_that_they_ended_is_believed() -> None:
    world = World(timedelta(hours=1))
    assert world.token() == 1
    world.renewing.renew()
    assert world.asked == 1  # nobody is asked before the next request
    assert [world.token(), world.token()] == [2, 2]


def test_old_ones_are_used_while_they_are_good_and_no_new_ones_are_to_be_had() -> None:
    world = World(timedelta(hours=1))
    world.token()
    world.refuses = True
    assert [world.token(3400), world.token(1), world.token(1)] == [1, 1, 1]
    assert world.asked == 2  # not for every request
    assert world.token(60) == 1
    assert world.asked == 3
    with pytest.raises(NoLogin) as caught:
        world.token(200)
    assert "nobody answers" not in str(caught.value)  # the library repeats that text
    assert str(world.renewing.refusal()) == "nobody answers"
    world.refuses = False
    assert world.token() == 2


def test_many_requests_at_once_get_one() -> None:
    world = World(timedelta(hours=1))
    found: list[int] = []
    threads = [threading.Thread(target=lambda: found.append(world.token())) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (set(found), world.asked) == ({1}, 1)


def test_nothing_shows_them() -> None:
    world = World(timedelta(hours=1))
    world.token()
    keys = Keys("canary-id", "canary-secret", "canary-token")
    assert "canary" not in f"{world.renewing!r} {world.get()!r} {keys!r} {Renewing.__repr__(world.renewing)}"


@pytest.mark.parametrize(
    ("url", "token"),
    [
        ("https://sts.eu-central-1.amazonaws.com", None),
        ("https://sts.eu-central-1.amazonaws.com:443/", "for/a+while=="),
        ("http://127.0.0.1:9000/sts/", None),
        ("https://[::1]:8443", "x"),
        ("https://ceph.example.org/a%20b/~c", "x"),
    ],
)
def test_a_signature_is_what_amazons_own_library_makes(url: str, token: str | None) -> None:
    """It is among the requirements of moto."""
    auth = pytest.importorskip("botocore.auth")
    request = pytest.importorskip("botocore.awsrequest").AWSRequest
    credentials = pytest.importorskip("botocore.credentials").Credentials
    body = b"Action=AssumeRole&RoleArn=arn%3Aaws%3Aiam%3A%3A1%3Arole%2Fr"

    ours = signed(url, body, Keys("AKID", "s3cret/+", token), "eu-central-1", "sts", START)
    given = {name: value for name, value in ours.items() if name != "Authorization"}
    theirs = auth.SigV4Auth(credentials("AKID", "s3cret/+", token), "sts", "eu-central-1")
    asked = request(method="POST", url=url, data=body, headers=given)
    asked.context["timestamp"] = given["X-Amz-Date"]
    text = theirs.string_to_sign(asked, theirs.canonical_request(asked))
    assert ours["Authorization"].endswith(f"Signature={theirs.signature(text, asked)}")
    assert f"SignedHeaders={theirs.signed_headers(theirs.headers_to_sign(asked))}," in ours["Authorization"]
