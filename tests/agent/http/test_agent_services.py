"""Surface rows A5, A6, A10-A13, C14: services over the API. Every error text is in the golden scenarios as well."""

import asyncio

import pytest
from meshtest.inprocess import InProcess

from meshagent.agent.http.agent_services import ROUTES


async def test_a10_a_registration_is_in_the_catalog_at_once(live):
    answer = await live.put("/v1/agent/service/register", {"Name": "web", "Port": 80, "Check": {"TTL": "10s"}})
    assert (answer.body, answer.headers["content-type"]) == (b"", "text/plain; charset=utf-8")
    await live.settle()
    (entry,) = await live.get("/v1/health/service/web")
    assert entry["Service"]["Port"] == 80
    assert {check["CheckID"] for check in entry["Checks"]} == {"serfHealth", "service:web"}
    await live.put("/v1/agent/service/deregister/web")
    await live.settle()
    assert await live.get("/v1/catalog/service/web") == []


async def test_a5_services_by_id_filtered(live):
    await live.put("/v1/agent/service/register", {"ID": "w1", "Name": "web", "Tags": ["a"]})
    await live.put("/v1/agent/service/register", {"Name": "db"})
    assert list(await live.get("/v1/agent/services")) == ["w1", "db"]
    assert list(await live.get("/v1/agent/services?filter=a%20in%20Tags")) == ["w1"]


async def test_a6_a_service_has_a_content_hash_in_header_and_body(live):
    await live.put("/v1/agent/service/register", {"Name": "plain"})
    answer = await live.ask("GET", "/v1/agent/service/plain")
    assert answer.json["ContentHash"] == answer.headers["x-consul-contenthash"] == "41377610358c2868"
    missing = await live.ask("GET", "/v1/agent/service/zz")
    assert (missing.status, missing.text) == (404, "unknown service ID: zz")


async def test_c14_a_read_with_the_present_hash_waits_for_a_change(live):
    await live.put("/v1/agent/service/register", {"Name": "web"})
    known = (await live.get("/v1/agent/service/web"))["ContentHash"]
    waiting = asyncio.ensure_future(live.ask("GET", f"/v1/agent/service/web?hash={known}"))
    await live.put("/v1/agent/service/register", {"Name": "other"})
    await live.put("/v1/agent/service/register", {"Name": "web", "Check": {"TTL": "10s"}})
    await live.clock.advance(1)
    assert not waiting.done()
    await live.put("/v1/agent/service/register", {"Name": "web", "Port": 8})
    await live.settle()
    assert waiting.done()
    assert (await waiting).json["Port"] == 8


async def test_c14_a_wait_ends_after_its_time_and_a_little_jitter(live):
    await live.put("/v1/agent/service/register", {"Name": "web"})
    known = (await live.get("/v1/agent/service/web"))["ContentHash"]
    waiting = asyncio.ensure_future(live.ask("GET", f"/v1/agent/service/web?hash={known}&wait=16s"))
    await live.clock.advance(15.9)
    assert not waiting.done()
    await live.clock.advance(1.2)
    assert (await waiting).json["ContentHash"] == known


async def test_c14_deregistering_ends_a_wait_with_404(live):
    await live.put("/v1/agent/service/register", {"Name": "web"})
    known = (await live.get("/v1/agent/service/web"))["ContentHash"]
    waiting = asyncio.ensure_future(live.ask("GET", f"/v1/agent/service/web?hash={known}"))
    await live.settle()
    await live.put("/v1/agent/service/deregister/web")
    await live.settle()
    assert (await waiting).status == 404
    assert len(live.local.watches) == 0


@pytest.mark.parametrize(
    ("query", "left"),
    [("", ["a", "b"]), ("?replace-existing-checks", ["b"]), ("?replace-existing-checks=1", ["b"]),
     ("?replace-existing-checks=false", ["a", "b"]), ("?replace-existing-checks=zz", ["a", "b"])],
)  # fmt: skip
async def test_a10_replacing_checks(live, query, left):
    await live.put("/v1/agent/service/register", {"Name": "web", "Check": {"CheckID": "a", "TTL": "1m"}})
    await live.put(f"/v1/agent/service/register{query}", {"Name": "web", "Check": {"CheckID": "b", "TTL": "1m"}})
    assert sorted(await live.get("/v1/agent/checks")) == left


async def test_a10_an_odd_name_only_warns(live, caplog):
    await live.put("/v1/agent/service/register", {"Name": "a_b"})
    assert "will not be discoverable via DNS" in caplog.text


async def test_a10_the_token_of_the_request_stays_with_the_registration(live):
    await live.ask("PUT", "/v1/agent/service/register", {"Name": "a"}, headers={"X-Consul-Token": "mine"})
    await live.ask("PUT", "/v1/agent/service/register", {"Name": "b", "Token": "own"}, headers={"X-Consul-Token": "t"})
    assert {name: entry.token for name, entry in live.local.services.items()} == {"a": "mine", "b": "own"}
    assert "mine" not in (await live.ask("GET", "/v1/agent/services")).text


@pytest.mark.parametrize(
    ("path", "status", "text"),
    [
        ("/v1/agent/service/maintenance/web", 400, "Missing value for enable"),
        ("/v1/agent/service/maintenance/web?enable=zz", 400, 'Invalid value for enable: "zz"'),
        ("/v1/agent/service/maintenance/?enable=1", 400, "Missing service ID"),
        ("/v1/agent/maintenance", 400, "Missing value for enable"),
        (
            "/v1/agent/service/maintenance/zz?enable=1",
            404,
            'Unknown service ID "zz". Ensure that the service ID is passed, not the service name.',
        ),
    ],
)
async def test_a12_a13_what_is_wrong_with_maintenance(live, path, status, text):
    answer = await live.ask("PUT", path)
    assert (answer.status, answer.text) == (status, text)


async def test_a12_a13_maintenance_goes_on_and_off(live):
    await live.put("/v1/agent/service/register", {"Name": "web"})
    await live.put("/v1/agent/service/maintenance/web?enable=true&reason=disk+full")
    await live.put("/v1/agent/maintenance?enable=1")
    shown = await live.get("/v1/agent/checks")
    assert shown["_service_maintenance:web"]["Notes"] == "disk full"
    assert shown["_node_maintenance"]["Name"] == "Node Maintenance Mode"
    await live.put("/v1/agent/service/maintenance/web?enable=f")
    await live.put("/v1/agent/maintenance?enable=0")
    assert await live.get("/v1/agent/checks") == {}


async def test_a_registration_is_answered_when_it_is_on_disk(tmp_path):
    agent = InProcess(data_dir=tmp_path)
    await agent.start()
    await agent.put("/v1/agent/service/register", {"Name": "web", "Check": {"TTL": "1m"}})
    assert len([path for path in tmp_path.rglob("*") if path.is_file()]) == 2
    await agent.put("/v1/agent/service/deregister/web")
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    (tmp_path / "services").rmdir()
    (tmp_path / "services").write_text("in the way")
    answer = await agent.ask("PUT", "/v1/agent/service/register", {"Name": "web"})
    assert answer.status == 500
    assert "could not be saved" in answer.text
    await agent.stop()


def test_every_row_has_an_example():
    assert all(route.example and route.summary for route in ROUTES)
