import pytest
from meshtest.gossip import plain, recorded, serf_parts

from meshagent.agent.gossip.key_queries import INSTALL, LIST, REMOVE, USE, answer_key_query, fitting, report
from meshagent.agent.gossip.keyring import Keyring, encode_key
from meshagent.agent.gossip.serf_codec import decode, encode
from meshagent.agent.gossip.serf_messages import KeyRequest, KeyResponse
from meshagent.agent.gossip.serf_signals import QueryResult

A, B = bytes(range(32)), bytes(range(1, 17))


def ask(name: str, ring: Keyring, key: bytes = b"") -> KeyResponse:
    return answer_key_query(name, encode(KeyRequest(key)), ring)


def test_a_rotation() -> None:
    ring = Keyring([A])
    assert all(ask(name, ring, key).result for name, key in ((INSTALL, B), (USE, B), (REMOVE, A)))
    assert ask(LIST, ring) == KeyResponse(True, "", (encode_key(B),), encode_key(B))


@pytest.mark.parametrize(
    ("name", "payload", "message"),
    [
        (REMOVE, encode(KeyRequest(A)), "Removing the primary key is not allowed"),
        (USE, encode(KeyRequest(B)), "Requested key is not in the keyring"),
        (INSTALL, encode(KeyRequest(b"x")), "key size must be 16, 24 or 32 bytes"),
        (INSTALL, b"", "empty message"),
        (INSTALL, encode(KeyResponse(True)), "no key request"),
    ],
)
def test_refusals(name: str, payload: bytes, message: str) -> None:
    ring = Keyring([A])
    assert answer_key_query(name, payload, ring) == KeyResponse(False, message)
    assert ring.keys == (A,)


def test_answers_of_real_members_are_ours() -> None:
    words = {
        plain(part["body"])["Message"]
        for line in recorded()
        for part, _ in serf_parts(line["decoded"])
        if part["name"] == "keyResponse"
    }
    assert words - {""} <= {
        "Removing the primary key is not allowed",
        "Requested key is not in the keyring",
        "Keyring is empty (encryption not enabled)",
        "No keyring to modify (encryption not enabled)",
    }
    assert "Removing the primary key is not allowed" in words


def test_a_list_that_is_too_long_is_cut_and_says_so() -> None:
    keys = tuple(encode_key(bytes([number]) * 32) for number in range(40))
    response = KeyResponse(True, "", keys, keys[0])
    assert fitting(response, 100_000) == encode(response)
    cut = decode(fitting(response, 1000))
    assert isinstance(cut, KeyResponse)
    assert len(fitting(response, 1000)) <= 1000
    assert cut.keys == keys[: len(cut.keys or ())]
    assert cut.message == f"truncated key list response, showing first {len(cut.keys or ())} of 40 keys"


def result(nodes: int, **responses: bytes) -> QueryResult:
    return QueryResult((), responses, nodes)


def test_answers_are_added_up() -> None:
    one = encode(KeyResponse(True, "", ("k1", "k2"), "k1"))
    two = encode(KeyResponse(True, "cut", ("k2",), "k2"))
    told = report(result(2, a=one, b=two))
    assert told.problem is None
    assert (told.keys, told.primary_keys, told.messages) == ({"k1": 1, "k2": 2}, {"k1": 1, "k2": 1}, {"b": "cut"})


def test_who_refused_and_who_was_silent() -> None:
    told = report(result(3, a=encode(KeyResponse(False, "no")), b=b"junk", c=encode(KeyRequest())))
    assert told.problem == "3/3 nodes reported failure"
    assert told.messages["a"] == "no"
    assert told.messages["b"].startswith("Invalid key query response")
    assert told.messages["c"].startswith("Invalid key query response")
    assert report(result(2, a=encode(KeyResponse(True)))).problem == "1/2 nodes reported success"
