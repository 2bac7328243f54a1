"""Replicated tables of access control: uniqueness, what goes with what, bootstrap, snapshots."""

from __future__ import annotations

from typing import Any

import pytest

from meshagent.catalog import commands
from meshagent.catalog.acl.builtin import management_token
from meshagent.catalog.acl.model import AuthMethod, BindingRule, Policy, Role, Token
from meshagent.catalog.store import Store
from meshagent.errors import Denied, InternalError

A, B, C = (f"{digit * 8}-0000-4000-8000-000000000000" for digit in "abc")


def token(accessor: str = A, secret: str = B, **fields: Any) -> Token:
    return Token(accessor_id=accessor, secret_id=secret, **fields)


def test_a_secret_is_found_by_its_digest_and_belongs_to_one_token() -> None:
    store = Store()
    store.execute(commands.AclTokenSet(token(), create=True))
    found = store.acl.by_secret(B)
    assert found is not None and found.accessor_id == A
    assert store.acl.by_secret(A) is None
    with pytest.raises(InternalError, match="SecretID is already in use"):
        store.execute(commands.AclTokenSet(token(accessor=C)))
    with pytest.raises(InternalError, match="AccessorID is already in use"):
        store.execute(commands.AclTokenSet(token(secret=C), create=True))
    assert store.execute(commands.AclTokensDelete((A, C))) == 1
    assert store.acl.by_secret(B) is None
    assert store.acl.index("tokens") == store.index


def test_an_update_keeps_where_it_began_and_moves_the_secret() -> None:
    store = Store()
    created, _ = store.execute(commands.AclTokenSet(token(), create=True))
    assert store.execute(commands.AclTokenSet(token(secret=C))) == (created, created + 1)
    assert store.acl.by_secret(B) is None
    assert store.acl.by_secret(C) is not None


def test_the_first_token_is_made_once_and_again_by_who_knows_the_index() -> None:
    store = Store()
    first = management_token(A, B, "first", "2026-01-01T00:00:00Z")
    _, index = store.execute(commands.AclBootstrap(first))
    again = management_token(C, C, "again", "2026-01-01T00:00:00Z")
    for reset in (0, index + 1):
        with pytest.raises(Denied, match=rf"no longer allowed \(reset index: {index}\)"):
            store.execute(commands.AclBootstrap(again, reset))
    _, later = store.execute(commands.AclBootstrap(again, index))
    assert store.acl.bootstrap_index == later
    with pytest.raises(Denied):
        store.execute(commands.AclBootstrap(again, index))


def test_names_of_policies_and_roles_are_unique_and_free_again() -> None:
    store = Store()
    store.execute(commands.AclPolicySet(Policy(id=A, name="p")))
    with pytest.raises(InternalError, match='A Policy with Name "p" already exists'):
        store.execute(commands.AclPolicySet(Policy(id=B, name="p")))
    store.execute(commands.AclPolicySet(Policy(id=A, name="q")))
    store.execute(commands.AclPolicySet(Policy(id=B, name="p")))
    with pytest.raises(InternalError, match='A policy with name "p" already exists'):
        store.execute(commands.AclPolicySet(Policy(id=A, name="p")))
    assert store.execute(commands.AclPolicyDelete(B)) is True
    assert store.execute(commands.AclPolicyDelete(B)) is False
    assert store.acl.policy_named("p") is None
    store.execute(commands.AclRoleSet(Role(id=A, name="r")))
    with pytest.raises(InternalError, match='A Role with Name "r" already exists'):
        store.execute(commands.AclRoleSet(Role(id=B, name="r")))
    assert store.execute(commands.AclRoleDelete(A)) is True


def test_a_method_takes_its_rules_and_tokens_with_it() -> None:
    store = Store()
    store.execute(commands.AclMethodSet(AuthMethod(name="m", type="jwt")))
    store.execute(commands.AclMethodSet(AuthMethod(name="n", type="jwt")))
    store.execute(commands.AclBindingRuleSet(BindingRule(id=A, auth_method="m")))
    store.execute(commands.AclBindingRuleSet(BindingRule(id=B, auth_method="n")))
    store.execute(commands.AclTokenSet(token(auth_method="m"), create=True))
    with pytest.raises(InternalError, match="immutable"):
        store.execute(commands.AclMethodSet(AuthMethod(name="m", type="kubernetes")))
    assert store.execute(commands.AclMethodDelete("m")) is True
    assert [rule.id for rule in store.acl.rules.values()] == [B]
    assert store.acl.tokens == {}
    with pytest.raises(InternalError, match="cannot find auth method"):
        store.execute(commands.AclTokenSet(token(auth_method="m"), create=True))
    with pytest.raises(InternalError, match="cannot find auth method"):
        store.execute(commands.AclBindingRuleSet(BindingRule(id=A, auth_method="m")))


def test_the_time_of_use_only_goes_forward_and_moves_no_index() -> None:
    store = Store()
    store.execute(commands.AclTokenSet(token(), create=True))
    index = store.acl.index("tokens")
    store.execute(commands.AclTokensUsed(((A, "2026-02-01T00:00:00Z"), (C, "2026-02-01T00:00:00Z"))))
    store.execute(commands.AclTokensUsed(((A, "2026-01-01T00:00:00Z"),)))
    assert store.acl.used == {A: "2026-02-01T00:00:00Z"}
    assert store.acl.index("tokens") == index


def test_a_snapshot_holds_all_of_it() -> None:
    store = Store()
    store.execute(commands.AclBootstrap(token(expiration_time="2030-01-01T00:00:00Z")))
    store.execute(commands.AclPolicySet(Policy(id=A, name="p", rules='acl = "read"')))
    store.execute(commands.AclRoleSet(Role(id=A, name="r", policies=(A,))))
    store.execute(commands.AclMethodSet(AuthMethod(name="m", type="jwt", config={"BoundIssuer": "x"})))
    store.execute(commands.AclBindingRuleSet(BindingRule(id=A, auth_method="m", bind_vars={"name": "x"})))
    store.execute(commands.AclTokensUsed(((A, "2026-02-01T00:00:00Z"),)))
    other = Store()
    other.restore(store.snapshot())
    assert other.digest() == store.digest()
    assert other.acl.by_secret(B) == store.acl.by_secret(B)
    assert other.acl.role_named("r") == store.acl.role_named("r")
    assert other.acl.expiring == store.acl.expiring
    assert other.acl.used == store.acl.used
    assert other.acl.bootstrap_index == store.acl.bootstrap_index


def test_watchers_are_told_of_their_own_row() -> None:
    store = Store()
    store.execute(commands.AclTokenSet(token(), create=True))
    store.flush()
    told: list[str] = []
    store.watches.subscribe([("acl-token", A)], lambda: told.append("a"))
    store.watches.subscribe([("acl-token", C)], lambda: told.append("c"))
    store.execute(commands.AclTokensDelete((A,)))
    store.flush()
    assert told == ["a"]
