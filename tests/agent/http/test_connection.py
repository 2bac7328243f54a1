from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from meshtest.httpapi import Answer, Api, Wire, instance, request

from meshagent.agent.http.settings import HttpSettings
from meshagent.catalog import commands
from meshagent.errors import InternalError, NoLeader

MakeApi = Callable[..., Awaitable[Api]]


def without_date(answer: Answer) -> bytes:
    return re.sub(rb"Date: [^\r]*\r\n", b"", answer.raw)


class TestRememberedReads:
    @pytest.mark.parametrize(
        "target",
        [
            "/v1/health/service/web?passing",
            "/v1/catalog/service/web",
            "/v1/catalog/nodes?pretty",
            "/v1/kv/key",
            "/v1/kv/key?raw",
            "/v1/kv/?keys",
            "/v1/kv/missing",
            "/v1/health/service/nothing",
            "/v1/catalog/services?stale",
        ],
    )
    @pytest.mark.parametrize("headers", [{}, {"Accept_Encoding": "gzip"}])
    async def test_the_bytes_are_the_same_both_ways(self, api: Api, target: str, headers: dict[str, str]) -> None:
        for number in range(8):
            await api.write(instance(f"n{number}", "web", number=number))
        await api.write(commands.KVSet("key", b"value"))
        wire = await api.connect()
        first = await wire.ask("GET", target, **headers)
        assert api.hits == 0
        again = [await wire.ask("GET", target, **headers) for _ in range(3)]
        assert api.hits == 3
        assert {without_date(answer) for answer in again} == {without_date(first)}

    async def test_a_change_is_seen_at_once(self, api: Api) -> None:
        wire = await api.connect()
        for number in range(5):
            await api.write(instance("a", "web", number=number))
            await api.write(commands.KVSet("key", str(number).encode()))
            found = await wire.ask("GET", "/v1/health/service/web")
            assert len(found.json) == number + 1
            assert (await wire.ask("GET", "/v1/kv/key?raw")).text == str(number)
        assert api.hits == 8

    async def test_c11_an_index_that_moves_alone_is_seen_at_once(self, api: Api) -> None:
        wire = await api.connect()
        before = (await wire.ask("GET", "/v1/kv/missing")).index
        await api.write(commands.KVSet("other", b"1"))
        after = await wire.ask("GET", "/v1/kv/missing")
        assert after.status == 404
        assert after.index > before
        assert api.hits == 1

    async def test_other_connections_share_them(self, api: Api) -> None:
        await api.write(commands.KVSet("key", b"value"))
        for _ in range(3):
            assert (await api.get("/v1/kv/key?raw")).text == "value"
        assert api.hits == 2

    async def test_c15_not_without_the_lease(self, api: Api) -> None:
        wire = await api.connect()
        assert (await wire.ask("GET", "/v1/kv/?keys")).status == 200
        api.agent.log.leading = False  # type: ignore[misc]
        assert (await wire.ask("GET", "/v1/kv/?keys")).text == "No cluster leader"
        assert api.hits == 0

    async def test_c15_consistent_asks_a_quorum_each_time(self, api: Api) -> None:
        wire = await api.connect()
        for _ in range(3):
            assert (await wire.ask("GET", "/v1/catalog/nodes?consistent")).status == 200
        assert api.hits == 2
        assert api.agent.log.barriers == 3  # type: ignore[attr-defined]

    @pytest.mark.parametrize(
        "target",
        [
            "/v1/kv/key?index=1",
            "/v1/catalog/services?cached",
            "/v1/catalog/nodes?near=n1",
            "/v1/status/leader",
            "/v1/nothing",
        ],
    )
    async def test_what_depends_on_more_is_not_remembered(self, api: Api, target: str) -> None:
        await api.write(commands.KVSet("key", b"value"))
        wire = await api.connect()
        for _ in range(2):
            await wire.ask("GET", target)
        assert not api.server.hot.entries

    async def test_requests_that_end_the_connection_are_not_remembered(self, api: Api) -> None:
        answer = await api.get("/v1/kv/?keys", Connection="close")
        assert answer.headers["connection"] == "close"
        assert not api.server.hot.entries

    async def test_new_settings_forget_them(self, api: Api) -> None:
        wire = await api.connect()
        assert "x-a" not in (await wire.ask("GET", "/v1/kv/?keys")).headers
        api.server.configure(HttpSettings(response_headers=(("X-A", "b"),)))
        assert (await wire.ask("GET", "/v1/kv/?keys")).headers["x-a"] == "b"

    async def test_they_count_in_the_metrics(self, api: Api) -> None:
        wire = await api.connect()
        for _ in range(5):
            await wire.ask("GET", "/v1/kv/?keys")
        api.server.hot.count()
        sampler = api.agent.metrics.sampler("api.http", (("method", "GET"), ("path", "v1_kv_")))
        assert sampler.count == 5


