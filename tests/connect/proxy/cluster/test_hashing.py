"""The hash never changes: sessions would move."""

from hypothesis import given
from hypothesis import strategies as st

from meshagent.connect.proxy.cluster.hashing import MASK64, combined, hash64


def test_known_values() -> None:
    assert hash64(b"") == 13020603013274838756
    assert hash64(b"session-1") == 12459036657078585774


@given(st.binary())
def test_it_is_64_bits(data: bytes) -> None:
    assert 0 <= hash64(data) <= MASK64


@given(st.integers(0, MASK64), st.integers(0, MASK64))
def test_a_combination_is_64_bits_and_ordered(one: int, two: int) -> None:
    both = combined(one, two)
    assert 0 <= both <= MASK64
    assert both ^ two == combined(one, 0)
