import json
from typing import Any

ANSWER = {
    "Servers": [
        {"ID": "id1", "Node": "s1", "Address": "127.0.0.1:8300", "Leader": True, "ProtocolVersion": "3",
         "Voter": True, "LastIndex": 12},
        {"ID": "id2", "Node": "s2", "Address": "127.0.0.2:8300", "Leader": False, "ProtocolVersion": "3",
         "Voter": False, "LastIndex": 11},
    ],
    "Index": 0,
}  # fmt: skip


def test_peers_are_columns(cli: Any, stub: Any) -> None:  # CL12
    stub.answer("operator/raft/configuration", ANSWER)
    assert cli("operator raft list-peers").out == (
        "Node  ID   Address         State     Voter  RaftProtocol  Commit Index  Trails Leader By\n"
        "s1    id1  127.0.0.1:8300  leader    true   3             12            -\n"
        "s2    id2  127.0.0.2:8300  follower  false  3             11            1 commit\n"
    )
    assert json.loads(cli("operator raft list-peers -format=json").out) == ANSWER
