from __future__ import annotations

from meshtest.httpapi import Api, request

from meshagent.agent.http import hot
from meshagent.catalog import commands


async def test_long_requests_are_not_remembered(api: Api) -> None:
    await api.get("/v1/kv/?keys", X_Long="x" * hot.MAX_REQUEST)
    assert not api.server.hot.entries


async def test_entries_are_bounded(api: Api, monkeypatch: object) -> None:
    hot.MAX_ENTRIES, before = 10, hot.MAX_ENTRIES
    try:
        for number in range(25):
            await api.write(commands.KVSet(f"k{number}", b"1"))
            await api.get(f"/v1/kv/k{number}")
        assert len(api.server.hot.entries) == 10
        assert request("GET", "/v1/kv/k24") in api.server.hot.entries
        assert request("GET", "/v1/kv/k0") not in api.server.hot.entries
    finally:
        hot.MAX_ENTRIES = before


async def test_an_entry_goes_with_its_view(api: Api) -> None:
    for name in ("a", "b"):
        await api.get("/v1/kv/?keys", X_Client=name)
    assert len(api.server.hot.entries) == 2
    assert len({id(entry) for entry in api.server.hot.entries.values()}) == 1
    api.server.dispatcher.reads.views.clear()
    assert not api.server.hot.entries
    assert (await api.get("/v1/kv/?keys")).status == 200


async def test_large_bodies_are_not_copied(api: Api) -> None:
    await api.write(commands.KVSet("big", b"x" * 100_000))
    wire = await api.connect()
    for _ in range(3):
        assert len((await wire.ask("GET", "/v1/kv/big?raw")).body) == 100_000
    (entry,) = api.server.hot.entries.values()
    assert len(entry.wire) == 2
    assert entry.wire[1] is entry.view.body


async def test_the_date_is_of_now(api: Api) -> None:
    wire = await api.connect()
    first = await wire.ask("GET", "/v1/kv/?keys")
    await api.agent.clock.advance(3600)  # type: ignore[attr-defined]
    api.server.date.update(api.agent.clock.now())
    later = await wire.ask("GET", "/v1/kv/?keys")
    assert (first.headers["date"][17:22], later.headers["date"][17:22]) == ("00:00", "01:00")
