import random

from meshagent.agent.gossip.member_table import MemberTable
from meshagent.agent.gossip.node import Node, NodeState
from meshagent.agent.gossip.serf_settings import SerfSettings
from meshagent.agent.gossip.upkeep import Upkeep


def pool(alive: int, failed: int, **tags: str) -> tuple[MemberTable, Upkeep]:
    members = MemberTable(prune_delay_s=8.0)
    for number in range(alive + failed):
        node = Node(f"n{number}", b"\x7f\0\0\1", number, state=NodeState.DEAD)
        members.joined(node, tags, 0.0)
        if number >= alive:
            members.departed(node, 0.0)
    upkeep = Upkeep(members, SerfSettings(reconnect_timeout_s=1000.0), random.Random(1))
    upkeep.start(0.0)
    return members, upkeep


def test_nothing_happens_before_its_time() -> None:
    _, upkeep = pool(1, 1)
    assert (upkeep.reap(14.9), upkeep.reconnect(29.9)) == ([], None)
    assert (upkeep.reap_at, upkeep.reconnect_at) == (15.0, 30.0)


def test_failed_members_are_forgotten_in_their_time() -> None:
    _, upkeep = pool(1, 1)
    assert upkeep.reap(990.0) == []
    assert upkeep.reap_at == 1005.0
    assert upkeep.reap(1005.0) == ["n1"]


def test_one_may_ask_for_another_time() -> None:
    _, upkeep = pool(0, 1, rc_tm="1m")
    assert (upkeep.reap(60.0), upkeep.reap(75.0)) == ([], ["n0"])
    _, upkeep = pool(0, 1, rc_tm="soon")
    assert upkeep.reap(100.0) == []
    assert upkeep.counts["dropped.reconnect_timeout"] == 1


def test_in_a_large_pool_each_member_tries_rarely() -> None:
    """About one of all members tries each failed one in an interval."""
    _, upkeep = pool(50, 1)
    tries = sum(upkeep.reconnect(30.0 * count) is not None for count in range(1, 5001))
    assert 60 < tries < 150


def test_alone_it_tries_every_time() -> None:
    _, upkeep = pool(1, 2)
    assert {upkeep.reconnect(30.0 * count).name for count in range(1, 40)} == {"n1", "n2"}
    _, upkeep = pool(3, 0)
    assert upkeep.reconnect(30.0) is None
