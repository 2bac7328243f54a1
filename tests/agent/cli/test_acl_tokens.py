"""`acl token` (CL14): flags become bodies, rows become text."""

from __future__ import annotations

import json
from typing import Any

ROW = {
    "AccessorID": "11111111-2222-3333-4444-555555555555", "SecretID": "s", "Description": "d", "Local": False,
    "CreateTime": "t", "Hash": "h", "CreateIndex": 1, "ModifyIndex": 2, "ExpirationTime": "e",
    "Roles": [{"ID": "r", "Name": "dev"}],
    "ServiceIdentities": [{"ServiceName": "web", "Datacenters": ["dc1"]}, {"ServiceName": "api"}],
    "NodeIdentities": [{"NodeName": "n", "Datacenter": "dc1"}],
    "TemplatedPolicies": [{"TemplateName": "builtin/service", "TemplateVariables": {"name": "db"}}],
}  # fmt: skip


def test_create_says_what_is_granted(cli: Any, stub: Any) -> None:
    stub.answer("acl/token", ROW, method="PUT")
    made = cli(
        "acl token create -description d -policy-name a -policy-name b -role-name dev -service-identity web:dc1,dc2 "
        "-node-identity n:dc1 -templated-policy builtin/service -var name:db -expires-ttl 1h -local"
    )
    assert stub.last.json == {
        "Description": "d", "Local": True, "ExpirationTTL": "1h",
        "Policies": [{"Name": "a"}, {"Name": "b"}], "Roles": [{"Name": "dev"}],
        "ServiceIdentities": [{"ServiceName": "web", "Datacenters": ["dc1", "dc2"]}],
        "NodeIdentities": [{"NodeName": "n", "Datacenter": "dc1"}],
        "TemplatedPolicies": [{"TemplateName": "builtin/service", "TemplateVariables": {"Name": "db"}}],
    }  # fmt: skip
    assert made.out.endswith(
        "Expiration Time:  e\n"
        "Roles:\n   r - dev\n"
        "Service Identities:\n   web (Datacenters: dc1)\n   api (Datacenters: all)\n"
        "Node Identities:\n   n (Datacenter: dc1)\n"
        "Templated Policies:\n   builtin/service\n      Name: db\n      Datacenters: all\n"
    )
    assert "Create Index:     1\n" in cli("acl token create -policy-name a -meta").out
    assert json.loads(cli("acl token create -policy-name a -format json").out) == ROW


def test_what_cannot_be_meant(cli: Any, stub: Any) -> None:
    for words in ("", "-node-identity n", "-templated-policy x -var y", "-var name:x -policy-name a"):
        assert cli(f"acl token create {words}").status == 1
    stub.answer("acl/token", ROW, method="PUT")
    assert cli("acl token create -policy-name a -format xml").status == 1


def test_an_id_may_be_shortened(cli: Any, stub: Any) -> None:
    stub.answer("acl/tokens", [ROW, {**ROW, "AccessorID": "1222"}])
    stub.answer(f"acl/token/{ROW['AccessorID']}", ROW)
    assert "SecretID:         s" in cli("acl token read -accessor-id 11111").out
    assert cli("acl token read -id 1").status == 1
    assert cli("acl token read -id 9").status == 1
    assert cli("acl token read").status == 1
    stub.answer("acl/token/self", ROW)
    assert cli("acl token read -self").status == 0


def test_update_replaces_or_adds(cli: Any, stub: Any) -> None:
    path = f"acl/token/{ROW['AccessorID']}"
    stub.answer(path, {**ROW, "Policies": [{"ID": "p", "Name": "a"}]})
    stub.answer(path, ROW, method="PUT")
    cli(f"acl token update -accessor-id {ROW['AccessorID']} -append-policy-name b")
    body = stub.last.json
    assert body["Policies"] == [{"ID": "p", "Name": "a"}, {"Name": "b"}]
    assert body["Description"] == "d" and body["NodeIdentities"] == ROW["NodeIdentities"]
    cli(f"acl token update -accessor-id {ROW['AccessorID']} -policy-name b -description new")
    assert stub.last.json["Policies"] == [{"Name": "b"}] and stub.last.json["Description"] == "new"
    assert cli(f"acl token update -accessor-id {ROW['AccessorID']} -policy-name b -append-policy-name c").status == 1


def test_clone_delete_and_list(cli: Any, stub: Any) -> None:
    accessor = ROW["AccessorID"]
    stub.answer(f"acl/token/{accessor}/clone", ROW, method="PUT")
    assert cli(f"acl token clone -accessor-id {accessor} -description x").status == 0
    assert stub.last.json == {"Description": "x"}
    stub.answer(f"acl/token/{accessor}", True, method="DELETE")
    assert cli(f"acl token delete -accessor-id {accessor}").out == f'Token "{accessor}" deleted successfully\n'
    stub.answer("acl/tokens", [ROW, ROW])
    assert cli("acl token list").out.count("AccessorID:") == 2
    stub.answer("acl/tokens", b"denied", status=403)
    assert "Failed to retrieve the token list" in cli("acl token list").err
