"""One type of one stream; tests/connect/envoy/test_delta.py has whole streams."""

from __future__ import annotations

from meshagent.connect.envoy.subscription import ABSENT, Batch, Subscription
from meshagent.connect.envoy.versioned import Versioned

HELD = {name: Versioned({"name": name}) for name in "abcd"}


def asked(*names: str, first: bool = True, legacy: bool = False, **versions: str) -> Subscription:
    made = Subscription()
    made.subscribe(names, first=first, legacy=legacy, versions=versions)
    return made


def sent(subscription: Subscription, *names: str, removed: tuple[str, ...] = ()) -> None:
    subscription.flying = Batch("1", {name: HELD[name] for name in names}, removed)


def test_what_is_wanted() -> None:
    assert asked(legacy=True).wildcard
    assert asked("*").wildcard
    assert not asked().wildcard
    assert not asked("a", legacy=True).wildcard
    both = asked("*", "a")
    assert set(both.changes(HELD)) == set(HELD)
    both.unsubscribe(["*"])
    assert set(both.changes(HELD)) == {"a"}


def test_who_says_what_he_has_is_told_the_rest() -> None:
    one = asked("*", a=HELD["a"].version, b="old", x="gone")
    one.know(HELD)
    assert set(one.changes(HELD)) == {"b", "c", "d"}
    assert one.removals(HELD) == ["x"]


def test_what_is_taken_is_told() -> None:
    one = asked("a", "x")
    sent(one, "a", removed=("x",))
    one.accepted()
    assert one.told == {"a": HELD["a"], "x": ABSENT}
    assert not one.changes(HELD)
    assert not one.removals(HELD)


def test_halves_find_what_is_bad() -> None:
    one = asked("*")
    sent(one, "a", "b", "c", "d")
    assert one.refused() == ()
    seen = []
    while changed := one.batch(one.changes(HELD)):
        seen.append(sorted(changed))
        sent(one, *changed)
        if "c" in changed:
            one.refused()
        else:
            one.accepted()
    assert seen == [["a", "b"], ["c", "d"], ["c"], ["d"]]
    assert one.rejected == {"c": HELD["c"].version}
    assert not one.unsure
    assert set(one.told) == {"a", "b", "d"}


def test_a_removal_beside_what_is_bad_is_sent_alone() -> None:
    one = asked("*", x="1")
    sent(one, "a", removed=("x",))
    assert one.refused() == ("a",)
    assert one.again == {"x"}
    sent(one, removed=("x",))
    assert one.refused() == ()
    assert not one.removals(HELD), "it is not offered without end"


def test_what_is_let_go_while_it_is_under_way_is_not_held() -> None:
    one = asked("a", "b")
    sent(one, "a", "b")
    one.unsubscribe(["a"])
    one.accepted()
    assert set(one.told) == {"b"}


def test_an_acknowledgement_of_nothing_is_nothing() -> None:
    one = asked("a")
    one.accepted()
    assert one.refused() == ()
    assert not one.answered
