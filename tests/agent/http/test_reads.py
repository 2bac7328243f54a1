from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from meshtest.httpapi import Api, instance, request

from meshagent.agent.http.settings import HttpSettings
from meshagent.catalog import commands
from meshagent.catalog.model import Check, Node

MakeApi = Callable[..., Awaitable[Api]]


async def test_c16_meta_headers(api: Api) -> None:
    await api.write(instance("a", "web"))
    headers = (await api.get("/v1/health/service/web")).headers
    assert headers["x-consul-index"] == str(api.agent.store.index)
    assert headers["x-consul-knownleader"] == "true"
    assert headers["x-consul-lastcontact"] == "0"
    assert headers["x-consul-effective-consistency"] == "leader"
    assert headers["x-consul-query-backend"] == "blocking-query"
    assert headers["x-consul-default-acl-policy"] == "allow"
    assert headers["vary"] == "Accept-Encoding"
    assert "x-consul-effective-consistency" not in (await api.get("/v1/kv/?keys")).headers


async def test_c11_the_index_is_never_0(api: Api) -> None:
    assert (await api.get("/v1/kv/?keys")).index == 1


@pytest.mark.parametrize(
    ("query", "effective", "barriers"),
    [("", "leader", 0), ("?leader", "leader", 0), ("?stale", "stale", 0), ("?consistent", "consistent", 1)],
)
async def test_c15_modes(api: Api, query: str, effective: str, barriers: int) -> None:
    answer = await api.get(f"/v1/catalog/nodes{query}")
    assert answer.headers["x-consul-effective-consistency"] == effective
    assert api.agent.log.barriers == barriers  # type: ignore[attr-defined]


async def test_c15_stale_is_answered_without_a_leader(api: Api) -> None:
    api.agent.log.leading = False  # type: ignore[misc]
    api.agent.log.contact_ms = 1234  # type: ignore[attr-defined]
    answer = await api.get("/v1/catalog/nodes?stale")
    assert answer.status == 200
    assert answer.headers["x-consul-knownleader"] == "false"
    assert answer.headers["x-consul-lastcontact"] == "1234"


async def test_c15_a_stale_answer_that_is_remembered_says_how_old_it_is_now(api: Api) -> None:
    log: Any = api.agent.log
    log.leading, log.following, log.contact_ms = False, True, 5
    wire = await api.connect()
    first = await wire.ask("GET", "/v1/catalog/nodes?stale")
    log.contact_ms = 700
    again = await wire.ask("GET", "/v1/catalog/nodes?stale")
    assert api.hits == 1
    assert [answer.headers["x-consul-lastcontact"] for answer in (first, again)] == ["5", "700"]
    log.following = False
    assert (await wire.ask("GET", "/v1/catalog/nodes?stale")).headers["x-consul-knownleader"] == "false"


async def test_c15_a_follower_answers_when_it_has_what_the_leader_had(api: Api) -> None:
    """The answer is as the leader's own: linearizable, and its headers say so."""
    log: Any = api.agent.log
    log.leading, log.following, log.contact_ms = False, True, 40
    wire = await api.connect()
    for _ in range(2):  # the second time from remembered bytes
        wire.send(request("GET", "/v1/catalog/nodes"))
        answer = asyncio.ensure_future(wire.answer())
        while not getattr(log, "gates", None):
            await asyncio.sleep(0)
        assert not answer.done()
        log.gates.pop().set_result(None)
        headers = (await answer).headers
        assert (headers["x-consul-knownleader"], headers["x-consul-lastcontact"]) == ("true", "0")
        assert headers["x-consul-effective-consistency"] == "leader"
    assert api.hits == 1


