"""`acl` commands that stand alone (CL14, CL15): bootstrap, set-agent-token, templated policies, explain, suggest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

TOKEN = {
    "AccessorID": "11111111-2222-3333-4444-555555555555", "SecretID": "s", "Description": "d", "Local": False,
    "CreateTime": "2026-01-01T00:00:00Z", "Hash": "h", "CreateIndex": 1, "ModifyIndex": 2,
    "Policies": [{"ID": "p", "Name": "kv"}],
}  # fmt: skip


def test_bootstrap(cli: Any, stub: Any, tmp_path: Path) -> None:
    stub.answer("acl/bootstrap", TOKEN, method="PUT")
    assert cli("acl bootstrap").out == (
        "AccessorID:       11111111-2222-3333-4444-555555555555\n"
        "SecretID:         s\n"
        "Description:      d\n"
        "Local:            false\n"
        "Create Time:      2026-01-01T00:00:00Z\n"
        "Policies:\n"
        "   p - kv\n"
    )
    (tmp_path / "secret").write_text("mine\n")
    cli(f"acl bootstrap {tmp_path / 'secret'}")
    assert stub.last.json == {"BootstrapSecret": "mine"}
    stub.answer("acl/bootstrap", b"no longer", method="PUT", status=403)
    failed = cli("acl bootstrap")
    assert failed.status == 1 and "Failed ACL bootstrapping: Unexpected response code: 403" in failed.err


def test_set_agent_token(cli: Any, stub: Any) -> None:
    stub.answer("agent/token/agent_recovery", None, method="PUT")
    assert cli("acl set-agent-token recovery t").out == 'ACL token "recovery" set successfully\n'
    assert stub.last.json == {"Token": "t"}
    assert cli("acl set-agent-token zork t").status == 1
    assert cli("acl set-agent-token agent").status == 1


def test_templated_policies(cli: Any, stub: Any) -> None:
    row = {"TemplateName": "builtin/node", "Schema": "{}", "Template": "\nnode", "Description": "d"}
    stub.answer("acl/templated-policies", {"builtin/node": row})
    stub.answer("acl/templated-policy/name/builtin/node", row)
    assert cli("acl templated-policy list").out == "builtin/node\n"
    assert "Name: String - Required" in cli("acl templated-policy read -name builtin/node").out
    policy = {"ID": "i", "Name": "n", "Description": "d", "Rules": "r", "CreateIndex": 0, "ModifyIndex": 0}
    stub.answer("acl/templated-policy/preview/builtin/node", policy, method="POST")
    assert cli("acl templated-policy preview -name builtin/node -var name:web").out.endswith("Rules:\nr\n")
    assert stub.last.json == {"Name": "web"}
    assert cli("acl templated-policy preview -name builtin/node -var web").status == 1


def test_preview_of_a_file(cli: Any, stub: Any, tmp_path: Path) -> None:
    policy = {"ID": "", "Name": "synthetic", "Description": "", "Datacenters": None, "Rules": "r"}
    stub.answer("acl/templated-policy/preview/builtin/node", policy, method="POST")
    one = 'TemplatedPolicy "builtin/node" {\n  Name = "web"\n}\n'
    path = tmp_path / "one.hcl"
    path.write_text(one)
    assert cli(f"acl templated-policy preview -file {path}").status == 0
    assert stub.last.json == {"Name": "web"}
    assert cli(f"acl templated-policy preview -file {path} -name builtin/node").status == 1
    path.write_text(one + one.replace("web", "db"))
    assert "more than one" in cli(f"acl templated-policy preview -file {path}").err


def test_explain_ends_with_the_verdict(cli: Any, stub: Any) -> None:
    decision = {
        "Resource": "key", "Access": "write", "Name": "a", "Allowed": False, "Reason": 'key "a" is read',
        "Policies": ["kv"],
    }  # fmt: skip
    stub.answer("acl/explain", {"Allowed": False, "Decisions": [decision], "Note": ""}, method="POST")
    ended = cli("acl explain self put /v1/kv/a")
    assert ended.status == 1
    assert ended.out == 'Denied: PUT /v1/kv/a\n  key:write on "a": denied: key "a" is read (policy kv)\n'
    assert stub.last.json == {"Accessor": "self", "Method": "PUT", "Path": "/v1/kv/a", "Body": ""}
    stub.answer("acl/explain", {"Allowed": True, "Decisions": [], "Note": "it needs no token"}, method="POST")
    assert cli("acl explain self GET /v1/status/leader").status == 0


def test_suggest(cli: Any, stub: Any) -> None:
    stub.answer("acl/tokens", [TOKEN])
    found = {"Rules": 'key "a" {}\n', "Denied": [{"Resource": "key", "Access": "read", "Name": "b"}]}
    stub.answer(f"acl/suggest/{TOKEN['AccessorID']}", found)
    assert cli("acl suggest 1111").out == 'key "a" {}\n# was denied: key:read on "b"\n'
