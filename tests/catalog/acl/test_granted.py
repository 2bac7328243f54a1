"""What a token comes to: policies, roles, identities, datacenters."""

from __future__ import annotations

import pytest

from meshagent.catalog import commands
from meshagent.catalog.acl.authorizer import Authorizer
from meshagent.catalog.acl.granted import granted, rules_of, synthetic
from meshagent.catalog.acl.identities import TEMPLATES
from meshagent.catalog.acl.model import NodeIdentity, Policy, Role, ServiceIdentity, TemplatedPolicy, Token
from meshagent.catalog.store import Store
from meshagent.errors import BadRequest


@pytest.fixture
def store() -> Store:
    store = Store()
    store.execute(commands.AclPolicySet(Policy(id="p1", name="kv", rules='key_prefix "a/" { policy = "write" }')))
    store.execute(commands.AclPolicySet(Policy(id="p2", name="far", rules='operator = "write"', datacenters=("dc2",))))
    store.execute(
        commands.AclRoleSet(
            Role(
                id="r1", name="dev", policies=("p2", "gone"), service_identities=(ServiceIdentity(service_name="api"),)
            )
        )
    )
    return store


def test_a_role_adds_what_it_grants_and_what_is_gone_grants_nothing(store: Store) -> None:
    token = Token(accessor_id="t", policies=("p1", "missing"), roles=("r1", "missing"))
    found = granted(store.acl, token)
    assert [role.name for role in found.roles] == ["dev"]
    assert {policy.name for policy in found.policies if not policy.name.startswith("synthetic")} == {"kv", "far"}
    assert ("acl-policy", "gone") in found.topics and ("acl-role", "missing") in found.topics
    authorizer = Authorizer(rules_of(found.policies, "dc1"))
    assert authorizer.allows("key", "a/x", "write")
    assert authorizer.allows("service", "api-sidecar-proxy", "write")
    assert not authorizer.allows("operator", "", "read")
    assert Authorizer(rules_of(found.policies, "dc2")).allows("operator", "", "write")


def test_identities_count_in_their_datacenter(store: Store) -> None:
    token = Token(
        accessor_id="t",
        node_identities=(NodeIdentity(node_name="n1", datacenter="dc2"),),
        service_identities=(ServiceIdentity(service_name="web", datacenters=("dc1",)),),
        templated_policies=(TemplatedPolicy(template_name="builtin/dns"), TemplatedPolicy(template_name="unknown")),
    )
    policies = granted(store.acl, token).policies
    here, there = (Authorizer(rules_of(policies, dc)) for dc in ("dc1", "dc2"))
    assert here.allows("service", "web", "write") and not there.allows("service", "web", "write")
    assert there.allows("node", "n1", "write") and not here.allows("node", "n1", "write")
    assert here.allows("query", "any", "read")


def test_a_policy_that_does_not_parse_grants_nothing(store: Store) -> None:
    assert rules_of((Policy(id="x", rules="key {"),), "dc1") == ()


def test_a_synthetic_policy_is_named_by_its_rules() -> None:
    policy = synthetic(TEMPLATES["builtin/node"], "n")
    assert policy.id.startswith(policy.rules.encode().hex())
    with pytest.raises(BadRequest):
        synthetic(TEMPLATES["builtin/node"], "Bad Name")
