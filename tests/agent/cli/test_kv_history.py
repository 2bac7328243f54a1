import base64
from typing import Any


def version(number: int, value: bytes | None, **more: Any) -> dict[str, Any]:
    shown = base64.b64encode(value).decode() if value is not None else None
    return {
        "Version": number, "Time": "2026-01-01T00:00:00.000Z", "AccessorID": "", "TokenDescription": "",
        "Agent": "n1", "Deleted": value is None, "Flags": 0, "Value": shown,
    } | more  # fmt: skip


def test_history_lists_versions_with_authors(cli: Any, stub: Any) -> None:
    rows = [
        version(2, b"one\n", Time="", Agent=""),
        version(5, b"\xff" * 200, AccessorID="acc", TokenDescription="deploys"),
        version(9, None, AccessorID="acc"),
    ]
    stub.answer("history/kv/a/b", rows)
    ran = cli("kv history /a/b")
    assert ran.out.splitlines() == [
        "Version  Time                      Author         Value",
        "2        -                         -              one.",
        "5        2026-01-01T00:00:00.000Z  deploys at n1  " + "\\xff" * 12 + "... (200 bytes)",
        "9        2026-01-01T00:00:00.000Z  acc at n1      deleted",
    ]
    assert '"Version": 5' in cli("kv history -format=json a/b").out
    assert cli("kv history -format=xml a/b").status == 1


def test_history_that_is_off_or_empty_says_so(cli: Any, stub: Any) -> None:
    stub.answer("history/kv/k", b"Versions are not kept here", status=404)
    assert cli("kv history k").err == "Error! Versions are not kept here\n"
    stub.answer("history/kv/k", [])
    assert "history.versions" in cli("kv history k").err
    assert cli("kv history").status == 1


def test_rollback_is_a_compare_and_set(cli: Any, stub: Any) -> None:
    stub.answer("history/kv/k", [version(2, b"one", Flags=7), version(5, None)])
    stub.answer("kv/k", [{"ModifyIndex": 9}])
    stub.answer("kv/k", True, method="PUT")
    stub.answer("kv/k", True, method="DELETE")
    assert cli("kv rollback -version 2 k").out == "Success! k is as it was in version 2\n"
    assert (stub.last.method, stub.last.query, stub.last.body) == ("PUT", {"cas": "9", "flags": "7"}, b"one")
    assert cli("kv rollback -version=5 k").status == 0
    assert (stub.last.method, stub.last.query) == ("DELETE", {"cas": "9"})
    stub.answer("kv/k", False, method="PUT")
    ran = cli("kv rollback -version 2 k")
    assert (ran.status, ran.err) == (1, "Error! Did not roll back k: it was changed meanwhile\n")


def test_rollback_of_a_key_that_is_gone_creates_it(cli: Any, stub: Any) -> None:
    stub.answer("history/kv/k", [version(2, b""), version(5, None)])
    stub.answer("kv/k", b"", status=404)
    stub.answer("kv/k", True, method="PUT")
    assert cli("kv rollback -version 2 k").status == 0
    assert (stub.last.query, stub.last.body) == ({"cas": "0"}, b"")
    assert cli("kv rollback -version 5 k").status == 0
    assert stub.last.method == "GET"  # it is gone already


def test_rollback_names_what_there_is(cli: Any, stub: Any) -> None:
    stub.answer("history/kv/k", [version(2, b"")])
    assert cli("kv rollback -version 3 k").err == "Error! There is no version 3 of k; there are 2\n"
    assert "-version" in cli("kv rollback k").err
