"""Who begins a cluster, with whom, and what the others must have promised."""

from __future__ import annotations

import pytest

from meshagent.agent.bootstrap import PROMISE_S, Promises, decide
from meshagent.agent.gossip.member import Member
from meshagent.agent.server_tags import ServerTags, read_server
from meshagent.catalog.raft.configuration import initial

IDS = [f"{digit}0000000-0000-0000-0000-000000000000" for digit in "12345"]


def server(number: int, *, expect: str = "3", **tags: str) -> ServerTags:
    found = read_server(
        Member(
            name=f"s{number}",
            addr=f"10.0.0.{number}",
            port=8301,
            tags={"role": "consul", "dc": "dc1", "id": IDS[number], "port": "8300", "expect": expect, **tags},
        ),
        "dc1",
    )
    assert found is not None
    return found


def test_the_one_with_the_lowest_id_begins_with_all_that_were_expected() -> None:
    servers = [server(number) for number in (2, 0, 1)]
    decision = decide(IDS[0], 3, servers)
    assert decision.configuration == initial({IDS[n]: f"10.0.0.{n}:8300" for n in range(3)})
    for other in IDS[1:3]:
        assert decide(other, 3, servers).configuration is None
        assert decide(other, 3, servers).reason == "s0 begins the cluster"


def test_it_waits_for_all() -> None:
    decision = decide(IDS[0], 3, [server(0), server(1)])
    assert (decision.configuration, decision.reason) == (None, "2 of 3 expected servers are here")


def test_more_than_expected_are_added_later() -> None:
    decision = decide(IDS[0], 3, [server(number) for number in range(5)])
    assert decision.configuration is not None
    assert len(decision.configuration.servers) == 3
    assert decide(IDS[4], 3, [server(number) for number in range(5)]).configuration is None


@pytest.mark.parametrize(
    ("odd", "words"),
    [
        (server(1, expect="5"), "s1 expects 5 servers, this one 3"),
        (server(1, expect="0", bootstrap="1"), "s1 has bootstrap set"),
    ],
)
def test_servers_that_disagree_begin_nothing(odd: ServerTags, words: str) -> None:
    decision = decide(IDS[0], 3, [server(0), odd, server(2), server(3)])
    assert decision.configuration is None
    assert decision.warn
    assert words in decision.reason


def test_one_that_expects_nothing_any_more_does_not_count() -> None:
    assert decide(IDS[0], 3, [server(0), server(1, expect="0"), server(2)]).configuration is None


def test_a_promise_is_for_one_set_of_servers() -> None:
    """Without it, four servers of which two pairs do not see each other begin two clusters."""
    one, two = initial({IDS[0]: "a:1", IDS[1]: "b:1"}), initial({IDS[1]: "b:1", IDS[2]: "c:1"})
    promises = Promises()
    assert promises.give(one, 0.0)
    assert promises.give(one, 1.0)
    assert not promises.give(two, 2.0)
    assert promises.holds(one, 2.0)
    assert not promises.holds(two, 2.0)
    assert not promises.holds(one, 1.0 + PROMISE_S)
    assert promises.give(two, 1.0 + PROMISE_S)
    assert not promises.give(one, 2.0 + PROMISE_S)
