import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshagent.agent.go_base64 import decode_base64


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("not base64", 3),
        ("short", 4),
        ("AAA", 0),
        ("A", 0),
        ("=", 0),
        ("A=", 1),
        ("AA=", 3),
        ("AA=A", 2),
        ("AA==A", 4),
        ("AAA=A", 4),
        ("AAAAé", 4),
        ("AAAA\nB-", 6),
    ],
)
def test_the_byte_is_named_as_go_does(text: str, at: int) -> None:
    with pytest.raises(ValueError, match=rf"^illegal base64 data at input byte {at}$"):
        decode_base64(text)


@pytest.mark.parametrize(("text", "data"), [("", b""), ("AA==", b"\0"), ("AAA=\n", b"\0\0"), ("AA\r\nAA", b"\0\0\0")])
def test_what_is_good(text: str, data: bytes) -> None:
    assert decode_base64(text) == data


@given(st.binary(max_size=50))
def test_bytes_survive(data: bytes) -> None:
    assert decode_base64(base64.b64encode(data).decode()) == data
