"""`meshagent peering` (surface row CL23)."""

import json
from typing import Any

import pytest

ROW = {
    "ID": "3b001063-8079-b1a6-764c-738af5a39a97",
    "Name": "east",
    "State": "ACTIVE",
    "Meta": {"env": "prod", "a": "b"},
    "PeerID": "e83a315c-027e-bcb1-7c0c-a46650904a05",
    "PeerServerName": "server.dc1.peering.x.consul",
    "PeerCAPems": ["pem"],
    "PeerServerAddresses": ["10.0.0.1:8503"],
    "StreamStatus": {"ImportedServices": ["web"], "ExportedServices": None},
    "CreateIndex": 89,
    "ModifyIndex": 90,
}


def test_a_token_is_made(cli: Any, stub: Any) -> None:
    stub.answer("peering/token", {"PeeringToken": "abc"}, method="POST")
    assert cli("peering generate-token -name=east -meta=env=prod -server-external-addresses=a:1,b:2").out == "abc\n"
    assert stub.last.json == {
        "PeerName": "east",
        "Meta": {"env": "prod"},
        "ServerExternalAddresses": ["a:1", "b:2"],
    }
    assert json.loads(cli("peering generate-token -name=east -format=json").out) == {"PeeringToken": "abc"}
    assert stub.last.json == {"PeerName": "east"}


def test_a_peering_is_established(cli: Any, stub: Any) -> None:
    stub.answer("peering/establish", {}, method="POST")
    ran = cli("peering establish -name=west -peering-token=abc")
    assert ran.out == "Successfully established peering connection with west\n"
    assert stub.last.json == {"PeerName": "west", "PeeringToken": "abc"}


def test_peerings_are_listed(cli: Any, stub: Any) -> None:
    stub.answer("peerings", [{**ROW, "Name": "west", "State": "PENDING", "Meta": None}, ROW])
    lines = cli("peering list").out.splitlines()
    assert lines[0].split("  ")[0] == "Name"
    assert [line.split() for line in lines[1:]] == [
        ["east", "ACTIVE", "1", "0", "a=b,env=prod"],
        ["west", "PENDING", "1", "0"],
    ]
    stub.answer("peerings", [])
    assert cli("peering list").out == "There are no peering connections.\n"
    assert json.loads(cli("peering list -format=json").out) == []


def test_a_peering_is_shown(cli: Any, stub: Any) -> None:
    stub.answer("peering/east", ROW)
    assert cli("peering read -name=east").out == (
        "Name:         east\n"
        "ID:           3b001063-8079-b1a6-764c-738af5a39a97\n"
        "State:        ACTIVE\n"
        "Meta:\n    a=b\n    env=prod\n\n"
        "Peer ID:               e83a315c-027e-bcb1-7c0c-a46650904a05\n"
        "Peer Server Name:      server.dc1.peering.x.consul\n"
        "Peer CA Pems:          1\n"
        "Peer Server Addresses:\n    10.0.0.1:8503\n\n"
        "Imported Services: 1\nExported Services: 0\n\n"
        "Create Index: 89\nModify Index: 90\n"
    )
    assert json.loads(cli("peering read -name=east -format=json").out)["ID"] == ROW["ID"]


def test_a_peering_is_deleted(cli: Any, stub: Any) -> None:
    stub.answer("peering/east", b"", method="DELETE")
    assert cli("peering delete -name=east").out == ("Successfully submitted peering connection, east, for deletion\n")


def test_what_is_exported_is_listed(cli: Any, stub: Any) -> None:
    stub.answer("peering/east", ROW)
    stub.answer(
        "exported-services",
        [
            {"Service": "api", "Consumers": {"Peers": ["east", "west"]}},
            {"Service": "db", "Consumers": {"Partitions": ["x"]}},
            {"Service": "web", "Consumers": {"Peers": ["east"]}},
        ],
    )
    assert cli("peering exported-services -name=east").out == "api\nweb\n"
    assert json.loads(cli("peering exported-services -name=east -format=json").out) == ["api", "web"]
    stub.answer("exported-services", [])
    assert cli("peering exported-services -name=east").out == "There are no services exported to east.\n"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("peering read", "Missing the required -name flag\n"),
        ("peering establish -name=x", "Missing the required -peering-token flag\n"),
        ("peering list -format=x", "Invalid format, valid formats are {pretty|json}\n"),
    ],
)
def test_misuse_is_explained(cli: Any, stub: Any, line: str, message: str) -> None:
    ran = cli(line)
    assert (ran.status, ran.err, stub.asked) == (1, message, [])


@pytest.mark.parametrize("verb", ["read", "exported-services"])
def test_a_peer_that_nobody_knows(cli: Any, stub: Any, verb: str) -> None:
    stub.answer("peering/zz", b"", status=404)
    ran = cli(f"peering {verb} -name=zz")
    assert (ran.status, ran.err) == (1, "No peering with name zz found.\n")