async def test_c15_what_a_follower_learned_while_it_waited_is_in_the_answer(api: Api) -> None:
    log: Any = api.agent.log
    wire = await api.connect()
    await wire.ask("GET", "/v1/kv/a?raw")
    await api.write(commands.KVSet("a", b"1"))
    assert (await wire.ask("GET", "/v1/kv/a?raw")).text == "1"
    log.leading, log.following = False, True
    wire.send(request("GET", "/v1/kv/a?raw") + request("GET", "/v1/kv/a?raw"))
    while not getattr(log, "gates", None):
        await asyncio.sleep(0)
    await api.write(commands.KVSet("a", b"2"))
    log.gates.pop().set_result(None)
    log.leading = True
    log.following = False
    assert [(await wire.answer()).text for _ in range(2)] == ["2", "2"]


async def test_c15_stale_needs_a_server_that_has_heard_a_leader(api: Api) -> None:
    class Deaf(type(api.agent.log)):  # type: ignore[misc]
        has_heard = False
        leading = False

    api.agent.log.__class__ = Deaf
    assert (await api.get("/v1/catalog/nodes?stale")).text == "No cluster leader"


@pytest.mark.parametrize("query", ["", "?max_stale=1s", "?consistent"])
async def test_c5_no_leader_after_the_hold_time(api: Api, query: str) -> None:
    api.agent.log.leading = False  # type: ignore[misc]
    api.agent.log.contact_ms = 5000  # type: ignore[attr-defined]
    answer = await api.get(f"/v1/catalog/nodes{query}")
    assert (answer.status, answer.text) == (500, "No cluster leader")
    assert answer.headers["x-consul-knownleader"] == "false"


async def test_c15_discovery_max_stale_makes_stale_the_default(make_api: MakeApi) -> None:
    api = await make_api(HttpSettings(discovery_max_stale_s=10))
    assert (await api.get("/v1/catalog/nodes")).headers["x-consul-effective-consistency"] == "stale"
    assert (await api.get("/v1/catalog/nodes?leader")).headers["x-consul-effective-consistency"] == "leader"


@pytest.mark.parametrize("query", ["dc=dc9", "datacenter=dc9&dc=dc1"])
async def test_c9_other_datacenters(api: Api, query: str) -> None:
    answer = await api.get(f"/v1/catalog/nodes?{query}")
    assert (answer.status, answer.text) == (500, "No path to datacenter")
    assert answer.headers["x-consul-index"] == "1"
    assert answer.headers["x-consul-knownleader"] == "false"
    assert (await api.get("/v1/catalog/nodes?dc=dc1")).status == 200
    assert "x-consul-index" not in (await api.get("/v1/kv/a?dc=dc9")).headers


class TestBlocking:
    async def test_c12_answers_at_once_below_the_index(self, api: Api) -> None:
        await api.write(instance("a", "web"))
        assert (await asyncio.wait_for(api.get("/v1/catalog/service/web?index=1"), 5)).status == 200

    async def test_c12_waits_for_the_change(self, api: Api) -> None:
        await api.write(instance("a", "web"))
        wire = await api.connect()
        index = (await wire.ask("GET", "/v1/catalog/service/web")).index
        wire.send(request("GET", f"/v1/catalog/service/web?index={index}&wait=60s"))
        answer = asyncio.ensure_future(wire.answer())
        await asyncio.sleep(0.02)
        await api.write(instance("z", "other"))
        await asyncio.sleep(0.02)
        assert not answer.done()
        await api.write(instance("b", "web", number=2))
        found = await answer
        assert found.index > index
        assert len(found.json) == 2

    async def test_c12_the_wait_ends(self, api: Api) -> None:
        await api.write(commands.KVSet("a", b"1"))
        index = (await api.get("/v1/kv/a")).index
        found = await asyncio.wait_for(api.get(f"/v1/kv/a?index={index}&wait=10ms"), 5)
        assert (found.status, found.index) == (200, index)

    async def test_c20_health_comes_from_the_live_view(self, api: Api) -> None:
        await api.write(instance("a", "web"))
        found = await api.get("/v1/health/service/web?index=1")
        assert found.headers["x-consul-query-backend"] == "streaming"
        assert found.headers["x-consul-knownleader"] == "false"
        assert "x-cache" not in found.headers

    async def test_c15_leadership_is_checked_again_after_the_wait(self, make_api: MakeApi) -> None:
        api = await make_api()
        await api.write(commands.KVSet("a", b"1"))
        wire = await api.connect()
        index = (await wire.ask("GET", "/v1/kv/a")).index
        wire.send(request("GET", f"/v1/kv/a?index={index}&wait=60s"))
        answer = asyncio.ensure_future(wire.answer())
        await asyncio.sleep(0.02)
        api.agent.log.leading = False  # type: ignore[misc]
        await api.write(commands.KVSet("a", b"2"))
        assert (await answer).text == "No cluster leader"

    @pytest.mark.parametrize(("wait", "least", "most"), [("8s", 8, 8.5), ("1h", 600, 637.5), ("0s", 300, 318.75)])
    async def test_c12_default_cap_and_jitter(
        self, api: Api, monkeypatch: pytest.MonkeyPatch, wait: str, least: float, most: float
    ) -> None:
        waits: list[float] = []

        async def changed_from(self: object, index: int, timeout_s: float) -> None:
            waits.append(timeout_s)

        monkeypatch.setattr("meshagent.agent.http.views.View.changed_from", changed_from)
        for _ in range(20):
            await api.get(f"/v1/kv/a?index=5&wait={wait}")
        assert all(least <= found <= most for found in waits)
        assert len(set(waits)) > 10


