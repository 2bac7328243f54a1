"""`intention create|check|match|get|list|delete|explain` (surface row CL18)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

ONE = {
    "SourceName": "web", "DestinationName": "db", "Action": "allow", "Precedence": 9, "Meta": {"k": "v"},
    "CreateIndex": 3, "ModifyIndex": 4,
}  # fmt: skip


def test_create(cli: Any, stub: Any) -> None:
    stub.answer("connect/intentions/exact", b"true", method="PUT")
    assert cli("intention create web db").out == "Created: web => db (allow)\n"
    assert stub.last.query == {"source": "web", "destination": "db"}
    assert stub.last.json == {"Action": "allow"}
    assert cli("intention create -deny -meta a=b web db").out == "Created: web => db (deny)\n"
    assert stub.last.json == {"Action": "deny", "Meta": {"a": "b"}}
    assert cli("intention create -audit web *").out == "Created: web => * (audit)\n"


def test_what_is_there_is_replaced_only_when_asked_to(cli: Any, stub: Any) -> None:
    stub.answer("connect/intentions/exact", ONE)
    stub.answer("connect/intentions/exact", b"true", method="PUT")
    refused = cli("intention create -deny web db")
    assert (refused.status, "use -replace" in refused.err) == (1, True)
    assert cli("intention create -replace -deny web db").out == "Updated: web => db (deny)\n"


def test_create_from_files(cli: Any, stub: Any, tmp_path: Path) -> None:
    stub.answer("connect/intentions/exact", b"true", method="PUT")
    file = tmp_path / "i.json"
    file.write_text(json.dumps([ONE, {"SourceName": "a", "DestinationName": "b", "Permissions": [{}]}]))
    out = cli("intention", "create", "-file", str(file)).out
    assert out == "Created: web => db (allow)\nCreated: a => b (1 permissions)\n"
    for text, message in (("zork", "Error parsing"), ("{}", "needs SourceName")):
        file.write_text(text)
        ran = cli("intention", "create", "-file", str(file))
        assert (ran.status, message in ran.err) == (1, True)


@pytest.mark.parametrize(("allowed", "status", "word"), [(True, 0, "Allowed"), (False, 1, "Denied")])
def test_check(cli: Any, stub: Any, allowed: bool, status: int, word: str) -> None:
    stub.answer("connect/intentions/check", {"Allowed": allowed})
    ran = cli("intention check web db")
    assert (ran.status, ran.out) == (status, f"{word}\n")


def test_check_that_fails_ends_with_2(cli: Any, stub: Any) -> None:
    assert cli("intention check web").status == 2
    ran = cli("intention check web db")
    assert (ran.status, ran.err.startswith("Error checking the connection")) == (2, True)


def test_match_get_list_delete(cli: Any, stub: Any) -> None:
    stub.answer("connect/intentions/match", {"db": [ONE]})
    assert cli("intention match db").out == "web => db (allow)\n"
    assert stub.last.query == {"by": "destination", "name": "db"}
    stub.answer("connect/intentions/match", {"web": None})
    assert cli("intention match -source web").out == ""
    stub.answer("connect/intentions/exact", ONE)
    assert cli("intention get web db").out.startswith("Source:        web\nDestination:   db\nAction:        allow\n")
    stub.answer("connect/intentions", [ONE])
    assert cli("intention list").out == (
        "ID  Source  Action  Destination  Precedence\n    web     allow   db           9\n"
    )
    stub.answer("connect/intentions", [])
    assert cli("intention list").out == "There are no intentions.\n"
    stub.answer("connect/intentions/exact", b"true", method="DELETE")
    assert cli("intention delete web db").out == "Intention deleted.\n"
    assert stub.last.method == "DELETE"


def test_by_id(cli: Any, stub: Any) -> None:
    name = "11111111-2222-3333-4444-555555555555"
    stub.answer(f"connect/intentions/{name}", {**ONE, "ID": name})
    assert name in cli(f"intention get {name}").out
    stub.answer(f"connect/intentions/{name}", b"true", method="DELETE")
    assert cli(f"intention delete {name}").out == "Intention deleted.\n"
    missing = cli("intention get a b")
    assert (missing.status, missing.err) == (1, "Error: there is no intention a => b\n")


def test_explain(cli: Any, stub: Any) -> None:
    stub.answer(
        "connect/intentions/explain",
        {
            "Allowed": True, "Audited": True, "Reason": "Matched it", "Intention": ONE,
            "Default": {"Allowed": False, "Reason": "r"},
            "Considered": [{**ONE, "Applies": True, "Decides": True}, {**ONE, "Applies": False, "Decides": False}],
        },
    )  # fmt: skip
    ran = cli("intention explain -header=x:1 web db GET /a")
    assert ran.status == 0
    assert stub.last.query == {"source": "web", "destination": "db", "method": "GET", "path": "/a", "header": "x:1"}
    assert ran.out.splitlines()[:2] == ["Allowed", "Matched it"]
    assert "only audited" in ran.out
    assert "default: deny" in ran.out
    cli("intention explain web db /a")
    assert stub.last.query["path"] == "/a"
    assert json.loads(cli("intention explain -json web db").out)["Reason"] == "Matched it"
