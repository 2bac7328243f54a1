"""Surface rows A7, A14-A17, K14: checks over the API. Every error text is in the golden scenarios as well."""

import pytest
from meshtest.inprocess import InProcess

from meshagent.agent.persist import load


async def shown(live, check_id):
    check = (await live.get("/v1/agent/checks"))[check_id]
    return check["Status"], check["Output"]


async def test_a14_to_a17_the_life_of_a_ttl_check(live):
    await live.put("/v1/agent/check/register", {"ID": "c", "Name": "C", "TTL": "30s"})
    assert await shown(live, "c") == ("critical", "")
    await live.put("/v1/agent/check/pass/c?note=all+fine")
    assert await shown(live, "c") == ("passing", "all fine")
    await live.put("/v1/agent/check/warn/c")
    assert await shown(live, "c") == ("warning", "")
    await live.put("/v1/agent/check/fail/c?note=bad")
    assert await shown(live, "c") == ("critical", "bad")
    await live.put("/v1/agent/check/update/c", {"Status": "passing", "Output": "back"})
    await live.settle()
    (check,) = [one for one in await live.get("/v1/health/node/n1") if one["CheckID"] == "c"]
    assert (check["Status"], check["Output"]) == ("passing", "back")
    await live.clock.advance(31)
    assert await shown(live, "c") == ("critical", "TTL expired (last output before timeout follows): back")
    await live.put("/v1/agent/check/deregister/c")
    await live.settle()
    assert [one["CheckID"] for one in await live.get("/v1/health/node/n1")] == ["serfHealth"]


async def test_a7_checks_by_id_filtered(live):
    await live.put("/v1/agent/check/register", {"Name": "a", "TTL": "30s"})
    await live.put("/v1/agent/check/register", {"Name": "b", "TTL": "30s", "Status": "passing"})
    assert list(await live.get("/v1/agent/checks?filter=Status==passing")) == ["b"]


async def test_k14_the_last_word_of_a_ttl_check_is_kept(tmp_path):
    agent = InProcess(data_dir=tmp_path)
    await agent.start()
    await agent.put("/v1/agent/check/register", {"Name": "c", "TTL": "30s"})
    await agent.put("/v1/agent/check/pass/c?note=fine")
    state = load(tmp_path).states["c"]
    assert (state.status, state.output) == ("passing", "fine")
    assert state.expires == pytest.approx(agent.clock.now().timestamp() + 30, abs=1)
    await agent.stop()


@pytest.mark.parametrize(
    ("path", "value", "status", "text"),
    [
        ("check/pass/zz", None, 404, 'Unknown check ID "zz". Ensure that the check ID is passed, not the check name.'),
        ("check/pass/tcp", None, 500, 'CheckID "tcp" does not have associated TTL'),
        ("check/pass/_node_maintenance", None, 500, 'CheckID "_node_maintenance" does not have associated TTL'),
        ("check/update/tcp", {"Status": "up"}, 400, "Invalid check status: 'up'"),
        ("check/update/tcp", {"status": 5}, 400, None),
        ("check/deregister/zz", None, 404, None),
        ("check/register", {"Name": "x"}, 400, "Invalid check: TTL must be > 0 for TTL checks"),
        ("check/register", {"Name": "x", "TTL": "1s", "ServiceID": "zz"}, 404, 'ServiceID "zz" does not exist'),
        ("check/register", {"Name": "x", "CheckID": "y"}, 400, 'Request decode failed: json: unknown field "CheckID"'),
    ],
)
async def test_what_is_wrong_is_said_in_consuls_words(live, path, value, status, text):
    await live.put("/v1/agent/check/register", {"Name": "tcp", "TCP": "127.0.0.1:1", "Interval": "1h"})
    await live.put("/v1/agent/maintenance?enable=1")
    answer = await live.ask("PUT", f"/v1/agent/{path}", value)
    assert answer.status == status
    assert text is None or answer.text == text
