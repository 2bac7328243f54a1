"""`acl binding-rule` (CL15)."""

from __future__ import annotations

from typing import Any

ROW = {
    "ID": "11111111-2222-3333-4444-555555555555", "AuthMethod": "ci", "Description": "", "BindType": "service",
    "BindName": "web", "Selector": "a == b", "CreateIndex": 1, "ModifyIndex": 2,
}  # fmt: skip


def test_create_read_update_delete_list(cli: Any, stub: Any) -> None:
    stub.answer("acl/binding-rule", ROW, method="PUT")
    made = cli("acl binding-rule create -method ci -bind-type service -bind-name web -bind-vars name=x")
    assert stub.last.json["BindVars"] == {"Name": "x"} and stub.last.json["AuthMethod"] == "ci"
    assert "BindName:     web\n" in made.out
    for words in ("-method ci -bind-type service", "-method ci -bind-type s -bind-name w -bind-vars x"):
        assert cli(f"acl binding-rule create {words}").status == 1
    path = f"acl/binding-rule/{ROW['ID']}"
    stub.answer("acl/binding-rules", [ROW])
    stub.answer(path, ROW)
    stub.answer(path, ROW, method="PUT")
    cli("acl binding-rule update -id 1111 -selector c")
    assert stub.last.json["Selector"] == "c" and stub.last.json["BindName"] == "web"
    assert "Selector:     a == b" in cli("acl binding-rule read -id 1111").out
    stub.answer(path, True, method="DELETE")
    assert cli("acl binding-rule delete -id 1111").out == f'Binding-rule "{ROW["ID"]}" deleted successfully\n'
    assert cli("acl binding-rule list -method ci").out.startswith(f"{ROW['ID']}:\n   AuthMethod:   ci\n")
    assert stub.last.query == {"authmethod": "ci"}
