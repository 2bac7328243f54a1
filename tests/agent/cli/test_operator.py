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


def test_a_peer_is_removed_by_address_or_id(cli: Any, stub: Any) -> None:  # CL12
    stub.answer("operator/raft/peer", b"", method="DELETE")
    ran = cli("operator raft remove-peer -address=127.0.0.2:8300")
    assert (ran.status, ran.out) == (0, 'Removed peer with address "127.0.0.2:8300"\n')
    assert stub.last.query == {"address": "127.0.0.2:8300"}
    assert cli("operator raft remove-peer -id=id2").out == 'Removed peer with id "id2"\n'
    assert stub.last.query == {"id": "id2"}


def test_which_peer_must_be_clear(cli: Any, stub: Any) -> None:
    ran = cli("operator raft remove-peer")
    assert (ran.status, ran.err) == (1, "Error removing peer: an address or id is required for the peer to remove\n")
    ran = cli("operator raft remove-peer -id=a -address=b")
    assert (ran.status, ran.err) == (1, "Error removing peer: cannot give both an address and id\n")
    stub.answer("operator/raft/peer", b'id "a" was not found in the Raft configuration', method="DELETE", status=500)
    assert "was not found" in cli("operator raft remove-peer -id=a").err


def test_leadership_is_handed_over(cli: Any, stub: Any) -> None:
    stub.answer("operator/raft/transfer-leader", {"Success": True}, method="POST")
    assert cli("operator raft transfer-leader -id=id2").out == "Success\n"
    assert stub.last.query == {"id": "id2"}
    stub.answer("operator/raft/transfer-leader", b"cannot find peer", method="POST", status=500)
    ran = cli("operator raft transfer-leader")
    assert (ran.status, "cannot find peer" in ran.err) == (1, True)
