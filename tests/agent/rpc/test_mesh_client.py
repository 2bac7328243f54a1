from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest
from meshtest.clientworld import ClientWorld, until

from meshagent.agent.mesh import Mesh
from meshagent.agent.rpc.mesh_client import client_mesh
from meshagent.connect.authority import AuthoritySettings
from meshagent.errors import Unavailable


async def test_leafs_are_signed_by_a_server_under_its_roots(world: ClientWorld) -> None:
    world.agent.config.connect = SimpleNamespace(enabled=True)  # type: ignore[attr-defined]
    mesh = Mesh(world.agent, AuthoritySettings())
    server = world.server()
    server.rpc.methods.update(mesh.rpc_methods())
    client = await world.client(server)
    with pytest.raises(Unavailable, match="no certificate authority yet"):
        await client_mesh(client.agent, client.client.upstream, client.client.rows)

    leading = asyncio.ensure_future(mesh.lead())
    ca = client.agent.store.ca
    await until(lambda: ca.active is not None, timeout=30)
    ours = await client_mesh(client.agent, client.client.upstream, client.client.rows)
    leaf = await ours.leafs.get("web")
    assert leaf.signed.uri.endswith("/svc/web")
    assert ca.roots == world.agent.store.ca.roots
    assert not ca.keys
    leading.cancel()
    await world.agent.tasks.cancel()
