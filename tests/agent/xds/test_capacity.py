from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshagent.agent.xds.capacity import drained, ideal_streams


@pytest.mark.parametrize(
    ("proxies", "servers", "ideal"), [(0, 3, 0), (100, 1, 0), (100, 0, 0), (100, 3, 37), (3, 3, 2), (1000, 5, 220)]
)
def test_streams_are_shared_out_with_a_tenth_more(proxies: int, servers: int, ideal: int) -> None:
    assert ideal_streams(proxies, servers) == ideal


@given(st.integers(0, 10_000), st.integers(2, 9))
def test_all_proxies_find_a_server(proxies: int, servers: int) -> None:
    assert ideal_streams(proxies, servers) * servers >= proxies


@pytest.mark.parametrize(("streams", "ideal", "now"), [(5, 0, 0), (5, 5, 0), (6, 5, 1), (105, 5, 10), (4, 5, 0)])
def test_too_many_become_fewer_a_few_at_a_time(streams: int, ideal: int, now: int) -> None:
    assert drained(streams, ideal) == now
