"""Times to live of sessions (surface row E5)."""

import hypothesis.strategies as st
from hypothesis import given

from meshagent.agent.session_ttl import AGAIN_S, SessionTimers
from meshagent.catalog.model import Session


def session(session_id: str = "s", ttl: str = "10s") -> Session:
    return Session(id=session_id, node="n1", ttl=ttl)


def table(*sessions: Session) -> dict[str, Session]:
    return {row.id: row for row in sessions}


def test_a_session_ends_after_twice_its_ttl_and_not_before():
    timers = SessionTimers()
    timers.restart(table(session()), now=100.0)
    assert timers.next_at() == 120.0
    assert timers.due(119.9) == []
    assert timers.due(120.0) == ["s"]


def test_a_renewal_starts_it_again():
    timers = SessionTimers()
    timers.restart(table(session()), now=0.0)
    timers.renew(session(), now=19.0)
    assert timers.due(38.9) == []
    assert timers.due(39.0) == ["s"]


def test_one_that_cannot_be_ended_is_reported_again_and_one_that_has_ended_is_not():
    timers = SessionTimers()
    timers.restart(table(session("a"), session("b")), now=0.0)
    assert timers.due(20.0) == ["a", "b"]
    assert timers.due(20.1) == []
    timers.follow(table(session("b")), now=20.2)
    assert timers.due(20.0 + AGAIN_S) == ["b"]


def test_a_new_leader_starts_all_in_full():
    timers = SessionTimers()
    timers.restart(table(session()), now=0.0)
    timers.clear()
    assert timers.due(1000.0) == []
    timers.restart(table(session()), now=1000.0)
    assert timers.due(1019.0) == []
    assert timers.due(1020.0) == ["s"]


def test_sessions_without_a_ttl_have_no_timer():
    timers = SessionTimers()
    timers.restart(table(session("a", ""), session("b", "0s"), session("c", "nonsense")), now=0.0)
    assert len(timers) == 0
    assert timers.next_at() is None


def test_renewals_do_not_pile_up():
    timers = SessionTimers()
    timers.restart(table(session()), now=0.0)
    for now in range(1000):
        timers.renew(session(), now=float(now))
        timers.due(float(now))
    assert len(timers._queue) == 1


steps = st.lists(
    st.tuples(st.sampled_from(["renew", "gone", "due"]), st.sampled_from(["a", "b", "c"]), st.floats(0, 15)),
    max_size=40,
)


@given(steps)
def test_never_early_never_forgotten(moves):
    """Against the plainest model: id -> when it ends."""
    timers, model, now = SessionTimers(), {}, 0.0
    for move, session_id, passed in moves:
        now += passed
        if move == "renew":
            timers.renew(session(session_id), now)
            model[session_id] = now + 20.0
        elif move == "gone":
            model.pop(session_id, None)
            timers.follow({kept: session(kept) for kept in model}, now)
        else:
            expected = {kept for kept, end in model.items() if end <= now}
            assert set(timers.due(now)) == expected
            model.update(dict.fromkeys(expected, now + AGAIN_S))
    following = timers.next_at()
    assert not model or (following is not None and following <= min(model.values()))
