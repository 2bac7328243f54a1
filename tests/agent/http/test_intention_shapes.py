"""Names of services as intentions write them, and the shape of an intention."""

from __future__ import annotations

import pytest
from meshtest.clientworld import ClientWorld, until

from meshagent.agent.http.intention_shapes import IntentionBody, default_in_force, default_of, service_of, shown
from meshagent.agent.http.request import BadOption
from meshagent.agent.rpc import serving
from meshagent.connect.intentions import Default, Intention
from meshagent.errors import BadRequest


@pytest.mark.parametrize("text", ["web", "default/web", "default/default/web"])
def test_names(text: str) -> None:
    assert service_of(text, "source") == "web"


def test_names_that_are_refused() -> None:
    assert service_of("other/web") == "web"
    with pytest.raises(BadOption, match='Invalid source namespace "other"'):
        service_of("other/web", "source")
    with pytest.raises(BadOption, match="at most two"):
        service_of("a/b/c/d")


def test_only_the_old_form_has_an_id_times_and_a_hash() -> None:
    new = shown(Intention("a", "b", "allow", 9))
    assert new == {
        "SourceNS": "default", "SourceName": "a", "DestinationNS": "default", "DestinationName": "b",
        "SourceType": "consul", "Action": "allow", "Precedence": 9, "CreateIndex": 0, "ModifyIndex": 0,
    }  # fmt: skip
    old = shown(Intention("a", "b", "allow", 9, id="x", created="t", updated="u"))
    assert {"ID", "CreatedAt", "UpdatedAt", "Hash"} == set(old) - set(new)
    other = shown(Intention("a", "b", "deny", 9, id="x", created="t", updated="u"))
    assert old["Hash"] != other["Hash"]


def test_permissions_that_cannot_be_read_name_the_field() -> None:
    with pytest.raises(BadRequest, match="Bogus"):
        IntentionBody(Permissions=[{"Bogus": 1}]).permissions()


async def test_a_client_allows_nothing_by_default_that_the_servers_deny(
    world: ClientWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serving, "STANDING_STEP_S", 0.01)
    world.agent.config.default_intention_policy = "deny"  # type: ignore[misc]
    client = (await world.client(world.server())).agent
    assert client.upstream is not None
    told: list[bool] = []
    client.upstream.on_default.append(lambda: told.append(default_in_force(client).allow))
    assert default_of(client).allow
    await client.log.read_barrier()
    assert default_in_force(client) == Default(False, "Default of the servers")
    assert told == [False]
    world.agent.config.default_intention_policy = "allow"  # type: ignore[misc]
    await until(lambda: told == [False, True])
    assert default_in_force(client) == default_of(client)


async def test_a_client_that_denies_by_default_asks_nobody(world: ClientWorld) -> None:
    client = (await world.client(world.server())).agent
    client.config = client.config.replace(default_intention_policy="deny")
    await client.log.read_barrier()
    assert default_in_force(client) == Default(False, "Default intention policy")
