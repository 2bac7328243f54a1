from __future__ import annotations

import hashlib
import json
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from meshtest import ROOT

from meshagent.agent.gossip.lzw import compress, decompress
from meshagent.errors import RemoteProtocolError

STREAMS = [json.loads(line) for line in (ROOT / "tests/data/golden/gossip/lzw.jsonl").read_text().splitlines()]


def plain(row: dict[str, Any]) -> bytes:
    if "plain_hex" in row:
        return bytes.fromhex(row["plain_hex"])
    x, out = 1, bytearray()
    for _ in range(row["plain_lcg"]["n"]):
        x = (x * 1664525 + 1013904223) % 2**32
        out.append((x >> 24) & row["plain_lcg"]["mask"])
    return bytes(out)


@pytest.mark.parametrize("row", STREAMS, ids=lambda row: str(row["name"]))
def test_gos_streams_are_read_and_written_byte_for_byte(row: dict[str, Any]) -> None:
    data = plain(row)
    assert hashlib.sha256(data).hexdigest() == row["plain_sha256"]
    stream = bytes.fromhex(row["coded_hex"])
    assert decompress(stream, len(data)) == data
    assert compress(data) == stream


@given(st.binary(max_size=3000) | st.lists(st.sampled_from([b"ab", b"abc", b"\0" * 50])).map(b"".join))
def test_what_goes_in_comes_out(data: bytes) -> None:
    assert decompress(compress(data), len(data)) == data


@settings(max_examples=10)
@given(st.integers(0, 2**32))
def test_it_comes_out_when_the_table_overflows(seed: int) -> None:
    data = Random(seed).randbytes(20_000)
    assert decompress(compress(data), len(data)) == data


@given(st.binary(max_size=600))
def test_any_bytes_decode_or_are_refused(data: bytes) -> None:
    try:
        assert len(decompress(data, 10_000)) <= 10_000
    except RemoteProtocolError:
        pass


def test_a_bomb_is_refused_before_it_is_made() -> None:
    bomb = compress(b"\0" * 2_000_000)
    assert len(bomb) < 5_000
    with pytest.raises(RemoteProtocolError, match="more than 65536"):
        decompress(bomb, 65536)


@pytest.mark.parametrize("end", [0, 1, 3])
def test_without_its_end_it_is_refused(end: int) -> None:
    with pytest.raises(RemoteProtocolError, match="end code"):
        decompress(compress(b"hello, hello")[:end], 100)