class TestCached:
    async def test_c19_first_a_miss_then_hits(self, api: Api) -> None:
        first = await api.get("/v1/catalog/services?cached")
        assert first.headers["x-cache"] == "MISS"
        assert "age" not in first.headers
        again = await api.get("/v1/catalog/services?cached")
        assert (again.headers["x-cache"], again.headers["age"]) == ("HIT", "0")
        assert "x-cache" not in (await api.get("/v1/catalog/services")).headers
        assert "x-cache" not in (await api.get("/v1/catalog/nodes?cached")).headers

    async def test_c19_a_hit_is_never_old(self, api: Api) -> None:
        await api.get("/v1/catalog/services?cached")
        await api.write(instance("a", "web"))
        assert "web" in (await api.get("/v1/catalog/services?cached")).json

    async def test_c19_entries_end_after_three_days(self, api: Api) -> None:
        await api.get("/v1/catalog/services?cached")
        await api.agent.clock.advance(3 * 24 * 3600 + 1)  # type: ignore[attr-defined]
        assert (await api.get("/v1/catalog/services?cached")).headers["x-cache"] == "MISS"

    async def test_c19_can_be_switched_off(self, make_api: MakeApi) -> None:
        api = await make_api(HttpSettings(use_cache=False))
        assert "x-cache" not in (await api.get("/v1/catalog/services?cached")).headers


async def test_c6_pretty(make_api: MakeApi) -> None:
    api = await make_api()
    await api.write(commands.Register(Node(name="a", address="1.1.1.1"), checks=(Check(node="a", check_id="c"),)))
    assert (await api.get("/v1/catalog/services?pretty=false")).text == "{}\n"
    dev = await make_api(HttpSettings(pretty=True))
    assert (await dev.get("/v1/status/peers")).text == '[\n    "127.0.0.1:8300"\n]\n'
    assert (await dev.put("/v1/kv/a", b"1")).text == "true\n"
    assert (await dev.put("/v1/kv/a?flags=0", b"1")).text == "true\n"


async def test_c28_gzip(api: Api) -> None:
    import gzip

    await api.write(commands.KVSet("a", b"abc" * 2000))
    for target in ("/v1/kv/a", "/v1/kv/a?raw"):
        plain = await api.get(target)
        packed = await api.get(target, Accept_Encoding="gzip, deflate")
        assert packed.headers["content-encoding"] == "gzip"
        assert "content-encoding" not in plain.headers
        assert gzip.decompress(packed.body) == plain.body
