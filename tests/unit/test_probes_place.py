"""Where a server is: the catalog's address, or the secret's; and what can't be looked for."""

from __future__ import annotations

from typing import Any

import pytest

from tieline.model.access import Credentials, Database, Socket
from tieline.model.binding import FromSecret
from tieline.probes.family import Failed
from tieline.probes.place import Place, place_of
from tieline.secrets.secret import Secret

ELSEWHERE = Credentials(
    secret="db",
    method="secret",
    values={
        name: FromSecret(secret="db", keys=(name, name.upper()), optional=True) for name in ("host", "uri", "password")
    },
)


def place(access: dict[str, Any], **secrets: str) -> Place | str:
    found = Database(protocol="postgresql", credentials=ELSEWHERE, **access)
    return place_of(found, {name: Secret(value) for name, value in secrets.items()})


def test_the_catalog_says_where() -> None:
    found = place({"host": "db", "port": 5432, "database": "x"}, username="me", password="p")
    assert found == Place("db", 5432, "x", "me", "p")


def test_of_several_hosts_the_first_is_asked() -> None:
    found = place({"host": "a.example.org,b.example.org", "port": 5432})
    assert isinstance(found, Place)
    assert found.host == "a.example.org"


def test_an_address_of_the_catalog_has_parameters() -> None:
    found = place({"host": "db", "port": 1, "uri": "postgresql://db:1/x?sslmode=require&a=b%20c#f"})
    assert isinstance(found, Place)
    assert found.options == {"sslmode": "require", "a": "b c"}


def test_the_secret_says_where_in_parts_or_as_a_whole() -> None:
    found = place({"port": 5432}, host="db", port="5433", username="me", password="p")
    assert found == Place("db", 5433, None, "me", "p")
    whole = place({"port": 5432}, uri="postgres://m%40e:p%2Fw@[::1]/x%20y?sslmode=disable\n")
    assert whole == Place("::1", 5432, "x y", "m@e", "p/w", False, "uri", {"sslmode": "disable"})
    secure = place({"port": 6379}, uri="rediss://:pw@cache:6380/2")
    assert isinstance(secure, Place)
    assert (secure.secure, secure.database, secure.username, secure.password) == (True, "2", None, "pw")


def test_the_parts_of_a_secret_win_over_its_address() -> None:
    found = place({"port": 1}, host="parts", uri="postgresql://whole:2/x")
    assert isinstance(found, Place)
    assert (found.host, found.port) == ("parts", 1)


def test_an_address_that_is_in_a_secret_that_is_not_there() -> None:
    with pytest.raises(Failed, match="looked for host or HOST in the secret db; uri or URI in the secret db") as caught:
        place({"port": 5432})
    assert caught.value.part == "host"


@pytest.mark.parametrize(
    ("secrets", "part"),
    [({"host": "db", "port": "many"}, "port"), ({"host": "db", "port": "99999"}, "port"), ({"uri": "db:5432"}, "uri"),
     ({"uri": "postgresql://[::1/x"}, "uri"), ({"uri": "postgresql://db:x/y"}, "uri")],
)  # fmt: skip
def test_addresses_in_a_secret_that_are_none(secrets: dict[str, str], part: str) -> None:
    with pytest.raises(Failed) as caught:
        place({"port": 5432}, **secrets)
    assert caught.value.part == part
    assert not any(value in caught.value.reason for value in secrets.values() if value != "db")


def test_places_that_only_a_client_can_find() -> None:
    assert "DNS SRV" in str(place({"host": "m", "port": 1, "uri": "mongodb+srv://m/x"}))
    assert "DNS SRV" in str(place({"port": 1}, uri="mongodb+srv://u:p@m/x"))
    assert "no port" in str(place({"host": "db"}))
    assert "nothing says where" in str(place_of(Socket(), {}))
