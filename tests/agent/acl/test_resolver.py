"""Tokens become rights, are kept, and lose them the moment a row changes."""

from __future__ import annotations

from typing import Any

import pytest
from meshtest.inprocess import MANAGER, InProcess, guarded_config

from meshagent.agent.acl.access import is_not_found
from meshagent.agent.acl.resolver import Authorizers, Resolver
from meshagent.catalog.acl.rules import Rule
from meshagent.catalog.store import Store
from meshagent.errors import Denied


@pytest.fixture
async def world() -> Any:
    running = InProcess(config=guarded_config())
    await running.start()
    yield running
    await running.stop()


def resolver(world: InProcess) -> Resolver:
    found: Resolver = world.agent.extras["acl"].resolver
    return found


async def test_one_answer_until_a_row_changes(world: InProcess) -> None:
    accessor, secret = await world.token('key "a" { policy = "read" }')
    first = resolver(world).resolve(secret)
    assert resolver(world).resolve(secret) is first
    assert first.access.accessor == accessor
    ended: list[bool] = []
    first.listeners.append(lambda: ended.append(True))
    policy = world.store.acl.tokens[accessor].policies[0]
    name = world.store.acl.policies[policy].name
    await world.put(f"/v1/acl/policy/{policy}", {"Name": name, "Rules": 'key "a" { policy = "write" }'})
    assert ended == [True] and first.stale
    assert resolver(world).resolve(secret).access.allows("key", "write", "a")
    await world.ask("DELETE", f"/v1/acl/token/{accessor}")
    with pytest.raises(Denied, match="ACL not found"):
        resolver(world).resolve(secret)


async def test_tokens_that_may_the_same_share_an_authorizer(world: InProcess) -> None:
    _, one = await world.token('key "a" { policy = "read" }')
    _, other = await world.token('key "a" { policy = "read" }')
    assert resolver(world).resolve(one).access.authorizer is resolver(world).resolve(other).access.authorizer


async def test_who_manages_sees_all_unless_something_is_denied(world: InProcess) -> None:
    assert resolver(world).resolve(MANAGER).access.sees_all
    await world.put("/v1/acl/policy", {"Name": "no", "Rules": 'key "a" { policy = "deny" }'})
    body = {"Policies": [{"Name": "global-management"}, {"Name": "no"}]}
    secret = (await world.put("/v1/acl/token", body)).json["SecretID"]
    access = resolver(world).resolve(secret).access
    assert not access.sees_all and access.allows("key", "write", "b") and not access.allows("key", "read", "a")


async def test_a_token_ends_with_its_time(world: InProcess) -> None:
    _, secret = await world.token('key "a" { policy = "read" }', ExpirationTTL="2m")
    identity = resolver(world).resolve(secret)
    await world.clock.advance(121)
    with pytest.raises(Denied):
        resolver(world).resolve(secret)
    resolver(world).sweep(world.clock.now())
    assert identity.stale


async def test_the_anonymous_token_may_be_named(world: InProcess) -> None:
    assert resolver(world).resolve("").access.anonymous
    assert resolver(world).resolve("anonymous") is resolver(world).resolve("")


async def test_the_recovery_token_counts_on_its_agent_alone(world: InProcess) -> None:
    world.agent.extras["acl_tokens"].set("agent_recovery", "rescue")
    access = resolver(world).resolve("rescue").access
    assert access.allows("agent", "write", "n1") and access.allows("node", "read", "any")
    assert not access.allows("agent", "write", "n2") and not access.allows("operator", "read")


async def test_a_default_of_allow_gives_no_acls() -> None:
    world = InProcess(config=guarded_config(default_policy="allow"))
    await world.start()
    access = resolver(world).resolve("").access
    assert access.allows("key", "write", "a") and not access.allows("acl", "read")
    await world.stop()


def test_authorizers_are_shared_by_rules_in_any_order() -> None:
    kept = Authorizers(default_allow=False)
    one, two = Rule("key", "a", True, "read"), Rule("key", "b", True, "read")
    assert kept.of((one, two)) is kept.of((two, one))
    assert kept.of((one,)) is not kept.of((two,))


async def test_before_the_first_token_is_made_that_is_said() -> None:
    running = InProcess(config=guarded_config())
    tokens = running.agent.extras["acl"].resolver._tokens
    empty = Resolver(
        Store(), running.clock, running.agent.metrics, tokens, datacenter="dc1", node_name="n1", default_allow=False
    )
    with pytest.raises(Denied, match=r"must be bootstrapped before .*: ACL not found$") as refused:
        empty.resolve("unknown")
    assert is_not_found(refused.value)
