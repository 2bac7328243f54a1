"""Surface row A3: the tags of a member."""

from meshtest.inprocess import server_config

from meshagent.agent.membership import member_tags


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
