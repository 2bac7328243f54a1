from __future__ import annotations

from typing import Any

import pytest
from meshtest.httpapi import Api, LeaderHere

from meshagent.catalog import commands
from meshagent.catalog.model import Node
from meshagent.catalog.raft.configuration import Server
from meshagent.errors import Conflict


class Raft:
    """The part of `RaftLog` that operators see."""

    leader_id: str | None = "id-a"
    configuration_index = 7
    term = 1
    is_ready = True

    def __init__(self) -> None:
        self.on_change: list[Any] = []
        self.servers = (Server("id-a", "10.0.0.1:8300", True), Server("id-b", "10.0.0.2:8300", False))
        self.removed: list[str] = []
        self.asked: str | None = ""

    def known_index(self, node_id: str) -> int:
        return {"id-a": 9, "id-b": 4}[node_id]

    async def barrier(self) -> None:
        return

    async def remove_server(self, node_id: str) -> None:
        if node_id == "id-a":
            raise Conflict("server id-a is the only one that votes")
        self.removed.append(node_id)

    def transfer_leadership(self, node_id: str | None = None) -> None:
        if node_id is None:
            raise Conflict("server '' is not another one that votes")
        self.asked = node_id
        self.term = 2
        for listener in self.on_change:
            listener()


@pytest.fixture
def raft(api: Api) -> Raft:
    made = api.agent.extras["raft"] = Raft()
    return made


@pytest.mark.parametrize("query", ["", "?stale"])
async def test_op1_the_servers_by_their_names(api: Api, raft: Raft, query: str) -> None:
    api.agent.extras["leader_calls"] = LeaderHere(api.agent)
    await api.write(commands.Register(Node(name="n-a", id="id-a"), None, ()))
    answer = await api.get(f"/v1/operator/raft/configuration{query}")
    rest = {"ProtocolVersion": "3"}
    assert answer.json == {
        "Servers": [
            {"ID": "id-a", "Node": "n-a", "Address": "10.0.0.1:8300", "Leader": True, "Voter": True, "LastIndex": 9}
            | rest,
            {"ID": "id-b", "Node": "(unknown)", "Address": "10.0.0.2:8300", "Leader": False, "Voter": False,
             "LastIndex": 4} | rest,
        ],
        "Index": 7,
    }  # fmt: skip


@pytest.mark.parametrize("query", ["id=id-b", "address=10.0.0.2:8300"])
async def test_op2_a_server_is_removed(api: Api, raft: Raft, query: str) -> None:
    answer = await api.ask("DELETE", f"/v1/operator/raft/peer?{query}")
    assert (answer.status, answer.text, raft.removed) == (200, "", ["id-b"])


@pytest.mark.parametrize(
    ("query", "status", "text"),
    [
        ("", 400, "Must specify either ?id with the server's ID or ?address with IP:port of peer to remove"),
        ("?id=a&address=b", 400, "Must specify only one of ?id or ?address"),
        ("?address=1.2.3.4:1", 500, 'address "1.2.3.4:1" was not found in the Raft configuration'),
        ("?id=nope", 500, 'id "nope" was not found in the Raft configuration'),
        ("?id=id-a", 500, "server id-a is the only one that votes"),
    ],
)
async def test_op2_refusals(api: Api, raft: Raft, query: str, status: int, text: str) -> None:
    answer = await api.ask("DELETE", f"/v1/operator/raft/peer{query}")
    assert (answer.status, answer.text, raft.removed) == (status, text, [])


async def test_op3_leadership_goes_to_another(api: Api, raft: Raft) -> None:
    answer = await api.ask("POST", "/v1/operator/raft/transfer-leader?id=id-b")
    assert (answer.json, raft.asked) == ({"Success": True}, "id-b")
    assert raft.on_change == []


@pytest.mark.parametrize(
    ("query", "text"), [("", "cannot find peer"), ("?id=nope", "Could not find address for server id nope")]
)
async def test_op3_refusals(api: Api, raft: Raft, query: str, text: str) -> None:
    answer = await api.ask("POST", f"/v1/operator/raft/transfer-leader{query}")
    assert (answer.status, answer.text) == (500, text)
