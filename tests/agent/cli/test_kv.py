import base64
import io
from pathlib import Path
from typing import Any

import pytest


def entry(key: str, value: bytes | None = b"v", **more: Any) -> dict[str, Any]:
    encoded = base64.b64encode(value).decode() if value else None
    return {"Key": key, "Value": encoded, "Flags": 0, "LockIndex": 0, "CreateIndex": 7, "ModifyIndex": 9} | more


def test_get_prints_the_value_as_it_is(cli: Any, stub: Any) -> None:  # CL6
    stub.answer("kv/a/b c", [entry("a/b c", "wört\n".encode())])
    ran = cli("kv", "get", "/a/b c")
    assert (ran.status, ran.out, ran.err) == (0, "wört\n\n", "")


def test_get_of_a_missing_key_fails(cli: Any, stub: Any) -> None:  # CL6
    stub.answer("kv/x", b"", status=404)
    ran = cli("kv get x")
    assert (ran.status, ran.out, ran.err) == (1, "", "Error! No key exists at: x\n")


def test_get_detailed_aligns_like_gos_tabwriter(cli: Any, stub: Any) -> None:  # CL6
    stub.answer("kv/x", [entry("x", b"bar", Flags=42, Session="s1")])
    assert cli("kv get -detailed x").out == (
        "CreateIndex      7\n"
        "Flags            42\n"
        "Key              x\n"
        "LockIndex        0\n"
        "ModifyIndex      9\n"
        "Session          s1\n"
        "Value            bar\n"
    )


def test_get_recurse_prints_keys_with_values(cli: Any, stub: Any) -> None:  # CL6
    stub.answer("kv/a", [entry("a/1", b"x"), entry("a/2", None)])
    assert cli("kv get -recurse a").out == "a/1:x\na/2:\n"
    assert "recurse" in stub.last.query
    assert cli("kv get -recurse=true -base64 a").out == "a/1:eA==\na/2:\n"
    detailed = cli("kv get -recurse -detailed a").out
    assert detailed.count("CreateIndex") == 2
    assert "Value            x\n\nCreateIndex" in detailed
    stub.answer("kv/none", b"", status=404)
    assert cli("kv get -recurse none").out == ""


def test_get_keys_goes_up_to_the_separator(cli: Any, stub: Any) -> None:  # CL6
    stub.answer("kv/a", ["a/1", "a/sub/"])
    assert cli("kv get -keys a").out == "a/1\na/sub/\n"
    assert stub.last.query == {"keys": "", "separator": "/"}
    cli("kv get -keys -separator= a")
    assert stub.last.query["separator"] == ""


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("kv get", "Error! Missing KEY argument"),
        ("kv get a -recurse", "Too many arguments (expected 1, got 2)"),
        ("kv put", "Error! Missing KEY argument"),
        ("kv put a b c", "Too many arguments (expected 2, got 3)"),
        ("kv put -acquire a", "Error! Missing -session (required with -acquire)"),
        ("kv put -release a", "Error! Missing -session (required with -release)"),
        ("kv put -base64 a !", "Error! Cannot base 64 decode data: Only base64 data is allowed"),
        ("kv put a @/no/such/file", "Error! Failed to read file: /no/such/file: No such file or directory"),
        ("kv delete", "Error! Missing KEY argument"),
        ("kv delete -cas -recurse a", "Cannot specify both -cas and -recurse!"),
        ("kv delete -cas a", "Must specify -modify-index with -cas!"),
        ("kv import", "Error! Missing DATA argument"),
        ("kv import {", "Cannot unmarshal data: Expecting property name enclosed in double quotes: line 1 column 2"),
        ('kv import [{"flags":1}]', "Cannot unmarshal data: an entry has no 'key'"),
        ("kv import {}", "Cannot unmarshal data: a list of objects was expected"),
    ],
)
def test_misuse_is_explained_without_asking_the_agent(cli: Any, stub: Any, line: str, message: str) -> None:
    ran = cli(line)
    assert (ran.status, ran.out) == (1, "")
    assert ran.err.startswith(message)
    assert stub.asked == []


