import pytest

from meshagent.agent.gossip.flood import missing_in_wan
from meshagent.agent.gossip.member import Member, Status


def member(name: str, status: Status = Status.ALIVE, addr: str = "10.0.0.1", **tags: str) -> Member:
    return Member(name=name, addr=addr, port=8301, tags=tags, status=status)


def server(name: str, **more: str) -> Member:
    return member(name, **{"role": "consul", "dc": "dc1", "wan_join_port": "8302", **more})


def test_servers_that_are_only_in_the_lan_pool_are_joined() -> None:
    lan = [server("a"), server("b"), member("c", role="node", dc="dc1")]
    assert missing_in_wan(lan, [member("a.dc1")], "dc1") == [("10.0.0.1", 8302)]
    assert missing_in_wan(lan, [member("a.dc1"), member("b.dc1")], "dc1") == []


def test_one_that_is_down_in_the_wide_pool_but_lives_is_joined_again() -> None:
    assert missing_in_wan([server("b")], [member("b.dc1", Status.FAILED)], "dc1") == [("10.0.0.1", 8302)]


@pytest.mark.parametrize(
    "other",
    [
        server("x", dc="dc2"),
        server("x", wan_join_port=""),
        server("x", wan_join_port="0"),
        server("x", wan_join_port="99999"),
        server("x", wan_join_port="x"),
        server("x", role="node"),
        member("x", Status.FAILED, role="consul", dc="dc1", wan_join_port="8302"),
    ],
)
def test_others_are_not(other: Member) -> None:
    assert missing_in_wan([other], [], "dc1") == []
