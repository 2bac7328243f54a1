"""`services export` and `services exported-services` (CL8, ES1)."""

from typing import Any

import pytest

ENTRY = "config/exported-services/default"


def test_the_first_export_makes_the_entry(cli: Any, stub: Any) -> None:
    stub.answer(ENTRY, b"", status=404)
    stub.answer("config", True, method="PUT")
    ran = cli("services export -name web -consumer-peers east,west")
    assert ran.out == 'Successfully exported service "web" to cluster peers "east,west"\n'
    assert stub.last.query == {"cas": "0"}
    services = [{"Name": "web", "Consumers": [{"Peer": "east"}, {"Peer": "west"}]}]
    assert stub.last.json == {"Kind": "exported-services", "Name": "default", "Services": services}


def test_an_export_adds_to_what_is_there(cli: Any, stub: Any) -> None:
    held = {"Name": "web", "Consumers": [{"Peer": "east"}]}
    entry = {"Kind": "exported-services", "Name": "default", "Services": [held], "CreateIndex": 3, "ModifyIndex": 9}
    stub.answer(ENTRY, entry)
    stub.answer("config", True, method="PUT")
    assert cli("services export -name web -consumer-peers west").status == 0
    assert stub.last.query == {"cas": "9"}
    assert stub.last.json["Services"] == [{"Name": "web", "Consumers": [{"Peer": "east"}, {"Peer": "west"}]}]
    assert cli("services export -name web -consumer-peers east").status == 0
    assert stub.last.method == "GET"  # nothing to write
    stub.answer("config", False, method="PUT")
    assert "being changed by others" in cli("services export -name db -consumer-peers east").err


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("-consumer-peers east", "Missing the required -name flag"),
        ("-name web", "Missing the required -consumer-peers flag"),
        ("-name web -consumer-peers east,", "a name is empty"),
        ("-name web -consumer-partitions p", "Enterprise"),
    ],
)
def test_bad_flags(cli: Any, stub: Any, line: str, message: str) -> None:
    ran = cli(f"services export {line}")
    assert ran.status == 1
    assert message in ran.err
    assert not stub.asked


def test_what_is_refused_is_told(cli: Any, stub: Any) -> None:
    stub.answer(ENTRY, b"", status=404)
    stub.answer("config", b"Permission denied", method="PUT", status=403)
    assert "Permission denied" in cli("services export -name web -consumer-peers east").err
    stub.answer("exported-services", b"Permission denied", status=403)
    assert "Permission denied" in cli("services exported-services").err


def test_list(cli: Any, stub: Any) -> None:
    rows = [
        {"Service": "backend", "Consumers": {"Peers": ["east", "west"]}},
        {"Service": "db", "Consumers": {"Peers": ["east"]}},
    ]
    stub.answer("exported-services", rows)
    assert cli("services exported-services").out == ("Service  Consumer Peers\nbackend  east, west\ndb       east\n")
    assert '"Service": "db"' in cli("services exported-services -format json").out
    cli("services exported-services -filter Service==db")
    assert stub.last.query == {"filter": "Service==db"}
    assert cli("services exported-services -format xml").status == 1
    stub.answer("exported-services", [])
    assert cli("services exported-services").out == "No exported services found\n"
