"""`operator raft repair` and `recover` show first, and change something only when told."""

from __future__ import annotations

import asyncio
import json
import random
from pathlib import Path
from typing import Any

from meshtest.logs import History

from meshagent.catalog.raft.opening import open_raft_log
from meshagent.catalog.raft.settings import RaftSettings
from meshagent.clock import SystemClock


def server(data_dir: Path, node_id: str, writes: int) -> None:
    """One that ran alone for a while."""

    async def main() -> None:
        log = open_raft_log(
            History(),
            data_dir,
            node_id=node_id,
            address=f"{node_id}:8300",
            clock=SystemClock(),
            rng=random.Random(1),
            settings=RaftSettings(segment_bytes=2048, reserve_bytes=512),
            joins=True,
        )
        await log.start()
        await log.bootstrap({node_id: f"{node_id}:8300"})
        while not log.is_leader:
            await asyncio.sleep(0)
        for number in range(writes):
            await log.propose(b"%d" % number)
        await log.stop()

    data_dir.mkdir()
    (data_dir / "node-id").write_text(f"{node_id}\n")
    asyncio.run(main())


def damage(data_dir: Path) -> Path:
    segment = sorted((data_dir / "raft").glob("*.log"))[1]
    data = bytearray(segment.read_bytes())
    data[200] ^= 1
    segment.write_bytes(data)
    return segment


def test_repair_shows_and_cuts_only_when_told(cli: Any, tmp_path: Path) -> None:
    server(tmp_path / "a", "a", 200)
    ran = cli(f"operator raft repair {tmp_path}/a")
    assert (ran.status, ran.err) == (0, "")
    assert "Nothing is damaged." in ran.out
    segment = damage(tmp_path / "a")
    before = segment.read_bytes()
    ran = cli(f"operator raft repair {tmp_path}/a")
    assert ran.status == 1
    assert f"damaged: {segment.name}: at offset" in ran.out
    assert "entries would be lost" in ran.out
    assert ran.err == "Nothing was changed. -cut cuts it off.\n"
    assert segment.read_bytes() == before
    ran = cli(f"operator raft repair -cut {tmp_path}/a")
    assert ran.status == 0
    assert f"{segment.name}: renamed to {segment.name}.bad" in ran.out
    assert cli(f"operator raft repair {tmp_path}/a").status == 0


def test_recover_shows_and_writes_only_when_told(cli: Any, tmp_path: Path) -> None:
    server(tmp_path / "a", "a", 10)
    server(tmp_path / "b", "b", 5)
    ran = cli(f"operator raft recover {tmp_path}/a {tmp_path}/b")
    assert ran.status == 0, ran.err
    assert "a has the most" in ran.out
    assert "Nothing was changed." in ran.out
    assert not (tmp_path / "a" / "raft" / "peers.json").exists()
    ran = cli(f"operator raft recover -write -address=b=new:8300 {tmp_path}/a {tmp_path}/b")
    assert ran.status == 0, ran.err
    for name in "ab":
        peers = json.loads((tmp_path / name / "raft" / "peers.json").read_text())
        assert [(peer["id"], peer["address"]) for peer in peers] == [("a", "a:8300"), ("b", "new:8300")]


def test_recover_wants_whole_logs_and_known_servers(cli: Any, tmp_path: Path) -> None:
    server(tmp_path / "a", "a", 200)
    (tmp_path / "a" / "node-id").write_text("other\n")
    assert "say -address=other=host:port" in cli(f"operator raft recover {tmp_path}/a").err
    damage(tmp_path / "a")
    assert "operator raft repair" in cli(f"operator raft recover {tmp_path}/a").err
    assert "no such directory" in cli(f"operator raft recover {tmp_path}/nowhere").err
    assert cli("operator raft recover").status == 1
    assert cli("operator raft repair").status == 1
