"""Entries from what was written down."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from meshagent.agent.cli.intention_suggest import suggest

LINE = {
    "direction": "inbound",
    "source": "web",
    "destination": "api",
    "method": "GET",
    "path": "/a",
    "upstream": "127.0.0.1:80",
}


def test_from_a_file(tmp_path: Path) -> None:
    log = tmp_path / "tap.json"
    log.write_text(json.dumps(LINE) + "\n{broken\n")
    result = CliRunner().invoke(suggest, ["-from", str(log), "-deny-others"])
    assert result.exit_code == 0, result.output
    (entry,) = json.loads(result.output)
    assert [one["Name"] for one in entry["Sources"]] == ["web", "*"]


def test_files_that_config_write_takes(tmp_path: Path) -> None:
    log = tmp_path / "tap.json"
    log.write_text(json.dumps(LINE) + "\n")
    result = CliRunner().invoke(suggest, ["-from", str(log), "-out", str(tmp_path / "out")])
    written = tmp_path / "out" / "service-intentions-api.json"
    assert result.output == f"meshagent config write {written}\n"
    assert json.loads(written.read_text())["Kind"] == "service-intentions"


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    result = CliRunner().invoke(suggest, ["-from", str(tmp_path / "none")])
    assert result.exit_code == 1
    assert "-from:" in result.output


def test_from_the_sidecars_of_the_datacenter(stub: Any) -> None:
    edge = {
        "direction": "inbound",
        "source": "web",
        "destination": "api",
        "paths": [["GET", "/a", 3]],
        "connections": 0,
    }
    sidecars = [{"Node": node, "Service": "api", "ProxyID": "api", "Edges": [edge]} for node in ("n1", "n2")]
    missing = [{"Node": "n3", "ProxyID": "", "Reason": "away"}]
    stub.answer("connect/edges", {"Sidecars": sidecars, "Missing": missing})
    result = CliRunner().invoke(suggest, ["-http-addr", stub.address])
    assert result.exit_code == 0, result.output
    (entry,) = json.loads(result.stdout)
    assert entry["Sources"] == [{"Name": "web", "Action": "allow", "Description": "seen 6 times"}]
    assert result.stderr == "not included: n3: away\n"
    stub.answer("connect/edges", {"Sidecars": [{**sidecars[0], "Edges": []}], "Missing": []})
    result = CliRunner().invoke(suggest, ["-http-addr", stub.address])
    assert (result.stdout, result.stderr) == ("[]\n", "No traffic was seen yet: there is nothing to suggest\n")
