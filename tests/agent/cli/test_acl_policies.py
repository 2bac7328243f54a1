"""`acl policy` (CL14)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

ROW = {
    "ID": "11111111-2222-3333-4444-555555555555", "Name": "kv", "Description": "d", "Rules": "r", "Hash": "h",
    "Datacenters": ["dc1"], "CreateIndex": 1, "ModifyIndex": 2,
}  # fmt: skip


def test_rules_come_from_a_flag_or_a_file(cli: Any, stub: Any, tmp_path: Path) -> None:
    stub.answer("acl/policy", ROW, method="PUT")
    (tmp_path / "rules.hcl").write_text('acl = "read"')
    made = cli(f"acl policy create -name kv -rules @{tmp_path / 'rules.hcl'} -valid-datacenter dc1")
    assert stub.last.json == {"Name": "kv", "Description": "", "Rules": 'acl = "read"', "Datacenters": ["dc1"]}
    assert made.out == f"ID:           {ROW['ID']}\nName:         kv\nDescription:  d\nDatacenters:  dc1\nRules:\nr\n"
    assert cli("acl policy create -rules x").status == 1
    assert cli("acl policy create -name x -rules @/nowhere").status == 1


def test_update_keeps_what_is_not_given(cli: Any, stub: Any) -> None:
    stub.answer("acl/policy/name/kv", ROW)
    stub.answer(f"acl/policy/{ROW['ID']}", ROW)
    stub.answer(f"acl/policy/{ROW['ID']}", ROW, method="PUT")
    cli("acl policy update -name kv -rules new")
    assert stub.last.json == {"Name": "kv", "Description": "d", "Rules": "new", "Datacenters": ["dc1"]}
    cli(f"acl policy update -id {ROW['ID']} -name other -no-merge")
    assert stub.last.json == {"Name": "other", "Description": "", "Rules": "", "Datacenters": []}


def test_read_delete_and_list(cli: Any, stub: Any) -> None:
    stub.answer("acl/policy/name/kv", ROW)
    assert "Rules:\nr\n" in cli("acl policy read -name kv").out
    assert cli("acl policy read").status == 1
    stub.answer(f"acl/policy/{ROW['ID']}", True, method="DELETE")
    assert cli("acl policy delete -name kv").out == f'Policy "{ROW["ID"]}" deleted successfully\n'
    stub.answer("acl/policies", [ROW])
    lines = ["kv:", f"   ID:           {ROW['ID']}", "   Description:  d", "   Datacenters:  dc1", ""]
    assert cli("acl policy list").out == "\n".join(lines)
