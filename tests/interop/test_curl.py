"""curl, as the documentation writes it: registration, health, keys, blocking, pretty (surface A10, HL3, KV*, C12)."""

from __future__ import annotations

import json
from pathlib import Path

from meshtest.peers import output, program
from meshtest.process import AgentProcess


def test_the_documented_lines_work(agent: AgentProcess, tmp_path: Path) -> None:
    curl = [program("curl"), "-sS", "--fail-with-body", "--max-time", "20"]
    url = agent.url
    definition = tmp_path / "web.json"
    definition.write_text(json.dumps({"Name": "web", "Port": 80, "Tags": ["v1"]}))
    assert output([*curl, "--request", "PUT", "--data", f"@{definition}", f"{url}/v1/agent/service/register"]) == ""
    rows = json.loads(output([*curl, f"{url}/v1/health/service/web?passing"]))
    assert [row["Service"]["Port"] for row in rows] == [80]
    assert output([*curl, "-X", "PUT", "--data-binary", "hello", f"{url}/v1/kv/greeting"]).strip() == "true"
    assert output([*curl, f"{url}/v1/kv/greeting?raw"]) == "hello"
    assert '\n    "' in output([*curl, f"{url}/v1/agent/self?pretty"])
    head = output([*curl, "-D", "-", "-o", "/dev/null", f"{url}/v1/health/service/web"])
    assert "X-Consul-Index:" in head
    compressed = output([*curl, "--compressed", f"{url}/v1/catalog/nodes"])
    assert json.loads(compressed)[0]["Node"] == "n1"
    filtered = output([*curl, "--get", "--data-urlencode", "filter=Service.Port == 80", f"{url}/v1/health/service/web"])
    assert len(json.loads(filtered)) == 1
    many = output([*curl, f"{url}/v1/status/leader", f"{url}/v1/status/peers"])  # one connection, two requests
    assert many.count("127.0.0.1") == 2
