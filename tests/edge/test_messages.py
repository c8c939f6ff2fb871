"""Messages as bytes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.messages import Message, decode, encode

TEXT = st.text(max_size=20)
MESSAGES = st.builds(Message, TEXT, st.dictionaries(TEXT, TEXT, max_size=4), st.binary(max_size=99))


def test_layout() -> None:
    body = encode(Message("gw-1", {"reason": "not_json"}, b"\x00raw"))
    assert body == b'HIm1\x1e\x00\x00\x00["gw-1",{"reason":"not_json"}]\x00raw'


@given(MESSAGES)
def test_what_goes_in_comes_out(message: Message) -> None:
    assert decode(encode(message)) == message


@given(MESSAGES, st.data())
def test_damage_is_told_or_is_in_a_text(message: Message, data: st.DataObject) -> None:
    body = bytearray(encode(message))
    body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    try:
        decode(bytes(body))
    except ValueError as error:
        assert str(error).startswith("not a message")


@pytest.mark.parametrize(
    "body",
    [b"", b"HIm1", b"HIm1\x02\x00\x00\x00[]", b"HIm1\xff\xff\xff\xff[]",
     b'HIm1\x07\x00\x00\x00["a",7]', b'HIm1\x0d\x00\x00\x00["a",{"b": 1}]'],
)  # fmt: skip
def test_what_is_no_message(body: bytes) -> None:
    with pytest.raises(ValueError, match="not a message"):
        decode(body)
