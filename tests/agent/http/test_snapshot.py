"""`/v1/snapshot`, with bodies in pieces (SN1, SN2)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from meshtest.httpapi import Api, request

from meshagent.agent.core import Agent
from meshagent.agent.spool import Spools
from meshagent.catalog.archive import ArchiveReader
from meshagent.catalog.commands import KVSet
from meshagent.catalog.raft.snapshots import SnapshotId
from meshagent.errors import CorruptData


class Snapshots:
    def __init__(self, agent: Agent) -> None:
        self.store = agent.store
        self.fails: Exception | None = None

    def save_snapshot(self) -> Any:
        chunks = self.store.snapshot()
        return SnapshotId(9, 3), self._broken(chunks) if self.fails else chunks

    def _broken(self, chunks: Any) -> Any:
        yield next(chunks)
        assert self.fails is not None
        raise self.fails

    async def restore_snapshot(self, chunks: Any) -> None:
        self.store.restore([chunk async for chunk in chunks])


@pytest.fixture
async def saving(api: Api, tmp_path: Path) -> AsyncIterator[Api]:
    api.agent.extras |= {"raft": Snapshots(api.agent), "spools": Spools(tmp_path, api.agent.clock)}
    for number in range(500):
        await api.agent.write(KVSet(f"k{number}", b"value" * 10))
    yield api


async def download(api: Api) -> tuple[str, bytes, bool]:
    """Head, body without its chunks, and whether it has its end."""
    wire = await api.connect()
    wire.send(request("GET", "/v1/snapshot", **{"Accept-Encoding": "gzip"}))
    head, _, rest = (await wire.reader.read(-1)).partition(b"\r\n\r\n")
    body = b""
    while rest:
        size, _, rest = rest.partition(b"\r\n")
        if size == b"0":
            return head.decode().lower(), body, True
        body += rest[: int(size, 16)]
        rest = rest[int(size, 16) + 2 :]
    return head.decode().lower(), body, False


async def test_it_goes_out_and_comes_back(saving: Api) -> None:
    head, body, whole = await download(saving)
    assert head.startswith("http/1.1 200")
    assert whole
    for line in ("content-type: application/x-gzip", "x-consul-index: 501", "x-consul-knownleader: true"):
        assert line in head
    assert "content-encoding" not in head
    reader = ArchiveReader()
    assert list(reader.feed(body))
    reader.finish()
    before = saving.agent.store.digest()
    await saving.agent.write(KVSet("later", b"1"))
    answer = await saving.ask("PUT", "/v1/snapshot", body=body)
    assert (answer.status, answer.body) == (200, b"")
    assert saving.agent.store.digest() == before


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"not an archive", "failed to decompress snapshot: gzip: invalid header"),
        (b"", "failed to decompress snapshot: EOF"),
    ],
)
async def test_what_is_refused(saving: Api, body: bytes, text: str) -> None:
    answer = await saving.ask("PUT", "/v1/snapshot", body=body)
    assert (answer.status, answer.text) == (500, text)


async def test_another_datacenter_is_out_of_reach(saving: Api) -> None:
    for method in ("GET", "PUT"):
        answer = await saving.ask(method, "/v1/snapshot?dc=dc9")
        assert (answer.status, answer.text) == (500, "No path to datacenter")


async def test_one_that_breaks_off_has_no_end(saving: Api) -> None:
    saving.agent.extras["raft"].fails = CorruptData("the disk is gone")
    head, _, whole = await download(saving)
    assert head.startswith("http/1.1 200")
    assert not whole


async def test_a_large_one_may_come_in_chunks(saving: Api) -> None:
    """As Go's client sends it: no length, and pieces of any size."""
    _, body, _ = await download(saving)
    wire = await saving.connect()
    wire.send(b"PUT /v1/snapshot HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
    for start in range(0, len(body), 700):
        part = body[start : start + 700]
        wire.send(b"%x\r\n%b\r\n" % (len(part), part))
    wire.send(b"0\r\n\r\n")
    assert (await wire.answer()).status == 200
    wire.send(request("GET", "/v1/kv/k1?raw"))
    assert (await wire.answer()).body == b"value" * 10
