"""What a server answers to the writes and reads of others."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from meshagent.catalog.rpc.hello import SERVER, Peer
from meshagent.catalog.rpc.leading import leader_methods
from meshagent.catalog.rpc.writes import (
    PROPOSE,
    READ_INDEX,
    decode_index,
    decode_outcomes,
    encode_read,
    encode_writes,
)
from meshagent.errors import Conflict, NoLeader, RemoteProtocolError

PEER = Peer("id-a", "a", "dc1", "c1", SERVER, 1, 1)


class Log:
    """Answers when told to."""

    def __init__(self) -> None:
        self.proposed: list[tuple[bytes, bytes | None, asyncio.Future[Any]]] = []
        self.is_leader = True
        self.applied_index = 41
        self.barriers = 0

    def propose(self, command: bytes, request_id: bytes | None = None) -> asyncio.Future[Any]:
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.proposed.append((command, request_id, future))
        return future

    async def barrier(self) -> None:
        self.barriers += 1
        self.applied_index += 1


def methods(log: Log) -> Any:
    return leader_methods(log)  # type: ignore[arg-type]


async def test_a_batch_is_proposed_under_its_ids_and_answered_when_all_are_done() -> None:
    log = Log()
    answer = methods(log)[PROPOSE](PEER, encode_writes([(b"1", b"one"), (b"2", b"two"), (b"3", b"three")]))
    assert [(command, id) for command, id, _ in log.proposed] == [(b"one", b"1"), (b"two", b"2"), (b"three", b"3")]
    log.proposed[2][2].set_result("third")
    log.proposed[0][2].set_exception(Conflict("first"))
    await asyncio.sleep(0)
    assert not answer.done()
    log.proposed[1][2].cancel()
    first, second, third = decode_outcomes(await answer)
    assert (type(first), second.retryable, third) == (Conflict, True, "third")


async def test_an_empty_batch() -> None:
    assert decode_outcomes(await methods(Log())[PROPOSE](PEER, encode_writes([]))) == []


async def test_garbage_is_refused() -> None:
    with pytest.raises(RemoteProtocolError):
        methods(Log())[PROPOSE](PEER, b"\xff")


async def test_a_default_read_index_is_the_leaders_under_its_lease() -> None:
    log = Log()
    read = methods(log)[READ_INDEX]
    assert decode_index(await read(PEER, encode_read(consistent=False))) == 41
    assert log.barriers == 0
    log.is_leader = False
    with pytest.raises(NoLeader):
        await read(PEER, encode_read(consistent=False))


async def test_a_consistent_one_asks_a_quorum_first() -> None:
    log = Log()
    assert decode_index(await methods(log)[READ_INDEX](PEER, encode_read(consistent=True))) == 42
    assert log.barriers == 1
