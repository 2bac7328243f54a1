import random

from hypothesis import given
from hypothesis import strategies as st

from meshagent.agent.checks.schedule import Lane, Schedule


def keys(taken):
    return [entry.key for entry in taken.entries]


def make(sockets=10, processes=10):
    return Schedule({Lane.SOCKET: sockets, Lane.PROCESS: processes})


def test_what_is_due_comes_in_order_of_time():
    schedule = make()
    for key, due in (("c", 3.0), ("a", 1.0), ("b", 2.0), ("d", 9.0)):
        schedule.add(key, Lane.SOCKET, due)
    assert schedule.next_due() == 1.0
    assert keys(schedule.take(3.0, 100)) == ["a", "b", "c"]
    assert schedule.next_due() == 9.0
    assert len(schedule) == 4


def test_a_running_entry_is_not_due_until_it_has_finished():
    """K2: runs never overlap."""
    schedule = make()
    entry = schedule.add("a", Lane.SOCKET, 1.0)
    schedule.take(1.0, 100)
    assert entry.running
    schedule.move(entry, 2.0)
    assert keys(schedule.take(1000.0, 100)) == []
    schedule.finish(entry, 1010.0)
    assert keys(schedule.take(1009.0, 100)) == []
    assert keys(schedule.take(1010.0, 100)) == ["a"]


def test_a_lane_takes_no_more_than_its_limit_and_the_rest_wait_their_turn():
    schedule = make(sockets=2)
    entries = [schedule.add(str(n), Lane.SOCKET, float(n)) for n in range(5)]
    schedule.add("script", Lane.PROCESS, 4.5)
    assert keys(schedule.take(10.0, 100)) == ["0", "1", "script"]
    assert schedule.in_flight(Lane.SOCKET) == 2
    assert not schedule.take(10.0, 100).more
    assert schedule.finish(entries[1], 100.0)
    assert keys(schedule.take(10.0, 100)) == ["2"]
    assert schedule.finish(entries[0], 100.0)
    assert schedule.finish(entries[2], 100.0)
    assert keys(schedule.take(10.0, 100)) == ["3", "4"]
    assert not schedule.finish(entries[3], 100.0)


def test_a_slice_ends_after_its_steps_and_says_that_there_is_more():
    schedule = make(sockets=1000, processes=1000)
    for n in range(40):
        schedule.add(f"s{n}", Lane.SOCKET, 0.0)
    first = schedule.take(1.0, 16)
    assert (len(first.entries), first.more, first.steps) == (16, True, 16)
    assert len(schedule.take(1.0, 16).entries) == 16
    last = schedule.take(1.0, 16)
    assert (len(last.entries), last.more) == (8, False)


def test_starting_a_program_fills_a_slice():
    schedule = make()
    for n in range(3):
        schedule.add(f"p{n}", Lane.PROCESS, 0.0)
    assert [len(schedule.take(1.0, 16).entries) for _ in range(4)] == [1, 1, 1, 0]


def test_a_removed_entry_never_comes_but_keeps_its_place_while_it_runs():
    schedule = make(sockets=1)
    running, queued, waiting = (schedule.add(key, Lane.SOCKET, 0.0) for key in "abc")
    schedule.take(0.0, 2)
    for entry in (running, queued, waiting):
        schedule.remove(entry)
        schedule.remove(entry)
    assert len(schedule) == 0
    schedule.add("d", Lane.SOCKET, 0.0)
    assert keys(schedule.take(1.0, 100)) == []
    schedule.finish(running, 5.0)
    assert keys(schedule.take(1.0, 100)) == ["d"]
    assert keys(schedule.take(1000.0, 100)) == []


