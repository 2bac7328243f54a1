"""What a secondary datacenter asks the primary, and what that demands (surface rows L30, M67)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, cast

import msgspec
import pytest
from meshtest.httpapi import make_agent

from meshagent.agent.acl.access import OPEN, Refused
from meshagent.agent.primary import SIGN_INTERMEDIATE, PrimaryDatacenter, intermediate_methods
from meshagent.errors import Denied, InternalError, MeshError, RemoteProtocolError


async def test_nothing_is_asked_without_a_token() -> None:
    agent = make_agent()
    agent.config.acl.enabled = True  # type: ignore[misc]
    nothing: Any = None
    primary = PrimaryDatacenter(agent, nothing, "dc1", lambda: "")
    for asked in (primary.ask("/v1/acl/policies", ""), primary.roots(0), primary.sign_intermediate(b"")):
        with pytest.raises(InternalError, match="replication is not set"):
            await asked


class _Authority:
    async def sign_intermediate(self, request_pem: bytes) -> str:
        return f"signed {request_pem.decode()}"


class _Identity:
    def __init__(self, access: Any) -> None:
        self.access = access


class _Guardian:
    async def identify(self, secret: str) -> _Identity:
        return _Identity(OPEN if secret == "operator" else Refused(Denied("Permission denied")))


def _method(guardian: _Guardian | None) -> Callable[[bytes], Awaitable[bytes]]:
    agent = make_agent()
    if guardian is not None:
        agent.extras["acl"] = guardian
    authority: Any = _Authority()
    method = intermediate_methods(agent, authority)[SIGN_INTERMEDIATE]
    peer: Any = None
    return lambda payload: cast("Awaitable[bytes]", method(peer, payload))


async def test_an_intermediate_is_signed_for_operators_only() -> None:
    call = _method(_Guardian())
    assert await call(msgspec.msgpack.encode(("operator", b"csr"))) == b"signed csr"
    with pytest.raises(MeshError, match="Permission denied"):
        await call(msgspec.msgpack.encode(("", b"csr")))
    assert await _method(None)(msgspec.msgpack.encode(("", b"csr"))) == b"signed csr"


@pytest.mark.parametrize("payload", [b"", b"\xc1", msgspec.msgpack.encode("x"), msgspec.msgpack.encode(("a",))])
async def test_what_does_not_decode_is_refused(payload: bytes) -> None:
    with pytest.raises(RemoteProtocolError, match="does not decode"):
        await _method(None)(payload)