def test_put_writes(cli: Any, stub: Any) -> None:  # CL6
    stub.answer("kv/foo", True, method="PUT")
    ran = cli("kv", "put", "-flags", "42", "foo", "-5")
    assert (ran.status, ran.out) == (0, "Success! Data written to: foo\n")
    assert (stub.last.body, stub.last.query) == (b"-5", {"flags": "42"})
    assert cli("kv put foo").status == 0
    assert stub.last.body == b""


def test_put_takes_data_from_files_and_standard_input(
    cli: Any, stub: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # CL6
    stub.answer("kv/foo", True, method="PUT")
    (tmp_path / "data").write_bytes(b"\x00\xff")
    cli(f"kv put foo @{tmp_path}/data")
    assert stub.last.body == b"\x00\xff"
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"from stdin\n")))
    cli("kv put foo -")
    assert stub.last.body == b"from stdin\n"
    cli("kv put -base64 foo aGVsbG8=")
    assert stub.last.body == b"hello"


@pytest.mark.parametrize(
    ("flags", "query", "done", "out", "err"),
    [
        ("-cas -modify-index=9", {"cas": "9"}, True, "Success! Data written to: foo\n", ""),
        ("-cas", {"cas": "0"}, False, "", "Error! Did not write to foo: CAS failed\n"),
        ("-acquire -session=s", {"acquire": "s"}, True, "Success! Lock acquired on: foo\n", ""),
        ("-acquire -session=s", {"acquire": "s"}, False, "", "Error! Did not acquire lock\n"),
        ("-release -session=s", {"release": "s"}, True, "Success! Lock released on: foo\n", ""),
        ("-release -session=s", {"release": "s"}, False, "", "Error! Did not release lock\n"),
    ],
)
def test_put_with_conditions(
    cli: Any, stub: Any, flags: str, query: dict[str, str], done: bool, out: str, err: str
) -> None:  # CL6
    stub.answer("kv/foo", done, method="PUT")
    ran = cli(f"kv put {flags} foo bar")
    assert (ran.status, ran.out, ran.err) == (0 if done else 1, out, err)
    assert stub.last.query == query


def test_delete(cli: Any, stub: Any) -> None:  # CL6
    stub.answer("kv/foo", True, method="DELETE")
    assert cli("kv delete foo").out == "Success! Deleted key: foo\n"
    assert cli("kv delete -recurse foo").out == "Success! Deleted keys with prefix: foo\n"
    assert stub.last.query == {"recurse": ""}
    stub.answer("kv/foo", False, method="DELETE")
    ran = cli("kv delete -cas -modify-index 5 foo")
    assert (ran.status, ran.err) == (1, "Error! Did not delete key foo: CAS failed\n")
    assert stub.last.query == {"cas": "5"}


def test_export_can_be_imported(cli: Any, stub: Any, tmp_path: Path) -> None:  # CL7
    stub.answer("kv/", [entry("a", b"x", Flags=3), entry("b", None)])
    out = cli("kv export").out
    assert out == (
        '[\n\t{\n\t\t"key": "a",\n\t\t"flags": 3,\n\t\t"value": "eA=="\n\t},\n'
        '\t{\n\t\t"key": "b",\n\t\t"flags": 0,\n\t\t"value": ""\n\t}\n]\n'
    )
    (tmp_path / "kv.json").write_text(out)
    stub.answer("kv/new/a", True, method="PUT")
    stub.answer("kv/new/b", True, method="PUT")
    ran = cli(f"kv import -prefix=new/ @{tmp_path}/kv.json")
    assert ran.out == "Imported: new/a\nImported: new/b\n"
    assert [(a.path, a.query, a.body) for a in stub.asked[-2:]] == [
        ("/v1/kv/new/a", {"flags": "3"}, b"x"),
        ("/v1/kv/new/b", {}, b""),
    ]