def test_moving_later_leaves_the_heap_alone_and_moving_earlier_counts():
    """K14: a TTL check that hears from its service each second."""
    schedule = make()
    entry = schedule.add("ttl", Lane.AT_ONCE, 10.0)
    for second in range(1000):
        schedule.move(entry, second + 10.0)
    assert len(schedule._heap) == 1
    assert keys(schedule.take(500.0, 100)) == []
    schedule.move(entry, 501.0)
    assert keys(schedule.take(500.5, 100)) == []
    assert keys(schedule.take(501.0, 100)) == ["ttl"]
    schedule.finish(entry, None)
    assert keys(schedule.take(5000.0, 100)) == []
    schedule.move(entry, 5001.0)
    assert keys(schedule.take(5001.0, 100)) == ["ttl"]


def test_the_heap_is_cleared_of_what_was_removed():
    schedule = make()
    keep = schedule.add("keep", Lane.SOCKET, 5.0)
    for n in range(50_000):
        schedule.remove(schedule.add(str(n), Lane.SOCKET, 10_000.0 + n))
    assert len(schedule._heap) < 2000
    assert keys(schedule.take(5.0, 100)) == ["keep"]
    assert keep.running


def test_ten_thousand_checks_spread_evenly_within_bounds():
    """K2, simulated: 10,000 checks each 10 s, probes of 5 ms, 5 % of them hanging for 10 s, in slices of 16 steps.

    What the loop does in one go is counted in operations, so the figures are the same on every machine.
    """
    rng = random.Random(1)
    schedule = make(sockets=512)
    count, interval, tick = 10_000, 10.0, 0.01
    lasts = {}
    for n in range(count):
        key = str(n)
        lasts[key] = 10.0 if n % 20 == 0 else 0.005
        schedule.add(key, Lane.SOCKET, rng.random() * interval)
    runs = dict.fromkeys(lasts, 0)
    in_second = [0] * 60
    ends = {}
    slices_at_once = 0
    most_steps = most_in_flight = 0
    for step in range(6000):
        now = step * tick
        for entry in ends.pop(step, ()):
            schedule.finish(entry, now + interval)
        slices = 0
        while True:
            taken = schedule.take(now, 16)
            slices += 1
            most_steps = max(most_steps, taken.steps)
            for entry in taken.entries:
                runs[entry.key] += 1
                in_second[int(now)] += 1
                ends.setdefault(step + max(1, round(lasts[entry.key] / tick)), []).append(entry)
            most_in_flight = max(most_in_flight, schedule.in_flight(Lane.SOCKET))
            if not taken.more:
                break
        slices_at_once = max(slices_at_once, slices)
    assert most_steps <= 16
    assert most_in_flight <= 512
    assert slices_at_once <= 4  # never more than a few slices in a hundredth of a second
    assert min(in_second) > 850
    assert max(in_second) < 1100
    healthy = [runs[key] for key in runs if lasts[key] < 1]
    assert min(healthy) >= 5
    assert max(healthy) <= 6
    assert min(runs.values()) >= 2  # the hanging ones have their turn, too


@given(st.lists(st.tuples(st.sampled_from("amrftz"), st.integers(0, 5), st.integers(0, 20)), max_size=80))
def test_no_entry_runs_early_twice_or_is_lost(steps):
    schedule = Schedule({Lane.SOCKET: 2})
    now = 0.0
    entries, due, running = {}, {}, set()
    for what, number, when in steps:
        key = str(number)
        if what == "a" and key not in entries:
            entries[key], due[key] = schedule.add(key, Lane.SOCKET, now + when), now + when
        elif what == "m" and key in entries and key not in running:
            if entries[key]._state.name != "QUEUED":
                due[key] = now + when
            schedule.move(entries[key], now + when)
        elif what == "r" and key in entries and key not in running:
            schedule.remove(entries.pop(key))
            due.pop(key)
        elif what == "f" and key in running:
            running.discard(key)
            schedule.finish(entries[key], now + when)
            due[key] = now + when
        elif what == "z":
            now += when
        elif what == "t":
            for entry in schedule.take(now, 100).entries:
                assert entry.key not in running
                assert due[entry.key] <= now
                running.add(entry.key)
            assert len(running) <= 2
            if len(running) < 2:
                assert all(due[key] > now for key in entries if key not in running)
