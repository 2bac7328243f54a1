import json
from typing import Any

import pytest

SERVER = {
    "Name": "s1",
    "Addr": "127.0.0.1",
    "Port": 8301,
    "Status": 1,
    "Tags": {"role": "consul", "build": "1.20.1:abc", "vsn": "2", "dc": "dc1"},
}
CLIENT = {"Name": "c1", "Addr": "::1", "Port": 8301, "Status": 4, "Tags": {"role": "node", "segment": "alpha"}}


def test_members_are_columns(cli: Any, stub: Any) -> None:  # CL2
    stub.answer("agent/members", [SERVER, CLIENT])
    ran = cli("members")
    assert ran.status == 0
    assert ran.out == (
        "Node  Address         Status  Type    Build   Protocol  DC   Partition  Segment\n"
        "c1    [::1]:8301      failed  client  -       -         -    default    alpha\n"
        "s1    127.0.0.1:8301  alive   server  1.20.1  2         dc1  default    <all>\n"
    )


def test_members_by_status_and_in_detail(cli: Any, stub: Any) -> None:  # CL2
    stub.answer("agent/members", [SERVER, CLIENT])
    assert (
        cli("members -status=^fail -detailed").out.splitlines()[1]
        == "c1    [::1]:8301  failed  role=node,segment=alpha"
    )
    assert [row["Name"] for row in json.loads(cli("members -format=json -status alive").out)] == ["s1"]
    assert cli("members -status=left").status == 2
    assert cli("members -status=(").err.startswith("Failed to compile status regexp: ")
    cli("members -wan -segment=x -filter=Status==1")
    assert stub.last.query == {"wan": "1", "segment": "x", "filter": "Status==1"}


def test_join_says_how_many(cli: Any, stub: Any) -> None:  # CL3
    stub.answer("agent/join/10.0.0.1", b"", method="PUT")
    ran = cli("join 10.0.0.1 10.0.0.9")
    assert ran.status == 0
    assert "Error joining address '10.0.0.9': Unexpected response code: 404" in ran.out
    assert "Successfully joined cluster by contacting 1 nodes." in ran.out
    assert cli("join -wan 10.0.0.9").status == 1
    assert stub.last.query == {"wan": "1"}


@pytest.mark.parametrize(
    ("line", "path", "query", "out"),
    [
        ("leave", "agent/leave", {}, "Graceful leave complete\n"),
        ("force-leave -prune c1", "agent/force-leave/c1", {"prune": "1"}, ""),
        ("force-leave -wan c1", "agent/force-leave/c1", {"wan": "1"}, ""),
    ],
)
def test_leaving(cli: Any, stub: Any, line: str, path: str, query: dict[str, str], out: str) -> None:  # CL3
    stub.answer(path, b"", method="PUT")
    ran = cli(line)
    assert (ran.status, ran.out, ran.err) == (0, out, "")
    assert stub.last.query == query


@pytest.mark.parametrize("line", ["join", "force-leave", "force-leave a b", "leave now"])
def test_missing_words_are_named(cli: Any, stub: Any, line: str) -> None:
    ran = cli(line)
    assert (ran.status, stub.asked) == (1, [])
    assert ran.err


def test_a_member_that_nobody_knows_is_named(cli: Any, stub: Any) -> None:
    stub.answer("agent/force-leave/zz", b"agent: No node found with name 'zz'", method="PUT", status=500)
    ran = cli("force-leave zz")
    assert (ran.status, ran.err) == (
        1,
        "Error force leaving: Unexpected response code: 500 (agent: No node found with name 'zz')\n",
    )
