"""Packing this server's state, and taking an archive to pieces."""

from __future__ import annotations

from pathlib import Path

import pytest
from meshtest.savers import pieces, saved, server

from meshagent.agent.snapshot_local import checked, pack, restore_here
from meshagent.agent.spool import PIECE_BYTES, Spool
from meshagent.errors import CorruptData


async def test_pieces_are_of_one_size_whatever_came(tmp_path: Path) -> None:
    data = await saved(server(tmp_path, keys=30_000))
    for step in (999, 1 << 16, 10 << 20):
        found = [piece async for piece in checked(pieces(data, step))]
        assert b"".join(found) == data
        assert all(len(piece) >= PIECE_BYTES for piece in found[1:-1])


async def test_what_is_no_archive_is_refused_with_its_first_bytes(tmp_path: Path) -> None:
    taken = []

    async def endless() -> object:
        while True:
            taken.append(1)
            yield b"not an archive"

    with pytest.raises(CorruptData, match="invalid header"):
        async for _ in checked(endless()):  # type: ignore[arg-type]
            pass
    assert len(taken) == 1


async def test_what_an_archive_says_of_itself(tmp_path: Path) -> None:
    agent = server(tmp_path, keys=7)
    agent.store.cluster_id = "here"
    meta, packed = pack(agent)
    assert (meta.index, meta.term, meta.cluster_id, meta.node, meta.datacenter) == (8, 3, "here", "n1", "dc1")
    assert [piece async for piece in packed]


async def test_a_leader_sees_to_its_duties_again_when_the_state_is_another(tmp_path: Path) -> None:
    class Leadership:
        times = 0

        def reassert(self) -> None:
            self.times += 1

    agent = server(tmp_path)
    leadership = agent.extras["leadership"] = Leadership()
    spool = Spool(tmp_path)
    await spool.write(await saved(server(tmp_path, keys=7)))
    await restore_here(agent, spool)
    assert leadership.times == 1
    assert len(agent.store.kv.entries) == 7
    spool.close()
