"""Roots that rotate are told; a request of one's own becomes a certificate, for who may."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from meshtest.inprocess import InProcess, server_config

from meshagent.agent.grpc.methods import Refused
from meshagent.connect import certs, spiffe
from meshagent.errors import BadRequest, Denied, RemoteProtocolError


def request_for(server: InProcess, service: str, datacenter: str = "dc1") -> str:
    uri = spiffe.format(spiffe.service_id(server.store.ca.trust_domain, datacenter, service))
    return certs.request(certs.new_key("ec", 256), uri).decode()


async def test_x33_roots_and_their_rotation(calls: Any, live: InProcess) -> None:
    stream = calls.stream("WatchRoots")
    first = await anext(stream)
    assert first.trust_domain == live.store.ca.trust_domain
    assert [(one.id, one.active) for one in first.roots] == [(first.active_root_id, True)]
    assert first.roots[0].root_cert.startswith("-----BEGIN CERTIFICATE-----")
    waiting = asyncio.ensure_future(anext(stream))
    await live.put("/v1/connect/ca/configuration", {"Provider": "consul", "Config": {"PrivateKeyBits": 384}})
    second = await waiting
    assert second.active_root_id != first.active_root_id
    assert [(one.active, one.HasField("rotated_out_at")) for one in second.roots if not one.active] == [(False, True)]
    await stream.aclose()


async def test_x33_a_request_is_signed(calls: Any, live: InProcess) -> None:
    signed = (await calls("Sign", csr=request_for(live, "web"))).cert_pem
    facts = certs.facts(signed.encode())
    assert facts.uris[0].endswith("/ns/default/dc/dc1/svc/web")


@pytest.mark.parametrize(
    ("csr", "error"), [("", RemoteProtocolError), ("nonsense", RemoteProtocolError), ("dc9", BadRequest)]
)
async def test_what_is_no_request_of_ours_is_refused(
    calls: Any, live: InProcess, csr: str, error: type[Exception]
) -> None:
    with pytest.raises(error):
        await calls("Sign", csr=request_for(live, "web", csr) if csr == "dc9" else csr)


async def test_both_need_to_write_services(asks: Any, guarded: InProcess) -> None:
    _, web = await guarded.token('service "web" { policy = "write" }')
    _, key = await guarded.token('key "x" { policy = "read" }')
    assert (await anext(asks.stream("WatchRoots", web))).active_root_id
    with pytest.raises(Denied):
        await anext(asks.stream("WatchRoots", key))
    assert (await asks("Sign", web, csr=request_for(guarded, "web"))).cert_pem
    with pytest.raises(Denied, match="service:write"):
        await asks("Sign", web, csr=request_for(guarded, "api"))


async def test_without_the_mesh_it_is_said(calls: Any, live: InProcess) -> None:
    calls.server = InProcess(config=server_config(connect=type(live.config.connect)(enabled=False)))
    with pytest.raises(Refused, match="Connect must be enabled"):
        await calls("Sign", csr="x")
    with pytest.raises(Refused, match="Connect must be enabled"):
        await anext(calls.stream("WatchRoots"))
