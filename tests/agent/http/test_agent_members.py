"""Surface rows A3, A18-A20: members, and joins without a peer."""

import pytest


async def test_a3_a_server_alone_knows_itself(live):
    (member,) = await live.get("/v1/agent/members")
    assert (member["Name"], member["Addr"], member["Port"], member["Status"]) == ("n1", "127.0.0.1", 8301, 1)
    assert member["Tags"]["wan_join_port"] == "8302"
    (wan,) = await live.get("/v1/agent/members?wan=1")
    assert (wan["Name"], wan["Port"]) == ("n1.dc1", 8302)
    assert "wan_join_port" not in wan["Tags"]
    assert (await live.get("/v1/agent/members?wan"))[0]["Name"] == "n1"
    assert await live.get("/v1/agent/members?filter=Name==n2") == []


@pytest.mark.parametrize(
    ("method", "path", "status", "text"),
    [
        ("GET", "members?segment=a&wan=1", 400, "Cannot provide a segment with wan=true"),
        ("GET", "members?segment=a", 500, "Network segments are not supported in this version of Consul"),
        ("PUT", "join/", 500, "1 error occurred:\n\t* Failed to resolve : lookup : no such host\n\n"),
        ("PUT", "force-leave/zz", 500, "agent: No node found with name 'zz'"),
        ("PUT", "force-leave/zz?wan", 500, "agent: No node found with name ''"),
    ],
)
async def test_what_is_wrong_is_said_in_consuls_words(live, method, path, status, text):
    answer = await live.ask(method, f"/v1/agent/{path}")
    assert (answer.status, answer.text) == (status, text)


async def test_a20_forcing_a_known_member_to_leave_is_no_error(live):
    await live.put("/v1/agent/force-leave/n1?prune")


async def test_a19_leaving_is_answered_when_it_has_happened(live):
    await live.put("/v1/agent/leave")
    assert live.left
