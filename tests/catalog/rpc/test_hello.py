"""Who is let in: the rows that a connection's tests do not reach."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshagent.catalog.rpc.frames import MAX_HELLO_BYTES, Hello, encode
from meshagent.catalog.rpc.hello import (
    CLIENT,
    MAX_NAME_CHARS,
    NEWEST,
    OLDEST,
    VERSIONS,
    Identity,
    Peer,
    judge,
    server_name,
)
from meshagent.catalog.rpc.reasons import Reason

OWN = Identity("id-own", "own", "dc1", "c1")


def hello(**changes: Any) -> Hello:
    values: dict[str, Any] = {
        "oldest": OLDEST,
        "newest": NEWEST,
        "cluster_id": "c1",
        "datacenter": "dc1",
        "node_id": "id-x",
        "node_name": "x",
        "role": "server",
        "epoch": 4,
    }
    return Hello(**{**values, **changes})


def test_a_server_of_ours() -> None:
    assert judge(hello(), OWN, epoch=0) == Peer("id-x", "x", "dc1", "c1", "server", NEWEST, 4)


@pytest.mark.parametrize(
    ("changes", "options", "reason"),
    [
        ({"node_id": ""}, {}, Reason.GARBAGE),
        ({"role": "king"}, {}, Reason.GARBAGE),
        ({"node_name": "x" * 256}, {}, Reason.GARBAGE),
        ({"oldest": NEWEST + 1, "newest": NEWEST + 1}, {}, Reason.VERSION),
        ({"newest": OLDEST - 1, "oldest": 0}, {}, Reason.VERSION),
        ({"oldest": 2, "newest": 1}, {}, Reason.VERSION),
        ({"datacenter": "dc2"}, {}, Reason.WRONG_DATACENTER),
        ({"cluster_id": "c2"}, {}, Reason.WRONG_CLUSTER),
        ({"node_id": "id-own"}, {}, Reason.WRONG_NODE),
        ({}, {"expected_node_id": "id-y"}, Reason.WRONG_NODE),
        ({}, {"names": set()}, Reason.NOT_A_SERVER),
        ({}, {"names": {"server.dc1.consul"}, "domain": "example.org"}, Reason.NOT_A_SERVER),
    ],
)
def test_refused(changes: dict[str, Any], options: dict[str, Any], reason: Reason) -> None:
    verdict = judge(hello(**changes), OWN, epoch=0, **options)
    assert isinstance(verdict, tuple)
    assert verdict[0] is reason
    assert reason.refused


@pytest.mark.parametrize(
    ("changes", "options"),
    [
        ({"cluster_id": ""}, {}),
        ({"newest": NEWEST + 5}, {}),
        ({}, {"names": {"x", "server.dc1.consul"}}),
        ({}, {"names": {"server.dc1.example.org"}, "domain": "Example.org."}),
        ({"role": CLIENT}, {"names": set()}),  # a client proves nothing but that its certificate is ours
    ],
)
def test_accepted(changes: dict[str, Any], options: dict[str, Any]) -> None:
    assert isinstance(judge(hello(**changes), OWN, epoch=0, **options), Peer)


def test_a_server_without_a_cluster_takes_any() -> None:
    assert isinstance(judge(hello(cluster_id="c2"), OWN.in_cluster(""), epoch=0), Peer)
    assert isinstance(judge(hello(cluster_id="c2"), OWN.in_cluster("c3"), epoch=0), tuple)


@given(st.text(max_size=MAX_NAME_CHARS), st.text(max_size=9))
def test_every_hello_is_judged(name: str, role: str) -> None:
    verdict = judge(hello(node_name=name, cluster_id=name, role=role), OWN, epoch=0)
    assert isinstance(verdict, Peer) or verdict[0] in set(Reason)


def test_the_longest_hello_fits_its_limit() -> None:
    name = "x" * MAX_NAME_CHARS
    assert (
        len(encode(hello(cluster_id=name, datacenter=name, node_id=name, node_name=name, epoch=2**63)))
        < MAX_HELLO_BYTES
    )


def test_names_and_versions() -> None:
    assert server_name("dc1", "consul.") == "server.dc1.consul"
    assert sorted(VERSIONS) == list(range(OLDEST, NEWEST + 1))


@pytest.mark.parametrize(
    ("only_node", "changes", "reason"),
    [
        (None, {"role": CLIENT}, None),
        ("X", {"role": CLIENT}, None),
        ("y", {"role": CLIENT}, Reason.WRONG_NODE),
        ("", {"role": CLIENT}, Reason.WRONG_NODE),
        ("x", {"role": "server"}, Reason.NOT_A_SERVER),
    ],
)
def test_a_certificate_for_one_agent_is_for_no_other(
    only_node: str | None, changes: dict[str, Any], reason: Reason | None
) -> None:
    verdict = judge(hello(**changes), OWN, epoch=0, only_node=only_node)
    if isinstance(verdict, Peer):
        assert reason is None
        assert verdict.proven is (only_node is not None)
    else:
        assert verdict[0] is reason
