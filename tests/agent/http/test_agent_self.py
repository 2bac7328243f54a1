"""Surface rows A1, A2, A4, A21, A25: what an agent says of itself. The full shape is a golden scenario."""

from meshtest.inprocess import NODE_ID


async def test_a1_what_tools_read(live):
    shown = await live.get("/v1/agent/self")
    assert shown["Config"]["NodeName"] == shown["Member"]["Name"] == "n1"
    assert shown["Config"]["NodeID"] == shown["DebugConfig"]["NodeID"] == NODE_ID
    assert shown["Config"]["Server"] is True
    assert shown["DebugConfig"]["DNSPort"] == 8600
    assert shown["DebugConfig"]["ConnectEnabled"] is True
    assert shown["Meta"]["consul-version"] == shown["Config"]["Version"]
    assert shown["xDS"]["Ports"] == {"Plaintext": 8502, "TLS": 8503}
    assert len(shown["Coord"]["Vec"]) == 8
    await live.put("/v1/agent/service/register", {"Name": "a", "Check": {"TTL": "1h"}})
    stats = (await live.get("/v1/agent/self"))["Stats"]
    assert stats["agent"] == {"check_monitors": "0", "check_ttls": "1", "checks": "1", "services": "1"}
    assert stats["consul"]["leader"] == "true"
    assert all(isinstance(value, str) for group in stats.values() for value in group.values())


async def test_a2_the_host(live):
    shown = await live.get("/v1/agent/host")
    assert shown["Errors"] is None
    assert shown["Memory"]["total"] > 0


async def test_a4_the_version(live):
    assert set(await live.get("/v1/agent/version")) == {"SHA", "BuildDate", "HumanVersion", "FIPS"}


async def test_a21_a_reload_is_the_daemons(live):
    await live.put("/v1/agent/reload")
    assert live.reloads == 1


async def test_a25_without_acls_there_are_no_tokens(live):
    answer = await live.ask("PUT", "/v1/agent/token/default", {"Token": "x"})
    assert (answer.status, answer.text) == (401, "ACL support disabled")
