from __future__ import annotations

from collections import Counter
from random import Random

import msgspec
from meshtest.gossipmachine import peer

from meshagent.agent.gossip.members import MemberTable
from meshagent.agent.gossip.node import NodeState

NAMES = [f"n{number}" for number in range(20)]


def table(*names: str, seed: int = 1) -> MemberTable:
    made = MemberTable(Random(seed))
    for name in names:
        made.put(peer(name), 0)
    return made


def put(made: MemberTable, name: str, state: NodeState, now: float) -> None:
    made.put(msgspec.structs.replace(made.nodes[name], state=state), now)


def test_it_counts_who_is_up() -> None:
    made = table("a", "b", "c")
    put(made, "a", NodeState.SUSPECT, 1)
    put(made, "b", NodeState.DEAD, 1)
    assert (len(made), made.up_count) == (3, 2)
    put(made, "b", NodeState.ALIVE, 2)
    assert made.up_count == 3


def test_it_knows_since_when() -> None:
    made = table("a")
    put(made, "a", NodeState.SUSPECT, 5)
    put(made, "a", NodeState.SUSPECT, 6)
    assert made.changed == {"a": 5}
    put(made, "a", NodeState.DEAD, 7)
    assert made.changed == {"a": 7}
    put(made, "a", NodeState.ALIVE, 8)
    assert made.changed == {}


def test_a_round_asks_each_once_but_ourselves() -> None:
    made = table("me", *NAMES)
    for _ in range(3):
        asked = [made.next_to_probe("me", 0, 30) for _ in NAMES]
        assert sorted(node.name for node in asked if node) == sorted(NAMES)


def test_rounds_differ() -> None:
    made = table("me", *NAMES)
    rounds = [tuple(made.next_to_probe("me", 0, 30).name for _ in NAMES) for _ in range(5)]  # type: ignore[union-attr]
    assert len(set(rounds)) == 5


def test_with_nobody_else_nobody_is_asked() -> None:
    made = table("me", "gone")
    put(made, "gone", NodeState.LEFT, 0)
    assert made.next_to_probe("me", 1, 30) is None


def test_the_long_dead_are_forgotten_between_rounds() -> None:
    made = table("me", "a", "b", "c")
    put(made, "a", NodeState.DEAD, 10)
    put(made, "b", NodeState.LEFT, 20)
    put(made, "c", NodeState.SUSPECT, 0)
    for _ in range(4):
        made.next_to_probe("me", 45, 30)
    assert set(made.nodes) == {"me", "b", "c"}
    assert made.changed == {"b": 20, "c": 0}
    for _ in range(4):
        made.next_to_probe("me", 51, 30)
    assert set(made.nodes) == {"me", "c"}


def test_we_are_not_forgotten_even_when_we_left() -> None:
    made = table("me", "a")
    put(made, "me", NodeState.LEFT, 0)
    for _ in range(5):
        made.next_to_probe("me", 1000, 30)
    assert "me" in made.nodes


def test_chance_is_fair() -> None:
    made = table(*NAMES)
    drawn = Counter(node.name for _ in range(4000) for node in made.draw(3, lambda node: True))
    assert set(drawn) == set(NAMES)
    assert max(drawn.values()) < 1.25 * min(drawn.values())


def test_a_draw_is_of_different_wanted_nodes() -> None:
    made = table(*NAMES)
    for _ in range(100):
        found = made.draw(5, lambda node: node.name != "n3")
        assert len({node.name for node in found}) == len(found) <= 5
        assert all(node.name != "n3" for node in found)
    assert made.draw(3, lambda node: False) == []
    assert table().draw(3, lambda node: True) == []
    assert len(table("a").draw(3, lambda node: True)) == 1


def test_a_new_node_comes_at_a_random_place_of_the_round() -> None:
    places = set()
    for seed in range(40):
        made = table(*NAMES, seed=seed)
        made.put(peer("new"), 0)
        places.add(made._ring.index("new"))
    assert len(places) > 10
