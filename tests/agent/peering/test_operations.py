"""The endpoints' own tests are in tests/agent/http/test_peering.py."""

from __future__ import annotations

import pytest

from meshagent.agent.peering.operations import check_name, new_secret, own_addresses, server_name
from meshagent.catalog.commands import Register
from meshagent.catalog.model import Node, Service
from meshagent.catalog.store import Store
from meshagent.errors import InternalError
from meshagent.ids import is_uuid


@pytest.mark.parametrize("name", ["a", "a-b", "0", "a" * 63])
def test_names_of_peers(name: str) -> None:
    check_name(name)


@pytest.mark.parametrize("name", ["", "-a", "a-", "A", "a.b", "a_b", "a b", "a\n", "a" * 64, "ä"])
def test_what_is_no_name_is_told(name: str) -> None:
    with pytest.raises(InternalError, match="is not a valid peer name"):
        check_name(name)


def test_servers_are_reached_from_the_wan_on_their_port_for_grpc_with_tls() -> None:
    store = Store()
    for name, tagged, meta in (
        ("s1", {"wan": "198.51.100.1"}, {"grpc_tls_port": "8503"}),
        ("s2", None, {"grpc_tls_port": "8503"}),
        ("s3", {"wan": "2001:db8::3"}, {"grpc_tls_port": "443"}),
        ("s4", None, {}),
        ("s5", None, {"grpc_tls_port": "-1"}),
    ):
        node = Node(name=name, address="10.0.0.9", tagged_addresses=tagged)
        store.execute(Register(node, Service(id="consul", name="consul", meta=meta)))
    assert own_addresses(store) == ("198.51.100.1:8503", "10.0.0.9:8503", "[2001:db8::3]:443")


def test_secrets_are_random_uuids() -> None:
    made = {new_secret() for _ in range(8)}
    assert len(made) == 8
    assert all(is_uuid(secret) for secret in made)


def test_the_name_that_servers_show() -> None:
    assert server_name("dc1", "11.consul") == "server.dc1.peering.11.consul"
