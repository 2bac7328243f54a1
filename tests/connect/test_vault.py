"""Vault as the authority, against a stub that checks requests and makes real certificates (surface row M66)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from meshtest.authority import Server, names_of, shake
from meshtest.vault import StubVault

from meshagent.agent.auto.asking import new_request
from meshagent.connect import certs
from meshagent.connect.vault import Vault, VaultSettings, credentials, is_credentials, parse_vault
from meshagent.errors import BadRequest, InternalError, Unavailable


@pytest.fixture
def vault() -> Iterator[StubVault]:
    with StubVault() as stub:
        yield stub
        assert stub.problems == []


async def test_a_new_cluster_lets_vault_make_root_and_intermediate(vault: StubVault) -> None:
    server = Server(provider="vault", config=vault.config())
    await server.authority.initialise()
    table = server.store.ca
    active = table.active
    assert active is not None
    assert (active.root_cert, len(active.intermediates)) == (vault.root_pem, 1)
    assert certs.facts(active.root_cert.encode()).uris == (f"spiffe://{table.trust_domain}",)
    assert table.config is not None
    assert table.config.config["Token"] == "hidden"
    assert vault.mounts == {"root", "between"}
    found = shake(await server.context("web", server_side=False), await server.context("api", server_side=True))
    assert found.endswith("/svc/api")
    leaf = await server.authority.sign(server.request()[0])
    assert (leaf.service, leaf.root_id, leaf.chain.count("BEGIN CERTIFICATE")) == ("web", active.id, 2)
    assert datetime.fromisoformat(leaf.valid_before) > datetime.now(UTC)


async def test_from_the_built_in_one_to_vault_and_back_peers_follow(vault: StubVault) -> None:
    """Who trusts only the old root accepts the leafs of the new one."""
    server = Server()
    await server.authority.initialise()
    old = server.store.ca.active
    assert old is not None
    before = await server.context("web", server_side=False)
    await server.authority.configure("vault", vault.config(), force=False)
    active = server.store.ca.active
    assert active is not None
    assert (active.root_cert, len(active.intermediates)) == (vault.root_pem, 2)
    serving = await server.context("api", server_side=True)
    assert shake(before, serving).endswith("/svc/api")
    at_vault = await server.context("web", server_side=False, roots=(active.root_cert,))
    await server.authority.configure("consul", {"PrivateKeyBits": 384}, force=False)
    back = await server.context("api", server_side=True)
    server_roots = server.store.ca.roots
    assert len(server_roots) == 3
    assert shake(at_vault, back).endswith("/svc/api")
    assert "connect-root/root/sign-self-issued" in vault.paths()


async def test_new_credentials_keep_the_root(vault: StubVault) -> None:
    server = Server(provider="vault", config=vault.config())
    await server.authority.initialise()
    active = server.store.ca.active
    assert active is not None
    await server.authority.configure("vault", vault.config(Token="hidden", LeafCertTTL="24h"), force=False)
    assert [root.id for root in server.store.ca.roots.values()] == [active.id]
    vault.tokens = {"new"}
    with pytest.raises(InternalError, match="permission denied"):
        await server.authority.sign(server.request()[0])
    await server.authority.configure("vault", vault.config(Token="new"), force=False)
    assert (await server.authority.sign(server.request()[0])).service == "web"


async def test_a_client_agent_gets_its_own_names_and_no_others(vault: StubVault) -> None:
    server = Server(provider="vault", config=vault.config())
    await server.authority.initialise()
    _, request = new_request("c1", "dc1", ("agent.example", "10.0.0.9"))
    leaf = await server.authority.sign(request, "c1")
    found = certs.facts(leaf.chain.encode())
    assert found.uris == (f"spiffe://{server.store.ca.trust_domain}/agent/client/dc/dc1/id/c1",)
    assert names_of(leaf.chain) == ["localhost", "agent.example", "127.0.0.1", "::1", "10.0.0.9"]
    assert (leaf.service, leaf.uri) == ("c1", found.uris[0])
    with pytest.raises(BadRequest, match="asked by 'c2'"):
        await server.authority.sign(request, "c2")
    _, request = new_request("c1", "dc1", ("server.dc1.consul",))
    with pytest.raises(BadRequest, match="is not for a client agent"):
        await server.authority.sign(request, "c1")


async def test_an_auth_method_logs_in_again_when_its_token_has_ended(vault: StubVault) -> None:
    method = {"Type": "approle", "Params": {"role_id": "r", "secret_id": "s"}}
    config = vault.config(AuthMethod=method, Namespace="team", RootPKINamespace="roots")
    del config["Token"]
    server = Server(provider="vault", config=config)
    await server.authority.initialise()
    assert {space for _, path, space, _ in vault.asked if path.startswith("connect-root")} == {"roots"}
    assert {space for _, path, space, _ in vault.asked if path.startswith("connect-dc1")} == {"team"}
    logins = vault.logins
    await server.authority.sign(server.request()[0])
    vault.tokens = set()
    await server.authority.sign(server.request()[0])
    await server.authority.sign(server.request()[0])
    assert vault.logins == logins + 2, "once for the credentials as stored, once after the end of that token"


async def test_the_token_is_renewed_and_an_old_intermediate_replaced(vault: StubVault) -> None:
    server = Server(provider="vault", config=vault.config())
    await server.authority.initialise()
    first = server.store.ca.active
    await server.authority.keep_house()
    assert "auth/token/renew-self" in vault.paths()
    assert server.store.ca.active == first, "it has most of its life before it"


async def test_a_vault_that_is_away_changes_nothing(vault: StubVault) -> None:
    server = Server()
    await server.authority.initialise()
    before = server.store.ca.state()
    with pytest.raises(Unavailable, match="is not reached"):
        await server.authority.configure("vault", vault.config(Address="http://127.0.0.1:1"), force=False)
    with pytest.raises(InternalError, match="permission denied"):
        await server.authority.configure("vault", vault.config(Token="bad"), force=False)
    assert server.store.ca.state() == before


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"Token": ""}, "must provide a Vault token or configure a Vault auth method"),
        ({"AuthMethod": {"Type": "x"}}, "only one of Vault token or Vault auth method"),
        ({"AuthMethod": 5, "Token": ""}, "'auth_method' expected a map"),
        ({"AuthMethod": {}, "RootPKIPath": ""}, "RootPKIPath"),
        ({"IntermediatePKIPath": ""}, "IntermediatePKIPath"),
        ({"Address": "vault:8200"}, "Address must be http"),
        ({"RootPKIPath": 5}, "'RootPKIPath' expected type 'string'"),
        ({"Token": "hidden"}, "must provide a Vault token"),
    ],
)
def test_what_is_missing_is_named(change: dict[str, Any], message: str) -> None:
    config = {"Address": "http://v", "Token": "t", "RootPKIPath": "a", "IntermediatePKIPath": "b", **change}
    with pytest.raises(InternalError, match=message):
        parse_vault(config)


def test_credentials_are_told_from_keys_and_not_shown() -> None:
    settings = VaultSettings(address="http://v", root_path="a", intermediate_path="b", token="secret")
    stored = credentials(settings)
    assert is_credentials(stored)
    assert not is_credentials(certs.new_key("ec", 256))
    assert Vault.of(stored).settings == settings
    assert "secret" not in repr(settings)
