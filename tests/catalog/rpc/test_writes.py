"""The payloads of forwarding decode to what was encoded, or are refused by name."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshagent.catalog.rpc import writes
from meshagent.errors import Conflict, InternalError, MeshError, NoLeader, RemoteProtocolError

plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text(max_size=9) | st.binary(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@given(st.lists(st.tuples(st.binary(max_size=16), st.binary(max_size=50)), max_size=20))
def test_writes_there_and_back(batch: list[tuple[bytes, bytes]]) -> None:
    assert writes.decode_writes(writes.encode_writes(batch)) == batch


@given(st.lists(plain, max_size=8))
def test_results_there_and_back(results: list[object]) -> None:
    assert writes.decode_outcomes(writes.encode_outcomes(results)) == results


def test_refusals_stand_where_their_write_stood() -> None:
    first, second, third = writes.decode_outcomes(writes.encode_outcomes([True, NoLeader(), Conflict("moved")]))
    assert first is True
    assert isinstance(second, NoLeader)
    assert (type(third), str(third)) == (Conflict, "moved")


def test_a_result_that_cannot_be_sent_does_not_spoil_the_others() -> None:
    good, bad = writes.decode_outcomes(writes.encode_outcomes([1, object()]))
    assert good == 1
    assert isinstance(bad, InternalError)
    assert "was applied" in str(bad)


def test_more_writes_than_a_batch_may_have() -> None:
    with pytest.raises(RemoteProtocolError, match="batch of 513 writes"):
        writes.decode_writes(writes.encode_writes([(b"", b"")] * 513))


@given(st.binary(max_size=60))
def test_any_bytes_decode_or_are_refused_by_name(data: bytes) -> None:
    for decode in (writes.decode_writes, writes.decode_outcomes, writes.decode_index, writes.decode_read):
        try:
            decode(data)
        except RemoteProtocolError:
            pass
    outcome = msgspec.msgpack.encode([(int(bool(data)), data.hex())])
    (value,) = writes.decode_outcomes(outcome)
    assert isinstance(value, MeshError) == bool(data)


@given(st.integers(0, 2**64 - 1), st.booleans())
def test_read_index(index: int, consistent: bool) -> None:
    assert writes.decode_index(writes.encode_index(index)) == index
    assert writes.decode_read(writes.encode_read(consistent=consistent)) is consistent