class TestOrder:
    async def test_pipelined_requests_are_answered_in_order(self, api: Api) -> None:
        await api.write(commands.KVSet("a", b"A"))
        wire = await api.connect()
        await wire.ask("GET", "/v1/kv/a?raw")  # now remembered
        wire.send(
            request("PUT", "/v1/kv/b", b"B") + request("GET", "/v1/kv/a?raw") + request("GET", "/v1/kv/b?raw")
            + request("GET", "/v1/nothing") + request("DELETE", "/v1/kv/a") + request("GET", "/v1/kv/a?raw")
        )  # fmt: skip
        answers = [await wire.answer() for _ in range(6)]
        assert [answer.text[:4] for answer in answers] == ["true", "A", "B", "Inva", "true", ""]

    async def test_a_request_behind_a_pending_write_waits_for_it(self, api: Api) -> None:
        await api.write(commands.KVSet("b", b"old"))
        wire = await api.connect()
        await wire.ask("GET", "/v1/kv/b?raw")
        wire.send(request("PUT", "/v1/kv/b", b"new"))
        wire.send(request("GET", "/v1/kv/b?raw"))
        assert (await wire.answer()).text == "true"
        assert (await wire.answer()).text == "new"

    async def test_many_sent_in_pieces_of_any_size(self, api: Api) -> None:
        wanted: list[str] = []
        stream = b""
        for number in range(40):
            stream += request("PUT", f"/v1/kv/k{number}", f"v{number}".encode())
            stream += request("GET", f"/v1/kv/k{number}?raw")
            wanted += ["true", f"v{number}"]
        for size in (1, 7, 100, 4096):
            wire = await api.connect()

            async def feed(wire: Wire = wire, size: int = size) -> None:
                for start in range(0, len(stream), size):
                    wire.send(stream[start : start + size])
                    await asyncio.sleep(0)

            feeding = asyncio.ensure_future(feed())
            assert [(await wire.answer()).text for _ in wanted] == wanted
            await feeding

    async def test_chunked_bodies(self, api: Api) -> None:
        wire = await api.connect()
        head = b"PUT /v1/kv/c HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        for pieces in ([head + b"3\r\nabc\r\n0\r\n\r\n"], [head, b"3\r\nab", b"c\r\n0\r\n", b"\r\n"]):
            for piece in pieces:
                wire.send(piece)
                await asyncio.sleep(0.01)
            assert (await wire.answer()).text == "true"
            assert (await wire.ask("GET", "/v1/kv/c?raw")).text == "abc"
        before = api.hits
        assert (await wire.ask("GET", "/v1/kv/c?raw")).text == "abc"
        assert api.hits == before + 1  # the connection still knows where it is
        wire.send(head + b"1\r\nz\r\n0\r\n\r\n" + request("GET", "/v1/kv/c?raw"))
        assert [(await wire.answer()).text for _ in range(2)] == ["true", "z"]

    async def test_a_request_hidden_in_a_body_is_not_answered(self, api: Api) -> None:
        await api.write(commands.KVSet("secret", b"s"))
        wire = await api.connect()
        hidden = request("GET", "/v1/kv/secret?raw")
        assert (await wire.ask("GET", "/v1/kv/secret?raw")).text == "s"
        wire.send(request("PUT", "/v1/kv/x", hidden * 2)[: -len(hidden)])
        await asyncio.sleep(0.01)
        wire.send(hidden)
        assert (await wire.answer()).text == "true"
        assert api.hits == 0
        assert (await wire.ask("GET", "/v1/kv/x?raw")).body == hidden * 2

    async def test_expect_continue(self, api: Api) -> None:
        wire = await api.connect()
        wire.send(b"PUT /v1/kv/e HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n")
        assert (await wire.answer()).status == 100
        wire.send(b"ok")
        assert (await wire.answer()).text == "true"

    async def test_http_1_0(self, api: Api) -> None:
        wire = await api.connect()
        wire.send(b"GET /v1/kv/?keys HTTP/1.0\r\n\r\n")
        assert (await wire.answer()).headers["connection"] == "close"
        assert await wire.closed()
        wire = await api.connect()
        for _ in range(2):
            wire.send(b"GET /v1/kv/?keys HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
            assert (await wire.answer()).headers["connection"] == "keep-alive"


class TestPlainPut:
    async def test_the_bytes_are_the_same_both_ways(self, api: Api) -> None:
        wire = await api.connect()
        short = await wire.ask("PUT", "/v1/kv/a", b"1")
        long = await wire.ask("PUT", "/v1/kv/a?flags=0", b"1")
        assert without_date(short) == without_date(long)
        assert (await wire.ask("GET", "/v1/kv/a?raw")).text == "1"
        assert api.agent.metrics.sampler("kvs.apply").count == 2
        assert api.agent.metrics.sampler("api.http", (("method", "PUT"), ("path", "v1_kv_"))).count == 2

    @pytest.mark.parametrize("error", [InternalError("no room"), NoLeader(), RuntimeError("bug")])
    async def test_errors_are_the_same_both_ways(self, api: Api, error: Exception) -> None:
        api.agent.log.refuse = error  # type: ignore[attr-defined]
        wire = await api.connect()
        short = await wire.ask("PUT", "/v1/kv/a", b"1")
        long = await wire.ask("PUT", "/v1/kv/a?flags=0", b"1")
        assert without_date(short) == without_date(long)
        assert short.status == 500
        assert "bug" not in short.text

    async def test_c24_the_write_guard_holds(self, make_api: MakeApi) -> None:
        import ipaddress

        api = await make_api(HttpSettings(allow_write_from=(ipaddress.ip_network("10.0.0.0/8"),)))
        answer = await api.put("/v1/kv/a", b"1")
        assert (answer.status, answer.text) == (403, "Access is restricted")

    @pytest.mark.parametrize("prefix", ["/v1/kv/secret", "/v1/", "/v1/kv/"])
    async def test_c25_blocked_endpoints_hold(self, make_api: MakeApi, prefix: str) -> None:
        api = await make_api(HttpSettings(block_endpoints=(prefix,)))
        answer = await api.put("/v1/kv/secret/x", b"1")
        assert (answer.status, answer.text) == (403, "Endpoint is blocked by agent configuration")

    async def test_kv5_the_size_limit_holds(self, make_api: MakeApi) -> None:
        api = await make_api(HttpSettings(kv_max_value_size=4))
        assert (await api.put("/v1/kv/a", b"1234")).text == "true"
        answer = await api.put("/v1/kv/a", b"12345")
        assert answer.status == 413
        assert answer.text.startswith("Request body(5 bytes) too large, max size: 4 bytes. See ")
        assert answer.headers["connection"] == "close"

    async def test_a_client_that_leaves_does_no_harm(self, api: Api) -> None:
        wire = await api.connect()
        wire.send(request("PUT", "/v1/kv/a", b"1"))
        wire.writer.close()
        await asyncio.sleep(0.02)
        assert (await api.get("/v1/kv/a?raw")).text in {"1", ""}


class TestHostile:
    async def test_a_slow_head_ends_the_connection(self, make_api: MakeApi) -> None:
        api = await make_api(HttpSettings(head_timeout_s=0.05))
        wire = await api.connect()
        wire.send(b"GET /v1/kv/a HT")
        assert (await wire.answer()).status == 408
        assert await wire.closed()

    async def test_a_dripping_head_ends_the_connection(self, make_api: MakeApi) -> None:
        api = await make_api(HttpSettings(head_timeout_s=0.1))
        wire = await api.connect()
        await wire.ask("GET", "/v1/kv/?keys")

        async def drip() -> None:
            for byte in b"GET /v1/kv/a HTTP/1.1\r\nHost: x\r\n" * 10:
                wire.send(bytes((byte,)))
                await asyncio.sleep(0.01)

        dripping = asyncio.ensure_future(drip())
        try:
            assert (await wire.answer()).status == 408
        except ConnectionResetError:
            pass  # the kernel drops an answer when bytes arrive behind the close; the connection has ended all the same
        dripping.cancel()
        assert (await api.get("/v1/kv/a")).status == 404

    async def test_a_slow_body_ends_the_connection(self, make_api: MakeApi) -> None:
        api = await make_api(HttpSettings(body_timeout_s=0.05))
        wire = await api.connect()
        wire.send(b"PUT /v1/kv/a HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc")
        assert await wire.closed()
        assert (await api.get("/v1/kv/a")).status == 404

    async def test_a_head_without_end_ends_the_connection(self, make_api: MakeApi) -> None:
        api = await make_api(HttpSettings(max_header_bytes=1000))
        wire = await api.connect()
        wire.send(b"GET /v1/kv/a HTTP/1.1\r\nX: " + b"x" * 2000)
        assert (await wire.answer()).status == 431
        assert await wire.closed()

    async def test_c26_too_many_connections(self, make_api: MakeApi) -> None:
        api = await make_api(HttpSettings(max_conns_per_client=2))
        first, second = await api.connect(), await api.connect()
        await first.ask("GET", "/v1/kv/?keys")
        await second.ask("GET", "/v1/kv/?keys")
        third = await api.connect()
        text = await asyncio.wait_for(third.reader.read(), 5)
        assert text.startswith(
            b"HTTP/1.1 429 Too Many Requests\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n"
        )
        assert b"Your IP is issuing too many concurrent connections, please rate limit your calls" in text
        first.writer.close()
        for _ in range(100):
            await asyncio.sleep(0.01)
            if not api.server._per_client or api.server._per_client["127.0.0.1"] < 2:
                break
        assert (await api.get("/v1/kv/?keys")).status == 200

    @pytest.mark.parametrize(
        "garbage",
        [
            b"\x16\x03\x01\x02\x00\r\n\r\n",
            b"GET\r\n\r\n",
            b"GET / HTTP/9.9\r\n\r\n",
            b"G=T / HTTP/1.1\r\nA\x00: b\r\n\r\n",
        ],
    )
    async def test_garbage_is_a_400(self, api: Api, garbage: bytes) -> None:
        wire = await api.connect()
        wire.send(garbage)
        assert (await wire.answer()).status == 400
        assert await wire.closed()

    async def test_an_idle_connection_is_closed_and_a_used_one_is_not(self, make_api: MakeApi) -> None:
        api = await make_api(HttpSettings(idle_timeout_s=0.3))
        idle, used = await api.connect(), await api.connect()
        for _ in range(20):
            assert (await used.ask("GET", "/v1/kv/?keys")).status == 200
            await asyncio.sleep(0.04)
        assert api.hits == 19
        assert idle.reader.at_eof() or await idle.closed()

    async def test_a_client_that_never_reads_is_held_back(self, api: Api) -> None:
        await api.write(commands.KVSet("big", b"x" * 500_000))
        wire = await api.connect()
        await wire.ask("GET", "/v1/kv/big?raw")
        wire.writer.transport.pause_reading()  # type: ignore[attr-defined]
        for _ in range(200):
            wire.send(request("GET", "/v1/kv/big?raw"))
            await asyncio.sleep(0)
        await asyncio.sleep(0.2)
        (connection,) = api.server.connections
        held: Any = connection.transport.get_write_buffer_size()
        assert held < 10_000_000
        wire.writer.transport.resume_reading()  # type: ignore[attr-defined]
        for _ in range(200):
            assert len((await wire.answer()).body) == 500_000


async def test_c12_a_blocking_query_ends_with_its_client(api: Api) -> None:
    await api.write(instance("a", "web"))
    wire = await api.connect()
    index = (await wire.ask("GET", "/v1/health/service/web")).index
    wire.send(request("GET", f"/v1/health/service/web?index={index}&wait=60s"))
    await asyncio.sleep(0.05)
    views = list(api.server.dispatcher.reads.views._views.values())
    assert any(view.awaited for view in views)
    wire.writer.close()
    for _ in range(100):
        await asyncio.sleep(0.01)
        if not any(view.awaited for view in views):
            break
    assert not any(view.awaited for view in views)


class TestEnding:
    """A server that stops answers what it has taken, shortcuts too."""

    @pytest.mark.parametrize("outcome", [True, NoLeader("lost")])
    async def test_a_write_that_waits_for_the_log_is_answered(self, make_api: MakeApi, outcome: Any) -> None:
        api = await make_api()
        waiting: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        asked = asyncio.Event()

        def propose(*_: Any) -> asyncio.Future[Any]:
            asked.set()
            return waiting

        api.server.log.propose = propose  # type: ignore[method-assign]
        wire = await api.connect()
        wire.send(request("PUT", "/v1/kv/a", b"1"))
        await asyncio.wait_for(asked.wait(), 5)
        wire.send(request("PUT", "/v1/kv/b", b"2"))
        stopping = asyncio.ensure_future(api.server.stop(30.0))
        await asyncio.sleep(0)
        if isinstance(outcome, Exception):
            waiting.set_exception(outcome)
        else:
            waiting.set_result(outcome)
        answer = await wire.answer("PUT")
        assert (answer.status, answer.body) == ((200, b"true") if outcome is True else (500, b"lost"))
        assert await wire.closed()
        await asyncio.wait_for(stopping, 5)

    async def test_a_write_whose_answer_does_not_come_is_given_up(self, make_api: MakeApi) -> None:
        api = await make_api()
        asked = asyncio.Event()

        def propose(*_: Any) -> asyncio.Future[Any]:
            asked.set()
            return asyncio.get_running_loop().create_future()

        api.server.log.propose = propose  # type: ignore[method-assign]
        wire = await api.connect()
        wire.send(request("PUT", "/v1/kv/a", b"1"))
        await asyncio.wait_for(asked.wait(), 5)
        await asyncio.wait_for(api.server.stop(0.05), 5)
        assert await wire.closed()
