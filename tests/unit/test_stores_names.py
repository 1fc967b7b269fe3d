"""Every key has one object's name, and every object's name that a bucket gives has one key."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from tieline.stores.names import key_of, object_name

TRICKY = st.text(st.sampled_from([*"%2505EAF./a\\\n\x7fé", "\udce9", "\udc80"]), max_size=12)
ANY = st.text(st.characters(codec="utf-8") | st.sampled_from([chr(0xDC00 + byte) for byte in range(0x80, 0x100)]))
OURS = re.compile(r"[\x00-\x1f\x7f\\]|\.(?=/|\Z)")
"""What our names never have; an object that has it keeps the name that a listing told."""


@given(TRICKY | ANY)
def test_a_key_comes_back(key: str) -> None:
    name = object_name(key)
    assert key_of(name) == key
    assert OURS.search(name) is None
    name.encode()


@given(TRICKY.map(lambda text: OURS.sub("", re.sub("[\udc80-\udcff]", "", text))).filter(lambda t: not OURS.search(t)))
def test_an_object_of_another_program_comes_back(name: str) -> None:
    assert object_name(key_of(name)) == name


def test_ordinary_names_are_as_they_are() -> None:
    for name in ("a/b.txt", "100%", "%41", "naïve/日本", "..x", ".hidden", "a b", "*?#&+"):
        assert object_name(name) == name
    assert object_name("new\nline") == "new%0Aline"
    assert object_name("%0A") == "%250A"
