"""Binding rules: whom they match and what they give."""

from __future__ import annotations

from typing import Any

import pytest

from meshagent.agent.acl.binding import bind, check_rule
from meshagent.agent.acl.methods import Claims
from meshagent.catalog import commands
from meshagent.catalog.acl.model import AuthMethod, BindingRule, Policy, Role
from meshagent.catalog.store import Store
from meshagent.errors import InternalError

METHOD = AuthMethod(name="m", type="jwt", config={"ClaimMappings": {"u": "user"}, "ListClaimMappings": {"g": "groups"}})
BOB = Claims(value={"user": "Bob"}, list={"groups": ("dev",)})


def given(*rules: dict[str, Any]) -> Store:
    store = Store()
    store.execute(commands.AclMethodSet(METHOD))
    store.execute(commands.AclPolicySet(Policy(id="p", name="pol-Bob")))
    store.execute(commands.AclRoleSet(Role(id="r", name="role")))
    for number, rule in enumerate(rules):
        store.execute(commands.AclBindingRuleSet(BindingRule(id=f"r{number}", auth_method="m", **rule)))
    return store


def bound(*rules: dict[str, Any]) -> Any:
    return bind(given(*rules).acl, METHOD, BOB, "dc1")


def test_every_kind_gives_its_own() -> None:
    found = bound(
        {"bind_type": "service", "bind_name": "svc-${value.user}"},
        {"bind_type": "node", "bind_name": "node-${ value.user }"},
        {"bind_type": "policy", "bind_name": "pol-${value.user}"},
        {"bind_type": "role", "bind_name": "role"},
        {"bind_type": "templated-policy", "bind_name": "builtin/service", "bind_vars": {"name": "${value.user}"}},
    )
    assert [one.service_name for one in found.services] == ["svc-bob"]
    assert [(one.node_name, one.datacenter) for one in found.nodes] == [("node-bob", "dc1")]
    assert list(found.policies) == ["p"] and list(found.roles) == ["r"]
    assert [(one.template_name, one.name) for one in found.templated] == [("builtin/service", "bob")]


@pytest.mark.parametrize(
    ("selector", "matches"),
    [("", True), ("value.user == Bob", True), ("value.user == bob", False), ('"dev" in list.groups', True),
     ('"ops" in list.groups', False), ("value.gone == x", False)],
)  # fmt: skip
def test_a_selector_decides(selector: str, matches: bool) -> None:
    assert bool(bound({"bind_type": "role", "bind_name": "role", "selector": selector})) is matches


def test_roles_and_policies_that_are_missing_give_nothing() -> None:
    assert not bound({"bind_type": "role", "bind_name": "gone"}, {"bind_type": "policy", "bind_name": "gone"})


def test_a_name_that_cannot_be_one_ends_the_login() -> None:
    claims = Claims(value={"user": "x; y"})
    store = given({"bind_type": "service", "bind_name": "svc-${value.user}"})
    with pytest.raises(InternalError, match="invalid bind name"):
        bind(store.acl, METHOD, claims, "dc1")


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"bind_name": "x"}, "no BindType"),
        ({"bind_type": "service"}, "no BindName"),
        ({"bind_type": "zork", "bind_name": "x"}, "unknown BindType"),
        ({"bind_type": "service", "bind_name": "a b"}, "invalid bind name"),
        ({"bind_type": "service", "bind_name": "${value.nope}"}, "unknown variable accessed: value.nope"),
        ({"bind_type": "service", "bind_name": "x", "selector": "bad ="}, "Selector is invalid"),
        ({"bind_type": "service", "bind_name": "x", "bind_vars": {"name": "x"}}, "BindVars cannot be set"),
        ({"bind_type": "templated-policy", "bind_name": "zork"}, "does not match existing template"),
    ],
)
def test_rules_that_cannot_be(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(InternalError, match=words):
        check_rule(BindingRule(id="x", auth_method="m", **fields), METHOD)
