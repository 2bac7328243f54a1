"""Rows that are copied between datacenters: read back from what the API shows, they are the rows that are there."""

import json
from typing import Any

import pytest

from meshagent.agent.acl import shapes
from meshagent.agent.http.response import encode_json
from meshagent.agent.replicated import (
    config_entries,
    listed_policies,
    listed_roles,
    listed_tokens,
    one_policy,
    own_entries,
    own_policies,
    own_roles,
    own_tokens,
)
from meshagent.catalog import commands as c
from meshagent.catalog.acl.model import NodeIdentity, Policy, Role, ServiceIdentity, TemplatedPolicy, Token
from meshagent.catalog.entries.table import parse
from meshagent.catalog.store import Store
from meshagent.errors import InternalError, RemoteProtocolError

ENTRIES = [
    {"Kind": "service-defaults", "Name": "web", "Protocol": "http"},
    {"Kind": "mesh", "TransparentProxy": {"MeshDestinationsOnly": True}},
    {"Kind": "proxy-defaults", "Name": "global", "Config": {"protocol": "http"}},
    {"Kind": "service-intentions", "Name": "db", "Sources": [{"Name": "web", "Action": "allow"}]},
    {"Kind": "api-gateway", "Name": "edge", "Listeners": [{"Name": "l", "Port": 1, "Protocol": "http"}]},
    {"Kind": "exported-services", "Name": "default", "Services": [{"Name": "a", "Consumers": [{"Peer": "p"}]}]},
]


@pytest.fixture
def store() -> Store:
    store = Store()
    identities: dict[str, Any] = {
        "service_identities": (ServiceIdentity(service_name="web", datacenters=("dc1",)),),
        "node_identities": (NodeIdentity(node_name="n1", datacenter="dc1"),),
        "templated_policies": (TemplatedPolicy(template_name="builtin/service", name="api"),),
    }
    store.execute(
        c.AclPolicySet(Policy(id="p1", name="keys", rules='key "a" { policy = "read" }', datacenters=("dc1",)))
    )
    store.execute(c.AclRoleSet(Role(id="r1", name="ops", policies=("p1", "gone"), **identities)))
    for local in (False, True):
        token = Token(
            accessor_id=f"a{local}", secret_id=f"s{local}", description="d", policies=("p1",), roles=("r1",),
            expiration_time="2030-01-01T00:00:00Z", create_time="2026-01-01T00:00:00Z", local=local, **identities,
        )  # fmt: skip
        store.execute(c.AclTokenSet(token))
    for raw in ENTRIES:
        entry: Any = parse(raw)
        store.execute(c.ConfigEntrySet(entry, at="2026-01-01T00:00:00Z"))
    return store


def shown(rows: Any) -> bytes:
    return bytes(encode_json(rows))


def test_what_is_shown_reads_back_as_what_is_there(store: Store) -> None:
    tables = store.acl
    assert listed_policies(shown([shapes.listed_policy(row) for row in tables.policies.values()])) == own_policies(
        store
    )
    one = one_policy(shown(shapes.policy(tables.policies["p1"])))
    assert one == Policy(id="p1", name="keys", rules='key "a" { policy = "read" }', datacenters=("dc1",))
    roles = listed_roles(shown([shapes.role(tables, row) for row in tables.roles.values()]))
    assert roles == own_roles(store)
    assert roles["r1"].policies == ("p1",)  # a link to what is gone means nothing
    tokens = listed_tokens(shown([shapes.token(tables, row, secret=True) for row in tables.tokens.values()]))
    assert list(tokens) == ["aFalse"]  # local ones stay where they are
    assert tokens == own_tokens(store)
    entries = config_entries(shown(store.config.all()))
    assert entries == own_entries(store)
    assert {kind for kind, _ in entries} == {entry["Kind"] for entry in ENTRIES} - {"exported-services"}


def test_hidden_secrets_are_no_secrets(store: Store) -> None:
    rows = [shapes.token(store.acl, row, secret=False) for row in store.acl.tokens.values()]
    with pytest.raises(InternalError, match="acl:write"):
        listed_tokens(shown(rows))


@pytest.mark.parametrize("read", [listed_policies, one_policy, listed_roles, listed_tokens, config_entries])
@pytest.mark.parametrize("body", [b"", b"{", b"[1]", b'"x"', b"\xff", json.dumps([{"Kind": "mesh", "X": 1}]).encode()])
def test_what_cannot_be_read_is_refused(read: Any, body: bytes) -> None:
    try:
        read(body)
    except RemoteProtocolError:
        return
    except InternalError:
        return
