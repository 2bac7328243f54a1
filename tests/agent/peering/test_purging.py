from __future__ import annotations

import pytest
from meshtest.inprocess import InProcess

from meshagent.agent.peering import purging
from meshagent.catalog.model import Node, Service, ServiceEntry
from meshagent.catalog.peering.commands import ImportedReplace, PeeringDelete, PeeringSet, PeeringTerminate
from meshagent.catalog.peering.model import TERMINATED, Peering


async def with_imports(live: InProcess, count: int) -> None:
    await live.agent.write(PeeringSet(Peering(id="i", name="east")))
    rows = tuple(
        ServiceEntry(Node(name=f"n{at}", address="10.9.0.1"), Service(id="web", name="web"), ()) for at in range(count)
    )
    await live.agent.write(ImportedReplace("east", "web", rows))


async def test_a_deleted_peering_goes_with_all_that_was_imported(
    live: InProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(purging, "SLICE", 2)
    await with_imports(live, 5)
    live.tasks.start(purging.purge_ended(live.agent, lambda _: True), name="purge")
    await live.settle()
    assert "east" in live.store.peerings.rows
    before = live.store.index
    await live.agent.write(PeeringDelete("east", "2026-01-01T00:00:00Z"))
    await live.clock.advance(1)
    assert (live.store.peerings.rows, live.store.imported.peers) == ({}, {})
    assert live.store.index >= before + 1 + 3  # slices of two


async def test_it_waits_until_the_other_side_was_told(live: InProcess) -> None:
    told: list[str] = []
    await with_imports(live, 1)
    live.tasks.start(purging.purge_ended(live.agent, told.__contains__), name="purge")
    await live.agent.write(PeeringDelete("east", "2026-01-01T00:00:00Z"))
    await live.clock.advance(5)
    assert "east" in live.store.peerings.rows
    told.append("i")
    await live.clock.advance(1)
    assert live.store.peerings.rows == {}


async def test_one_that_the_other_side_ended_stays_without_imports(live: InProcess) -> None:
    await with_imports(live, 1)
    await live.agent.write(PeeringTerminate("i"))
    live.tasks.start(purging.purge_ended(live.agent, lambda _: True), name="purge")
    await live.clock.advance(1)
    assert live.store.peerings.rows["east"].state == TERMINATED
    assert live.store.imported.peers == {}
