"""Logging in and out over gRPC: statuses as Consul has them, tokens that are there at once."""

from __future__ import annotations

from typing import Any

import pytest
from meshtest.inprocess import InProcess
from meshtest.jwts import Issuer

from meshagent.agent.dataplane.callers import UNAUTHENTICATED
from meshagent.agent.grpc.methods import Refused
from meshagent.errors import BadRequest, Denied, InternalError, NotFound


@pytest.fixture
async def issuer(guarded: InProcess) -> Issuer:
    issuer = Issuer()
    config = {
        "JWTValidationPubKeys": [issuer.public_pem],
        "JWTSupportedAlgs": ["ES256"],
        "ClaimMappings": {"sub": "name"},
    }
    await guarded.put("/v1/acl/auth-method", {"Name": "pods", "Type": "jwt", "Config": config})
    rule = {"AuthMethod": "pods", "BindType": "service", "BindName": "${value.name}", "Selector": 'value.name=="web"'}
    await guarded.put("/v1/acl/binding-rule", rule)
    return issuer


async def test_x32_in_and_out(asks: Any, guarded: InProcess, issuer: Issuer) -> None:
    bearer = issuer.token(sub="web", nbf=1)
    token = (await asks("Login", auth_method="pods", bearer_token=bearer, meta={"pod": "default/web-1"})).token
    row = (await guarded.ask("GET", f"/v1/acl/token/{token.accessor_id}")).json
    assert row["SecretID"] == token.secret_id
    assert row["Description"] == 'token created via login: {"pod":"default/web-1"}'
    assert [one["ServiceName"] for one in row["ServiceIdentities"]] == ["web"]
    await asks("Logout", token=token.secret_id)
    assert (await guarded.ask("GET", f"/v1/acl/token/{token.accessor_id}")).status in {403, 404}
    with pytest.raises(NotFound, match="ACL not found"):
        await asks("Logout", token=token.secret_id)


async def test_what_is_not_believed_is_unauthenticated(asks: Any, issuer: Issuer) -> None:
    with pytest.raises(Refused) as refused:
        await asks("Login", auth_method="pods", bearer_token=Issuer().token(sub="web"))
    assert refused.value.code == UNAUTHENTICATED
    with pytest.raises(Denied, match="Permission denied"):
        await asks("Login", auth_method="pods", bearer_token=issuer.token(sub="other", nbf=1))
    with pytest.raises(BadRequest, match='auth method "none" not found'):
        await asks("Login", auth_method="none", bearer_token="x")


async def test_only_tokens_of_logins_end(asks: Any, guarded: InProcess) -> None:
    _, made = await guarded.token('key "x" { policy = "read" }')
    with pytest.raises(Denied, match="wasn't created via login"):
        await asks("Logout", token=made)
    with pytest.raises(BadRequest, match="token is required"):
        await asks("Logout")


async def test_another_datacenter_is_asked_and_without_a_way_it_is_said(asks: Any, issuer: Issuer) -> None:
    with pytest.raises(InternalError, match="No path to datacenter"):
        await asks("Login", auth_method="pods", bearer_token="x", datacenter="dc2")
    with pytest.raises(InternalError, match="No path to datacenter"):
        await asks("Logout", token="x", datacenter="dc2")


async def test_without_acls_there_are_no_logins(calls: Any) -> None:
    for method in ("Login", "Logout"):
        with pytest.raises(Refused, match="ACL support disabled"):
            await calls(method)
