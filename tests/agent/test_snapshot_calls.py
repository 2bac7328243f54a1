"""What servers ask each other to save and restore."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from meshtest.savers import SERVER_PEER, server

from meshagent.agent.operator_calls import all_methods
from meshagent.agent.snapshot_calls import (
    SNAPSHOT_BEGIN,
    SNAPSHOT_OPEN,
    SNAPSHOT_READ,
    SNAPSHOT_RESTORE,
    SNAPSHOT_WRITE,
)
from meshagent.catalog.rpc.hello import CLIENT, Peer
from meshagent.errors import BadRequest, Denied, MeshError, NotFound, RemoteProtocolError


async def test_methods_refuse_what_they_do_not_expect(tmp_path: Path) -> None:
    leader = server(tmp_path, keys=7)
    methods: Any = all_methods(leader)
    encode = msgspec.msgpack.encode
    with pytest.raises(NotFound):
        await methods[SNAPSHOT_READ](SERVER_PEER, encode(("guess", 0)))
    with pytest.raises(RemoteProtocolError):
        await methods[SNAPSHOT_READ](SERVER_PEER, b"\xc1")
    ticket = msgspec.msgpack.decode(await methods[SNAPSHOT_BEGIN](SERVER_PEER, encode(0)))
    with pytest.raises(BadRequest, match="for offset 5 came at 0"):
        await methods[SNAPSHOT_WRITE](SERVER_PEER, encode((ticket, 5, b"x")))
    leader.log.leading = False  # type: ignore[attr-defined]
    for method in (SNAPSHOT_OPEN, SNAPSHOT_BEGIN, SNAPSHOT_RESTORE):
        with pytest.raises(MeshError):
            await methods[method](SERVER_PEER, encode(ticket))


async def test_a_client_agent_gets_no_state_past_its_users_tokens(tmp_path: Path) -> None:
    client = Peer("id", "c1", "dc1", "", CLIENT, 1, 1)
    for method in all_methods(server(tmp_path, keys=7)).values():
        with pytest.raises(Denied, match="only servers ask this"):
            await method(client, b"")  # type: ignore[misc]
