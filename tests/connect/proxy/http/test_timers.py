"""The timer wheel against the plain definition: never early, at most a step late, cancelled ones never."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from meshtest.http7 import Now

from meshagent.connect.proxy.http.timers import STEP_S, TimerWheel


@given(st.lists(st.tuples(st.floats(0, 5), st.booleans()), max_size=30), st.lists(st.floats(0, 1), max_size=30))
def test_each_fires_once_in_its_time(timers: list[tuple[float, bool]], steps: list[float]) -> None:
    now = Now()
    wheel = TimerWheel(now)
    fired: dict[int, float] = {}
    started = now.time
    handles = []
    for at, (delay, _) in enumerate(timers):
        handles.append(wheel.after(delay, lambda at=at: fired.setdefault(at, now.time)))
    for handle, (_, cancelled) in zip(handles, timers, strict=True):
        if cancelled:
            handle.cancel()
    for step in [*steps, 10.0]:
        before, now.time = now.time, now.time + step
        had = set(fired)
        wheel.advance()
        for at in fired.keys() - had:
            due = started + timers[at][0]
            assert before - 2 * STEP_S < due <= now.time
    assert set(fired) == {at for at, (_, cancelled) in enumerate(timers) if not cancelled}
    assert not wheel.pending


def test_the_first_timer_wakes_the_edge_and_one_may_set_another() -> None:
    now = Now()
    woken: list[float] = []
    wheel = TimerWheel(now, lambda: woken.append(now.time))
    fired: list[str] = []
    wheel.after(1.0, lambda: wheel.after(1.0, lambda: fired.append("second")))
    wheel.after(1.0, lambda: fired.append("first"))
    assert len(woken) == 1
    now.time += 1.1
    wheel.advance()
    assert fired == ["first"]
    now.time += 1.1
    wheel.advance()
    assert fired == ["first", "second"]
    wheel.after(1.0, lambda: None).cancel()
    now.time += 2
    wheel.advance()
    assert not wheel.pending
