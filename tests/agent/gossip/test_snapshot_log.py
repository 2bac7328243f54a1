from hypothesis import given
from hypothesis import strategies as st

from meshagent.agent.gossip.snapshot_log import COMPACT_BYTES, Replayed, SnapshotLog, replay

#: As serf 0.9.4 wrote it.
SERF = b"""alive: alpha 127.0.0.1:20101
clock: 1
alive: with space 127.0.0.1:20102
event-clock: 2
query-clock: 3
clock: 4
not-alive: alpha
coordinate: {"Vec":[0]}
# a comment
alive: six [::1]:20103
"""


def test_a_snapshot_of_serf() -> None:
    assert replay(SERF) == Replayed({"with space": "127.0.0.1:20102", "six": "[::1]:20103"}, 4, 2, 3)


def test_a_torn_last_line_does_not_count() -> None:
    assert replay(SERF + b"alive: beta 127.0.0.1:201").alive.keys() == {"with space", "six"}
    assert replay(b"clock: 1") == Replayed()


def test_who_left_knows_nobody_unless_it_is_to_rejoin() -> None:
    assert replay(SERF + b"leave\n") == Replayed()
    assert replay(SERF + b"leave\n", rejoin_after_leave=True) == replay(SERF)
    assert replay(SERF + b"leave\nalive: z 127.0.0.1:1\n").alive == {"z": "127.0.0.1:1"}


def test_nonsense_is_skipped() -> None:
    data = b"\xff\xfe\nalive:\nalive: x\nclock: x\nclock: \nclock: -1\nclock: " + b"9" * 400 + b"\nzz: 1\n"
    assert replay(data) == Replayed()


def test_lines_are_what_changed() -> None:
    log = SnapshotLog()
    log.alive("a", "10.0.0.1:8301")
    log.alive("a", "10.0.0.1:8301")
    log.clocks(2, 0, 0)
    log.clocks(2, 0, 0)
    log.gone("b")
    assert log.take() == b"alive: a 10.0.0.1:8301\nclock: 2\n"
    log.alive("a", "10.0.0.2:8301")
    log.gone("a")
    assert log.take() == b"alive: a 10.0.0.2:8301\nnot-alive: a\n"
    assert log.take() == b""


def test_nothing_is_noted_after_leaving() -> None:
    for rejoin in (False, True):
        log = SnapshotLog()
        log.alive("a", "10.0.0.1:8301")
        log.leave(rejoin_after_leave=rejoin)
        log.gone("a")
        log.clocks(9, 9, 9)
        assert log.take() == b"alive: a 10.0.0.1:8301\nleave\n"
        again = replay(log.compacted(), rejoin_after_leave=True)
        assert again.alive == ({"a": "10.0.0.1:8301"} if rejoin else {})


def test_a_name_with_a_line_end_forges_nothing() -> None:
    log = SnapshotLog()
    log.alive("a 10.0.0.1:1\nleave", "10.0.0.1:8301")
    log.alive("", "10.0.0.1:8301")
    assert log.take() == b""


def test_it_is_written_anew_when_it_has_grown() -> None:
    log = SnapshotLog()
    while not log.is_long:
        log.alive("a", "10.0.0.1:8301")
        log.gone("a")
        assert len(log.take()) == 36
    assert log._size > COMPACT_BYTES
    log.alive("b", "10.0.0.1:8301")
    log.clocks(3, 2, 1)
    assert replay(log.compacted()) == Replayed({"b": "10.0.0.1:8301"}, 3, 2, 1)
    assert not log.is_long
    assert log.take() == b""


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("alive"), st.sampled_from(["a", "b c", "d"]), st.sampled_from(["1.1.1.1:1", "[::1]:2"])),
        st.tuples(st.just("gone"), st.sampled_from(["a", "b c", "d"])),
        st.tuples(st.just("clocks"), st.integers(0, 9), st.integers(0, 9), st.integers(0, 9)),
    )
)


@given(STEPS, st.integers(0, 30))
def test_what_is_noted_is_read_again(steps, compact_at: int) -> None:
    log = SnapshotLog()
    data = b""
    for number, (kind, *arguments) in enumerate(steps):
        getattr(log, kind)(*arguments)
        data = log.compacted() if number == compact_at else data + log.take()
    read = replay(data)
    assert replay(log.compacted()) == read
    assert SnapshotLog(read).compacted() == log.compacted() or set(log.compacted().splitlines()) == set(
        SnapshotLog(read).compacted().splitlines()
    )


@given(st.binary(max_size=200))
def test_any_bytes_can_be_read(data: bytes) -> None:
    replay(data)
