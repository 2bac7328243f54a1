"""`acl auth-method` (CL15)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

ROW = {
    "Name": "ci", "Type": "jwt", "Description": "d", "MaxTokenTTL": "10m0s", "Config": {"BoundIssuer": "me"},
    "CreateIndex": 1, "ModifyIndex": 2,
}  # fmt: skip


def test_create_read_update_delete_list(cli: Any, stub: Any, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"BoundIssuer": "me"}')
    stub.answer("acl/auth-method", ROW, method="PUT")
    made = cli(f"acl auth-method create -name ci -type jwt -config @{tmp_path / 'config.json'} -max-token-ttl 10m")
    assert stub.last.json["Config"] == {"BoundIssuer": "me"} and stub.last.json["MaxTokenTTL"] == "10m"
    assert "Max Token TTL:  10m0s\n" in made.out and '"BoundIssuer": "me"' in made.out
    for words in ("-name x", "-type jwt", "-name x -type jwt -config {"):
        assert cli(f"acl auth-method create {words}").status == 1
    cli("acl auth-method create -name k -type kubernetes -kubernetes-host h -kubernetes-ca-cert c "
        "-kubernetes-service-account-jwt j")  # fmt: skip
    assert stub.last.json["Config"] == {"Host": "h", "CACert": "c", "ServiceAccountJWT": "j"}
    stub.answer("acl/auth-method/ci", ROW)
    stub.answer("acl/auth-method/ci", ROW, method="PUT")
    cli("acl auth-method update -name ci -description new")
    assert stub.last.json["Config"] == {"BoundIssuer": "me"} and stub.last.json["Description"] == "new"
    assert "Type:           jwt" in cli("acl auth-method read -name ci").out
    stub.answer("acl/auth-method/ci", True, method="DELETE")
    assert cli("acl auth-method delete -name ci").out == 'Auth-method "ci" deleted successfully\n'
    stub.answer("acl/auth-methods", [{key: value for key, value in ROW.items() if key != "Config"}])
    assert cli("acl auth-method list").out.startswith("ci:\n   Type:           jwt\n")
