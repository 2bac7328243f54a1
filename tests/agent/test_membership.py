"""Surface rows A3, A18, A20: the agent that is alone, and the tags of a member."""

import socket

import pytest
from meshtest.inprocess import server_config

from meshagent.agent.membership import alone, member_tags
from meshagent.errors import InternalError


def test_a3_tags_of_a_server_and_of_a_client():
    config = server_config()
    tags = member_tags(config, "n1", "id")
    assert (tags["role"], tags["port"], tags["bootstrap"], tags["grpc_tls_port"]) == ("consul", "8300", "1", "8503")
    three = member_tags(config.replace(bootstrap_expect=3), "n1", "id")
    assert three["expect"] == "3"
    assert "bootstrap" not in three
    client = member_tags(config.replace(server=False), "n1", "id")
    assert client["role"] == "node"
    assert not {"port", "bootstrap", "expect", "raft_vsn"} & set(client)


def test_a3_a_client_is_not_in_the_wide_pool():
    client = alone(server_config(server=False), "n1", "id")
    assert client.members(wan=True) == []
    assert client.stats(wan=True)["members"] == "0"


async def test_a18_a_join_where_nobody_listens_fails_in_gos_words():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        with pytest.raises(InternalError) as raised:
            await alone(server_config(), "n1", "id").join(f"127.0.0.1:{port}")
    assert str(raised.value) == (
        f"1 error occurred:\n\t* Failed to join 127.0.0.1:{port}: "
        f"dial tcp 127.0.0.1:{port}: connect: connection refused\n\n"
    )


@pytest.mark.parametrize(("address", "shown"), [("", ""), ("127.0.0.1:x", "127.0.0.1:x")])
async def test_a18_what_cannot_be_resolved_is_named(address, shown):
    with pytest.raises(InternalError, match=f"Failed to resolve {shown}: lookup"):
        await alone(server_config(), "n1", "id").join(address)


async def test_a18_somebody_who_does_not_gossip_is_no_peer():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        with pytest.raises(InternalError, match="not built yet"):
            await alone(server_config(), "n1", "id").join(f"127.0.0.1:{listener.getsockname()[1]}")


async def test_a20_only_members_can_be_forced_to_leave():
    membership = alone(server_config(), "n1", "id")
    await membership.force_leave("n1")
    with pytest.raises(InternalError, match="No node found with name 'zz'"):
        await membership.force_leave("zz")
