"""`acl role` (CL14)."""

from __future__ import annotations

from typing import Any

ROW = {
    "ID": "11111111-2222-3333-4444-555555555555", "Name": "dev", "Description": "d", "Hash": "h", "CreateIndex": 1,
    "ModifyIndex": 2, "Policies": [{"ID": "p", "Name": "kv"}],
}  # fmt: skip


def test_create_read_update_delete_list(cli: Any, stub: Any) -> None:
    stub.answer("acl/role", ROW, method="PUT")
    assert cli("acl role create -name dev -policy-name kv").out.endswith("Policies:\n   p - kv\n")
    assert stub.last.json == {"Name": "dev", "Description": "", "Policies": [{"Name": "kv"}]}
    assert cli("acl role create -name dev").status == 1
    assert cli("acl role create -policy-name kv").status == 1
    stub.answer("acl/role/name/dev", ROW)
    assert "Name:         dev" in cli("acl role read -name dev").out
    stub.answer(f"acl/role/{ROW['ID']}", ROW, method="PUT")
    cli("acl role update -name dev -append-service-identity web")
    assert stub.last.json["Policies"] == ROW["Policies"]
    assert stub.last.json["ServiceIdentities"] == [{"ServiceName": "web"}]
    stub.answer(f"acl/role/{ROW['ID']}", True, method="DELETE")
    assert cli("acl role delete -name dev").out == f'Role "{ROW["ID"]}" deleted successfully\n'
    stub.answer("acl/roles", [ROW])
    assert cli("acl role list").out.startswith("dev:\n   ID:           1111")
