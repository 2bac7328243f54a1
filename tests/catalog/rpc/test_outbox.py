"""What waits for a slow peer: bounded, in order."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from meshagent.catalog.rpc.outbox import BURST_BYTES, Outbox


@given(st.lists(st.binary(max_size=50)), st.integers(0, 200))
def test_never_more_than_the_limit_and_nothing_of_what_it_took_is_lost(frames: list[bytes], limit: int) -> None:
    outbox = Outbox(limit)
    taken = []
    for frame in frames:
        if outbox.put(frame):
            taken.append(frame)
        assert outbox.bytes <= limit or len(taken) == 1
    assert outbox.bytes == sum(map(len, taken))
    assert outbox.burst() == b"".join(taken)
    assert (outbox.bytes, outbox.burst()) == (0, b"")


def test_any_frame_is_taken_when_nothing_waits() -> None:
    outbox = Outbox(10)
    assert outbox.put(bytes(1000))
    assert not outbox.put(b"x")


def test_bursts() -> None:
    outbox = Outbox(100 << 20)
    for _ in range(10):
        outbox.put(bytes(BURST_BYTES // 2))
    assert len(outbox.burst()) == BURST_BYTES
    assert not outbox.open
    outbox.clear()
    assert outbox.open
    outbox.paused = True
    assert not outbox.open
