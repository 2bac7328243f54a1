"""Wake-ups (surface row C12)."""

from hypothesis import given
from hypothesis import strategies as st

from meshagent.catalog.watch import Watches


def test_a_subscription_fires_once_at_the_flush():
    watches = Watches()
    calls: list[str] = []
    watches.subscribe([("service", "a"), "nodes"], lambda: calls.append("x"))
    watches.notify("nodes")
    watches.notify(("service", "a"))
    assert calls == []
    watches.flush()
    watches.notify("nodes")
    watches.flush()
    assert calls == ["x"]
    assert len(watches) == 0


def test_a_cancelled_subscription_never_fires_even_when_due():
    watches = Watches()
    calls: list[str] = []
    subscription = watches.subscribe(["nodes"], lambda: calls.append("x"))
    watches.notify("nodes")
    subscription.cancel()
    watches.flush()
    assert calls == []
    assert not subscription.active
    assert len(watches) == 0


def test_subscribing_again_in_the_callback_waits_for_the_next_change():
    watches = Watches()
    calls: list[int] = []

    def again() -> None:
        calls.append(1)
        watches.subscribe(["nodes"], again)

    watches.subscribe(["nodes"], again)
    watches.notify("nodes")
    watches.flush()
    assert calls == [1]
    watches.notify("nodes")
    watches.flush()
    assert calls == [1, 1]


@given(st.lists(st.text(max_size=3), max_size=8), st.text(max_size=4))
def test_exactly_the_prefixes_of_a_key_wake(prefixes, key):
    watches = Watches()
    woken: list[str] = []
    for prefix in prefixes:
        watches.subscribe([("kv-prefix", prefix)], lambda prefix=prefix: woken.append(prefix))
    watches.notify_key(key)
    watches.flush()
    assert sorted(woken) == sorted(prefix for prefix in prefixes if key.startswith(prefix))
    watches.notify_all()
    watches.flush()
    assert len(watches) == 0
    assert watches._prefix_lengths == {}
