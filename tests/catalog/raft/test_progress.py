"""What a leader believes of a follower: `match` falls only with the connection, the window fills and empties."""

from __future__ import annotations

from meshagent.catalog.raft.progress import WINDOW_BYTES, WINDOW_MESSAGES, Progress


def test_a_probe_waits_for_its_answer_and_then_entries_flow() -> None:
    progress = Progress(next=10)
    progress.sent(12, 100, 0.0)
    assert (progress.awaiting, progress.next) == (True, 10)
    progress.confirm(12)
    progress.sent(15, 100, 0.0)
    progress.sent(16, 100, 0.0)
    assert (progress.awaiting, progress.next, progress.flying_bytes) == (False, 17, 200)
    progress.confirm(15)
    assert progress.flying_bytes == 100


def test_match_never_falls_on_a_connection() -> None:
    progress = Progress(next=10)
    progress.confirm(12)
    progress.confirm(7)
    assert progress.match == 12
    progress.probe(3)
    assert progress.next == 13


def test_after_a_reconnection_all_must_be_shown_again() -> None:
    progress = Progress(next=10)
    progress.confirm(12)
    progress.reconnected()
    assert (progress.match, progress.next, progress.probing) == (0, 13, True)
    progress.probe(2)
    assert progress.next == 2


def test_the_window_is_full_by_bytes_or_by_messages() -> None:
    for size, count in ((WINDOW_BYTES // 2, 2), (1, WINDOW_MESSAGES)):
        progress = Progress(next=1, probing=False)
        for number in range(count):
            assert not progress.is_full
            progress.sent(number + 1, size, 0.0)
        assert progress.is_full
        progress.probe(1)
        assert not progress.is_full
