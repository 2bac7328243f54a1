"""Large bodies on disk while they pass through."""

from __future__ import annotations

import os
from collections import namedtuple
from pathlib import Path

import pytest

from meshagent.agent import spool as module
from meshagent.agent.spool import MAX_TICKETS, TICKET_S, Spool, Spools
from meshagent.clock import VirtualClock
from meshagent.errors import NotFound, TooLarge, Unavailable


async def test_what_is_written_is_read_back_in_pieces(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    await spool.write(b"one ")
    await spool.write(b"two")
    assert spool.size == 7
    assert await spool.read(2, 3) == b"e t"
    assert b"".join([piece async for piece in spool.pieces()]) == b"one two"
    assert await spool.read(7) == b""
    spool.close()


async def test_it_has_no_name_and_nobody_elses_rights(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    await spool.write(b"secret")
    assert list(tmp_path.iterdir()) == []
    file = spool._file
    assert file is not None
    assert os.fstat(file.fileno()).st_mode & 0o777 == 0o600
    spool.close()


async def test_a_disk_without_room_is_told_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = namedtuple("disk", "f_bavail f_frsize f_blocks")
    monkeypatch.setattr(module.os, "fstatvfs", lambda _: disk(1000, 1024, 16_000))
    spool = Spool(tmp_path)
    with pytest.raises(TooLarge, match="needs 24577 bytes; the disk has 0 to spare"):
        await spool.expect(24_577)
    with pytest.raises(TooLarge):
        await spool.write(bytes(1 << 20))
    assert spool.size == 0
    spool.close()


async def test_a_disk_that_does_not_work_is_told(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="cannot be kept on disk"):
        await Spool(tmp_path / "missing").write(b"x")


async def test_a_ticket_leads_to_its_spool(tmp_path: Path) -> None:
    spools = Spools(tmp_path, VirtualClock())
    spool = spools.make()
    ticket = spools.lend(spool)
    assert spools.get(ticket) is spool
    assert spools.take(ticket) is spool
    with pytest.raises(NotFound, match="leader has changed"):
        spools.get(ticket)


async def test_tickets_end_when_nobody_comes(tmp_path: Path) -> None:
    clock = VirtualClock()
    spools = Spools(tmp_path, clock)
    spool = spools.make()
    await spool.write(b"x")
    ticket = spools.lend(spool)
    await clock.advance(TICKET_S - 1)
    spools.get(ticket)
    await clock.advance(TICKET_S - 1)
    spools.get(ticket)
    await clock.advance(TICKET_S)
    with pytest.raises(NotFound):
        spools.get(ticket)
    assert spool._file is None


async def test_there_are_only_so_many(tmp_path: Path) -> None:
    spools = Spools(tmp_path, VirtualClock())
    for _ in range(MAX_TICKETS):
        spools.lend(spools.make())
    with pytest.raises(Unavailable, match="too many"):
        spools.lend(spools.make())
    spools.close()
    spools.lend(spools.make())
