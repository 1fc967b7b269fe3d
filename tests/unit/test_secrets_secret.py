"""The type of a secret's value: whatever is done to it by accident, it does not show."""

from __future__ import annotations

import copy
import dataclasses
import json
import pickle
import traceback
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tieline.secrets.secret import HIDDEN, Secret

CANARY = "canary-7f3a"


@dataclasses.dataclass
class Holder:
    name: str
    value: Secret


def test_every_text_of_it_is_stars() -> None:
    secret = Secret(CANARY)
    texts = [str(secret), repr(secret), f"{secret}", f"{secret!r:>20}", f"{secret:x}", " ".join(map(str, [secret]))]
    texts += [format(secret), format(secret, "s"), repr([secret]), repr({"a": secret}), repr(Holder("a", secret))]
    assert all(HIDDEN in text for text in texts)
    assert CANARY not in "".join(texts)


@pytest.mark.parametrize(
    "write",
    [
        pickle.dumps,
        json.dumps,
        lambda secret: json.dumps({"a": secret}),
        lambda secret: secret.__getstate__(),
        lambda secret: secret.__reduce__(),
        lambda secret: pickle.dumps(Holder("a", secret), protocol=2),
        bytes,
        iter,
        vars,
    ],
)
def test_it_cannot_be_written(write: Any) -> None:
    with pytest.raises((TypeError, ValueError)) as caught:
        write(Secret(CANARY))
    assert CANARY not in "".join(traceback.format_exception(caught.value))


def test_it_cannot_be_changed() -> None:
    secret = Secret(CANARY)
    with pytest.raises(AttributeError):
        secret._value = b"other"
    with pytest.raises(AttributeError):
        secret.other = 1  # type: ignore[attr-defined]
    assert secret.reveal() == CANARY.encode()


def test_copies_are_itself() -> None:
    secret = Secret(CANARY)
    assert copy.copy(secret) is secret
    assert copy.deepcopy({"a": [secret]})["a"][0] is secret
    assert dataclasses.asdict(Holder("a", secret))["value"] is secret


def test_it_is_compared_by_its_value_and_with_its_like_only() -> None:
    assert Secret("a") == Secret(b"a")
    assert Secret("a") != Secret("b")
    assert Secret("a") != "a"
    assert len({Secret("a"), Secret("a"), Secret("b")}) == 2
    assert Secret("a")
    assert not Secret("")


@given(st.binary())
def test_all_bytes_survive(data: bytes) -> None:
    assert Secret(data).reveal() == data
    assert Secret(Secret(data).reveal_text()).reveal() == data


def test_an_error_that_carries_it_does_not_show_it() -> None:
    with pytest.raises(ValueError) as caught:
        raise ValueError(Secret(CANARY))
    assert CANARY not in "".join(traceback.format_exception(caught.value)) + repr(caught.value)
