"""The bytes of a record have one spelling, and nothing else is read."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inspector.store.cbor import decode, encode, float32
from inspector.store.errors import RecordError

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**64), 2**64 - 1)
    | st.floats(allow_nan=False)
    | st.text(st.characters(exclude_categories=["Cs"]))
    | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=20,
)


@given(VALUES)
def test_what_goes_in_comes_back(value: object) -> None:
    assert decode(encode(value)) == value


@given(st.binary(max_size=60))
def test_any_bytes_are_read_in_their_one_spelling_or_refused(data: bytes) -> None:
    try:
        value = decode(data)
    except RecordError:
        return
    if b"\xfa" not in data:  # only the layouts choose float32
        assert encode(value) == data


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "too early"),
        (b"\x01\x02", "after the end"),
        (b"\x18\x05", "longer than it needs"),
        (b"\x19\x00\xff", "longer than it needs"),
        (b"\x5b" + b"\xff" * 8, "beyond the record"),
        (b"\x9b" + b"\xff" * 8, "beyond the record"),
        (b"\x61\xff", "not UTF-8"),
        (b"\xa2\x61b\x01\x61a\x01", "out of order"),
        (b"\xa1\x01\x01", "no text"),
        (b"\x81" * 40 + b"\x01", "nested deeper"),
        (b"\x9f\x01\xff", "do not use"),
        (b"\xc0\x01", "do not use"),
    ],
)
def test_a_foreign_form_is_refused_in_words(data: bytes, why: str) -> None:
    with pytest.raises(RecordError, match=why):
        decode(data)


def test_the_examples_of_rfc_8949_appendix_a() -> None:
    assert encode(1000000000000).hex() == "1b000000e8d4a51000"
    assert encode(-1000).hex() == "3903e7"
    assert encode("ü").hex() == "62c3bc"
    assert encode([1, [2, 3], [4, 5]]).hex() == "8301820203820405"
    assert encode({"a": 1, "b": [2, 3]}).hex() == "a26161016162820203"
    assert float32(100000.0).hex() == "fa47c35000"
    assert encode(1.1).hex() == "fb3ff199999999999a"


def test_text_that_no_encoding_holds_is_kept_as_its_escape() -> None:
    assert decode(encode("lot \udcff")) == "lot \\udcff"


def test_what_has_no_place_in_a_record_is_refused() -> None:
    for value in ({1: 2}, {"set": {1}}, 1 << 64, object()):
        with pytest.raises(RecordError):
            encode(value)
    with pytest.raises(RecordError, match="nested"):
        encode(json.loads("[" * 30 + "]" * 30))
